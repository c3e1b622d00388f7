"""The camera's calibration, from the topic ``camera_info``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.ros.reporter import REPETITION
from sam_pt_ros.ros.topic_types import publishers_of
from sam_pt_ros.ros.topics import (
    SENSOR_DATA_QOS,
    create_input,
    create_steady_timer,
    overridden_policies,
    own_events,
)
from sam_pt_ros.ros.transforms import frame_name

_TOPIC = "camera_info"
_MOST_SIZES = 4  # of images, for which a calibration is kept
_GRAPH_PERIOD = 0.25  # seconds between checks of the publishers
_LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,  # best-effort readers are sent nothing of the past
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class Calibration:
    """A camera, and where it is.

    Attributes:
        camera: projects points in its optical frame to pixels.
        frame_id: name of that frame, as tf2 knows it; may be empty.
    """

    camera: CameraModel
    frame_id: str


class CameraInfoInput:
    """Keeps the newest calibration that can be used.

    One for images of another size than those that come does not replace one that fits, but is
    kept as well: the images may change their size.

    The executor's thread receives; any thread may ask, because what is known is replaced at once.
    It stays known while nobody listens.

    Args:
        node: subscribes.
        rectified: whether the images are rectified.
    """

    def __init__(self, node: Node, rectified: bool) -> None:
        self._node = node
        self._rectified = rectified
        self._known: tuple[Calibration, ...] = ()  # the newest of each size, the newest last
        self._size: tuple[int, int] | None = None  # height and width of the images
        self._warned: set[tuple[object, object]] = set()  # sizes of a calibration and of images
        self._why_unknown = "no camera_info has arrived yet"

    def subscribe(self) -> CameraInfoSubscription:
        """Subscribe; the caller destroys the subscription."""
        return CameraInfoSubscription(self._node, self.receive)

    @property
    def camera(self) -> CameraModel | str:
        """The camera's model, or why it is not known."""
        calibration = self._chosen
        return self._why_unknown if calibration is None else calibration.camera

    def require(self) -> Calibration:
        """The calibration.

        Raises:
            UserError: no camera_info has arrived yet, or none that can be used.
        """
        calibration = self._chosen
        if calibration is None:
            raise UserError(self._why_unknown)
        return calibration

    @property
    def _chosen(self) -> Calibration | None:
        """The newest that fits the images; the newest of all if none does."""
        known = self._known
        fitting = [each for each in known if each.camera.size in (None, self._size)]
        return next(reversed(fitting or known), None)

    def images_have(self, size: tuple[int, int]) -> None:
        """Be told the (height, width) of the newest image, in any one thread."""
        self._size = size

    def receive(self, message: CameraInfo) -> None:
        """Take a calibration, in the executor's thread; one that is unusable is only logged."""
        try:
            camera = CameraModel.from_message(message, self._rectified)
        except UserError as error:
            self._why_unknown = str(error)
            self._node.get_logger().warning(
                f"camera_info refused: {error}", throttle_duration_sec=10 * REPETITION
            )
            return
        for known in self._known:
            if camera == known.camera:
                camera = known.camera  # the same object: others have computed things for it
        calibration = Calibration(camera, frame_name(message.header.frame_id))
        others = [each for each in self._known if each.camera.size != camera.size]
        self._known = (*others[1 - _MOST_SIZES :], calibration)
        if self._chosen is not calibration:
            self._warn_of_size(camera)

    def _warn_of_size(self, camera: CameraModel) -> None:
        """Say, once, that a calibration is of no use as long as the images have their size."""
        size = self._size
        if camera.size is None or size is None or (camera.size, size) in self._warned:
            return
        self._warned.add((camera.size, size))
        self._node.get_logger().warning(
            f"camera_info refused: it is for images of {camera.size[1]}x{camera.size[0]} pixels, "
            f"but they have {size[1]}x{size[0]}; the one that fits them is kept. Remap "
            "'camera_info' to the topic of the images' camera"
        )


class CameraInfoSubscription:
    """A subscription to ``camera_info`` that also hears what was published before it.

    It listens as to a sensor, which matches any publisher. While one latches its messages
    (transient local), it listens a second time, since only who asks for them is sent those of the
    past. A user who overrides reliability or durability has chosen, and it listens once.

    Args:
        node: subscribes.
        callback: takes each message, in the executor's thread; some of them twice.
    """

    def __init__(self, node: Node, callback: Callable[[CameraInfo], None]) -> None:
        self._node = node
        self._callback = callback
        self._topic = node.resolve_topic_name(_TOPIC)
        self._subscription = create_input(node, CameraInfo, _TOPIC, callback, SENSOR_DATA_QOS)
        self._latched: Any = None
        self._timer: Any = None
        chosen = {QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY}
        if not chosen & set(overridden_policies(node, self._topic)):
            self._follow_publishers()
            self._timer = create_steady_timer(node, _GRAPH_PERIOD, self._follow_publishers)

    def destroy(self) -> None:
        """Stop listening."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for subscription in (self._latched, self._subscription):
            if subscription is not None:
                self._node.destroy_subscription(subscription)

    def _follow_publishers(self) -> None:
        latch = any(
            (publisher.qos_profile.reliability, publisher.qos_profile.durability)
            == (_LATCHED_QOS.reliability, _LATCHED_QOS.durability)
            for publisher in publishers_of(self._node, self._topic, CameraInfo)
        )
        if latch and self._latched is None:
            self._latched = self._node.create_subscription(
                CameraInfo,
                _TOPIC,
                self._callback,
                _LATCHED_QOS,
                # It matches not all publishers, and need not: nobody is to be warned of that.
                event_callbacks=own_events(),
            )
        elif not latch and self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None
