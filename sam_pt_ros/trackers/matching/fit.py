"""Similarity transforms fitted to matches around points (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_SHORTEST = 0.5  # distance of a pair, as a share of the largest distance from the point
_SMALLEST, _LARGEST = 0.5, 2.0  # change of scale from one frame to another
_REFINEMENTS = 2


@dataclass(frozen=True, eq=False)
class Matches:
    """Matches around N points, S for each.

    Attributes:
        offsets: ``float32 (N, S, 2)``, places in the earlier frame, from the point, pixels.
        places: ``float32 (N, S, 2)``, where they are in the later frame, pixels.
        scores: ``float32 (N, S)``, how good they are, 0 to 1; 0 where there is no match.
        counted: ``bool (N, S)``, those that count in the share; others have no score.
    """

    offsets: np.ndarray
    places: np.ndarray
    scores: np.ndarray
    counted: np.ndarray


@dataclass(frozen=True, eq=False)
class Fits:
    """Where N points are, according to the matches around them.

    Attributes:
        xy: ``float64 (N, 2)`` pixels.
        share: ``float64 (N,)``, 0 to 1: scores of the matches that agree, per match. Nearer
            matches count more.
        likeness: ``float64 (N,)``, 0 to 1: how like the point the place is.
    """

    xy: np.ndarray
    share: np.ndarray
    likeness: np.ndarray


Likeness = Callable[[np.ndarray], np.ndarray]
"""How like N points P places for each are: ``float64 (N, P, 2)`` pixels to ``(N, P)``, 0 to 1."""


def fit(matches: Matches, likeness: Likeness, reach: float, tolerance: float) -> Fits:
    """Fit a similarity transform (shift, rotation, scale) to the matches around each point.

    Every pair of matches gives a hypothesis, so this is RANSAC (Fischler and Bolles 1981) without
    chance. At the edge of a thing, some matches follow the thing and others what is behind
    it: so the likeness of the place decides as well as the number of matches that agree. The best
    hypothesis is refined by weighted least squares.

    Args:
        matches: those around the points.
        likeness: how like the points the places are to which hypotheses move them.
        reach: distance from the point, in pixels, at which a match weighs 0.6 (Gaussian).
        tolerance: distance from the transform, in pixels, from which on a match is wrong.
    """
    count, number = matches.scores.shape
    if count == 0 or number < 2:
        return Fits(np.zeros((count, 2)), np.zeros(count), np.zeros(count))
    # Complex numbers: a similarity transform is z -> a z + b, and the point is at z = 0.
    z, w = (_complex(each) for each in (matches.offsets, matches.places))
    nearness = np.exp(-0.5 * (np.abs(z) / reach) ** 2)
    weights = matches.scores * nearness
    first, second = np.triu_indices(number, 1)
    step = z[:, second] - z[:, first]
    known = weights > 0
    usable = known[:, first] & known[:, second]
    usable &= np.abs(step) >= _SHORTEST * np.where(known, np.abs(z), 0).max(1, keepdims=True)
    usable &= step != 0
    a = (w[:, second] - w[:, first]) / np.where(usable, step, 1)
    usable &= (np.abs(a) >= _SMALLEST) & (np.abs(a) <= _LARGEST)
    b = w[:, first] - a * z[:, first]
    support = (weights[:, None] * _closeness(a, b, z, w, tolerance)).sum(2)
    support = np.where(usable, support * likeness(_pixels(b)), -1)
    best = support.argmax(1)[:, None]
    a, b = np.take_along_axis(a, best, 1), np.take_along_axis(b, best, 1)
    for _ in range(_REFINEMENTS):
        a, b = _refined(z, w, weights * _closeness(a, b, z, w, tolerance)[:, 0])
    agreeing = weights * (_closeness(a, b, z, w, tolerance)[:, 0] > 0)
    possible = (matches.counted * nearness).sum(1)
    share = np.where(usable.any(1), agreeing.sum(1) / np.maximum(possible, 1e-6), 0)
    xy = _pixels(b).astype(np.float64)
    return Fits(xy[:, 0], share.astype(np.float64), likeness(xy)[:, 0])


def _complex(xy: np.ndarray) -> np.ndarray:
    made: np.ndarray = xy[..., 0].astype(np.float32) + np.complex64(1j) * xy[..., 1]
    return made.astype(np.complex64)


def _pixels(z: np.ndarray) -> np.ndarray:
    return np.stack([z.real, z.imag], -1)


def _closeness(
    a: np.ndarray, b: np.ndarray, z: np.ndarray, w: np.ndarray, tolerance: float
) -> np.ndarray:
    """How close matches ``(N, S)`` are to transforms ``(N, P)``: ``(N, P, S)``, 0 to 1."""
    error = a[..., None] * z[:, None] + b[..., None] - w[:, None]
    squared = error.real**2 + error.imag**2
    found: np.ndarray = np.maximum(0, 1 - squared / tolerance**2)
    return found


def _refined(z: np.ndarray, w: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The transforms with the least weighted squares of errors, ``complex (N, 1)`` each."""
    total = weights.sum(1, keepdims=True) + 1e-9
    z_mean = (weights * z).sum(1, keepdims=True) / total
    w_mean = (weights * w).sum(1, keepdims=True) / total
    z, w = z - z_mean, w - w_mean
    spread = (weights * np.abs(z) ** 2).sum(1, keepdims=True)
    a = (weights * z.conj() * w).sum(1, keepdims=True) / np.maximum(spread, 1e-6)
    return a, w_mean - a * z_mean
