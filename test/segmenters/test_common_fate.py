"""What moves together: the motion is measured to a pixel, and tells things from parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters import Prompt
from sam_pt_ros.segmenters.classical.common_fate import CommonFate, Hypothesis
from sam_pt_ros.segmenters.classical.window import Window
from support import classical_scenes as scenes

SIZES = [(640, 480), (1280, 720), (1920, 1440)]
"""Width, height."""
MS = 1_000_000
SECOND = 1000 * MS
EPOCH = 1_700_000_000 * SECOND
Box = tuple[float, float, float, float]


@lru_cache
def surface(width: int, height: int, seed: int) -> np.ndarray:
    """A textured image, RGB ``uint8 (H, W, 3)``; its structure grows with its height."""
    small = scenes.texture((360, 360 * width // height), seed, (110, 120, 100))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@lru_cache
def grain(width: int, height: int) -> np.ndarray:
    """Noise of a camera with a standard deviation of 1, ``float32 (H, W, 3)``."""
    return np.random.default_rng(0).standard_normal((height, width, 3), np.float32)


def frame(image: np.ndarray, index: int) -> Frame:
    return Frame(image, EPOCH + 40 * MS * index, index)


def within(box: Box, width: int, height: int) -> np.ndarray:
    """A mask that is a box: x min, y min, x max, y max, edges in shares of the height."""
    mask = np.zeros((height, width), np.bool_)
    x0, y0, x1, y1 = (round(value * height) for value in box)
    mask[y0:y1, x0:x1] = True
    return mask


def hypothesis(mask: np.ndarray, rating: float = 0.0, scale: float = 0.5) -> Hypothesis:
    """A mask ``bool (H, W)`` in a window of its own."""
    whole = Window(-0.5, -0.5, mask.shape[1], mask.shape[0], 1.0)
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    window = Window.around((x - 9.7, y - 7.2, x + w + 8.1, y + h + 6.6), scale, mask.shape)
    smooth = cv2.blur(mask.astype(np.float32), (3, 3))
    return Hypothesis(window, window.resample(smooth, whole), rating)


def watch(frames: Sequence[Frame], *hypotheses: Hypothesis) -> CommonFate:
    """What is known after the last of the frames."""
    click = Prompt(1, np.zeros((1, 2)), np.ones(1), gestures=np.zeros(1))
    fate = CommonFate.begin(frames[0], click, hypotheses[0], hypotheses)
    for each in frames[1:]:
        fate = fate.advanced(each)
    return fate


# --- how far things have moved ---------------------------------------------------------------

STEPS = 5
MOTIONS = {
    "to the right": (1.0, 0.0, 2.0, 0.0),
    "down": (1.0, 0.0, 0.0, 2.0),
    "to the upper left": (1.0, 0.0, -1.5, -0.75),
    "nearer": (1.015, 0.0, 0.0, 0.0),
    "turning": (1.0, 1.2, 0.0, 0.0),
    "all at once": (0.99, -0.8, 1.3, -0.6),
}
"""Scale, degrees, and shift to the right and down in thousandths of the width, per frame."""


def placed(name: str, index: int, width: int, height: int) -> np.ndarray:
    """Where pixels of the first frame are in another one, ``float64 (2, 3)``."""
    scale, turn, dx, dy = MOTIONS[name]
    matrix = cv2.getRotationMatrix2D((0.6 * width, 0.4 * height), turn * index, scale**index)
    matrix[:, 2] += np.array([dx, dy]) * index * width / 1000
    return matrix


def film(name: str, width: int, height: int) -> list[Frame]:
    """A textured image that moves as a whole."""
    image = surface(width, height, 1)
    return [
        frame(
            cv2.warpAffine(
                image,
                placed(name, index, width, height),
                (width, height),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            index,
        )
        for index in range(STEPS + 1)
    ]


def grid(box: Box, height: int) -> np.ndarray:
    """Points in a box, as for :func:`within`, in image pixels, ``float32 (N, 2)``."""
    x0, y0, x1, y1 = (value * height for value in box)
    x, y = np.meshgrid(np.linspace(x0, x1, 9), np.linspace(y0, y1, 7))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [(name, *SIZES[0]) for name in MOTIONS]
    + [(name, *SIZES[1]) for name in ("to the upper left", "nearer", "all at once")],
)
def test_points_are_where_they_have_moved_to(name: str, width: int, height: int) -> None:
    box = (0.65, 0.3, 0.85, 0.5)
    frames = film(name, width, height)
    fate = watch(frames, hypothesis(within(box, width, height)))
    points = grid(box, height)
    found = fate.moved(points)
    assert [each for each, _ in found] == frames[1:]
    for index, (_, places) in enumerate(found, start=1):
        matrix = placed(name, index, width, height)
        np.testing.assert_allclose(places, points @ matrix[:, :2].T + matrix[:, 2], atol=1)
    rows, columns = np.mgrid[0 : fate.window.height, 0 : fate.window.width]
    pixels = fate.window.to_image(np.stack([columns.ravel(), rows.ravel()], axis=1))
    wanted = pixels @ matrix[:, :2].T + matrix[:, 2] - pixels
    apart = np.linalg.norm(fate.away.reshape(-1, 2) / fate.window.scale - wanted, axis=1)
    # What comes in at the border of the part that is watched is not known.
    assert np.median(apart) < 0.5 and np.mean(apart < 1) > 0.8


def test_points_are_where_they_have_moved_to_in_a_large_image() -> None:
    width, height = SIZES[2]
    name = "all at once"
    fate = watch(film(name, width, height), hypothesis(within((0.7, 0.35, 0.8, 0.45), *SIZES[2])))
    points = grid((0.7, 0.35, 0.8, 0.45), height)
    matrix = placed(name, STEPS, width, height)
    wanted = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(fate.moved(points)[-1][1], wanted, atol=1)


@pytest.mark.parametrize(
    ("box", "name"),
    [((0.0, 0.0, 0.2, 0.2), "to the right"), ((1.1, 0.8, 1.33, 1.0), "to the upper left")],
)
def test_points_at_the_image_s_border_are_followed(box: Box, name: str) -> None:
    width, height = SIZES[0]
    fate = watch(film(name, width, height), hypothesis(within(box, width, height)))
    window = fate.window
    assert window.x >= -0.5 and window.y >= -0.5
    assert window.x + window.width / window.scale <= width + 1
    assert window.y + window.height / window.scale <= height + 1
    x0, y0, x1, y1 = box
    points = grid((x0 + 0.02, y0 + 0.02, x1 - 0.03, y1 - 0.03), height)
    matrix = placed(name, STEPS, width, height)
    wanted = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(fate.moved(points)[-1][1], wanted, atol=1)


def test_points_outside_move_as_the_nearest_that_are_watched() -> None:
    width, height = SIZES[0]
    fate = watch(
        film("turning", width, height), hypothesis(within((0.6, 0.4, 0.7, 0.5), 640, 480))
    )
    window = fate.window
    (left, top), (right, bottom) = window.to_image(
        np.array([[0, 0], [window.width - 1, window.height - 1]])
    )
    outside = np.array(
        [[-900, -700], [left - 30, 0.45 * height], [right + 500, bottom + 1], [5000, top - 9]],
        np.float32,
    )
    nearest = outside.clip((left, top), (right, bottom))
    for (_, places), (_, known) in zip(fate.moved(outside), fate.moved(nearest), strict=True):
        np.testing.assert_allclose(places - outside, known - nearest, atol=0.01)
        assert np.abs(places - outside).max() > 0.1


def test_before_the_next_frame_nothing_has_moved() -> None:
    begun = watch(film("down", 640, 480)[:1], hypothesis(within((0.6, 0.4, 0.7, 0.5), *SIZES[0])))
    assert begun.moved(np.zeros((2, 2), np.float32)) == []
    assert begun.away.shape == (*begun.window.shape, 2) and not begun.away.any()


def test_a_later_frame_leaves_what_was_known_before_as_it_was() -> None:
    frames = film("down", 640, 480)
    first = watch(frames[:3], hypothesis(within((0.6, 0.4, 0.7, 0.5), *SIZES[0])))
    steps, away, gray = first.steps, first.away.copy(), first.gray.copy()
    later, again = first.advanced(frames[3]), first.advanced(frames[3])
    assert first.steps is steps and later.steps[:2] == steps
    assert np.array_equal(first.away, away) and np.array_equal(first.gray, gray)
    assert np.array_equal(later.away, again.away) and not np.array_equal(later.away, away)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_all_hypotheses_are_watched_with_a_margin_at_a_bounded_cost(
    width: int, height: int
) -> None:
    first = hypothesis(within((0.55, 0.4, 0.65, 0.5), width, height), scale=1.0)
    second = hypothesis(within((0.5, 0.45, 0.6, 0.52), width, height), scale=0.7)
    fate = watch([frame(surface(width, height, 1), 0)], first, second)
    window, longer = fate.window, 0.15 * height
    wanted = (0.5 * height - longer / 2, 0.4 * height - longer / 2)
    np.testing.assert_allclose((window.x, window.y), wanted, atol=3)
    assert window.scale == pytest.approx(min(160 / (2 * longer), 1), rel=0.05)
    assert window.width == pytest.approx(2 * longer * window.scale, abs=5)
    assert window.height == pytest.approx((0.12 * height + longer) * window.scale, abs=5)
    whole = Window(-0.5, -0.5, width, height, 1.0)
    for each, probability in zip((first, second), fate.hypotheses, strict=True):
        before = whole.resample(each.probability, each.window) > 0.5
        after = whole.resample(probability, window) > 0.5
        assert np.count_nonzero(before ^ after) < 0.08 * np.count_nonzero(before)


# --- what the motion tells -------------------------------------------------------------------


class Moving:
    """A textured disc that moves over a textured ground.

    Args:
        thing: motion of the disc, thousandths of the height per frame, to the right and down.
        ground: motion of all that is behind it.
        noise: standard deviation of the camera's noise, grey levels.
    """

    def __init__(
        self,
        size: tuple[int, int] = SIZES[0],
        thing: tuple[float, float] = (6, 2),
        ground: tuple[float, float] = (0, 0),
        noise: float = 2.0,
    ) -> None:
        self.width, self.height = size
        self.unit = self.height / 1000
        self.disc = self.mask(450, 450, 110)
        self.square = within((0.64, 0.4, 0.74, 0.5), *size)
        layers = [(np.ones_like(self.disc), ground, 1), (self.disc, thing, 2)]
        self.frames = []
        for index in range(6):
            image = np.zeros((self.height, self.width, 3), np.float32)
            for mask, motion, seed in layers:
                shift = np.eye(2, 3)
                shift[:, 2] = np.array(motion) * index * self.unit
                alpha = cv2.warpAffine(mask.astype(np.float32), shift, size, borderMode=1)
                skin = cv2.warpAffine(surface(*size, seed), shift, size, borderMode=1)
                image += alpha[..., None] * (skin - image)
            image += noise * np.roll(grain(*size), 37 * index, axis=(0, 1))
            self.frames.append(frame(np.clip(np.rint(image), 0, 255).astype(np.uint8), index))

    def mask(self, x: float, y: float, radius: float) -> np.ndarray:
        """A disc, thousandths of the height."""
        rows, columns = np.mgrid[0 : self.height, 0 : self.width]
        found: np.ndarray = (
            np.hypot(columns - x * self.unit, rows - y * self.unit) <= radius * self.unit
        )
        return found

    def fate(self, *more: np.ndarray) -> CommonFate:
        """With the disc as a hypothesis, and more."""
        return watch(self.frames, *(hypothesis(mask) for mask in (self.disc, *more)))


@lru_cache
def moving(width: int, height: int) -> Moving:
    return Moving((width, height))


def gain(fate: CommonFate, mask: np.ndarray) -> float:
    found = hypothesis(mask)
    return fate.gain(found.window, found.probability)


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
def test_the_thing_that_moves_explains_the_motion_best(width: int, height: int) -> None:
    scene = moving(width, height)
    left = scene.disc.copy()
    left[:, round(0.45 * height) :] = False
    others = {
        "a half of it": left,
        "a spot on it": scene.mask(430, 430, 50),
        "a larger region": scene.mask(450, 450, 170),
        "shifted to the right": scene.mask(500, 450, 110),
        "shifted upwards": scene.mask(450, 400, 110),
        "something beside it": scene.mask(600, 560, 50),
    }
    fate = scene.fate(*others.values())
    best = gain(fate, scene.disc)
    assert best > 0.03
    for name, mask in others.items():
        assert gain(fate, mask) < best - 0.01, name
    assert np.array_equal(fate.likeliest(), fate.hypotheses[0])
    order = np.array([3, 2, 0, 1])
    turned = replace(fate, hypotheses=fate.hypotheses[order], ratings=np.zeros(4))
    assert np.array_equal(turned.likeliest(), fate.hypotheses[0])


def test_a_gain_outweighs_as_much_of_a_rating() -> None:
    scene = moving(*SIZES[0])
    fate = scene.fate(scene.mask(430, 430, 50))
    gains = [fate.gain(fate.window, each) for each in fate.hypotheses]
    difference = gains[0] - gains[1]
    assert difference > 0.05
    for share, likeliest in ((0.9, 0), (1.1, 1)):
        rated = replace(fate, ratings=np.array([0.0, share * difference]))
        assert np.array_equal(rated.likeliest(), fate.hypotheses[likeliest])


def test_a_mask_of_everything_or_of_next_to_nothing_gains_nothing() -> None:
    scene = moving(*SIZES[0])
    fate = scene.fate()
    everything, nothing = np.ones_like(scene.disc), scene.mask(450, 450, 4)
    for mask in (everything, nothing):
        found = hypothesis(mask)
        assert fate.gain(found.window, found.probability) == 0
        assert not fate.evidence(found.window, found.probability).any()


def seen(
    fate: CommonFate, mask: np.ndarray, scale: float, margin: float = 0.4
) -> tuple[np.ndarray, Window]:
    """The evidence of a mask in a window of its own, at a scale."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    right, bottom = x + (1.1 + margin) * w, y + (1 + margin) * h
    window = Window.around((x - margin * w, y - margin * h, right, bottom), scale, mask.shape)
    found = hypothesis(mask, scale=1.0)
    return fate.evidence(window, window.resample(found.probability, found.window)), window


