"""The books of points that do not influence each other, when something goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.options import NoOptions
from sam_pt_ros.trackers.independent import IndependentTracker


@dataclass(frozen=True)
class Places:
    """Where points are, ``float32 (N, 2)``."""

    xy: np.ndarray

    def rows(self, keep: np.ndarray) -> Places:
        return Places(self.xy[keep])

    def joined(self, other: Places) -> Places:
        return Places(np.concatenate([self.xy, other.xy]))


class FakeTracker(IndependentTracker[Places]):
    """A test double: points move by a pixel per frame; ``failing`` frames raise where they say."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.failing: dict[int, str] = {}
        self.wrong = -1  # the frame in which point 0 is nowhere

    def _begin(self, xy: np.ndarray, frame: Frame) -> Places:
        return Places(xy)

    def _advanced(self, state: Places, before: Frame, after: Frame) -> Places:
        self._may_fail(after, "advanced")
        moved = state.xy + np.float32(after.index - before.index)
        if after.index == self.wrong:
            moved[0, 0] = np.nan
        return Places(moved)

    def _located(self, state: Places, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._may_fail(frame, "located")
        seen = np.ones(len(state.xy))
        return state.xy, seen > 0, seen

    def _may_fail(self, frame: Frame, where: str) -> None:
        if self.failing.get(frame.index) == where:
            raise MemoryError(where)


POINTS = np.array([[5, 5], [9, 7]], np.float32)


class Stream:
    """A fake tracker with two points of frame 0, and its history."""

    def __init__(self, capacity: int = 60) -> None:
        self.history = FrameHistory(capacity)
        self.tracker = FakeTracker()
        self.tracker.reset(self.history)
        self.show()
        self.ids = self.tracker.add_points(POINTS, self.history.newest)

    def show(self) -> np.ndarray:
        """Show the next frame; positions ``(N, 2)``."""
        number = self.history.newest.index + 1 if len(self.history) else 0
        image = np.zeros((40, 40, 3), np.uint8)
        found: np.ndarray = self.tracker.step(self.history.append(image, number)).xy
        return found


@pytest.mark.parametrize("where", ["advanced", "located"])
def test_a_frame_that_fails_changes_nothing(where: str) -> None:
    stream = Stream()
    stream.show()
    stream.tracker.failing = {2: where}
    with pytest.raises(MemoryError):
        stream.show()
    assert np.array_equal(stream.show(), POINTS + 3)
    missed = stream.tracker.recall(stream.ids, 2)
    assert np.array_equal(missed.xy, POINTS + 1)
    assert not missed.visible.any()


def test_a_second_attempt_is_made_by_flush() -> None:
    stream = Stream()
    stream.tracker.failing = {1: "advanced"}
    with pytest.raises(MemoryError):
        stream.show()
    stream.tracker.failing = {}
    (again,) = stream.tracker.flush()
    assert (again.index, again.visible.all()) == (1, True)
    assert np.array_equal(again.xy, POINTS + 1)
    assert stream.tracker.flush() == []
    assert np.array_equal(stream.show(), POINTS + 2)


def test_a_point_that_goes_wrong_harms_no_other() -> None:
    stream = Stream()
    stream.show()
    stream.tracker.wrong = 2
    for number in (2, 3, 4):
        found = stream.show()
        tracks = stream.tracker.recall(stream.ids, number)
        assert np.array_equal(found[1], POINTS[1] + number)
        assert np.array_equal(found[0], POINTS[0] + 1)
        assert tracks.visible.tolist() == [False, True]
        assert tracks.confidence.tolist() == [0, 1]


def test_more_failures_than_frames_are_kept_end_nothing() -> None:
    stream = Stream(capacity=4)
    stream.tracker.failing = dict.fromkeys(range(1, 9), "advanced")
    for _ in range(8):
        with pytest.raises(MemoryError):
            stream.show()
    assert np.array_equal(stream.show(), POINTS + 9)


def test_late_points_that_nobody_asks_for_keep_no_old_frames() -> None:
    stream = Stream(capacity=4)
    for _ in range(5):
        stream.show()
    late = stream.tracker.add_late_points(POINTS, stream.history.oldest)
    for _ in range(6):
        stream.show()
    (group,) = stream.tracker._late
    assert group.last.index >= stream.history.oldest.index - 1
    newest = stream.history.newest.index
    found = stream.tracker.recall(late, newest)
    assert found.visible.all()
    assert np.isin(
        late,
        stream.tracker.step(
            stream.history.append(np.zeros((40, 40, 3), np.uint8), newest + 1)
        ).ids,
    ).all()
