"""Generated scenes with exact truth: things that move and turn over a photograph.

A thing is a textured sprite on a rigid path. Layers are composited with soft edges, a pixel
belongs to the layer that contributes most to it, and every point of a thing has an exact
position in every frame. The same arguments give the same bytes, in every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from support.photographs import photograph

PERIOD = 40_000_000
"""Nanoseconds between two frames."""

EPOCH = 1_700_000_000_000_000_000
"""Stamp of frame 0, nanoseconds."""

BACKGROUND, THING, OCCLUDER = 0, 1, 2
"""Owners of pixels: what is behind everything, and the layers in the order of drawing."""

_STREET = ("bikes.mp4", 150)  # film and frame
_SUPERSAMPLING = 4


@dataclass(frozen=True)
class Motion:
    """A rigid path: where a thing's centre is, and how far it is turned, in any frame."""

    x: float
    y: float
    vx: float = 0.0
    vy: float = 0.0
    turn: float = 0.0  # degrees per frame

    def matrix(self, index: int) -> np.ndarray:
        """``float64 (2, 3)`` from coordinates about the thing's centre to the image's."""
        angle = np.deg2rad(self.turn * index)
        c, s = np.cos(angle), np.sin(angle)
        return np.array(
            [[c, -s, self.x + self.vx * index], [s, c, self.y + self.vy * index]], np.float64
        )


@dataclass(frozen=True, eq=False)
class Thing:
    """A sprite: ``colour`` float32 (h, w, 3) and ``alpha`` float32 (h, w), 0 to 1."""

    colour: np.ndarray
    alpha: np.ndarray
    motion: Motion

    @property
    def centre(self) -> np.ndarray:
        height, width = self.alpha.shape
        return np.array([(width - 1) / 2, (height - 1) / 2])

    def sprite_matrix(self, index: int) -> np.ndarray:
        """From the sprite's pixels to the image's."""
        matrix = self.motion.matrix(index)
        matrix[:, 2] -= matrix[:, :2] @ self.centre
        return matrix


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """One image and what is true about it.

    Attributes:
        index: number of the frame.
        stamp: nanoseconds.
        image: RGB ``uint8 (H, W, 3)``.
        owners: ``uint8 (H, W)``: which layer a pixel belongs to.
        visible: by layer, the share of its pixels that nothing hides and that lie in the image.
    """

    index: int
    stamp: int
    image: np.ndarray
    owners: np.ndarray
    visible: tuple[float, ...]

    def mask(self, owner: int) -> np.ndarray:
        """``bool (H, W)``, the visible part."""
        mask: np.ndarray = self.owners == owner
        return mask


