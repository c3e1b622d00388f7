"""What is remembered of frames that have results."""

from __future__ import annotations

import numpy as np

from sam_pt_ros.pipeline.answered_frames import AnsweredFrames

POINTS = np.array([[3, 4]], np.float32)


def test_the_newest_frames_are_kept() -> None:
    frames = AnsweredFrames(2)
    for index in range(3):
        frames.add(index, {1: POINTS + index}, moved=index == 2)
    assert frames.at(0).positives == {} and not frames.at(0).moved
    assert frames.at(2).moved and not frames.at(1).moved
    np.testing.assert_array_equal(frames.at(1).positives[1], [[4, 5]])


def test_a_forgotten_object_leaves_the_others() -> None:
    frames = AnsweredFrames(3)
    given = {1: POINTS, 2: POINTS}
    frames.add(0, given, moved=False)
    frames.forget(1)
    frames.forget(9)
    assert list(frames.at(0).positives) == [2] and list(given) == [1, 2]


def test_a_reset_begins_before_the_first_frame() -> None:
    frames = AnsweredFrames(3)
    frames.newest = 5
    frames.add(5, {1: POINTS}, moved=True)
    frames.reset()
    assert frames.newest == -1 and not frames.at(5).moved
