"""What comes with every image is logged in measure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sam_pt_ros.ros import reporter
from sam_pt_ros.ros.reporter import REPETITION, Reporter


class NodeDouble:
    """A node that writes down what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.context = SimpleNamespace(ok=lambda: True)

    def get_logger(self) -> Any:
        return SimpleNamespace(error=self.lines.append, warning=self.lines.append)


class HandClock:
    """A clock that is moved by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    made = HandClock()
    monkeypatch.setattr(reporter, "time", made)
    return made


def test_the_same_line_is_repeated_after_a_while_only(clock: HandClock) -> None:
    node = NodeDouble()
    made = Reporter(node)  # type: ignore[arg-type]
    for _ in range(100):
        made.error("broken")
        made.warning("odd", 10 * REPETITION)
        clock.now += REPETITION / 20
    assert node.lines.count("broken") == 5 and node.lines.count("odd") == 1


def test_what_is_repeated_seldom_leaves_room_for_other_lines(clock: HandClock) -> None:
    node = NodeDouble()
    made = Reporter(node)  # type: ignore[arg-type]
    for number in range(15):
        made.warning(f"seldom {number}", 1000.0)
    clock.now += REPETITION
    for number in range(15):
        made.error(f"often {number}")
    assert len(node.lines) == 30


def test_lines_that_are_all_different_do_not_flood_the_log(clock: HandClock) -> None:
    node = NodeDouble()
    made = Reporter(node)  # type: ignore[arg-type]
    for number in range(1000):
        made.error(f"broken {number}")
    assert len(node.lines) == 20
    clock.now += REPETITION
    made.error("another")
    assert node.lines[-1] == "another"
