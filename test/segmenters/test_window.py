"""Windows: crops, masks and points of an image of any size agree to a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.classical.window import Window

SIZES = [(640, 480), (1280, 720), (4000, 3000)]
"""Width, height."""


def fitting(scales: tuple[float, ...]) -> list[tuple[int, int, float]]:
    """Sizes with those scales at which 100 working pixels fit into the image."""
    return [(w, h, scale) for w, h in SIZES for scale in scales if 100 / scale < 0.7 * h]


def spot(width: int, height: int, x: float, y: float, radius: float) -> np.ndarray:
    """A smooth white spot before black, RGB ``uint8 (H, W, 3)``."""
    image = np.zeros((height, width), np.float32)
    reach = int(4 * radius)
    left, top = max(int(x) - reach, 0), max(int(y) - reach, 0)
    part = image[top : int(y) + reach, left : int(x) + reach]
    rows, columns = np.mgrid[0 : part.shape[0], 0 : part.shape[1]]
    away = (columns + left - x) ** 2 + (rows + top - y) ** 2
    part[:] = 255 * np.exp(-away / (2 * radius**2))
    return np.rint(np.repeat(image[..., None], 3, axis=2)).astype(np.uint8)


def centre(values: np.ndarray) -> np.ndarray:
    """Centre of mass, x, y."""
    moments = cv2.moments(values.astype(np.float32))
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


@pytest.mark.parametrize(
    ("width", "height", "scale"), fitting((1.5, 1.0, 0.6, 0.31, 0.2, 0.12, 0.06))
)
def test_what_is_seen_in_a_crop_is_where_it_is_in_the_image(
    width: int, height: int, scale: float
) -> None:
    x, y, radius = 0.4 * width + 0.3, 0.6 * height - 0.4, 12 / scale
    frame = Frame(spot(width, height, x, y, radius), 0, 0)
    box = (x - 4.1 * radius, y - 3.7 * radius, x + 3.8 * radius, y + 4.2 * radius)
    window = Window.around(box, scale, frame.size)
    seen = centre(window.crop(frame)[..., 0])
    # Pixels of the image, but not less than a tenth of a working pixel.
    np.testing.assert_allclose(window.to_image(seen[None])[0], (x, y), atol=max(0.3, 0.1 / scale))
    np.testing.assert_allclose(window.to_working(np.array([[x, y]]))[0], seen, atol=0.15)


@pytest.mark.parametrize(("width", "height", "scale"), fitting((1.5, 0.6, 0.31, 0.12)))
def test_a_mask_is_enlarged_to_where_its_working_pixels_are(
    width: int, height: int, scale: float
) -> None:
    window = Window.around(
        (0.3 * width, 0.2 * height, 0.3 * width + 90 / scale, 0.2 * height + 80 / scale),
        scale,
        (height, width),
    )
    rows, columns = np.mgrid[0 : window.height, 0 : window.width]
    values = 15.0 - np.hypot(columns - 40.3, rows - 37.6)
    large, (left, top) = window.enlarge(values.astype(np.float32), (height, width))
    found = centre(large > 0) + np.array([left, top])
    wanted = window.to_image(np.array([[40.3, 37.6]]))[0]
    np.testing.assert_allclose(found, wanted, atol=max(0.3, 0.1 / scale))
    area = np.count_nonzero(large > 0) * scale**2
    assert area == pytest.approx(np.pi * 15**2, rel=0.02)


def test_values_are_resampled_to_the_same_place() -> None:
    first = Window(100.2, 50.7, 120, 100, 0.8)
    second = Window(110.9, 45.1, 140, 160, 1.1)
    rows, columns = np.mgrid[0:100, 0:120]
    values = np.exp(-((columns - 61.3) ** 2 + (rows - 47.2) ** 2) / (2 * 6.0**2))
    moved = second.resample(values.astype(np.float32), first)
    wanted = second.to_working(first.to_image(np.array([[61.3, 47.2]])))[0]
    np.testing.assert_allclose(centre(moved), wanted, atol=0.05)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_thing_is_masked_where_it_is_in_an_image_of_any_size(width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(90, 6, (height, width, 3))
    x, y, radius = round(0.7 * width), round(0.3 * height), round(0.08 * height)
    rows, columns = np.ogrid[0:height, 0:width]
    truth = np.hypot(columns - x, rows - y) <= radius
    image[truth] += (90, 40, -60)
    segmenter = create_segmenter("classical")
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    for index in range(3):
        shift = 4 * index  # to the right
        segmenter.set_image(Frame(np.roll(pixels, shift, axis=1), index, index))
        points = np.array([(x + shift, y)], np.float32)
        mask = segmenter.predict([Prompt(1, points, np.ones(1), gestures=np.zeros(1))])[0].mask
        wanted = np.roll(truth, shift, axis=1)
        assert np.count_nonzero(mask ^ wanted) < 0.06 * np.count_nonzero(wanted)
        np.testing.assert_allclose(centre(mask), (x + shift, y), atol=0.004 * height)
