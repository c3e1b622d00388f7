"""How windows of 8 frames are chained to tracks of any length (SAM-PT's adapter of PIPS).

The next window of a point starts in the latest frame of the current one in which the point is
surely visible. Places in a window's first frame are given, those in its other frames are tracked;
what an earlier window said about them is replaced.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np

WINDOW = 8
"""Frames of a window."""
DELAY = WINDOW - 2
"""Frames that must follow until the tracks of a frame are final."""

_LOWERED = np.float32(0.02)

Solve = Callable[[Sequence[int], np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Tracks points through a window.

It gets the numbers of its 8 frames, places ``float32 (N, 2)`` pixels in the first, and the
features of the points, ``float32 (N, C)``. It returns places ``float32 (N, 8, 2)`` pixels and
probabilities of being visible, ``float32 (N, 8)``.
"""


def steps_ahead(probabilities: np.ndarray, known: int, threshold: float) -> np.ndarray:
    """How many frames after the current window of each point its next one starts.

    Args:
        probabilities: of being visible, ``float32 (N, 8)``.
        known: number of frames after the first that are in the clip; the others are copies.
        threshold: what a probability must exceed. It is lowered until one does.

    Returns:
        ``int64 (N,)``, 1 to ``known``.
    """
    # In float32 throughout, as published: the rounding decides ties.
    thresholds = [np.float32(threshold)]
    while thresholds[-1] >= 0:
        thresholds.append(thresholds[-1] - _LOWERED)
    latest_first = probabilities[:, known:0:-1]
    sure = latest_first[:, None] > np.array(thresholds, np.float32)[:, None]
    level = sure.any(2).argmax(1)
    found: np.ndarray = known - sure[np.arange(len(sure)), level].argmax(1)
    return found


class Chains:
    """Tracks of N points; row i of every array belongs to point i.

    If a window fails, the points stay as they were before it.

    Args:
        slots: number of newest frames whose tracks are kept.
        threshold: see :func:`steps_ahead`.
        solve: tracks points through one window.

    Attributes:
        starts: ``int64 (N,)``, query frames.
        nexts: ``int64 (N,)``, frames in which the next windows start; tracks are final up to them.
    """

    def __init__(self, slots: int, threshold: float, solve: Solve) -> None:
        self._slots = slots
        self._threshold = threshold
        self._solve = solve
        self.starts: np.ndarray = np.zeros(0, np.int64)
        self.nexts: np.ndarray = np.zeros(0, np.int64)
        self._features: np.ndarray | None = None  # float32 (N, C)
        # float32 (slots, N, 3): x, y, probability; frame f is in slot f modulo their number.
        self._tracks: np.ndarray = np.zeros((slots, 0, 3), np.float32)

    def add(self, xy: np.ndarray, starts: np.ndarray, features: np.ndarray) -> None:
        """Append points.

        Args:
            xy: ``float32 (N, 2)`` pixels.
            starts: ``int64 (N,)``, query frames.
            features: ``float32 (N, C)``.
        """
        tracks = np.zeros((self._slots, len(xy), 3), np.float32)
        tracks[starts % self._slots, np.arange(len(xy))] = np.column_stack(
            [xy, np.ones(len(xy), np.float32)]
        )
        known = features if self._features is None else np.concatenate([self._features, features])
        joined = np.concatenate([self._tracks, tracks], 1)
        nexts = np.concatenate([self.nexts, starts])
        self.starts = np.concatenate([self.starts, starts])
        self.nexts, self._features, self._tracks = nexts, known, joined

    def keep(self, rows: np.ndarray) -> None:
        """Forget all points except those in these rows, ``int64 (N,)``."""
        features = None if self._features is None else self._features[rows]
        self._features, self._tracks = features, self._tracks[:, rows]
        self.starts, self.nexts = self.starts[rows], self.nexts[rows]

    def copy(self) -> Chains:
        """The same points and tracks, to be advanced by themselves."""
        made = copy.copy(self)
        made.starts, made.nexts = self.starts.copy(), self.nexts.copy()
        made._tracks = self._tracks.copy()
        return made

    def skip_to(self, oldest: int) -> None:
        """Hide points whose next window would start before a frame, and continue from there."""
        rows = np.flatnonzero(self.nexts < oldest)
        places = self._tracks[self.nexts[rows] % self._slots, rows]
        places[:, 2] = 0
        self._tracks[oldest % self._slots, rows] = places
        self.nexts[rows] = oldest

    def advance(self, rows: np.ndarray, until: int, last: int) -> bool:
        """Compute windows until the tracks of points are final in a frame.

        Args:
            rows: ``int64 (M,)``, the points; those that have not begun are left out.
            until: the frame.
            last: the last frame of the clip, not before ``until``.

        Returns:
            Whether a window was computed.
        """
        computed = False
        while len(behind := rows[self.nexts[rows] < until]):
            first = int(self.nexts[behind].min())
            self._link(behind[self.nexts[behind] == first], first, last)
            computed = True
        return computed

    def _link(self, rows: np.ndarray, first: int, last: int) -> None:
        """Compute one window of points, starting in frame ``first``."""
        assert self._features is not None
        known = min(WINDOW - 1, last - first)
        frames = [min(first + i, last) for i in range(WINDOW)]
        xy = self._tracks[first % self._slots, rows, :2]
        places, probabilities = self._solve(frames, xy, self._features[rows])
        # A point that went wrong stays where it was, hidden, and does the others no harm.
        good = np.isfinite(places).all((1, 2)) & np.isfinite(probabilities).all(1)
        places = np.where(good[:, None, None], places, xy[:, None])
        probabilities = np.where(good[:, None], probabilities, 0).astype(np.float32)
        ahead = steps_ahead(probabilities, known, self._threshold)
        found = np.concatenate([places, probabilities[:, :, None]], 2)[:, 1 : known + 1]
        slots = np.arange(first + 1, first + known + 1) % self._slots
        self._tracks[slots[:, None], rows] = found.swapaxes(0, 1)
        self.nexts[rows] = first + ahead

    def tracks_in(self, rows: np.ndarray, frame: int) -> np.ndarray:
        """Tracks ``float32 (M, 3)`` of points in a frame: x, y in pixels, probability."""
        found: np.ndarray = self._tracks[frame % self._slots, rows]
        return found
