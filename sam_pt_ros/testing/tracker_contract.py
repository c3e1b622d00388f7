"""What every point tracker promises, as tests to inherit.

A tracker's test module derives a class, and pytest collects it::

    class TestTemplateTracker(TrackerContract):
        def new_tracker(self, **options):
            return create_tracker("template", **options)
"""

from __future__ import annotations

import gc
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers import PointTracker, track_video


class TrackerContract(ABC):
    """Tests of one tracker. The attributes say what it promises beyond the interface."""

    size: ClassVar[tuple[int, int]] = (96, 128)
    """Height and width of the test images."""
    frames: ClassVar[int] = 10
    """Length of the test clip."""
    tolerance: ClassVar[float] = 0.0
    """Pixels by which the same points may differ where others come and go, by rounding."""
    follows: ClassVar[bool] = True
    """Whether points follow the texture of the test clip; not so with random weights."""
    independent: ClassVar[bool] = True
    """Whether points do not influence each other."""
    keeps_queries: ClassVar[bool] = True
    """Whether a point is where it was put, in the frame of its query."""
    spare_frames: ClassVar[int] = 2
    """Frames that may be kept beyond the history."""
    keeps_clip: ClassVar[bool] = False
    """Whether all frames are kept until ``flush``."""
    network: ClassVar[bool] = False
    """Whether there is an option ``checkpoint`` for the path of a file."""

    @abstractmethod
    def new_tracker(self, **options: Any) -> PointTracker:
        """A tracker with these options, and weights if it needs some."""

    # --- the clip -----------------------------------------------------------------------------

    def clip(self, frames: int | None = None) -> np.ndarray:
        """A textured plane that moves by 2 pixels to the right and 1 down per frame.

        Returns:
            ``uint8 (T, H, W, 3)``.
        """
        height, width = self.size
        count = self.frames if frames is None else frames
        noise = np.random.default_rng(7).integers(0, 256, (height + 64, width + 128, 3))
        plane = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 1.5)
        plane = np.clip((plane - 128) * 3 + 128, 0, 255).astype(np.uint8)
        places = [(min(index, 60), min(2 * index, 120)) for index in range(count)]
        made = np.stack(
            [plane[64 - y :, 128 - x :][: self.size[0], : self.size[1]] for y, x in places]
        )
        made.setflags(write=False)  # a tracker must not draw into its images
        return made

    def points(self) -> np.ndarray:
        """Six points in the image, ``float32 (6, 2)``."""
        height, width = self.size
        parts = [(0.3, 0.3), (0.5, 0.4), (0.6, 0.6), (0.4, 0.7), (0.25, 0.55), (0.7, 0.35)]
        return np.array([(x * width, y * height) for x, y in parts], np.float32)

    # --- points come ----------------------------------------------------------------------------

    def test_a_point_is_where_it_was_put(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(2)
        ids = stream.tracker.add_points(self.points(), stream.frame(2))
        tracks = stream.tracker.recall(ids, 2)
        assert (tracks.ids == ids).all()
        if self.keeps_queries:
            assert np.abs(tracks.xy - self.points()).max() <= 1e-3
            assert tracks.visible.all()

    def test_tracks_are_valid(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(0)
        ids = stream.tracker.add_points(self.points(), stream.frame(0))
        stream.to(self.frames - 1).end()
        assert sorted(stream.answers) == list(range(self.frames))
        for index, tracks in stream.answers.items():
            found = stream.tracker.tracks_of(ids, tracks)
            assert found.index == index
            assert found.xy.shape == (6, 2)
            assert (found.confidence >= 0).all()
            assert (found.confidence <= 1).all()
        assert stream.in_order
        assert stream.tracker.flush() == []

    def test_points_follow_the_texture(self) -> None:
        if not self.follows:
            pytest.skip("this tracker has no trained weights here")
        starts = np.array([[0, 0, 0, 2, 2, 2]])
        queries = np.concatenate([starts.T, self.points()], 1)
        found = track_video(self.new_tracker(), self.clip(), queries)
        passed = np.arange(self.frames)[:, None] - starts
        moved = np.maximum(passed, 0)[:, :, None] * np.array([2.0, 1.0])
        error = np.linalg.norm(found.xy - self.points() - moved, axis=2)
        assert np.median(error[passed > 0]) < 1
        assert found.visible[passed >= 0].mean() > 0.8

    def test_earlier_tracks_do_not_change(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(0)
        ids = stream.tracker.add_points(self.points(), stream.frame(0))
        stream.to(self.frames - 1).end()
        for index in range(1, self.frames):
            self._same(stream.tracks(ids, index), stream.answers[index].select(ids))

    @pytest.mark.parametrize("late", [1, 4])
    def test_a_query_in_the_past_equals_one_in_time(self, late: int) -> None:
        in_time = _Stream(self.new_tracker(), self.clip()).to(2)
        first = in_time.tracker.add_points(self.points(), in_time.frame(2))
        in_time.to(self.frames - 1).end()
        after = _Stream(self.new_tracker(), self.clip()).to(2 + late)
        second = after.tracker.add_points(self.points(), after.frame(2))
        after.to(self.frames - 1).end()
        for index in range(2, self.frames):
            self._same(after.tracks(second, index), in_time.tracks(first, index))

    def test_late_points_catch_up_when_they_are_asked_for(self) -> None:
        in_time = _Stream(self.new_tracker(), self.clip()).to(1)
        first = in_time.tracker.add_points(self.points(), in_time.frame(1))
        in_time.to(self.frames - 1).end()
        late = _Stream(self.new_tracker(), self.clip()).to(6)
        second = late.tracker.add_late_points(self.points(), late.frame(1))
        for index in (3, 6):
            late.tracker.recall(second, index)
        late.to(self.frames - 1).end()
        for index in range(1, self.frames):
            self._same(late.tracks(second, index), in_time.tracks(first, index))
        assert np.isin(second, late.answers[self.frames - 1].ids).all()

    def test_late_points_may_go_before_they_have_caught_up(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(5)
        ids = stream.tracker.add_late_points(self.points(), stream.frame(1))
        stream.tracker.remove_points(ids[:3])
        other = stream.tracker.replace_points(ids[3:], self.points()[:1], stream.frame(5))
        stream.to(self.frames - 1).end()
        assert stream.tracks(other, self.frames - 1).xy.shape == (1, 2)
        with pytest.raises(KeyError):
            stream.tracker.recall(ids, 5)

    def test_points_that_come_and_go_change_no_others(self) -> None:
        if not self.independent:
            pytest.skip("points of this tracker influence each other")
        alone = _Stream(self.new_tracker(), self.clip()).to(0)
        first = alone.tracker.add_points(self.points()[:2], alone.frame(0))
        alone.to(self.frames - 1).end()
        crowd = _Stream(self.new_tracker(), self.clip()).to(0)
        second = crowd.tracker.add_points(self.points()[:2], crowd.frame(0))
        others = crowd.tracker.add_points(self.points()[2:4], crowd.frame(0))
        crowd.to(4)
        crowd.tracker.add_points(self.points()[4:], crowd.frame(3))
        crowd.to(6)
        crowd.tracker.remove_points(others)
        crowd.to(self.frames - 1).end()
        for index in range(self.frames):
            self._same(crowd.tracks(second, index), alone.tracks(first, index))

    # --- points go ------------------------------------------------------------------------------

    def test_removed_points_are_gone(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(0)
        ids = stream.tracker.add_points(self.points(), stream.frame(0))
        stream.to(3)
        stream.tracker.remove_points(ids[1:3])
        stream.tracker.remove_points(np.array([987654]))
        stream.to(self.frames - 1).end()
        last = stream.answers[self.frames - 1]
        assert sorted(last.ids) == sorted(ids[[0, 3, 4, 5]])
        with pytest.raises(KeyError):
            stream.tracker.recall(ids[1:2], 3)

    def test_ids_are_not_used_twice(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(0)
        first = stream.tracker.add_points(self.points(), stream.frame(0))
        stream.tracker.remove_points(first)
        second = stream.tracker.add_points(self.points(), stream.frame(0))
        third = stream.tracker.replace_points(second[:2], self.points()[:2], stream.frame(0))
        assert len({*first, *second, *third}) == 14
        assert stream.tracker.recall(np.concatenate([second[2:], third]), 0).xy.shape == (6, 2)

    def test_without_points_there_are_no_tracks(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(3)
        ids = stream.tracker.add_points(np.zeros((0, 2), np.float32), stream.frame(3))
        assert ids.shape == (0,)
        stream.to(self.frames - 1).end()
        assert all(len(tracks) == 0 for tracks in stream.answers.values())
        assert sorted(stream.answers) == list(range(self.frames))

    # --- what is refused ------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "point", [(np.nan, 5), (5, np.inf), (-0.6, 5), (5, -3), (1e6, 5), (5, 1e6)]
    )
    def test_points_outside_the_image_are_refused(self, point: tuple[float, float]) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(1)
        ids = stream.tracker.add_points(self.points(), stream.frame(1))
        with pytest.raises(UserError):
            stream.tracker.add_points(np.array([[8, 8], point], np.float32), stream.frame(1))
        with pytest.raises(UserError):
            stream.tracker.add_points(np.zeros((2, 3), np.float32), stream.frame(1))
        stream.to(self.frames - 1).end()
        assert sorted(stream.answers[self.frames - 1].ids) == sorted(ids)

    def test_the_corners_of_the_image_are_in_it(self) -> None:
        height, width = self.size
        corners = [(-0.5, -0.5), (width - 0.5, -0.5), (-0.5, height - 0.5)]
        corners.append((width - 0.5, height - 0.5))
        stream = _Stream(self.new_tracker(), self.clip()).to(0)
        ids = stream.tracker.add_points(np.array(corners, np.float32), stream.frame(0))
        stream.to(self.frames - 1).end()
        assert stream.tracks(ids, self.frames - 1).xy.shape == (4, 2)

    def test_a_frame_that_is_not_held_is_refused(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(3)
        other = Frame(self.clip()[5], 5, 5)
        with pytest.raises((FrameUnavailableError, UserError)):
            stream.tracker.add_points(self.points(), other)

    def test_frames_of_another_size_or_out_of_order_are_refused(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(0)
        ids = stream.tracker.add_points(self.points(), stream.frame(0))
        stream.to(2)
        small = np.ascontiguousarray(self.clip()[3][:-8])
        for bad in (Frame(small, 3, 3), Frame(self.clip()[5], 5, 1), Frame(self.clip()[5], 9, 9)):
            with pytest.raises(UserError):
                stream.tracker.advance(bad)
        stream.to(self.frames - 1).end()  # as if nothing had happened
        undisturbed = _Stream(self.new_tracker(), self.clip()).to(0)
        same = undisturbed.tracker.add_points(self.points(), undisturbed.frame(0))
        undisturbed.to(self.frames - 1).end()
        for index in range(self.frames):
            self._same(stream.tracks(ids, index), undisturbed.tracks(same, index))

    def test_more_points_than_allowed_are_refused(self) -> None:
        if not hasattr(self.new_tracker().options, "max_points"):
            pytest.skip("this tracker has no option max_points")
        stream = _Stream(self.new_tracker(max_points=6), self.clip()).to(0)
        ids = stream.tracker.add_points(self.points(), stream.frame(0))
        with pytest.raises(UserError, match="max_points"):
            stream.tracker.add_points(self.points()[:1], stream.frame(0))
        again = stream.tracker.replace_points(ids, self.points(), stream.frame(0))
        stream.to(self.frames - 1).end()
        assert sorted(stream.answers[self.frames - 1].ids) == sorted(again)

    def test_what_cannot_be_recalled_is_a_key_error(self) -> None:
        stream = _Stream(self.new_tracker(), self.clip()).to(4)
        ids = stream.tracker.add_points(self.points(), stream.frame(3))
        for asked, index in ((ids, 2), (np.array([12345]), 4), (ids, 77)):
            with pytest.raises(KeyError):
                stream.tracker.recall(asked, index)

    @pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", "another network"])
    def test_a_bad_checkpoint_is_refused(
        self, content: bytes | str | None, tmp_path: Path
    ) -> None:
        if not self.network:
            pytest.skip("this tracker has no checkpoint")
        path = tmp_path / "weights.pt"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            import torch

            torch.save({"layer.weight": torch.zeros(3)}, path)
        with pytest.raises(UserError) as refused:
            self.new_tracker(checkpoint=str(path))
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)

    # --- over time ------------------------------------------------------------------------------

    def test_a_reset_tracker_repeats_itself(self) -> None:
        tracker = self.new_tracker()
        queries = np.concatenate([np.array([[0, 0, 0, 2, 2, 2]]).T, self.points()], 1)
        first = track_video(tracker, self.clip(), queries)
        again = track_video(tracker, self.clip(), queries)
        other = track_video(self.new_tracker(), self.clip(), queries)
        for tracks in (again, other):
            for name in ("xy", "visible", "confidence"):
                assert np.array_equal(getattr(first, name), getattr(tracks, name)), name

    def test_frames_are_not_kept_beyond_the_history(self) -> None:
        if self.keeps_clip:
            pytest.skip("this tracker keeps the whole clip")
        capacity, count = 4, 14
        history, tracker = FrameHistory(capacity), self.new_tracker()
        tracker.reset(history)
        seen = []
        for index, image in enumerate(self.clip(count)):
            frame = history.append(image, index)
            tracker.advance(frame)
            if index == 0:
                tracker.add_points(self.points(), frame)
            tracker.add_late_points(self.points()[:1], history.oldest)
            seen.append(weakref.ref(frame))
            del frame
        gc.collect()
        alive = sum(reference() is not None for reference in seen)
        assert alive <= capacity + self.spare_frames

    def _same(self, found: PointTracks, wanted: PointTracks) -> None:
        assert np.abs(found.xy - wanted.xy).max(initial=0) <= self.tolerance
        assert (found.visible == wanted.visible).all()
        spread = np.abs(found.confidence - wanted.confidence).max(initial=0)
        assert spread <= (1e-3 if self.tolerance else 0)


class _Stream:
    """A tracker that is shown a clip, frame by frame.

    Attributes:
        tracker: the tracker.
        answers: by frame.
        in_order: whether they came in order, each once.
    """

    def __init__(self, tracker: PointTracker, clip: np.ndarray) -> None:
        self.tracker = tracker
        self.answers: dict[int, PointTracks] = {}
        self.in_order = True
        self._clip = clip
        self._history = FrameHistory()
        tracker.reset(self._history)

    def to(self, index: int) -> _Stream:
        """Show the frames up to this one."""
        for number in range(len(self._history), index + 1):
            self._keep(self.tracker.advance(self._history.append(self._clip[number], number)))
        return self

    def end(self) -> None:
        """End the stream."""
        self._keep(self.tracker.flush())

    def frame(self, index: int) -> Frame:
        return self._history.at(index)

    def tracks(self, ids: np.ndarray, index: int) -> PointTracks:
        """The tracks of points in a frame, whether they were in its answer or not."""
        return self.tracker.recall(ids, index)

    def _keep(self, answers: list[PointTracks]) -> None:
        for tracks in answers:
            self.in_order &= tracks.index == len(self.answers)
            self.answers[tracks.index] = tracks
