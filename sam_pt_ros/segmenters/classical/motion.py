"""Dense optical flow between two crops, and which pixels move with the object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

_MIN_PIXELS = 30.0
_ROUNDS = 3  # of reweighting in the robust fits
_ERROR_SCALE = 0.7  # typical error of the flow, working pixels
_CERTAIN = (
    5  # width of the band around the outline that is ignored, because its flow mixes both motions
)
_GRID = 2  # the fits use every n-th pixel per axis


@dataclass(frozen=True, eq=False)
class Motion:
    """Optical flow from the current crop back to the previous one.

    Attributes:
        back: ``float32 (h, w, 2)``, working pixels.
    """

    back: np.ndarray

    @classmethod
    def between(cls, before: np.ndarray, now: np.ndarray, preset: int) -> Motion:
        """Compute the flow between gray crops, ``uint8 (h, w)``, with a preset of OpenCV's DIS."""
        flow = cv2.DISOpticalFlow_create(preset)
        return cls(flow.calc(now, before, None))

    def carry(self, values: np.ndarray) -> np.ndarray:
        """Warp values of the previous crop, ``float32 (h, w[, c])``, to the current one."""
        height, width = values.shape[:2]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        return cv2.remap(
            values,
            x + self.back[..., 0],
            y + self.back[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def median(self, probability: np.ndarray) -> np.ndarray:
        """Median motion of the object since the previous crop.

        Args:
            probability: ``float32 (h, w)``, above 0.5 on the object.

        Returns:
            ``(2,)``: x, y in working pixels.
        """
        on = probability > 0.5
        if not on.any():
            return np.zeros(2)
        median: np.ndarray = -np.median(self.back[on], axis=0)
        return median

    def evidence(self, probability: np.ndarray) -> np.ndarray:
        """How much better a pixel's motion fits the object than its surroundings.

        Args:
            probability: ``float32 (h, w)``, expected probability of the object.

        Returns:
            ``float32 (h, w)``, -1 to 1; 0 where both fit equally.
        """
        certain = np.ones((_CERTAIN, _CERTAIN), np.uint8)
        inside = fit_affine(self.back, cv2.erode(probability, certain))
        outside = fit_affine(self.back, 1 - cv2.dilate(probability, certain))
        if inside is None or outside is None:
            return np.zeros_like(probability)
        apart = [inside - self.back, outside - self.back]
        error = [np.sqrt(np.einsum("ijk,ijk->ij", d, d)) for d in apart]
        difference: np.ndarray = np.clip((error[1] - error[0]) / (2 * _ERROR_SCALE), -1, 1)
        return difference.astype(np.float32)


def fit_affine(
    flow: np.ndarray, weight: np.ndarray, tolerance: float = _ERROR_SCALE
) -> np.ndarray | None:
    """Fit an affine motion robustly.

    Args:
        flow: ``float32 (h, w, 2)``, working pixels.
        weight: ``float32 (h, w)``, above 0.5 for pixels to be used.
        tolerance: error beyond which a pixel counts for less, working pixels.

    Returns:
        The fitted motion of all pixels, ``float32 (h, w, 2)``; None if there are too few to use.
    """
    basis = _basis(*weight.shape)
    a: np.ndarray = basis[::_GRID, ::_GRID].reshape(-1, 3)
    b: np.ndarray = flow[::_GRID, ::_GRID].reshape(-1, 2)
    w: np.ndarray = weight[::_GRID, ::_GRID].reshape(-1)
    keep = w > 0.5
    if np.count_nonzero(keep) < _MIN_PIXELS:
        return None
    a, b, w = a[keep], b[keep], w[keep]
    robust = w
    model = np.zeros((3, 2), np.float32)
    for _ in range(_ROUNDS):
        weighted = a * robust[:, None]
        normal = _product(weighted.T, a) + 1e-3 * np.eye(3, dtype=np.float32)
        model = np.linalg.solve(normal, _product(weighted.T, b))
        error = np.square(_product(a, model) - b).sum(axis=1)
        robust = w / (1 + error / tolerance**2)
    return _product(basis, model)


@lru_cache(maxsize=4)
def _basis(height: int, width: int) -> np.ndarray:
    """1, x and y of every pixel, ``float32 (h, w, 3)``, read-only; a frame asks several times."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    basis = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], axis=-1)
    basis.flags.writeable = False
    return basis


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` without BLAS, whose rounding depends on its number of threads."""
    return np.asarray(np.einsum("...ij,jk->...ik", a, b))
