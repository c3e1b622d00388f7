"""The canvas: a point on it projects to the pixel that is drawn there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.canvas import canvas_mesh
from support.examples import examples

WIDTH, HEIGHT = 640, 480
SIZE = HEIGHT, WIDTH
EYE = np.array([0.4, -0.3, -0.7])
"""Where RViz's user looks from: anywhere."""


def camera(*distortion: float, fisheye: bool = False, focal_length: float = 500.0) -> CameraModel:
    matrix = np.array([[focal_length, 0, 322.5], [0, focal_length + 3, 238.25], [0, 0, 1]])
    return CameraModel(matrix, np.array(distortion), fisheye, SIZE)


CAMERAS = {
    "no distortion": camera(),
    "plumb_bob": camera(-0.4, 0.2, 0.002, -0.003, -0.05),
    "rational_polynomial": camera(0.9, 0.3, 0.0004, -0.0002, 0.02, 1.3, 0.6, 0.07),
    "fisheye": camera(0.05, -0.01, 0.002, 0.0, fisheye=True, focal_length=330.0),
}
Mesh = tuple[np.ndarray, np.ndarray]
MESHES = {name: canvas_mesh(made, SIZE, 1.5) for name, made in CAMERAS.items()}
lenses = pytest.mark.parametrize("lens", CAMERAS)


def spread(count: int) -> np.ndarray:
    """Pixels all over the image, the outermost ones among them."""
    corners = [(0, 0), (WIDTH - 1, 0), (0, HEIGHT - 1), (WIDTH - 1, HEIGHT - 1)]
    others = np.random.default_rng(3).uniform([0, 0], [WIDTH - 1, HEIGHT - 1], (count - 4, 2))
    return np.vstack([corners, others])


