"""Connected regions and bounding boxes of probability maps."""

from __future__ import annotations

import cv2
import numpy as np

_MIN_ISLAND = 0.03  # smallest area of a separate part, relative to the largest
_MAX_HOLE = 0.02  # largest area of a hole that is filled, relative to the object
_MIN_EXPECTED = 0.3  # smallest mean expected probability of a separate part


def connected(
    probability: np.ndarray, expected: np.ndarray, points: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Remove regions that do not belong to the object, and fill small holes.

    Args:
        probability: ``float32 (h, w)``, above 0.5 on the object.
        expected: ``float32 (h, w)``, expected probability of the object.
        points: ``float32 (N, 2)``, working pixels.
        labels: ``int32 (N,)``: 1 on the object, 0 not on it.

    Returns:
        ``float32 (h, w)``.
    """
    probability = _filled(probability, points[labels == 0])
    mask = (probability > 0.5).astype(np.uint8)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 2:
        return probability
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    overlap = np.bincount(regions.ravel(), expected.ravel(), count)[1:]
    touched = _touched(regions, count, points[labels == 1])
    touched = touched[1:]
    support = overlap + areas * touched
    largest = int(np.argmax(support))
    keep = (areas > _MIN_ISLAND * areas[largest]) & (touched | (overlap > _MIN_EXPECTED * areas))
    keep[largest] = True
    lookup = np.concatenate([[True], keep])
    return np.where(lookup[regions], probability, 0).astype(np.float32)


def _touched(regions: np.ndarray, count: int, points: np.ndarray) -> np.ndarray:
    """Which of the numbered regions contain a point, ``bool (count,)``."""
    touched = np.zeros(count, np.bool_)
    height, width = regions.shape
    for x, y in points.tolist():
        column, row = round(x), round(y)
        if 0 <= column < width and 0 <= row < height:
            touched[regions[row, column]] = True
    return touched


def _filled(probability: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """``probability`` with small holes filled, except those that contain a negative point."""
    mask = (probability > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    height, width = mask.shape
    x, y = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    w, h = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    inner = (x > 0) & (y > 0) & (x + w < width) & (y + h < height)
    hole = inner & (stats[:, cv2.CC_STAT_AREA] < _MAX_HOLE * int(mask.sum()))
    hole[0] = False  # the object itself
    hole &= ~_touched(labels, count, negatives)
    if not hole.any():
        return probability
    return np.where(hole[labels], np.maximum(probability, 0.6), probability).astype(np.float32)


def bounding_box(probability: np.ndarray) -> tuple[float, float, float, float] | None:
    """Edges x min, y min, x max, y max, in pixels, of ``float32 (h, w)`` above 0.5; or None."""
    x, y, w, h = cv2.boundingRect((probability > 0.5).astype(np.uint8))
    if w == 0:
        return None
    return x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5


def centre(probability: np.ndarray) -> np.ndarray:
    """Centre of the box above 0.5, or of the crop if that is empty; ``(2,)``, x, y in pixels."""
    box = bounding_box(probability)
    if box is None:
        return np.array(probability.shape[::-1]) / 2
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
