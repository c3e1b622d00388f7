"""J and F against a slow second implementation, written from DAVIS_METRICS.md word by word.

It looks at the whole image, has its own disk and its own dilation, and uses no OpenCV. For tiny
masks there is a third one, of plain loops and distances between pixels, that checks the second.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sam_pt_ros.evaluation.davis_metrics import (
    boundary_accuracy,
    region_and_boundary,
    region_similarity,
)
from support.examples import examples

TEST = Path(__file__).resolve().parents[1]
DAVIS_ROOT = Path(
    os.environ.get("SAM_PT_DAVIS_ROOT", TEST.parent.parent / "shared" / "data" / "davis2016")
)
ANNOTATIONS = DAVIS_ROOT / "Annotations" / "480p"
SEQUENCES = (
    "blackswan",
    "bmx-trees",
    "car-roundabout",
    "car-shadow",
    "dog",
    "horsejump-high",
    "libby",
    "scooter-black",
)

needs_davis = pytest.mark.skipif(
    not ANNOTATIONS.is_dir(),
    reason=f"no DAVIS 2016 annotations in {ANNOTATIONS}; name their folder in SAM_PT_DAVIS_ROOT",
)


# ---------------------------------------------------------------- whole images


def slow_j(prediction: np.ndarray, truth: np.ndarray) -> float:
    found, wanted = prediction != 0, truth != 0
    union = int(np.sum(found | wanted))
    if union == 0:
        return 1.0
    return int(np.sum(found & wanted)) / union


def slow_boundary(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    edges = np.zeros((height, width), np.bool_)
    for down, right in ((0, 1), (1, 0), (1, 1)):
        here = mask[: height - down, : width - right]
        there = mask[down:, right:]
        edges[: height - down, : width - right] |= here != there
    return edges


def slow_dilation(mask: np.ndarray, radius: int) -> np.ndarray:
    height, width = mask.shape
    grown = np.zeros((height, width), np.bool_)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy > radius * radius or abs(dy) >= height or abs(dx) >= width:
                continue
            to_rows = slice(max(dy, 0), height + min(dy, 0))
            from_rows = slice(max(-dy, 0), height + min(-dy, 0))
            to_columns = slice(max(dx, 0), width + min(dx, 0))
            from_columns = slice(max(-dx, 0), width + min(-dx, 0))
            grown[to_rows, to_columns] |= mask[from_rows, from_columns]
    return grown


def slow_radius(shape: tuple[int, ...], bound_th: float) -> int:
    if bound_th >= 1:
        return int(bound_th)
    return math.ceil(bound_th * math.sqrt(shape[0] * shape[0] + shape[1] * shape[1]))


def slow_f(prediction: np.ndarray, truth: np.ndarray, bound_th: float = 0.008) -> float:
    radius = slow_radius(truth.shape, bound_th)
    found, wanted = slow_boundary(prediction != 0), slow_boundary(truth != 0)
    if not found.any() and not wanted.any():
        return 1.0
    if not found.any() or not wanted.any():
        return 0.0
    precision = int(np.sum(found & slow_dilation(wanted, radius))) / int(np.sum(found))
    recall = int(np.sum(wanted & slow_dilation(found, radius))) / int(np.sum(wanted))
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


# ---------------------------------------------------------------- pixel by pixel


def boundary_pixels(mask: np.ndarray) -> list[tuple[int, int]]:
    height, width = mask.shape
    found = []
    for row in range(height):
        for column in range(width):
            neighbours = ((row, column + 1), (row + 1, column), (row + 1, column + 1))
            if any(
                bool(mask[y, x]) != bool(mask[row, column])
                for y, x in neighbours
                if y < height and x < width
            ):
                found.append((row, column))
    return found


def looped_f(prediction: np.ndarray, truth: np.ndarray, bound_th: float) -> float:
    radius = slow_radius(truth.shape, bound_th)
    found, wanted = boundary_pixels(prediction), boundary_pixels(truth)
    if not found or not wanted:
        return 1.0 if not found and not wanted else 0.0

    def near(pixel: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return any((pixel[0] - y) ** 2 + (pixel[1] - x) ** 2 <= radius * radius for y, x in others)

    precision = sum(near(pixel, wanted) for pixel in found) / len(found)
    recall = sum(near(pixel, found) for pixel in wanted) / len(wanted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


@examples(150)
@given(st.data(), st.sampled_from([0.008, 0.05, 0.2, 1, 2, 3, 7]))
def test_random_masks_equal_both_slow_ones(data: st.DataObject, bound_th: float) -> None:
    shape = data.draw(SHAPES)
    prediction = data.draw(arrays.arrays(np.bool_, shape))
    truth = data.draw(arrays.arrays(np.bool_, shape))
    f = boundary_accuracy(prediction, truth, bound_th)
    assert f == pytest.approx(slow_f(prediction, truth, bound_th), abs=1e-12)
    assert f == pytest.approx(looped_f(prediction, truth, bound_th), abs=1e-12)
    assert region_similarity(prediction, truth) == slow_j(prediction, truth)
    assert region_and_boundary(prediction, truth, bound_th) == (slow_j(prediction, truth), f)


@examples(60)
@given(st.integers(0, 2**32 - 1))
def test_random_blobs_equal_the_slow_one(seed: int) -> None:
    """Objects rather than noise, in images whose radius is more than a pixel or two."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 500, 2)
    masks = np.zeros((2, height, width), np.uint8)
    for mask in masks:
        for _ in range(rng.integers(0, 4)):
            y, x, h, w = rng.integers(0, (height, width, height, width))
            mask[y : y + h, x : x + w] = rng.integers(0, 2)
    prediction, truth = masks
    assert region_and_boundary(prediction, truth) == pytest.approx(
        (slow_j(prediction, truth), slow_f(prediction, truth)), abs=1e-12
    )


