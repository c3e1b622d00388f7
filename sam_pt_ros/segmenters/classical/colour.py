"""Colour histograms of an object and of its surroundings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

_GLOBAL_BINS = (16, 24, 24)  # L, a, b
_LOCAL_BINS = (8, 12, 12)
_CELLS = 6  # per axis, of the positional histogram
_REACH = 1.3  # of the positional histogram from the object's centre, in object sizes
_CHROMA_RANGE = 72.0  # a and b of almost all camera images are within +-72 of neutral
_ANCHOR = 0.7  # weight of the first frame in the model; the rest is recent
_CORRECTED = 0.5  # weight of a corrected mask in the model of the first frame
_RATE = 0.28  # weight of the newest frame in an update of the recent part
_FLOOR = 0.02  # probability added to each bin, relative to a uniform distribution over 200 bins


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB ``uint8 (h, w, 3)`` to OpenCV's 8-bit Lab, slightly smoothed, same shape."""
    return cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0), cv2.COLOR_RGB2LAB)


@dataclass(frozen=True, eq=False)
class Bins:
    """Histogram bins of the pixels of one crop.

    Attributes:
        whole: ``int32 (h * w,)``, bins of the global histogram.
        local: ``int32 (h * w,)``, bins of the positional histogram.
    """

    whole: np.ndarray
    local: np.ndarray

    @classmethod
    def of(cls, lab: np.ndarray, centre: np.ndarray, size: float) -> Bins:
        """Compute the bins of a crop.

        Args:
            lab: ``uint8 (h, w, 3)``, from :func:`to_lab`.
            centre: ``(2,)``, centre of the object, working pixels.
            size: size of the object, working pixels.
        """
        height, width = lab.shape[:2]
        flat = lab.reshape(-1, 3)
        whole = _TABLES[0][0][flat[:, 0]] + _TABLES[0][1][flat[:, 1]] + _TABLES[0][2][flat[:, 2]]
        coarse = _TABLES[1][0][flat[:, 0]] + _TABLES[1][1][flat[:, 1]] + _TABLES[1][2][flat[:, 2]]
        x, y = (
            np.clip(((np.arange(n) - c) / (_REACH * size) + 1) / 2 * _CELLS, 0, _CELLS - 1).astype(
                np.int32
            )
            for n, c in ((width, centre[0]), (height, centre[1]))
        )
        cell = (y[:, None] * _CELLS + x[None, :]).reshape(-1)
        return cls(whole, cell * int(np.prod(_LOCAL_BINS)) + coarse)


@dataclass(frozen=True, eq=False)
class Histograms:
    """Colour histograms around the object and on it: row 0 around it, row 1 on it.

    Attributes:
        whole: ``float32 (2, bins)``, global; each row sums to 1.
        local: ``float32 (2, cells * bins)``, by position and in coarser bins of colour.
    """

    whole: np.ndarray
    local: np.ndarray

    @classmethod
    def of(cls, bins: Bins, probability: np.ndarray) -> Histograms:
        """Histograms of a crop, weighted by the object's probability, ``float32 (h, w)``."""
        inside = probability.reshape(-1)
        outside = 1 - inside
        whole = [distribution(bins, weight) for weight in (outside, inside)]
        shape = (_CELLS, _CELLS, *_LOCAL_BINS)
        local = [_histogram(bins.local, weight, shape) for weight in (outside, inside)]
        return cls(
            np.stack(whole),
            np.stack(local) / max(float(inside.sum()), 1e-6),
        )

    def mixed(self, other: Histograms, share: float) -> Histograms:
        """A mixture with weight ``share``, 0 to 1, of the other histograms."""
        return Histograms(
            (1 - share) * self.whole + share * other.whole,
            (1 - share) * self.local + share * other.local,
        )


@dataclass(frozen=True, eq=False)
class Appearance:
    """The colour model of one object, mostly from its first frame, partly from recent ones."""

    first: Histograms
    recent: Histograms

    def learned(self, seen: Histograms, rate: float = _RATE) -> Appearance:
        """The model with its recent part updated by a new frame."""
        return replace(self, recent=self.recent.mixed(seen, rate))

    def corrected(self, seen: Histograms) -> Appearance:
        """The model after a user's correction of the mask."""
        return Appearance(self.first.mixed(seen, _CORRECTED), seen)

    def evidence(self, bins: Bins, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Log likelihood ratios of the pixels, global and positional, ``float32 (h, w)`` each."""
        model = self.first.mixed(self.recent, 1 - _ANCHOR)
        whole = _ratio(model.whole, _FLOOR / 200)
        local = _ratio(model.local, 2e-5)
        return whole[bins.whole].reshape(shape), local[bins.local].reshape(shape)


def distribution(bins: Bins, weight: np.ndarray) -> np.ndarray:
    """The global histogram of weighted pixels; it sums to 1.

    Args:
        bins: of the crop.
        weight: ``float32 (h, w)`` or flat, of each pixel.

    Returns:
        ``float32 (bins,)``.
    """
    counts = _histogram(bins.whole, weight.reshape(-1), _GLOBAL_BINS)
    return np.asarray(counts / max(float(counts.sum()), 1e-6))


def chroma_histogram(lab: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Histogram of colours without their lightness, which changes with the light.

    Args:
        lab: ``uint8 (h, w, 3)``, from :func:`to_lab`.
        weight: ``float32 (h, w)``, of each pixel.

    Returns:
        ``float32 (32, 32)``, by a and b; it sums to 1.
    """
    a, b = lab[..., 1].ravel() >> 3, lab[..., 2].ravel() >> 3
    counts = np.bincount(a.astype(np.int32) * 32 + b, weight.ravel(), 32 * 32)
    shares = (counts / max(float(counts.sum()), 1e-6)).astype(np.float32).reshape(32, 32)
    return cv2.GaussianBlur(shares, (3, 3), 0)


def _ratio(model: np.ndarray, floor: float) -> np.ndarray:
    """Log ratio of histograms ``(2, bins)``: on the object over around it, ``(bins,)``."""
    ratio: np.ndarray = np.log((model[1] + floor) / (model[0] + floor))
    return ratio


def _histogram(index: np.ndarray, weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weighted counts, blurred by one bin along every axis, ``float32 (bins,)``."""
    counts = np.bincount(index, weight, int(np.prod(shape))).astype(np.float32).reshape(shape)
    for axis in range(counts.ndim):
        padded = np.moveaxis(counts, axis, 0)
        blurred = 0.5 * padded
        blurred[1:] += 0.25 * padded[:-1]
        blurred[:-1] += 0.25 * padded[1:]
        counts = np.moveaxis(blurred, 0, axis)
    return np.ascontiguousarray(counts).reshape(-1)


def _tables(bins: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lookup tables ``int32 (256,)``: what each channel's value adds to the number of the bin."""
    value = np.arange(256, dtype=np.float32)
    chroma = (value - 128) / _CHROMA_RANGE
    light = np.clip(value / 256 * bins[0], 0, bins[0] - 1).astype(np.int32)
    green, blue = (np.clip((chroma + 1) / 2 * n, 0, n - 1).astype(np.int32) for n in bins[1:])
    return light * bins[1] * bins[2], green * bins[2], blue


_TABLES = (_tables(_GLOBAL_BINS), _tables(_LOCAL_BINS))
