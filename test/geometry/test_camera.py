"""Projection with distortion, and what it refuses."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel

K = [500.0, 0.0, 320.0, 0.0, 510.0, 180.0, 0.0, 0.0, 1.0]
PLUMB_BOB = [-0.2, 0.05, 0.001, -0.002, 0.0]
FISHEYE = [0.05, -0.01, 0.002, 0.0]


STRONG = [-0.4, 0.2, 0.002, -0.003, -0.05]
RATIONAL = [0.9, 0.3, 0.0004, -0.0002, 0.02, 1.3, 0.6, 0.07]


def info(model: str = "plumb_bob", d: list[float] | None = None, **fields: object) -> CameraInfo:
    given = {"width": 640, "height": 360, **fields}
    return CameraInfo(k=K, d=[0.0] * 5 if d is None else d, distortion_model=model, **given)


def outcome(camera: CameraModel, point: list[float]) -> str:
    """The pixel, or why there is none."""
    try:
        x, y = camera.project(np.array(point))
    except UserError as error:
        return str(error)
    return f"{x:.6g}, {y:.6g}"


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
    camera = CameraModel.from_message(info("equidistant", [0.0] * 4, width=1280))
    angle = math.radians(50)
    pixel = camera.project(np.array([math.sin(angle), 0.0, math.cos(angle)]))
    np.testing.assert_allclose(pixel, [320 + 500 * angle, 180], atol=1e-9)


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", PLUMB_BOB),
        ("plumb_bob", STRONG),
        ("rational_polynomial", RATIONAL),
        ("equidistant", FISHEYE),
        ("", []),
    ],
)
def test_a_ray_projects_to_its_own_pixel(model: str, d: list[float]) -> None:
    camera = CameraModel.from_message(info(model, d))
    pixels = np.array(
        [[x, y] for x in (-0.499, 0, 20, 333, 639.499) for y in (-0.499, 100, 359.499)]
    )
    for pixel, ray in zip(pixels, camera.rays(pixels), strict=True):
        np.testing.assert_allclose(camera.project(ray * 2.5), pixel, atol=1e-5)


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


def test_the_image_ends_half_a_pixel_beyond_the_centres_of_its_outermost_pixels() -> None:
    camera = CameraModel.from_message(info())

    def at(x: float, y: float) -> str:
        return outcome(camera, [(x - 320) / 500, (y - 180) / 510, 1.0])

    assert at(-0.49, -0.49) == "-0.49, -0.49"
    assert at(639.49, 359.49) == "639.49, 359.49"
    assert at(-0.9, 359.9) == "-0.5, 359.5"  # as near to the edge as the canvas is drawn exactly
    for x, y in ((-1.01, 5), (5, -1.01), (640.01, 5), (5, 360.01)):
        assert at(x, y).endswith("lies outside of the image of 640x360 pixels")
    assert outcome(camera, [2, 0, 2]).startswith("the point [2, 0, 2] lies outside")
    boundless = CameraModel.from_message(info(width=0, height=0))
    assert outcome(boundless, [2, 0, 1]) == "1320, 180"


def test_points_that_the_polynomials_fold_back_into_the_image_are_refused() -> None:
    """With k1 alone the image radius r (1 + k1 r²) is largest where r² is -1 / (3 k1)."""
    k1 = -0.2
    largest = math.sqrt(-1 / (3 * k1))
    camera = CameraModel.from_message(info(d=[k1, 0.0, 0.0, 0.0], width=1280))
    # Just inside the fold, and at the radius beyond it that has the same pixel.
    inside = 0.95 * largest
    pixel = inside * (1 + k1 * inside**2)
    beyond = max(np.roots([k1, 0, 1, -pixel]).real)
    assert beyond > largest
    assert outcome(camera, [inside, 0, 1]) == f"{320 + 500 * pixel:.6g}, 180"
    assert outcome(camera, [beyond, 0, 1]).endswith("lies beyond what the lens model covers")
    assert outcome(camera, [2.1, 0, 1]).endswith("lies beyond what the lens model covers")


def test_a_fisheye_that_folds_back_is_refused() -> None:
    """θ (1 + k1 θ²) is largest where θ² is -1 / (3 k1): at 1.05 for k1 = -0.3."""
    camera = CameraModel.from_message(
        info("equidistant", [-0.3, 0.0, 0.0, 0.0], width=2000, height=2000)
    )
    assert "," in outcome(camera, [math.sin(0.9), 0, math.cos(0.9)])
    for angle in (1.2, 1.5):
        said = outcome(camera, [math.sin(angle), 0, math.cos(angle)])
        assert said.endswith("lies beyond what the lens model covers"), angle


@given(
    # No denormal numbers: their ratios have no more digits.
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 9)), min_size=3, max_size=3),
    st.sampled_from([("plumb_bob", STRONG), ("equidistant", FISHEYE), ("plumb_bob", PLUMB_BOB)]),
)
def test_a_point_that_has_a_pixel_lies_on_the_ray_of_that_pixel(
    point: list[float], lens: tuple[str, list[float]]
) -> None:
    camera = CameraModel.from_message(info(*lens))
    try:
        pixel = camera.project(np.array(point))
    except UserError:
        return
    assert -0.5 <= pixel[0] <= 639.5 and -0.5 <= pixel[1] <= 359.5
    (ray,) = camera.rays(pixel[None])
    np.testing.assert_allclose(ray * point[2], point, rtol=2e-3, atol=4e-3 * abs(point[2]))


@given(
    st.lists(st.floats(-2, 2), min_size=8, max_size=8),
    st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant"]),
)
def test_rays_are_finite_whatever_the_lens(d: list[float], model: str) -> None:
    used = d[:4] if model == "equidistant" else d[:5] if model == "plumb_bob" else d
    camera = CameraModel.from_message(info(model, used))
    pixels = np.array([[x, y] for x in (0, 320, 639) for y in (0, 50, 359)])
    assert np.isfinite(camera.rays(pixels)).all()


# --- which image the calibration is of ----------------------------------------------------


def halved(image: np.ndarray) -> np.ndarray:
    """Each pixel the mean of four."""
    height, width = image.shape
    return image.reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def spot(size: tuple[int, int], pixel: np.ndarray) -> np.ndarray:
    """An image with a round spot about a pixel."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.asarray(np.exp(-((x - pixel[0]) ** 2 + (y - pixel[1]) ** 2) / 200))


