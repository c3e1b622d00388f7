"""Rates, latencies, drops and failures of a stream of images. No ROS here."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

WINDOW = 10.0
"""Seconds over which rates and latencies are measured."""

_MAX_SAMPLES = 2000  # above 200 Hz they cover less than WINDOW


@dataclass(frozen=True)
class FrameTimes:
    """Where the time of one frame went.

    Attributes:
        stamp: the frame's, nanoseconds.
        latency: milliseconds from its stamp until its results were published, by the clock that
            stamps come from; NaN where that is not known.
        waited: milliseconds from its arrival until the pipeline turned to it.
        stages: milliseconds by stage.
        skipped: stages that were left out or cut short.
        dropped: frames that arrived since the one before, and were dropped.
    """

    stamp: int
    latency: float = math.nan
    waited: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    dropped: int = 0


@dataclass(frozen=True)
class HealthSummary:
    """The last :data:`WINDOW` seconds of a stream, and totals since it was configured.

    Attributes:
        input_rate: frames that arrived, per second; if the stream began, or resumed after a
            longer pause, within these seconds, since then.
        output_rate: frames whose results were published, per second.
        silence: seconds since the last frame arrived; infinite before the first.
        owed: seconds for which frames have arrived without any outcome, not even a failure; 0
            if the last one had an outcome.
        latency: milliseconds, by percentile (50, 95, 100); empty without frames.
        stages: mean milliseconds of a frame by stage.
        received: frames that arrived, in total.
        published: frames whose results were published, in total.
        dropped: frames that were dropped for later ones, in total.
        refused: frames that could not be used, in total.
        failed: frames in which a model failed, in total.
        failed_in_a_row: the newest frames in a row in which a model failed.
        skipped: frames in which a stage was left out or cut short, in total, by stage.
        last_error: what failed last; empty as long as nothing has.
        last_refusal: why a frame was refused last; empty before the first.
        stamp_problem: why stamps do not tell frames apart now; empty if they do.
    """

    input_rate: float
    output_rate: float
    silence: float
    owed: float
    latency: Mapping[int, float]
    stages: Mapping[str, float]
    received: int
    published: int
    dropped: int
    refused: int
    failed: int
    failed_in_a_row: int
    skipped: Mapping[str, int]
    last_error: str
    last_refusal: str
    stamp_problem: str


class Health:
    """Counts and measures; any thread may call it.

    Args:
        clock: seconds, of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begin = clock()  # of the stream
        self._arrivals: deque[float] = deque(maxlen=_MAX_SAMPLES)
        self._frames: deque[tuple[float, FrameTimes]] = deque(maxlen=_MAX_SAMPLES)
        self._owed_since: float | None = None
        self._received = self._published = self._dropped = self._refused = 0
        self._failed = self._failed_in_a_row = 0
        self._skipped: dict[str, int] = {}
        self._last_error = self._last_refusal = self._stamp_problem = ""

    def frame_received(self) -> None:
        """A frame has arrived."""
        with self._lock:
            self._received += 1
            now = self._clock()
            if not self._arrivals or now - self._arrivals[-1] > WINDOW:
                # After a pause rates are measured from now on, and older frames owe nothing.
                self._begin = self._owed_since = now
            elif self._owed_since is None:
                self._owed_since = now
            self._arrivals.append(now)

    def frame_refused(self, reason: str) -> None:
        """A frame could not be used."""
        with self._lock:
            self._owed_since = None
            self._refused += 1
            self._last_refusal = reason

    def stamps_seen(self, problem: str) -> None:
        """Why stamps do not tell frames apart; empty if they do."""
        with self._lock:
            self._stamp_problem = problem

    def frame_published(self, times: FrameTimes, problems: Sequence[str] = ()) -> None:
        """The results of a frame were published.

        Args:
            times: what it took.
            problems: what failed in it, in words.
        """
        with self._lock:
            self._owed_since = None
            self._published += 1
            self._dropped += times.dropped
            self._frames.append((self._clock(), times))
            for stage in times.skipped:
                self._skipped[stage] = self._skipped.get(stage, 0) + 1
            if problems:
                self._failed += 1
                self._failed_in_a_row += 1
                self._last_error = problems[-1]
            else:
                self._failed_in_a_row = 0

    def frame_failed(self, reason: str) -> None:
        """A frame has no result because a model failed."""
        with self._lock:
            self._owed_since = None
            self._failed += 1
            self._failed_in_a_row += 1
            self._last_error = reason

    def _rate(self, times: Sequence[float], now: float) -> float:
        """Frames per second; ``times`` ascend, and the first frame of a stream begins it."""
        since = max(now - WINDOW, self._begin)
        if len(times) == _MAX_SAMPLES:
            since = max(since, times[0])
        return sum(when > since for when in times) / max(now - since, 1e-3)

    def summary(self) -> HealthSummary:
        """The last :data:`WINDOW` seconds."""
        with self._lock:
            now = self._clock()
            since = now - WINDOW
            times = [frame for when, frame in self._frames if when > since]
            latencies = [t.latency for t in times if math.isfinite(t.latency)]
            stages = sorted({name for t in times for name in t.stages})
            return HealthSummary(
                input_rate=self._rate(self._arrivals, now),
                output_rate=self._rate([when for when, _ in self._frames], now),
                silence=now - self._arrivals[-1] if self._arrivals else math.inf,
                owed=0.0 if self._owed_since is None else now - self._owed_since,
                latency={
                    p: float(np.percentile(latencies, p)) for p in (50, 95, 100) if latencies
                },
                stages={
                    name: float(np.mean([t.stages.get(name, 0.0) for t in times]))
                    for name in stages
                },
                received=self._received,
                published=self._published,
                dropped=self._dropped,
                refused=self._refused,
                failed=self._failed,
                failed_in_a_row=self._failed_in_a_row,
                skipped=dict(self._skipped),
                last_error=self._last_error,
                last_refusal=self._last_refusal,
                stamp_problem=self._stamp_problem,
            )
