"""Transforms fitted to matches, and frames at the size of a matcher."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.matching.fit import Fits, Matches, fit
from sam_pt_ros.trackers.matching.images import Scaled

GRID = np.stack(np.meshgrid(*2 * [np.arange(-2, 3) * 8.0]), -1).reshape(-1, 2)


def alike(xy: np.ndarray) -> np.ndarray:
    return np.ones(xy.shape[:2])


def matches_of(angle: float, scale: float, shift: tuple[float, float]) -> Matches:
    turn = np.deg2rad(angle)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    places = GRID @ matrix.T + shift
    score, counted = np.ones(len(GRID), np.float32), np.ones(len(GRID), np.bool_)
    offsets, found = (each.astype(np.float32) for each in (GRID, places))
    return Matches(offsets[None], found[None], score[None], counted[None])


def fitted(matches: Matches, likeness: object = alike) -> Fits:
    return fit(matches, likeness, 8.0, 4.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("angle", [0, 35, -120])
@pytest.mark.parametrize("scale", [0.6, 1, 1.9])
def test_a_transform_is_found_among_wrong_matches(angle: float, scale: float) -> None:
    matches = matches_of(angle, scale, (300.5, 87.25))
    assert fitted(matches).xy[0] == pytest.approx([300.5, 87.25], abs=1e-3)
    assert fitted(matches).share[0] == pytest.approx(1)
    wrong = np.random.default_rng(0).permutation(25)[:10]
    matches.places[0, wrong] = np.random.default_rng(1).uniform(0, 500, (10, 2))
    found = fitted(matches)
    assert found.xy[0] == pytest.approx([300.5, 87.25], abs=0.01)
    nearness = np.exp(-0.5 * (GRID**2).sum(1) / 8**2)
    right = np.setdiff1d(np.arange(25), wrong)
    assert found.share[0] == pytest.approx(nearness[right].sum() / nearness.sum(), abs=0.03)


def test_matches_of_another_scale_do_not_agree() -> None:
    for scale in (0.3, 2.6):
        assert fitted(matches_of(0, scale, (50, 50))).share[0] < 0.6


def test_noise_is_averaged() -> None:
    matches = matches_of(10, 1.1, (40, 60))
    noise = np.random.default_rng(2).normal(0, 1, (200, 25, 2))
    many = Matches(
        *(np.repeat(each, 200, 0) for each in vars(matches).values()),
    )
    many.places[:] += noise
    error = np.linalg.norm(fitted(many).xy - (40, 60), axis=1)
    assert np.sqrt((error**2).mean()) < 0.45


def test_where_two_motions_have_as_many_matches_the_likeness_decides() -> None:
    """The left half stays, the right half moves; the point is at the edge."""
    matches = matches_of(0, 1, (100, 100))
    moved = GRID[:, 0] > 0
    still = GRID[:, 0] < 0
    matches.places[0, moved] += (20, 0)
    matches.scores[0, ~moved & ~still] = 0
    for wanted in ((100, 100), (120, 100)):

        def likeness(xy: np.ndarray, at: tuple[int, int] = wanted) -> np.ndarray:
            return np.where(np.linalg.norm(xy - at, axis=-1) < 5, 1.0, 0.2)

        found = fitted(matches, likeness)
        assert found.xy[0] == pytest.approx(wanted, abs=0.01)
        assert found.likeness[0] == 1
        assert found.share[0] < 0.6


def test_scores_and_missing_matches_lower_the_share() -> None:
    matches = matches_of(0, 1, (10, 10))
    matches.scores[:] = 0.5
    assert fitted(matches).share[0] == pytest.approx(0.5)
    matches.scores[0, 5:] = 0
    low = fitted(matches).share[0]
    matches.counted[0, 5:] = False
    assert low < fitted(matches).share[0] == pytest.approx(0.5)


def test_without_matches_nothing_is_found() -> None:
    matches = matches_of(0, 1, (10, 10))
    for left in (0, 1):
        matches.scores[0, left:] = 0
        assert fitted(matches).share[0] == 0
    nobody = Matches(*(each[:0] for each in vars(matches).values()))
    assert fitted(nobody).xy.shape == (0, 2)
    one = Matches(*(each[:, :1] for each in vars(matches).values()))
    assert fitted(one).share[0] == 0


def test_two_matches_are_enough() -> None:
    matches = matches_of(20, 1, (10, 10))
    matches.scores[0, 1:24] = 0
    assert fitted(matches).xy[0] == pytest.approx([10, 10], abs=1e-2)


@pytest.mark.parametrize(
    ("size", "working", "fits"),
    [
        ((480, 640), 640, (480, 640)),
        ((480, 854), 640, (352, 640)),
        ((240, 400), 640, (384, 640)),
        ((100, 120), 640, (192, 224)),
        ((100, 120), 0, (96, 96)),
        ((5, 700), 640, (32, 640)),
        ((720, 1280), 0, (704, 1280)),
    ],
)
def test_sides_are_multiples_of_32(
    size: tuple[int, int], working: int, fits: tuple[int, int]
) -> None:
    scaled, image = Scaled.of(Frame(np.zeros((*size, 3), np.uint8), 0, 0), working)
    assert scaled.size == fits == image.shape[:2]
    assert scaled.scale == pytest.approx([fits[1] / size[1], fits[0] / size[0]])
    assert scaled.pixel == pytest.approx((size[1] / fits[1] + size[0] / fits[0]) / 2)


def test_pixels_keep_their_places() -> None:
    """The edges of the image, -0.5 and width - 0.5, are those of the scaled one."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[60:64, 100:104] = 255
    scaled, made = Scaled.of(Frame(image, 0, 0), 400)
    assert scaled.reduce(np.array([-0.5, 99.5])) == pytest.approx([-0.5, 191.5])
    xy = np.array([[[3.0, 4.0], [150.5, 70.25]]])
    assert scaled.enlarge(scaled.reduce(xy)) == pytest.approx(xy, abs=1e-4)
    y, x = np.nonzero(made[..., 0] > 127)
    assert scaled.reduce(np.array([101.5, 61.5])) == pytest.approx([x.mean(), y.mean()], abs=0.5)


def test_colours_are_means_around_the_place() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = (200, 100, 50)
    scaled, _ = Scaled.of(Frame(image, 0, 0), 0)
    colours = scaled.colours(np.array([[20, 20], [50, 50], [31.0, 30], [-90, 500], [np.nan, 1]]))
    wanted = np.array([[0, 0, 0], [200, 100, 50], [200 * 3 / 7, 100 * 3 / 7, 50 * 3 / 7]])
    assert colours[:3] == pytest.approx(wanted, abs=1)
    assert colours.shape == (5, 3)
