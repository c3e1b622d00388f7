"""Leaves out samples of a line that nobody could see."""

from __future__ import annotations

import numpy as np

MAX_SAMPLES = 900
"""A line has at most this many samples, about one per pixel; see :func:`thinned`."""


def thinned(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most ``limit`` values that draw the same line as all of them.

    The first and the last value stay. So do the smallest, the largest and one NaN, if any, of each
    stretch, so that a gap stays a gap.

    Args:
        values: ``float (N,)``.
        limit: at least 5.

    Returns:
        ``int64``, ascending.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    kept = {0, count - 1}
    for part in np.array_split(np.arange(count), (limit - 2) // 3):
        known = part[~np.isnan(values[part])]
        if len(known):
            kept |= {known[np.argmin(values[known])], known[np.argmax(values[known])]}
        if len(known) < len(part):
            kept.add(part[np.isnan(values[part])][0])
    return np.array(sorted(kept), np.int64)
