"""Connected regions and boxes of probability maps."""

from __future__ import annotations

import cv2
import numpy as np

_MIN_ISLAND = 0.03  # area of a separate part, as a share of the largest
_MAX_HOLE = 0.02  # area of a hole that is filled, as a share of the object
_MIN_EXPECTED = 0.3  # mean probability, known before, of a separate part


def connected(
    probability: np.ndarray, expected: np.ndarray, positives: np.ndarray
) -> np.ndarray:
    """``probability`` without regions that nothing connects to the object, or small holes.

    Args:
        probability: ``float32 (h, w)``; above 0.5 is the object.
        expected: ``float32 (h, w)``, where it was expected.
        positives: ``float32 (N, 2)``, points on it, working pixels.
    """
    probability = _filled(probability)
    mask = (probability > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 2:
        return probability
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    overlap = np.bincount(labels.ravel(), expected.ravel(), count)[1:]
    height, width = mask.shape
    touched = np.zeros(count, np.bool_)
    for x, y in positives.tolist():
        column, row = round(x), round(y)
        if 0 <= column < width and 0 <= row < height:
            touched[labels[row, column]] = True
    touched = touched[1:]
    support = overlap + areas * touched
    largest = int(np.argmax(support))
    keep = (areas > _MIN_ISLAND * areas[largest]) & (
        touched | (overlap > _MIN_EXPECTED * areas)
    )
    keep[largest] = True
    lookup = np.concatenate([[True], keep])
    return np.where(lookup[labels], probability, 0).astype(np.float32)


def _filled(probability: np.ndarray) -> np.ndarray:
    """``probability`` with the small holes of the object filled."""
    mask = (probability > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    height, width = mask.shape
    x, y = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    w, h = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    inner = (x > 0) & (y > 0) & (x + w < width) & (y + h < height)
    hole = inner & (stats[:, cv2.CC_STAT_AREA] < _MAX_HOLE * int(mask.sum()))
    hole[0] = False  # the object itself
    if not hole.any():
        return probability
    return np.where(hole[labels], np.maximum(probability, 0.6), probability).astype(np.float32)


def bounding_box(probability: np.ndarray) -> tuple[float, float, float, float] | None:
    """Edges x min, y min, x max, y max of what is above 0.5, in pixels; None if empty."""
    x, y, w, h = cv2.boundingRect((probability > 0.5).astype(np.uint8))
    if w == 0:
        return None
    return x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5
