"""The filter of points that look unlike where they were sampled."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.frames import Frame
from sam_pt_ros.pipeline.patch_filter import PatchFilter, lab_patches
from sam_pt_ros.points import PointTracks
from support.examples import examples

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (20, 30, 3), np.uint8)
LAB = cv2.cvtColor(IMAGE.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def frame(image: np.ndarray, index: int = 0) -> Frame:
    return Frame(image, index, index)


def grey(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def at(*places: tuple[float, float], visible: bool = True, index: int = 0) -> PointTracks:
    count = len(places)
    seen = np.full(count, visible)
    return PointTracks(index, np.arange(count), np.array(places, np.float32), seen, np.ones(count))


def test_a_patch_is_what_lies_around_a_pixel_rows_first() -> None:
    (patch,) = lab_patches(IMAGE, np.array([[7.0, 11.0]], np.float32), 3)
    assert np.allclose(patch, LAB[10:13, 6:9], atol=1e-3)


def test_between_pixels_values_are_interpolated() -> None:
    (patch,) = lab_patches(IMAGE, np.array([[7.25, 11.5]], np.float32), 1)
    above = 0.75 * LAB[11, 7] + 0.25 * LAB[11, 8]
    below = 0.75 * LAB[12, 7] + 0.25 * LAB[12, 8]
    assert np.allclose(patch[0, 0], (above + below) / 2, atol=1e-3)


def test_outside_of_the_image_all_is_nought() -> None:
    (patch,) = lab_patches(IMAGE, np.array([[0.0, 0.0]], np.float32), 3)
    assert not patch[0].any() and not patch[:, 0].any()
    assert np.allclose(patch[1, 1], LAB[0, 0], atol=1e-3)


@examples(50)
@given(x=st.floats(-1e9, 1e9), y=st.floats(-1e9, 1e9), size=st.sampled_from([1, 3, 5, 15]))
def test_points_may_be_anywhere(x: float, y: float, size: int) -> None:
    patches = lab_patches(IMAGE, np.array([[x, y]], np.float32), size)
    assert patches.shape == (1, size, size, 3)
    assert np.isfinite(patches).all()


@pytest.mark.parametrize(("threshold", "kept"), [(0.99, True), (1.0, False)])
def test_equal_patches_have_the_similarity_1(threshold: float, kept: bool) -> None:
    filtered = PatchFilter(3, threshold)
    points = at((7, 11))
    filtered.add(points.ids, points.xy, frame(IMAGE))
    assert filtered.apply(points, frame(IMAGE)).visible.tolist() == [kept]


def test_the_similarity_is_the_published_one() -> None:
    """exp(-distance / (2 · 3²)): grey values that differ by L = 15.9 in each of 9 pixels."""
    first, second = grey(0), grey(60)
    lightness = cv2.cvtColor(np.full((1, 1, 3), 60 / 255, np.float32), cv2.COLOR_RGB2LAB)[0, 0, 0]
    similarity = float(np.exp(-3 * lightness / 18))
    for threshold, kept in ((similarity - 1e-4, True), (similarity + 1e-4, False)):
        filtered = PatchFilter(3, threshold)
        points = at((7, 11))
        filtered.add(points.ids, points.xy, frame(first))
        assert filtered.apply(points, frame(second)).visible.tolist() == [kept]


def test_red_and_blue_are_not_taken_for_each_other() -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    points = at((7, 11))
    for other, kept in ((red, True), (red[..., ::-1].copy(), False)):
        filtered = PatchFilter()
        filtered.add(points.ids, points.xy, frame(red))
        assert filtered.apply(points, frame(other)).visible.tolist() == [kept]


def test_a_rejected_point_stays_so_and_a_hidden_one_is_not_judged() -> None:
    filtered = PatchFilter()
    points = at((7, 11), (20, 5))
    filtered.add(points.ids, points.xy, frame(grey(0)))
    hidden = at((7, 11), (20, 5), visible=False)
    assert not filtered.apply(hidden, frame(grey(255))).visible.any()
    assert filtered.apply(points, frame(grey(0))).visible.all()
    half = grey(0)
    half[:, 15:] = 255
    assert filtered.apply(points, frame(half)).visible.tolist() == [True, False]
    assert filtered.apply(points, frame(grey(0))).visible.tolist() == [True, False]


def test_removed_points_are_forgotten() -> None:
    filtered = PatchFilter()
    points = at((7, 11))
    filtered.add(points.ids, points.xy, frame(grey(0)))
    filtered.apply(points, frame(grey(255)))
    filtered.remove(np.array([0, 99]))
    assert not filtered._patches and not filtered._rejected
    filtered.add(points.ids, points.xy, frame(grey(0)))
    assert filtered.apply(points, frame(grey(0))).visible.all()
    assert len(filtered.apply(PointTracks.empty(0), frame(grey(0)))) == 0
