"""The table of a sweep, in the form of the ablations in the paper of SAM-PT (arXiv 2307.01197).

Its columns are what varies, then J&F, J and F as mean and standard deviation over the seeds, then
the gain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from sam_pt_ros.evaluation.results import NAN, ScoreRow
from sam_pt_ros.evaluation.sweep import SweepEntry, SweepResult
from sam_pt_ros.evaluation.sweep_grid import value_text
from sam_pt_ros.output.csv_files import write_csv
from sam_pt_ros.output.terminal import table_lines

TRUTH_MEASURES = {"j_and_f": "J&F", "j_mean": "J", "f_mean": "F"}
OTHER_MEASURES = {"tracked": "tracked", "score": "score"}
"""Titles of columns, by attribute of a :class:`~.results.ScoreRow`; these are for data without a
ground truth."""


@dataclass(frozen=True)
class Spread:
    """A measure over the seeds.

    Attributes:
        mean: NaN if no seed has a value.
        deviation: sample standard deviation (n - 1); NaN for fewer than two seeds.
        seeds: number of seeds with a value.
    """

    mean: float
    deviation: float
    seeds: int


def over_seeds(rows: Sequence[ScoreRow], measure: str) -> Spread:
    """Mean and standard deviation over the seeds of the mean over all objects.

    Args:
        rows: of all sequences and seeds; each object counts the same.
        measure: attribute of a row; objects whose value is NaN are left out.
    """
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        value = float(getattr(row, measure))
        if not math.isnan(value):
            by_seed.setdefault(row.seed, []).append(value)
    means = [fmean(values) for values in by_seed.values()]
    return Spread(
        fmean(means) if means else NAN, stdev(means) if len(means) > 1 else NAN, len(means)
    )


def format_sweep(result: SweepResult) -> str:
    """The table of a sweep as text for a terminal; values are in percent.

    It shows the mean ± the standard deviation over the seeds of each measure, then the gain over
    the previous row, and over the first row. Combinations that failed have no values.
    """
    measures = _measures(result)
    titles = [*measures.values(), "gain", "total gain", "seeds"]
    head = [*result.grid.names, *titles]
    rows = []
    for line in _lines(result, list(measures)):
        if line.entry.error is not None:
            cells = ["– failed", *[""] * (len(titles) - 1)]
        else:
            cells = [_percent(spread) for spread in line.spreads]
            gains = (line.gain, line.total_gain)
            cells += ["" if math.isnan(gain) else f"{100 * gain:+.1f}" for gain in gains]
            cells.append(str(line.spreads[0].seeds))
        rows.append([*(value_text(value) for _, value in line.entry.combination.values), *cells])
    lines = table_lines(head, rows)
    failed = [entry for entry in result.entries if entry.error is not None]
    if failed:
        lines += ["", *(f"failed: {entry.combination.name}: {entry.error}" for entry in failed)]
    if not _over_the_same(result):
        lines += ["", "note: not all rows and seeds cover the same objects"]
    return "\n".join(lines) + "\n"


def write_sweep(path: Path, result: SweepResult) -> None:
    """Write the table of a sweep as CSV; values are 0 to 1, unknown ones empty.

    Raises:
        UserError: the file cannot be written.
    """
    measures = [*TRUTH_MEASURES, *OTHER_MEASURES]
    head = [*result.grid.names]
    for measure in measures:
        head += [measure, f"{measure}_deviation"]
    head += ["gain", "total_gain", "seeds", "objects", "error"]
    main = next(iter(_measures(result)))
    rows = []
    for line, gained in zip(_lines(result, measures), _lines(result, [main])):
        entry = line.entry
        cells: list[object] = [value_text(value) for _, value in entry.combination.values]
        for spread in line.spreads:
            cells += [spread.mean, spread.deviation]
        cells += [gained.gain, gained.total_gain]
        objects = {(row.sequence, row.object_id) for row in entry.rows}
        cells += [gained.spreads[0].seeds, len(objects), entry.error or ""]
        rows.append(cells)
    write_csv(path, head, rows)


@dataclass(frozen=True)
class _Line:
    """A row of the table; gains are those of the first measure, NaN if unknown."""

    entry: SweepEntry
    spreads: tuple[Spread, ...]
    gain: float
    total_gain: float


def _lines(result: SweepResult, measures: Sequence[str]) -> list[_Line]:
    lines: list[_Line] = []
    first = before = NAN
    for entry in result.entries:
        spreads = tuple(over_seeds(entry.rows, measure) for measure in measures)
        value = spreads[0].mean
        lines.append(_Line(entry, spreads, value - before, value - first))
        if not math.isnan(value):
            before = value
            first = value if math.isnan(first) else first
    return lines


def _measures(result: SweepResult) -> Mapping[str, str]:
    """The measures that need a ground truth, if any object has one; otherwise the others."""
    rows = [row for entry in result.entries for row in entry.rows]
    known = not rows or any(not math.isnan(row.j_and_f) for row in rows)
    return TRUTH_MEASURES if known else OTHER_MEASURES


def _over_the_same(result: SweepResult) -> bool:
    """Whether every seed of every combination scored the same objects."""
    scored: dict[tuple[int, int], set[tuple[str, int]]] = {}
    measure = next(iter(_measures(result)))
    for number, entry in enumerate(result.entries):
        for row in entry.rows:
            objects = scored.setdefault((number, row.seed), set())
            if not math.isnan(getattr(row, measure)):
                objects.add((row.sequence, row.object_id))
    sets = list(scored.values())
    return all(objects == sets[0] for objects in sets)


def _percent(spread: Spread) -> str:
    if math.isnan(spread.mean):
        return "–"
    mean = f"{100 * spread.mean:.1f}"
    return mean if math.isnan(spread.deviation) else f"{mean} ± {100 * spread.deviation:.1f}"
