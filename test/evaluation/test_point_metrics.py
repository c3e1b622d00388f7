"""Points against masks by hand, and TAP-Vid's scores by hand and by a slow second implementation.

The second implementation counts point by point and frame by frame, from the words of the paper.
"""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.point_metrics import (
    PointCount,
    TapVidScores,
    count_points,
    survival,
    tap_vid,
)
from support.examples import examples

SQUARE = (256, 256)


def slow_tap_vid(
    xy: np.ndarray,
    visible: np.ndarray,
    true_xy: np.ndarray,
    true_visible: np.ndarray,
    queries: np.ndarray,
    size: tuple[int, int],
    mode: str,
) -> tuple[float, float, float, list[float], list[float]]:
    """AJ, delta average, OA, Jaccard and delta by threshold, counted one by one."""
    jaccards, deltas = [], []
    right = asked = 0
    for threshold in (1, 2, 4, 8, 16):
        true_positives = false_positives = false_negatives = near_visible = all_visible = 0
        for frame in range(len(xy)):
            for point, query in enumerate(queries.tolist()):
                if frame == query or (mode == "first" and frame < query):
                    continue
                is_seen = bool(true_visible[frame, point])
                is_claimed = bool(visible[frame, point])
                if threshold == 1:
                    asked += 1
                    right += is_seen == is_claimed
                x = (float(xy[frame, point, 0]) - float(true_xy[frame, point, 0])) * 256 / size[1]
                y = (float(xy[frame, point, 1]) - float(true_xy[frame, point, 1])) * 256 / size[0]
                is_near = math.hypot(x, y) < threshold
                all_visible += is_seen
                near_visible += is_seen and is_near
                if is_claimed and is_seen and is_near:
                    true_positives += 1
                elif is_claimed:
                    false_positives += 1
                if is_seen and not (is_claimed and is_near):
                    false_negatives += 1
        whole = true_positives + false_positives + false_negatives
        jaccards.append(true_positives / whole if whole else math.nan)
        deltas.append(near_visible / all_visible if all_visible else math.nan)
    accuracy = right / asked if asked else math.nan
    return math.fsum(jaccards) / 5, math.fsum(deltas) / 5, accuracy, jaccards, deltas


def flat(scores: TapVidScores) -> list[float]:
    aj, delta, accuracy, jaccard, within = astuple(scores)
    return [aj, delta, accuracy, *jaccard, *within]


