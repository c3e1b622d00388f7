"""Pixels and points in the optical frame of a camera (REP 103, REP 104). No ROS here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import UserError

_FISHEYE = "equidistant"
_PINHOLE = ("plumb_bob", "rational_polynomial", "thin_prism", "")
_COEFFICIENTS = {_FISHEYE: (4,)} | dict.fromkeys(_PINHOLE, (0, 4, 5, 8, 12, 14))  # OpenCV's


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A calibrated camera that publishes unrectified images.

    Attributes:
        matrix: ``float64 (3, 3)``, K of the CameraInfo.
        distortion: ``float64 (n,)``, D; all 0 or empty without distortion.
        fisheye: whether D are coefficients of the equidistant model.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    fisheye: bool

    @classmethod
    def from_message(cls, message: Any) -> CameraModel:
        """Read a CameraInfo message; UserError if the camera is not calibrated or unknown."""
        matrix = np.array(message.k, np.float64).reshape(3, 3)
        if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
            raise UserError("the camera_info holds no calibration (K is 0); calibrate the camera")
        if message.distortion_model not in _COEFFICIENTS:
            raise UserError(
                f"the distortion model '{message.distortion_model}' is not supported; known are "
                "plumb_bob, rational_polynomial, thin_prism and equidistant"
            )
        distortion = np.array(message.d, np.float64)
        possible = _COEFFICIENTS[message.distortion_model]
        if len(distortion) not in possible or not np.isfinite(distortion).all():
            raise UserError(
                f"the distortion model '{message.distortion_model}' needs "
                f"{' or '.join(map(str, possible))} finite coefficients, got "
                f"{distortion.tolist()}; calibrate the camera"
            )
        return cls(matrix, distortion, message.distortion_model == _FISHEYE)

    def project(self, point: np.ndarray) -> np.ndarray:
        """The pixel, ``float64 (2,)``, of a point (x right, y down, z forward, metres).

        Raises:
            UserError: the point is not finite, or not in front of the camera.
        """
        point = np.asarray(point, np.float64)
        if not np.isfinite(point).all():
            raise UserError(f"the point {point.tolist()} is not finite")
        if point[2] <= 0:
            raise UserError(f"the point {point.tolist()} lies behind the camera")
        zero = np.zeros(3)
        if self.fisheye:
            pixels, _ = cv2.fisheye.projectPoints(
                point.reshape(1, 1, 3), zero, zero, self.matrix, self.distortion
            )
        else:
            pixels, _ = cv2.projectPoints(
                point.reshape(1, 1, 3), zero, zero, self.matrix, self.distortion
            )
        return np.asarray(pixels.reshape(2))

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Points at depth 1, ``float64 (N, 3)``, on the rays through ``pixels (N, 2)``."""
        pixels = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
        if len(pixels) == 0:
            return np.zeros((0, 3))
        if self.fisheye:
            flat = cv2.fisheye.undistortPoints(pixels, self.matrix, self.distortion)
        else:
            flat = cv2.undistortPoints(pixels, self.matrix, self.distortion)
        return np.hstack([flat.reshape(-1, 2), np.ones((len(pixels), 1))])
