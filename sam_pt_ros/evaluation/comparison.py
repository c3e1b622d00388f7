"""Two runs side by side: what got better, what got worse, and whether chance explains it.

Each object is compared between the runs seed by seed: the paired differences are tested with
Student's t (:mod:`~.significance`). Runs without a common seed are compared without pairs
(Welch's test). One seed alone says nothing about chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import ScoreRow
from sam_pt_ros.evaluation.scored_run import ObjectKey, ScoredRun, object_title
from sam_pt_ros.evaluation.significance import (
    ROUNDING,
    DifferenceTest,
    paired_test,
    welch_test,
)

COMPARED_MEASURES = {"j_and_f": "J&F", "tracked": "tracked", "score": "score"}
"""Titles of what is compared, by attribute of a :class:`~.results.ScoreRow`; higher is better.
The last two are for objects without a ground truth."""

_TRUTH_MEASURE, *_OTHER_MEASURES = COMPARED_MEASURES


@dataclass(frozen=True)
class Difference:
    """One measure in both runs: of one object, or of all objects that both runs have.

    Attributes:
        sequence: the object's; empty for all objects.
        object_id: 1 to 65535; 0 for all objects.
        label: the object's name; may be empty.
        measure: a key of :data:`COMPARED_MEASURES`.
        before: mean over the seeds of the first run, 0 to 1.
        after: that of the second run.
        seeds: number of pairs of seeds; without a common seed the smaller number of seeds.
        test: what the seeds tell about the difference.
    """

    sequence: str
    object_id: int
    label: str
    measure: str
    before: float
    after: float
    seeds: int
    test: DifferenceTest

    @property
    def standard_error(self) -> float:
        """Of :attr:`difference`; NaN if there are too few seeds."""
        return self.test.standard_error

    @property
    def significant(self) -> bool | None:
        """Whether chance does not explain it; None if there are too few seeds."""
        return self.test.significant

    @property
    def difference(self) -> float:
        """Positive is better."""
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``unchanged``."""
        if abs(self.difference) <= ROUNDING:
            return "unchanged"
        return "better" if self.difference > 0 else "worse"

    @property
    def name(self) -> str:
        """The object's name for people; ``mean`` for all objects."""
        if not self.object_id:
            return "mean"
        return object_title((self.sequence, self.object_id), self.label)


@dataclass(frozen=True)
class Comparison:
    """How the second run differs from the first.

    Attributes:
        before: the first run.
        after: the second run.
        differences: per object and measure, at least one; by measure, then the worst first.
        means: per measure, over all objects that have it in both runs; each object counts the
            same.
        only_before: labels of the objects that the second run lacks.
        only_after: labels of the objects that the first run lacks.
        notes: what limits the comparison, a sentence each.
        fewer: those of the notes that say that the second run scores less of an object.
    """

    before: ScoredRun
    after: ScoredRun
    differences: tuple[Difference, ...]
    means: tuple[Difference, ...]
    only_before: Mapping[ObjectKey, str]
    only_after: Mapping[ObjectKey, str]
    notes: tuple[str, ...]
    fewer: tuple[str, ...] = ()

    @property
    def worst(self) -> Difference:
        """The largest loss; the smallest gain if nothing lost."""
        return min(self.differences, key=lambda item: item.difference)


