"""The part of an image in which an object is processed, at reduced resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.classical.regions import bounding_box

_PYRAMID = "classical/pyramid"
_MARGIN = 0.5  # around an object that is segmented from scratch, relative to its longer side
_MAX_SCALE = 1.5  # working pixels per image pixel
_MIN_SIDE = 16  # working pixels; OpenCV's dense flow fails or crashes below 12


@dataclass(frozen=True)
class Window:
    """A rectangle of the image, resampled to working pixels.

    Attributes:
        x: left edge, image pixels; pixel i spans i - 0.5 to i + 0.5.
        y: upper edge, image pixels.
        width: width, working pixels.
        height: height, working pixels.
        scale: working pixels per image pixel.
    """

    x: float
    y: float
    width: int
    height: int
    scale: float

    @classmethod
    def around(
        cls,
        box: tuple[float, float, float, float],
        scale: float,
        image_size: tuple[int, int],
    ) -> Window:
        """The window of a box, clipped to the image.

        Args:
            box: edges x min, y min, x max, y max, image pixels.
            scale: working pixels per image pixel.
            image_size: height, width of the image.
        """
        left, top = max(box[0], -0.5), max(box[1], -0.5)
        least = _MIN_SIDE / scale
        right = min(max(box[2], left + least), image_size[1] - 0.5)
        bottom = min(max(box[3], top + least), image_size[0] - 0.5)
        left, top = min(left, right - least), min(top, bottom - least)
        width, height = round((right - left) * scale), round((bottom - top) * scale)
        return cls(left, top, max(width, _MIN_SIDE), max(height, _MIN_SIDE), scale)

    @classmethod
    def of_object(
        cls,
        box: tuple[float, float, float, float],
        object_size: float,
        image_size: tuple[int, int],
    ) -> tuple[Window, float]:
        """A window with a wide margin around an object that is segmented from scratch.

        Args:
            box: edges of the object: x min, y min, x max, y max, image pixels.
            object_size: size to which the object is scaled, working pixels.
            image_size: height, width of the image.

        Returns:
            The window, and the size of the box in working pixels.
        """
        x0, y0, x1, y1 = box
        width, height = max(x1 - x0, 4.0), max(y1 - y0, 4.0)
        size = float(np.sqrt(width * height))
        margin = _MARGIN * max(width, height)
        scale = min(object_size / size, _MAX_SCALE)
        around = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
        return cls.around(around, scale, image_size), size * scale

    @property
    def shape(self) -> tuple[int, int]:
        """height, width in working pixels."""
        return self.height, self.width

    @property
    def centre(self) -> np.ndarray:
        """Centre, ``(2,)``: x, y in image pixels."""
        return np.array([self.x, self.y]) + np.array([self.width, self.height]) / 2 / self.scale

    def moved(self, dx: float, dy: float) -> Window:
        """The window moved by dx and dy image pixels."""
        return Window(self.x + dx, self.y + dy, self.width, self.height, self.scale)

    def to_working(self, xy: np.ndarray) -> np.ndarray:
        """Convert image pixels ``(N, 2)`` to working pixels, ``float32 (N, 2)``."""
        return ((xy - (self.x, self.y)) * self.scale - 0.5).astype(np.float32)

    def to_image(self, xy: np.ndarray) -> np.ndarray:
        """Convert working pixels ``(N, 2)`` to image pixels, ``float32 (N, 2)``."""
        return ((np.asarray(xy) + 0.5) / self.scale + (self.x, self.y)).astype(np.float32)

    def extent(
        self, probability: np.ndarray
    ) -> tuple[tuple[float, float, float, float] | None, float]:
        """Box (edges) and area of an object, image pixels; None and 0 if it is empty.

        Args:
            probability: ``float32 (height, width)`` in this window, above 0.5 on the object.
        """
        box = bounding_box(probability)
        if box is None:
            return None, 0.0
        (x0, y0), (x1, y1) = self.to_image(np.array([box[:2], box[2:]])).tolist()
        return (x0, y0, x1, y1), float(np.count_nonzero(probability > 0.5)) / self.scale**2

    def crop(self, frame: Frame) -> np.ndarray:
        """The frame in this window, RGB ``uint8 (height, width, 3)``; the border is replicated."""
        shrink, level = 1, 0
        while shrink * self.scale < 0.75 and level < 4:
            shrink, level = shrink * 2, level + 1
        image = _pyramid(frame, level)
        sx, sy = image.shape[1] / frame.width, image.shape[0] / frame.height
        # Working pixel u lies at ((u + 0.5) / scale + x + 0.5) * sx - 0.5 of the level.
        matrix = np.array(
            [
                [sx / self.scale, 0, (0.5 / self.scale + self.x + 0.5) * sx - 0.5],
                [0, sy / self.scale, (0.5 / self.scale + self.y + 0.5) * sy - 0.5],
            ]
        )
        return cv2.warpAffine(
            image,
            matrix,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def resample(self, values: np.ndarray, source: Window, beyond: float = 0.0) -> np.ndarray:
        """Resample values of another window to this one.

        Args:
            values: ``float32 (h, w)`` in ``source``.
            source: the other window.
            beyond: value outside of it.

        Returns:
            ``float32 (height, width)``.
        """
        ratio = source.scale / self.scale
        matrix = np.array(
            [
                [ratio, 0, 0.5 * ratio + (self.x - source.x) * source.scale - 0.5],
                [0, ratio, 0.5 * ratio + (self.y - source.y) * source.scale - 0.5],
            ]
        )
        return cv2.warpAffine(
            values,
            matrix,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=beyond,
        )

    def enlarge(
        self, values: np.ndarray, image_size: tuple[int, int]
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Resample values of this window to image resolution, within the image.

        Args:
            values: ``float32 (height, width)`` in this window.
            image_size: height, width of the image.

        Returns:
            ``float32 (h, w)``, and the x, y of its top-left pixel in the image.
        """
        left, top = max(int(np.ceil(self.x)), 0), max(int(np.ceil(self.y)), 0)
        right = min(int(np.floor(self.x + self.width / self.scale)) + 1, image_size[1])
        bottom = min(int(np.floor(self.y + self.height / self.scale)) + 1, image_size[0])
        matrix = np.array(
            [
                [self.scale, 0, (left - self.x) * self.scale - 0.5],
                [0, self.scale, (top - self.y) * self.scale - 0.5],
            ]
        )
        large = cv2.warpAffine(
            values,
            matrix,
            (max(right - left, 1), max(bottom - top, 1)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return large, (left, top)


def _pyramid(frame: Frame, level: int) -> np.ndarray:
    """The frame, its resolution halved ``level`` times; cached in the frame."""
    levels: list[np.ndarray] = frame.features.setdefault(_PYRAMID, [frame.image])
    while len(levels) <= level:
        last = levels[-1]
        size = max(last.shape[1] // 2, 1), max(last.shape[0] // 2, 1)
        levels.append(cv2.resize(last, size, interpolation=cv2.INTER_AREA))
    return levels[level]
