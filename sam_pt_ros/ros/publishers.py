"""Publishes what is known of an image, under the header of that image."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.space import Located
from sam_pt_ros.interchange.messages import (
    CLOUD_KIND,
    COMPRESSED_KIND,
    DETECTIONS_KIND,
    KINDS,
    ResultMessages,
)
from sam_pt_ros.interchange.visualization import draw_overlay
from sam_pt_ros.msg import Performance
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.options.node import CANVAS_DISTANCE
from sam_pt_ros.ros.health import FrameTimes
from sam_pt_ros.ros.locator import Locator
from sam_pt_ros.ros.message_classes import make_rclpy_message, rclpy_message_class
from sam_pt_ros.ros.rclpy_internals import destroy_lifecycle_publisher
from sam_pt_ros.ros.reporter import REPETITION, Reporter
from sam_pt_ros.ros.topics import create_output

_MESSAGES = ResultMessages(make_rclpy_message)


@dataclass(frozen=True)
class Processed:
    """An image and what is known of it; what takes time is computed once, on first use.

    Attributes:
        result: of the image.
        header: the image's.
        image: RGB ``uint8 (H, W, 3)``.
        camera: its model, or why it is not known.
        locator: finds positions; None: they are not known.
        canvas_distance: of the canvas, and so of the outlines, in front of the camera, metres.
    """

    result: TrackResult
    header: Header
    image: np.ndarray
    camera: CameraModel | str
    locator: Locator | None = None
    canvas_distance: float = CANVAS_DISTANCE

    @cached_property
    def located(self) -> Located:
        """Where the objects are in space."""
        if self.locator is None:
            return Located()
        return self.locator.locate(self.result, self.header, self.camera)

    @cached_property
    def overlay(self) -> np.ndarray:
        """The image with all of it drawn, RGB ``uint8 (H, W, 3)``."""
        return draw_overlay(self.image, self.result)


def _objects(view: Processed) -> Any:
    return _MESSAGES.objects(view.result, view.header, view.located.space, view.located.target)


def _tracked_points(view: Processed) -> Any:
    return _MESSAGES.tracked_points(
        view.result, view.header, view.located.space, view.located.target
    )


def _object_points(view: Processed) -> Any | None:
    space = view.located.space
    return None if space is None else _MESSAGES.cloud(space, view.header)


def _target_object_points(view: Processed) -> Any | None:
    target = view.located.target
    if target is None or not view.located.transformed:
        return None
    return _MESSAGES.cloud(target, Header(stamp=view.header.stamp, frame_id=target.frame_id))


def _markers(view: Processed) -> Any:
    if isinstance(view.camera, str):
        raise UserError(view.camera)
    view.camera.check_size(view.result.label_image.shape[:2])
    return _MESSAGES.markers(view.result, view.header, view.camera, view.canvas_distance)


# In the order in which they are published: what waits for depth, or is slow to draw, comes last.
_MAKERS: dict[str, Callable[[Processed], Any | None]] = {
    "label_image": lambda view: _MESSAGES.label_image(view.result, view.header),
    "masks": lambda view: _MESSAGES.masks(view.result, view.header),
    "detections": lambda view: _MESSAGES.detections(view.result, view.header),
    "objects": _objects,
    "tracked_points": _tracked_points,
    "object_points": _object_points,
    "target_object_points": _target_object_points,
    "markers": _markers,
    "overlay": lambda view: _MESSAGES.image(view.overlay, "rgb8", view.header),
    "overlay/compressed": lambda view: _MESSAGES.compressed(view.overlay, view.header),
}


def output_kinds(target_frame: str) -> dict[str, str]:
    """Types of all outputs whose packages are installed, by their name below ``~/``."""
    kinds = KINDS | {"object_points": CLOUD_KIND, "overlay/compressed": COMPRESSED_KIND}
    if target_frame:
        kinds["target_object_points"] = CLOUD_KIND
    if importlib.util.find_spec("vision_msgs") is not None:
        kinds["detections"] = DETECTIONS_KIND
    return kinds


class Publishers:
    """Topics below ``~/``; each message is made only if somebody subscribes.

    They are made and destroyed in the executor's thread, all of them or none; messages are
    published in the thread that processes.

    Args:
        node: publishes.
        reporter: logs what cannot be published.
        target_frame: value of the parameter.
    """

    def __init__(self, node: LifecycleNode, reporter: Reporter, target_frame: str) -> None:
        self._reporter = reporter
        kinds = output_kinds(target_frame)

        with ExitStack() as made:

            def create(kind: Any, name: str) -> Any:
                publisher = create_output(node, kind, f"~/{name}")
                made.callback(destroy_lifecycle_publisher, node, publisher)
                return publisher

            self._publishers = {
                name: create(rclpy_message_class(kinds[name]), name)
                for name in _MAKERS
                if name in kinds
            }
            self._performance = create(Performance, "performance")
            self._resources = made.pop_all()

    def destroy(self) -> None:
        """Withdraw all topics."""
        self._resources.close()

    def publish_performance(self, result: TrackResult, header: Header, times: FrameTimes) -> None:
        """Publish what an image took."""
        if self._performance.get_subscription_count():
            self._performance.publish(
                Performance(
                    header=header,
                    latency=times.latency * 1e-3,
                    waited=times.waited * 1e-3,
                    stages=list(times.stages),
                    durations=[value * 1e-3 for value in times.stages.values()],
                    skipped=list(times.skipped),
                    dropped=times.dropped,
                    objects=len(result.objects),
                )
            )

    def publish(self, view: Processed) -> None:
        """Publish what is known of an image."""
        for name, publisher in self._publishers.items():
            try:
                if not publisher.get_subscription_count():
                    continue
                message = _MAKERS[name](view)
                if message is not None:
                    publisher.publish(message)
            except UserError as error:
                self._reporter.warning(f"not publishing '~/{name}': {error}", 10 * REPETITION)
            except Exception as error:  # it must not cost the other outputs their message
                self._reporter.exception(f"publishing on '~/{name}' failed", error)
