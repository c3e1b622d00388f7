"""The folder of an evaluation: its tables, its summary and its report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam_pt_ros.configuration import Configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.report import LiveFigures, ReportData, write_report
from sam_pt_ros.evaluation.results import (
    RESULTS_FILE,
    SCORES_FILE,
    SUMMARY_FILE,
    TIMINGS_FILE,
    ObjectRow,
    ScoreRow,
    TimingRow,
    write_rows,
)
from sam_pt_ros.output.atomic_files import write_text
from sam_pt_ros.recordings.films import write_image
from sam_pt_ros.versions import versions

REPORT_FILE = "report.html"
STRIP_FILE = "filmstrip.png"
FILM_FILE = "overlay.mp4"
BAG_FOLDER = "output"
LATENCIES_FILE = "latencies.csv"
PARTIAL_FILE = "PARTIAL.txt"
"""Present if and only if the results cover only part of the input; says why."""

RUN_FILE = "run.json"
"""In the folder of an evaluation of a data set: its settings."""

CONFIGURATION_FILE = "configuration.yaml"
"""In the folder of an evaluation of a data set: the configuration that it is run with."""

_FILES = (
    RESULTS_FILE,
    TIMINGS_FILE,
    SCORES_FILE,
    SUMMARY_FILE,
    REPORT_FILE,
    STRIP_FILE,
    FILM_FILE,
    PARTIAL_FILE,
    LATENCIES_FILE,
)


@dataclass(frozen=True, eq=False)
class RunResults:
    """The results of an evaluation of one stream.

    Attributes:
        title: heading of the report.
        source: name of the recording or the sequence.
        configuration_name: name of the parameter file.
        configuration: the configuration that was evaluated.
        rows: one per object and frame.
        timings: one per frame; empty for a run of the node.
        scores: one per object.
        stamps: of all frames, nanoseconds.
        strip: the film strip, RGB ``uint8 (H, W, 3)``; None if no object was tracked.
        problems: what went wrong without ending the evaluation.
        partial: why it ended early; None if it did not.
        undecoded: how many of how many images could not be decoded; None if all could.
        live: figures of a run of the node in real time; None for any other run.
    """

    title: str
    source: str
    configuration_name: str
    configuration: Configuration
    rows: Sequence[ObjectRow]
    timings: Sequence[TimingRow]
    scores: Sequence[ScoreRow]
    stamps: Sequence[int]
    strip: np.ndarray | None = None
    problems: Sequence[str] = ()
    partial: str | None = None
    undecoded: str | None = None
    live: LiveFigures | None = None


def write_run(folder: Path, run: RunResults) -> None:
    """Write all files of a run; UserError or OSError if that fails."""
    write_rows(folder / RESULTS_FILE, ObjectRow, run.rows)
    write_rows(folder / TIMINGS_FILE, TimingRow, run.timings)
    if run.partial is not None:
        write_text(folder / PARTIAL_FILE, run.partial + "\n")
    else:
        (folder / PARTIAL_FILE).unlink(missing_ok=True)
    if run.strip is not None:
        write_image(folder / STRIP_FILE, run.strip)
    write_report(
        folder / REPORT_FILE,
        ReportData(
            title=run.title,
            source=run.source,
            configuration=run.configuration.values,
            versions=versions(),
            rows=run.rows,
            timings=run.timings,
            scores=run.scores,
            frame_stamps=run.stamps,
            strip=run.strip,
            problems=run.problems,
            partial=run.partial,
            live=run.live,
        ),
    )
    summary = {
        "title": run.title,
        "source": run.source,
        "configuration_name": run.configuration_name,
        "configuration": run.configuration.values,
        "backends": run.configuration.backend_descriptions,
        "versions": versions(),
        "frames": len(run.stamps),
        "frame_ms_median": _median([timing.total for timing in run.timings]),
        "partial": run.partial,
        "problems": list(run.problems),
        "objects": {row.object_id: score_summary(row) for row in run.scores},
        "live": None if run.live is None else _live(run.live),
    }
    write_json(folder / SUMMARY_FILE, summary)
    write_rows(folder / SCORES_FILE, ScoreRow, run.scores)  # last: marks the run as complete


def _live(live: LiveFigures) -> dict[str, Any]:
    made: dict[str, Any] = {
        "frames_in": live.frames_in,
        "frames_out": live.frames_out,
        "dropped": live.dropped,
    }
    if len(live.latencies_ms):
        p50, p95 = np.percentile(live.latencies_ms, [50, 95])
        made |= {"latency_ms_p50": float(p50), "latency_ms_p95": float(p95)}
    return made


def score_summary(row: ScoreRow) -> dict[str, Any]:
    """The most important scores of an object, for ``summary.json``."""
    made = {
        "label": row.label,
        "frames": row.frames,
        "tracked": row.tracked,
        "score": row.score,
        "j_mean": row.j_mean,
        "f_mean": row.f_mean,
        "j_and_f": row.j_and_f,
    }
    return {
        name: none_if_nan(value) if isinstance(value, float) else value
        for name, value in made.items()
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an indented JSON file; UserError if that fails."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str, allow_nan=False)
    write_text(path, text + "\n")


def check_folder(folder: Path) -> None:
    """Create the folder of a run; UserError if it holds anything but an earlier run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be created as a folder ({error.strerror}); choose another --out"
        ) from error
    if (folder / RUN_FILE).exists():
        raise UserError(f"{folder}: holds an evaluation of a data set; choose another --out")
    held = [name for name in _FILES if (folder / name).exists()]
    if held and not _is_run(folder):
        raise UserError(
            f"{folder}: holds a {held[0]} that no evaluation wrote; choose another --out"
        )


def begin_run(folder: Path) -> None:
    """Remove an earlier run, and mark the folder as partial until :func:`write_run`."""
    remove_run(folder)
    write_text(folder / PARTIAL_FILE, "This evaluation has not finished.\n")


def remove_run(folder: Path) -> None:
    """Remove an earlier run, so that none of its files is taken for one of this run."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def _is_run(folder: Path) -> bool:
    """Whether an evaluation wrote to this folder, even if it ended early."""
    if (folder / PARTIAL_FILE).is_file():
        return True
    try:
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        return "sam_pt_ros" in summary["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def none_if_nan(value: float) -> float | None:
    """The value, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
