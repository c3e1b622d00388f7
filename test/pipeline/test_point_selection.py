"""Where query points go; erosion and corners equal the published code, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import kmedoids
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sam_pt_ros.errors import UserError
from sam_pt_ros.pipeline.point_selection import (
    METHODS,
    check_installed,
    corner_mask,
    erode_mask,
    mask_diameter,
    select_points,
    shi_tomasi_corners,
)
from support.examples import examples

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "sam_pt_points.npz")
IMAGE = GOLDEN["image"]
MASKS = [str(name) for name in GOLDEN["names"]]
COUNTS = (2, 5, 8, 16)


def select(method: str, count: int, mask: np.ndarray, seed: int = 0, **options: int) -> np.ndarray:
    return select_points(method, count, IMAGE, mask, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("name", MASKS)
def test_the_diameter_equals_the_published_one(name: str) -> None:
    assert mask_diameter(GOLDEN[f"{name}_mask"]) == pytest.approx(
        float(GOLDEN[f"{name}_diameter"]), rel=1e-6
    )


@pytest.mark.parametrize("percent", [6, 2, 1])
@pytest.mark.parametrize("name", MASKS)
def test_the_erosion_equals_the_published_one(name: str, percent: int) -> None:
    eroded = erode_mask(GOLDEN[f"{name}_mask"], percent / 100)
    assert np.array_equal(eroded, GOLDEN[f"{name}_eroded_{percent}"])


@pytest.mark.parametrize("percent", [6, 2, 1])
@pytest.mark.parametrize("name", MASKS)
def test_the_kernel_has_the_published_side(
    name: str, percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is 0 OpenCV takes 3 x 3 (the published code's error j, which is kept)."""
    shapes = []
    original = cv2.erode

    def erode(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        shapes.append(kernel.shape)
        return original(image, kernel)

    monkeypatch.setattr(cv2, "erode", erode)
    erode_mask(GOLDEN[f"{name}_mask"], percent / 100)
    side = int(GOLDEN[f"{name}_kernel_{percent}"]) or 3
    assert shapes == [(side, side)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", MASKS)
def test_corners_keep_the_published_distance(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = cv2.goodFeaturesToTrack

    def find(image: np.ndarray, **options: float) -> np.ndarray:
        asked.append(options["minDistance"])
        return original(image, **options)

    monkeypatch.setattr(cv2, "goodFeaturesToTrack", find)
    shi_tomasi_corners(count, IMAGE, GOLDEN[f"{name}_mask"])
    assert asked == [pytest.approx(float(GOLDEN[f"{name}_min_distance_{count}"]), rel=1e-6)]


@pytest.mark.parametrize(("key", "method"), [("random", "random"), ("kmedoids", "kmedoids")])
def test_an_empty_mask_gives_no_points_instead_of_the_corner(key: str, method: str) -> None:
    """The published code gives (0, 0), which its border rule then hides."""
    assert not GOLDEN[f"empty_{key}_3"].any() and not GOLDEN["empty_corners_3"].any()
    assert len(select(method, 3, np.zeros_like(GOLDEN["three_pixels_mask"]))) == 0


def test_every_array_of_the_golden_file_is_compared() -> None:
    compared = {"image", "names", "three_pixels_mask", "mixed_counts"}
    compared |= {f"three_pixels_{method}_8" for method in ("random", "kmedoids")}
    compared |= {f"empty_{method}_3" for method in ("random", "kmedoids", "corners")}
    for name in MASKS:
        compared |= {f"{name}_{key}" for key in ("mask", "diameter", "corner_mask")}
        compared |= {f"{name}_{key}_{p}" for key in ("eroded", "kernel") for p in (6, 2, 1)}
        kinds = ("corners", "min_distance", "complete")
        compared |= {f"{name}_{kind}_{count}" for kind in kinds for count in COUNTS}
    assert compared == set(GOLDEN.files) - {"source", "cv2_version"}


@pytest.mark.parametrize("name", MASKS)
def test_corners_are_looked_for_where_the_published_code_looks(name: str) -> None:
    assert np.array_equal(corner_mask(GOLDEN[f"{name}_mask"]), GOLDEN[f"{name}_corner_mask"])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", MASKS)
def test_the_corners_equal_the_published_ones_in_their_order(name: str, count: int) -> None:
    corners = shi_tomasi_corners(count, IMAGE, GOLDEN[f"{name}_mask"])
    assert np.array_equal(corners, GOLDEN[f"{name}_corners_{count}"])
    chosen = select("shi_tomasi", count, GOLDEN[f"{name}_mask"])
    assert np.array_equal(chosen[: len(corners)], corners)
    assert len(chosen) == count
    assert bool(GOLDEN[f"{name}_complete_{count}"]) == (len(corners) == count)


@pytest.mark.parametrize("method", ["random", "kmedoids"])
def test_a_mask_with_fewer_pixels_than_points_repeats_them_in_the_published_order(
    method: str,
) -> None:
    chosen = select(method, 8, GOLDEN["three_pixels_mask"])
    assert np.array_equal(chosen, GOLDEN[f"three_pixels_{method}_8"])


@pytest.mark.parametrize("row", GOLDEN["mixed_counts"].tolist())
def test_mixed_points_are_shared_out_as_published(row: list[int]) -> None:
    """First k-medoids, then corners, then chance."""
    total, clustered, corners, _ = row
    mask = GOLDEN["ellipse_mask"]
    chosen = select("mixed", total, mask)
    assert len(chosen) == total
    if clustered:
        expected = select("kmedoids", clustered, mask)
        assert np.array_equal(chosen[:clustered], expected)
    if corners:
        expected = shi_tomasi_corners(corners, IMAGE, mask)
        assert np.array_equal(chosen[clustered : clustered + corners][: len(expected)], expected)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_mask_has_no_point_to_give(method: str) -> None:
    assert select(method, 5, np.zeros((96, 128), np.bool_)).shape == (0, 2)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UserError, match="unknown point selection 'best'; available: "):
        select("best", 5, GOLDEN["ellipse_mask"])


@examples(40)
@given(
    method=st.sampled_from(METHODS),
    count=st.integers(0, 20),
    mask=arrays.arrays(np.bool_, (12, 16)),
    seed=st.integers(0, 5),
)
def test_as_many_whole_pixels_of_the_mask_as_were_asked_for(
    method: str, count: int, mask: np.ndarray, seed: int
) -> None:
    image = IMAGE[:12, :16]
    points = select_points(method, count, image, mask, np.random.default_rng(seed))
    assert points.dtype == np.float32
    assert points.shape == ((count if mask.any() else 0), 2)
    assert np.array_equal(points, np.rint(points))
    assert all(mask[int(y), int(x)] for x, y in points)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_generator_gives_the_same_points(method: str) -> None:
    mask = GOLDEN["ellipse_mask"]
    assert np.array_equal(select(method, 16, mask, 3), select(method, 16, mask, 3))


@pytest.mark.parametrize("method", ["random", "kmedoids", "mixed"])
def test_another_seed_gives_other_points(method: str) -> None:
    mask = GOLDEN["ellipse_mask"]
    options = {"clustered_pixels": 100}
    assert not np.array_equal(
        select(method, 16, mask, 3, **options), select(method, 16, mask, 4, **options)
    )


def test_no_randomness_comes_from_elsewhere() -> None:
    mask = GOLDEN["ellipse_mask"]
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    first = select("mixed", 16, mask)
    assert np.array_equal(np.random.get_state()[1], state)
    np.random.seed(2)
    assert np.array_equal(select("mixed", 16, mask), first)


def test_medoids_lie_apart() -> None:
    """Sixteen medoids represent the mask: no pixel of it is far from all of them."""
    mask = GOLDEN["ellipse_mask"]
    points = select("kmedoids", 16, mask)
    rows, columns = np.nonzero(mask)
    distances = np.hypot(columns[:, None] - points[:, 0], rows[:, None] - points[:, 1]).min(axis=1)
    assert len(np.unique(points, axis=0)) == 16
    ideal = np.sqrt(mask.sum() / 16 / np.pi)  # the radius of sixteen discs of the mask's area
    assert distances.mean() < ideal


@pytest.mark.parametrize(
    ("method", "setting", "expected"),
    [
        ("kmedoids", 1800, 1800),
        ("shi_tomasi", 1800, 2000),
        ("kmedoids", 400, 400),
        ("shi_tomasi", 400, 400),
        ("shi_tomasi", 2500, 2500),
    ],
)
def test_so_many_pixels_are_clustered_as_published_or_as_set(
    method: str, setting: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def fasterpam(distances: np.ndarray, start: np.ndarray, **options: int) -> object:
        sizes.append(len(distances))
        return original(distances, start, **options)

    original = kmedoids.fasterpam
    monkeypatch.setattr(kmedoids, "fasterpam", fasterpam)
    image, mask = np.zeros((60, 60, 3), np.uint8), np.ones((60, 60), np.bool_)  # no corners
    rng = np.random.default_rng(0)
    assert len(select_points(method, 4, image, mask, rng, setting)) == 4
    assert sizes == [expected]


def test_different_masks_of_equal_size_are_not_confused_by_clustering_fewer_pixels() -> None:
    mask = GOLDEN["ellipse_mask"]
    points = select("kmedoids", 16, mask, clustered_pixels=16)
    assert len(np.unique(points, axis=0)) == 16
    assert all(mask[int(y), int(x)] for x, y in points)


def test_without_kmedoids_only_random_points_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "kmedoids", None)
    check_installed("random", "random")
    for method in set(METHODS) - {"random"}:
        with pytest.raises(UserError, match=r"kmedoids.*run `pip install kmedoids`, or set"):
            check_installed("random", method)
