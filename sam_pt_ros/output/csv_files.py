"""CSV files, whose numbers are read back exactly as they were."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from sam_pt_ros.output.atomic_files import replacing


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file (UTF-8), whole or not at all.

    A float is written so that reading it gives the same double; NaN and None become empty cells.

    Args:
        path: the file; its folder exists.
        head: names of the columns.
        rows: as many cells each.

    Raises:
        UserError: the file cannot be written.
    """
    with (
        replacing(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
