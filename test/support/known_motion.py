"""Clips whose every point has a known track: a surface that moves, grows or turns as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from support.classical_scenes import texture

SIZE = (192, 256)
"""Height and width of the clips."""

MOTIONS = ("pan", "zoom", "rotation")


@dataclass(frozen=True, eq=False)
class KnownMotion:
    """A clip and 12 tracks.

    Attributes:
        images: ``uint8 (T, H, W, 3)``.
        tracks: ``float32 (T, 12, 2)`` pixels.
        inside: ``bool (T, 12)``, whether they are in the image.
    """

    images: np.ndarray
    tracks: np.ndarray
    inside: np.ndarray

    @property
    def queries(self) -> np.ndarray:
        """The points in the first frame, ``float32 (12, 3)``: frame, x, y."""
        first = self.tracks[0]
        return np.concatenate([np.zeros((len(first), 1), np.float32), first], 1)


def known_motion(motion: str, frames: int = 8, noise: float = 4.0) -> KnownMotion:
    """A clip of a textured surface with camera noise.

    Args:
        motion: ``pan`` (12 and 3 pixels per frame, so that some points leave the image),
            ``zoom`` (4 percent) or ``rotation`` (4 degrees).
        frames: number of frames.
        noise: standard deviation, grey levels.
    """
    height, width = SIZE
    surface = texture((2 * height, 2 * width), 7, (120, 110, 130))
    rng = np.random.default_rng(1)
    first = rng.uniform([50, 40], [width - 50, height - 40], (12, 2))
    images, tracks = [], []
    for index in range(frames):
        angle, scale = (
            4.0 * index * (motion == "rotation"),
            1.04 ** (index * (motion == "zoom")),
        )
        matrix = cv2.getRotationMatrix2D((width, height), angle, scale)
        shift = np.array([-12.0, 3.0]) * index * (motion == "pan")
        matrix[:, 2] += shift - (width / 2, height / 2)
        image = cv2.warpAffine(surface, matrix, (width, height)).astype(np.float64)
        image += rng.normal(0, noise, image.shape)
        images.append(np.clip(image, 0, 255).astype(np.uint8))
        on_surface = first + np.array([width / 2, height / 2])
        tracks.append(on_surface @ matrix[:, :2].T + matrix[:, 2])
    made = np.array(tracks, np.float32)
    inside = ((made >= 0) & (made <= np.array([width, height]) - 1)).all(2)
    return KnownMotion(np.stack(images), made, inside)
