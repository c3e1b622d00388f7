"""Plays a cut bag over DDS, in real time or as fast as the node answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from sam_pt_ros.demo.recorder import Recorder
from sam_pt_ros.msg import PointPromptArray
from sam_pt_ros.recordings.bag_topics import CAMERA_INFO_TOPIC, IMAGE_TOPIC, POINTS_TOPIC
from sam_pt_ros.recordings.rosbag2 import open_bag, serialized_stamp

IMAGES_IN_FLIGHT = 3
"""Images without an answer at a time in `play_every_frame`; fewer than the node's subscription
queues, so that none can be pushed out of them."""

IMAGE_TIMEOUT = 60.0
"""Seconds that the node may take for one image."""

SETTLING = 0.3
"""Seconds for the node to take a click from its queue before the first image is sent."""

_TYPES = {IMAGE_TOPIC: Image, CAMERA_INFO_TOPIC: CameraInfo, POINTS_TOPIC: PointPromptArray}


class NoAnswerError(RuntimeError):
    """The node did not take or did not answer a message."""


class Player:
    """Publishes a bag's messages as they are, stamps included.

    Attributes:
        due: when the image with a stamp was due (``time.monotonic_ns``), by stamp. In real time
            that is the image's stamp on a clock that was set at the start; else when it was sent.
    """

    def __init__(
        self, node: Node, path: Path, every_frame: bool, on_image: Callable[[], None]
    ) -> None:
        self.due: dict[int, int] = {}
        self._path = path
        self._on_image = on_image
        # With a queue of one message, Fast DDS asks for its acknowledgement at once and not at
        # the next heartbeat, seconds later. In real time a camera does not wait for anybody.
        depths = {IMAGE_TOPIC: 1 if every_frame else 10, CAMERA_INFO_TOPIC: 10, POINTS_TOPIC: 1}
        self._publishers = {
            topic: node.create_publisher(
                kind,
                topic,
                QoSProfile(depth=depths[topic], reliability=ReliabilityPolicy.RELIABLE),
            )
            for topic, kind in _TYPES.items()
        }

    @property
    def unmatched(self) -> list[str]:
        """Topics that nobody listens to yet."""
        return [t for t, p in self._publishers.items() if p.get_subscription_count() == 0]

    def play_real_time(self, check: Callable[[], None]) -> None:
        """Send every message when it is due by its stamp; a delay does not shift later ones.

        Args:
            check: called before each image; raises to end it all.
        """
        offset: int | None = None
        with open_bag(self._path) as bag:
            for connection, stamp, raw in bag.messages():
                if offset is None:
                    offset = time.monotonic_ns() - stamp
                delay = offset + stamp - time.monotonic_ns()
                if delay > 0:
                    time.sleep(delay * 1e-9)
                if connection.topic == POINTS_TOPIC:
                    self._deliver(POINTS_TOPIC, bytes(raw))
                    continue
                if connection.topic == IMAGE_TOPIC:
                    check()
                    self.due[serialized_stamp(raw)] = offset + stamp
                    self._on_image()
                self._publishers[connection.topic].publish(bytes(raw))

    def play_every_frame(self, recorder: Recorder, check: Callable[[], None]) -> None:
        """Send no more than the node can take.

        A click is sent, and known to have arrived, one image before the image that it belongs
        to: the node has surely taken it when that image comes, whatever the order in which it
        serves its topics.

        Raises:
            NoAnswerError: the node did not take or did not answer a message.
        """
        clicks = self._clicks()
        stamps = self._stamps()
        following = dict(pairwise(stamps))
        with open_bag(self._path) as bag:
            connections = [c for c in bag.connections if c.topic != POINTS_TOPIC]
            sent = 0
            if stamps[0] in clicks:
                for message in clicks[stamps[0]]:
                    self._deliver(POINTS_TOPIC, message)
                time.sleep(SETTLING)
            for connection, _, raw in bag.messages(connections):
                if connection.topic != IMAGE_TOPIC:
                    self._publishers[connection.topic].publish(bytes(raw))
                    continue
                check()
                stamp = serialized_stamp(raw)
                early = clicks.get(following.get(stamp, -1), [])
                if early:
                    self._drain(recorder, sent, check)
                    for message in early:
                        self._deliver(POINTS_TOPIC, message)
                self.due[stamp] = time.monotonic_ns()
                self._deliver(IMAGE_TOPIC, bytes(raw))
                self._on_image()
                sent += 1
                self._drain(recorder, sent if early else sent - IMAGES_IN_FLIGHT + 1, check)
            self._drain(recorder, sent, check)

    def _clicks(self) -> dict[int, list[bytes]]:
        """Serialised clicks by the stamp of their image."""
        clicks: dict[int, list[bytes]] = {}
        with open_bag(self._path) as bag:
            connections = [c for c in bag.connections if c.topic == POINTS_TOPIC]
            for _, _, raw in bag.messages(connections):
                clicks.setdefault(serialized_stamp(raw), []).append(bytes(raw))
        return clicks

    def _stamps(self) -> list[int]:
        """Stamps of all images, in order."""
        with open_bag(self._path) as bag:
            connections = [c for c in bag.connections if c.topic == IMAGE_TOPIC]
            return [serialized_stamp(raw) for _, _, raw in bag.messages(connections)]

    def _deliver(self, topic: str, message: bytes) -> None:
        """Publish a serialised message, and wait until the node's middleware has it."""
        publisher: Any = self._publishers[topic]
        publisher.publish(message)
        if not publisher.wait_for_all_acked(Duration(seconds=IMAGE_TIMEOUT)):
            raise NoAnswerError(f"did not take a message on {topic}")

    def _drain(self, recorder: Recorder, count: int, check: Callable[[], None]) -> None:
        """Wait until ``count`` images have been answered."""
        deadline = time.monotonic() + IMAGE_TIMEOUT
        while not recorder.wait_until_answered(count, timeout=0.5):
            check()
            if time.monotonic() > deadline:
                raise NoAnswerError(
                    f"answered {recorder.answered} of {count} images and then nothing for "
                    f"{IMAGE_TIMEOUT:g} s"
                )
