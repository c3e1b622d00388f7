"""Tables as text, and lines that stay whole."""

from __future__ import annotations

import io

from rich.console import Console

from sam_pt_ros.output.terminal import print_line, progress_display, progress_step, table_lines


def test_columns_of_numbers_are_aligned_right() -> None:
    lines = table_lines(
        ["name", "J", "note"], [["a [b]", "-1.5", "yes"], ["long name", "+10", ""]]
    )
    assert lines == [
        "name           J   note",
        "───────────────────────",
        "a [b]       -1.5   yes",
        "long name    +10",
    ]


def test_a_table_is_as_wide_as_it_must_be() -> None:
    _, _, row = table_lines(["path"], [["x" * 5000]])
    assert row == "x" * 5000


def test_a_line_is_neither_wrapped_nor_marked_up() -> None:
    file = io.StringIO()
    text = "/a/path/with spaces/[bold]" + "x" * 200
    print_line(Console(file=file, width=40), text)
    assert file.getvalue() == text + "\n"


def test_off_a_terminal_a_step_is_one_line() -> None:
    file = io.StringIO()
    with (
        progress_display(Console(file=file)) as progress,
        progress_step(progress, "Drawing", 2) as advance,
    ):
        advance()
        advance()
    assert file.getvalue() == "Drawing\n"
