"""Sweeps: one evaluation per combination of values of a configuration's options.

The table has the form of the ablations in the paper of SAM-PT (arXiv 2307.01197): what varies,
then J&F, J and F as mean and standard deviation over the seeds, then the gain.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import re
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from sam_pt_ros.configuration import BackendOptions, Configuration, load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.compare import text_table, write_csv
from sam_pt_ros.evaluation.results import NAN, SCORES_FILE, ScoreRow, read_rows, write_rows
from sam_pt_ros.options import OptionSpec, did_you_mean, specs
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.segmenters import segmenters
from sam_pt_ros.trackers import trackers

CONFIGURATION_FILE = "configuration.yaml"
"""In a combination's folder: what it is run with."""

MARKER_FILE = "complete.txt"
"""In a combination's folder, written last: what its scores belong to."""

LONGEST_NAME = 120
"""Characters of a folder's name."""

MAX_COMBINATIONS = 10000

TRUTH_MEASURES = {"j_and_f": "J&F", "j_mean": "J", "f_mean": "F"}
OTHER_MEASURES = {"tracked": "tracked", "score": "score"}
"""Columns, by attribute of a :class:`~.results.ScoreRow`; these where nothing has a truth."""


@dataclass(frozen=True)
class Axis:
    """An option and the values that it takes in turn.

    Attributes:
        name: of the option; those of a tracker or a segmenter with its name and a dot before.
        values: at least one, each once, of the option's type.
    """

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UserError(f"'{self.name}' has no values; write {self.name}=VALUE,VALUE")
        texts = [_text(value) for value in self.values]
        for text in texts:
            if texts.count(text) > 1:
                raise UserError(f"'{self.name}' has the value {text} twice")

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Read ``NAME=VALUE,VALUE,...``; the values are YAML.

        Raises:
            UserError: another form, an unknown option, or a value that it does not take.
        """
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UserError(f"'{text}' is not an axis of a sweep; write NAME=VALUE,VALUE")
        spec = _spec(name)
        try:
            found = yaml.safe_load(f"[{values}]")
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"the values of '{text}' are not YAML; quote them") from error
        return cls(name, tuple(spec.check(value, f"'{text}'") for value in found))


@dataclass(frozen=True)
class Combination:
    """A value for each option that varies.

    Attributes:
        values: by name of the option, in order of the axes.
    """

    values: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        """Such as ``positive_points=8__reinitialization=A``; can be the name of a folder.

        Where characters had to be replaced, or the name was too long, the start of a SHA-256
        keeps it unique.
        """
        plain = "__".join(f"{name}={_text(value)}" for name, value in self.values)
        safe = re.sub(r"[^A-Za-z0-9._=+-]", "-", plain)
        if safe == plain and len(plain) <= LONGEST_NAME:
            return plain
        digest = hashlib.sha256(plain.encode()).hexdigest()[:10]
        return f"{safe[: LONGEST_NAME - 11]}-{digest}"


@dataclass(frozen=True)
class Grid:
    """All combinations of the values of some axes.

    Attributes:
        axes: at least one, each option once.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        names = [axis.name for axis in self.axes]
        if not names:
            raise UserError("a sweep needs something that varies; write NAME=VALUE,VALUE")
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"'{name}' is given twice; write all of its values in one place")
        if math.prod(len(axis.values) for axis in self.axes) > MAX_COMBINATIONS:
            raise UserError(f"more than {MAX_COMBINATIONS} combinations; sweep over fewer values")

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Grid:
        """Read one text per axis, such as ``positive_points=8,16``; see :meth:`Axis.parse`."""
        return cls(tuple(Axis.parse(text) for text in texts))

    @property
    def names(self) -> list[str]:
        """Of the options that vary, in order."""
        return [axis.name for axis in self.axes]

    @property
    def combinations(self) -> list[Combination]:
        """All of them; the last axis varies fastest."""
        products = itertools.product(*(axis.values for axis in self.axes))
        return [Combination(tuple(zip(self.names, values))) for values in products]


