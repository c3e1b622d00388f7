"""The node's outputs: what is known of an image, under the header of that image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sam_pt_ros.msg import ObjectMaskArray, TrackedObjectArray, TrackedPointArray
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.ros import images, messages
from sam_pt_ros.ros.camera import CameraModel
from sam_pt_ros.ros.image_input import QOS_POLICIES
from sam_pt_ros.ros.reporter import REPETITION, Reporter
from sam_pt_ros.visualization import draw_overlay

_KINDS = {
    "objects": TrackedObjectArray,
    "label_image": Image,
    "masks": ObjectMaskArray,
    "tracked_points": TrackedPointArray,
    "overlay": Image,
    "markers": MarkerArray,
}


class Publishers:
    """Topics below ``~/``; each message is made only if somebody listens."""

    def __init__(self, node: LifecycleNode, reporter: Reporter) -> None:
        self._node = node
        self._reporter = reporter
        self._publishers = {
            name: node.create_lifecycle_publisher(
                kind,
                f"~/{name}",
                QoSProfile(depth=10),
                qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
            )
            for name, kind in _KINDS.items()
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
            "objects": lambda: messages.objects_message(result, header),
            "label_image": lambda: messages.label_image_message(result, header),
            "masks": lambda: messages.masks_message(result, header),
            "tracked_points": lambda: messages.points_message(result, header),
            "overlay": lambda: images.encode_image(draw_overlay(image, result), "rgb8", header),
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
    ) -> MarkerArray | None:
        if camera is None:
            self._node.get_logger().warning(
                "markers need a camera_info, and none has arrived",
                throttle_duration_sec=10 * REPETITION,
            )
            return None
        return messages.markers_message(result, header, camera)
