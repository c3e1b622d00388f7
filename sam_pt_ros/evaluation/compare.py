"""Two runs side by side: what got better, what got worse, and whether chance explains it.

The same object is compared between the runs seed by seed. The mean of the paired differences
has a standard error, and the difference counts as significant if it lies further from 0 than
Student's t allows at 5 % (two-sided), i.e. further than 12.7, 4.3, 3.2, ... standard errors for
2, 3, 4, ... seeds. Runs without a seed in common are compared without pairs (Welch's test). One
seed alone says nothing about chance.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import NAN, SCORES_FILE, SUMMARY_FILE, ScoreRow, read_rows

MEASURES = {"j_and_f": "J&F", "tracked": "tracked", "score": "score"}
"""What is compared, by the name of the attribute of a :class:`~.results.ScoreRow`; more is better
in all of them. The last two are for objects without a truth."""

EQUAL = 1e-9
"""Differences up to this are rounding."""

_STUDENT = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
    10: 2.228, 12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000,
}  # fmt: skip
"""97.5 % quantiles of Student's t by degrees of freedom; between them the larger one holds."""

Key = tuple[str, int]
"""Sequence and object id."""


@dataclass(frozen=True)
class Run:
    """What an evaluation left behind.

    Attributes:
        path: where it was read from.
        title: its name, for people.
        configuration: what it was run with, by parameter; may be empty.
        rows: its scores, at least one, each sequence, seed and object once.
        partial: why it is of a part of its input only; None if it is not.
    """

    path: Path
    title: str
    configuration: Mapping[str, object]
    rows: tuple[ScoreRow, ...]
    partial: str | None = None

    def __post_init__(self) -> None:
        if not self.rows:
            raise UserError(f"{self.path}: holds no scores; was the evaluation ended early?")
        seen = set()
        for row in self.rows:
            key = row.sequence, row.seed, row.object_id
            if key in seen:
                raise UserError(
                    f"{self.path}: object {row.object_id} of '{row.sequence}' with seed "
                    f"{row.seed} is there twice; evaluate again"
                )
            seen.add(key)


