"""A whole clip at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.trackers import track_video
from support.doubles import DelayedTracker, OracleTracker
from support.scene import THING, plain_scene

SCENE = plain_scene()
LENGTH = 30


class Clip(OracleTracker):
    """Stamps of a clip are frame numbers."""

    def __init__(self) -> None:
        super().__init__(_ClipScene())  # type: ignore[arg-type]


class _ClipScene:
    """The scene, addressed by frame number instead of by stamp."""

    def __getattr__(self, name: str) -> Any:
        return getattr(SCENE, name)

    def index(self, stamp: int) -> int:
        return stamp


def frames() -> np.ndarray:
    return np.stack([SCENE.frame(index).image for index in range(LENGTH)])


def queries() -> np.ndarray:
    """Frame, x, y: points on the thing, found in different frames."""
    return np.array([(start, *SCENE.inner_point(THING, start)) for start in (0, 7, 7, 20, 29)])


def test_every_point_is_tracked_from_its_query_to_the_end() -> None:
    tracks = track_video(Clip(), frames(), queries())
    assert tracks.xy.shape == (LENGTH, 5, 2)
    for column, (start, x, y) in enumerate(queries()):
        first = int(start)
        for index in range(first, LENGTH):
            truth = SCENE.follow(THING, [[x, y]], first, index)[0]
            assert tracks.xy[index, column] == pytest.approx(truth, abs=1e-3)
        assert tracks.visible[first, column] and tracks.confidence[first, column] == 1


def test_before_its_query_a_point_stands_still_and_is_not_visible() -> None:
    tracks = track_video(Clip(), frames(), queries())
    assert (tracks.xy[:7, 1] == queries()[1, 1:]).all()
    assert not tracks.visible[:7, 1].any() and not tracks.confidence[:7, 1].any()


@pytest.mark.parametrize("window", [1, 4, 8, 30, 31])
def test_a_windowed_tracker_gives_the_same(window: int) -> None:
    tracker = DelayedTracker(_ClipScene(), window)  # type: ignore[arg-type]
    late, prompt = (track_video(each, frames(), queries()) for each in (tracker, Clip()))
    assert np.array_equal(late.xy, prompt.xy)
    assert np.array_equal(late.visible, prompt.visible)
    assert np.array_equal(late.confidence, prompt.confidence)


def test_a_tracker_can_be_used_again() -> None:
    tracker = Clip()
    first, second = (track_video(tracker, frames(), queries()) for _ in range(2))
    assert np.array_equal(first.xy, second.xy)


def test_clips_longer_than_the_history_are_tracked() -> None:
    clip = np.repeat(frames()[:1], 100, axis=0)

    class Still(Clip):
        def _tracks(self, ids: Any, frame: Any) -> Any:
            tracks = super()._tracks(ids, _Frame(frame.index))
            return tracks

    class _Frame:
        def __init__(self, index: int) -> None:
            self.index, self.stamp = index, 0

    x, y = SCENE.inner_point(THING, 0)
    tracks = track_video(Still(), clip, np.array([[0, x, y]]))
    assert tracks.xy.shape == (100, 1, 2) and tracks.visible.all()


def test_without_queries_there_are_no_tracks() -> None:
    tracks = track_video(Clip(), frames(), np.zeros((0, 3)))
    assert tracks.xy.shape == (LENGTH, 0, 2)


@pytest.mark.parametrize(
    ("clip", "asked", "says"),
    [
        (np.zeros((4, 6, 3), np.uint8), np.zeros((1, 3)), r"\(T, H, W, 3\)"),
        (np.zeros((2, 4, 6, 3), np.uint8), np.zeros((1, 2)), r"\(N, 3\)"),
        (np.zeros((2, 4, 6, 3), np.uint8), np.array([[2, 0, 0]]), "from 0 to 1"),
        (np.zeros((2, 4, 6, 3), np.uint8), np.array([[-1, 0, 0]]), "from 0 to 1"),
        (np.zeros((2, 4, 6, 3), np.uint8), np.array([[0.5, 0, 0]]), "whole numbers"),
        (np.zeros((2, 4, 6, 3), np.uint8), np.array([[np.nan, 0, 0]]), "whole numbers"),
        (np.zeros((2, 4, 6, 3), np.uint8), np.array([[0, 9, 0]]), "not in the image"),
        (np.zeros((2, 4, 6, 3), np.float32), np.zeros((1, 3)), "uint8"),
    ],
)
def test_what_cannot_be_tracked_is_refused(clip: np.ndarray, asked: np.ndarray, says: str) -> None:
    with pytest.raises(UserError, match=says):
        track_video(Clip(), clip, asked)
