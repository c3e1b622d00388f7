"""Encodings that only cv_bridge knows."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError, one_line
from sam_pt_ros.interchange.images import QUOTED, check_size

_TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
image = Image(height=2, width=2, step=6, encoding="bgr8", data=bytes(range(12)))
assert CvBridge().imgmsg_to_cv2(image, "rgb8").tolist()[0][0] == [2, 1, 0]
"""
_TRIAL_TIMEOUT = 60.0  # seconds


class CvBridge:
    """Decodes images with cv_bridge, if that works on this machine.

    cv_bridge is compiled for one release of NumPy and may crash with another. So the first image
    is preceded by a trial in a process of its own, which takes about a second.
    """

    def __init__(self) -> None:
        self._bridge: Any = None
        self._fault: str | None = None
        self._tried = False

    @classmethod
    def if_installed(cls) -> CvBridge | None:
        """A decoder; None if cv_bridge is not installed."""
        return cls() if importlib.util.find_spec("cv_bridge") is not None else None

    def __call__(self, message: Any) -> np.ndarray:
        """Decode an Image message to RGB, ``uint8 (H, W, 3)``.

        Raises:
            UserError: cv_bridge does not work on this machine or refuses the image, or a side is
                too short or too long.
        """
        check_size(message.height, message.width)
        if not self._tried:
            self._try()
        name = f"the image's encoding {message.encoding[:QUOTED]!r}"
        if self._bridge is None:
            raise UserError(
                f"{name} needs cv_bridge, which does not work here ({self._fault}); install a "
                "cv_bridge for this release of NumPy, or let the driver publish rgb8"
            )
        try:
            pixels = np.array(self._bridge.imgmsg_to_cv2(message, "rgb8"))
        except Exception as error:  # of several kinds
            raise UserError(f"{name} is refused by cv_bridge: {one_line(error)}") from error
        if pixels.dtype != np.uint8 or pixels.shape != (message.height, message.width, 3):
            raise UserError(
                f"{name} became {pixels.dtype} {pixels.shape} in cv_bridge instead of an RGB image"
            )
        return pixels

    def _try(self) -> None:
        self._tried = True
        try:
            trial = subprocess.run(
                [sys.executable, "-c", _TRIAL],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=_TRIAL_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._fault = one_line(error)
            return
        if trial.returncode < 0:
            self._fault = f"it crashes with signal {-trial.returncode}"
        elif trial.returncode:
            self._fault = (trial.stderr.strip().splitlines() or ["it fails"])[-1]
        else:
            self._bridge = importlib.import_module("cv_bridge").CvBridge()
