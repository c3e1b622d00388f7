"""The transitions of an object: observed, extended, resampled, rewound, restored."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.masks import CroppedMask, MaskPrediction
from sam_pt_ros.objects import ObjectPrompt
from sam_pt_ros.pipeline.reinitialization import MaskWindow
from sam_pt_ros.pipeline.tracked_object import PointSet, TrackedObject
from sam_pt_ros.segmenters.base import SAMPLED

SIZE = (8, 8)
SQUARE = np.full(SIZE, -1.0, np.float32)
SQUARE[2:5, 3:6] = 1.0
PREDICTION = MaskPrediction(SQUARE, (0, 0), SIZE, 0.9)
MASK = CroppedMask.cut(SQUARE > 0, (0, 0), SIZE)
EMPTY = CroppedMask.empty(SIZE)


def points(*ids: int, labels: int = 1, start: int = 10, gesture: int = SAMPLED) -> PointSet:
    return PointSet.starting(np.array(ids), np.full(len(ids), labels, np.int32), start, gesture)


@pytest.fixture
def item() -> TrackedObject:
    """An object that was started in frame 10 and has not been observed yet."""
    return TrackedObject(
        1,
        "cup",
        10,
        ObjectPrompt([[4, 3]], [1]),
        np.random.default_rng(0),
        MaskWindow(10, first=True),
        last_seen=9,
        points=points(1, 2) + points(3, labels=0, gesture=0),
    )


def observe(
    item: TrackedObject, index: int, mask: CroppedMask = MASK, moved: bool = False
) -> None:
    item.observe(index, mask, PREDICTION, moved=moved, remember=True)


def test_an_observed_mask_is_remembered_and_becomes_the_anchor(item: TrackedObject) -> None:
    observe(item, 10)
    assert item.mask is item.seen is MASK and item.last_seen == 10
    assert item.anchor is not None and item.anchor.index == 10
    assert item.window.masks == [MASK]


def test_a_moved_mask_keeps_the_anchor_and_is_not_sampled_from(item: TrackedObject) -> None:
    observe(item, 10)
    item.move_anchor((1, -1))
    observe(item, 11, moved=True)
    assert item.anchor is not None and (item.anchor.index, item.anchor.shift) == (10, (1, -1))
    assert item.moved == {11}
    assert [mask.area for mask in item.unmoved_window.masks] == [9, 0]
    observe(item, 12)
    assert item.anchor.index == 12 and item.anchor.shift == (0, 0)


def test_an_object_without_a_prediction_has_no_anchor(item: TrackedObject) -> None:
    observe(item, 10)
    item.observe(11, EMPTY, None, moved=False, remember=True)
    assert item.anchor is None and item.mask is EMPTY and item.seen is MASK
    assert item.last_seen == 10
    with pytest.raises(ValueError, match="object 1 has no mask to move"):
        item.move_anchor((0, 0))


def test_a_mask_ends_being_lost_and_an_empty_one_does_not(item: TrackedObject) -> None:
    item.give_up()
    observe(item, 10, EMPTY)
    assert item.lost
    observe(item, 11)
    assert not item.lost


def test_a_frame_of_the_past_does_not_replace_what_was_seen_last(item: TrackedObject) -> None:
    observe(item, 10)
    observe(item, 11)
    newest = item.seen
    item.rewind(10)
    observe(item, 10, CroppedMask.cut(SQUARE[:4] > 0, (0, 0), SIZE))
    assert item.last_seen == 11 and item.seen is newest


def test_the_last_mask_is_the_seen_one_while_that_is_recent(item: TrackedObject) -> None:
    observe(item, 10)
    observe(item, 11, EMPTY)
    observe(item, 12, EMPTY)
    assert item.last_mask(12, unseen=2) is MASK
    assert item.last_mask(12, unseen=1) is EMPTY


def test_without_reinitialization_no_masks_are_kept(item: TrackedObject) -> None:
    item.observe(10, MASK, PREDICTION, moved=False, remember=False)
    assert item.window.masks == [] and item.mask is MASK


def test_clicks_last_and_bring_a_lost_object_back(item: TrackedObject) -> None:
    item.give_up()
    item.add_clicked_points(np.array([7, 8]), np.array([0, 1], np.int32), 12)
    assert item.points.ids.tolist() == [1, 2, 8, 3, 7]  # positives first
    assert item.points.starts.tolist() == [10, 10, 12, 10, 12]
    assert item.points.gestures.tolist() == [SAMPLED, SAMPLED, 1, 0, 1]
    assert item.points.lasting.ids.tolist() == [8, 3, 7] and not item.lost


def test_resampling_begins_a_window_at_the_frame_that_was_sampled(item: TrackedObject) -> None:
    for index in range(10, 14):
        observe(item, index, moved=index in (11, 13))
    item.resample(points(20, 21, start=12), item.points.where(item.points.ids == 3), 12)
    assert item.points.ids.tolist() == [20, 21, 3]
    assert item.points.lasting.ids.tolist() == [3]
    assert (item.window.start, len(item.window.masks)) == (12, 2)
    assert item.moved == {13} and not item.window.first


def test_keeping_the_points_begins_a_window_in_the_newest_frame(item: TrackedObject) -> None:
    for index in range(10, 13):
        observe(item, index)
    item.keep_points()
    assert item.window.start == 12 and item.points.ids.tolist() == [1, 2, 3]


def test_a_snapshot_undoes_a_click(item: TrackedObject) -> None:
    observe(item, 10)
    item.give_up()
    before = item.snapshot()
    item.add_clicked_points(np.array([7]), np.array([0], np.int32), 10)
    item.inform(11)
    item.restore(before)
    assert item.points.ids.tolist() == [1, 2, 3] and item.gestures == 2
    assert item.lost and item.window.informed == -1


def test_a_snapshot_brings_back_masks_and_leaves_new_points(item: TrackedObject) -> None:
    observe(item, 10)
    observe(item, 11, moved=True)
    before = item.snapshot()
    item.rewind(11)
    assert item.window.masks == [] and item.anchor is None and item.moved == frozenset()
    item.resample(points(30, start=11), points(labels=0), 11)
    item.restore_masks(before)
    assert item.window.start == 10 and item.moved == {11} and item.anchor is not None
    assert item.points.ids.tolist() == [30]
