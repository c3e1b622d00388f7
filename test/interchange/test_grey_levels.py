"""16-bit images in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.interchange.grey_levels import FULL_RANGE, GreyLevels

_random = np.random.default_rng(0)


def noise(low: int, high: int, shape: tuple[int, ...] = (120, 160)) -> np.ndarray:
    return _random.integers(low, high + 1, shape).astype(np.uint16)


def test_a_range_is_twice_as_wide_as_the_values_of_the_first_image() -> None:
    levels = GreyLevels()
    values = np.full((100, 100), 3000, np.uint16)
    values[50:] = 3400
    reduced = levels.reduce(values)
    assert levels.range == (2800, 3600)
    assert reduced.dtype == np.uint8 and reduced.shape == values.shape
    assert reduced[0, 0] == round(200 * 255 / 800) and reduced[-1, 0] == round(600 * 255 / 800)


def test_values_beyond_the_range_become_its_ends() -> None:
    levels = GreyLevels()
    values = np.full((100, 100), 3000, np.uint16)
    values[50:] = 3400
    values[0, :4] = 0, 2799, 3601, 65535  # dead and hot pixels
    np.testing.assert_array_equal(levels.reduce(values)[0, :4], [0, 0, 255, 255])
    assert levels.range == (2800, 3600)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1023, (0, 2046)),  # 10 bits
        (0, 4095, (0, 8190)),  # 12 bits
        (0, 16383, (0, 32766)),  # 14 bits
        (0, 16384, FULL_RANGE),
        (65000, 65535, (64465, 65535)),
        (500, 500, (372, 628)),  # never less than one value for a level
        (500, 627, (435, 691)),
        (0, 0, (0, 256)),
    ],
)
def test_the_range_of_a_sensor(low: int, high: int, expected: tuple[int, int]) -> None:
    levels = GreyLevels()
    values = np.full((100, 100), low, np.uint16)
    values[50:] = high
    levels.reduce(values)
    assert levels.range == expected


def test_values_that_fill_the_range_keep_their_upper_bits() -> None:
    values = noise(0, 65535)
    np.testing.assert_array_equal(GreyLevels().reduce(values), values >> 8)


def test_the_same_value_is_equally_bright_while_the_scene_changes() -> None:
    """No flicker: a thing that comes or goes changes only its own pixels."""
    levels = GreyLevels()
    ground = noise(2950, 3050)
    first = levels.reduce(ground)
    for brightness in (2900, 3100, 3300, 40000):
        scene = ground.copy()
        scene[:10, :16] = brightness  # 0.8 % of the image
        reduced = levels.reduce(scene)
        np.testing.assert_array_equal(reduced[10:], first[10:])


def test_another_range_needs_three_images_in_a_row() -> None:
    levels = GreyLevels()
    levels.reduce(noise(2950, 3050))
    before = levels.range
    shutter, scene = noise(9000, 9100), noise(2950, 3050)
    for image in (shutter, shutter, scene, shutter, shutter, scene):
        levels.reduce(image)
        assert levels.range == before
    for expected in (before, before):
        levels.reduce(shutter)
        assert levels.range == expected
    levels.reduce(shutter)
    assert levels.range[0] < 9000 and levels.range[1] > 9100


def test_two_percent_of_the_pixels_ask_for_another_range() -> None:
    levels = GreyLevels()
    ground = noise(2950, 3050)
    levels.reduce(ground)
    ground[:3, :] = 5000  # 2.5 %
    for _ in range(3):
        levels.reduce(ground)
    assert levels.range[1] > 5000


def test_a_range_that_became_too_wide_is_narrowed() -> None:
    levels = GreyLevels()
    levels.reduce(noise(0, 8000))
    wide = levels.range
    for _ in range(3):  # a tenth
        levels.reduce(noise(3000, 4600))
    assert levels.range == wide
    for _ in range(3):  # a fortieth
        levels.reduce(noise(3000, 3400))
    assert levels.range[1] - levels.range[0] == 800


@pytest.mark.parametrize("red", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("size", [(480, 640), (960, 1280), (2048, 2448)])
def test_all_colours_of_a_mosaic_count(red: tuple[int, int], size: tuple[int, int]) -> None:
    values = np.full(size, 3600, np.uint16)
    values[red[0] :: 2, red[1] :: 2] = 600
    levels = GreyLevels()
    levels.reduce(values)
    assert levels.range == (0, 6000)


def test_alpha_has_no_part_in_the_range() -> None:
    values = np.stack([noise(0, 4000)] * 3 + [np.full((120, 160), 65535, np.uint16)], axis=-1)
    levels = GreyLevels()
    reduced = levels.reduce(values)
    assert reduced.shape == values.shape and levels.range[1] < 8100


def test_all_channels_have_one_range() -> None:
    values = np.stack([noise(0, 100), noise(900, 1000), noise(400, 500)], axis=-1)
    levels = GreyLevels()
    reduced = levels.reduce(values)
    assert levels.range == (0, 2000) or levels.range[1] - levels.range[0] > 1990
    grey = reduced.mean(axis=(0, 1))
    assert grey[0] < 10 and 50 < grey[2] < 65 and grey[1] > 115


def test_every_part_of_a_large_image_counts() -> None:
    """The range comes from a grid of pixels, not from one corner."""
    values = np.full((1080, 1920), 100, np.uint16)
    values[:, 1200:] = 4000
    levels = GreyLevels()
    levels.reduce(values)
    assert levels.range == (0, 7800)
