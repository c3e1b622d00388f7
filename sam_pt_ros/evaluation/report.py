"""Reports on a run and on a data set, as HTML pages of one file each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.object_charts import MAX_OVERVIEW, object_chart, overview_chart
from sam_pt_ros.evaluation.report_page import (
    Html,
    bullets,
    chart,
    element,
    facts,
    number,
    object_name,
    page,
    percent,
    picture,
    section,
    table,
)
from sam_pt_ros.evaluation.results import NAN, ObjectRow, ScoreRow, TimingRow
from sam_pt_ros.evaluation.score_charts import bar_chart
from sam_pt_ros.evaluation.thinning import MAX_SAMPLES
from sam_pt_ros.evaluation.timing_charts import histogram_chart, stage_chart
from sam_pt_ros.objects import ObjectState
from sam_pt_ros.output.atomic_files import write_text

MAX_DRAWN = 12
"""Largest number of objects with timelines of their own."""


@dataclass(frozen=True)
class LiveFigures:
    """How a live run kept up with its input.

    Attributes:
        frames_in: number of frames that the camera sent.
        frames_out: number of frames with a result.
        dropped: number of frames without a result.
        latencies_ms: of each result, milliseconds from the camera's stamp to the mask.
    """

    frames_in: int
    frames_out: int
    dropped: int
    latencies_ms: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("frames_in", "frames_out", "dropped"):
            if getattr(self, name) < 0:
                raise UserError(
                    f"'{name}' of a live run must be 0 or more, got {getattr(self, name)}"
                )


@dataclass(frozen=True, eq=False)
class ReportData:
    """The content of a report.

    Attributes:
        title: of the page.
        source: name of the bag or of the sequence.
        configuration: values of the parameters, by name.
        versions: versions of the software, by name.
        rows: of all objects and frames.
        timings: one per processed frame.
        scores: one per object.
        frame_stamps: of all frames in order, nanoseconds.
        strip: film strip with masks, RGB ``uint8 (H, W, 3)``; or None.
        problems: what went wrong, a sentence each.
        partial: why the run ended before its source; None if it did not.
        live: figures of a live run; or None.
    """

    title: str
    source: str
    configuration: Mapping[str, object]
    versions: Mapping[str, str]
    rows: Sequence[ObjectRow]
    timings: Sequence[TimingRow]
    scores: Sequence[ScoreRow]
    frame_stamps: Sequence[int]
    strip: np.ndarray | None = None
    problems: Sequence[str] = ()
    partial: str | None = None
    live: LiveFigures | None = None

    def __post_init__(self) -> None:
        if any(a > b for a, b in zip(self.frame_stamps, self.frame_stamps[1:])):
            raise UserError("the frame stamps of a report must ascend; sort the frames by stamp")
        unknown = {row.state for row in self.rows} - {state.name for state in ObjectState}
        if unknown:
            known = ", ".join(state.name for state in ObjectState)
            raise UserError(f"an object's state must be one of {known}, got {sorted(unknown)}")
        ids = [score.object_id for score in self.scores]
        if len(set(ids)) != len(ids):
            raise UserError(
                "the scores of a report must have one row per object; got object "
                f"{max(ids, key=ids.count)} more than once"
            )
        strip = self.strip
        if strip is not None and (
            strip.dtype != np.uint8 or strip.ndim != 3 or strip.shape[2] != 3 or not strip.size
        ):
            raise UserError(
                f"a film strip must be RGB uint8 (H, W, 3), got {strip.dtype} {strip.shape}"
            )


def write_report(path: Path, data: ReportData) -> None:
    """Write the report on one run as a single HTML file, whole or not at all.

    The page loads nothing and contains no script; the same data gives the same bytes.

    Args:
        path: of the file; its folder exists.
        data: the content.

    Raises:
        UserError: the file cannot be written.
    """
    objects = _by_object(data.rows)
    content = [
        element("p", f"SAM-PT on {data.source}", style="dim"),
        *_banner(data.partial),
        facts(_run_facts(data)),
        *_problems("Problems", data.problems),
        _object_section(data, objects),
        *_strip_section(data.strip),
        *_timeline_sections(data, objects),
        *_timing_sections(data),
        section("Configuration", _two_columns("Parameter", data.configuration)),
        section("Versions", _two_columns("Software", data.versions)),
    ]
    write_text(path, page(data.title, *content))


def write_dataset_report(
    path: Path,
    title: str,
    configuration: Mapping[str, object],
    versions: Mapping[str, str],
    table: Sequence[ScoreRow],
    figures: Mapping[str, tuple[float, float]],
    problems: Sequence[str],
) -> None:
    """Write the report on a data set as a single HTML file, whole or not at all.

    Args:
        path: of the file; its folder exists.
        title: of the page.
        configuration: values of the parameters, by name.
        versions: versions of the software, by name.
        table: one row per sequence, object and seed.
        figures: the data set's official figures: mean and deviation over the seeds; a deviation
            of NaN is not shown.
        problems: what went wrong, a sentence each.

    Raises:
        UserError: the file cannot be written.
    """
    sequences = {row.sequence for row in table}
    seeds = sorted({row.seed for row in table})
    content = [
        facts(
            {
                "Sequences": str(len(sequences)),
                "Objects": str(len({(row.sequence, row.object_id) for row in table})),
                "Seeds": ", ".join(map(str, seeds)) or "–",
            }
        ),
        *_problems("Failures and problems", problems),
        section("Figures", facts({name: _spread(*pair) for name, pair in figures.items()}))
        if figures
        else section("Figures", element("p", "Nothing was scored.")),
        *_sequence_chart(table),
        section("Objects", _mean_table(table)),
        section("Configuration", _two_columns("Parameter", configuration)),
        section("Versions", _two_columns("Software", versions)),
    ]
    write_text(path, page(title, *content))


# --- both ------------------------------------------------------------------------------------


def _banner(partial: str | None) -> list[Html]:
    if partial is None:
        return []
    return [element("div", f"Incomplete: the run ended early. {partial}", style="banner")]


def _problems(heading: str, problems: Sequence[str]) -> list[Html]:
    return [section(heading, bullets(problems))] if problems else []


def _two_columns(head: str, values: Mapping[str, object]) -> Html:
    if not values:
        return element("p", "None.")
    return table((head, "Value"), [(n, _text(v)) for n, v in values.items()], (0, 1))


def _text(value: object) -> str:
    """A value as in a configuration file."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mean(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NAN


