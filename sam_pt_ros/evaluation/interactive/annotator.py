"""The simulated annotator: what it does next, from the truth and from what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sam_pt_ros.evaluation.davis_metrics import region_similarity
from sam_pt_ros.objects import NEGATIVE, POSITIVE


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """Where one object is in one frame.

    Attributes:
        mask: ``bool (H, W)``, the object.
        void: ``bool (H, W)``, what is not scored; no pixel of it is in ``mask``.
    """

    mask: np.ndarray
    void: np.ndarray

    def __post_init__(self) -> None:
        for name, array in (("mask", self.mask), ("void", self.void)):
            if array.dtype != np.bool_ or array.ndim != 2 or array.shape != self.mask.shape:
                raise ValueError(
                    f"a truth's {name} must be bool (H, W), got {array.dtype} {array.shape}"
                )
        if (self.mask & self.void).any():
            raise ValueError("a pixel of a truth is of the object or is not scored, not both")

    def iou(self, prediction: np.ndarray) -> float:
        """Region similarity of a mask, ``bool (H, W)``, over the pixels that are scored."""
        return region_similarity(prediction & ~self.void, self.mask)


@dataclass(frozen=True)
class PlacedPoint:
    """A point that is seen in a frame.

    Attributes:
        number: what it is known by.
        x: column, pixels.
        y: row, pixels.
        label: 1 on the object, 0 not on it.
    """

    number: int
    x: float
    y: float
    label: int


@dataclass(frozen=True)
class Edit:
    """One interaction: a point is added, or one that is wrong is taken away.

    Attributes:
        x: column, pixels.
        y: row, pixels.
        label: 1 on the object, 0 not on it.
        removes: the number of the point that is taken away; None: it is added.
    """

    x: float
    y: float
    label: int
    removes: int | None = None


def next_edit(
    truth: FrameTruth, prediction: np.ndarray, points: Sequence[PlacedPoint]
) -> Edit | None:
    """What the annotator does next in a frame.

    The first point that is not where its label says is taken away, negatives before positives.
    If there is none, a point is added: a positive one if more pixels of the object are missed
    than there are too many, a negative one otherwise. It goes into the largest connected region
    of these pixels (8 neighbours), where it is farthest from the region's edge, from the image's
    and from the points of its label that are there already. Of equal regions and of equal pixels
    it is the first, by rows.

    Args:
        truth: where the object is.
        prediction: ``bool (H, W)``, where it is said to be.
        points: those that are seen in this frame, in the order in which they are looked at.

    Returns:
        None if no pixel is wrong that is scored.
    """
    missed = truth.mask & ~prediction
    extra = prediction & ~truth.mask & ~truth.void
    missing, exceeding = int(missed.sum()), int(extra.sum())
    if missing == exceeding == 0:
        return None
    for label in (NEGATIVE, POSITIVE):
        for point in points:
            if point.label == label and _is_wrong(point, truth):
                return Edit(point.x, point.y, label, removes=point.number)
    label, region = (POSITIVE, missed) if missing > exceeding else (NEGATIVE, extra)
    taken = [_pixel(point, region.shape) for point in points if point.label == label]
    x, y = _deepest(_largest(region), taken)
    return Edit(x, y, label)


def _is_wrong(point: PlacedPoint, truth: FrameTruth) -> bool:
    row, column = _pixel(point, truth.mask.shape)
    if truth.void[row, column]:
        return False
    return bool(truth.mask[row, column]) != (point.label == POSITIVE)


def _pixel(point: PlacedPoint, shape: tuple[int, ...]) -> tuple[int, int]:
    """Row and column of the pixel that a point is in."""
    row, column = round(point.y), round(point.x)
    return min(max(row, 0), shape[0] - 1), min(max(column, 0), shape[1] - 1)


def _largest(region: np.ndarray) -> np.ndarray:
    """The largest connected part of a region that is not empty, ``bool (H, W)``."""
    count, parts = cv2.connectedComponents(region.view(np.uint8), connectivity=8)
    areas = np.bincount(parts.ravel(), minlength=count)
    areas[0] = 0
    of_largest = areas[parts] == areas.max()
    chosen = parts.ravel()[int(of_largest.argmax())]  # OpenCV promises no order of the parts
    return np.asarray(parts == chosen)


def _deepest(region: np.ndarray, taken: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The pixel of a region, x and y, that is farthest from its edge and from those taken."""
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    # What lies beyond the image is not the region.
    inside = np.pad(region[top : top + height, left : left + width], 1)
    free = inside.copy()
    for row, column in taken:
        if region[row, column]:
            free[row - top + 1, column - left + 1] = False
    depth = cv2.distanceTransform(
        (free if free.any() else inside).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return float(left + column - 1), float(top + row - 1)
