"""Evidence that prompt points give about the pixels around them."""

from __future__ import annotations

import cv2
import numpy as np

_CORE = 2.0  # radius around a point that is certain, working pixels
_CORE_EVIDENCE = 6.0
_CLICKED_CORE = 12.0  # the same for a point that was clicked
_COLOUR_SCALE = 14.0  # distance in 8-bit Lab over which a point's evidence fades
_TEXTURE = 5  # width of the window over which colours are averaged, working pixels
_SPREAD = 0.10  # reach of a point's evidence, in object sizes
_BELIEF_ZERO = (
    0.6  # distance from the points at which belief changes its sign, in spacings of the points
)
_BELIEF_SLOPE = 8.0
_BELIEF_LIMITS = (-6.0, 3.0)
_LINKED_SLOPE = 3.0  # slope for a few clicks, which say less about the extent
_WIDE_SPREAD = 0.3  # reach of a point that contradicts the expectation
_DISSENT = 2.0  # weight of a tracked point that contradicts the expectation: it may have drifted


def point_evidence(
    points: np.ndarray,
    labels: np.ndarray,
    lab: np.ndarray,
    size: float,
    known: np.ndarray,
    strength: float,
    clicked: np.ndarray,
) -> np.ndarray:
    """Evidence for the object around points. It fades with distance and with colour difference.

    Args:
        points: ``float32 (N, 2)`` working pixels; those outside the crop are ignored.
        labels: ``int32 (N,)``: 1 on the object, 0 not on it.
        lab: ``uint8 (h, w, 3)``, the crop in Lab.
        size: size of the object, working pixels.
        known: ``float32 (h, w)``, probability of the object without the points. A point that
            contradicts it reaches farther.
        strength: evidence next to a point.
        clicked: ``bool (N,)``, points that a person set, which are certain.

    Returns:
        ``float32 (h, w)``.
    """
    height, width = lab.shape[:2]
    smooth = cv2.blur(lab, (_TEXTURE, _TEXTURE)).astype(np.float32)
    field = np.zeros((height, width), np.float32)
    core = np.zeros((height, width), np.float32)
    certain = np.where(clicked, _CLICKED_CORE, _CORE_EVIDENCE)
    for (x, y), label, sure in zip(
        points.tolist(), labels.tolist(), certain.tolist(), strict=True
    ):
        column, row = round(x), round(y)
        if not (0 <= column < width and 0 <= row < height):
            continue
        sign = 1.0 if label else -1.0
        contradicts = (float(known[row, column]) > 0.5) != bool(label)
        spread = max((_WIDE_SPREAD if contradicts else _SPREAD) * size, 2.0)
        reach = int(2 * spread) + 1
        top, left = max(row - reach, 0), max(column - reach, 0)
        part = slice(top, row + reach + 1), slice(left, column + reach + 1)
        difference = smooth[part] - smooth[row, column]
        apart = np.einsum("ijk,ijk->ij", difference, difference)
        dy = np.square(np.arange(top, top + apart.shape[0], dtype=np.float32) - y)
        dx = np.square(np.arange(left, left + apart.shape[1], dtype=np.float32) - x)
        away = dy[:, None] + dx[None, :]
        word = np.exp(-away / (2 * spread**2) - apart / (2 * _COLOUR_SCALE**2))
        field[part] += (_DISSENT if contradicts else 1.0) * sign * word
        core[part] += (away <= _CORE**2) * sign * sure
    field = np.clip(field, -_DISSENT, _DISSENT) * strength
    return np.where(core != 0, core.clip(-_CLICKED_CORE, _CLICKED_CORE), field).astype(np.float32)


def spacing(points: np.ndarray) -> float:
    """Median distance of points ``(N, 2)``, N at least 2, to their nearest neighbours."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return max(float(np.median(apart.min(axis=1))), 2.0)


def spread_belief(
    points: np.ndarray, reach: float, shape: tuple[int, int], linked: bool = False
) -> np.ndarray:
    """Belief in an object whose points cover it, as log odds, ``float32 (h, w)``.

    Medoids of an object are about one spacing apart, and its outline is half a spacing beyond.

    Args:
        points: ``float32 (N, 2)``, positive points, working pixels.
        reach: their spacing, working pixels.
        shape: height, width of the crop.
        linked: whether to connect the points by lines that belong to the object. A few clicks
            on one object are often farther apart than it is thick.
    """
    height, width = shape
    dots = np.full(shape, 255, np.uint8)
    places = np.clip(np.rint(points), 0, (width - 1, height - 1)).astype(np.int64)
    dots[places[:, 1], places[:, 0]] = 0
    if linked:
        for first, second in _spanning_tree(places):
            cv2.line(dots, places[first].tolist(), places[second].tolist(), 0, 1)
    distance = cv2.distanceTransform(dots, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / reach
    slope = _LINKED_SLOPE if linked else _BELIEF_SLOPE
    belief: np.ndarray = np.clip(slope * (_BELIEF_ZERO - distance), *_BELIEF_LIMITS)
    return belief.astype(np.float32)


def _spanning_tree(points: np.ndarray) -> list[tuple[int, int]]:
    """Edges of the minimum spanning tree of points ``(N, 2)``, as pairs of rows (Prim)."""
    apart = np.linalg.norm((points[:, None] - points[None]).astype(np.float32), axis=2)
    reached, pairs = [0], []
    while len(reached) < len(points):
        left = [i for i in range(len(points)) if i not in reached]
        ways = apart[np.ix_(reached, left)]
        row, column = np.unravel_index(int(np.argmin(ways)), ways.shape)
        pairs.append((reached[row], left[column]))
        reached.append(left[column])
    return pairs