def away_from_the_outline(mask: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels on a mask and beside it, ``bool (H, W)``."""
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    values = mask.view(np.uint8)
    return cv2.erode(values, kernel) > 0, cv2.dilate(values, kernel) == 0


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
@pytest.mark.parametrize("scale", [0.35, 1.2])
def test_evidence_is_for_the_thing_and_against_what_is_beside_it(
    width: int, height: int, scale: float
) -> None:
    scene = moving(width, height)
    fate = scene.fate()
    evidence, window = seen(fate, scene.disc, scale * fate.window.scale)
    whole = Window(-0.5, -0.5, width, height, 1.0)
    known = whole.resample(np.ones(window.shape, np.float32), window) > 0.99
    known &= whole.resample(np.ones(fate.window.shape, np.float32), fate.window) > 0.99
    large = whole.resample(evidence, window)
    inside, outside = away_from_the_outline(scene.disc, round(0.025 * height))
    assert np.mean(large[inside] > 0.2) > 0.9
    assert np.mean(large[outside & known] < -0.2) > 0.9
    assert evidence.min() >= -1 and evidence.max() <= 0.75 + 1e-6


def test_a_part_of_the_thing_tells_what_else_moves_with_it() -> None:
    scene = moving(*SIZES[0])
    part = scene.mask(410, 450, 60)
    fate = scene.fate()
    evidence, window = seen(fate, part, 0.5, margin=1.5)
    whole = Window(-0.5, -0.5, 640, 480, 1.0)
    large = whole.resample(evidence, window)
    inside, outside = away_from_the_outline(scene.disc, 12)
    known = whole.resample(np.ones(fate.window.shape, np.float32), fate.window) > 0.99
    assert np.mean(large[inside & ~part] > 0.2) > 0.9
    assert np.mean(large[outside & known] < -0.2) > 0.9


def test_evidence_does_not_depend_on_the_window_s_scale() -> None:
    scene = moving(*SIZES[1])
    fate = scene.fate()
    small, rough = seen(fate, scene.disc, 0.3)
    large, fine = seen(fate, scene.disc, 0.9)
    inside, outside = away_from_the_outline(scene.disc, 25)
    whole = Window(-0.5, -0.5, *SIZES[1], 1.0)
    apart = np.abs(whole.resample(small, rough) - whole.resample(large, fine))
    known = whole.resample(np.ones(rough.shape, np.float32), rough) > 0.99
    assert np.mean(apart[inside]) < 0.03 and np.mean(apart[outside & known]) < 0.03


def test_where_nothing_was_watched_there_is_no_evidence() -> None:
    scene = moving(*SIZES[0])
    fate = scene.fate()
    found = hypothesis(scene.disc, scale=1.0)
    window = Window(-0.5, -0.5, 320, 240, 0.5)
    evidence = fate.evidence(window, window.resample(found.probability, found.window))
    known = window.resample(np.ones(fate.window.shape, np.float32), fate.window)
    assert not evidence[known == 0].any()
    assert np.mean(evidence[known == 1] != 0) > 0.9


@pytest.mark.parametrize(("radius", "told"), [(10, True), (7, False)])
def test_along_the_outline_where_motions_mix_none_is_measured(radius: int, told: bool) -> None:
    scene = moving(*SIZES[0])
    spot = scene.mask(450, 450, radius / 0.5 / scene.unit)
    evidence, _ = seen(scene.fate(), spot, 0.5, margin=3.0)
    assert evidence.any() == told


def test_what_moves_like_neither_is_not_the_thing() -> None:
    scene = moving(*SIZES[0])
    fate = scene.fate(scene.mask(500, 450, 250))
    whole = Window(-0.5, -0.5, *SIZES[0], 1.0)
    away = np.zeros((*fate.window.shape, 2), np.float32)
    for mask, pixels in ((scene.disc, 10), (scene.square, -40)):
        on = fate.window.resample(mask.astype(np.float32), whole) > 0.5
        away[on] = (pixels * fate.window.scale, 0)
    fate = replace(fate, steps=((scene.frames[5], away),))
    assert fate.tolerance == pytest.approx(6, rel=0.01)
    evidence, window = seen(fate, scene.disc, 0.5, margin=0.6)
    large = whole.resample(evidence, window)
    on, _ = away_from_the_outline(scene.square, 10)
    explained = 50**2 / (50**2 + 6**2)
    assert np.median(large[on]) == pytest.approx(0.75 - explained, abs=0.02)


@pytest.mark.parametrize(
    "motion", [(0.0, 0.0), (5.0, -3.0)], ids=["nothing moves", "the camera moves, all with it"]
)
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_common_motion_tells_nothing(motion: tuple[float, float], noise: float) -> None:
    scene = Moving(thing=motion, ground=motion, noise=noise)
    fate = scene.fate(scene.mask(430, 430, 50), scene.mask(450, 450, 150))
    limit = 0.0 if motion == (0.0, 0.0) and noise == 0 else 0.1
    for mask in (scene.disc, scene.mask(430, 430, 50), scene.mask(450, 450, 150)):
        assert abs(gain(fate, mask)) <= 0.01 * limit
        evidence, _ = seen(fate, mask, 0.5)
        assert np.quantile(np.abs(evidence), 0.95) <= limit
    for rated in range(3):
        ratings = np.where(np.arange(3) == rated, 0.3, 0.29)
        likeliest = replace(fate, ratings=ratings).likeliest()
        assert np.array_equal(likeliest, fate.hypotheses[rated])


def test_a_zoom_tells_nothing() -> None:
    width, height = SIZES[0]
    masks = [within(box, width, height) for box in ((0.65, 0.3, 0.85, 0.5), (0.7, 0.3, 0.75, 0.5))]
    fate = watch(film("nearer", width, height), *map(hypothesis, masks))
    assert fate.tolerance == pytest.approx(1.5, abs=0.5)
    for mask in masks:
        assert abs(gain(fate, mask)) < 0.01


# --- when it is decided ----------------------------------------------------------------------


def shifted(pixels: float, size: tuple[int, int], stamp: int = 0) -> CommonFate:
    """What has moved away by so many pixels of the image, beside a ground that moves, too."""
    width, height = size
    mask = within((0.5, 0.3, 0.75, 0.6), width, height)
    small = within((0.55, 0.4, 0.65, 0.5), width, height)
    fate = watch([frame(surface(width, height, 1), 0)], hypothesis(mask), hypothesis(small))
    thing = fate.hypotheses[0] > 0.5
    away = np.zeros((*fate.window.shape, 2), np.float32)
    away[:] = (3.0, -7.0)
    away[thing] += np.array([-0.6, 0.8], np.float32) * pixels * fate.window.scale
    return replace(fate, steps=((Frame(fate.first.image, EPOCH + stamp, 1), away),))


def at(fate: CommonFate, elapsed: int) -> Frame:
    """A frame so many nanoseconds after the first one."""
    return Frame(fate.first.image, fate.first.stamp + elapsed, 7)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_usual_deviation_grows_with_the_motion_beside_the_rest(
    width: int, height: int
) -> None:
    for pixels in (0.0, 2.0, 2.4):
        assert shifted(pixels, (width, height)).tolerance == 1.5
    for pixels in (2.6, 10.0, 30.0):
        fate = shifted(pixels, (width, height))
        assert fate.tolerance == pytest.approx(0.6 * pixels, rel=0.01)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("pixels", "wanted"), [(0.0, 500), (2.4, 500), (2.6, 200), (12.0, 200)])
def test_it_is_decided_soon_if_motions_differ_and_else_later(
    width: int, height: int, pixels: float, wanted: int
) -> None:
    fate = shifted(pixels, (width, height))
    assert not fate.due(at(fate, wanted * MS - 1))
    for elapsed in (wanted, wanted + 1, 1000, 5000):
        assert fate.due(at(fate, elapsed * MS))


def test_it_is_late_after_more_than_a_second() -> None:
    fate = shifted(12.0, SIZES[0])
    for elapsed in (1, 500 * MS, 999 * MS, SECOND):
        assert not fate.late(at(fate, elapsed))
    for elapsed in (SECOND + 1, 2 * SECOND, 3600 * SECOND):
        assert fate.late(at(fate, elapsed))


@pytest.mark.parametrize(
    ("stamps", "moving_due", "still_due"),
    [
        ([round(index * SECOND / 10) for index in range(9)], 2, 5),
        ([round(index * SECOND / 30) for index in range(20)], 6, 15),
        ([index * 33 * MS for index in range(20)], 7, 16),
        ([0, 40 * MS, 80 * MS, 700 * MS, 740 * MS], 3, 3),
        ([0, 40 * MS, 80 * MS, 480 * MS, 520 * MS], 3, 4),
        ([0, 1000 * MS], 1, 1),
    ],
    ids=["10 Hz", "30 Hz", "30.3 Hz", "a pause", "a short pause", "1 Hz"],
)
def test_stamps_and_not_numbers_of_frames_decide(
    stamps: list[int], moving_due: int, still_due: int
) -> None:
    for pixels, wanted in ((12.0, moving_due), (0.0, still_due)):
        fate = shifted(pixels, SIZES[0])
        due = [fate.due(at(fate, stamp)) for stamp in stamps]
        assert due.index(True) == wanted and all(due[wanted:])
        assert not any(fate.late(at(fate, stamp)) for stamp in stamps)
