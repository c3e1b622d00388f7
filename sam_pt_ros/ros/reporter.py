"""Logs errors and warnings that may occur with every image, at a limited rate."""

from __future__ import annotations

import time
import traceback
from collections import deque

from rclpy.node import Node

REPETITION = 2.0
"""Seconds between repetitions of the same message."""

_MAX_MESSAGES = 20  # different ones within REPETITION


class Reporter:
    """Logs errors and warnings, but not the same one with every image.

    The executor's thread and the worker's use it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._logged: dict[str, float] = {}  # messages, and until when they are not repeated
        self._times: deque[float] = deque(maxlen=_MAX_MESSAGES)  # of the newest that were logged

    def error(self, text: str) -> None:
        """Log an error."""
        if self._is_due(text):
            self._node.get_logger().error(text)

    def warning(self, text: str, repetition: float = REPETITION) -> None:
        """Log a warning, but not again for ``repetition`` seconds."""
        if self._is_due(text, repetition):
            self._node.get_logger().warning(text)

    def exception(self, what: str, error: BaseException) -> None:
        """Log what failed, the exception, and where it was raised."""
        raised = traceback.extract_tb(error.__traceback__)
        place = f" ({raised[-1].filename}:{raised[-1].lineno})" if raised else ""
        self.error(f"{what}: {error!r}{place}")

    def _is_due(self, text: str, repetition: float = REPETITION) -> bool:
        now = time.monotonic()
        self._logged = {k: t for k, t in self._logged.items() if now < t}
        # Once the context has been shut down, nobody receives it.
        full = len(self._times) == _MAX_MESSAGES and now - self._times[0] < REPETITION
        due = text not in self._logged and not full and self._node.context.ok()
        if due:
            self._logged[text] = now + repetition
            self._times.append(now)
        return due