def middle(image: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(image * x).sum(), (image * y).sum()]) / image.sum()


def test_binning_and_the_region_of_interest_move_pixels_as_the_sensor_does() -> None:
    point = np.array([0.05, -0.03, 0.7])
    full = spot((360, 640), CameraModel.from_message(info()).project(point))
    window = RegionOfInterest(x_offset=200, y_offset=40, width=400, height=280)
    published = halved(full[40:320, 200:600])
    camera = CameraModel.from_message(info(binning_x=2, binning_y=2, roi=window))
    assert camera.size == published.shape == (140, 200)
    np.testing.assert_allclose(camera.project(point), middle(published), atol=1e-6)


def test_binning_of_0_is_none_and_each_axis_has_its_own() -> None:
    plain = CameraModel.from_message(info())
    assert CameraModel.from_message(info(binning_x=1, binning_y=0)) == plain
    assert plain.size == (360, 640)
    wide = CameraModel.from_message(info(binning_y=3))
    assert wide.size == (120, 640)
    np.testing.assert_allclose(np.diag(wide.matrix), [500, 170, 1])
    np.testing.assert_allclose(wide.matrix[:2, 2], [320, (180 + 0.5) / 3 - 0.5])


def test_a_resized_camera_sees_what_the_resized_image_shows() -> None:
    point = np.array([0.1, -0.08, 0.9])
    camera = CameraModel.from_message(info(d=PLUMB_BOB))
    image = spot((360, 640), camera.project(point))
    for size in ((180, 320), (720, 1280), (180, 640)):
        small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
        resized = camera.resized(size)
        assert resized.size == size
        np.testing.assert_allclose(resized.project(point), middle(small), atol=0.02)
    assert camera.resized((180, 320)).resized((360, 640)) == camera
    assert camera.resized((360, 640)) is camera


def test_a_camera_of_unknown_size_cannot_be_resized() -> None:
    with pytest.raises(UserError, match="gives no image size"):
        CameraModel.from_message(info(width=0)).resized((10, 10))


def test_a_calibration_for_images_of_another_size_is_refused_where_it_says_its_size() -> None:
    camera = CameraModel.from_message(info())
    camera.check_size((360, 640))
    CameraModel.from_message(info(width=0)).check_size((480, 640))
    with pytest.raises(UserError) as error:
        camera.check_size((480, 640))
    assert str(error.value) == (
        "the camera_info is for images of 640x360 pixels, but they have 640x480"
    )


