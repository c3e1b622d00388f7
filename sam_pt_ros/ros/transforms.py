"""Transforms between frames, by tf2_ros if it is installed."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from sam_pt_ros.errors import UserError, one_line

_POLL_PERIOD = 0.003  # seconds between lookups of a transform that is on its way


def frame_name(frame_id: str) -> str:
    """The name by which tf2 knows a frame: without the ``/`` that older drivers put before it."""
    return frame_id.lstrip("/")


class Transforms(ABC):
    """Looks up transforms between frames; any thread may call it."""

    def lookup(
        self,
        target_frame: str,
        source_frame: str,
        stamp: int | None,
        timeout: float = 0.0,
    ) -> np.ndarray:
        """The transform from coordinates in the source frame to those in the target frame.

        A frame's transform to itself is always known. A ``/`` before a name counts as none.

        Args:
            target_frame: the frame in which coordinates are wanted.
            source_frame: the frame in which they are known.
            stamp: nanoseconds; None: the newest time at which the transform is known.
            timeout: seconds to wait if the frames are connected, but not at that time yet. Only
                0 in the executor's thread, because that receives the transforms.

        Returns:
            ``float64 (4, 4)``.

        Raises:
            UserError: a frame without a name, an unknown frame, frames that are not connected,
                a time that is not known (yet, or any more), or no tf2_ros.
        """
        target_frame, source_frame = frame_name(target_frame), frame_name(source_frame)
        if not (target_frame and source_frame):
            raise UserError(
                f"no transform from '{source_frame}' to '{target_frame}': a frame has no name"
            )
        if target_frame == source_frame:
            return np.eye(4)
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._lookup(target_frame, source_frame, stamp)
            except _NotYetError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise UserError(str(error)) from error
            time.sleep(min(_POLL_PERIOD, left))

    @abstractmethod
    def _lookup(self, target_frame: str, source_frame: str, stamp: int | None) -> np.ndarray: ...

    def check(self) -> None:
        """Raise UserError if no transform will ever be known."""

    def clear(self) -> None:
        """Forget what moves: time went back, and tf2 would refuse new transforms as too old."""

    def destroy(self) -> None:
        """Stop listening."""


class _NotYetError(UserError):
    """The frames are connected, but not at the requested time."""


class NoTransforms(Transforms):
    """Refuses all lookups: tf2_ros is not installed, or not wanted.

    Args:
        reason: why tf2_ros cannot be used; empty: it is not wanted.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def check(self) -> None:
        """UserError, always."""
        raise UserError(f"'target_frame' needs tf2_ros, which {self._what_to_do}")

    def _lookup(self, target_frame: str, source_frame: str, stamp: int | None) -> np.ndarray:
        raise UserError(
            f"the transform from '{source_frame}' to '{target_frame}' needs tf2_ros, which "
            f"{self._what_to_do}"
        )

    @property
    def _what_to_do(self) -> str:
        if not self._reason:
            return "is switched off; set use_tf to true"
        distribution = os.environ.get("ROS_DISTRO") or "<distro>"
        return f"cannot be used ({self._reason}); install ros-{distribution}-tf2-ros-py"


class Tf2Transforms(Transforms):
    """Transforms that tf2_ros receives on /tf and /tf_static.

    Args:
        node: subscribes.

    Raises:
        ImportError: tf2_ros is not installed, or does not match this Python.
    """

    def __init__(self, node: Node) -> None:
        import tf2_ros

        self._failure: type[Exception] = tf2_ros.TransformException
        self._not_yet: type[Exception] = tf2_ros.ExtrapolationException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def _lookup(self, target_frame: str, source_frame: str, stamp: int | None) -> np.ndarray:
        when = Time(nanoseconds=stamp or 0)  # tf2 takes 0 for the newest common time
        try:
            found = self._buffer.lookup_transform(target_frame, source_frame, when)
        except self._failure as error:
            kind = _NotYetError if isinstance(error, self._not_yet) else UserError
            raise kind(
                f"no transform from '{source_frame}' to '{target_frame}': "
                f"{' '.join(str(error).split())}"
            ) from error
        return matrix_of(found.transform)

    def clear(self) -> None:
        """Forget all but static transforms."""
        self._buffer.clear()

    def destroy(self) -> None:
        """Stop listening; what is known can still be looked up."""
        self._listener.unregister()


def create_transforms(node: Node, use_tf: bool) -> Transforms:
    """Transforms by tf2_ros; if it cannot or must not be used, ones that refuse and say why."""
    if not use_tf:
        return NoTransforms("")
    try:
        return Tf2Transforms(node)
    except ImportError as error:
        return NoTransforms(one_line(error))


def matrix_of(transform: Any) -> np.ndarray:
    """A ``geometry_msgs/Transform`` as ``float64 (4, 4)``; NaN where the quaternion is 0."""
    shift, turn = transform.translation, transform.rotation
    x, y, z, w = np.array([turn.x, turn.y, turn.z, turn.w])
    with np.errstate(divide="ignore", invalid="ignore"):
        s = 2 / (x * x + y * y + z * z + w * w)
        return np.array(
            [
                [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w), shift.x],
                [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w), shift.y],
                [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y), shift.z],
                [0, 0, 0, 1],
            ]
        )
