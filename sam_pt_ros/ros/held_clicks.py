"""Clicks of which it is not clear yet which stream they belong to. No ROS here.

A recording that loops publishes the clicks of its first image with it, while that image is still a
stray: it may be the only one of its time. A click may even be a little faster than its image.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

_MAX_HELD = 100


@dataclass(frozen=True, eq=False)
class StampedClick:
    """A click that waits for the pipeline.

    Attributes:
        apply: reads it, applies it, and logs what came of it; it raises nothing, and may be called
            once for each stream.
        stamp: nanoseconds, of the image that was clicked on; None: the newest.
        at: when it arrived, seconds of a clock that never goes back.
    """

    apply: Callable[[], None]
    stamp: int | None
    at: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Stray:
    """An image of another time, which begins a new stream if the next one goes on from it.

    Attributes:
        stamp: its own, nanoseconds.
        at: when it arrived, seconds of the clicks' clock.
        newest: stamp of the newest image of the stream that there is, nanoseconds.
    """

    stamp: int
    at: float
    newest: int

    def owns(self, click: StampedClick) -> bool:
        """Whether a click refers to an image of its time, rather than to one of the stream."""
        if click.stamp is None:
            return click.at >= self.at
        return abs(click.stamp - self.stamp) < abs(click.stamp - self.newest)


class HeldClicks:
    """Applies clicks, and holds those back that refer to a stray.

    All of it is called in the thread that processes.
    """

    def __init__(self) -> None:
        self._stray: Stray | None = None
        self._held: list[StampedClick] = []
        # Applied or refused already, but perhaps before the image that they refer to had come.
        self._early: list[StampedClick] = []

    def take(self, click: StampedClick) -> None:
        """Apply a click, unless it refers to a stray: then it waits for what comes of that."""
        stray = self._stray
        if stray is not None and stray.owns(click) and len(self._held) < _MAX_HELD:
            self._held.append(click)
            return
        self._early = [*self._early[1 - _MAX_HELD :], click]
        click.apply()

    def stray(self, stray: Stray) -> None:
        """An image of another time has come, perhaps after others."""
        before = self._stray
        if before is not None and 0 < stray.stamp - before.stamp < abs(stray.stamp - stray.newest):
            stray = replace(stray, at=before.at)  # clicks without a stamp may mean either
        self._stray = stray
        held, self._held = self._held, []
        for click in held:
            self.take(click)

    def goes_on(self, at: float) -> None:
        """The stream goes on, with an image that arrived then: apply to it what was held back."""
        self._stray = None
        self._early = [click for click in self._early if click.at > at]
        held, self._held = self._held, []
        for click in held:
            click.apply()

    @property
    def kept(self) -> list[StampedClick]:
        """The clicks that a new stream would begin with, in their order."""
        if self._stray is None:
            return []
        return [*filter(self._stray.owns, self._early), *self._held]

    def begins(self) -> None:
        """The stray and its clicks begin a new stream, which has no image yet: apply these."""
        kept = self.kept
        self._stray, self._early, self._held = None, [], []
        for click in kept:
            click.apply()
