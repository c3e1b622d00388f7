"""Depth: a plane and a sphere, cast by hand through a lens, and what must not be measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from benchmarks import depth as benchmark
from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.depth import STEP, locate
from sam_pt_ros.geometry.space import ObjectInSpace
from sam_pt_ros.interchange.images import DEPTH_ENCODINGS, decode_depth
from sam_pt_ros.interchange.messages import ResultMessages
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectResult, ObjectState, TrackResult
from sam_pt_ros.ros.message_classes import make_rclpy_message
from sam_pt_ros.trackers import PointTracks
from support.examples import examples

MESSAGES = ResultMessages(make_rclpy_message)
SIZE = (240, 320)
F, CX, CY = 260.0, 163.0, 117.0
K1, K2, P1, P2 = -0.18, 0.04, 0.002, -0.001
CAMERA = CameraModel(
    np.array([[F, 0, CX], [0, F, CY], [0, 0, 1]]), np.array([K1, K2, P1, P2, 0.0]), False, SIZE
)
PLANE = np.array([0.3, -0.2, 1.0]), 1.8
"""Normal and offset: the points p with normal . p = offset; 1.3 to 2.7 m away in the image."""

CENTRE, RADIUS = np.array([-0.15, 0.1, 1.2]), 0.25
"""Of the sphere, metres."""


# --- ray casting, of which the code under test knows nothing ------------------------------


def cast(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Directions, ``(..., 3)`` with z = 1, of pixels through the lens.

    The lens equation, x' = x (1 + k1 r^2 + k2 r^4) + 2 p1 x y + p2 (r^2 + 2 x^2), and the like
    for y', is solved by Newton's method with differences for derivatives.
    """

    def lens(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r2 = x * x + y * y
        radial = 1 + K1 * r2 + K2 * r2 * r2
        return (
            x * radial + 2 * P1 * x * y + P2 * (r2 + 2 * x * x),
            y * radial + P1 * (r2 + 2 * y * y) + 2 * P2 * x * y,
        )

    wanted_x, wanted_y = (x - CX) / F, (y - CY) / F
    x, y = wanted_x, wanted_y
    h = 1e-6
    for _ in range(10):
        at_x, at_y = lens(x, y)
        (xx, yx), (xy, yy) = lens(x + h, y), lens(x, y + h)
        a, b, c, d = (xx - at_x) / h, (xy - at_x) / h, (yx - at_y) / h, (yy - at_y) / h
        ex, ey = wanted_x - at_x, wanted_y - at_y
        determinant = a * d - b * c
        x, y = x + (d * ex - b * ey) / determinant, y + (a * ey - c * ex) / determinant
    return np.stack([x, y, np.ones_like(x)], -1)


def on_plane(rays: np.ndarray) -> np.ndarray:
    """Distances along z at which rays meet the plane."""
    normal, offset = PLANE
    return np.asarray(offset / (rays @ normal))


def on_sphere(rays: np.ndarray) -> np.ndarray:
    """The same of the sphere's near side; NaN where they miss it."""
    a = (rays * rays).sum(-1)
    b = rays @ CENTRE
    with np.errstate(invalid="ignore"):
        return np.asarray((b - np.sqrt(b * b - a * (CENTRE @ CENTRE - RADIUS**2))) / a)


def pixel_grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the pixels of an image of some size, in pixels of the image of ``SIZE``."""
    y, x = np.indices(size, np.float64)
    return (x + 0.5) * SIZE[1] / size[1] - 0.5, (y + 0.5) * SIZE[0] / size[0] - 0.5


def disc(x: float, y: float, radius: float) -> np.ndarray:
    columns, rows = pixel_grid(SIZE)
    return np.asarray(np.hypot(columns - x, rows - y) <= radius)


@dataclass(frozen=True)
class View:
    """What is seen in some part of the image.

    Attributes:
        depth: ``float64 (h, w)`` metres of any size, without holes.
        mask: ``bool SIZE``.
        surface: ``float64 (M, 3)``, the points that the mask's pixels see.
        points: ``float64 (N, 2)`` pixels on it.
        positions: ``float64 (N, 3)``, where they truly are.
    """

    depth: np.ndarray
    mask: np.ndarray
    surface: np.ndarray
    points: np.ndarray
    positions: np.ndarray


def slanted_plane(size: tuple[int, int]) -> View:
    mask = disc(200, 90, 60)
    rays = cast(*pixel_grid(SIZE))
    points = np.random.default_rng(1).uniform([165, 55], [235, 125], (20, 2))
    to_points = cast(*points.T)
    return View(
        on_plane(cast(*pixel_grid(size))),
        mask,
        (rays * on_plane(rays)[..., None])[mask],
        points,
        to_points * on_plane(to_points)[:, None],
    )


def sphere_before_plane(size: tuple[int, int]) -> View:
    rays = cast(*pixel_grid(SIZE))
    mask = np.isfinite(on_sphere(rays))
    to_depth = cast(*pixel_grid(size))
    sphere = on_sphere(to_depth)
    middle = CENTRE[:2] / CENTRE[2] * F + [CX, CY]
    points = middle + np.random.default_rng(1).uniform(-30, 30, (20, 2))
    to_points = cast(*points.T)
    return View(
        np.where(np.isfinite(sphere), sphere, on_plane(to_depth)),
        mask,
        (rays * on_sphere(rays)[..., None])[mask],
        points,
        to_points * on_sphere(to_points)[:, None],
    )


def with_holes(depth: np.ndarray) -> np.ndarray:
    """A fifth of the readings is missing, here and there, and a block is; they are 0."""
    holes = np.random.default_rng(2).random(depth.shape) < 0.2
    height, width = depth.shape
    holes[height * 2 // 5 : height * 9 // 20, width // 2 :] = True
    return np.where(holes, 0, depth)


def message(depth: np.ndarray, encoding: str) -> Image:
    """Metres, 0 for no reading, as an image."""
    pixels = depth if encoding == "32FC1" else np.rint(depth * 1000)
    return MESSAGES.image(
        pixels.astype(np.float32 if encoding == "32FC1" else np.uint16), encoding, Header()
    )


def item(
    mask: np.ndarray,
    points: Iterable[Iterable[float]] = (),
    *,
    object_id: int = 3,
    visible: bool = True,
    label: int = POSITIVE,
) -> ObjectResult:
    xy = np.array(list(points), np.float64).reshape(-1, 2)
    count = len(xy)
    state = ObjectState.TRACKING if mask.any() else ObjectState.OCCLUDED
    tracks = PointTracks(0, np.arange(count), xy, np.full(count, visible), np.ones(count))
    cropped = CroppedMask.cut(mask, (0, 0), mask.shape)
    return ObjectResult(
        object_id, "", state, 0.9, cropped, tracks, np.full(count, label, np.int32), 4, 0
    )


def result(*items: ObjectResult) -> TrackResult:
    labels = np.zeros(SIZE, np.uint16)
    for each in items:
        labels[each.mask.full()] = each.object_id
    return TrackResult(0, 1, labels, items, {})


def located(depth: np.ndarray, one: ObjectResult) -> ObjectInSpace:
    """Where an object is; ``depth`` in metres, NaN for no reading."""
    found = locate(result(one), depth.astype(np.float32), CAMERA, "camera")
    assert found.frame_id == "camera"
    return found.objects[one.object_id]


# --- decoding -----------------------------------------------------------------------------

MM = np.random.default_rng(0).integers(0, 9000, (16, 21)).astype(np.uint16)
MM[3, 4:9] = 0
M = np.where(MM == 0, np.nan, MM / 1000).astype(np.float32)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize("encoding", DEPTH_ENCODINGS)
def test_depth_is_metres_whatever_its_encoding_and_byte_order(
    encoding: str, big: int, padding: int
) -> None:
    pixels = M if encoding == "32FC1" else MM
    ordered = pixels.astype(pixels.dtype.newbyteorder("><"[not big]))
    rows = ordered.reshape(16, -1).view(np.uint8)
    sent = MESSAGES.image(np.pad(rows, ((0, 0), (0, padding))), encoding, Header())
    sent.width, sent.is_bigendian = 21, big
    decoded = decode_depth(sent)
    assert (decoded.dtype, decoded.shape) == (np.float32, (16, 21))
    np.testing.assert_allclose(decoded, M, rtol=1e-6)


def test_what_is_no_distance_is_no_reading() -> None:
    pixels = np.ones((16, 16), np.float32)
    nothing = [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, -1.0, -1e-40]
    pixels[0, :8] = nothing
    pixels[1, :3] = readings = [1e-40, 1e-3, 3e38]
    decoded = decode_depth(message(pixels, "32FC1"))
    assert np.isnan(decoded[0, :8]).all()
    np.testing.assert_array_equal(decoded[1, :3], np.float32(readings))
    assert np.count_nonzero(np.isnan(decoded)) == 8


def test_decoded_depth_does_not_share_memory_with_the_message() -> None:
    for encoding in DEPTH_ENCODINGS:
        sent = message(np.ones((16, 16)), encoding)
        decoded = decode_depth(sent)
        sent.data[0] ^= 255
        assert (decoded == 1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "rgb8"}, "'rgb8' is not a depth encoding; use one of 16UC1, mono16, 32FC1"),
        ({"encoding": "16SC1"}, "'16SC1' is not a depth encoding"),
        ({"step": 41}, "step is 41 bytes"),
        ({"height": 17}, "16UC1 of 21x17 with a step of 42 needs 714"),
        ({"encoding": "32FC1"}, "21 pixels of 32FC1 need 84"),
        ({"data": b""}, "holds 0 bytes"),
        ({"width": 0}, "0x16 pixels"),
    ],
)
def test_malformed_depth_is_refused(change: dict[str, object], words: str) -> None:
    broken = MESSAGES.image(MM, "16UC1", Header())
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(UserError, match=words):
        decode_depth(broken)


@examples(200)
@given(
    st.sampled_from([*DEPTH_ENCODINGS, "rgb8", "", "64FC1"]),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 90),
    st.binary(max_size=2_000),
    st.integers(0, 1),
)
def test_any_bytes_are_refused_or_read_right(
    encoding: str, height: int, width: int, step: int, data: bytes, big: int
) -> None:
    odd = Image(
        encoding=encoding, height=height, width=width, step=step, data=data, is_bigendian=big
    )
    try:
        decoded = decode_depth(odd)
    except UserError:
        return
    order = "big" if big else "little"
    side = 4 if encoding == "32FC1" else 2
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
        begin = row * step + column * side
        bits = int.from_bytes(data[begin : begin + side], order)
        value = np.array([bits], np.uint32).view(np.float32)[0] if side == 4 else bits / 1000
        if 0 < value < math.inf:
            assert decoded[row, column] == np.float32(value)
        else:
            assert math.isnan(decoded[row, column])


# --- planes and spheres -------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZE, (120, 160), (480, 640)], ids=lambda s: f"{s[1]}x{s[0]}")
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
@pytest.mark.parametrize("scene", [slanted_plane, sphere_before_plane])
def test_a_plane_and_a_sphere_are_where_they_are(
    scene: object, encoding: str, size: tuple[int, int]
) -> None:
    view = scene(size)  # type: ignore[operator]
    depth = decode_depth(message(with_holes(view.depth), encoding))
    found = located(depth, item(view.mask, view.points))
    distances = np.linalg.norm(view.positions, axis=1)

    errors = np.linalg.norm(found.points - view.positions, axis=1) / distances
    known = np.isfinite(errors)
    assert known.mean() > 0.8  # not those in the block that is missing
    assert errors[known].max() < 0.01
    assert np.median(errors[known]) < 0.003

    extent = found.extent
    assert extent is not None
    centroid = view.surface.mean(0)
    distance = np.linalg.norm(centroid)
    assert np.linalg.norm(extent.centroid - centroid) < 0.01 * distance  # a part is missing
    assert np.abs(extent.box_min - view.surface.min(0)).max() < 0.01 * distance
    # Of the sphere the rim, seen edgewise, is as far away as it gets: within two readings.
    rim = 0.01 if scene is slanted_plane else 0.04
    assert np.abs(extent.box_max - view.surface.max(0)).max() < rim * distance
    assert np.abs(extent.box_max - view.surface.max(0))[:2].max() < 0.01 * distance


def test_a_cloud_lies_on_its_surface_and_covers_it() -> None:
    view = sphere_before_plane(SIZE)
    cloud = located(view.depth, item(view.mask)).cloud
    assert cloud.dtype == np.float32
    away = np.abs(np.linalg.norm(cloud - CENTRE, axis=1) - RADIUS)
    assert away.max() < 1e-4
    assert len(cloud) > 0.97 * np.count_nonzero(view.mask)
    np.testing.assert_allclose(cloud.mean(0), view.surface.mean(0), atol=0.003)


# --- edges --------------------------------------------------------------------------------


def step_edge(flying: int = 0) -> np.ndarray:
    """1 m left of column 160, 2 m right of it, and readings in between over some columns."""
    row = np.where(np.arange(SIZE[1]) < 160, 1.0, 2.0)
    row[160 : 160 + flying] = np.linspace(1, 2, flying + 2)[1:-1]
    return np.tile(row, (SIZE[0], 1))


@pytest.mark.parametrize("label", [POSITIVE, NEGATIVE])
@pytest.mark.parametrize("offset", [-4, 0, 4])
@pytest.mark.parametrize("flying", [0, 1, 2])
def test_a_point_at_an_edge_is_on_one_of_its_two_sides(
    flying: int, offset: int, label: int
) -> None:
    """Wherever the mask ends, before, at or behind the edge."""
    mask = np.zeros(SIZE, np.bool_)
    mask[40:200, 60 : 160 + offset] = True
    points = [(x, 100.3) for x in np.arange(150, 170, 0.25)]
    depths = located(step_edge(flying), item(mask, points, label=label)).points[:, 2]
    assert set(depths[np.isfinite(depths)]) <= {1.0, 2.0}
    x = np.array(points)[:, 0]
    if flying < 2:  # of which there may be as many as of either side
        assert np.isfinite(depths).all()
    assert (depths[x < 156] == 1).all() and (depths[x > 165] == 2).all()


def test_a_point_on_a_thin_thing_is_not_on_what_is_behind_it() -> None:
    depth = np.full(SIZE, 3.0)
    depth[:, 100:102] = 1.2
    mask = depth < 2
    found = located(depth, item(mask, [(100, 50), (101.4, 80), (100.5, 120)]))
    assert (found.points[:, 2] == np.float32(1.2)).all()
    assert (found.cloud[:, 2] == np.float32(1.2)).all()


def test_a_point_in_a_small_hole_has_the_depth_about_it_and_in_a_large_one_none() -> None:
    depth = np.full(SIZE, 1.5)
    depth[50, 50] = np.nan
    depth[98:103, 98:103] = np.nan
    points = located(depth, item(disc(80, 80, 60), [(50, 50), (100, 100)])).points
    assert points[0, 2] == 1.5
    assert np.isnan(points[1]).all()


@pytest.mark.parametrize("bleeding", [1, 2, 3, 6])
@pytest.mark.parametrize("noise", [0.0, 0.008])
def test_background_that_bleeds_into_the_mask_is_left_out(bleeding: int, noise: float) -> None:
    rng = np.random.default_rng(3)
    thing = disc(150, 110, 40)
    depth = np.where(thing, 1.0, 2.0) * rng.normal(1, noise, SIZE) if noise else None
    depth = np.where(thing, 1.0, 2.0) if depth is None else depth
    found = located(depth, item(disc(150, 110, 40 + bleeding)))
    assert found.cloud[:, 2].max() < 1.1
    assert len(found.cloud) > 0.97 * np.count_nonzero(thing)


def test_background_that_bleeds_into_a_small_mask_is_left_out() -> None:
    thing = np.zeros(SIZE, np.bool_)
    thing[100:110, 200:210] = True
    mask = np.zeros(SIZE, np.bool_)
    mask[99:111, 199:211] = True
    cloud = located(np.where(thing, 1.0, 2.0), item(mask)).cloud
    assert len(cloud) >= 96 and (cloud[:, 2] == 1).all()  # corners may be lost


def test_background_as_far_away_as_another_part_of_the_object_is_left_out() -> None:
    """A board that leads away from the camera, 1 to 2 m; the wall is in the middle of that."""
    columns = np.arange(SIZE[1])
    board = np.zeros(SIZE, np.bool_)
    board[80:160, 100:220] = True
    depth = np.where(board, 1 + (columns - 100) / 120, 1.5)
    mask = np.zeros(SIZE, np.bool_)
    mask[78:162, 98:222] = True
    cloud = located(depth, item(mask)).cloud
    ours = cast(columns.astype(float), np.full(SIZE[1], 120.0))[:, 0]
    column = np.interp(cloud[:, 0] / cloud[:, 2], ours, columns)
    assert len(cloud) > 0.97 * np.count_nonzero(board)
    assert np.mean(np.abs(cloud[:, 2] - (1 + (column - 100) / 120)) > 0.1) < 0.03


def test_both_layers_of_an_object_are_kept_and_what_flies_between_them_is_not() -> None:
    depth = step_edge(flying=2)
    cloud = located(depth, item(disc(160, 110, 50))).cloud
    assert set(np.unique(cloud[:, 2])) == {1.0, 2.0}
    for layer in (1.0, 2.0):
        assert np.mean(cloud[:, 2] == layer) > 0.4


def test_a_smeared_edge_does_not_join_two_layers() -> None:
    depth = step_edge()
    depth[:, 159:162] = np.random.default_rng(7).uniform(1, 2, (SIZE[0], 3))
    z = located(depth, item(disc(160, 120, 100))).cloud[:, 2]
    assert not ((z > 1.1) & (z < 1.85)).any()


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_what_flies_about_a_round_thing_is_left_out(noise: float) -> None:
    """The sensor smears its edge, and the mask reaches over it."""
    view = sphere_before_plane(SIZE)
    smeared = cv2.GaussianBlur(view.depth, (0, 0), 1.2)
    smeared *= np.random.default_rng(8).normal(1, noise, SIZE) if noise else 1
    mask = cv2.dilate(view.mask.view(np.uint8), np.ones((9, 9), np.uint8)).view(np.bool_)
    cloud = located(smeared, item(mask)).cloud
    away = np.abs(np.linalg.norm(cloud - CENTRE, axis=1) - RADIUS)
    assert np.mean(away > 0.04) < 0.005
    assert len(cloud) > 0.85 * np.count_nonzero(view.mask)


def test_an_arm_before_a_body_is_kept_and_a_corner_of_the_wall_is_not() -> None:
    body, arm, corner = (np.zeros(SIZE, np.bool_) for _ in range(3))
    body[60:230, 120:200] = True
    arm[100:115, 120:200] = True
    corner[200:230, 160:200] = True
    assert arm.sum() == corner.sum()
    depth = np.select([corner, arm, body], [2.2, 1.2, 1.5], 2.2)
    cloud = located(depth, item(body)).cloud
    assert len(cloud) > 0.99 * np.count_nonzero(body & ~corner)
    assert set(np.unique(cloud[:, 2])) == {np.float32(1.2), np.float32(1.5)}


def test_the_wall_behind_a_see_through_thing_is_left_out() -> None:
    """As a chair's back: bars of 8 columns, and 3 in between through which the wall is seen."""
    mask = disc(160, 120, 70)
    gaps = mask & (np.arange(SIZE[1]) % 11 < 3)
    assert np.count_nonzero(gaps) / np.count_nonzero(mask) == pytest.approx(0.27, abs=0.01)
    found = located(np.where(gaps, 3.0, np.where(mask, 1.0, 3.0)), item(mask))
    bars = cast(*pixel_grid(SIZE))[mask & ~gaps]
    assert found.extent is not None
    np.testing.assert_allclose(found.extent.centroid, bars.mean(0), atol=0.005)
    np.testing.assert_allclose(found.extent.box_min, bars.min(0), atol=0.01)
    np.testing.assert_allclose(found.extent.box_max, bars.max(0), atol=0.01)


def test_stray_readings_are_left_out() -> None:
    rng = np.random.default_rng(4)
    depth = 1.5 + 0.5 * np.indices(SIZE)[1] / SIZE[1]
    stray = rng.random(SIZE) < 0.01
    found = located(np.where(stray, rng.uniform(0.3, 6, SIZE), depth), item(disc(160, 110, 60)))
    assert found.cloud[:, 2].min() > 1.6 and found.cloud[:, 2].max() < 1.95


def test_sparse_readings_as_those_of_a_laser_scanner_are_used() -> None:
    rng = np.random.default_rng(5)
    mask = disc(160, 110, 50)
    depth = np.where(rng.random(SIZE) < 0.05, 1.5, np.nan)
    cloud = located(depth, item(mask)).cloud
    assert len(cloud) == np.count_nonzero(mask & np.isfinite(depth))


def test_a_thing_of_a_few_pixels_keeps_its_readings() -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[100:102, 200:203] = True
    found = located(np.where(mask, 1.0, 2.0), item(mask, [(201, 100.5)]))
    assert len(found.cloud) == 6
    assert found.points[0, 2] == 1


def test_noise_moves_nothing() -> None:
    rng = np.random.default_rng(6)
    view = sphere_before_plane(SIZE)
    found = located(view.depth * rng.normal(1, STEP / 3, SIZE), item(view.mask, view.points))
    errors = np.linalg.norm(found.points - view.positions, axis=1)
    assert np.median(errors) < 0.005 and errors.max() < 0.02
    assert found.extent is not None
    np.testing.assert_allclose(found.extent.centroid, view.surface.mean(0), atol=0.003)


# --- no metres rather than wrong ones -----------------------------------------------------


def test_an_object_without_depth_has_no_metres_rather_than_zeros() -> None:
    depth = np.where(disc(80, 100, 40), np.nan, 1.4).astype(np.float32)
    inside, beside = disc(80, 100, 30), disc(200, 100, 30)
    shown = result(
        item(inside, [(80, 100), (75, 95)], object_id=1),
        item(beside, [(200, 100)], object_id=2),
    )
    space = locate(shown, depth, CAMERA, "camera")
    assert list(space.objects) == [2]
    without, known = MESSAGES.objects(shown, Header(), space).objects
    for corner in (without.extent.centroid, without.extent.box_min, without.extent.box_max):
        assert all(map(math.isnan, (corner.x, corner.y, corner.z)))
    assert known.extent.centroid.z == pytest.approx(1.4)
    points = MESSAGES.tracked_points(shown, Header(), space).points
    assert [math.isnan(p.position.z) for p in points] == [True, True, False]
    cloud = np.frombuffer(
        bytes(MESSAGES.cloud(space, Header()).data), [("xyz", "<f4", 3), ("id", "<u4")]
    )
    assert set(cloud["id"]) == {2}
    assert (cloud["xyz"][:, 2] == np.float32(1.4)).all()


def test_points_that_are_not_visible_have_no_position() -> None:
    found = located(np.full(SIZE, 1.0), item(disc(80, 100, 30), [(80, 100)], visible=False))
    assert np.isnan(found.points).all()
    assert len(found.cloud)


def test_an_object_that_is_occluded_has_no_surface_but_its_visible_points() -> None:
    nothing = np.zeros(SIZE, np.bool_)
    found = located(np.full(SIZE, 1.0), item(nothing, [(80, 100)]))
    assert found.extent is None
    assert found.points[0, 2] == 1
    without = locate(result(item(nothing)), np.ones(SIZE, np.float32), CAMERA, "camera")
    assert without.objects == {}


@pytest.mark.parametrize("size", [SIZE, (120, 160), (480, 640)], ids=lambda s: f"{s[1]}x{s[0]}")
@pytest.mark.parametrize(
    "at", [(0, 0), (319, 239), (-0.5, 120), (-0.5, -0.5), (319.4, 10), (319.5, 10), (319.5, 239.5)]
)
def test_points_at_the_border_of_the_image_have_a_position(
    at: tuple[float, float], size: tuple[int, int]
) -> None:
    found = located(np.full(size, 2.0), item(disc(80, 100, 30), [at]))
    np.testing.assert_allclose(found.points[0], cast(*np.array(at)) * 2, atol=1e-5)


@pytest.mark.parametrize(
    "at", [(-1, 100), (319.6, 100), (320, 100), (100, 239.6), (100, -0.6), (100, 1e9)]
)
def test_points_outside_of_the_image_have_none(at: tuple[float, float]) -> None:
    found = located(np.full(SIZE, 2.0), item(disc(80, 100, 30), [at]))
    assert np.isnan(found.points).all()


def test_depth_of_other_proportions_is_refused() -> None:
    one = result(item(disc(80, 100, 30)))
    with pytest.raises(
        UserError, match=r"it has 320x180 pixels.*320x240.*register depth to the image"
    ):
        locate(one, np.ones((180, 320), np.float32), CAMERA, "camera")
    locate(one, np.ones((121, 160), np.float32), CAMERA, "camera")  # rounded


def test_a_camera_info_of_the_full_resolution_fits_smaller_images() -> None:
    """Whoever scales images down need not scale the calibration."""
    view = slanted_plane(SIZE)
    full = CAMERA.resized((960, 1280))
    found = locate(
        result(item(view.mask, view.points)), view.depth.astype(np.float32), full, "camera"
    )
    np.testing.assert_allclose(found.objects[3].points, view.positions, rtol=0.01)


def test_what_the_lens_model_does_not_reach_has_no_position() -> None:
    """Beyond a radius of 0.577 / sqrt(-k1) such a lens turns back."""
    lens = CameraModel(
        np.array([[200.0, 0, 159.5], [0, 200, 119.5], [0, 0, 1]]),
        np.array([-0.5, 0, 0, 0]),
        False,
        SIZE,
    )
    reach = 2 / 3 * (1 / 3 / 0.5) ** 0.5 * 200  # pixels, where it turns
    mask = np.ones(SIZE, np.bool_)
    shown = result(item(mask, [(160, 120), (2, 2)]))
    (found,) = locate(shown, np.ones(SIZE, np.float32), lens, "camera").objects.values()
    assert np.isfinite(found.points[0]).all() and np.isnan(found.points[1]).all()
    assert np.isfinite(found.cloud).all()
    # At the very turn a pixel has two rays.
    assert np.linalg.norm(found.cloud[:, :2], axis=1).max() <= 1.3 * (1 / 3 / 0.5) ** 0.5
    area = math.pi * reach**2
    assert 0.7 * area < len(found.cloud) < 1.05 * area


def test_rays_of_a_camera_are_cast_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each camera_info makes a new model of the same camera."""
    cast_for: list[int] = []
    rays = CameraModel.rays

    def counting(self: CameraModel, pixels: np.ndarray) -> np.ndarray:
        cast_for.append(len(pixels))
        return rays(self, pixels)

    monkeypatch.setattr(CameraModel, "rays", counting)
    matrix = CAMERA.matrix + np.eye(3) * [1.25, 1.25, 0]  # a camera that nobody else uses
    shown = result(item(disc(80, 100, 30), [(80, 100)]))
    clouds = []
    for _ in range(3):
        camera = CameraModel(matrix.copy(), CAMERA.distortion.copy(), False, SIZE)
        space = locate(shown, np.ones(SIZE, np.float32), camera, "camera")
        clouds.append(space.objects[3].cloud)
    assert sorted(cast_for) == [1, 1, 1, SIZE[0] * SIZE[1]]
    np.testing.assert_array_equal(clouds[0], clouds[2])
    other = CameraModel(matrix * 1.5, CAMERA.distortion, False, SIZE)
    moved = locate(shown, np.ones(SIZE, np.float32), other, "camera").objects[3].cloud
    assert not np.allclose(moved, clouds[0])


@examples(30)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 60))
def test_whatever_the_depth_is_positions_are_finite_and_of_readings(
    seed: int, missing: float, radius: int
) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.2, 8, SIZE).astype(np.float32)
    depth[rng.random(SIZE) < missing] = np.nan
    one = item(disc(100, 100, radius), rng.uniform(-20, 340, (10, 2)))
    for found in locate(result(one), depth, CAMERA, "camera").objects.values():
        assert np.isfinite(found.cloud).all()
        assert np.isin(found.cloud[:, 2], depth[one.mask.full()]).all()
        seen = found.points[np.isfinite(found.points[:, 2])]
        assert np.isfinite(seen).all()
        assert np.isin(seen[:, 2].astype(np.float32), depth).all()


def test_depth_of_random_bits_does_no_harm() -> None:
    bits = np.random.default_rng(9).integers(0, 2**32, (480, 640), np.uint32)
    depth = decode_depth(message(bits.view(np.float32), "32FC1"))
    shown = result(item(np.ones(SIZE, np.bool_), [(50, 60), (70, 80)]))
    for found in locate(shown, depth, CAMERA, "camera").objects.values():
        assert np.isfinite(found.cloud).all()


def test_what_depth_costs_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "SIZES", ((120, 160),))
    assert benchmark.main(["--turns", "2"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(time > 0 for time in summary["ms_median"]["160x120"].values())


@pytest.mark.parametrize("known", [0, 2])
def test_an_object_without_readings_is_not_where_the_wall_at_its_rim_is(known: int) -> None:
    """Black and shiny things have no depth, and masks are a little too large."""
    thing = disc(80, 100, 30)
    depth = np.full(SIZE, 3.0, np.float32)
    depth[thing] = np.nan
    depth[80, 100 : 100 + known] = 1.0
    mask = cv2.dilate(thing.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)
    assert 3 not in locate(result(item(mask)), depth, CAMERA, "camera").objects
    depth[thing] = 1.0
    extent = locate(result(item(mask)), depth, CAMERA, "camera").objects[3].extent
    assert extent is not None and extent.box_max[2] == 1
