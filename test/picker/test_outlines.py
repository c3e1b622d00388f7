"""Outlines against the masks that they are of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.picker.outlines import MAX_VERTICES, outline


def cut(mask: np.ndarray) -> CroppedMask:
    return CroppedMask.cut(mask, (0, 0), mask.shape)


def filled(polygons: list[list[list[int]]], size: tuple[int, int]) -> np.ndarray:
    """The pixels inside of an odd number of polygons, and on their edges."""
    image = np.zeros(size, np.uint8)
    cv2.fillPoly(image, [np.array(polygon, np.int32) for polygon in polygons], 1)
    return np.asarray(image == 1)


def farthest(mask: np.ndarray, drawn: np.ndarray) -> float:
    """By how many pixels the edge of one of them is off that of the other."""
    wrong = np.pad(mask != drawn, 1)
    padded = np.pad(mask, 1).astype(np.uint8)
    inside = cv2.distanceTransform(padded, cv2.DIST_C, 3)
    outside = cv2.distanceTransform(1 - padded, cv2.DIST_C, 3)
    return float(np.maximum(inside, outside)[wrong].max(initial=0))


def blob(seed: int, smoothness: float, share: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(120, 160))
    smooth = cv2.GaussianBlur(noise, (0, 0), smoothness)
    return np.asarray(smooth > np.quantile(smooth, 1 - share))


@given(st.integers(0, 999), st.floats(8, 25), st.floats(0.02, 0.6))
def test_polygons_are_off_by_one_pixel_at_most(seed: int, smoothness: float, share: float) -> None:
    mask = blob(seed, smoothness, share)
    polygons = outline(cut(mask))
    assert sum(map(len, polygons)) <= MAX_VERTICES
    assert farthest(mask, filled(polygons, mask.shape)) <= 1


def test_parts_and_holes_have_polygons_of_their_own() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[10:60, 10:60] = True
    mask[30:40, 30:40] = False
    mask[70:75, 80:90] = True
    polygons = outline(cut(mask))
    assert len(polygons) == 3
    assert polygons[0] == [[10, 10], [10, 59], [59, 59], [59, 10]]
    drawn = filled(polygons, mask.shape)
    assert farthest(mask, drawn) <= 1
    assert not drawn[32:38, 32:38].any()


@pytest.mark.parametrize("smoothness", [0.5, 1.5])
def test_a_ragged_mask_has_no_more_vertices_than_allowed(smoothness: float) -> None:
    polygons = outline(cut(blob(1, smoothness, 0.5)))
    assert 100 < sum(map(len, polygons)) <= MAX_VERTICES


def test_small_masks_have_an_outline_and_no_mask_has_none() -> None:
    mask = np.zeros((20, 20), np.bool_)
    assert outline(cut(mask)) == []
    mask[3, 4] = True
    assert outline(cut(mask)) == [[[4, 3]]]
