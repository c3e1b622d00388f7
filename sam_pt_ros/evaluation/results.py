"""The results of an evaluation, as rows of its CSV files."""

from __future__ import annotations

import csv
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.output.csv_files import write_csv

RESULTS_FILE = "results.csv"
TIMINGS_FILE = "timings.csv"
SCORES_FILE = "scores.csv"
SUMMARY_FILE = "summary.json"

NAN = math.nan


@dataclass(frozen=True)
class ObjectRow:
    """One object in one frame: a line of ``results.csv``. Unknown values are NaN.

    Attributes:
        frame: index of the frame, from 0.
        stamp: of the frame, nanoseconds.
        object_id: 1 to 65535.
        label: the object's name; may be empty.
        state: TRACKING, OCCLUDED or LOST.
        score: of the mask, 0 to 1; 0 without a mask.
        area: number of pixels of the mask.
        centroid_x: mean column of the mask's pixels.
        centroid_y: mean row of the mask's pixels.
        points_visible: number of visible positive points.
        points_total: number of positive points.
        j: region similarity, 0 to 1, if the frame is annotated and scored for this object.
        f: boundary accuracy, likewise.
        points_inside: share of the visible positive points inside the true mask, if the frame is
            annotated and a point is visible.
    """

    frame: int
    stamp: int
    object_id: int
    label: str
    state: str
    score: float
    area: int
    centroid_x: float
    centroid_y: float
    points_visible: int
    points_total: int
    j: float = NAN
    f: float = NAN
    points_inside: float = NAN


@dataclass(frozen=True)
class TimingRow:
    """How long one frame took: a line of ``timings.csv``, which differs between runs.

    Attributes:
        frame: index of the frame.
        stamp: of the frame, nanoseconds.
        tracker: milliseconds in the tracker; likewise for the other stages.
        segmenter: milliseconds in the segmenter.
        reinitialization: milliseconds in reinitialization.
        total: milliseconds in the pipeline; with a windowed tracker they include its work on
            earlier frames.
    """

    frame: int
    stamp: int
    tracker: float
    segmenter: float
    reinitialization: float
    total: float


@dataclass(frozen=True)
class ScoreRow:
    """One object over one sequence: a line of ``scores.csv``. Unknown values are NaN.

    Attributes:
        sequence: name of the sequence or of the bag.
        seed: of the pipeline's random choices.
        object_id: 1 to 65535.
        label: the object's name; may be empty.
        group: group that it is also counted in ("unseen", "long", ...); may be empty.
        frames: number of frames from the one in which the object was started.
        tracked: share of these frames in the state TRACKING.
        score: mean score of its masks.
        scored: number of frames with a J and an F.
        j_mean: mean region similarity; then its recall and decay, and those of F
            (:class:`~sam_pt_ros.evaluation.davis_metrics.Statistics`).
        points_inside: mean over the frames of the share of the visible positive points inside the
            true mask.
        survival: share of the scored frames that show the object before the first in which fewer
            than half of its positive points are visible and inside the true mask.
    """

    sequence: str
    seed: int
    object_id: int
    label: str
    group: str
    frames: int
    tracked: float
    score: float
    scored: int = 0
    j_mean: float = NAN
    j_recall: float = NAN
    j_decay: float = NAN
    f_mean: float = NAN
    f_recall: float = NAN
    f_decay: float = NAN
    points_inside: float = NAN
    survival: float = NAN

    @property
    def j_and_f(self) -> float:
        """Mean of ``j_mean`` and ``f_mean``; NaN without a ground truth."""
        return (self.j_mean + self.f_mean) / 2


Row = TypeVar("Row", ObjectRow, TimingRow, ScoreRow)


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write rows as CSV, with the names of the fields as its head; UserError if that fails."""
    names = [field.name for field in fields(kind)]
    write_csv(path, names, ([getattr(row, name) for name in names] for row in rows))


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read a file of :func:`write_rows`; UserError if it is none."""
    types = typing.get_type_hints(kind)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [
                kind(**{name: _value(text, types[name]) for name, text in line.items()})
                for line in reader
            ]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: was not written by this version ({error}); evaluate again"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return rows


def _value(text: str, kind: type) -> Any:
    if kind is float:
        return float(text) if text else NAN
    return kind(text)
