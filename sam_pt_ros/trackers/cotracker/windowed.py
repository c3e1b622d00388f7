"""Tracking as in the authors' online predictor: windows of 16 frames that overlap by 8.

This mode serves evaluation on recordings, and as the reference. Window w covers the frames 8 w to
8 w + 15. It is computed when the first frame after it arrives or the stream ends, because points
may still be added in its last frame. Its first 8 frames are then final.

Points influence each other as published. A point takes part in every window starting with the one
in which its query frame is new, in all 16 frames, even those before its query. Announced points
(``foresee``) take part in earlier windows as well, as tokens without features, because the
authors' predictor knows all queries in advance. After points are added in an earlier frame, the
windows starting with theirs are computed again.

Removing a point removes it from all windows that are computed from then on, or again. If no window
was computed with it, it leaves no trace. Otherwise its trace is in the other points' tracks in
those windows, from which the next windows start.
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

    # A window starts up to 15 frames before the query frame of a point that is new in it, and is
    # computed when the first track of the point is due, up to 24 frames after it was added.
    reach = 5 * _STEP

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._oldest: int | None = None  # first frame of the stream, at which window 0 starts
        self._windows: dict[int, Tensor] = {}  # full windows by number, (N, 16, 4)
        self._open: Tensor | None = None  # the incomplete window after the last full one
        self._foreseen = (self._queries, self.starts)

    def foresee(self, xy: np.ndarray, starts: np.ndarray) -> None:
        self._foreseen = (self._on_device(xy), starts)

    def extend(self, frame: int) -> None:
        super().extend(frame)
        self._oldest = frame if self._oldest is None else self._oldest
        self._open = None

    @property
    def _first(self) -> int:
        """Index of the first frame of the stream."""
        assert self._oldest is not None, "no frame has come yet"
        return self._oldest

    def final(self) -> int:
        # The last full window is not final until the next frame has arrived.
        return self._first + self._full(self.newest - 1) * _STEP + _STEP - 1

    def _full(self, newest: int) -> int:
        """Number of the last window with all its frames; -1 if there is none."""
        return max((newest - self._first - WINDOW + 1) // _STEP, -1)

    def _tracks_in(self, frame: int) -> Tensor:
        # The tracks of a newer window replace those of an older one.
        full, place = self._full(self.newest), frame - self._first
        self._compute(full)
        number = min(place // _STEP, full + self._has_open(full))
        if number <= full:
            return self._windows[number][:, place - number * _STEP]
        if self._open is None:
            self._open = self._solve(number)
        return self._open[:, place - number * _STEP]

    def _has_open(self, full: int) -> bool:
        """Whether there are frames after the last full window."""
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
        """Compute all windows up to number ``last``."""
        # Windows before that of the first point are skipped.
        first = max(*(n + 1 for n in self._windows), int(self._windows_of(self.starts).min()), 0)
        for number in range(first, last + 1):
            self._windows[number] = self._solve(number)
        kept = last - (self.capacity + WINDOW) // _STEP
        self._windows = {n: window for n, window in self._windows.items() if n >= kept}

    def _solve(self, number: int) -> Tensor:
        """Compute the tracks of all points in a window, ``(N, 16, 4)``."""
        start = self._first + number * _STEP
        # Frames that have not arrived yet are copies of the newest.
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
        """Initial tracks of all points in a window, ``(N, 16, 4)``."""
        still = torch.cat([self._queries, torch.zeros_like(self._queries)], 1)
        tracks = still[:, None].expand(-1, WINDOW, -1)
        before = self._windows.get(number - 1)
        if before is not None:
            known = torch.cat([before[:, _STEP:], before[:, -1:].expand(-1, _STEP, -1)], 1)
            carried = self._on_device(self.starts < self._first + number * _STEP + _STEP)
            tracks = torch.where(carried[:, None, None], known, tracks)
        return tracks

    def _windows_of(self, starts: np.ndarray) -> np.ndarray:
        """Numbers of the windows in which frames are new, ``int64 (N,)``."""
        numbers: np.ndarray = np.maximum((starts - self._first) // _STEP - 1, 0)
        return numbers
