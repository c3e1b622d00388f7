"""Files appear whole or not at all, and CSV reads back exactly."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.output.atomic_files import replacing, write_text
from sam_pt_ros.output.csv_files import write_csv


def test_text_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a file.txt"
    path.write_text("old and longer")
    write_text(path, "néw\n")
    assert path.read_bytes() == "néw\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert sorted(tmp_path.iterdir()) == [link, target]


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("half of it")
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        fail()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_refused_or_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file.txt"
    with pytest.raises(UserError, match=r"file\.txt: cannot be written \(No such file"):
        write_text(path, "text")
    write_text(path, "text", make_folder=True)
    assert path.read_text() == "text"
    with pytest.raises(UserError, match="cannot be written"):
        write_text(path / "beneath a file", "text", make_folder=True)


def test_numbers_are_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    row = (0.1 + 0.2, math.nan, None, 7, True, "a, b")
    write_csv(path, ("a", "b", "c", "d", "e", "f"), [row])
    assert path.read_text().startswith("a,b,c,d,e,f\n0.30000000000000004,,,7,True,")
    with path.open(newline="") as file:
        _, cells = csv.reader(file)
    assert cells == ["0.30000000000000004", "", "", "7", "True", "a, b"]


def test_rows_that_fail_leave_no_csv(tmp_path: Path) -> None:
    def rows() -> Iterator[tuple[int]]:
        yield (1,)
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        write_csv(tmp_path / "half.csv", ("a",), rows())
    assert not list(tmp_path.iterdir())