_Column = tuple[str, Callable[[ScoreRow], float], Callable[[float], str]]

_TRUTH_COLUMNS: tuple[_Column, ...] = (
    ("J&F", lambda row: row.j_and_f, number),
    ("J mean", lambda row: row.j_mean, number),
    ("J recall", lambda row: row.j_recall, number),
    ("J decay", lambda row: row.j_decay, number),
    ("F mean", lambda row: row.f_mean, number),
    ("F recall", lambda row: row.f_recall, number),
    ("F decay", lambda row: row.f_decay, number),
    ("Points inside", lambda row: row.points_inside, percent),
    ("Survival", lambda row: row.survival, percent),
)


def _truth_columns(rows: Sequence[ScoreRow]) -> list[_Column]:
    """The columns that need a ground truth and are known for some row."""
    return [c for c in _TRUTH_COLUMNS if not all(math.isnan(c[1](row)) for row in rows)]


# --- a run -----------------------------------------------------------------------------------


def _by_object(rows: Sequence[ObjectRow]) -> dict[int, list[ObjectRow]]:
    objects: dict[int, list[ObjectRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.object_id, row.frame)):
        objects[row.object_id].append(row)
    return dict(objects)


def _span(data: ReportData) -> tuple[int, int]:
    """First and last stamp, nanoseconds."""
    stamps = [*data.frame_stamps, *(row.stamp for row in data.rows)]
    stamps += [timing.stamp for timing in data.timings]
    return (min(stamps), max(stamps)) if stamps else (0, 0)


def _run_facts(data: ReportData) -> dict[str, str]:
    origin, end = _span(data)
    seconds = (end - origin) / 1e9
    count = len(data.frame_stamps)
    found = {"Frames": str(count), "Duration": f"{seconds:.1f} s"}
    if count > 1 and seconds > 0:
        found["Camera"] = f"{(count - 1) / seconds:.1f} frames/s"
    for name in ("tracker", "segmenter"):
        if name in data.configuration:
            found[name.capitalize()] = str(data.configuration[name])
    j_and_f = _mean(score.j_and_f for score in data.scores)
    if not math.isnan(j_and_f):
        found["J&F, mean of objects"] = number(j_and_f)
    totals = [t.total for t in data.timings if math.isfinite(t.total)]
    if totals:
        found["Processing, median"] = f"{np.median(totals):.1f} ms"
    if data.live is not None:
        found["Frames in"] = str(data.live.frames_in)
        found["Results out"] = str(data.live.frames_out)
        found["Dropped"] = str(data.live.dropped)
    return found


