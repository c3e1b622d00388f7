"""Generated scenes for the tests of the classical backends."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sam_pt_ros.frames import Frame

SIZE = (240, 400)
"""Height and width of the scenes."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames, where the object is seen in them, and how much of it, 0 to 1."""

    frames: list[Frame]
    truth: list[np.ndarray]
    seen: np.ndarray


def texture(size: tuple[int, int], seed: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A random surface with structure at several scales around a colour, ``uint8 (H, W, 3)``."""
    rng = np.random.default_rng(seed)
    surface = np.zeros((*size, 3), np.float32) + np.array(colour, np.float32)
    for blur, strength in ((1.5, 25), (4, 25), (12, 30)):
        noise = cv2.GaussianBlur(rng.normal(size=(*size, 3)).astype(np.float32), (0, 0), blur)
        surface += strength * noise / noise.std()
    return np.clip(surface, 0, 255).astype(np.uint8)


def scene(
    frames: int, speed: float = 5.0, turn: float = 1.5, occluder: tuple[int, int] | None = None
) -> Scene:
    """A textured, turning disc that moves to the right, maybe behind a pillar.

    Args:
        speed: pixels per frame.
        turn: degrees per frame.
        occluder: columns that the pillar covers, from and to.
    """
    height, width = SIZE
    background = texture(SIZE, 1, (70, 110, 80))
    skin = texture((101, 101), 2, (190, 120, 90))
    pillar = texture(SIZE, 3, (90, 90, 150))
    y, x = np.mgrid[-50:51, -50:51]
    disc = (x * x + y * y < 30**2).astype(np.float32)
    images, truth, seen = [], [], []
    for index in range(frames):
        matrix = cv2.getRotationMatrix2D((50, 50), turn * index, 1)
        matrix[:, 2] += (40 + speed * index - 50, 120 - 50)
        shape = cv2.warpAffine(disc, matrix, (width, height))[..., None]
        moved = cv2.warpAffine(skin, matrix, (width, height))
        image = (background * (1 - shape) + moved * shape).astype(np.uint8)
        mask = shape[..., 0] > 0.5
        whole = mask.sum()
        if occluder is not None:
            columns = slice(*occluder)
            image[:, columns] = pillar[:, columns]
            mask[:, columns] = False
        images.append(Frame(image, index * 40_000_000, index))
        truth.append(mask)
        seen.append(mask.sum() / max(int(whole), 1))
    return Scene(images, truth, np.array(seen))


def disc_points(index: int, speed: float = 5.0, turn: float = 1.5) -> np.ndarray:
    """17 points spread over the disc of :func:`scene` in a frame, ``float32 (17, 2)``."""
    ring = [(0.0, 0.0)] + [
        (r * np.cos(a), r * np.sin(a))
        for r, n in ((12.0, 6), (24.0, 10))
        for a in np.arange(n) * 2 * np.pi / n
    ]
    angle = -np.deg2rad(turn * index)
    turned = np.array(ring) @ np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
    return (turned + np.array([40 + speed * index, 120])).astype(np.float32)