def compare_runs(before: ScoredRun, after: ScoredRun) -> Comparison:
    """Compare two runs object by object.

    J&F is compared where both runs have a ground truth; otherwise the share of tracked frames and
    the score of the masks. Seeds that only one run has of an object are not used, unless the runs
    have no common seed.

    Raises:
        UserError: the runs have no object in common.
    """
    notes = [
        f"the {which} run is partial: {run.partial}"
        for run, which in ((before, "first"), (after, "second"))
        if run.partial is not None
    ]
    first = before.by_object()
    second, renamed = _with_common_sequence(first, after.by_object())
    notes += renamed
    common = [key for key in first if key in second]
    if not common:
        raise UserError(
            f"{before.path} and {after.path} have no object in common: {_some_names(first)} and "
            f"{_some_names(second)}; compare runs of the same sequences"
        )
    compared = [_compare_object(key, first[key], second[key]) for key in common]
    found = [pair for each in compared for pair in each.measured]
    if not found:
        raise UserError(
            f"{before.path} and {after.path} have no measure in common; evaluate again"
        )
    found.sort(key=_worst_first)
    means = [
        _mean(measure, [item for item in found if item.result.measure == measure])
        for measure in COMPARED_MEASURES
        if any(item.result.measure == measure for item in found)
    ]
    return Comparison(
        before,
        after,
        tuple(item.result for item in found),
        tuple(means),
        {key: _label(first[key]) for key in first if key not in second},
        {key: _label(second[key]) for key in second if key not in first},
        (*notes, *(note for each in compared for note in each.notes)),
        tuple(note for each in compared for note in each.fewer),
    )


_RowsOfObjects = Mapping[ObjectKey, Mapping[int, ScoreRow]]  # by object and seed


def _with_common_sequence(
    first: _RowsOfObjects, second: _RowsOfObjects
) -> tuple[_RowsOfObjects, list[str]]:
    """The second run's rows, and a note if they take over the name of the first run's sequence.

    Two recordings have names of their own, but are compared.
    """
    names, other_names = ({sequence for sequence, _ in rows} for rows in (first, second))
    if not (len(names) == len(other_names) == 1 and names != other_names):
        return second, []
    (name,) = names
    note = f"the two sequences have different names: {', '.join(sorted(names | other_names))}"
    return {(name, object_id): rows for (_, object_id), rows in second.items()}, [note]


@dataclass(frozen=True)
class _Paired:
    """A difference, and that of each common seed."""

    result: Difference
    by_seed: Mapping[int, float]


def _worst_first(item: _Paired) -> tuple[int, float, str, int]:
    """A key to sort by: measure, difference, object."""
    result = item.result
    order = list(COMPARED_MEASURES).index(result.measure)
    return order, result.difference, result.sequence, result.object_id


@dataclass(frozen=True)
class _ComparedObject:
    """One object in both runs; notes as in :class:`Comparison`."""

    measured: tuple[_Paired, ...]
    notes: tuple[str, ...]
    fewer: tuple[str, ...]


def _compare_object(
    key: ObjectKey, first: Mapping[int, ScoreRow], second: Mapping[int, ScoreRow]
) -> _ComparedObject:
    label = _label(second) or _label(first)
    name = object_title(key, label)
    a, b, notes = _common_seeds(name, first, second)
    measures = _OTHER_MEASURES
    truths = [bool(_values(rows, _TRUTH_MEASURE)) for rows in (a, b)]
    if all(truths):
        measures = [_TRUTH_MEASURE]
    elif any(truths):
        which = "first" if truths[0] else "second"
        notes.append(f"{name}: only the {which} run has a truth; compared without it")
    measured = []
    for measure in measures:
        before, after = _values(a, measure), _values(b, measure)
        if before and after:
            measured.append(_difference(key, label, measure, before, after))
        elif before or after:
            which = "first" if before else "second"
            notes.append(f"{name}: only the {which} run has a value of '{measure}'")
    fewer = notes.copy() if truths == [True, False] else []
    counted = _scored_frames(first, second)
    if counted[0] != counted[1]:
        name = object_title(key, _label(second))
        note = f"{name}: {counted[0]} frames count in the first run, {counted[1]} in the second"
        notes.append(note)
        if counted[1] < counted[0]:
            fewer.append(note)
    return _ComparedObject(tuple(measured), tuple(notes), tuple(fewer))