@dataclass(frozen=True)
class Entry:
    """What became of one combination.

    Attributes:
        combination: the values.
        rows: its scores; empty after an error.
        error: what went wrong, in one line; None if nothing did.
        details: the traceback of the error.
        resumed: the scores are those of an earlier run of the sweep.
    """

    combination: Combination
    rows: tuple[ScoreRow, ...]
    error: str | None = None
    details: str = ""
    resumed: bool = False


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        grid: what was varied.
        entries: one per combination, in order of the grid.
    """

    grid: Grid
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Spread:
    """A measure over the seeds.

    Attributes:
        mean: NaN if no seed has a value.
        deviation: standard deviation (n - 1); NaN for fewer than two seeds.
        seeds: that have a value.
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


def write_configuration(base: Path, combination: Combination, path: Path) -> None:
    """Write a configuration file: the base with the values of a combination.

    Comments are not kept. The folder is made if there is none.

    Raises:
        UserError: the base is not a configuration file, or the values do not go together; then
            nothing is written.
    """
    text, _ = _configured(base, combination)
    _write(path, text)


def run_sweep(
    base: Path,
    grid: Grid,
    out: Path,
    evaluate: Callable[[Path, Path], Sequence[ScoreRow]],
    on_combination: Callable[[Entry], None] = lambda entry: None,
    *,
    conditions: str = "",
) -> SweepResult:
    """Evaluate every combination into a folder of its own, ``out/<name>/``.

    What an earlier sweep finished with the same configuration and under the same conditions is
    read, not run again. A combination that fails costs no other one.

    Args:
        base: the configuration file whose values are replaced.
        grid: the combinations.
        out: made if there is none.
        evaluate: called with a configuration file and the folder that it lies in; returns the
            scores, all of them: if a sequence failed, it raises.
        on_combination: called after each combination.
        conditions: in words, what the scores depend on beside the configuration (data set,
            sequences, seeds).

    Raises:
        UserError: before anything is evaluated: the base is no configuration file, a
            combination is not valid, or an option would have no effect.
    """
    combinations = grid.combinations
    configured = [_configured(base, combination) for combination in combinations]
    _check_effect(base, grid, [configuration for _, configuration in configured])
    entries = []
    for combination, (text, _) in zip(combinations, configured):
        folder = out / combination.name
        marker = f"{text}\n{conditions}\n"
        entry = _finished(combination, folder, marker)
        if entry is None:
            entry = _evaluated(combination, folder, evaluate, text, marker)
        entries.append(entry)
        on_combination(entry)
    return SweepResult(grid, tuple(entries))


def format_sweep(result: SweepResult) -> str:
    """The table of a sweep as text, for a terminal; the values in percent.

    Of each measure the mean ± the standard deviation over the seeds; then the gain over the row
    before, and over the first row. Combinations that failed have no values.
    """
    measures = _measures(result)
    titles = [*measures.values(), "gain", "in all", "seeds"]
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
        rows.append([*(_text(value) for _, value in line.entry.combination.values), *cells])
    lines = text_table(head, rows)
    failed = [entry for entry in result.entries if entry.error is not None]
    if failed:
        lines += ["", *(f"failed: {entry.combination.name}: {entry.error}" for entry in failed)]
    if not _over_the_same(result):
        lines += ["", "note: not all rows and seeds are over the same objects"]
    return "\n".join(lines) + "\n"


