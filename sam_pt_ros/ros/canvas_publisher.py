"""Publishes the canvas: the image that can be clicked on in RViz, renewed periodically."""

from __future__ import annotations

import time

import numpy as np
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.canvas import CANVAS_KIND, CanvasMessages
from sam_pt_ros.interchange.messages import stamp_of
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.message_classes import make_rclpy_message, rclpy_message_class
from sam_pt_ros.ros.rclpy_internals import destroy_lifecycle_publisher
from sam_pt_ros.ros.reporter import REPETITION
from sam_pt_ros.ros.topics import create_output

_USABLE = 0.5  # share of the time that images are kept; the rest is left for clicking
_THICKNESS = 0.01  # share of its distance; points this near to it lie on the canvas


class CanvasPublisher:
    """The topic ``~/canvas``, unless ``canvas_rate`` is 0; nothing is made if nobody subscribes.

    The thread that processes shows images and forgets them; any thread may ask for stamps.

    Args:
        node: publishes.
        options: where the canvas is, and how often it is renewed.
    """

    def __init__(self, node: LifecycleNode, options: NodeOptions) -> None:
        self._node = node
        self._distance = options.canvas_distance
        self._messages = CanvasMessages(make_rclpy_message, options.canvas_distance)
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
        self, image: np.ndarray, header: Header, camera: CameraModel | None, oldest: int
    ) -> None:
        """Show the image, if the canvas is due, or has a new subscription.

        Args:
            image: RGB ``uint8 (H, W, 3)``.
            header: the image's.
            camera: its model; None if it is not known.
            oldest: stamp of the oldest image that can still be clicked on, nanoseconds.
        """
        if self._publisher is None:
            return
        known, self._listeners = self._listeners, self._publisher.get_subscription_count()
        if self._listeners == 0:
            self._shown = None  # the next subscription has received nothing yet
            return
        now = time.monotonic()
        if self._listeners > known:
            self._due = now
        if camera is None:
            self._warn("the canvas needs a camera_info, and none has arrived")
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
            camera.check_size((image.shape[0], image.shape[1]))
            message = self._messages.show(image, header, camera)
        except UserError as error:
            self._warn(str(error))
            return
        self._publisher.publish(message)
        self._shown, self._oldest = stamp, oldest

    @property
    def shown(self) -> int | None:
        """The stamp of the image that it shows, nanoseconds; None if it shows none."""
        return self._shown

    def stamp_of(self, point: np.ndarray) -> int | None:
        """The stamp of the image that a point on the canvas was clicked on; None beside it.

        Args:
            point: ``float64 (3,)`` metres in the camera's optical frame.

        Returns:
            Nanoseconds; None, too, if nothing is shown.
        """
        shown = self._shown
        beside = abs(point[2] - self._distance) > _THICKNESS * self._distance
        return None if beside else shown

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text, throttle_duration_sec=10 * REPETITION)