def _common_seeds(
    name: str, first: Mapping[int, ScoreRow], second: Mapping[int, ScoreRow]
) -> tuple[Mapping[int, ScoreRow], Mapping[int, ScoreRow], list[str]]:
    """The rows of the seeds that both runs have, else all; and notes on those left out."""
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return first, second, [f"{name}: the runs have no common seed; compared without pairs"]
    notes = []
    for rows, which in ((first, "first"), (second, "second")):
        left_out = sorted(rows.keys() - set(seeds))
        if left_out:
            text = ", ".join(map(str, left_out))
            notes.append(f"{name}: only the {which} run has the seeds {text}; not used")
    return {seed: first[seed] for seed in seeds}, {seed: second[seed] for seed in seeds}, notes


def _scored_frames(
    first: Mapping[int, ScoreRow], second: Mapping[int, ScoreRow]
) -> tuple[int, int]:
    """Frames of a seed that count in the scores of both runs."""
    a, b = next(iter(first.values())), next(iter(second.values()))
    return (a.scored, b.scored) if a.scored and b.scored else (a.frames, b.frames)


def _values(rows: Mapping[int, ScoreRow], measure: str) -> dict[int, float]:
    """The known values, by seed."""
    values = {seed: float(getattr(row, measure)) for seed, row in rows.items()}
    return {seed: value for seed, value in values.items() if not math.isnan(value)}


def _difference(
    key: ObjectKey,
    label: str,
    measure: str,
    before: Mapping[int, float],
    after: Mapping[int, float],
) -> _Paired:
    pairs = {seed: after[seed] - before[seed] for seed in before if seed in after}
    if pairs:
        before, after = ({seed: values[seed] for seed in pairs} for values in (before, after))
        test = paired_test(list(pairs.values()))
    else:
        test = welch_test(list(before.values()), list(after.values()))
    seeds = len(pairs) or min(len(before), len(after))
    means = fmean(before.values()), fmean(after.values())
    return _Paired(Difference(*key, label, measure, *means, seeds, test), pairs)


def _mean(measure: str, items: Sequence[_Paired]) -> Difference:
    """Over objects; seeds are paired if all objects have the same ones."""
    seeds = items[0].by_seed.keys()
    test = DifferenceTest()
    if all(item.by_seed.keys() == seeds for item in items):
        test = paired_test([fmean(item.by_seed[seed] for item in items) for seed in seeds])
    return Difference(
        "",
        0,
        "",
        measure,
        fmean(item.result.before for item in items),
        fmean(item.result.after for item in items),
        min(item.result.seeds for item in items),
        test,
    )


def worse_than(comparison: Comparison, tolerance: float) -> list[str]:
    """The findings that fail a regression test, one line each; empty if it passes.

    They are each object and each mean that lost more than the tolerance, whether chance explains
    it or not. An object that the second run lacks, an object of which it scores fewer frames, and
    a partial second run count, too, because the rest is unknown.

    Args:
        comparison: of two runs.
        tolerance: the accepted loss, 0 to 1, in the measures' own unit (0.01: one point of J&F).

    Raises:
        UserError: the tolerance is out of range.
    """
    if not 0 <= tolerance <= 1:  # NaN is not
        raise UserError(f"the tolerance must be between 0 and 1, got {tolerance}")
    lines = []
    for item in (*comparison.means, *comparison.differences):
        if -item.difference > tolerance + ROUNDING:
            chance = ", which chance may explain" if item.significant is False else ""
            lines.append(
                f"{item.name}: {COMPARED_MEASURES[item.measure]} {item.before:.4f} → "
                f"{item.after:.4f} ({item.difference:+.4f}){chance}"
            )
    for key, label in comparison.only_before.items():
        lines.append(f"{object_title(key, label)}: missing from the second run")
    lines += comparison.fewer
    if comparison.after.partial is not None:
        lines.append(f"the second run is partial: {comparison.after.partial}")
    return lines


def _label(rows: Mapping[int, ScoreRow]) -> str:
    """The object's name: of the first seed that has one."""
    return next((row.label for row in rows.values() if row.label), "")


def _some_names(objects: Mapping[ObjectKey, object]) -> str:
    names = [object_title(key, "") for key in objects]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
