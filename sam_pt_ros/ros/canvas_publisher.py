"""Publishes the canvas: the image that can be clicked on in RViz, renewed periodically."""

from __future__ import annotations

import time

import numpy as np
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.canvas import CANVAS_KIND, CanvasMessages
from sam_pt_ros.interchange.messages import ResultMessages, stamp_of
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.message_classes import make_rclpy_message, rclpy_message_class
from sam_pt_ros.ros.rclpy_internals import destroy_lifecycle_publisher
from sam_pt_ros.ros.reporter import REPETITION
from sam_pt_ros.ros.topics import create_output

_USABLE = 0.5  # share of the time that images are kept; the rest is left for clicking
# Points this near to it lie on the canvas: RViz's depth is off by up to 6 mm at any distance, and
# outlines, on which one may click as well, are in front of it by 0.005 of its distance.
_THICKNESS = 0.01  # share of its distance
_LEAST_THICKNESS = 0.015  # metres


class CanvasPublisher:
    """The topic ``~/canvas``, unless ``canvas_rate`` is 0; nothing is made if nobody subscribes.

    The thread that processes shows images and forgets them; any thread may ask for stamps.

    Args:
        node: publishes.
        options: where the canvas is, and how often it is renewed.

    Attributes:
        distance: of the canvas in front of the camera, metres.
    """

    def __init__(self, node: LifecycleNode, options: NodeOptions) -> None:
        self._node = node
        self.distance = options.canvas_distance
        self._thickness = max(_THICKNESS * options.canvas_distance, _LEAST_THICKNESS)
        self._messages = CanvasMessages(make_rclpy_message, options.canvas_distance)
        self._results = ResultMessages(make_rclpy_message)
        self._objects: set[int] = set()  # ids in the image that is shown
        self._due = 0.0  # monotonic time at which to renew it
        self._listeners = 0
        self._shown: int | None = None  # written by one thread, read by all: replaced at once
        self._oldest = 0  # stamp of the oldest image at that time
        self._publisher = None
        if options.canvas_rate > 0:
            self._period = 1 / options.canvas_rate
            self._publisher = create_output(node, rclpy_message_class(CANVAS_KIND), "~/canvas")

    def destroy(self) -> None:
        """Withdraw the topic."""
        publisher, self._publisher = self._publisher, None
        self._shown = None
        if publisher is not None:
            destroy_lifecycle_publisher(self._node, publisher)

    def forget(self) -> None:
        """What is shown is forgotten: clicks on it refer to no image."""
        self._shown = None
        self._due = 0.0

    def show(
        self,
        image: np.ndarray,
        header: Header,
        camera: CameraModel | str,
        oldest: int,
        result: TrackResult,
    ) -> None:
        """Show the image with the outlines of its objects, if the canvas is due.

        It is also due for a new subscription, and when an object has started or ended.

        Args:
            image: RGB ``uint8 (H, W, 3)``.
            header: the image's.
            camera: its model, or why it is not known.
            oldest: stamp of the oldest image that can still be clicked on, nanoseconds.
            result: of the image.
        """
        if self._publisher is None:
            return
        known, self._listeners = self._listeners, self._publisher.get_subscription_count()
        if self._listeners == 0:
            self._shown = None  # the next subscription has received nothing yet
            return
        now = time.monotonic()
        objects = {item.object_id for item in result.objects}
        if self._listeners > known or objects != self._objects:
            self._due = now
        if isinstance(camera, str):
            self._warn(f"no canvas: {camera}")
            return
        stamp, shown = stamp_of(header), self._shown
        leaves = (
            shown is not None
            and oldest > self._oldest  # the history is full, so this image will be forgotten, too
            and stamp - shown >= _USABLE * (stamp - oldest)
        )
        if now < self._due and not leaves:
            return
        # Counted from when it was due: images come a little early or late, and none must be
        # left out if they come at the rate that is wanted.
        self._due = max(self._due, now - self._period) + self._period
        try:
            outlines = self._results.outlines(result, header, camera, self.distance)
            message = self._messages.show(image, header, camera, outlines)
        except UserError as error:
            self._warn(str(error))
            return
        self._publisher.publish(message)
        self._shown, self._oldest, self._objects = stamp, oldest, objects

    @property
    def shown(self) -> int | None:
        """The stamp of the image that is shown, nanoseconds; None: none is."""
        return self._shown

    def holds(self, point: np.ndarray) -> bool:
        """Whether a click on the canvas may have this place, as far as RViz knows depths.

        Args:
            point: ``float64 (3,)`` metres in the camera's optical frame.
        """
        return bool(abs(point[2] - self.distance) <= self._thickness)

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text, throttle_duration_sec=10 * REPETITION)
