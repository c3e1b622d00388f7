"""Frames at the size at which a matcher sees them (NumPy and OpenCV only)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sam_pt_ros.frames import Frame

MULTIPLE = 32
"""The sides of the networks' images are multiples of this."""

_MOST_ENLARGED = 2.0
_BLUR = 7  # side of the square whose mean colour is that of its middle, scaled pixels


@dataclass(frozen=True, eq=False)
class Scaled:
    """How a frame is scaled for a matcher, and its colours.

    Attributes:
        blurred: RGB ``uint8 (h, w, 3)``, mean colours around every scaled pixel.
        scale: ``float64 (2,)``, scaled pixels per image pixel, in x and y.
    """

    blurred: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, frame: Frame, working_size: int) -> tuple[Scaled, np.ndarray]:
        """Scale a frame.

        Args:
            frame: the frame.
            working_size: longer side, in pixels; 0: only to multiples of 32.

        Returns:
            What is kept of it; the scaled image, RGB ``uint8 (h, w, 3)``.
        """
        factor = min(working_size / max(frame.size), _MOST_ENLARGED) if working_size else 1.0
        height, width = (
            max(MULTIPLE, int(side * factor + 1e-6) // MULTIPLE * MULTIPLE) for side in frame.size
        )
        image = frame.image
        if (height, width) != frame.size:
            how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, (width, height), interpolation=how)
        blurred = cv2.blur(image, (_BLUR, _BLUR), borderType=cv2.BORDER_REPLICATE)
        scale = np.array([width / frame.width, height / frame.height])
        return cls(blurred, scale), image

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in scaled pixels."""
        return int(self.blurred.shape[0]), int(self.blurred.shape[1])

    @property
    def pixel(self) -> float:
        """Image pixels per scaled pixel, the mean of both axes."""
        return float((1 / self.scale).mean())

    def reduce(self, xy: np.ndarray) -> np.ndarray:
        """Image pixels ``(..., 2)`` to scaled pixels, ``float32 (..., 2)``."""
        return ((xy + 0.5) * self.scale - 0.5).astype(np.float32)

    def enlarge(self, xy: np.ndarray) -> np.ndarray:
        """Scaled pixels ``(..., 2)`` to image pixels, ``float32 (..., 2)``."""
        return ((xy + 0.5) / self.scale - 0.5).astype(np.float32)

    def colours(self, xy: np.ndarray) -> np.ndarray:
        """Mean colours around places ``(..., 2)`` in image pixels, ``float32 (..., 3)``."""
        height, width = self.size
        places = np.nan_to_num(self.reduce(xy))
        x = np.clip(np.rint(places[..., 0]), 0, width - 1).astype(np.int64)
        y = np.clip(np.rint(places[..., 1]), 0, height - 1).astype(np.int64)
        return self.blurred[y, x].astype(np.float32)