def test_how_a_mask_lies_in_memory_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    prediction, truth = cv2.resize(rng.random((8, 12)), (90, 60)) > 0.5, rng.random((60, 90)) > 0.9
    wanted = slow_j(prediction, truth), slow_f(prediction, truth)
    for kind in (np.bool_, np.uint8, np.uint16, np.int64, np.float32):
        assert region_and_boundary(prediction.astype(kind) * kind(1), truth) == wanted
    assert region_and_boundary(np.asfortranarray(prediction), truth) == wanted
    spread = np.zeros((120, 180), np.bool_)
    spread[::2, ::2] = prediction
    assert region_and_boundary(spread[::2, ::2], np.asfortranarray(truth)) == wanted


# ---------------------------------------------------------------- by hand


def pixels(*places: tuple[int, int], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """A mask of single pixels, row and column; the radius of this shape is 1."""
    mask = np.zeros(shape, np.bool_)
    for place in places:
        mask[place] = True
    return mask


def columns(first: int, last: int) -> np.ndarray:
    mask = np.zeros((20, 30), np.bool_)
    mask[:, first : last + 1] = True
    return mask


EMPTY, FULL = pixels(), columns(0, 29)


@pytest.mark.parametrize(
    ("prediction", "truth", "j", "f"),
    [
        # ceil(0.008 * sqrt(20² + 30²)) = ceil(0.288) = 1: a pixel and its four neighbours.
        pytest.param(EMPTY, EMPTY, 1.0, 1.0, id="both empty"),
        pytest.param(pixels((5, 5)), EMPTY, 0.0, 0.0, id="nothing is true"),
        pytest.param(EMPTY, pixels((5, 5)), 0.0, 0.0, id="nothing is found"),
        # Neither a full nor an empty mask has a boundary.
        pytest.param(FULL, EMPTY, 0.0, 1.0, id="full against empty"),
        pytest.param(FULL, FULL, 1.0, 1.0, id="both full"),
        # 1 pixel of 600; its boundary meets none.
        pytest.param(FULL, pixels((5, 5)), 1 / 600, 0.0, id="full against a pixel"),
        pytest.param(pixels((5, 5)), pixels((5, 5)), 1.0, 1.0, id="the same pixel"),
        # The pixel (5, 5) has the boundary {4, 5} x {4, 5}; the one beside it {4, 5} x {5, 6}.
        pytest.param(pixels((5, 6)), pixels((5, 5)), 0.0, 1.0, id="a pixel beside"),
        # {4, 5} x {6, 7}: 6 is one from 5, 7 is two: 2 of 4, both ways.
        pytest.param(pixels((5, 7)), pixels((5, 5)), 0.0, 0.5, id="two pixels beside"),
        # {5, 6} x {5, 6}: (6, 6) is diagonal to (5, 5), which is sqrt(2) away: 3 of 4.
        pytest.param(pixels((6, 6)), pixels((5, 5)), 0.0, 0.75, id="a pixel across"),
        # {6, 7} x {6, 7}: none is nearer than sqrt(2).
        pytest.param(pixels((7, 7)), pixels((5, 5)), 0.0, 0.0, id="two pixels across"),
        # Boundaries {4, 5} x {4, 5} and {4, 5} x {4, 5, 6}: all of both are near.
        pytest.param(pixels((5, 5), (5, 6)), pixels((5, 5)), 0.5, 1.0, id="a pixel more"),
        # {4, 5} x {4, 5} of truth, and the same and {14, 15} x {14, 15} of the prediction:
        # precision 4 / 8, recall 1, F = 2 * 0.5 / 1.5.
        pytest.param(pixels((5, 5), (15, 15)), pixels((5, 5)), 0.5, 2 / 3, id="a stray pixel"),
        # At the left border: the boundary of columns 0 to n is column n, and none at -1.
        pytest.param(columns(0, 5), columns(0, 4), 5 / 6, 1.0, id="border, one wider"),
        pytest.param(columns(0, 6), columns(0, 4), 5 / 7, 0.0, id="border, two wider"),
        # Columns 25 to 29: the boundary is column 24. Columns 23 to 29: 22.
        pytest.param(columns(24, 29), columns(25, 29), 5 / 6, 1.0, id="right border, one wider"),
        pytest.param(columns(23, 29), columns(25, 29), 5 / 7, 0.0, id="right border, two wider"),
        # A column that leaves the border: columns 23 and 4 (precision 20 of 40, recall 1).
        pytest.param(
            columns(0, 4) | columns(24, 29), columns(0, 4), 5 / 11, 2 / 3, id="both borders"
        ),
        # (0, 0) has itself; (0, 2) has (0, 1) and (0, 2): precision 1 / 2, recall 1.
        pytest.param(pixels((0, 2)), pixels((0, 0)), 0.0, 2 / 3, id="top left corner"),
        # (19, 29) has its left, upper and upper left neighbours, and never itself; (19, 27) has
        # {18, 19} x {26, 27}: precision 2 / 4 (column 27), recall 2 / 3 (column 28: both):
        # (18, 28) and (19, 28) are one from column 27, and (18, 29) is two: F = 4 / 7.
        pytest.param(pixels((19, 27)), pixels((19, 29)), 0.0, 4 / 7, id="bottom right corner"),
        # What is true and what is not exchanged: the same boundary.
        pytest.param(~pixels((5, 5)), pixels((5, 5)), 0.0, 1.0, id="the inverse"),
    ],
)
def test_masks_worked_out_by_hand(
    prediction: np.ndarray, truth: np.ndarray, j: float, f: float
) -> None:
    assert region_similarity(prediction, truth) == pytest.approx(j, abs=1e-15)
    assert boundary_accuracy(prediction, truth) == pytest.approx(f, abs=1e-15)
    assert region_and_boundary(prediction, truth) == pytest.approx((j, f), abs=1e-15)
    assert slow_j(prediction, truth) == pytest.approx(j, abs=1e-15)
    assert slow_f(prediction, truth) == pytest.approx(f, abs=1e-15)


# ---------------------------------------------------------------- DAVIS 2016


@cache
def paths_of(sequence: str) -> list[Path]:
    paths = sorted((ANNOTATIONS / sequence).glob("*.png"))
    if not paths:
        pytest.skip(f"no DAVIS 2016 annotations of {sequence} in {ANNOTATIONS}")
    return paths


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return np.asarray(image > 127)


def swapped(sequence: str, number: int) -> np.ndarray:
    """A frame of the next sequence."""
    other = paths_of(SEQUENCES[(SEQUENCES.index(sequence) + 1) % len(SEQUENCES)])
    return read(other[number % len(other)])


def predictions(sequence: str, number: int) -> dict[str, np.ndarray]:
    """What a bad segmenter might give, by name."""
    paths = paths_of(sequence)
    truth = read(paths[number])
    bytes_ = truth.view(np.uint8)
    tool = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    cut = truth.copy()
    cut[: truth.shape[0] // 2] = False
    return {
        "shifted": np.roll(truth, (4, -7), (0, 1)),
        "shifted far": np.roll(truth, (37, 150), (0, 1)),
        "eroded": cv2.erode(bytes_, tool),
        "dilated": cv2.dilate(bytes_, tool),
        "emptied": np.zeros_like(truth),
        "cut": cut,
        "another frame's": read(paths[(number + 11) % len(paths)]),
        "another sequence's": swapped(sequence, number),
    }


def check(sequence: str, numbers: range) -> None:
    for number in numbers:
        truth = read(paths_of(sequence)[number])
        for name, prediction in predictions(sequence, number).items():
            wanted = slow_j(prediction, truth), slow_f(prediction, truth)
            found = region_and_boundary(prediction, truth)
            assert found == pytest.approx(wanted, abs=1e-9), (number, name)
            assert region_similarity(prediction, truth) == found[0]
            assert boundary_accuracy(prediction, truth) == found[1]


@needs_davis
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_two_frames_of_each_sequence_equal_the_slow_one(sequence: str) -> None:
    count = len(paths_of(sequence))
    check(sequence, range(0, count, -(-count // 2)))


@pytest.mark.slow
@needs_davis
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_all_frames_of_each_sequence_equal_the_slow_one(sequence: str) -> None:
    check(sequence, range(len(paths_of(sequence))))
