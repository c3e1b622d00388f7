"""Hides points whose surroundings have changed (SAM-PT's patch-similarity filter)."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.points import PointTracks


class PatchFilter:
    """Hides points that no longer look as they did when they were sampled; they stay hidden.

    Patches are compared in CIE Lab (L from 0 to 100): the similarity of two is
    ``exp(-d / (2 size²))``, d being the Euclidean distance of all their values. The authors' code
    swaps red and blue first; this does not.

    Args:
        size: side of the patches in pixels, odd.
        threshold: similarity from which two look alike.
    """

    def __init__(self, size: int = 3, threshold: float = 0.01) -> None:
        self.size = size
        self.threshold = threshold
        self._patches: dict[int, np.ndarray] = {}
        self._rejected: set[int] = set()

    def add(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> None:
        """Remember what points, ``float32 (N, 2)``, look like in the frame they start in."""
        for point, patch in zip(ids.tolist(), lab_patches(frame.image, xy, self.size)):
            self._patches[point] = patch

    def remove(self, ids: np.ndarray) -> None:
        """Forget points; ids that are not known are ignored."""
        for point in ids.tolist():
            self._patches.pop(point, None)
            self._rejected.discard(point)

    def apply(self, tracks: PointTracks, frame: Frame) -> PointTracks:
        """The tracks; points that look different now, or did before, are not visible.

        Points that are hidden in this frame are not judged by it.
        """
        if len(tracks) == 0:
            return tracks
        ids = tracks.ids.tolist()
        then = np.stack([self._patches[point] for point in ids])
        now = lab_patches(frame.image, tracks.xy, self.size)
        distances = np.linalg.norm((now - then).reshape(len(ids), -1), axis=1)
        similar = np.exp(-distances / (2 * self.size**2)) > self.threshold
        self._rejected.update(np.array(ids)[tracks.visible & ~similar].tolist())
        allowed = np.array([point not in self._rejected for point in ids])
        return replace(tracks, visible=tracks.visible & allowed)


def lab_patches(image: np.ndarray, xy: np.ndarray, size: int) -> np.ndarray:
    """The surroundings of points in CIE Lab, ``float32 (N, size, size, 3)``.

    Values between pixels are interpolated; values outside the image are 0.

    Args:
        image: RGB ``uint8 (H, W, 3)``.
        xy: ``float32 (N, 2)`` pixels.
        size: side of a patch, odd.
    """
    height, width = image.shape[:2]
    reach = np.arange(size) - size // 2
    # Far outside is as good as just outside, and fits into integers.
    places = np.clip(xy, -size - 1, np.array([width, height]) + size + 1)
    x = places[:, 0, None, None] + reach[None, None, :]
    y = places[:, 1, None, None] + reach[None, :, None]
    x, y = np.broadcast_arrays(x, y)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    patches = np.zeros((*x.shape, 3), np.float32)
    for right in (0, 1):
        for below in (0, 1):
            column, row = left + right, top + below
            weight = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            pixels = image[row.clip(0, height - 1), column.clip(0, width - 1)]
            flat = pixels.reshape(1, -1, 3).astype(np.float32) / 255
            lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(patches.shape)
            patches += (weight * inside)[..., None].astype(np.float32) * lab
    return patches
