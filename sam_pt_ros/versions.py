"""Versions of the software that computed a result."""

from __future__ import annotations

import platform
import sys

import cv2
import numpy as np

import sam_pt_ros


def versions() -> dict[str, str]:
    """Versions of this package and of the software that its results depend on, by name."""
    made = {
        "sam_pt_ros": sam_pt_ros.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        made["torch"] = str(torch.__version__)
    return made