def write_sweep(path: Path, result: SweepResult) -> None:
    """Write the table of a sweep as CSV; values from 0 to 1, an empty cell for none.

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
        cells: list[object] = [_text(value) for _, value in entry.combination.values]
        for spread in line.spreads:
            cells += [_cell(spread.mean), _cell(spread.deviation)]
        cells += [_cell(gained.gain), _cell(gained.total_gain)]
        objects = {(row.sequence, row.object_id) for row in entry.rows}
        cells += [gained.spreads[0].seeds, len(objects), entry.error or ""]
        rows.append(cells)
    write_csv(path, [head, *rows])


@dataclass(frozen=True)
class _Line:
    """A row of the table; the gains are those of the first measure, NaN for none."""

    entry: Entry
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
    """Those with a truth, if anything has one."""
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


def _cell(value: float) -> object:
    return "" if math.isnan(value) else value


def _spec(name: str) -> OptionSpec:
    """What is known about an option; UserError if there is none of that name."""
    head, dot, rest = name.partition(".")
    general = {
        spec.name: spec
        for options in (BackendOptions, SamPtOptions, NodeOptions)
        for spec in specs(options)
    }
    if name == "seed":
        raise UserError("'seed' is not varied but repeated: name the seeds of the evaluation")
    if not dot:
        if name not in general:
            raise UserError(f"unknown option '{name}'{did_you_mean(name, general)}")
        return general[name]
    backends: dict[str, Any] = dict.fromkeys(trackers.names(), trackers)
    backends |= dict.fromkeys(segmenters.names(), segmenters)
    if head not in backends:
        raise UserError(f"unknown tracker or segmenter '{head}'{did_you_mean(head, backends)}")
    known = {spec.name: spec for spec in specs(backends[head].load(head).Options)}
    if rest not in known:
        raise UserError(f"'{head}' has no option '{rest}'{did_you_mean(rest, known)}")
    return known[rest]


def _check_effect(base: Path, grid: Grid, configurations: Sequence[Configuration]) -> None:
    """UserError if an option belongs to a backend that no combination uses."""
    used = {
        name
        for configuration in configurations
        for name in (configuration.backends.tracker, configuration.backends.segmenter)
    }
    for axis in grid.axes:
        head, dot, _ = axis.name.partition(".")
        if dot and head not in used:
            raise UserError(
                f"{base}: '{axis.name}' has no effect, as '{head}' is not in use (that are "
                f"{', '.join(sorted(used))}); take another base"
            )


def _configured(base: Path, combination: Combination) -> tuple[str, Configuration]:
    """The text of a configuration file, and what it says; UserError if it is not valid."""
    load_configuration(base)
    sections: dict[str, Any] = yaml.safe_load(base.read_text(encoding="utf-8"))
    values: dict[str, Any] = {}
    for section in sections.values():
        values = section["ros__parameters"]
        for name, _ in combination.values:
            values = _without(values, name)
        section["ros__parameters"] = values
    for name, value in combination.values:  # in the last section, which has the last say
        _set(values, name, list(value) if isinstance(value, tuple) else value)
    text = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, base.name)
        path.write_text(text, encoding="utf-8")
        try:
            return text, load_configuration(path)
        except UserError as error:
            reason = str(error).replace(str(path), str(base))
            raise UserError(f"{reason} (with {combination.name})") from error


def _without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Options less one, whose name may be written with dots or be nested."""
    made: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and name.startswith(f"{key}."):
            made[key] = _without(value, name[len(key) + 1 :])
        elif key != name:
            made[key] = value
    return made


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    head, dot, rest = name.partition(".")
    if dot:
        _set(values.setdefault(head, {}), rest, value)
    else:
        values[name] = value


def _finished(combination: Combination, folder: Path, marker: str) -> Entry | None:
    """The scores of an earlier sweep, if they are whole and belong to this one."""
    try:
        if (folder / MARKER_FILE).read_text(encoding="utf-8") != marker:
            return None
        rows = tuple(read_rows(folder / SCORES_FILE, ScoreRow))
    except (OSError, ValueError):  # UserError is one
        return None
    return Entry(combination, rows, resumed=True) if rows else None


def _evaluated(
    combination: Combination,
    folder: Path,
    evaluate: Callable[[Path, Path], Sequence[ScoreRow]],
    text: str,
    marker: str,
) -> Entry:
    configuration = folder / CONFIGURATION_FILE
    try:
        for stale in (folder / MARKER_FILE, folder / SCORES_FILE):
            stale.unlink(missing_ok=True)
        _write(configuration, text)
        rows = tuple(evaluate(configuration, folder))
        if not rows:
            raise UserError("the evaluation gave no scores; look at the errors of its sequences")
        write_rows(folder / SCORES_FILE, ScoreRow, rows)
        _write(folder / MARKER_FILE, marker)
    except Exception as error:  # whatever went wrong, the other combinations go on
        line = " ".join(str(error).split())
        if not isinstance(error, UserError):
            line = f"{type(error).__name__}: {line}"
        details = "".join(traceback.format_exception(error))
        return Entry(combination, (), line, details)
    return Entry(combination, rows)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, into a folder that is made; UserError if it cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from error


def _text(value: Any) -> str:
    """A value as YAML has it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(each) for each in value)
    return str(value)
