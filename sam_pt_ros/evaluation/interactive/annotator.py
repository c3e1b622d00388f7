"""The simulated annotator: chooses the next edit from the ground truth and the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sam_pt_ros.evaluation.davis_metrics import region_similarity
from sam_pt_ros.objects import NEGATIVE, POSITIVE


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """The ground truth of one object in one frame.

    Attributes:
        mask: ``bool (H, W)``, the object.
        void: ``bool (H, W)``, pixels that are not scored; disjoint from ``mask``.
    """

    mask: np.ndarray
    void: np.ndarray

    def __post_init__(self) -> None:
        for name, array in (("mask", self.mask), ("void", self.void)):
            if array.dtype != np.bool_ or array.ndim != 2 or array.shape != self.mask.shape:
                raise ValueError(f"'{name}' must be bool (H, W), got {array.dtype} {array.shape}")
        if (self.mask & self.void).any():
            raise ValueError("'mask' and 'void' must not overlap")

    def iou(self, prediction: np.ndarray) -> float:
        """Region similarity of a mask, ``bool (H, W)``, over the scored pixels."""
        return region_similarity(prediction & ~self.void, self.mask)


@dataclass(frozen=True)
class PlacedPoint:
    """A visible point in a frame.

    Attributes:
        number: identifies the point.
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
    """One interaction: a point is added, or a wrong point is removed.

    Attributes:
        x: column, pixels.
        y: row, pixels.
        label: 1 on the object, 0 not on it.
        removes: number of the point to remove; None: the point is added.
    """

    x: float
    y: float
    label: int
    removes: int | None = None


def next_edit(
    truth: FrameTruth, prediction: np.ndarray, points: Sequence[PlacedPoint]
) -> Edit | None:
    """The annotator's next edit in a frame.

    The first point whose label contradicts the ground truth is removed, negatives before
    positives. Without such a point, one is added: a positive point if more pixels are missed than
    wrongly included, else a negative one. It goes into the largest connected region of these
    pixels (8 neighbours), to the pixel farthest from the region's edge, from the image's edge and
    from the points of its label in the region. Of equal regions and of equal pixels the first by
    rows is taken.

    Args:
        truth: the ground truth.
        prediction: ``bool (H, W)``, the predicted mask.
        points: the visible points, in the order in which they are checked.

    Returns:
        The edit; None if every scored pixel is right.
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
    """Row and column of the pixel of a point."""
    row, column = round(point.y), round(point.x)
    return min(max(row, 0), shape[0] - 1), min(max(column, 0), shape[1] - 1)


def _largest(region: np.ndarray) -> np.ndarray:
    """The largest connected part of a nonempty region, ``bool (H, W)``."""
    count, parts = cv2.connectedComponents(region.view(np.uint8), connectivity=8)
    areas = np.bincount(parts.ravel(), minlength=count)
    areas[0] = 0
    of_largest = areas[parts] == areas.max()
    chosen = parts.ravel()[int(of_largest.argmax())]  # the order of OpenCV's parts is not defined
    return np.asarray(parts == chosen)


def _deepest(region: np.ndarray, taken: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The pixel (x, y) of a region that is farthest from its edge and from the taken pixels."""
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    # Pixels beyond the image are outside the region.
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
