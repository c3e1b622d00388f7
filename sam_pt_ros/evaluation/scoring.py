"""Scores results against the ground truth: first per frame, then per object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam_pt_ros.evaluation.davis_metrics import region_and_boundary, statistics
from sam_pt_ros.evaluation.point_metrics import PointCount, count_points, survival
from sam_pt_ros.evaluation.results import NAN, ObjectRow, ScoreRow
from sam_pt_ros.evaluation.sequences import VOID
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import POSITIVE, ObjectResult, ObjectState, TrackResult
from sam_pt_ros.points import PointTracks


@dataclass(frozen=True)
class ScoringProtocol:
    """Which frames are scored.

    Attributes:
        skip_first: whether an object's first frame, in which it is prompted, is not scored.
        skip_last: whether the sequence's last frame is not scored (DAVIS).
    """

    skip_first: bool = True
    skip_last: bool = True


class Scorer:
    """Compares results with the ground truth, frame by frame; a :class:`~.stream.Sink`.

    Args:
        protocol: which frames are scored.
        expected: first frames of the objects that must be tracked, by id; an object that was
            never started counts as never seen.

    Attributes:
        rows: one per object and frame, in order of the frames.
        annotated_frames: number of frames with a ground truth.
    """

    def __init__(
        self, protocol: ScoringProtocol, expected: Mapping[int, int] | None = None
    ) -> None:
        self.rows: list[ObjectRow] = []
        self._protocol = protocol
        self._expected = dict(expected or {})
        self._newest = -1
        self.annotated_frames = 0
        self._points: dict[int, dict[int, PointCount]] = {}  # by object and frame
        self._annotated: set[int] = set()  # objects in the ground truth
        self._tracked: set[int] = set()
        self._labels: dict[int, str] = {}

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """Add the rows of a frame."""
        self._newest = frame.index
        truth = frame.truth
        if truth is not None:
            self.annotated_frames += 1
            self._annotated |= _new_objects(truth, self._annotated)
        tracked = {item.object_id for item in result.objects}
        self._tracked |= tracked
        missing = [
            _unseen(object_id, frame, frame.index - start)
            for object_id, start in self._expected.items()
            if start <= frame.index and object_id not in tracked
        ]
        for item in sorted([*result.objects, *missing], key=lambda item: item.object_id):
            self.rows.append(self._row(frame, item))

    def close(self) -> None:
        """Remove scores that turn out not to count.

        They are those of the last frame, and of objects that are missing from the ground truth.
        """
        last = self._newest if self._protocol.skip_last else -1
        foreign = set(self.foreign)
        self.rows = [
            replace(row, j=NAN, f=NAN, points_inside=NAN)
            if row.frame == last or row.object_id in foreign
            else row
            for row in self.rows
        ]

    @property
    def foreign(self) -> list[int]:
        """Tracked objects that are missing from the ground truth; empty without one."""
        if not self.annotated_frames:
            return []
        return sorted(self._tracked - self._annotated - self._expected.keys())

    @property
    def never_prompted(self) -> list[int]:
        """Objects in the ground truth that were never prompted."""
        return sorted(self._annotated - self._tracked)

    def _row(self, frame: InputFrame, item: ObjectResult) -> ObjectRow:
        centroid = item.mask.centroid or (NAN, NAN)
        row = ObjectRow(
            frame.index,
            frame.stamp,
            item.object_id,
            item.label,
            item.state.name,
            float(item.score),
            item.mask.area,
            *centroid,
            item.positives_visible,
            item.positives_total,
        )
        if frame.truth is None or (self._protocol.skip_first and item.age == 0):
            return row
        void = frame.truth == VOID
        wanted = frame.truth == item.object_id
        found = item.mask.full() & ~void
        positive = item.point_labels == POSITIVE
        count = count_points(item.points.xy[positive], item.points.visible[positive], wanted)
        if wanted.any():  # a hidden object has not lost its points
            self._points.setdefault(item.object_id, {})[frame.index] = count
        j, f = region_and_boundary(found, wanted)
        return replace(row, j=j, f=f, points_inside=count.share)

    def scores(
        self, sequence: str, seed: int, groups: Mapping[int, str] | None = None
    ) -> list[ScoreRow]:
        """One row per object, in ascending order of id.

        Args:
            sequence: its name.
            seed: of the pipeline.
            groups: groups that objects are also counted in, by object id.
        """
        by_object: dict[int, list[ObjectRow]] = {}
        for row in self.rows:
            by_object.setdefault(row.object_id, []).append(row)
        return [
            self._score(rows, sequence, seed, (groups or {}).get(object_id, ""))
            for object_id, rows in sorted(by_object.items())
        ]

    def _score(self, rows: Sequence[ObjectRow], sequence: str, seed: int, group: str) -> ScoreRow:
        tracked = [row for row in rows if row.state == ObjectState.TRACKING.name]
        made = ScoreRow(
            sequence,
            seed,
            rows[0].object_id,
            rows[0].label,
            group,
            frames=len(rows),
            tracked=len(tracked) / len(rows),
            score=_mean([row.score for row in tracked]),
        )
        scored = [row for row in rows if not math.isnan(row.j)]
        if not scored:
            return made
        j, f = statistics([row.j for row in scored]), statistics([row.f for row in scored])
        counts = self._points.get(rows[0].object_id, {})
        counted = [counts[row.frame] for row in scored if row.frame in counts]
        return replace(
            made,
            scored=len(scored),
            j_mean=j.mean,
            j_recall=j.recall,
            j_decay=j.decay,
            f_mean=f.mean,
            f_recall=f.recall,
            f_decay=f.decay,
            points_inside=_mean([row.points_inside for row in scored]),
            survival=survival([count.survives for count in counted]),
        )


def _new_objects(truth: np.ndarray, known: set[int]) -> set[int]:
    """Unknown ids in a label image; counting the known pixels first is faster."""
    explained = sum(int(np.count_nonzero(truth == value)) for value in (0, VOID, *known))
    if explained == truth.size:
        return set()
    return {int(value) for value in np.unique(truth)} - known - {0, VOID}


def _unseen(object_id: int, frame: InputFrame, age: int) -> ObjectResult:
    return ObjectResult(
        object_id,
        "",
        ObjectState.LOST,
        0.0,
        CroppedMask.empty((frame.image.shape[0], frame.image.shape[1])),
        PointTracks.empty(frame.index),
        np.zeros(0, np.int32),
        age,
        age + 1,
    )


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else NAN
