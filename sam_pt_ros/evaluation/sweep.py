"""Sweeps: one evaluation per combination of values of a configuration's options."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sam_pt_ros.configuration import Configuration, load_configuration
from sam_pt_ros.errors import UserError, one_line
from sam_pt_ros.evaluation.results import SCORES_FILE, ScoreRow, read_rows, write_rows
from sam_pt_ros.evaluation.run_folder import CONFIGURATION_FILE
from sam_pt_ros.evaluation.sweep_grid import Combination, Grid
from sam_pt_ros.output.atomic_files import write_text

MARKER_FILE = "complete.txt"
"""In a combination's folder, written last: what its scores belong to."""


@dataclass(frozen=True)
class SweepEntry:
    """The result of one combination.

    Attributes:
        combination: the values.
        rows: its scores; empty after an error.
        error: what went wrong, in one line; None if nothing did.
        details: the traceback of the error; empty without one.
        resumed: whether the scores are those of an earlier sweep.
    """

    combination: Combination
    rows: tuple[ScoreRow, ...]
    error: str | None = None
    details: str = ""
    resumed: bool = False


@dataclass(frozen=True)
class SweepResult:
    """The results of a sweep.

    Attributes:
        grid: what was varied.
        entries: one per combination, in the order of the grid.
    """

    grid: Grid
    entries: tuple[SweepEntry, ...]


def write_configuration(base: Path, combination: Combination, path: Path) -> None:
    """Write a configuration file: the base with the values of a combination.

    Comments are not kept. The folder is created if it does not exist.

    Raises:
        UserError: the base is not a configuration file, or the values are not valid together;
            nothing is written then.
    """
    text, _ = _configured(base, combination)
    write_text(path, text, make_folder=True)


def run_sweep(
    base: Path,
    grid: Grid,
    out: Path,
    evaluate: Callable[[Path, Path], Sequence[ScoreRow]],
    on_combination: Callable[[SweepEntry], None] = lambda entry: None,
    *,
    conditions: str = "",
) -> SweepResult:
    """Evaluate every combination into a folder of its own, ``out/<name>/``.

    Combinations that an earlier sweep finished with the same configuration and under the same
    conditions are not run again. A combination that fails does not affect the others.

    Args:
        base: the configuration file whose values are replaced.
        grid: the combinations.
        out: the folder to write to; it is created if it does not exist.
        evaluate: called with a configuration file and its folder; returns the scores of all
            sequences, and raises if one failed.
        on_combination: called after each combination.
        conditions: what the scores depend on besides the configuration (data set, sequences,
            seeds), as text.

    Raises:
        UserError: the base is not a configuration file, a combination is not valid, or an option
            would have no effect; nothing is evaluated then.
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
                f"{base}: '{axis.name}' has no effect, because the sweep uses "
                f"{', '.join(sorted(used))} and not '{head}'; choose another --config"
            )


def _configured(base: Path, combination: Combination) -> tuple[str, Configuration]:
    """The text of a configuration file, and the configuration; UserError if it is not valid."""
    load_configuration(base)
    sections: dict[str, Any] = yaml.safe_load(base.read_text(encoding="utf-8"))
    values: dict[str, Any] = {}
    for section in sections.values():
        values = section["ros__parameters"]
        for name, _ in combination.values:
            values = _without(values, name)
        section["ros__parameters"] = values
    for name, value in combination.values:  # in the last section, which overrides the others
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
    """The options without one, whose name may be nested or contain dots."""
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


def _finished(combination: Combination, folder: Path, marker: str) -> SweepEntry | None:
    """The scores of an earlier sweep, if they are complete and belong to this one."""
    try:
        if (folder / MARKER_FILE).read_text(encoding="utf-8") != marker:
            return None
        rows = tuple(read_rows(folder / SCORES_FILE, ScoreRow))
    except (OSError, ValueError):  # UserError is one
        return None
    return SweepEntry(combination, rows, resumed=True) if rows else None


def _evaluated(
    combination: Combination,
    folder: Path,
    evaluate: Callable[[Path, Path], Sequence[ScoreRow]],
    text: str,
    marker: str,
) -> SweepEntry:
    configuration = folder / CONFIGURATION_FILE
    try:
        for stale in (folder / MARKER_FILE, folder / SCORES_FILE):
            stale.unlink(missing_ok=True)
        write_text(configuration, text, make_folder=True)
        rows = tuple(evaluate(configuration, folder))
        if not rows:
            raise UserError("the evaluation gave no scores; see the errors of its sequences")
        write_rows(folder / SCORES_FILE, ScoreRow, rows)
        write_text(folder / MARKER_FILE, marker)
    except Exception as error:  # whatever it is, the other combinations are evaluated
        line = one_line(error)
        if not isinstance(error, UserError):
            line = f"{type(error).__name__}: {line}"
        details = "".join(traceback.format_exception(error))
        return SweepEntry(combination, (), line, details)
    return SweepEntry(combination, rows)
