"""What the simulated annotator does next: by hand, and against a slow second implementation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sam_pt_ros.evaluation.interactive.annotator import Edit, FrameTruth, PlacedPoint, next_edit
from support.examples import examples
from support.oracle import BIG, SIZE, SMALL, SPILL, blocks

NOTHING = blocks(SIZE)


def truth_of(mask: np.ndarray, void: np.ndarray | None = None) -> FrameTruth:
    return FrameTruth(mask, np.zeros_like(mask) if void is None else void)


def test_a_click_goes_into_the_middle_of_the_largest_missed_region() -> None:
    truth = truth_of(blocks(SIZE, BIG, SMALL))
    assert next_edit(truth, NOTHING, []) == Edit(5.0, 3.0, 1)
    assert next_edit(truth, blocks(SIZE, BIG), []) == Edit(10.0, 4.0, 1)


def test_it_is_negative_unless_more_is_missed_than_too_much() -> None:
    truth = truth_of(blocks(SIZE, BIG, SMALL))
    assert next_edit(truth, blocks(SIZE, BIG, SPILL), []) == Edit(1.0, 6.0, 0)  # 9 against 9
    fewer = blocks(SIZE, BIG, (0, 5, 1, 7))
    assert next_edit(truth, fewer, []) == Edit(10.0, 4.0, 1)  # 9 against 6


def test_the_number_of_wrong_pixels_counts_and_not_the_largest_region() -> None:
    # 12 missed in two regions of 6; 9 too many in one.
    truth = truth_of(blocks(SIZE, (0, 0, 2, 1), (4, 0, 6, 1)))
    assert next_edit(truth, blocks(SIZE, (10, 4, 12, 6)), []) == Edit(0.0, 0.0, 1)


def test_nothing_is_wrong() -> None:
    mask = blocks(SIZE, BIG)
    assert next_edit(truth_of(mask), mask, []) is None
    assert next_edit(truth_of(NOTHING), NOTHING, []) is None


def test_an_object_that_is_not_there_is_clicked_away() -> None:
    assert next_edit(truth_of(NOTHING), blocks(SIZE, BIG), []) == Edit(5.0, 3.0, 0)


def test_wrong_points_go_first_and_negatives_before_positives() -> None:
    truth = truth_of(blocks(SIZE, BIG))
    on, off = (5.0, 3.0), (12.0, 2.0)
    good = [PlacedPoint(0, *on, 1), PlacedPoint(1, *off, 0)]
    wrong = [PlacedPoint(2, *off, 1), PlacedPoint(3, 3.4, 5.4, 0), PlacedPoint(4, *on, 0)]
    assert next_edit(truth, NOTHING, good + wrong) == Edit(3.4, 5.4, 0, removes=3)
    assert next_edit(truth, NOTHING, good + wrong[:1]) == Edit(*off, 1, removes=2)
    # The point at (5, 3) is there already: beside it, as deep as possible.
    assert next_edit(truth, NOTHING, good) == Edit(4.0, 2.0, 1)


def test_points_at_the_edge_belong_to_the_nearest_pixel_of_the_image() -> None:
    truth = truth_of(blocks(SIZE, (0, 0, 15, 0)))
    corner = PlacedPoint(7, 15.5, -0.5, 0)
    assert next_edit(truth, NOTHING, [corner]) == Edit(15.5, -0.5, 0, removes=7)
    assert next_edit(truth, NOTHING, [PlacedPoint(7, -0.5, -0.5, 1)]) == Edit(1.0, 0.0, 1)


def test_what_is_not_scored_is_nothing_to_click_on() -> None:
    void = blocks(SIZE, SPILL)
    truth = truth_of(blocks(SIZE, BIG), void)
    assert next_edit(truth, blocks(SIZE, BIG, SPILL), []) is None
    assert truth.iou(blocks(SIZE, BIG, SPILL)) == 1.0
    assert truth.iou(blocks(SIZE, SPILL)) == 0.0
    # A point there is neither right nor wrong.
    inside = [PlacedPoint(0, 1, 6, 1), PlacedPoint(1, 1, 6, 0)]
    assert next_edit(truth, NOTHING, inside) == Edit(5.0, 3.0, 1)


def test_one_pixel_is_clicked_again_if_that_did_not_help() -> None:
    truth = truth_of(blocks(SIZE, (6, 2, 6, 2)))
    first = next_edit(truth, NOTHING, [])
    assert first == Edit(6.0, 2.0, 1)
    assert next_edit(truth, NOTHING, [PlacedPoint(0, 6.0, 2.0, 1)]) == first


def test_of_equals_the_first_by_rows() -> None:
    truth = truth_of(blocks(SIZE, (12, 1, 13, 2), (2, 2, 3, 3)))
    assert next_edit(truth, NOTHING, []) == Edit(12.0, 1.0, 1)


def test_diagonal_neighbours_are_connected() -> None:
    diagonal = blocks(SIZE, (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3))
    truth = truth_of(diagonal | blocks(SIZE, (10, 0, 11, 0)))
    assert next_edit(truth, NOTHING, []) == Edit(1.0, 1.0, 1)


def test_truths_that_cannot_be_are_refused() -> None:
    mask = blocks(SIZE, BIG)
    with pytest.raises(ValueError, match="bool"):
        FrameTruth(mask.astype(np.uint8), mask)
    with pytest.raises(ValueError, match=r"'void' must be bool \(H, W\)"):
        FrameTruth(mask, mask[1:])
    with pytest.raises(ValueError, match="must not overlap"):
        FrameTruth(mask, mask)


def slow_edit(
    truth: FrameTruth, prediction: np.ndarray, points: Sequence[PlacedPoint]
) -> Edit | None:
    """The same pixel by pixel."""
    height, width = truth.mask.shape
    every = [(y, x) for y in range(height) for x in range(width)]
    missed = {p for p in every if truth.mask[p] and not prediction[p]}
    extra = {p for p in every if prediction[p] and not truth.mask[p] and not truth.void[p]}
    if not missed and not extra:
        return None
    for label in (0, 1):
        for point in points:
            pixel = (round(point.y), round(point.x))
            wrong = not truth.void[pixel] and bool(truth.mask[pixel]) != bool(label)
            if point.label == label and wrong:
                return Edit(point.x, point.y, label, point.number)
    label, left = (1, missed) if len(missed) > len(extra) else (0, extra)
    left = set(left)
    largest: set[tuple[int, int]] = set()
    while left:
        first = min(left)
        left.remove(first)
        part, edge = {first}, [first]
        while edge:
            y, x = edge.pop()
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            part |= near
            edge += near
        if len(part) > len(largest):
            largest = part
    taken = {(round(p.y), round(p.x)) for p in points if p.label == label}
    free = largest - taken or largest
    around = {(y, x) for y in range(-1, height + 1) for x in range(-1, width + 1)} - free
    depth = {(y, x): min((y - i) ** 2 + (x - j) ** 2 for i, j in around) for y, x in free}
    row, column = min(free, key=lambda pixel: (-depth[pixel], pixel))
    return Edit(float(column), float(row), label)


masks = arrays(np.bool_, (7, 9))
places = st.tuples(st.integers(0, 8), st.integers(0, 6), st.integers(0, 1))


@examples(150)
@given(masks, masks, masks, st.lists(places, max_size=4), st.sampled_from([1, 2]))
def test_any_masks_as_pixel_by_pixel(
    mask: np.ndarray,
    void: np.ndarray,
    prediction: np.ndarray,
    clicked: list[tuple[int, int, int]],
    zoom: int,
) -> None:
    mask, void, prediction = (
        each.repeat(zoom, 0).repeat(zoom, 1) for each in (mask, void, prediction)
    )
    truth = FrameTruth(mask & ~void, void)
    points = [PlacedPoint(i, zoom * x, zoom * y, label) for i, (x, y, label) in enumerate(clicked)]
    right = [p for p in points if void[int(p.y), int(p.x)] or mask[int(p.y), int(p.x)] == p.label]
    for given_points in (points, right, []):
        assert next_edit(truth, prediction, given_points) == slow_edit(
            truth, prediction, given_points
        )
