"""Results beside the truth: a small case by hand, and which frames count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sam_pt_ros.evaluation.results import ObjectRow, ScoreRow, read_rows, write_rows
from sam_pt_ros.evaluation.scoring import Scorer, ScoringProtocol
from sam_pt_ros.evaluation.sequences import VOID
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.trackers import PointTracks

SIZE = (20, 30)
EVERY = ScoringProtocol(skip_first=False, skip_last=False)


def rectangle(x: int, y: int, width: int, height: int, value: int = 1) -> np.ndarray:
    labels = np.zeros(SIZE, np.uint16)
    labels[y : y + height, x : x + width] = value
    return labels


def result(index: int, labels: np.ndarray, ids: tuple[int, ...] = (1,), age: int = -1):
    objects = []
    for object_id in ids:
        mask = CroppedMask.cut(labels == object_id, (0, 0), SIZE)
        state = ObjectState.TRACKING if mask.area else ObjectState.OCCLUDED
        # Two points in the corner of the truth of most tests, one of them unseen, one negative.
        points = PointTracks(
            index,
            np.arange(4),
            np.array([[10, 5], [12, 5], [0, 0], [11, 5]], np.float32),
            np.array([True, False, True, True]),
            np.ones(4, np.float32),
        )
        kinds = np.array([1, 1, 1, 0], np.int32)
        frames = index if age < 0 else age
        score = 0.5 if mask.area else 0.0
        objects.append(
            ObjectResult(object_id, f"n{object_id}", state, score, mask, points, kinds, frames, 0)
        )
    return TrackResult(index, 1000 + index, labels, tuple(objects), {})


def frame(index: int, truth: np.ndarray | None) -> InputFrame:
    return InputFrame(index, 1000 + index, np.zeros((*SIZE, 3), np.uint8), truth)


def run(scorer: Scorer, pairs: list[tuple[np.ndarray | None, np.ndarray]]) -> list[ObjectRow]:
    for index, (truth, labels) in enumerate(pairs):
        scorer.take(frame(index, truth), result(index, labels))
    scorer.close()
    return scorer.rows


TRUTH = rectangle(10, 5, 8, 6)  # 48 pixels
HALF = rectangle(10, 5, 4, 6)  # 24 of them


def test_a_row_by_hand() -> None:
    (row,) = run(Scorer(EVERY), [(TRUTH, HALF)])
    assert (row.frame, row.stamp, row.object_id, row.label) == (0, 1000, 1, "n1")
    assert (row.state, row.score, row.area) == ("TRACKING", 0.5, 24)
    assert (row.centroid_x, row.centroid_y) == (11.5, 7.5)
    assert (row.points_visible, row.points_total) == (2, 3)
    assert row.j == 0.5
    assert row.points_inside == 0.5  # (10, 5) is in it, (0, 0) is not; the others do not count
    # The tolerance is one pixel. Of the found boundary's 20 pixels all 5 of the right side miss
    # the true one but the ends, which its upper and lower side reach.
    assert 0.6 < row.f < 0.9


def test_the_first_frame_of_an_object_and_the_last_of_all_do_not_count() -> None:
    pairs = [(TRUTH, TRUTH)] * 5
    assert [math.isnan(row.j) for row in run(Scorer(EVERY), pairs)] == [False] * 5
    davis = Scorer(ScoringProtocol())
    assert [math.isnan(row.j) for row in run(davis, pairs)] == [True, False, False, False, True]
    (score,) = davis.scores("s", 3)
    assert (score.scored, score.frames, score.j_mean, score.f_mean) == (3, 5, 1.0, 1.0)
    others = Scorer(ScoringProtocol(skip_last=False))
    assert [math.isnan(row.f) for row in run(others, pairs)] == [True, *[False] * 4]


def test_frames_without_annotation_are_not_scored() -> None:
    scorer = Scorer(ScoringProtocol(skip_last=False))
    rows = run(scorer, [(TRUTH, TRUTH), (None, HALF), (TRUTH, HALF), (None, TRUTH)])
    assert [row.j for row in rows if not math.isnan(row.j)] == [0.5]
    (score,) = scorer.scores("s", 0)
    assert (score.scored, score.j_mean, score.tracked) == (1, 0.5, 1.0)


def test_empty_truth_and_empty_mask_agree_and_one_alone_does_not() -> None:
    empty = np.zeros(SIZE, np.uint16)
    rows = run(Scorer(EVERY), [(empty, empty), (TRUTH, empty), (empty, TRUTH)])
    assert [(row.j, row.f) for row in rows] == [(1, 1), (0, 0), (0, 0)]
    assert [row.state for row in rows] == ["OCCLUDED", "OCCLUDED", "TRACKING"]
    assert math.isnan(rows[0].centroid_x) and rows[0].score == 0


def test_void_pixels_count_for_nobody() -> None:
    truth = TRUTH.copy()
    truth[:, 14:] = VOID
    (row,) = run(Scorer(EVERY), [(truth, TRUTH)])
    assert row.j == row.f == 1.0


def test_an_object_that_was_never_started_counts_as_never_seen() -> None:
    scorer = Scorer(ScoringProtocol(skip_last=False), {1: 0, 2: 1})
    two = TRUTH + rectangle(0, 0, 3, 3, 2)
    for index in range(4):
        scorer.take(frame(index, two), result(index, two, ids=(1,)))
    scorer.close()
    first, second = scorer.scores("s", 0, {2: "unseen"})
    assert (first.j_mean, first.group) == (1.0, "")
    assert (second.object_id, second.frames, second.scored, second.group) == (2, 3, 2, "unseen")
    assert (second.j_mean, second.f_mean, second.tracked, second.survival) == (0, 0, 0, 0)


def test_objects_that_nobody_pointed_at_are_named() -> None:
    scorer = Scorer(EVERY)
    truth = TRUTH + rectangle(0, 0, 2, 2, 7) + rectangle(0, 10, 2, 2, VOID)
    scorer.take(frame(0, truth), result(0, TRUTH))
    assert scorer.never_prompted == [7]


def test_scores_by_hand() -> None:
    empty = np.zeros(SIZE, np.uint16)
    scorer = Scorer(EVERY)
    run(scorer, [(TRUTH, TRUTH), (TRUTH, HALF), (TRUTH, empty), (TRUTH, TRUTH)])
    (score,) = scorer.scores("bag", 5)
    assert (score.sequence, score.seed, score.label) == ("bag", 5, "n1")
    assert score.j_mean == pytest.approx(2.5 / 4)
    assert score.j_recall == 0.5  # 0.5 is not above 0.5
    assert score.j_decay == pytest.approx((1 + 0.5) / 2 - (0 + 1) / 2)
    assert score.tracked == 0.75 and score.score == 0.5
    assert score.points_inside == 0.5
    assert score.survival == 0.0  # one of three points: fewer than half
    assert score.j_and_f == (score.j_mean + score.f_mean) / 2


def test_rows_come_back_as_they_were_written(tmp_path) -> None:
    scorer = Scorer(ScoringProtocol())
    rows = run(scorer, [(TRUTH, TRUTH), (TRUTH, HALF), (None, HALF)])
    scores = scorer.scores('a, "quoted" name', 0)
    for name, kind, written in (("r.csv", ObjectRow, rows), ("s.csv", ScoreRow, scores)):
        write_rows(tmp_path / name, kind, written)
        read = read_rows(tmp_path / name, kind)
        assert [repr(row) for row in read] == [repr(row) for row in written]
