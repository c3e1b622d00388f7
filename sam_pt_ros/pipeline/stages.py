"""How long the stages of a frame take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Milliseconds by stage. A stage within another counts as part of the outer one."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self._milliseconds: dict[str, float] = {}
        self._within: str | None = None

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block to the stage ``name``."""
        if self._within is not None:
            yield
            return
        begin = time.perf_counter()
        self._within = name
        try:
            yield
        finally:
            self._within = None
            elapsed = (time.perf_counter() - begin) * 1e3
            self._milliseconds[name] = self._milliseconds.get(name, 0.0) + elapsed

    @contextmanager
    def ignore(self) -> Iterator[None]:
        """Measure nothing in the block: its work belongs to no frame."""
        kept, self._milliseconds = self._milliseconds, {}
        try:
            yield
        finally:
            self._milliseconds = kept

    def take(self) -> dict[str, float]:
        """The milliseconds by stage since the last call."""
        taken, self._milliseconds = self._milliseconds, {}
        return taken
