"""Region similarity J and boundary accuracy F of DAVIS, equal to the official toolkit's.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation", CVPR 2016; the values are those of davisvideochallenge/davis2017-evaluation.
Both measures look only at the bounding box of the two masks, outside of which there is neither a
pixel nor a boundary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

RECALL_THRESHOLD = 0.5
BOUND_TH = 0.008
"""The largest distance of matching boundaries, as a share of the image's diagonal."""


@dataclass(frozen=True)
class Statistics:
    """One measure over the frames of one object.

    Attributes:
        mean: over the frames that have a value.
        recall: share of all frames above 0.5; a frame without a value counts as a failure.
        decay: mean of the first quarter minus mean of the last; positive means getting worse.
    """

    mean: float
    recall: float
    decay: float


def region_similarity(prediction: np.ndarray, truth: np.ndarray) -> float:
    """J: intersection over union of two masks; 1 if both are empty.

    Args:
        prediction: ``(H, W)``; nonzero pixels are the object.
        truth: ``(H, W)``, likewise.
    """
    return _region(*_cropped(prediction, truth))


def boundary_accuracy(
    prediction: np.ndarray, truth: np.ndarray, bound_th: float = BOUND_TH
) -> float:
    """F: harmonic mean of the precision and the recall of the boundary.

    Args:
        prediction: ``(H, W)``; nonzero pixels are the object.
        truth: ``(H, W)``, likewise.
        bound_th: the largest distance of matching boundaries: a share of the image's diagonal if
            below 1, else pixels.
    """
    return _contour(*_cropped(prediction, truth), _radius(truth.shape, bound_th))


def region_and_boundary(
    prediction: np.ndarray, truth: np.ndarray, bound_th: float = BOUND_TH
) -> tuple[float, float]:
    """J and F in one step, faster than :func:`region_similarity` and :func:`boundary_accuracy`.

    Args:
        prediction: ``(H, W)``; nonzero pixels are the object.
        truth: ``(H, W)``, likewise.
        bound_th: as in :func:`boundary_accuracy`.
    """
    found, wanted = _cropped(prediction, truth)
    return _region(found, wanted), _contour(found, wanted, _radius(truth.shape, bound_th))


def statistics(values: Sequence[float] | np.ndarray) -> Statistics:
    """Mean, recall and decay of J or of F over the frames of one object.

    Args:
        values: one per frame, at least one; NaN for a frame without a value.
    """
    array = np.asarray(values, np.float64)
    # Rounded as in the toolkit, in which an edge belongs to both of its bins.
    edges = np.round(np.linspace(1, len(array), 5) + 1e-10).astype(np.int64) - 1
    first, last = array[edges[0] : edges[1] + 1], array[edges[3] : edges[4] + 1]
    return Statistics(
        mean=_mean(array),
        recall=float(np.mean(array > RECALL_THRESHOLD)),
        decay=_mean(first) - _mean(last),
    )


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _cropped(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as 0/1 ``uint8``, cropped to their common bounding box plus one pixel."""
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise ValueError(
            f"masks must have the same size, got {prediction.shape} and {truth.shape}"
        )
    first, second = _binary(prediction), _binary(truth)
    x, y, w, h = cv2.boundingRect(first | second)
    window = slice(max(y - 1, 0), y + h + 1), slice(max(x - 1, 0), x + w + 1)
    return first[window], second[window]


def _binary(mask: np.ndarray) -> np.ndarray:
    """The mask as 0/1 ``uint8``; a ``bool`` mask is not copied."""
    return (mask if mask.dtype == np.bool_ else mask != 0).view(np.uint8)


def _count(mask: np.ndarray) -> int:
    """Number of set pixels; NumPy counts bools much faster than it sums bytes."""
    return int(np.count_nonzero(mask.view(np.bool_)))


def _region(prediction: np.ndarray, truth: np.ndarray) -> float:
    union = _count(prediction | truth)
    return _count(prediction & truth) / union if union else 1.0


def _contour(prediction: np.ndarray, truth: np.ndarray, radius: int) -> float:
    found, wanted = _boundary(prediction), _boundary(truth)
    found_count, wanted_count = _count(found), _count(wanted)
    if found_count == 0 or wanted_count == 0:
        return float(found_count == wanted_count)
    disk = _disk(radius)
    precision = _count(found & cv2.dilate(wanted, disk)) / found_count
    recall = _count(wanted & cv2.dilate(found, disk)) / wanted_count
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _radius(image_size: tuple[int, ...], bound_th: float) -> int:
    """The largest distance of matching boundaries, in pixels."""
    if bound_th >= 1:
        return int(bound_th)
    return math.ceil(bound_th * math.sqrt(image_size[0] ** 2 + image_size[1] ** 2))


def _boundary(mask: np.ndarray) -> np.ndarray:
    """1 where a pixel differs from its right, lower or lower right neighbour."""
    edges = np.zeros(mask.shape, np.uint8)
    edges[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edges[:-1] |= mask[:-1] ^ mask[1:]
    edges[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edges


@lru_cache(maxsize=16)
def _disk(radius: int) -> np.ndarray:
    """The structuring element of scikit-image's ``disk``."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)
