"""Hears topics that not every test needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.rig import Rig


class Listening:
    """Hears a topic besides what every rig hears."""

    def __init__(self, rig: Rig, kind: Any, topic: str) -> None:
        self._rig = rig
        self.heard: list[Any] = []
        self._subscription = rig.listener.create_subscription(kind, topic, self._hear, 1000)

    def _hear(self, message: Any) -> None:
        with self._rig._changed:
            self.heard.append(message)
            self._rig._changed.notify_all()

    def wait(self, condition: Callable[[Any], Any], what: str) -> Any:
        """Wait for a message since the last ``forget`` that makes a condition true; its value."""
        return self._rig.wait(
            lambda: next((v for v in map(condition, self.heard) if v), None), what
        )

    def forget(self) -> None:
        with self._rig._changed:
            self.heard.clear()

    def end(self) -> None:
        self._rig.destroy(self._subscription)
