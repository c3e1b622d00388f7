"""The camera's calibration, from the topic ``camera_info``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.ros.reporter import REPETITION
from sam_pt_ros.ros.topics import SENSOR_DATA_QOS, create_input


@dataclass(frozen=True)
class Calibration:
    """A camera, and where it is.

    Attributes:
        camera: projects points in its optical frame to pixels.
        frame_id: name of that frame; may be empty.
    """

    camera: CameraModel
    frame_id: str


class CameraInfoInput:
    """Keeps the newest calibration that can be used.

    The executor's thread receives; any thread may ask, because what is known is replaced at once.
    It stays known while nobody listens.

    Args:
        node: subscribes.
        rectified: whether the images are rectified.
    """

    def __init__(self, node: Node, rectified: bool) -> None:
        self._node = node
        self._rectified = rectified
        self._calibration: Calibration | None = None
        self._why_unknown = "no camera_info has arrived yet, so a point in space has no pixel"

    def subscribe(self) -> Any:
        """Subscribe; the caller destroys the subscription."""
        return create_input(self._node, CameraInfo, "camera_info", self.receive, SENSOR_DATA_QOS)

    @property
    def camera(self) -> CameraModel | None:
        """The camera's model; None as long as it is not known."""
        calibration = self._calibration
        return None if calibration is None else calibration.camera

    def require(self) -> Calibration:
        """The calibration.

        Raises:
            UserError: no camera_info has arrived yet, or none that can be used.
        """
        calibration = self._calibration
        if calibration is None:
            raise UserError(self._why_unknown)
        return calibration

    def receive(self, message: CameraInfo) -> None:
        """Take a calibration, in the executor's thread; one that is unusable is only logged."""
        try:
            camera = CameraModel.from_message(message, self._rectified)
        except UserError as error:
            self._why_unknown = str(error)
            self._node.get_logger().warning(
                self._why_unknown, throttle_duration_sec=10 * REPETITION
            )
            return
        known = self.camera
        if known is not None and camera == known:
            camera = known  # the same object: others have computed things for it
        self._calibration = Calibration(camera, message.header.frame_id)
