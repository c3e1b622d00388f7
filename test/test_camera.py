"""Projection with distortion, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

from sam_pt_ros.camera import CameraModel
from sam_pt_ros.errors import UserError

K = [500.0, 0.0, 320.0, 0.0, 510.0, 180.0, 0.0, 0.0, 1.0]
PLUMB_BOB = [-0.2, 0.05, 0.001, -0.002, 0.0]
FISHEYE = [0.05, -0.01, 0.002, 0.0]


def info(model: str = "plumb_bob", d: list[float] | None = None) -> CameraInfo:
    return CameraInfo(k=K, d=[0.0] * 5 if d is None else d, distortion_model=model)


def test_a_pinhole_projects_as_the_textbook_says() -> None:
    pixel = CameraModel.from_message(info()).project(np.array([0.4, -0.2, 2.0]))
    np.testing.assert_allclose(pixel, [320 + 500 * 0.2, 180 - 510 * 0.1])


def test_radial_distortion_projects_as_the_textbook_says() -> None:
    k1 = -0.2
    x, y = 0.3, 0.1
    scale = 1 + k1 * (x * x + y * y)
    camera = CameraModel.from_message(info(d=[k1, 0.0, 0.0, 0.0, 0.0]))
    expected = [320 + 500 * x * scale, 180 + 510 * y * scale]
    np.testing.assert_allclose(camera.project(np.array([x, y, 1.0]) * 3), expected)


def test_the_equidistant_model_projects_as_the_textbook_says() -> None:
    camera = CameraModel.from_message(info("equidistant", [0.0] * 4))
    angle = math.radians(50)
    pixel = camera.project(np.array([math.sin(angle), 0.0, math.cos(angle)]))
    np.testing.assert_allclose(pixel, [320 + 500 * angle, 180], atol=1e-9)


@pytest.mark.parametrize(
    ("model", "d"), [("plumb_bob", PLUMB_BOB), ("equidistant", FISHEYE), ("", [])]
)
def test_a_ray_projects_to_its_own_pixel(model: str, d: list[float]) -> None:
    camera = CameraModel.from_message(info(model, d))
    pixels = np.array([[x, y] for x in range(20, 640, 120) for y in range(20, 360, 80)])
    for pixel, ray in zip(pixels, camera.rays(pixels), strict=True):
        np.testing.assert_allclose(camera.project(ray * 2.5), pixel, atol=0.05)


def test_no_pixels_give_no_rays() -> None:
    assert CameraModel.from_message(info()).rays(np.zeros((0, 2))).shape == (0, 3)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ([0.0, 0.0, -1.0], "behind"),
        ([0.0, 0.0, 0.0], "behind"),
        ([math.nan, 0.0, 1.0], "not finite"),
        ([0.0, math.inf, 1.0], "not finite"),
    ],
)
def test_points_without_a_pixel_are_refused(point: list[float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        CameraModel.from_message(info()).project(np.array(point))


def test_cameras_that_cannot_project_are_refused() -> None:
    with pytest.raises(UserError, match="no calibration"):
        CameraModel.from_message(CameraInfo())
    with pytest.raises(UserError, match="'magic' is not supported"):
        CameraModel.from_message(info("magic"))


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", [0.0] * 6),
        ("rational_polynomial", [0.0] * 7),
        ("plumb_bob", [math.nan] * 5),
        ("equidistant", [0.0] * 5),
        ("equidistant", []),
    ],
)
def test_coefficients_that_opencv_would_choke_on_are_refused(model: str, d: list[float]) -> None:
    with pytest.raises(UserError, match=f"'{model}' needs .* finite coefficients"):
        CameraModel.from_message(info(model, d))