def triangles(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Corners ``(N, 3, 3)`` and the pixels that are drawn there ``(N, 3, 2)``."""
    vertices, uv = mesh
    return vertices.reshape(-1, 3, 3), uv.reshape(-1, 3, 2) * np.array([WIDTH, HEIGHT]) - 0.5


def place(mesh: Mesh, pixel: np.ndarray) -> np.ndarray:
    """Where the texture's pixel is in space, as a renderer puts it there."""
    corners, pixels = triangles(mesh)
    edges = np.swapaxes(pixels[:, 1:] - pixels[:, :1], 1, 2)
    v, w = np.linalg.solve(edges, (pixel - pixels[:, 0])[..., None])[..., 0].T
    inside = np.flatnonzero((v >= -1e-6) & (w >= -1e-6) & (v + w <= 1 + 1e-6))
    assert len(inside), f"the pixel {pixel} is not on the canvas"
    i = inside[0]
    return np.asarray(np.array([1 - v[i] - w[i], v[i], w[i]]) @ corners[i])


def hit(mesh: Mesh, eye: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a ray hits: the point, and the pixel that is drawn there."""
    corners, pixels = triangles(mesh)
    # eye + t direction = a + v (b - a) + w (c - a), by Cramer's rule
    first, second, offset = (
        corners[:, 1] - corners[:, 0],
        corners[:, 2] - corners[:, 0],
        eye - corners[:, 0],
    )
    across, around = np.cross(direction, second), np.cross(offset, first)
    determinant = (first * across).sum(1)
    v = (offset * across).sum(1) / determinant
    w = around @ direction / determinant
    t = (second * around).sum(1) / determinant
    inside = np.flatnonzero((v >= -1e-9) & (w >= -1e-9) & (v + w <= 1 + 1e-9))
    assert len(inside), "the canvas is not hit"
    i = inside[0]
    weights = np.array([1 - v[i] - w[i], v[i], w[i]])
    return eye + t[i] * direction, weights @ pixels[i]


# --- the mesh -----------------------------------------------------------------------------


@lenses
def test_a_click_on_what_is_drawn_returns_its_pixel(lens: str) -> None:
    mesh = MESHES[lens]
    for pixel in spread(20):
        point, drawn = hit(mesh, EYE, place(mesh, pixel) - EYE)
        np.testing.assert_allclose(drawn, pixel, atol=1e-3)
        error = np.linalg.norm(CAMERAS[lens].project(point) - pixel)
        assert error < 0.5, (pixel, error)


def test_without_distortion_the_canvas_is_two_triangles_and_exact() -> None:
    mesh = canvas_mesh(camera(focal_length=500.0), SIZE, 2.0)
    left, right = -323 / 500 * 2, 317 / 500 * 2
    top, bottom = -238.75 / 503 * 2, 241.25 / 503 * 2
    a, b, c, d = [left, top, 2], [left, bottom, 2], [right, top, 2], [right, bottom, 2]
    np.testing.assert_allclose(mesh[0], [a, b, c, c, b, d], rtol=1e-12)
    assert mesh[1].tolist() == [[0, 0], [0, 1], [1, 0], [1, 0], [0, 1], [1, 1]]
    for pixel in spread(20):
        np.testing.assert_allclose(camera().project(place(mesh, pixel)), pixel, atol=1e-4)


@lenses
def test_the_canvas_is_flat_at_its_distance_and_faces_the_camera(lens: str) -> None:
    vertices, uv = MESHES[lens]
    assert vertices.dtype == np.float64
    assert uv.dtype == np.float32
    assert len(vertices) == len(uv)
    assert len(vertices) % 3 == 0
    np.testing.assert_allclose(vertices[:, 2], 1.5)
    a, b, c = (vertices[i::3] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] < 0).all()  # RViz's normal: towards the camera


@lenses
def test_the_canvas_shows_the_whole_image_where_the_lens_model_reaches_all_of_it(
    lens: str,
) -> None:
    _, uv = MESHES[lens]
    a, b, c = (uv[i::3].astype(np.float64) for i in range(3))
    (x, y), (far_x, far_y) = (b - a).T, (c - a).T
    np.testing.assert_allclose(np.abs(x * far_y - y * far_x).sum() / 2, 1, atol=1e-5)


@examples(25)
@given(
    k1=st.floats(-0.4, 0.4),
    k2=st.floats(-0.2, 0.2),
    p1=st.floats(-0.01, 0.01),
    focal_length=st.floats(300, 1500),
    fisheye=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_whatever_is_on_the_canvas_is_in_its_place(
    k1: float, k2: float, p1: float, focal_length: float, fisheye: bool, seed: int
) -> None:
    last = (0.0, 0.0) if fisheye else (p1, 0.0, 0.0)
    lens = camera(k1, k2, *last, fisheye=fisheye, focal_length=focal_length)
    vertices, uv = canvas_mesh(lens, SIZE, 1.0)
    assume(len(vertices))
    random = np.random.default_rng(seed)
    for triangle in random.integers(0, len(vertices) // 3, 20):
        corners = slice(3 * triangle, 3 * triangle + 3)
        weights = random.dirichlet([1, 1, 1])
        pixel = weights @ uv[corners] * (WIDTH, HEIGHT) - 0.5
        assert np.linalg.norm(lens.project(weights @ vertices[corners]) - pixel) < 0.5


def test_what_the_lens_model_does_not_reach_is_left_out() -> None:
    """r (1 - 0.9 r^2) grows up to r = 0.61 only, where it is 0.41."""
    lens = camera(-0.9, 0.0, 0.0, 0.0, 0.0, focal_length=600.0)
    _, uv = canvas_mesh(lens, SIZE, 1.0)
    pixels = uv * (WIDTH, HEIGHT) - 0.5
    reach = np.linalg.norm((pixels - (322.5, 238.25)) / (600, 603), axis=1)
    assert 0.35 < reach.max() < 0.41


def test_a_fisheye_is_shown_up_to_80_degrees() -> None:
    lens = camera(0.0, 0.0, 0.0, 0.0, fisheye=True, focal_length=200.0)  # 92 degrees at the side
    vertices, _ = canvas_mesh(lens, SIZE, 1.0)
    angle = np.degrees(np.arctan(np.linalg.norm(vertices[:, :2], axis=1)))
    assert 70 < angle.max() <= 80


def test_a_lens_model_that_reaches_nothing_has_no_canvas() -> None:
    aside = CAMERAS["fisheye"].matrix + np.array([[0, 0, -2000.0], [0, 0, 0], [0, 0, 0]])
    vertices, uv = canvas_mesh(CameraModel(aside, np.zeros(4), True, SIZE), SIZE, 1.0)
    assert vertices.shape == (0, 3)
    assert uv.shape == (0, 2)
