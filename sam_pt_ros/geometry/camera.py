"""Pixels and points in the optical frame of a camera (REP 103, REP 104). No ROS here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import UserError

_FISHEYE = "equidistant"
_PINHOLE = ("plumb_bob", "rational_polynomial", "thin_prism", "")
_COEFFICIENTS = {_FISHEYE: (4,)} | dict.fromkeys(_PINHOLE, (0, 4, 5, 8, 12, 14))  # OpenCV's

_UNDO_DISTORTION = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-6)
"""Steps at most, and the pixels that may remain: OpenCV's 5 steps leave some at strong lenses."""

_SAME_DIRECTION = 1e-3
"""Radians by which the ray through a point's pixel may miss the point."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A calibrated camera.

    Attributes:
        matrix: ``float64 (3, 3)``, of the images as they are published.
        distortion: ``float64 (n,)``, D of the CameraInfo; all 0 or empty without distortion.
        fisheye: whether D are coefficients of the equidistant model.
        size: (height, width) of the images; None if the CameraInfo does not say.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    size: tuple[int, int] | None = None

    def __eq__(self, other: object) -> bool:
        """Whether the other projects alike, so that what was computed for one holds for both."""
        return isinstance(other, CameraModel) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)

    @property
    def _values(self) -> tuple[Any, ...]:
        return self.matrix.tobytes(), self.distortion.tobytes(), self.fisheye, self.size

    @classmethod
    def from_message(cls, message: Any, rectified: bool = False) -> CameraModel:
        """Read a CameraInfo message.

        K and P are those of the full resolution: binning and the region of interest, which say
        what of it is published, are taken into account.

        Args:
            message: the CameraInfo.
            rectified: whether the images are rectified: then P counts, and D does not. Its
                fourth column does not either: points are in the camera's own frame.

        Raises:
            UserError: the camera is not calibrated, or its lens model is not known.
        """
        if rectified:
            matrix, name = np.array(message.p, np.float64).reshape(3, 4)[:, :3], "P"
            distortion, fisheye = np.zeros(0), False
        else:
            matrix, name = np.array(message.k, np.float64).reshape(3, 3), "K"
            distortion, fisheye = _lens(message)
        if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
            raise UserError(
                f"the camera_info holds no calibration ({name} is 0); calibrate the camera"
            )
        roi = message.roi
        binning = np.array([message.binning_x or 1, message.binning_y or 1])
        matrix[:2, 2] -= roi.x_offset, roi.y_offset
        window = np.array([roi.width or message.width, roi.height or message.height])
        width, height = (window // binning).tolist()
        size = (height, width) if width and height else None
        return cls(_scaled(matrix, 1 / binning), distortion, fisheye, size)

    def resized(self, size: tuple[int, int]) -> CameraModel:
        """The same camera with images scaled to (height, width).

        Raises:
            UserError: the size of its images is not known.
        """
        if self.size is None:
            raise UserError(
                "the camera_info gives no image size (width and height are 0); fix its publisher"
            )
        if size == self.size:
            return self
        scale = np.array(size[::-1]) / self.size[::-1]
        return replace(self, matrix=_scaled(self.matrix, scale), size=size)

    def check_size(self, size: tuple[int, int]) -> None:
        """UserError if it is a calibration for images of another (height, width)."""
        if self.size is not None and self.size != size:
            height, width = self.size
            raise UserError(
                f"the camera_info is for images of {width}x{height} pixels, but they have "
                f"{size[1]}x{size[0]}"
            )

    def project(self, point: np.ndarray) -> np.ndarray:
        """The pixel, ``float64 (2,)``, of a point (x right, y down, z forward, metres).

        Raises:
            UserError: no pixel shows the point. The texts are: ``the point [x, y, z] is not
                finite``, ``... lies behind the camera``, ``... lies outside of the image of
                WxH pixels`` and ``... lies beyond what the lens model covers``: there the
                polynomials of the distortion turn round, and would put it into the image. Half a
                pixel beside the image is its edge: the canvas is drawn no more exactly.
        """
        point = np.asarray(point, np.float64)
        said = "the point [{:.6g}, {:.6g}, {:.6g}]".format(*point)
        if not np.isfinite(point).all():
            raise UserError(f"{said} is not finite")
        if point[2] <= 0:
            raise UserError(f"{said} lies behind the camera")
        (pixel,) = self.pixels(point[None])
        if self.size is not None:
            height, width = self.size
            if not (-1 <= pixel[0] <= width and -1 <= pixel[1] <= height):
                raise UserError(f"{said} lies outside of the image of {width}x{height} pixels")
        (ray,) = self.rays(pixel[None])
        angle = np.arctan2(np.linalg.norm(np.cross(ray, point)), ray @ point)
        if not angle < _SAME_DIRECTION:
            raise UserError(f"{said} lies beyond what the lens model covers")
        if self.size is not None:
            pixel = np.clip(pixel, -0.5, (width - 0.5, height - 0.5))
        return pixel

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Where the formulas of the lens put points, ``float64 (N, 2)``.

        Unlike :meth:`project` it does not ask whether an image shows them there.

        Args:
            points: ``(N, 3)``, x right, y down, z forward; metres.
        """
        points = np.asarray(points, np.float64).reshape(-1, 1, 3)
        model = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        zero = np.zeros(3)
        pixels, _ = model(points, zero, zero, self.matrix, self.distortion)
        return np.asarray(pixels.reshape(-1, 2))

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Points at depth 1, ``float64 (N, 3)``, on the rays through ``pixels (N, 2)``.

        A pixel that the lens model does not reach has some finite ray, which does not project
        to it.
        """
        pixels = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
        if len(pixels) == 0:
            return np.zeros((0, 3))
        if self.fisheye:
            flat = cv2.fisheye.undistortPoints(pixels, self.matrix, self.distortion)
        else:
            flat = cv2.undistortPointsIter(
                pixels, self.matrix, self.distortion, None, None, _UNDO_DISTORTION
            )
        straight = (pixels - self.matrix[:2, 2]) / np.diag(self.matrix)[:2]
        flat = np.where(np.isfinite(flat), flat, straight)  # the steps may lead anywhere
        return np.hstack([flat.reshape(-1, 2), np.ones((len(pixels), 1))])


def _lens(message: Any) -> tuple[np.ndarray, bool]:
    """Coefficients of a CameraInfo, and whether they are the equidistant model's."""
    if message.distortion_model not in _COEFFICIENTS:
        raise UserError(
            f"the distortion model '{message.distortion_model}' is not supported; use "
            "plumb_bob, rational_polynomial, thin_prism or equidistant"
        )
    distortion = np.array(message.d, np.float64)
    possible = _COEFFICIENTS[message.distortion_model]
    if len(distortion) not in possible or not np.isfinite(distortion).all():
        raise UserError(
            f"the distortion model '{message.distortion_model}' needs "
            f"{' or '.join(map(str, possible))} finite coefficients, got "
            f"{distortion.tolist()}; calibrate the camera"
        )
    return distortion, message.distortion_model == _FISHEYE


def _scaled(matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """K of images scaled by (x, y); the centre of their first pixel remains (0, 0)."""
    matrix = matrix.copy()
    matrix[:2] *= scale[:, None]
    matrix[:2, 2] += (scale - 1) / 2
    return matrix