def test_of_rectified_images_p_counts_and_not_the_lens() -> None:
    p = [450.0, 0.0, 310.0, -45.0, 0.0, 460.0, 170.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    camera = CameraModel.from_message(info("magic", [1.0], p=p), rectified=True)
    np.testing.assert_allclose(
        camera.project(np.array([0.4, -0.2, 2.0])), [310 + 450 * 0.2, 170 - 460 * 0.1]
    )
    binned = CameraModel.from_message(info(p=p, binning_x=2, binning_y=2), rectified=True)
    assert binned == camera.resized((180, 320))
    with pytest.raises(UserError, match="is not calibrated: P of its camera_info is 0; calibrate"):
        CameraModel.from_message(info(), rectified=True)


def test_cameras_that_project_alike_are_equal() -> None:
    one, other = (CameraModel.from_message(info(d=PLUMB_BOB)) for _ in range(2))
    assert one == other and hash(one) == hash(other)
    for different in (info(d=STRONG), info(d=PLUMB_BOB, width=320), info("equidistant", FISHEYE)):
        assert CameraModel.from_message(different) != one


def test_cameras_that_cannot_project_are_refused() -> None:
    with pytest.raises(UserError, match="'magic' is not supported"):
        CameraModel.from_message(info("magic"))


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", [0.1] * 6),
        ("rational_polynomial", [0.1] * 7),
        ("plumb_bob", [0.1] * 15),
        ("plumb_bob", [math.nan] * 5),
        ("plumb_bob", [0.1, 0.0, 0.0, 0.0, 0.0, math.nan]),
        ("equidistant", [0.1] * 5),
        ("equidistant", [0.1, 0.2, 0.3, 0.0, 0.0, 0.1]),
        ("equidistant", [0.1] * 3),
        ("equidistant", []),
    ],
)
def test_coefficients_that_opencv_would_choke_on_are_refused(model: str, d: list[float]) -> None:
    with pytest.raises(UserError, match=f"'{model}' needs .* finite coefficients"):
        CameraModel.from_message(info(model, d))


IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("k", "what"),
    [
        ([0.0] * 9, "K of its camera_info is 0"),
        (IDENTITY, "K of its camera_info is the identity"),
        ([0.8, 0.0, 0.5, 0.0, 1.1, 0.5, 0.0, 0.0, 1.0], "has focal lengths of 0.8 and 1.1 pixels"),
        ([500.0, 0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 1.0], "has focal lengths of 500 and 1 pixels"),
        ([0.0] * 8 + [1.0], "has focal lengths of 0 and 0 pixels"),
        ([-500.0, *K[1:]], "has focal lengths of -500 and 510 pixels"),
        ([500.0, 0.0, math.nan, *K[3:]], "K of its camera_info is not finite"),
    ],
)
def test_what_drivers_publish_without_a_calibration_is_none(k: list[float], what: str) -> None:
    message = info()
    message.k = k
    with pytest.raises(UserError) as error:
        CameraModel.from_message(message)
    assert str(error.value).startswith("the camera is not calibrated: K of its camera_info ")
    assert str(error.value).endswith(f"{what}; calibrate the camera")


def test_of_rectified_images_an_identity_is_no_calibration() -> None:
    p = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    with pytest.raises(UserError) as error:
        CameraModel.from_message(info(p=p), rectified=True)
    assert str(error.value) == (
        "the camera is not calibrated: P of its camera_info is the identity; calibrate the camera"
    )


def test_a_short_focal_length_is_one() -> None:
    message = info(width=4, height=3)
    message.k = [1.5, 0.0, 1.5, 0.0, 1.5, 1.0, 0.0, 0.0, 1.0]
    pixel = CameraModel.from_message(message).project(np.array([0.5, 0.0, 1.0]))
    np.testing.assert_allclose(pixel, [2.25, 1.0])


@pytest.mark.parametrize("name", ["fisheye", "FISHEYE", "KANNALA_BRANDT", "kannala_brandt"])
def test_the_equidistant_model_has_several_names(name: str) -> None:
    camera = CameraModel.from_message(info(name, FISHEYE))
    assert camera.fisheye and camera == CameraModel.from_message(info("equidistant", FISHEYE))


@pytest.mark.parametrize(
    ("model", "d", "used"),
    [
        ("equidistant", [*FISHEYE, 0.0], 4),
        ("fisheye", [0.1, 0.2, 0.3, 0.4, *[0.0] * 10], 4),
        ("equidistant", [0.0] * 12, 4),
        ("plumb_bob", [*PLUMB_BOB[:4], *[0.0] * 5], 4),
        ("plumb_bob", [0.1, 0.2, 0.3, 0.4, 0.5, 0.0], 5),
        ("plumb_bob", [*STRONG, *[0.0] * 3], 5),
        ("rational_polynomial", [*RATIONAL, *[0.0] * 7], 8),
        ("rational_polynomial", [*RATIONAL[:7], 0.0], 8),
        ("rational_polynomial", [*RATIONAL[:6], *[0.0] * 14], 8),
        ("plumb_bob", [0.0] * 6, 0),
    ],
)
def test_zeros_behind_the_coefficients_are_dropped(model: str, d: list[float], used: int) -> None:
    camera = CameraModel.from_message(info(model, d))
    assert camera.distortion.tolist() == d[:used]
    shorter = CameraModel.from_message(info(model, d[:used]))
    assert camera == shorter
    pixels = np.array([[10.0, 20.0], [600.0, 340.0]])
    np.testing.assert_allclose(camera.pixels(camera.rays(pixels)), pixels, atol=1e-5)