@pytest.mark.parametrize("mode", ["first", "strided"])
@examples(60)
@given(st.integers(0, 2**32 - 1))
def test_random_tracks_equal_the_slow_count(mode: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, points = rng.integers(1, 9), rng.integers(0, 6)
    size = (int(rng.integers(20, 900)), int(rng.integers(20, 900)))
    true_xy = rng.uniform(0, size[::-1], (frames, points, 2))
    off = rng.normal(0, 1, (frames, points, 2)) * rng.choice([0.5, 3, 10], (frames, points, 1))
    xy = true_xy + off * np.array(size[::-1]) / 256
    visible, true_visible = rng.random((2, frames, points)) < rng.random()
    queries = rng.integers(0, frames, points)
    found = tap_vid(xy, visible, true_xy, true_visible, queries, size, mode)
    aj, delta, accuracy, jaccard, within = slow_tap_vid(
        xy, visible, true_xy, true_visible, queries, size, mode
    )
    np.testing.assert_allclose(
        flat(found), [aj, delta, accuracy, *jaccard, *within], rtol=0, atol=1e-12
    )


def still(frames: int, points: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return np.full((frames, points, 2), 100.0), np.ones((frames, points), np.bool_)


def test_perfect_tracks_score_one_everywhere() -> None:
    xy, visible = still(4, 3)
    found = tap_vid(xy, visible, xy, visible, np.zeros(3, np.int64), SQUARE)
    assert flat(found) == [1.0] * 13


def test_a_point_three_pixels_off_is_near_at_4_8_and_16() -> None:
    # Where it is not, Jaccard is 0 / (1 + 1): it is missed, and wrongly said to be elsewhere.
    true_xy, visible = still(2)
    found = tap_vid(true_xy + np.array([3, 0]), visible, true_xy, visible, np.array([0]), SQUARE)
    assert found.pts_within == found.jaccard == (0, 0, 1, 1, 1)
    assert found.average_jaccard == found.average_pts_within_thresh == pytest.approx(0.6)
    assert found.occlusion_accuracy == 1


def test_half_of_the_points_misplaced_costs_more_than_half_of_jaccard() -> None:
    # 2 visible, 1 right, 1 claimed elsewhere: 1 / (2 + 1).
    true_xy, visible = still(2, 2)
    xy = true_xy + np.array([[0, 0], [50, 0]])
    found = tap_vid(xy, visible, true_xy, visible, np.array([0, 0]), SQUARE)
    assert found.average_jaccard == pytest.approx(1 / 3)
    assert found.average_pts_within_thresh == 0.5


def test_exactly_the_threshold_is_not_near() -> None:
    true_xy, visible = still(2)
    found = tap_vid(true_xy + np.array([0, 4]), visible, true_xy, visible, np.array([0]), SQUARE)
    assert found.pts_within == (0, 0, 0, 1, 1)


def test_distances_are_those_in_an_image_of_256_by_256() -> None:
    # 10 pixels of 1280 are 2 of 256; 10 of 512 are 5.
    true_xy, visible = still(2)
    size = (512, 1280)
    across = tap_vid(true_xy + np.array([10, 0]), visible, true_xy, visible, np.array([0]), size)
    down = tap_vid(true_xy + np.array([0, 10]), visible, true_xy, visible, np.array([0]), size)
    assert across.pts_within == (0, 0, 1, 1, 1)
    assert down.pts_within == (0, 0, 0, 1, 1)


def test_a_hidden_point_said_to_be_visible_is_a_mistake_and_so_is_the_reverse() -> None:
    # Frames 1 to 4: seen and claimed, hidden and claimed, seen and not claimed, hidden and not.
    xy, _ = still(5)
    truth = np.array([[1], [1], [0], [1], [0]], np.bool_)
    claim = np.array([[1], [1], [1], [0], [0]], np.bool_)
    found = tap_vid(xy, claim, xy, truth, np.array([0]), SQUARE)
    assert found.occlusion_accuracy == 0.5
    assert found.average_jaccard == pytest.approx(1 / 3)  # 1 right, 2 seen, 1 wrongly claimed
    assert found.average_pts_within_thresh == 1.0  # whatever is claimed


def test_first_looks_at_later_frames_and_strided_at_all_others() -> None:
    # Right before the query in frame 2, and wrong after it.
    true_xy, visible = still(5)
    xy = true_xy.copy()
    xy[3:] += 100
    first = tap_vid(xy, visible, true_xy, visible, np.array([2]), SQUARE, "first")
    strided = tap_vid(xy, visible, true_xy, visible, np.array([2]), SQUARE, "strided")
    assert first.average_pts_within_thresh == 0
    assert strided.average_pts_within_thresh == 0.5
    xy[2] += 100  # the query's own frame counts in neither
    assert tap_vid(xy, visible, true_xy, visible, np.array([2]), SQUARE, "strided") == strided


def test_what_nothing_counts_for_is_nan() -> None:
    xy, visible = still(3)
    hidden = ~visible
    found = tap_vid(xy, hidden, xy, hidden, np.array([0]), SQUARE)
    assert found.occlusion_accuracy == 1
    assert math.isnan(found.average_jaccard) and math.isnan(found.average_pts_within_thresh)
    last = tap_vid(xy, visible, xy, visible, np.array([2]), SQUARE)
    assert math.isnan(last.occlusion_accuracy)


def test_nan_is_near_nothing() -> None:
    true_xy, visible = still(2)
    found = tap_vid(true_xy * np.nan, visible, true_xy, visible, np.array([0]), SQUARE)
    assert found.average_jaccard == found.average_pts_within_thresh == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xy": np.zeros((3, 2))}, r"\(T, N, 2\)"),
        ({"visible": np.ones((3, 3), np.bool_)}, "visibility must have shape"),
        ({"true_xy": np.zeros((2, 2, 2))}, "true positions must have shape"),
        ({"true_visible": np.ones((2, 2), np.bool_)}, "true visibility must have shape"),
        ({"queries": np.zeros(3, np.int64)}, "queries must have shape"),
        ({"queries": np.zeros(2)}, "integer frame indices"),
        ({"queries": np.array([0, 3])}, "frames 0 to 2"),
        ({"queries": np.array([-1, 0])}, "frames 0 to 2"),
        ({"size": (0, 10)}, "must not be empty"),
        ({"mode": "last"}, "'first' or 'strided'"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    xy, visible = still(3, 2)
    given: dict[str, Any] = {
        "xy": xy,
        "visible": visible,
        "true_xy": xy,
        "true_visible": visible,
        "queries": np.zeros(2, np.int64),
        "size": SQUARE,
    }
    with pytest.raises(UserError, match=message):
        tap_vid(**{**given, **change})


MASK = np.zeros((4, 6), np.bool_)
MASK[1:3, 2:5] = True


def test_points_are_counted_in_the_pixel_whose_centre_is_nearest() -> None:
    xy = np.array([[2, 1], [1.6, 0.6], [1.4, 1], [4.4, 2.4], [4.6, 2]], np.float32)
    counted = count_points(xy, np.ones(5, np.bool_), MASK)
    assert counted == PointCount(inside=3, visible=5, total=5)
    assert counted.share == 0.6 and counted.survives


def test_hidden_points_count_in_the_whole_only() -> None:
    xy = np.array([[2, 1], [3, 1], [0, 0], [3, 2]], np.float32)
    counted = count_points(xy, np.array([1, 0, 1, 0], np.bool_), MASK)
    assert counted == PointCount(inside=1, visible=2, total=4)
    assert counted.share == 0.5 and not counted.survives


def test_points_outside_of_the_image_or_nowhere_are_outside_of_the_mask() -> None:
    # Of a mask that fills the image; index -1 would be its last pixel.
    full = np.ones((4, 6), np.bool_)
    xy = np.array([[-1, 0], [0, -1], [6, 0], [0, 4], [np.nan, 1], [np.inf, 1], [5, 3]], np.float32)
    assert count_points(xy, np.ones(7, np.bool_), full) == PointCount(1, 7, 7)


def test_without_a_point_there_is_no_share_and_nothing_survives() -> None:
    none = count_points(np.zeros((0, 2), np.float32), np.zeros(0, np.bool_), MASK)
    assert math.isnan(none.share) and not none.survives
    hidden = count_points(np.full((2, 2), 2.0), np.zeros(2, np.bool_), MASK)
    assert math.isnan(hidden.share) and not hidden.survives


def test_exactly_half_of_the_points_survive() -> None:
    assert PointCount(3, 3, 6).survives and not PointCount(3, 3, 7).survives


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="inside <= visible <= total must hold"):
        PointCount(inside=3, visible=2, total=4)
    with pytest.raises(ValueError, match="expected points"):
        count_points(np.zeros((2, 3)), np.ones(2, np.bool_), MASK)
    with pytest.raises(ValueError, match="expected points"):
        count_points(np.zeros((2, 2)), np.ones(3, np.bool_), MASK)


@given(
    st.lists(st.tuples(st.floats(-3, 9), st.floats(-3, 7), st.booleans()), min_size=1, max_size=20)
)
def test_counting_equals_asking_each_pixel(points: list[tuple[float, float, bool]]) -> None:
    inside = 0
    for x, y, seen in points:
        for row in range(4):
            for column in range(6):
                nearest = (round(x), round(y)) == (column, row)
                inside += bool(seen and nearest and MASK[row, column])
    xy = np.array([(x, y) for x, y, _ in points])
    counted = count_points(xy, np.array([seen for *_, seen in points]), MASK)
    assert counted.inside == inside
    assert counted.visible == sum(seen for *_, seen in points)


@pytest.mark.parametrize(
    ("survives", "wanted"),
    [
        ([True, True, True, True], 1.0),
        ([True, True, False, True], 0.5),  # it comes back, and that is too late
        ([False, True, True, True], 0.0),
        ([True, True, True, False], 0.75),
        ([True], 1.0),
        ([False], 0.0),
    ],
)
def test_survival_ends_with_the_first_loss(survives: list[bool], wanted: float) -> None:
    assert survival(survives) == wanted


def test_survival_of_no_frame_is_not_known() -> None:
    assert math.isnan(survival([]))
