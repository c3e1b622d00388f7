"""Trackers that see a whole clip: its end, points that go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.trackers.shared_options import clip_length_option, max_points_option
from sam_pt_ros.trackers.video import VideoTracks
from sam_pt_ros.trackers.whole_clip import WholeClipTracker


@dataclass(frozen=True)
class Options:
    clip_length: int = clip_length_option()
    max_points: int = max_points_option()


class FakeTracker(WholeClipTracker):
    """A test double: points move by a pixel per frame; a point at x = 13 is lost in frame 2."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.solved: list[int] = []

    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        self.solved.append(len(queries))
        passed = np.arange(len(frames))[:, None] - queries[:, 0]
        xy = (queries[None, :, 1:] + passed[:, :, None]).astype(np.float32)
        xy[2, queries[:, 1] == 13] = np.nan
        seen = np.ones(xy.shape[:2], np.float32)
        return VideoTracks(xy, seen > 0, seen)


def shown(tracker: FakeTracker, frames: int) -> tuple[FrameHistory, list[int]]:
    """The history and the frames that were answered for."""
    history, answers = FrameHistory(), []
    tracker.reset(history)
    for number in range(frames):
        frame = history.append(np.zeros((40, 40, 3), np.uint8), number)
        answers += [tracks.index for tracks in tracker.advance(frame)]
        if number == 0:
            tracker.add_points(np.array([[5, 5], [13, 7]], np.float32), frame)
    return history, answers


def test_a_clip_that_goes_on_is_answered_for_before_it_is_refused() -> None:
    tracker = FakeTracker(Options(clip_length=4))
    history, answers = shown(tracker, 4)
    assert answers == [0, 1, 2, 3]
    assert tracker.flush() == []
    with pytest.raises(UserError, match="more than 4 frames; raise 'clip_length'"):
        tracker.advance(history.append(np.zeros((40, 40, 3), np.uint8), 4))
    assert tracker.recall(np.array([0]), 3).xy.tolist() == [[8, 8]]


def test_each_point_is_tracked_once() -> None:
    tracker = FakeTracker(Options())
    history, _ = shown(tracker, 5)
    tracker.flush()
    more = tracker.add_points(np.array([[1, 1]], np.float32), history.at(2))
    assert tracker.recall(more, 4).xy.tolist() == [[3, 3]]
    assert tracker.solved == [2, 1]


def test_a_point_that_goes_wrong_harms_no_other() -> None:
    tracker = FakeTracker(Options())
    shown(tracker, 4)
    answers = tracker.flush()
    assert answers[2].visible.tolist() == [True, False]
    assert answers[2].xy.tolist() == [[7, 7], [13, 7]]
    assert answers[3].xy.tolist() == [[8, 8], [16, 10]]