def _object_section(data: ReportData, objects: Mapping[int, Sequence[ObjectRow]]) -> Html:
    scores = {score.object_id: score for score in data.scores}
    columns = _truth_columns(data.scores)
    lines: list[list[str]] = []
    for object_id in sorted({*objects, *scores}):
        rows, score = objects.get(object_id, ()), scores.get(object_id)
        label = score.label if score else rows[0].label
        shares = [
            percent(sum(row.state == state.name for row in rows) / len(rows)) if rows else "–"
            for state in ObjectState
        ]
        if not rows and score:
            shares[0] = percent(score.tracked)
        frames = score.frames if score else len(rows)
        # Without a mask the score is 0, which says nothing about the quality of masks.
        mean = score.score if score else _mean(r.score for r in rows if r.area)
        truth = [show(get(score)) if score else "–" for _, get, show in columns]
        name = object_name(object_id, label)
        lines.append([name, str(frames), *shares, number(mean), *truth])
    if not lines:
        return section("Objects", element("p", "No object was tracked."))
    head = ["Object", "Frames", "Tracked", "Occluded", "Lost", "Mean score"]
    return section("Objects", table([*head, *(name for name, _, _ in columns)], lines))


def _strip_section(strip: np.ndarray | None) -> list[Html]:
    if strip is None:
        return []
    return [section("Film strip", picture(strip, "Frames of the run with their masks"))]


def _timeline_sections(data: ReportData, objects: Mapping[int, Sequence[ObjectRow]]) -> list[Html]:
    if not objects:
        return []
    origin, end = _span(data)
    pieces: list[Html] = []
    if len(objects) > MAX_DRAWN:
        pieces.append(
            element(
                "p",
                f"The first {MAX_DRAWN} of {len(objects)} objects have a chart; the other "
                f"{len(objects) - MAX_DRAWN} are listed in the table only.",
            )
        )
    figures = [
        chart(
            object_chart(rows, origin, end),
            _thinned(rows).strip(),
            heading=object_name(object_id, rows[0].label),
        )
        for object_id, rows in list(objects.items())[:MAX_DRAWN]
    ]
    pieces.append(element("div", *figures, style="charts"))
    found = [section("Objects over time", *pieces)]
    if len(objects) > 1:
        rest = (
            f"The first {MAX_OVERVIEW} of {len(objects)}." if len(objects) > MAX_OVERVIEW else ""
        )
        overview = chart(overview_chart(objects, origin, end), rest)
        found.insert(0, section("States of all objects", overview))
    return found


def _timing_sections(data: ReportData) -> list[Html]:
    figures: list[Html] = []
    if data.timings:
        origin, _ = _span(data)
        timings = sorted(data.timings, key=lambda timing: timing.frame)
        figures.append(
            chart(
                stage_chart(timings, origin),
                f"Processing time of each frame by stage.{_thinned(timings)}",
            )
        )
        totals = [timing.total for timing in timings]
        figures += _histogram(totals, "processing time per frame")
    if data.live is not None:
        figures += _histogram(
            data.live.latencies_ms, "latency from the camera's stamp to the mask"
        )
    if not figures:
        return []
    return [section("Processing time", element("div", *figures, style="charts"))]


def _thinned(values: Sequence[object]) -> str:
    """A note for the caption of a chart that does not draw all values."""
    if len(values) <= MAX_SAMPLES:
        return ""
    return " Each short stretch of frames is drawn by its minimum and its maximum."


def _histogram(milliseconds: Sequence[float], measure: str) -> list[Html]:
    if not any(map(math.isfinite, milliseconds)):
        return []
    return [chart(histogram_chart(milliseconds, measure))]


# --- a data set ------------------------------------------------------------------------------


def _spread(mean: float, deviation: float) -> str:
    if math.isnan(deviation):
        return number(mean)
    return f"{number(mean)} ± {number(deviation)}"


def _sequence_chart(rows: Sequence[ScoreRow]) -> list[Html]:
    """J&F of each sequence: mean over its objects and the seeds."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        values[row.sequence].append(row.j_and_f)
    means = {name: _mean(found) for name, found in values.items()}
    if all(math.isnan(mean) for mean in means.values()):
        return []
    svg = bar_chart(list(means), list(means.values()), "J&F")
    return [section("J&F of each sequence", chart(svg, "Mean over objects and seeds."))]


def _mean_table(rows: Sequence[ScoreRow]) -> Html:
    """A line per sequence and object, with means over the seeds."""
    if not rows:
        return element("p", "No sequence was evaluated.")
    groups: dict[tuple[str, int], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        groups[row.sequence, row.object_id].append(row)
    columns = _truth_columns(rows)
    grouped = any(row.group for row in rows)
    lines = []
    for (sequence, object_id), found in sorted(groups.items()):
        lines.append(
            [
                sequence,
                object_name(object_id, found[0].label),
                *([found[0].group] if grouped else []),
                str(len(found)),
                number(_mean(float(row.frames) for row in found), 0),
                percent(_mean(row.tracked for row in found)),
                number(_mean(row.score for row in found)),
                *(show(_mean(get(row) for row in found)) for _, get, show in columns),
            ]
        )
    head = ["Sequence", "Object", *(["Group"] if grouped else [])]
    head += ["Seeds", "Frames", "Tracked", "Mean score", *(name for name, _, _ in columns)]
    return table(head, lines, range(3 if grouped else 2))
