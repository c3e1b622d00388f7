"""What an evaluation finds out, and the CSV files that it goes to."""

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
    """One object in one frame: a line of ``results.csv``. A value that is not known is NaN.

    Attributes:
        frame: index of the frame, from 0.
        stamp: of the frame, nanoseconds.
        object_id: 1 to 65535.
        label: the object's name; may be empty.
        state: TRACKING, OCCLUDED or LOST.
        score: 0 to 1, of the mask; 0 without one.
        area: pixels of the mask.
        centroid_x: mean column of the mask's pixels.
        centroid_y: mean row.
        points_visible: positive points that are visible.
        points_total: positive points in all.
        j: region similarity, 0 to 1, if the frame is annotated and scored for this object.
        f: boundary accuracy, likewise.
        points_inside: share of the visible positive points that are inside of the true mask, if
            the frame is annotated and a point is visible.
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
    """How long one frame took: a line of ``timings.csv``, which no two runs have in common.

    Attributes:
        frame: index of the frame.
        stamp: of the frame, nanoseconds.
        tracker: milliseconds in the tracker; likewise the other stages.
        total: milliseconds from the frame's entry into the pipeline to its return from it; that
            of a windowed tracker holds what it computed of earlier frames.
    """

    frame: int
    stamp: int
    tracker: float
    segmenter: float
    reinitialization: float
    total: float


@dataclass(frozen=True)
class ScoreRow:
    """One object over one sequence: a line of ``scores.csv``. A value that is not known is NaN.

    Attributes:
        sequence: name of the sequence or of the bag.
        seed: of the pipeline's random choices.
        object_id: 1 to 65535.
        label: the object's name; may be empty.
        group: what it is counted under besides ("unseen", "long", ...); may be empty.
        frames: frames since the object was started, that one included.
        tracked: share of them in state TRACKING.
        score: mean score of its masks.
        scored: frames that have a J and an F.
        j_mean: mean region similarity; then its recall and decay, and those of F
            (:class:`~sam_pt_ros.evaluation.davis_metrics.Statistics`).
        points_inside: mean over the frames of the share of the visible positive points that are
            inside of the true mask.
        survival: share of the scored frames that show the object in which at least half of its
            positive points are visible and inside of the true mask, up to the first where that
            is not so.
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
        """Mean of both means; NaN without a truth."""
        return (self.j_mean + self.f_mean) / 2


Row = TypeVar("Row", ObjectRow, TimingRow, ScoreRow)


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write rows as CSV, with the names of the fields as its head; UserError if that fails."""
    names = [field.name for field in fields(kind)]
    write_csv(path, names, ([getattr(row, name) for name in names] for row in rows))


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read what :func:`write_rows` wrote; UserError if it is something else."""
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
            f"{path}: not a file of this version's evaluation ({error}); evaluate again"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return rows


def _value(text: str, kind: type) -> Any:
    if kind is float:
        return float(text) if text else NAN
    return kind(text)
