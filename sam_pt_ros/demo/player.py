"""Plays a bag over DDS, in real time or as fast as the node answers."""

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
"""Largest number of unanswered images in `play_every_frame`; smaller than the queue of the node's
subscription, so that none is dropped."""

IMAGE_TIMEOUT = 60.0
"""Seconds that the node may take for an image."""

SETTLING = 0.3
"""Seconds for the node to take a click from its queue before the first image is sent."""

_TYPES = {IMAGE_TOPIC: Image, CAMERA_INFO_TOPIC: CameraInfo, POINTS_TOPIC: PointPromptArray}


class NoAnswerError(RuntimeError):
    """The node did not receive or did not answer a message."""


class Player:
    """Publishes a bag's messages unchanged, with their stamps.

    Attributes:
        due: when each image was due (``time.monotonic_ns``), by stamp. In real time that is the
            image's stamp on a clock that was set at the start; otherwise it is the time of
            sending.
    """

    def __init__(
        self, node: Node, path: Path, every_frame: bool, on_image: Callable[[], None]
    ) -> None:
        self.due: dict[int, int] = {}
        self._path = path
        self._on_image = on_image
        # With a queue of one message, Fast DDS asks for an acknowledgement at once instead of at
        # the next heartbeat, seconds later. In real time, images do not wait for the node.
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
        """Topics without a subscription so far."""
        return [t for t, p in self._publishers.items() if p.get_subscription_count() == 0]

    def play_real_time(self, check: Callable[[], None]) -> None:
        """Send every message at its stamp; a delay does not shift later messages.

        Args:
            check: called before each image; raises to stop playing.
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
        """Send images only as fast as the node answers.

        A click is delivered one image before its own, so that the node has it when that image
        comes, in whatever order it serves its topics.

        Args:
            recorder: receives the answers.
            check: called before each image; raises to stop playing.

        Raises:
            NoAnswerError: the node did not receive or did not answer a message.
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
            raise NoAnswerError(f"did not receive a message on {topic}")

    def _drain(self, recorder: Recorder, count: int, check: Callable[[], None]) -> None:
        """Wait until ``count`` images have been answered."""
        deadline = time.monotonic() + IMAGE_TIMEOUT
        while not recorder.wait_until_answered(count, timeout=0.5):
            check()
            if time.monotonic() > deadline:
                raise NoAnswerError(
                    f"answered {recorder.answered} of {count} images, and no further image for "
                    f"{IMAGE_TIMEOUT:g} s"
                )
