"""The Lucas-Kanade point tracker."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.trackers import PointTracks, create_tracker
from sam_pt_ros.trackers.lucas_kanade import LucasKanade
from support import classical_scenes as scenes


@pytest.fixture(scope="module")
def moving() -> scenes.Scene:
    return scenes.scene(24)


@pytest.fixture(scope="module")
def hiding() -> scenes.Scene:
    return scenes.scene(50, occluder=(150, 250))


def new_tracker() -> LucasKanade:
    tracker = create_tracker("lucas_kanade")
    assert isinstance(tracker, LucasKanade)
    return tracker


def same(first: PointTracks, second: PointTracks) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(second).values()))


def test_points_follow_a_moving_and_turning_thing(moving: scenes.Scene) -> None:
    tracker = new_tracker()
    tracker.step(moving.frames[0])
    ids = tracker.add_points(scenes.disc_points(0), moving.frames[0])
    for index, frame in enumerate(moving.frames[1:16], 1):
        tracks = tracker.step(frame).select(ids)
        error = np.linalg.norm(tracks.xy - scenes.disc_points(index), axis=1)
        assert np.median(error) < 1.5
        assert tracks.visible.mean() > 0.7
        assert error[tracks.visible].max() < 6.0


def test_a_point_behind_something_is_hidden_and_never_sits_on_it(hiding: scenes.Scene) -> None:
    tracker = new_tracker()
    tracker.step(hiding.frames[0])
    ids = tracker.add_points(scenes.disc_points(0), hiding.frames[0])
    for index, frame in enumerate(hiding.frames[1:], 1):
        tracks = tracker.step(frame).select(ids)
        if hiding.seen[index] == 0:
            assert not tracks.visible.any()
            assert (tracks.confidence == 0).all()


def test_a_point_is_found_again_after_a_short_occlusion() -> None:
    pictures = scenes.scene(30, speed=4.0, turn=0.0, occluder=(100, 140))
    tracker = new_tracker()
    tracker.step(pictures.frames[0])
    ids = tracker.add_points(scenes.disc_points(0, 4.0, 0.0), pictures.frames[0])
    tracks = [tracker.step(frame).select(ids) for frame in pictures.frames[1:]]
    hidden = np.array([~t.visible for t in tracks]).any(axis=0)
    again = hidden & tracks[-1].visible
    assert again.sum() >= 5
    error = np.linalg.norm(tracks[-1].xy - scenes.disc_points(29, 4.0, 0.0), axis=1)
    assert error[again].max() < 3.0


def test_points_added_late_are_as_if_added_in_time(moving: scenes.Scene) -> None:
    frames = moving.frames[:14]
    in_time, late = new_tracker(), new_tracker()
    first, second = scenes.disc_points(0)[:5], scenes.disc_points(6)[5:]
    wanted, found = [], []
    for frame in frames:
        wanted.append(in_time.step(frame))
        found.append(late.step(frame))
        if frame.index == 0:
            in_time.add_points(first, frame)
            late.add_points(first, frame)
        if frame.index == 6:
            ids = in_time.add_points(second, frame)
    assert np.array_equal(late.add_points(second, frames[6]), ids)
    for index in range(6, len(frames)):
        assert same(in_time.recall(ids, index), late.recall(ids, index))
    extra = moving.frames[14]
    assert same(in_time.step(extra), late.step(extra))


def test_removing_points_leaves_the_others_untouched(moving: scenes.Scene) -> None:
    alone, together = new_tracker(), new_tracker()
    for tracker in (alone, together):
        tracker.step(moving.frames[0])
        kept = tracker.add_points(scenes.disc_points(0)[:6], moving.frames[0])
    gone = together.add_points(scenes.disc_points(0)[6:], moving.frames[0])
    together.step(moving.frames[1])
    alone.step(moving.frames[1])
    together.remove_points(np.append(gone, 12345))
    for frame in moving.frames[2:8]:
        assert same(alone.step(frame), together.step(frame))
    with pytest.raises(KeyError):
        together.recall(gone, 1)
    assert same(alone.recall(kept, 1), together.recall(kept, 1))
    more = together.add_points(scenes.disc_points(7)[:2], moving.frames[7])
    assert not set(more) & {*kept, *gone}


def test_bad_points_and_frames_are_refused(moving: scenes.Scene) -> None:
    tracker = new_tracker()
    tracker.step(moving.frames[1])
    for bad in ((np.nan, 5.0), (5.0, np.inf), (-3.0, 5.0), (400.0, 5.0)):
        with pytest.raises(UserError, match="not in the image"):
            tracker.add_points(np.array([bad], np.float32), moving.frames[1])
    with pytest.raises(FrameUnavailableError):
        tracker.add_points(scenes.disc_points(0), moving.frames[0])
    assert len(tracker.step(moving.frames[2])) == 0


def test_no_points_are_no_trouble(moving: scenes.Scene) -> None:
    tracker = new_tracker()
    assert len(tracker.step(moving.frames[0])) == 0
    assert len(tracker.add_points(np.zeros((0, 2), np.float32), moving.frames[0])) == 0
    tracker.remove_points(np.array([3]))
    assert len(tracker.step(moving.frames[1])) == 0
    assert len(tracker.recall(np.zeros(0, np.int64), 1)) == 0


def test_memory_is_that_of_the_history() -> None:
    history = FrameHistory(4)
    tracker = new_tracker()
    tracker.reset(history)
    image = scenes.texture((60, 80), 5, (120, 120, 120))
    ids = np.zeros(0, np.int64)
    for stamp in range(12):
        tracker.step(history.append(image, stamp))
        if stamp == 0:
            ids = tracker.add_points(np.array([[30, 30]], np.float32), history.newest)
    tracker.recall(ids, 8)
    with pytest.raises(KeyError):
        tracker.recall(ids, 7)
    with pytest.raises(FrameUnavailableError):
        tracker.add_points(np.array([[30, 30]], np.float32), Frame(image, 7, 7))


def test_a_point_that_leaves_the_image_is_hidden() -> None:
    pictures = scenes.scene(16, speed=-6.0, turn=0.0)
    tracker = new_tracker()
    tracker.step(pictures.frames[0])
    tracker.add_points(scenes.disc_points(0, -6.0, 0.0), pictures.frames[0])
    for frame in pictures.frames[1:]:
        tracks = tracker.step(frame)
    assert not pictures.truth[-1].any()
    assert not tracks.visible.any()
    assert np.isfinite(tracks.xy).all()


def test_a_reset_tracker_repeats_itself(moving: scenes.Scene) -> None:
    tracker = new_tracker()
    runs = []
    for _ in range(2):
        tracker.reset()
        tracker.step(moving.frames[0])
        tracker.add_points(scenes.disc_points(0), moving.frames[0])
        runs.append([tracker.step(frame) for frame in moving.frames[1:6]])
    assert all(same(a, b) for a, b in zip(*runs))
