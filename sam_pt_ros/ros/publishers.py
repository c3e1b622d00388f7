"""The node's outputs: what is known of an image, under the header of that image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_msgs.msg import Header

from sam_pt_ros.camera import CameraModel
from sam_pt_ros.messages import KINDS, ResultMessages
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.ros.image_input import QOS_POLICIES
from sam_pt_ros.ros.messages import make_message, message_class
from sam_pt_ros.ros.reporter import REPETITION, Reporter

_MESSAGES = ResultMessages(make_message)


class Publishers:
    """Topics below ``~/``; each message is made only if somebody listens."""

    def __init__(self, node: LifecycleNode, reporter: Reporter) -> None:
        self._node = node
        self._reporter = reporter
        self._publishers = {
            name: node.create_lifecycle_publisher(
                message_class(kind),
                f"~/{name}",
                QoSProfile(depth=10),
                qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
            )
            for name, kind in KINDS.items()
        }

    def destroy(self) -> None:
        """Offer nothing any more."""
        for publisher in self._publishers.values():
            # rclpy's destroy_lifecycle_publisher, which not all distributions have.
            self._node._managed_entities.discard(publisher)
            self._node.destroy_publisher(publisher)

    def publish(
        self, result: TrackResult, header: Header, image: np.ndarray, camera: CameraModel | None
    ) -> None:
        """Publish a result.

        Args:
            result: of one image.
            header: that image's.
            image: RGB ``uint8 (H, W, 3)``.
            camera: which markers need.
        """
        makers: dict[str, Callable[[], Any]] = {
            "objects": lambda: _MESSAGES.objects(result, header),
            "label_image": lambda: _MESSAGES.label_image(result, header),
            "masks": lambda: _MESSAGES.masks(result, header),
            "tracked_points": lambda: _MESSAGES.tracked_points(result, header),
            "overlay": lambda: _MESSAGES.overlay(result, header, image),
            "markers": lambda: self._markers(result, header, camera),
        }
        for name, publisher in self._publishers.items():
            try:
                message = makers[name]() if publisher.get_subscription_count() else None
                if message is not None:
                    publisher.publish(message)
            except Exception as error:  # it must not cost the others their message
                self._reporter.exception(f"nothing could be published on '~/{name}'", error)

    def _markers(
        self, result: TrackResult, header: Header, camera: CameraModel | None
    ) -> Any | None:
        if camera is None:
            self._node.get_logger().warning(
                "markers need a camera_info, and none has arrived",
                throttle_duration_sec=10 * REPETITION,
            )
            return None
        return _MESSAGES.markers(result, header, camera)
