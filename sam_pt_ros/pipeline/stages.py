"""How long the stages of a frame take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stages:
    """Milliseconds by stage; what is done within a stage counts as that stage's."""

    milliseconds: dict[str, float] = field(default_factory=dict)
    within: str | None = None

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        if self.within is not None:
            yield
            return
        begin = time.perf_counter()
        self.within = name
        try:
            yield
        finally:
            self.within = None
            elapsed = (time.perf_counter() - begin) * 1e3
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + elapsed
