"""Cut-out masks, and the label image in which they do not overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sam_pt_ros.masks import CroppedMask, MaskPrediction, resolve_overlaps

SIZE = (7, 9)


def full(logits: np.ndarray) -> MaskPrediction:
    return MaskPrediction(np.asarray(logits, np.float32), (0, 0), SIZE, 1.0)


@given(arrays.arrays(np.bool_, SIZE))
def test_a_mask_survives_being_cut_out(pixels: np.ndarray) -> None:
    mask = CroppedMask.cut(pixels, (0, 0), SIZE)
    assert np.array_equal(mask.full(), pixels)
    assert mask.area == pixels.sum()
    x, y, w, h = mask.roi
    if pixels.any():
        rows, columns = np.nonzero(pixels)
        assert (x, y) == (columns.min(), rows.min())
        assert (x + w - 1, y + h - 1) == (columns.max(), rows.max())
        assert mask.centroid == pytest.approx((columns.mean(), rows.mean()))
    else:
        assert mask.roi == (0, 0, 0, 0) and mask.centroid is None


def test_a_part_of_the_image_is_cut_at_its_place() -> None:
    mask = CroppedMask.cut(np.array([[False, True], [False, True]]), (3, 2), SIZE)
    assert mask.roi == (4, 2, 1, 2)
    assert np.argwhere(mask.full()).tolist() == [[2, 4], [3, 4]]


def test_an_empty_mask_has_nothing() -> None:
    mask = CroppedMask.empty(SIZE)
    assert (mask.area, mask.roi, mask.centroid) == (0, (0, 0, 0, 0), None)
    assert mask.full().shape == SIZE and not mask.full().any()


logit_images = arrays.arrays(
    np.float32, (3, *SIZE), elements=st.floats(-2, 2, width=32) | st.just(0.0)
)


@given(logit_images)
def test_every_pixel_goes_to_the_highest_logit_above_zero(logits: np.ndarray) -> None:
    labels, masks = resolve_overlaps([full(each) for each in logits], [4, 9, 300], SIZE)
    expected = np.where(logits.max(axis=0) > 0, np.array([4, 9, 300])[logits.argmax(axis=0)], 0)
    assert labels.dtype == np.uint16 and np.array_equal(labels, expected)
    for object_id, mask in zip((4, 9, 300), masks):
        assert np.array_equal(mask.full(), expected == object_id)


def test_predictions_of_parts_of_the_image_contend_where_they_meet() -> None:
    low = MaskPrediction(np.full((3, 3), 1.0, np.float32), (0, 0), SIZE, 1.0)
    high = MaskPrediction(np.full((3, 3), 2.0, np.float32), (2, 2), SIZE, 1.0)
    labels, (first, second) = resolve_overlaps([low, high], [1, 2], SIZE)
    assert labels[2, 2] == 2 and labels[0, 0] == 1 and labels[6, 8] == 0
    assert (first.area, second.area) == (8, 9)


def test_no_predictions_give_an_empty_label_image() -> None:
    labels, masks = resolve_overlaps([], [], SIZE)
    assert labels.shape == SIZE and not labels.any() and masks == []


def test_logits_that_are_not_numbers_are_no_object() -> None:
    labels, (mask,) = resolve_overlaps([full(np.full(SIZE, np.nan))], [1], SIZE)
    assert not labels.any() and mask.area == 0


def test_the_largest_id_fits() -> None:
    labels, _ = resolve_overlaps([full(np.ones(SIZE))], [65535], SIZE)
    assert set(np.unique(labels)) == {65535}


def test_logits_beyond_the_image_are_refused() -> None:
    for origin in ((-1, 0), (0, -1), (7, 0), (0, 5)):
        with pytest.raises(ValueError, match="extend beyond the image"):
            MaskPrediction(np.zeros((3, 3), np.float32), origin, SIZE, 0.0)


@pytest.mark.parametrize("size", [(200, 300), (50, 80), (100, 150), (400, 450)])
def test_a_resized_mask_covers_the_same_part_of_the_image(size: tuple[int, int]) -> None:
    pixels = np.zeros((100, 150), np.bool_)
    pixels[20:80, 50:100] = True
    found = CroppedMask.cut(pixels, (0, 0), pixels.shape).resized(size)
    assert found.image_size == size and found.full().shape == size
    assert found.area / (size[0] * size[1]) == pytest.approx(pixels.mean(), rel=0.05)
    x, y = found.centroid or (0, 0)
    assert (x + 0.5) / size[1] == pytest.approx(0.5, abs=0.05)
    assert (y + 0.5) / size[0] == pytest.approx(0.5, abs=0.05)


def test_an_empty_mask_stays_empty_when_it_is_resized() -> None:
    assert CroppedMask.empty((10, 15)).resized((20, 30)).area == 0
    one = np.zeros((100, 100), np.bool_)
    one[3, 3] = True
    assert CroppedMask.cut(one, (0, 0), one.shape).resized((10, 10)).area in (0, 1)
