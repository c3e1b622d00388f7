"""Region similarity J and boundary accuracy F of DAVIS, equal to the official toolkit.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation", CVPR 2016; the values are those of davisvideochallenge/davis2017-evaluation.
Both measures look at the bounding box of the two masks only, which changes nothing in the
result: beyond it there is neither a pixel nor a boundary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

RECALL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Statistics:
    """Of one measure over the frames of one object.

    Attributes:
        mean: over the frames that have a value.
        recall: share of all frames above 0.5; a frame without a value counts as a failure.
        decay: mean of the first quarter minus mean of the last; positive is getting worse.
    """

    mean: float
    recall: float
    decay: float


def region_similarity(prediction: np.ndarray, truth: np.ndarray) -> float:
    """J: intersection over union of two masks; 1 if both are empty.

    Args:
        prediction: ``(H, W)``; what is not zero is the object.
        truth: ``(H, W)``, likewise.
    """
    prediction, truth = _cropped(prediction, truth)
    union = int(np.count_nonzero(prediction | truth))
    if union == 0:
        return 1.0
    return int(np.count_nonzero(prediction & truth)) / union


def boundary_accuracy(
    prediction: np.ndarray, truth: np.ndarray, bound_th: float = 0.008
) -> float:
    """F: harmonic mean of the precision and the recall of the boundary.

    Args:
        prediction: ``(H, W)``; what is not zero is the object.
        truth: ``(H, W)``, likewise.
        bound_th: how far boundaries may lie apart: below 1 a share of the image's diagonal,
            from 1 on pixels.
    """
    height, width = truth.shape
    radius = int(
        bound_th if bound_th >= 1 else math.ceil(bound_th * math.sqrt(height**2 + width**2))
    )
    prediction, truth = _cropped(prediction, truth)
    found, wanted = _boundary(prediction), _boundary(truth)
    found_count, wanted_count = int(found.sum()), int(wanted.sum())
    if found_count == 0 or wanted_count == 0:
        return float(found_count == wanted_count)
    disk = _disk(radius)
    precision = int((found & cv2.dilate(wanted, disk)).sum()) / found_count
    recall = int((wanted & cv2.dilate(found, disk)).sum()) / wanted_count
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def statistics(values: Sequence[float] | np.ndarray) -> Statistics:
    """Mean, recall and decay of J or of F over the frames of one object.

    Args:
        values: one per frame, at least one; NaN for a frame without a value.
    """
    array = np.asarray(values, np.float64)
    # The rounding of the toolkit, whose edges belong to both bins that they separate.
    edges = np.round(np.linspace(1, len(array), 5) + 1e-10).astype(np.int64) - 1
    first, last = array[edges[0] : edges[1] + 1], array[edges[3] : edges[4] + 1]
    return Statistics(
        mean=_mean(array),
        recall=float(np.mean(array > RECALL_THRESHOLD)),
        decay=_mean(first) - _mean(last),
    )


def _mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN if nothing is left."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _cropped(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as 0/1 ``uint8``, cut to their common bounding box and a pixel around it."""
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise ValueError(f"masks must be of one size, got {prediction.shape} and {truth.shape}")
    first, second = (prediction != 0).view(np.uint8), (truth != 0).view(np.uint8)
    x, y, w, h = cv2.boundingRect(first | second)
    window = slice(max(y - 1, 0), y + h + 1), slice(max(x - 1, 0), x + w + 1)
    return first[window], second[window]


def _boundary(mask: np.ndarray) -> np.ndarray:
    """1 where a pixel differs from its right, lower or lower right neighbour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (
        (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])
    ).astype(np.uint8)


@lru_cache(maxsize=16)
def _disk(radius: int) -> np.ndarray:
    """The structuring element of scikit-image's ``disk``."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)