@dataclass(frozen=True)
class Difference:
    """One measure of one object in both runs, or of all objects that both have.

    Attributes:
        sequence: the object's; empty for all objects.
        object_id: 1 to 65535; 0 for all objects.
        label: the object's name; may be empty.
        measure: a key of :data:`MEASURES`.
        before: mean over the seeds in the first run, 0 to 1.
        after: that in the second.
        seeds: pairs of seeds; without a common seed the smaller number of seeds.
        standard_error: of ``after - before``; NaN where the seeds do not tell.
        significant: chance does not explain the difference; None where the seeds do not tell.
    """

    sequence: str
    object_id: int
    label: str
    measure: str
    before: float
    after: float
    seeds: int
    standard_error: float = NAN
    significant: bool | None = None

    @property
    def difference(self) -> float:
        """Positive is better."""
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``unchanged``."""
        if abs(self.difference) <= EQUAL:
            return "unchanged"
        return "better" if self.difference > 0 else "worse"

    @property
    def name(self) -> str:
        """Of the object, for people."""
        return _name((self.sequence, self.object_id), self.label) if self.object_id else "mean"


@dataclass(frozen=True)
class Comparison:
    """How the second run differs from the first.

    Attributes:
        before: the first run.
        after: the second.
        differences: per object and measure, at least one, by measure and then the worst first.
        means: per measure, over all objects that have it in both runs; each object counts the
            same.
        only_before: objects that the second run lacks, with their labels.
        only_after: objects that the first lacks.
        notes: what could not be compared as it should be, a sentence each.
        fewer: those of the notes that say that less of an object counts in the second run.
    """

    before: Run
    after: Run
    differences: tuple[Difference, ...]
    means: tuple[Difference, ...]
    only_before: Mapping[Key, str]
    only_after: Mapping[Key, str]
    notes: tuple[str, ...]
    fewer: tuple[str, ...] = ()

    @property
    def worst(self) -> Difference:
        """What lost most, or gained least if nothing lost."""
        return min(self.differences, key=lambda item: item.difference)


def load_run(path: Path) -> Run:
    """Read a run.

    Args:
        path: a folder with ``scores.csv``, and ``summary.json`` if there is one (of that the keys
            "title" and "configuration"); or the path of a ``scores.csv``.

    Raises:
        UserError: there is no run, or it is not of this version.
    """
    scores = path / SCORES_FILE if path.is_dir() else path
    if not scores.is_file():
        raise UserError(
            f"{path}: not a run; name a folder that an evaluation wrote, which holds {SCORES_FILE}"
        )
    summary = _read_summary(scores.with_name(SUMMARY_FILE))
    configuration = summary.get("configuration")
    if not isinstance(configuration, dict):
        configuration = {}
    title = str(summary.get("title") or scores.resolve().parent.name)
    failures = summary.get("failures") or []
    partial = summary.get("partial")
    if partial is None and isinstance(failures, list) and failures:
        partial = f"{len(failures)} failed"
    return Run(
        path,
        title,
        configuration,
        tuple(read_rows(scores, ScoreRow)),
        None if partial is None else str(partial),
    )


def _read_summary(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); evaluate again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold an object of JSON; evaluate again")
    return content


def compare(a: Run, b: Run) -> Comparison:
    """Compare two runs object by object.

    J&F is compared where both runs have a truth, else the share of the frames that is tracked and
    the score of the masks. Of seeds that only one run has an object for nothing is used, unless
    the runs have no seed in common.

    Args:
        a: the first run, before.
        b: the second, after.

    Raises:
        UserError: the runs have no object in common.
    """
    notes = [
        f"the {which} run is partial: {run.partial}"
        for run, which in ((a, "first"), (b, "second"))
        if run.partial is not None
    ]
    first, second = _by_object(a.rows), _by_object(b.rows)
    renamed = _sequences(first) | _sequences(second)
    if len(_sequences(first)) == len(_sequences(second)) == 1 and len(renamed) == 2:
        # Of two recordings, each with a name of its own.
        (name,) = _sequences(first)
        second = {(name, object_id): rows for (_, object_id), rows in second.items()}
        notes.append(f"the two sequences have different names: {', '.join(sorted(renamed))}")
    common = [key for key in first if key in second]
    if not common:
        raise UserError(
            f"{a.path} and {b.path} have no object in common: {_some_names(first)} and "
            f"{_some_names(second)}; compare runs over the same sequences"
        )
    found: list[_Paired] = []
    fewer = []
    for key in common:
        measured, remarks = _compare_object(key, first[key], second[key])
        found += measured
        notes += remarks
        if any("only the first run has a truth" in text for text in remarks):
            fewer += remarks
        before, after = _counted(first[key], second[key])
        if before != after:
            name = _name(key, _label(second[key]))
            text = f"{name}: {before} frames count in the first run, {after} in the second"
            notes.append(text)
            if after < before:
                fewer.append(text)
    if not found:
        raise UserError(f"{a.path} and {b.path} have no measure in common; evaluate again")
    order = list(MEASURES)
    found.sort(
        key=lambda item: (
            order.index(item.result.measure),
            item.result.difference,
            item.result.sequence,
            item.result.object_id,
        )
    )
    means = [
        _mean(measure, [item for item in found if item.result.measure == measure])
        for measure in order
        if any(item.result.measure == measure for item in found)
    ]
    return Comparison(
        a,
        b,
        tuple(item.result for item in found),
        tuple(means),
        {key: _label(first[key]) for key in first if key not in second},
        {key: _label(second[key]) for key in second if key not in first},
        tuple(notes),
        tuple(fewer),
    )


def _sequences(objects: Mapping[Key, object]) -> set[str]:
    return {sequence for sequence, _ in objects}


def _counted(first: Mapping[int, ScoreRow], second: Mapping[int, ScoreRow]) -> tuple[int, int]:
    """Frames of a seed that the scores of both runs are made of."""
    a, b = next(iter(first.values())), next(iter(second.values()))
    return (a.scored, b.scored) if a.scored and b.scored else (a.frames, b.frames)


@dataclass(frozen=True)
class _Paired:
    """A difference, and that of each common seed."""

    result: Difference
    by_seed: Mapping[int, float]


def _by_object(rows: Iterable[ScoreRow]) -> dict[Key, dict[int, ScoreRow]]:
    """Rows by seed, by object."""
    found: dict[Key, dict[int, ScoreRow]] = {}
    for row in rows:
        found.setdefault((row.sequence, row.object_id), {})[row.seed] = row
    return found


def _compare_object(
    key: Key, a: Mapping[int, ScoreRow], b: Mapping[int, ScoreRow]
) -> tuple[list[_Paired], list[str]]:
    label = _label(b) or _label(a)
    name = _name(key, label)
    notes = []
    seeds = sorted(a.keys() & b.keys())
    for rows, which in ((a, "first"), (b, "second")):
        left_out = sorted(rows.keys() - set(seeds))
        if seeds and left_out:
            text = ", ".join(map(str, left_out))
            notes.append(f"{name}: of the seeds, only the {which} run has {text}; not used")
    if not seeds:
        notes.append(f"{name}: the runs have no seed in common; compared without pairs")
    else:
        a, b = ({seed: rows[seed] for seed in seeds} for rows in (a, b))
    measures = list(MEASURES)[:1]
    truths = [bool(_values(rows, measures[0])) for rows in (a, b)]
    if not all(truths):
        measures = list(MEASURES)[1:]
        if any(truths):
            which = "first" if truths[0] else "second"
            notes.append(f"{name}: only the {which} run has a truth; compared without")
    found = []
    for measure in measures:
        before, after = _values(a, measure), _values(b, measure)
        if before and after:
            found.append(_difference(key, label, measure, before, after))
        elif before or after:
            which = "first" if before else "second"
            notes.append(f"{name}: only the {which} run has a value of '{measure}'")
    return found, notes


def _values(rows: Mapping[int, ScoreRow], measure: str) -> dict[int, float]:
    """The known values, by seed."""
    values = {seed: float(getattr(row, measure)) for seed, row in rows.items()}
    return {seed: value for seed, value in values.items() if not math.isnan(value)}


def _difference(
    key: Key, label: str, measure: str, before: Mapping[int, float], after: Mapping[int, float]
) -> _Paired:
    pairs = {seed: after[seed] - before[seed] for seed in before if seed in after}
    if pairs:
        before, after = ({seed: values[seed] for seed in pairs} for values in (before, after))
        error, significant = _paired_test(list(pairs.values()))
    else:
        error, significant = _welch_test(list(before.values()), list(after.values()))
    result = Difference(
        *key,
        label,
        measure,
        fmean(before.values()),
        fmean(after.values()),
        len(pairs) or min(len(before), len(after)),
        error,
        significant,
    )
    return _Paired(result, pairs)


def _mean(measure: str, items: Sequence[_Paired]) -> Difference:
    """Over objects; its seeds are paired like theirs, if they all have the same ones."""
    seeds = items[0].by_seed.keys()
    error, significant = NAN, None
    if all(item.by_seed.keys() == seeds for item in items):
        error, significant = _paired_test(
            [fmean(item.by_seed[seed] for item in items) for seed in seeds]
        )
    return Difference(
        "",
        0,
        "",
        measure,
        fmean(item.result.before for item in items),
        fmean(item.result.after for item in items),
        min(item.result.seeds for item in items),
        error,
        significant,
    )


def _paired_test(differences: Sequence[float]) -> tuple[float, bool | None]:
    """Standard error of the mean difference, and whether it is significant."""
    count = len(differences)
    if count < 2:
        return NAN, None
    error = math.sqrt(variance(differences) / count)
    return error, _exceeds(fmean(differences), error, count - 1)


def _welch_test(before: Sequence[float], after: Sequence[float]) -> tuple[float, bool | None]:
    """The same for values that do not belong together by pairs."""
    if min(len(before), len(after)) < 2:
        return NAN, None
    parts = [(variance(values) / len(values), len(values) - 1) for values in (before, after)]
    total = sum(part for part, _ in parts)
    freedom = min(free for _, free in parts)
    if total > 0:
        freedom = int(total**2 / sum(part**2 / free for part, free in parts) + EQUAL)
    error = math.sqrt(total)
    return error, _exceeds(fmean(after) - fmean(before), error, freedom)


def _exceeds(difference: float, error: float, freedom: int) -> bool:
    return abs(difference) > max(EQUAL, student_limit(freedom) * error)


def student_limit(freedom: int) -> float:
    """How many standard errors chance explains (5 %, two-sided), for so many degrees of freedom.

    Exact to 3 digits up to 10, and 12, 15, 20, 30 and 60; between these that of the smaller.
    """
    return _STUDENT[max(known for known in _STUDENT if known <= freedom)]


def worse_than(comparison: Comparison, tolerance: float) -> list[str]:
    """What a regression test has to complain about, in a line each; empty if nothing.

    That is each object, and each mean, that lost more than the tolerance, be it by chance or not;
    and each object that the second run lacks, or of which it counts fewer frames, or a second run
    that is partial: nobody knows what became of the rest.

    Args:
        comparison: of two runs.
        tolerance: the loss that is accepted, 0 to 1, in the measures' own unit (0.01: one point
            of J&F).

    Raises:
        UserError: a tolerance that is not one.
    """
    if not 0 <= tolerance <= 1:  # NaN is not
        raise UserError(f"the tolerance must be between 0 and 1, got {tolerance}")
    lines = []
    for item in (*comparison.means, *comparison.differences):
        if -item.difference > tolerance + EQUAL:
            chance = ", which chance may explain" if item.significant is False else ""
            lines.append(
                f"{item.name}: {MEASURES[item.measure]} {item.before:.4f} → {item.after:.4f} "
                f"({item.difference:+.4f}){chance}"
            )
    for key, label in comparison.only_before.items():
        lines.append(f"{_name(key, label)}: not in the second run")
    lines += comparison.fewer
    if comparison.after.partial is not None:
        lines.append(f"the second run is partial: {comparison.after.partial}")
    return lines


def format_comparison(comparison: Comparison) -> str:
    """A comparison as a table of text, for a terminal; the values in percent."""
    a, b = comparison.before, comparison.after
    lines = [f"before: {_described(a)}", f"after:  {_described(b)}", *_changes(a, b)]
    for mean in comparison.means:
        items = [item for item in comparison.differences if item.measure == mean.measure]
        name = MEASURES[mean.measure]
        head = [
            "object",
            f"{name} before",
            "after",
            "difference",
            "± error",
            "seeds",
            "significant",
        ]
        lines.append("")
        for verdict in ("worse", "unchanged", "better"):
            group = [_cells(item) for item in items if item.verdict == verdict]
            if group:
                lines += [f"{verdict}: {len(group)}", *text_table(head, group), ""]
        count = f"{len(items)} object" + ("s" if len(items) > 1 else "")
        lines += [f"all: {count}", *text_table(head, [_cells(mean)])]
    for which, objects in (
        ("only before", comparison.only_before),
        ("only after", comparison.only_after),
    ):
        if objects:
            names = ", ".join(_name(key, label) for key, label in objects.items())
            lines += ["", f"{which}: {names}"]
    if comparison.notes:
        lines += ["", *(f"note: {note}" for note in comparison.notes)]
    return "\n".join(lines) + "\n"


def _described(run: Run) -> str:
    return f"{run.title} ({run.path})"


def _changes(before: Run, after: Run) -> list[str]:
    """The parameters that the runs differ in, a line each."""
    first, second = before.configuration, after.configuration
    if not first or not second:
        return []
    return [
        f"{name}: {first.get(name, 'none')} → {second.get(name, 'none')}"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def _cells(item: Difference) -> list[str]:
    error = "" if math.isnan(item.standard_error) else f"{100 * item.standard_error:.2f}"
    significant = {True: "yes", False: "no", None: ""}[item.significant]
    values = [
        f"{100 * item.before:.2f}",
        f"{100 * item.after:.2f}",
        f"{100 * item.difference:+.2f}",
    ]
    return [item.name, *values, error, str(item.seeds), significant]


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of an aligned table: columns of numbers at the right, the first and others left."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    right = [
        column > 0 and all(row[column][:1] in "+-–0123456789" for row in rows)
        for column in range(len(head))
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right)
        )
        return "  ".join(padded).rstrip()

    return [line(head), line(["─" * width for width in widths]), *map(line, rows)]


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write a comparison as CSV: means first (without a sequence), then one line per object and
    measure, then the objects that one run lacks, without a measure.

    Raises:
        UserError: the file cannot be written.
    """
    head = [
        "sequence", "object_id", "label", "measure", "before", "after", "difference",
        "standard_error", "seeds", "significant", "verdict",
    ]  # fmt: skip
    rows: list[list[object]] = [
        [
            item.sequence,
            item.object_id or "",
            item.label,
            item.measure,
            item.before,
            item.after,
            item.difference,
            "" if math.isnan(item.standard_error) else item.standard_error,
            item.seeds,
            "" if item.significant is None else item.significant,
            item.verdict,
        ]
        for item in (*comparison.means, *comparison.differences)
    ]
    for verdict, objects in (
        ("only before", comparison.only_before),
        ("only after", comparison.only_after),
    ):
        rows += [[*key, label, *[""] * 7, verdict] for key, label in objects.items()]
    write_csv(path, [head, *rows])


def write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    """Write lines of cells as CSV (UTF-8); UserError if the file cannot be written."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); check the path") from error


def plot_comparison(path: Path, comparison: Comparison) -> None:
    """Draw the differences of the comparison's first measure (J&F if anything has one) as SVG.

    Raises:
        UserError: the file cannot be written.
    """
    from sam_pt_ros.evaluation.charts import difference_chart, save_chart

    measure = comparison.means[0].measure
    items = [item for item in comparison.differences if item.measure == measure]
    svg = difference_chart(
        [item.name for item in items],
        [item.before for item in items],
        [item.after for item in items],
        MEASURES[measure],
    )
    save_chart(path, svg)


def _label(rows: Mapping[int, ScoreRow]) -> str:
    """The object's name: of the first seed that has one."""
    return next((row.label for row in rows.values() if row.label), "")


def _name(key: Key, label: str) -> str:
    sequence, object_id = key
    return f"{sequence} {object_id} ({label})" if label else f"{sequence} {object_id}"


def _some_names(objects: Mapping[Key, object]) -> str:
    names = [_name(key, "") for key in objects]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
