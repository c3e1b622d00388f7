"""The scores of an evaluation, read back from its folder to be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import SCORES_FILE, SUMMARY_FILE, ScoreRow, read_rows

ObjectKey = tuple[str, int]
"""Sequence and object id."""


@dataclass(frozen=True)
class ScoredRun:
    """What an evaluation left behind.

    Attributes:
        path: where it was read from.
        title: its name, for people.
        configuration: its parameters, by name; may be empty.
        rows: its scores, at least one, with each combination of sequence, seed and object once.
        partial: why it covers only part of its input; None if it covers all of it.
    """

    path: Path
    title: str
    configuration: Mapping[str, object]
    rows: tuple[ScoreRow, ...]
    partial: str | None = None

    def __post_init__(self) -> None:
        if not self.rows:
            raise UserError(
                f"{self.path}: holds no scores; the evaluation may have been stopped early: "
                "evaluate again"
            )
        seen = set()
        for row in self.rows:
            key = row.sequence, row.seed, row.object_id
            if key in seen:
                raise UserError(
                    f"{self.path}: object {row.object_id} of '{row.sequence}' with seed "
                    f"{row.seed} occurs twice; evaluate again"
                )
            seen.add(key)

    def by_object(self) -> dict[ObjectKey, dict[int, ScoreRow]]:
        """The rows by seed, by object."""
        found: dict[ObjectKey, dict[int, ScoreRow]] = {}
        for row in self.rows:
            found.setdefault((row.sequence, row.object_id), {})[row.seed] = row
        return found


def object_title(key: ObjectKey, label: str) -> str:
    """An object's name for people, such as ``bear 1 (Bruin)``."""
    sequence, object_id = key
    return f"{sequence} {object_id} ({label})" if label else f"{sequence} {object_id}"


def load_run(path: Path) -> ScoredRun:
    """Read the scores of an evaluation.

    Args:
        path: a folder with ``scores.csv`` and possibly ``summary.json`` (whose keys "title",
            "configuration", "partial" and "failures" are read); or the path of a ``scores.csv``.

    Raises:
        UserError: there are no scores, or another version wrote them.
    """
    scores = path / SCORES_FILE if path.is_dir() else path
    if not scores.is_file():
        raise UserError(
            f"{path}: not a run; name the folder of an evaluation, which holds {SCORES_FILE}"
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
    return ScoredRun(
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
        raise UserError(f"{path}: must hold a JSON object; evaluate again")
    return content
