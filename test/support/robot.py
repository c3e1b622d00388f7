"""A robot that moves: it says where its camera is, to a node with the double of tf2_ros or not."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from std_msgs.msg import Header

from support.rig import TIMEOUT, Rig

DOUBLES = Path(__file__).with_name("modules")
"""The folder of the double of tf2_ros."""

CAMERA = "camera_optical_frame"

_AGAIN = 2.0
"""Seconds after which a transform is told again; hearing it twice changes nothing."""


def turn(axis: str, degrees: float) -> tuple[list[float], np.ndarray]:
    """A rotation about an axis, as quaternion x, y, z, w and as matrix."""
    i = "xyz".index(axis)
    half = math.radians(degrees) / 2
    quaternion = [0.0, 0.0, 0.0, math.cos(half)]
    quaternion[i] = math.sin(half)
    c, s = math.cos(2 * half), math.sin(2 * half)
    matrix = np.eye(3)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix[j, j] = matrix[k, k] = c
    matrix[k, j], matrix[j, k] = s, -s
    return quaternion, matrix


class Robot:
    """Moves: ``map`` to ``base`` changes; the camera is mounted on the base."""

    def __init__(self, rig: Rig, double: bool = True) -> None:
        self._double = double
        self._heard = threading.Event()
        self._awaited = Header()
        node = rig.listener
        if double:
            self._publisher = node.create_publisher(TransformStamped, "tf_double", 10)
            node.create_subscription(Header, "tf_double/heard", self._hear, 10)
        else:
            from tf2_msgs.msg import TFMessage

            self._tf_message = TFMessage
            self._publisher = node.create_publisher(TFMessage, "/tf", 10)
        deadline = time.monotonic() + TIMEOUT
        while self._publisher.get_subscription_count() == 0:
            assert time.monotonic() < deadline, "the node does not listen to transforms"
            time.sleep(0.01)

    def move(self, stamp: int, degrees: float, xyz: list[float]) -> Callable[[Any], np.ndarray]:
        """Have the base somewhere at a time (nanoseconds).

        Returns:
            What takes points ``(..., 3)`` in the camera's frame to those in the map.
        """
        mount_turn, mount = turn("x", -100.0)
        base_turn, base = turn("z", degrees)
        offset = [0.1, 0.0, 0.3]
        self._tell(stamp, "map", "base", xyz, base_turn)
        self._tell(stamp, "base", CAMERA, offset, mount_turn)
        return lambda points: (np.asarray(points) @ mount.T + offset) @ base.T + xyz

    def _hear(self, taken: Header) -> None:
        if taken == self._awaited:
            self._heard.set()

    def _tell(
        self, stamp: int, parent: str, child: str, shift: list[float], rotation: list[float]
    ) -> None:
        message = TransformStamped(child_frame_id=child, header=Header(frame_id=parent))
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        x, y, z = shift
        message.transform.translation = Vector3(x=x, y=y, z=z)
        x, y, z, w = rotation
        message.transform.rotation = Quaternion(x=x, y=y, z=z, w=w)
        if self._double:
            self._heard.clear()
            self._awaited = message.header
            deadline = time.monotonic() + TIMEOUT
            self._publisher.publish(message)
            # The node may have heard it before its answers have found their way here.
            while not self._heard.wait(_AGAIN):
                assert time.monotonic() < deadline, "the node does not hear transforms"
                self._publisher.publish(message)
        else:
            self._publisher.publish(self._tf_message(transforms=[message]))
            time.sleep(0.5)  # nobody says when it has been heard
