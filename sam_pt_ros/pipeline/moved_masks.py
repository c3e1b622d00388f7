"""Masks of frames that are not segmented: the last ones, moved along with their points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_pt_ros.masks import MaskPrediction


@dataclass(frozen=True, eq=False)
class Anchor:
    """An object's mask in the newest frame in which it was segmented.

    Masks are always moved from there, so that errors do not add up over skipped frames.

    Attributes:
        index: of that frame.
        prediction: its mask there.
        shift: x, y in whole pixels by which it has moved since.
    """

    index: int
    prediction: MaskPrediction
    shift: tuple[int, int] = (0, 0)

    @property
    def moved(self) -> MaskPrediction:
        """Its mask where it is now."""
        return shifted(self.prediction, self.shift)


def shifted(prediction: MaskPrediction, shift: tuple[int, int]) -> MaskPrediction:
    """A prediction moved by x, y in whole pixels; what leaves the image is cut off."""
    left, top = prediction.origin[0] + shift[0], prediction.origin[1] + shift[1]
    rows, columns = prediction.logits.shape
    height, width = prediction.image_size
    x, y = max(left, 0), max(top, 0)
    right, bottom = min(left + columns, width), min(top + rows, height)
    if right <= x or bottom <= y:
        return MaskPrediction.nothing(prediction.image_size)
    logits = prediction.logits[y - top : bottom - top, x - left : right - left]
    return MaskPrediction(logits, (x, y), prediction.image_size, prediction.score)


def displacement(before: np.ndarray, now: np.ndarray) -> tuple[int, int] | None:
    """Median displacement of points in whole pixels, x and y apart; None without points.

    Args:
        before, now: ``float32 (N, 2)``, the same points in two frames.
    """
    if len(now) == 0:
        return None
    x, y = np.rint(np.median(now - before, axis=0)).astype(np.int64).tolist()
    return x, y
