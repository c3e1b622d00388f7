"""Projection between pixels and a camera's optical frame (REP 103, REP 104). Needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import UserError

_PINHOLE = ("plumb_bob", "rational_polynomial", "thin_prism", "")
_FISHEYE = ("equidistant", "fisheye", "kannala_brandt")  # names of one model
# Numbers of coefficients that OpenCV takes, ascending.
_COEFFICIENTS = dict.fromkeys(_FISHEYE, (4,)) | dict.fromkeys(_PINHOLE, (0, 4, 5, 8, 12, 14))

_UNDO_DISTORTION = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-6)
"""Largest number of steps, and the accuracy in pixels. OpenCV's default of 5 steps does not
converge for strong lenses."""

_SAME_DIRECTION = 1e-3
"""Largest angle, in radians, between a point and the ray through its pixel."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A calibrated camera.

    Attributes:
        matrix: ``float64 (3, 3)``, the intrinsic matrix of the images as published, pixels.
        distortion: ``float64 (n,)``, D of the CameraInfo without the zeros at its end that the
            lens model does not need; all 0 or empty without distortion.
        fisheye: whether D holds coefficients of the equidistant model.
        size: (height, width) of the images; None if the CameraInfo does not give it.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    size: tuple[int, int] | None = None

    def __eq__(self, other: object) -> bool:
        """Whether both project identically, so that caches can be shared."""
        return isinstance(other, CameraModel) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)

    @property
    def _values(self) -> tuple[Any, ...]:
        return self.matrix.tobytes(), self.distortion.tobytes(), self.fisheye, self.size

    @classmethod
    def from_message(cls, message: Any, rectified: bool = False) -> CameraModel:
        """Read a CameraInfo message.

        K and P refer to the full resolution. The matrix is adapted to the binning and the
        region of interest of the published images (REP 104).

        Args:
            message: the CameraInfo.
            rectified: whether the images are rectified. Then P is used instead of K and D. The
                fourth column of P is ignored: points are in the camera's own frame.

        Raises:
            UserError: the camera is not calibrated, or its lens model is not supported.
        """
        if rectified:
            matrix, name = np.array(message.p, np.float64).reshape(3, 4)[:, :3], "P"
            distortion, fisheye = np.zeros(0), False
        else:
            matrix, name = np.array(message.k, np.float64).reshape(3, 3), "K"
            distortion, fisheye = _lens(message)
        _check_calibrated(matrix, name)
        roi = message.roi
        binning = np.array([message.binning_x or 1, message.binning_y or 1])
        matrix[:2, 2] -= roi.x_offset, roi.y_offset
        window = np.array([roi.width or message.width, roi.height or message.height])
        width, height = (window // binning).tolist()
        size = (height, width) if width and height else None
        return cls(_scaled(matrix, 1 / binning), distortion, fisheye, size)

    def resized(self, size: tuple[int, int]) -> CameraModel:
        """The same camera with its images scaled to (height, width) in pixels.

        Raises:
            UserError: the size of its images is unknown.
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
        """Raise UserError if the calibration is for images of another (height, width)."""
        if self.size is not None and self.size != size:
            height, width = self.size
            raise UserError(
                f"the camera_info is for images of {width}x{height} pixels, but they have "
                f"{size[1]}x{size[0]}"
            )

    def project(self, point: np.ndarray) -> np.ndarray:
        """Project a point into the image.

        A point up to half a pixel beside the image is moved to its edge, because the canvas in
        RViz is not drawn more precisely.

        Args:
            point: ``(3,)`` metres in the optical frame: x right, y down, z forward.

        Returns:
            The pixel, ``float64 (2,)``: x right, y down.

        Raises:
            UserError: no pixel shows the point. The texts are: ``the point [x, y, z] is not
                finite``, ``... lies behind the camera``, ``... lies outside of the image of
                WxH pixels`` and ``... lies beyond what the lens model covers``. In the last case
                the distortion polynomial is no longer monotonic, and would map the point into
                the image.
        """
        point = np.asarray(point, np.float64)
        subject = "the point [{:.6g}, {:.6g}, {:.6g}]".format(*point)
        if not np.isfinite(point).all():
            raise UserError(f"{subject} is not finite")
        if point[2] <= 0:
            raise UserError(f"{subject} lies behind the camera")
        (pixel,) = self.pixels(point[None])
        if self.size is not None:
            height, width = self.size
            if not (-1 <= pixel[0] <= width and -1 <= pixel[1] <= height):
                raise UserError(f"{subject} lies outside of the image of {width}x{height} pixels")
        (ray,) = self.rays(pixel[None])
        angle = np.arctan2(np.linalg.norm(np.cross(ray, point)), ray @ point)
        if not angle < _SAME_DIRECTION:
            raise UserError(f"{subject} lies beyond what the lens model covers")
        if self.size is not None:
            pixel = np.clip(pixel, -0.5, (width - 0.5, height - 0.5))
        return pixel

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Project points with the lens model, without the checks of :meth:`project`.

        Args:
            points: ``(N, 3)`` metres in the optical frame: x right, y down, z forward.

        Returns:
            ``float64 (N, 2)`` pixels, possibly outside the image.
        """
        points = np.asarray(points, np.float64).reshape(-1, 1, 3)
        model = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        zero = np.zeros(3)
        pixels, _ = model(points, zero, zero, self.matrix, self.distortion)
        return np.asarray(pixels.reshape(-1, 2))

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Back-project pixels to rays.

        Args:
            pixels: ``(N, 2)``: x right, y down.

        Returns:
            ``float64 (N, 3)``, the points at depth 1 on the rays, in the optical frame. For a
            pixel that the lens model cannot reach, the ray is finite but does not project back
            to the pixel.
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
        flat = np.where(np.isfinite(flat), flat, straight)  # the iteration may diverge
        return np.hstack([flat.reshape(-1, 2), np.ones((len(pixels), 1))])


def _check_calibrated(matrix: np.ndarray, name: str) -> None:
    """UserError if an intrinsic matrix is what drivers publish without a calibration."""
    fx, fy = matrix[0, 0], matrix[1, 1]
    if not np.isfinite(matrix).all():
        what = "is not finite"
    elif not matrix.any():
        what = "is 0"
    elif (matrix == np.eye(3)).all():
        what = "is the identity"
    elif not (fx > 1 and fy > 1):  # 1 would be a lens of nearly 180 degrees
        what = f"has focal lengths of {fx:g} and {fy:g} pixels"
    else:
        return
    raise UserError(
        f"the camera is not calibrated: {name} of its camera_info {what}; calibrate the camera"
    )


def _lens(message: Any) -> tuple[np.ndarray, bool]:
    """Distortion coefficients of a CameraInfo, and whether they are of the equidistant model."""
    model = message.distortion_model.lower()
    if model not in _COEFFICIENTS:
        raise UserError(
            f"the distortion model '{message.distortion_model}' is not supported; use "
            "plumb_bob, rational_polynomial, thin_prism, equidistant, fisheye or kannala_brandt"
        )
    distortion = np.array(message.d, np.float64)
    possible = _COEFFICIENTS[model]
    enough = [n for n in possible if n <= len(distortion) and not distortion[n:].any()]
    if not enough or not np.isfinite(distortion).all():
        raise UserError(
            f"the distortion model '{message.distortion_model}' needs "
            f"{' or '.join(map(str, possible))} finite coefficients, got "
            f"{distortion.tolist()}; calibrate the camera"
        )
    return distortion[: enough[0]], model in _FISHEYE


def _scaled(matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Intrinsic matrix of images scaled by (x, y); (0, 0) stays the centre of the first pixel."""
    matrix = matrix.copy()
    matrix[:2] *= scale[:, None]
    matrix[:2, 2] += (scale - 1) / 2
    return matrix
