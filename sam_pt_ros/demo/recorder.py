"""Records everything that the node publishes in a bag."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from sam_pt_ros.msg import ObjectMaskArray, TrackedObjectArray, TrackedPointArray
from sam_pt_ros.recordings.bag_topics import NODE_NAME
from sam_pt_ros.recordings.rosbag2 import create_bag, serialized_stamp, typestore

OBJECTS_TOPIC = f"{NODE_NAME}/objects"
LABEL_IMAGE_TOPIC = f"{NODE_NAME}/label_image"
OVERLAY_TOPIC = f"{NODE_NAME}/overlay"
MARKERS_TOPIC = f"{NODE_NAME}/markers"

TOPICS: dict[str, Any] = {
    OBJECTS_TOPIC: TrackedObjectArray,
    LABEL_IMAGE_TOPIC: Image,
    f"{NODE_NAME}/masks": ObjectMaskArray,
    f"{NODE_NAME}/tracked_points": TrackedPointArray,
    OVERLAY_TOPIC: Image,
    MARKERS_TOPIC: MarkerArray,
}

ANSWER = (OBJECTS_TOPIC, LABEL_IMAGE_TOPIC, OVERLAY_TOPIC)
"""An image is answered once its messages on all of these topics have been received."""


class Recorder:
    """Records the node's outputs; a context manager that closes the bag.

    Attributes:
        received: by topic, the stamp of each message (nanoseconds) and the time of its receipt
            (``time.monotonic_ns``), in the order of receipt.
    """

    def __init__(self, node: Node, path: Path) -> None:
        self.received: dict[str, list[tuple[int, int]]] = {
            topic: [] for topic in TOPICS if topic != MARKERS_TOPIC
        }
        self._changed = threading.Condition()
        self._closed = False
        self._failure: OSError | None = None
        self._bag = create_bag(path)
        self._bag.open()
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self._subscriptions = {}
        for topic, kind in TOPICS.items():
            name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
            connection = self._bag.add_connection(topic, name, typestore=typestore())
            self._subscriptions[topic] = node.create_subscription(
                kind, topic, partial(self._receive, connection), qos, raw=True
            )

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._bag.close()

    @property
    def unmatched(self) -> list[str]:
        """Topics without a publisher so far."""
        return [t for t, s in self._subscriptions.items() if s.get_publisher_count() == 0]

    def check(self) -> None:
        """OSError if writing the bag has failed."""
        if self._failure:
            raise self._failure

    @property
    def answered(self) -> int:
        """Number of answered images."""
        return min(len(self.received[topic]) for topic in ANSWER)

    @property
    def newest(self) -> int:
        """Stamp of the newest answered image; -1 before the first."""
        return min((self.received[topic] or [(-1, 0)])[-1][0] for topic in ANSWER)

    def wait_for(self, stamp: int, timeout: float) -> bool:
        """Wait until an image with this stamp or a later one is answered; False on timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self.newest >= stamp, timeout)

    def wait_until_answered(self, count: int, timeout: float) -> bool:
        """Wait until ``count`` images have been answered; False on timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self.answered >= count, timeout)

    def _receive(self, connection: Any, message: bytes) -> None:
        monotonic, wall = time.monotonic_ns(), time.time_ns()
        with self._changed:
            if self._closed or self._failure:
                return
            try:
                self._bag.write(connection, wall, message)
            except OSError as error:  # `check` raises it in the caller's thread
                self._failure = error
                return
            if connection.topic in self.received:
                self.received[connection.topic].append((serialized_stamp(message), monotonic))
                self._changed.notify_all()