@dataclass(frozen=True, eq=False)
class Scene:
    """A film of ``length`` frames; frames are made when asked for and kept.

    Attributes:
        background: float32 (h, w, 3), larger than the image by what it is panned.
        pan: pixels per frame by which the background moves to the left.
        things: drawn in this order; the first one is owner 1.
        noise: standard deviation of the camera's noise, grey levels.
    """

    width: int
    height: int
    length: int
    background: np.ndarray
    pan: float
    things: tuple[Thing, ...]
    noise: float
    seed: int

    def __hash__(self) -> int:
        return id(self)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    def stamp(self, index: int) -> int:
        return EPOCH + index * PERIOD

    def index(self, stamp: int) -> int:
        return (stamp - EPOCH) // PERIOD

    @lru_cache(maxsize=256)  # noqa: B019 - scenes live as long as the tests
    def frame(self, index: int) -> SceneFrame:
        shift = np.array([[1.0, 0.0, -self.pan * index], [0.0, 1.0, 0.0]])
        canvas = self._warp(self.background, shift)
        weights = [np.ones(self.size, np.float32)]
        shapes = []
        for thing in self.things:
            matrix = thing.sprite_matrix(index)
            alpha = self._warp(thing.alpha, matrix)
            premultiplied = self._warp(thing.colour * thing.alpha[..., None], matrix)
            canvas = canvas * (1 - alpha[..., None]) + premultiplied
            weights = [weight * (1 - alpha) for weight in weights] + [alpha]
            shapes.append(alpha > 0.5)
        owners = np.argmax(np.stack(weights), axis=0).astype(np.uint8)
        if self.noise:
            generator = np.random.default_rng([self.seed, index])
            canvas = canvas + generator.normal(0, self.noise, canvas.shape)
        image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
        visible = [float((owners == BACKGROUND).mean())]
        for owner, thing in enumerate(self.things, start=1):
            whole = max(int((thing.alpha > 0.5).sum()), 1)
            visible.append(min(float((owners == owner).sum()) / whole, 1.0))
        return SceneFrame(index, self.stamp(index), image, owners, tuple(visible))

    def owner(self, xy: np.ndarray, index: int) -> np.ndarray:
        """Which layer each point lies on, ``int64 (N,)``; -1 outside of the image."""
        pixels = np.rint(np.asarray(xy, np.float64)).astype(np.int64).reshape(-1, 2)
        inside = ((pixels >= 0) & (pixels < [self.width, self.height])).all(axis=1)
        owners = np.full(len(pixels), -1, np.int64)
        owners[inside] = self.frame(index).owners[pixels[inside, 1], pixels[inside, 0]]
        return owners

    def follow(self, owner: int, xy: np.ndarray, start: int, index: int) -> np.ndarray:
        """Where points of a layer, given in frame ``start``, are in frame ``index``."""
        points = np.asarray(xy, np.float64).reshape(-1, 2)
        if owner == BACKGROUND:
            return points - [self.pan * (index - start), 0.0]
        motion = self.things[owner - 1].motion
        before, after = motion.matrix(start), motion.matrix(index)
        # A rotation's inverse is its transpose.
        return ((points - before[:, 2]) @ before[:, :2]) @ after[:, :2].T + after[:, 2]

    def inner_point(self, owner: int, index: int) -> tuple[float, float]:
        """The pixel of a layer that is farthest from its edge: where a person would click."""
        return inner_point(self.frame(index).mask(owner))

    def hidden(self, owner: int) -> range:
        """The frames in which nothing of a layer is seen, from first to last."""
        frames = [i for i in range(self.length) if self.frame(i).visible[owner] == 0]
        return range(frames[0], frames[-1] + 1) if frames else range(0)

    def _warp(self, sprite: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(
            sprite.astype(np.float32), matrix, (self.width, self.height), flags=cv2.INTER_LINEAR
        )


def inner_point(mask: np.ndarray) -> tuple[float, float]:
    """x, y of the pixel that is farthest from the mask's edge."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(distances)), mask.shape)
    return float(x), float(y)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


@lru_cache(maxsize=32)
def passing_scene(
    width: int = 320, seed: int = 0, shape: str = "blob", texture: str = "spots"
) -> Scene:
    """A thing crosses the image, turning, and passes wholly behind another thing.

    Args:
        width: 320 or 640; the height is three quarters of it.
        seed: of textures, shapes and noise.
        shape: ``blob`` or ``bar`` (elongated).
        texture: ``spots`` or ``stripes``.
    """
    scale = width / 320
    height = width * 3 // 4
    length = 58
    rng = np.random.default_rng(seed)
    pan = 0.2 * scale
    margin = int(np.ceil(pan * length)) + 2
    background = cv2.resize(
        photograph(*_STREET), (width + margin, height), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    thing = Thing(
        *_sprite(shape, texture, 24 * scale, ((80, 24, 20), (150, 60, 40)), rng),
        Motion(45 * scale, 130 * scale, 4.0 * scale, -0.2 * scale, 1.5),
    )
    occluder = Thing(
        *_sprite("slab", "stripes", 46 * scale, ((52, 86, 122), (120, 160, 186)), rng),
        Motion(168 * scale, 125 * scale, 0.0, 0.05 * scale, 0.0),
    )
    return Scene(width, height, length, background, pan, (thing, occluder), 2.0, seed)


@lru_cache(maxsize=8)
def plain_scene(width: int = 96, length: int = 60) -> Scene:
    """The same course of events in flat colours without noise, for tests of the pipeline."""
    scale = width / 96
    height = width * 3 // 4
    background = np.full((height, width + 1, 3), 40, np.float32)
    rng = np.random.default_rng(0)
    thing = Thing(
        *_sprite("blob", "flat", 8 * scale, ((220, 60, 40),) * 2, rng),
        Motion(14 * scale, 36 * scale, 1.3 * scale, 0.0, 1.0),
    )
    occluder = Thing(
        *_sprite("slab", "flat", 15 * scale, ((40, 80, 220),) * 2, rng),
        Motion(52 * scale, 36 * scale, 0.0, 0.0, 0.0),
    )
    return Scene(width, height, length, background, 0.0, (thing, occluder), 0.0, 0)


def _sprite(
    shape: str,
    texture: str,
    radius: float,
    colours: tuple[tuple[int, int, int], tuple[int, int, int]],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and alpha of a thing."""
    half = int(np.ceil(2.2 * radius)) + 2
    side = 2 * half + 1
    fine = _SUPERSAMPLING
    # Centres of the fine pixels, about the centre of the sprite.
    axis = (np.arange(side * fine) + 0.5) / fine - side / 2
    x, y = np.meshgrid(axis, axis)
    if shape == "blob":
        phases = rng.uniform(0, 2 * np.pi, 2)
        angle = np.arctan2(y, x)
        bumps = 1 + 0.14 * np.cos(3 * angle + phases[0]) + 0.08 * np.cos(5 * angle + phases[1])
        inside = np.hypot(x, y) <= radius * bumps
    elif shape == "bar":
        inside = np.hypot(np.maximum(np.abs(x) - 0.8 * radius, 0), y) <= 0.5 * radius
    elif shape == "slab":
        beyond = np.maximum(np.stack([np.abs(x) - 0.8 * radius, np.abs(y) - 1.3 * radius]), 0)
        inside = np.hypot(*beyond) <= 0.2 * radius
    else:
        raise ValueError(f"unknown shape {shape}")
    alpha = cv2.resize(inside.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)

    if texture == "flat":
        share = np.zeros((side, side), np.float32)
    else:
        speckle = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), radius / 12)
        share = np.clip(0.5 + 0.9 * speckle / max(float(speckle.std()), 1e-6), 0, 1)
        if texture == "stripes":
            line = np.arange(side) / radius
            share = 0.4 * share + 0.3 + 0.3 * np.sin(9 * (line[None, :] + 0.4 * line[:, None]))
    dark, light = (np.array(colour, np.float32) for colour in colours)
    colour = dark + (light - dark) * np.asarray(share, np.float32)[..., None]
    return colour.astype(np.float32), alpha
