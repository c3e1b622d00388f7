"""How far a command has come, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_display(console: Console) -> Progress:
    """A display of steps, with the time that is left; on a terminal only."""
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
def step_of(
    progress: Progress, description: str, total: int | None = None
) -> Iterator[Callable[[], None]]:
    """A line of the progress display; yields what to call when something is done."""
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
