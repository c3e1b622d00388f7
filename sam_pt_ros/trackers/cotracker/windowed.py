"""The function of the authors' online predictor: windows of 16 frames that overlap by 8.

For evaluation on recordings, and as the reference. Window w covers the frames 8 w to 8 w + 15; it
is computed when the frame after it has come, or when the stream ends, because points may still be
added in its last frame. Its first 8 frames are final then.

What points owe to each other, as published: every point takes part in every window from the one
on in which its query frame is new, in all 16 frames, also in those before its query. Points that
are announced (``foresee``) take part in the windows before that too, as tokens that have seen
nothing; so the authors' predictor has it, which is told of all queries in advance. Points added in
an earlier frame make the windows from theirs on be computed again.

A removed point is in no window that is computed from then on, or computed again. If no window was
computed with it, it is as if it had never been; otherwise it lives on in the others' tracks in
those windows, from which the next ones start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.trackers.cotracker.engine import TRACK, Engine
from sam_pt_ros.trackers.cotracker.network import WINDOW

_STEP = WINDOW // 2


class WindowedEngine(Engine):
    """Keeps the tracks of the newest windows."""

    # A window begins up to 15 frames before a point that is new in it, and is computed when the
    # first answer for such a point is due: up to 24 frames after it was added.
    reach = 5 * _STEP

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._oldest: int | None = None  # the first frame of the stream, where window 0 begins
        self._windows: dict[int, Tensor] = {}  # by number, (N, 16, 4)
        self._open: Tensor | None = None  # the window after the last full one
        self._foreseen = (self._queries, self.starts)

    def foresee(self, xy: np.ndarray, starts: np.ndarray) -> None:
        self._foreseen = (self._on_device(xy), starts)

    def extend(self, frame: int) -> None:
        super().extend(frame)
        self._oldest = frame if self._oldest is None else self._oldest
        self._open = None

    @property
    def _first(self) -> int:
        assert self._oldest is not None, "no frame has come yet"
        return self._oldest

    def final(self) -> int:
        # The last full window is left out until a frame after it has come.
        return self._first + self._full(self.newest - 1) * _STEP + _STEP - 1

    def _full(self, newest: int) -> int:
        """The number of the last window that has all its frames; -1: none."""
        return max((newest - self._first - WINDOW + 1) // _STEP, -1)

    def _tracks_in(self, frame: int) -> Tensor:
        # What a newer window says of a frame replaces what an older one said.
        full, place = self._full(self.newest), frame - self._first
        self._compute(full)
        number = min(place // _STEP, full + self._has_open(full))
        if number <= full:
            return self._windows[number][:, place - number * _STEP]
        if self._open is None:
            self._open = self._solve(number)
        return self._open[:, place - number * _STEP]

    def _has_open(self, full: int) -> bool:
        """Whether there are frames that the last full window does not reach."""
        return self.newest > self._first + full * _STEP + WINDOW - 1 or full < 0

    def _added(self, xy: Tensor, frame: int) -> None:
        first = self._windows_of(np.array([frame]))[0]
        self._windows = {
            number: torch.cat([window, window.new_zeros(len(xy), WINDOW, TRACK)])
            for number, window in self._windows.items()
            if number < first
        }
        self._open = None

    def _kept(self, rows: Tensor) -> None:
        self._windows, self._open = (
            {number: window[rows] for number, window in self._windows.items()},
            None if self._open is None else self._open[rows],
        )

    def _compute(self, last: int) -> None:
        """All windows up to this one."""
        # Windows before that of the first point have nothing to hand on.
        first = max(*(n + 1 for n in self._windows), int(self._windows_of(self.starts).min()), 0)
        for number in range(first, last + 1):
            self._windows[number] = self._solve(number)
        kept = last - (self.capacity + WINDOW) // _STEP
        self._windows = {n: window for n, window in self._windows.items() if n >= kept}

    def _solve(self, number: int) -> Tensor:
        """The tracks of all points in a window, ``(N, 16, 4)``."""
        start = self._first + number * _STEP
        # Frames that have not come are copies of the newest.
        frames = [min(start + i, self.newest) for i in range(WINDOW)]
        rows = np.flatnonzero(self._windows_of(self.starts) <= number)
        joined = self._on_device(rows)
        places, starts = self._foreseen
        announced = places[self._on_device(np.flatnonzero(starts > frames[-1]))]
        still = torch.cat([announced, torch.zeros_like(announced)], 1)
        tracks = torch.cat([self._initial(number)[joined], still[:, None].expand(-1, WINDOW, -1)])
        blank = self._support.new_zeros(len(announced), *self._support.shape[1:])
        support = torch.cat([self._support[joined], blank])
        for _ in range(self.iterations):
            embedded = torch.stack(
                [
                    self.network.embed(self.features_of(frame), tracks[:, i, :2], support)
                    for i, frame in enumerate(frames)
                ],
                1,
            )
            tracks = tracks + self.network.update(tracks, embedded, self.cells)
        window = tracks.new_zeros(len(self.starts), WINDOW, TRACK)
        window[joined] = tracks[: len(rows)]
        return window

    def _initial(self, number: int) -> Tensor:
        """Where the updates start from."""
        still = torch.cat([self._queries, torch.zeros_like(self._queries)], 1)
        tracks = still[:, None].expand(-1, WINDOW, -1)
        before = self._windows.get(number - 1)
        if before is not None:
            known = torch.cat([before[:, _STEP:], before[:, -1:].expand(-1, _STEP, -1)], 1)
            carried = self._on_device(self.starts < self._first + number * _STEP + _STEP)
            tracks = torch.where(carried[:, None, None], known, tracks)
        return tracks

    def _windows_of(self, starts: np.ndarray) -> np.ndarray:
        """The numbers of the windows in which frames are new."""
        numbers: np.ndarray = np.maximum((starts - self._first) // _STEP - 1, 0)
        return numbers
