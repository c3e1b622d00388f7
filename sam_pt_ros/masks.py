"""Masks cropped to their bounding box, and the label image that makes them disjoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

NO_OBJECT = 0
"""What no object has as its id."""

MAX_OBJECT_ID = 65535
"""The largest id that a 16-bit label image can show."""


@dataclass(frozen=True, eq=False)
class CroppedMask:
    """A mask, cropped to its bounding box.

    Attributes:
        pixels: ``bool (h, w)``; (0, 0) if the mask is empty.
        origin: x, y of its top-left pixel in the image.
        image_size: height, width of the image.
    """

    pixels: np.ndarray
    origin: tuple[int, int]
    image_size: tuple[int, int]

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> CroppedMask:
        """A mask without pixels, for an image of (height, width)."""
        return cls(np.zeros((0, 0), np.bool_), (0, 0), image_size)

    @classmethod
    def cut(
        cls, pixels: np.ndarray, origin: tuple[int, int], image_size: tuple[int, int]
    ) -> CroppedMask:
        """Crop a mask to the bounding box of its set pixels.

        Args:
            pixels: ``bool (h, w)``.
            origin: x, y of its top-left pixel in the image.
            image_size: height, width of the image.
        """
        if pixels.size == 0:
            return cls.empty(image_size)
        x, y, w, h = cv2.boundingRect(pixels.view(np.uint8))
        if w == 0:
            return cls.empty(image_size)
        tight = np.ascontiguousarray(pixels[y : y + h, x : x + w])
        return cls(tight, (origin[0] + x, origin[1] + y), image_size)

    @cached_property
    def area(self) -> int:
        """Number of set pixels."""
        return int(np.count_nonzero(self.pixels))

    @property
    def roi(self) -> tuple[int, int, int, int]:
        """Bounding box in pixels: x, y, width, height; all 0 if the mask is empty."""
        height, width = self.pixels.shape
        return (*self.origin, width, height)

    @cached_property
    def centroid(self) -> tuple[float, float] | None:
        """Mean x and y of the set pixels; None if there are none."""
        if self.area == 0:
            return None
        moments = cv2.moments(self.pixels.view(np.uint8), binaryImage=True)
        x, y = self.origin
        return x + moments["m10"] / self.area, y + moments["m01"] / self.area

    def full(self) -> np.ndarray:
        """The mask over the whole image, ``bool (H, W)``."""
        image = np.zeros(self.image_size, np.bool_)
        x, y, w, h = self.roi
        image[y : y + h, x : x + w] = self.pixels
        return image

    def resized(self, image_size: tuple[int, int]) -> CroppedMask:
        """The mask scaled to an image of another (height, width); a small one may become empty."""
        pixels = cv2.resize(
            self.full().view(np.uint8), image_size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        )
        return CroppedMask.cut(pixels.view(np.bool_), (0, 0), image_size)


_ALIKE = 0.85  # intersection over union from which two masks show the same


@dataclass(frozen=True, eq=False)
class MaskPrediction:
    """One object's mask.

    Attributes:
        logits: ``float32 (h, w)``; positive on the object. They may cover only a part of the
            image; the object does not extend beyond it.
        origin: x, y of the top-left pixel of ``logits`` in the image.
        image_size: height, width of the image.
        score: the segmenter's estimate of the mask's quality, 0 to 1; 0 if the object is not
            seen.
        revised: whether the segmenter has decided anew what the object's prompt meant. Earlier
            masks, and points that were sampled from them, may be wrong.
    """

    logits: np.ndarray
    origin: tuple[int, int]
    image_size: tuple[int, int]
    score: float
    revised: bool = False

    def __post_init__(self) -> None:
        if self.logits.ndim != 2:
            raise ValueError(f"logits must have shape (h, w), got {self.logits.shape}")
        x, y = self.origin
        h, w = self.logits.shape
        if x < 0 or y < 0 or y + h > self.image_size[0] or x + w > self.image_size[1]:
            raise ValueError(
                f"logits of {w}x{h} at ({x}, {y}) extend beyond the image of "
                f"{self.image_size[1]}x{self.image_size[0]}"
            )

    @classmethod
    def nothing(cls, image_size: tuple[int, int]) -> MaskPrediction:
        """The prediction for an object that is not seen."""
        return cls(np.zeros((0, 0), np.float32), (0, 0), image_size, 0.0)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that ``logits`` covers."""
        x, y = self.origin
        return slice(y, y + self.logits.shape[0]), slice(x, x + self.logits.shape[1])

    @property
    def mask(self) -> np.ndarray:
        """The mask over the whole image, ``bool (H, W)``."""
        full = np.zeros(self.image_size, np.bool_)
        full[self.window] = self.logits > 0
        return full


def resolve_overlaps(
    predictions: Sequence[MaskPrediction], object_ids: Sequence[int], image_size: tuple[int, int]
) -> tuple[np.ndarray, list[CroppedMask]]:
    """Assign every pixel to at most one object: the one with the highest logit.

    Args:
        predictions: one per object.
        object_ids: 1 to 65535, in the same order. Of equal logits, the earlier object wins.
        image_size: height, width.

    Returns:
        The label image, ``uint16 (H, W)``, 0 where there is no object, and the mask of each
        object in it.
    """
    labels = np.zeros(image_size, np.uint16)
    best = np.zeros(image_size, np.float32)
    for prediction, object_id in zip(predictions, object_ids, strict=True):
        window = prediction.window
        wins = prediction.logits > best[window]
        labels[window][wins] = object_id
        best[window][wins] = prediction.logits[wins]
    masks = [
        CroppedMask.cut(labels[p.window] == object_id, p.origin, image_size)
        for p, object_id in zip(predictions, object_ids, strict=True)
    ]
    return labels, masks


def distinct(predictions: Iterable[MaskPrediction]) -> list[MaskPrediction]:
    """The masks that are neither empty nor nearly the same as one with a higher score.

    Returns:
        The highest score first.
    """
    kept: list[MaskPrediction] = []
    for each in sorted(predictions, key=lambda each: -each.score):
        mask = each.mask
        if mask.any() and all(_overlap(mask, other.mask) < _ALIKE for other in kept):
            kept.append(each)
    return kept


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks, ``bool (H, W)``, neither of them empty."""
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)
