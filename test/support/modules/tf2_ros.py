"""A test double of tf2_ros: the part of its interface that the node uses, over one topic.

It takes its place where this folder is on the Python path. It listens to ``tf_double``
(``geometry_msgs/TransformStamped``), since not every machine has tf2_msgs, and says on
``tf_double/heard`` (``std_msgs/Header``) which transform it has taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header


class TransformException(Exception):  # noqa: N818
    """As tf2's."""


class LookupException(TransformException):
    """A frame is not known."""


class ConnectivityException(TransformException):
    """Two frames are not connected."""


class ExtrapolationException(TransformException):
    """A time is not known."""


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)


class Buffer:
    """Transforms of frames to their parents, by time."""

    def __init__(self) -> None:
        # By child: the parent, and by time (seconds) x, y, z and the quaternion x, y, z, w.
        self._edges: dict[str, tuple[str, dict[float, np.ndarray]]] = {}

    def set_transform(self, message: TransformStamped, authority: str) -> None:
        """Take a transform."""
        shift, turn = message.transform.translation, message.transform.rotation
        value = np.array([shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w])
        _, samples = self._edges.setdefault(message.child_frame_id, (message.header.frame_id, {}))
        self._edges[message.child_frame_id] = (
            message.header.frame_id,
            {**samples, _seconds(message.header.stamp): value},  # new: others may read the old
        )

    def clear(self) -> None:
        """Forget all."""
        self._edges.clear()

    def lookup_transform(self, target_frame: str, source_frame: str, time: Any) -> Any:
        """As tf2's."""
        up, down = self._path(source_frame), self._path(target_frame)
        if up[-1] != down[-1]:
            raise ConnectivityException(
                f"Could not find a connection between '{target_frame}' and '{source_frame}' "
                "because they are not part of the same tree."
            )
        edges = [*up[:-1], *down[:-1]]
        when = time.nanoseconds * 1e-9
        if when == 0:
            when = min(max(self._edges[child][1]) for child in edges)
        there, back = np.eye(4), np.eye(4)
        for child in up[:-1]:
            there = self._at(child, when) @ there
        for child in down[:-1]:
            back = self._at(child, when) @ back
        return _message(np.linalg.inv(back) @ there)

    def _path(self, frame: str) -> list[str]:
        """A frame, its parent, and so on."""
        known = {name for child, (parent, _) in self._edges.items() for name in (child, parent)}
        if frame not in known:
            raise LookupException(f'"{frame}" passed to lookupTransform does not exist.')
        path = [frame]
        while path[-1] in self._edges:
            path.append(self._edges[path[-1]][0])
        return path

    def _at(self, child: str, when: float) -> np.ndarray:
        samples = self._edges[child][1]
        times = sorted(samples)
        if not times[0] - 1e-9 <= when <= times[-1] + 1e-9:
            raise ExtrapolationException(
                f"Lookup would require extrapolation: requested time {when:.6f} but there is "
                f"{times[0]:.6f} to {times[-1]:.6f}"
            )
        between = [np.interp(when, times, [samples[t][i] for t in times]) for i in range(7)]
        x, y, z, w = np.array(between[3:]) / np.linalg.norm(between[3:])
        made = np.eye(4)
        made[:3, :3] = [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
        made[:3, 3] = between[:3]
        return made


def _message(matrix: np.ndarray) -> TransformStamped:
    message = TransformStamped()
    shift, turn = message.transform.translation, message.transform.rotation
    shift.x, shift.y, shift.z = map(float, matrix[:3, 3])
    turn.x, turn.y, turn.z, turn.w = map(float, _quaternion(matrix[:3, :3]))
    return message


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """x, y, z, w: of Bar-Itzhack's symmetric matrix, the eigenvector of its largest value."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    return np.asarray(np.linalg.eigh(symmetric)[1][:, -1])


class TransformListener:
    """Fills a buffer with what it hears."""

    def __init__(self, buffer: Buffer, node: Any, *, spin_thread: bool = False) -> None:
        assert not spin_thread, "the node spins by itself"
        self._buffer = buffer
        self._node = node
        self._heard = node.create_publisher(Header, "tf_double/heard", 10)
        self._subscription = node.create_subscription(
            TransformStamped, "tf_double", self._hear, 100
        )

    def _hear(self, message: TransformStamped) -> None:
        self._buffer.set_transform(message, "default_authority")
        self._heard.publish(message.header)

    def unregister(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._heard)
