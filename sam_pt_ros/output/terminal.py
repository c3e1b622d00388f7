"""What commands print: lines, tables and progress."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_UNLIMITED = 100_000  # columns of a terminal that wraps nothing


def print_line(console: Console, text: str) -> None:
    """Print a line as it is: without markup, and unwrapped, so that a path can be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def format_score(value: float) -> str:
    """A score with three decimals; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.3f}"


def make_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    caption: str | None = None,
) -> Table:
    """A table to print.

    The first column is aligned left, and so is any other that does not hold numbers only.

    Args:
        head: names of the columns; if all are empty, no head is shown.
        rows: as many cells each; plain text, not markup.
        title: printed above.
        caption: printed below.
    """
    table = Table(
        title=None if title is None else Text(title),
        caption=None if caption is None else Text(caption),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_header=any(head),
    )
    for column, name in enumerate(head):
        numeric = column > 0 and all(_is_numeric(row[column]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of :func:`make_table` as text of any width: its head, a rule, and its rows."""
    console = Console(file=io.StringIO(), width=_UNLIMITED, color_system=None)
    with console.capture() as captured:
        console.print(make_table(head, rows))
    return [line.rstrip() for line in captured.get().splitlines()]


def _is_numeric(cell: str) -> bool:
    return cell[:1] in "+-–0123456789"  # an empty cell is, too


def progress_display(console: Console) -> Progress:
    """A display of steps with their remaining time; shown on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def progress_step(
    progress: Progress, description: str, total: int | None = None
) -> Iterator[Callable[[], None]]:
    """Show a step of a command; off a terminal, print its description once.

    Args:
        progress: made by :func:`progress_display`.
        description: of the step.
        total: number of its parts; None if it is unknown.

    Yields:
        A function to call after each part.
    """
    if progress.disable:
        progress.console.print(description)
    task = progress.add_task(description, total=total)
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress.update(task, completed=done)

    yield advance
    progress.update(task, total=done or 1, completed=done or 1)
