"""Nodes in the test's process: run until something happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from support.rig import TIMEOUT


def spin_until(node: Node, condition: Callable[[], Any], what: str) -> None:
    """Run a node's callbacks until a condition holds."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    deadline = time.monotonic() + TIMEOUT
    try:
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            executor.spin_once(0.05)
    finally:
        executor.remove_node(node)
        executor.shutdown()


class Logged:
    """Stands in for a node's logger, and keeps what is logged."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warning(self, text: str, **_: Any) -> None:
        self.warnings.append(text)
