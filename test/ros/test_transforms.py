"""Transforms between frames: what is looked up, waited for, and refused."""

from __future__ import annotations

import sys
import threading
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sam_pt_ros.errors import UserError
from sam_pt_ros.ros.transforms import (
    NoTransforms,
    Tf2Transforms,
    create_transforms,
    frame_name,
    matrix_of,
)

DOUBLES = Path(__file__).parents[1] / "support/modules"
LONG = 600.0  # seconds; what is not waited for takes less than half, however busy the machine is


class DeafNode:
    """A test double of a node: it hears nothing, and counts its subscriptions."""

    def __init__(self) -> None:
        self.subscriptions = 0

    def create_publisher(self, *_: Any) -> None:
        pass

    def create_subscription(self, *_: Any) -> None:
        self.subscriptions += 1

    def destroy_publisher(self, _: Any) -> None:
        pass

    def destroy_subscription(self, _: Any) -> None:
        self.subscriptions -= 1


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The double of tf2_ros, in place of it."""
    spec = spec_from_file_location("tf2_ros", DOUBLES / "tf2_ros.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    return module


@pytest.fixture
def transforms(double: Any) -> Tf2Transforms:
    return Tf2Transforms(DeafNode())


def tell(transforms: Tf2Transforms, parent: str, child: str, seconds: int, x: float) -> None:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec = seconds
    message.transform.translation.x = x
    transforms._buffer.set_transform(message, "test")


def shift(matrix: np.ndarray) -> float:
    """Along x, and nothing else."""
    expected = np.eye(4)
    expected[0, 3] = matrix[0, 3]
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    return float(matrix[0, 3])


def test_a_quarter_turn_to_the_left_takes_x_to_y() -> None:
    half = np.sqrt(0.5)
    transform = Transform(
        translation=Vector3(x=1.0, y=2.0, z=3.0), rotation=Quaternion(z=half, w=half)
    )
    moved = matrix_of(transform) @ [1, 0, 0, 1]
    np.testing.assert_allclose(moved, [1, 3, 3, 1], atol=1e-12)


@given(
    arrays(np.float64, 4, elements=st.floats(-2, 2)),
    arrays(np.float64, 3, elements=st.floats(-9, 9)),
)
def test_the_matrix_turns_as_the_quaternion_does(turn: np.ndarray, point: np.ndarray) -> None:
    """The vector part of q p q⁻¹; quaternions that are not of length 1 count as if they were."""
    assume(np.linalg.norm(turn) > 1e-3)
    x, y, z, w = turn.tolist()
    matrix = matrix_of(Transform(rotation=Quaternion(x=x, y=y, z=z, w=w)))[:3, :3]
    v = turn[:3]
    turned = 2 * (v @ point) * v + (w * w - v @ v) * point + 2 * w * np.cross(v, point)
    np.testing.assert_allclose(matrix @ point, turned / (turn @ turn), atol=1e-9)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)


def test_a_rotation_of_zeros_is_not_finite() -> None:
    turn = Quaternion(w=0.0)
    assert not np.isfinite(matrix_of(Transform(rotation=turn))).all()


def test_the_transform_is_that_from_the_source_to_the_target(transforms: Tf2Transforms) -> None:
    tell(transforms, "map", "base", 5, 10.0)
    tell(transforms, "base", "camera", 5, 1.0)
    assert shift(transforms.lookup("map", "camera", None)) == 11
    assert shift(transforms.lookup("camera", "map", None)) == -11


def test_without_a_stamp_it_is_the_newest_that_is_known_of_all(transforms: Tf2Transforms) -> None:
    for seconds in (5, 7, 9):
        tell(transforms, "map", "base", seconds, float(seconds))
    for seconds in (5, 7):
        tell(transforms, "base", "camera", seconds, 0.0)
    assert shift(transforms.lookup("map", "camera", None)) == 7
    assert shift(transforms.lookup("map", "camera", 6_000_000_000)) == 6


@pytest.mark.parametrize(("target", "source"), [("/map", "camera"), ("map", "/camera")])
def test_a_slash_before_a_frame_counts_as_none(
    transforms: Tf2Transforms, target: str, source: str
) -> None:
    tell(transforms, "map", "camera", 5, 10.0)
    assert shift(transforms.lookup(target, source, None)) == 10
    with pytest.raises(UserError, match="no transform from 'nowhere' to 'map': "):
        transforms.lookup("/map", "//nowhere", None)
    with pytest.raises(UserError, match="no transform from '' to 'map': a frame has no name"):
        transforms.lookup("map", "/", None)


@pytest.mark.parametrize("name", ["camera", "/camera"])
def test_a_frame_with_a_slash_is_the_one_without(name: str) -> None:
    np.testing.assert_array_equal(NoTransforms("").lookup(name, "/camera", 5), np.eye(4))
    assert (frame_name(name), frame_name("/a/b"), frame_name("")) == ("camera", "a/b", "")


def test_a_frame_s_transform_to_itself_is_known_always(transforms: Tf2Transforms) -> None:
    for known in (transforms, NoTransforms("no tf2")):
        np.testing.assert_array_equal(known.lookup("camera", "camera", 3), np.eye(4))


def test_what_tf2_says_is_passed_on(transforms: Tf2Transforms) -> None:
    tell(transforms, "map", "camera", 5, 1.0)
    tell(transforms, "other_map", "other", 5, 1.0)
    for target, source, stamp, says in (
        ("map", "nowhere", None, "no transform from 'nowhere' to 'map': \"nowhere\" passed"),
        ("camera", "other", None, "not part of the same tree"),
        ("camera", "map", 6_000_000_000, "extrapolation: requested time 6.0"),
        ("camera", "", None, "a frame has no name"),
        ("", "map", None, "a frame has no name"),
    ):
        with pytest.raises(UserError, match=says) as error:
            transforms.lookup(target, source, stamp)
        assert "\n" not in str(error.value)


def test_a_transform_that_is_on_its_way_is_waited_for(transforms: Tf2Transforms) -> None:
    tell(transforms, "map", "camera", 5, 1.0)
    begin = time.monotonic()
    threading.Timer(0.1, tell, (transforms, "map", "camera", 7, 3.0)).start()
    assert shift(transforms.lookup("map", "camera", 6_000_000_000, timeout=LONG)) == 2
    assert 0.05 < time.monotonic() - begin < LONG / 2
    begin = time.monotonic()
    with pytest.raises(UserError, match="extrapolation"):
        transforms.lookup("map", "camera", 8_000_000_000, timeout=0.1)
    assert 0.1 <= time.monotonic() - begin < LONG / 2


def test_frames_that_are_not_known_are_not_waited_for(transforms: Tf2Transforms) -> None:
    tell(transforms, "map", "camera", 5, 1.0)
    tell(transforms, "other_map", "other", 5, 1.0)
    begin = time.monotonic()
    for source in ("nowhere", "other"):
        with pytest.raises(UserError):
            transforms.lookup("camera", source, 6_000_000_000, timeout=LONG)
    assert time.monotonic() - begin < LONG / 2


def test_what_is_cleared_is_forgotten_and_what_is_destroyed_hears_nothing(double: Any) -> None:
    node = DeafNode()
    transforms = create_transforms(node, True)
    assert isinstance(transforms, Tf2Transforms) and node.subscriptions == 1
    tell(transforms, "map", "camera", 5, 1.0)
    transforms.clear()
    with pytest.raises(UserError, match="does not exist"):
        transforms.lookup("map", "camera", None)
    transforms.destroy()
    assert node.subscriptions == 0


@pytest.mark.parametrize("distribution", ["jazzy", None])
def test_without_tf2_ros_it_is_said_what_to_install(
    distribution: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)  # as if it were not installed
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    if distribution is not None:
        monkeypatch.setenv("ROS_DISTRO", distribution)
    transforms = create_transforms(DeafNode(), True)
    begin = time.monotonic()
    with pytest.raises(UserError) as error:
        transforms.lookup("camera", "map", None, timeout=LONG)
    assert time.monotonic() - begin < LONG / 2
    said = str(error.value)
    assert said.startswith("the transform from 'map' to 'camera' needs tf2_ros, which cannot")
    assert said.endswith(f"; install ros-{distribution or '<distro>'}-tf2-ros-py")
    transforms.clear()
    transforms.destroy()


def test_where_tf_is_not_wanted_nothing_listens_to_it_and_that_is_said(double: Any) -> None:
    node = DeafNode()
    transforms = create_transforms(node, False)
    assert node.subscriptions == 0
    with pytest.raises(UserError, match="needs tf2_ros, which is switched off; set use_tf"):
        transforms.lookup("camera", "map", None)
    with pytest.raises(UserError, match="'target_frame' needs tf2_ros, which is switched off"):
        transforms.check()
    create_transforms(node, True).check()
