"""Reduce the 16-bit images of a stream to 8 bits without losing what they show."""

from __future__ import annotations

import math

import cv2
import numpy as np

FULL_RANGE = (0, 65535)

_SAMPLES = 1 << 16  # pixels per image that are looked at
_TAIL = 0.001  # share of the pixels at either end; there lie dead and hot ones
_MANY = 1 << 14  # values that fill 64 of 256 levels without being stretched
_FEWEST = 256  # values of a range: a level is never less than one of them
_OUTSIDE = 0.01  # share of the pixels
_SHRUNK = 1 / 16  # of the range
_PATIENCE = 3  # images


class GreyLevels:
    """Chooses the range of 16-bit values that is shown in 8 bits, and keeps it.

    Sensors of 10, 12 or 14 bits, thermal cameras above all, use a small part of the 16 bits: their
    upper 8 bits are a dozen levels, or one. A range that followed every image would flicker, which
    looks like motion. So it is chosen in the first image, twice as wide as the values there, and
    again only after three images in a row of which more than 1 % lie outside, or which use less
    than a sixteenth of it. Values that fill a quarter of the 16 bits are not stretched.

    Attributes:
        range: lowest and highest value, inclusive; :data:`FULL_RANGE` before the first image.
        reduced: number of images so far.
    """

    def __init__(self) -> None:
        self.range = FULL_RANGE
        self.reduced = 0
        self._misfits = 0  # in a row

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Reduce an image to 8 bits; values outside of the range become its ends.

        Args:
            values: ``uint16 (H, W)`` or ``(H, W, C)``, in this machine's byte order; all channels
                have the same range, which a fourth one, alpha, has no part in.

        Returns:
            ``uint8``, of the same shape.
        """
        self._choose(values[:, :, :3] if values.ndim == 3 else values)
        self.reduced += 1
        low, high = self.range
        if self.range == FULL_RANGE:
            return upper_bits(values)
        from_low = cv2.subtract(values, (low,) * 4)
        return np.asarray(cv2.convertScaleAbs(from_low, alpha=255 / (high - low)))

    def _choose(self, values: np.ndarray) -> None:
        # Odd, so that all colours of a Bayer pattern are among the samples.
        step = math.isqrt(values.shape[0] * values.shape[1] // _SAMPLES) | 1
        sample = values[::step, ::step].ravel()
        tail = round(_TAIL * (sample.size - 1))
        ordered = np.partition(sample, (tail, sample.size - 1 - tail))
        lowest, highest = int(ordered[tail]), int(ordered[-1 - tail])
        self._misfits = self._misfits + 1 if self._misfit(sample, highest - lowest) else 0
        if self.reduced == 0 or self._misfits >= _PATIENCE:
            self.range = _range_around(lowest, highest)
            self._misfits = 0

    def _misfit(self, sample: np.ndarray, span: int) -> bool:
        low, high = self.range
        outside = np.count_nonzero((sample < low) | (sample > high))
        if outside > _OUTSIDE * sample.size:
            return True
        return high - low > _FEWEST and span < _SHRUNK * (high - low)


def _range_around(lowest: int, highest: int) -> tuple[int, int]:
    span = highest - lowest
    if span >= _MANY:
        return FULL_RANGE
    width = max(2 * span, _FEWEST)
    low = max(0, (lowest + highest - width) // 2)
    high = min(low + width, FULL_RANGE[1])
    return high - width, high


def reduce_to_8_bits(pixels: np.ndarray, levels: GreyLevels | None) -> np.ndarray:
    """An image whose values are 16-bit, by ``levels`` or else by its upper 8 bits, as ``uint8``.

    An image of another type is returned as it is.
    """
    if pixels.dtype != np.uint16:
        return pixels
    return upper_bits(pixels) if levels is None else levels.reduce(pixels)


def upper_bits(values: np.ndarray) -> np.ndarray:
    """The upper 8 of 16 bits, ``uint8``, of the same shape."""
    return (values >> 8).astype(np.uint8)
