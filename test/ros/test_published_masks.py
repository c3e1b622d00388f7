"""Which object is seen at a pixel of an image that was published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.points import PointTracks
from sam_pt_ros.ros.published_masks import PublishedMasks


def result(stamp: int, boxes: dict[int, tuple[int, int, int, int]]) -> TrackResult:
    """Objects whose masks are boxes of an image of 10x8 pixels: first x, y, and last x, y."""
    objects = []
    for object_id, (left, top, right, bottom) in boxes.items():
        mask = np.zeros((8, 10), np.bool_)
        mask[top : bottom + 1, left : right + 1] = True
        cut = CroppedMask.cut(mask, (0, 0), (8, 10))
        points: Any = PointTracks.empty(stamp)
        nothing = np.zeros(0, np.int32)
        state = ObjectState.TRACKING if cut.area else ObjectState.OCCLUDED
        objects.append(ObjectResult(object_id, "", state, 1.0, cut, points, nothing, 0, 0))
    return TrackResult(stamp, stamp, np.zeros((8, 10), np.uint16), tuple(objects), {})


@pytest.fixture
def masks() -> PublishedMasks:
    made = PublishedMasks(3)
    made.add(result(1, {4: (2, 1, 4, 3), 9: (6, 1, 9, 7)}))
    return made


@pytest.mark.parametrize(
    ("pixel", "object_id"),
    [
        ((2, 1), 4),
        ((4, 3), 4),
        ((4.4, 3.4), 4),
        ((4.6, 3), None),
        ((1.6, 0.6), 4),
        ((1.4, 1), None),
        ((5, 3), None),
        ((6, 1), 9),
        ((9.4, 7.4), 9),
        ((-1, -1), None),
        ((100, 100), None),
        ((np.nan, 3), None),
        ((3, np.inf), None),
        ((1e300, 3), None),
    ],
)
def test_a_pixel_belongs_to_the_object_whose_mask_holds_it(
    masks: PublishedMasks, pixel: tuple[float, float], object_id: int | None
) -> None:
    assert masks.object_at(np.array(pixel, np.float64), 1) == object_id


def test_the_image_of_the_stamp_counts_or_else_the_newest(masks: PublishedMasks) -> None:
    masks.add(result(2, {9: (2, 1, 4, 3), 5: (0, 0, -1, -1)}))
    pixel = np.array([3.0, 2.0])
    assert masks.object_at(pixel, 1) == 4
    assert masks.object_at(pixel, 2) == 9
    assert masks.object_at(pixel, 7) == 9
    assert masks.object_at(pixel, None) == 9


def test_no_more_images_are_kept_than_can_be_clicked_on(masks: PublishedMasks) -> None:
    for stamp in (2, 3, 4):
        masks.add(result(stamp, {}))
    assert masks.object_at(np.array([3.0, 2.0]), 1) is None
    assert len(masks._seen) == 3


def test_what_is_forgotten_is_seen_nowhere(masks: PublishedMasks) -> None:
    masks.forget_object(4)
    masks.forget_object(77)
    assert masks.object_at(np.array([3.0, 2.0]), 1) is None
    assert masks.object_at(np.array([8.0, 2.0]), 1) == 9
    masks.forget()
    assert masks.object_at(np.array([8.0, 2.0]), 1) is None


# --- clicks that started objects ----------------------------------------------------------

DIAGONAL = np.hypot(8, 10)


def start(masks: PublishedMasks, object_id: int, stamp: int | None) -> None:
    masks.add_start(object_id, np.array([5.0, 5.0]), stamp)


@pytest.mark.parametrize(("share", "object_id"), [(0.0, 7), (0.019, 7), (0.021, None)])
@pytest.mark.parametrize("stamp", [1, None])
def test_a_click_that_started_an_object_is_known_nearby(
    masks: PublishedMasks, share: float, object_id: int | None, stamp: int | None
) -> None:
    start(masks, 7, stamp)
    pixel = np.array([5.0 + share * DIAGONAL, 5.0])
    assert masks.started_near(pixel, stamp) == object_id
    assert masks.started_near(pixel, 99) == object_id  # no image was published since


def test_it_is_known_in_its_image_and_until_the_next_one(masks: PublishedMasks) -> None:
    start(masks, 7, 1)
    start(masks, 8, None)
    pixel = np.array([5.0, 5.0])
    assert masks.started_near(pixel, 1) == 8
    masks.add(result(2, {7: (4, 4, 6, 6)}))
    assert masks.started_near(pixel, 1) == 7
    assert masks.started_near(pixel, 2) is None and masks.started_near(pixel, None) is None


def test_of_objects_that_are_gone_no_start_is_known(masks: PublishedMasks) -> None:
    pixel = np.array([5.0, 5.0])
    start(masks, 6, 1)
    start(masks, 7, 1)
    masks.forget_object(7)
    assert masks.started_near(pixel, 1) == 6
    masks.forget()
    assert masks.started_near(pixel, 1) is None
    assert masks.started_near(np.array([np.nan, 1.0]), 1) is None


def test_before_the_first_image_clicks_a_few_pixels_apart_mean_one_thing() -> None:
    masks = PublishedMasks(3)
    masks.add_start(1, np.array([50.0, 50.0]), None)
    assert masks.started_near(np.array([60.0, 50.0]), None) == 1
    assert masks.started_near(np.array([70.0, 50.0]), None) is None
