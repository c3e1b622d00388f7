"""Objects in space: extents, and the way into other frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.space import Located, ObjectInSpace, SpatialResult

POINTS = np.array([[1.0, 0, 2], [math.nan] * 3, [0, -1, 3]])
CLOUD = np.array([[0.0, 0, 1], [0.5, -0.25, 1.5], [1, 2, 1.25]], np.float32)


def result(cloud: np.ndarray = CLOUD) -> SpatialResult:
    return SpatialResult("camera", {4: ObjectInSpace(POINTS, cloud)})


def turn(angle: float, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """About the axis z, and then by x, y, z."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1]])


def test_an_extent_is_the_mean_and_the_box_of_the_cloud() -> None:
    extent = ObjectInSpace(POINTS, CLOUD).extent
    assert extent is not None
    np.testing.assert_allclose(extent.centroid, [0.5, 1.75 / 3, 1.25])
    np.testing.assert_array_equal(extent.box_min, [0, -0.25, 1])
    np.testing.assert_array_equal(extent.box_max, [1, 2, 1.5])
    assert extent.centroid.dtype == extent.box_min.dtype == extent.box_max.dtype == np.float64


def test_an_object_without_a_cloud_has_no_extent() -> None:
    assert ObjectInSpace(POINTS, np.zeros((0, 3), np.float32)).extent is None


def test_the_centroid_of_many_readings_is_exact() -> None:
    """Sums of as many 32-bit numbers would not be."""
    cloud = np.full((3, 2_000_000), np.float32(1.1)).T
    extent = ObjectInSpace(POINTS, cloud).extent
    assert extent is not None
    np.testing.assert_allclose(extent.centroid, np.float32(1.1), rtol=1e-9)


def test_a_quarter_turn_moves_everything_and_turns_the_box() -> None:
    moved = result().transformed(turn(math.pi / 2, 10, 20, 30), "map")
    assert moved.frame_id == "map"
    item = moved.objects[4]
    np.testing.assert_allclose(item.points[[0, 2]], [[10, 21, 32], [11, 20, 33]], atol=1e-12)
    assert np.isnan(item.points[1]).all()
    assert item.cloud.dtype == np.float32
    np.testing.assert_allclose(item.cloud, [[10, 20, 31], [10.25, 20.5, 31.5], [8, 21, 31.25]])
    extent = item.extent
    assert extent is not None
    np.testing.assert_allclose(extent.box_min, [8, 20, 31])
    np.testing.assert_allclose(extent.box_max, [10.25, 21, 31.5])


def test_the_frame_before_is_left_as_it_was() -> None:
    before = result()
    before.transformed(turn(1, 2, 3, 4), "map")
    np.testing.assert_array_equal(before.objects[4].cloud, CLOUD)
    assert before.frame_id == "camera"


@given(st.floats(-7, 7), *[st.floats(-100, 100)] * 3)
def test_there_and_back_is_where_it_was(angle: float, x: float, y: float, z: float) -> None:
    there = turn(angle, x, y, z)
    back = result().transformed(there, "map").transformed(np.linalg.inv(there), "camera")
    np.testing.assert_allclose(back.objects[4].points, POINTS, atol=1e-9)
    np.testing.assert_allclose(back.objects[4].cloud, CLOUD, atol=1e-4)


def test_an_object_of_points_only_is_moved_too() -> None:
    moved = result(np.zeros((0, 3), np.float32)).transformed(turn(0, 1), "map").objects[4]
    assert moved.cloud.shape == (0, 3) and moved.extent is None
    np.testing.assert_array_equal(moved.points[0], [2, 0, 2])


@pytest.mark.parametrize(
    "transform", [np.eye(3), np.full((4, 4), math.nan), np.diag([1, 1, math.inf, 1])]
)
def test_transforms_that_lead_nowhere_are_refused(transform: np.ndarray) -> None:
    with pytest.raises(UserError, match="transform to 'map' must be 4x4 and finite"):
        result().transformed(transform, "map")


def test_nothing_is_located_until_it_is() -> None:
    assert Located() == Located(None, None, False)
