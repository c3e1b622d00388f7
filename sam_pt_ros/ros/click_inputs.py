"""Three ways to click, and one path behind them.

=================  =======================================  =============================
topic              message                                  who sends it
=================  =======================================  =============================
``points``         pixels with labels and ids of objects    programs that know the image
``clicked_point``  a point in space, in any frame           RViz, Foxglove
``clicked_pixel``  a bare pixel of the newest result        rqt_image_view
=================  =======================================  =============================

A click that cannot be used changes nothing, and one warning says why: ``click on 'TOPIC'
refused:`` and the reason. Those of ``clicked_point`` are, in the order in which they are looked
for:

- ``no camera_info has arrived yet``, or why it cannot be used
- ``the point has no frame_id``, or ``the camera_info has no frame_id``
- ``the point [x, y, z] is not finite``
- ``no transform from 'FRAME' to 'CAMERA': ...`` in tf2's words; without tf2_ros ``the transform
  from 'FRAME' to 'CAMERA' needs tf2_ros``, and what to install
- ``the camera_info is for images of WxH pixels, but they have WxH``
- those of :meth:`sam_pt_ros.geometry.camera.CameraModel.project`: behind the camera, outside of
  the image, beyond what the lens model covers

``clicked_point`` and ``clicked_pixel`` do what the parameter ``click_mode`` says when they
arrive; to add a point to an object that is not there is refused with ``there is no object``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.messages import prompt_stamp, requests_from_points, stamp_of
from sam_pt_ros.msg import PointPromptArray
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt, PromptRequest
from sam_pt_ros.options.node import NEGATIVE_POINT, NEW_OBJECT
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.reporter import REPETITION
from sam_pt_ros.ros.topics import QOS_POLICIES
from sam_pt_ros.ros.transforms import Transforms

_SENSOR_DATA = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass(frozen=True)
class Click:
    """What a click asks for.

    Attributes:
        requests: for :meth:`sam_pt_ros.pipeline.SamPt.apply`.
        stamp: nanoseconds, of the image that was clicked on; None: the newest.
    """

    requests: Sequence[PromptRequest]
    stamp: int | None


class Clicks:
    """Listens to clicks, and says what they ask for.

    Args:
        node: listens; its parameters ``click_mode`` and ``selected_object`` count when a click
            arrives.
        pipeline: what is clicked on.
        transforms: for points in other frames than the camera's.
        rectified: whether the images are.
        hand_over: takes the topic of a click and what reads it, to be called in the thread that
            processes; reading raises UserError if the click is refused.
        shown: the stamp of the image whose results were published last; None before the first.
        canvas_stamp: the stamp of the image that is shown at a point (x, y, z in the camera's
            frame, metres), or None where none is.
    """

    def __init__(
        self,
        node: Node,
        pipeline: SamPt,
        transforms: Transforms,
        rectified: bool,
        hand_over: Callable[[str, Callable[[], Click]], None],
        shown: Callable[[], int | None],
        canvas_stamp: Callable[[np.ndarray], int | None],
    ) -> None:
        self._node = node
        self._pipeline = pipeline
        self._transforms = transforms
        self._rectified = rectified
        self._hand_over = hand_over
        self._shown = shown
        self._canvas_stamp = canvas_stamp
        self._calibration: tuple[CameraModel, str] | None = None  # and the camera's frame
        self._no_camera = "no camera_info has arrived yet, so a point in space has no pixel"
        self._started: list[int] = []  # ids, in the order in which their objects were started
        self._subscriptions: list[Any] = []

    @property
    def camera(self) -> CameraModel | None:
        """The calibration, if that is known."""
        return None if self._calibration is None else self._calibration[0]

    def listen(self) -> None:
        """Subscribe."""
        for kind, topic, callback, qos in (
            (CameraInfo, "camera_info", self._on_camera_info, _SENSOR_DATA),
            (PointPromptArray, "points", self._on_points, QoSProfile(depth=100)),
            (Point, "clicked_pixel", self._on_clicked_pixel, QoSProfile(depth=100)),
            (PointStamped, "clicked_point", self._on_clicked_point, QoSProfile(depth=100)),
        ):
            self._subscriptions.append(
                self._node.create_subscription(
                    kind,
                    topic,
                    callback,
                    qos,
                    qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
                )
            )

    def stop(self) -> None:
        """Stop listening; the camera stays known."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            self._node.destroy_subscription(subscription)

    def apply(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """As :meth:`sam_pt_ros.pipeline.SamPt.apply`, and remember which objects it starts.

        To be called in the thread that processes, for all that starts objects.
        """
        before = set(self._pipeline.object_ids)
        ids = self._pipeline.apply(requests, stamp=stamp)
        self._started = [i for i in self._started if i in before]
        self._started += [i for i in ids if i not in before]
        return ids

    # --- receiving ------------------------------------------------------------------------

    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            camera = CameraModel.from_message(message, self._rectified)
        except UserError as error:
            self._no_camera = str(error)
            self._node.get_logger().warning(self._no_camera, throttle_duration_sec=10 * REPETITION)
            return
        if camera == self.camera:
            camera = self.camera  # the same one: others have computed things for it
        self._calibration = camera, message.header.frame_id

    def _on_points(self, message: PointPromptArray) -> None:
        self._hand_over(
            "points",
            lambda: Click(requests_from_points(message.prompts), prompt_stamp(message.header)),
        )

    def _on_clicked_pixel(self, message: Point) -> None:
        pixel, mode, shown = np.array([message.x, message.y]), self._mode(), self._shown()

        def read() -> Click:
            request = self._request(self._within(pixel), *mode)
            return Click([request], self._known(shown))

        self._hand_over("clicked_pixel", read)

    def _on_clicked_point(self, message: PointStamped) -> None:
        mode = self._mode()

        def read() -> Click:
            if self._calibration is None:
                raise UserError(self._no_camera)
            camera, frame_id = self._calibration
            point = self._in_frame(message, frame_id)
            self._check_size(camera)
            request = self._request(camera.project(point), *mode)
            return Click([request], self._stamp_of(point, message.header))

        self._hand_over("clicked_point", read)

    def _mode(self) -> tuple[str, int]:
        """Values of ``click_mode`` and ``selected_object``."""
        mode, selected = self._node.get_parameters(["click_mode", "selected_object"])
        return mode.value, selected.value

    # --- reading, in the thread that processes --------------------------------------------

    def _in_frame(self, message: PointStamped, frame_id: str) -> np.ndarray:
        """The point, ``float64 (3,)``, in the camera's frame."""
        source, point = message.header.frame_id, message.point
        for what, name in (("point", source), ("camera_info", frame_id)):
            if not name:
                raise UserError(f"the {what} has no frame_id, so nobody knows where it is")
        xyz = np.array([point.x, point.y, point.z])
        if not np.isfinite(xyz).all():
            raise UserError(f"the point {xyz.tolist()} is not finite")
        transform = self._transforms.lookup(frame_id, source, None)
        return np.asarray(transform[:3, :3] @ xyz + transform[:3, 3])

    def _check_size(self, camera: CameraModel) -> None:
        if len(self._pipeline.history):
            camera.check_size(self._pipeline.history.newest.size)

    def _stamp_of(self, point: np.ndarray, header: Header) -> int | None:
        """The stamp of the image that was clicked on; None: the newest.

        RViz stamps points with its own time, which need not be the camera's: it counts only if
        the history covers it.
        """
        shown = self._canvas_stamp(point)
        if shown is not None:
            return shown
        return self._known(stamp_of(header))

    def _known(self, stamp: int | None) -> int | None:
        """The stamp if the history covers it; None, the newest image, otherwise."""
        history = self._pipeline.history
        if stamp is None or not len(history):
            return None
        return stamp if history.oldest.stamp <= stamp <= history.newest.stamp else None

    def _within(self, pixel: np.ndarray) -> np.ndarray:
        """A pixel with what rqt_image_view sends for the right and lower edge put back in.

        It counts from the image's upper left corner to its width and height.
        """
        if not len(self._pipeline.history):
            return pixel
        height, width = self._pipeline.history.newest.size
        on_edge = (pixel > (width - 0.5, height - 0.5)) & (pixel <= (width, height))
        return np.where(on_edge, (width - 0.5, height - 0.5), pixel)

    def _request(self, pixel: np.ndarray, mode: str, selected: int) -> PromptRequest:
        label = NEGATIVE if mode == NEGATIVE_POINT else POSITIVE
        prompt = ObjectPrompt(pixel.reshape(1, 2), np.array([label]))
        return PromptRequest(prompt, None if mode == NEW_OBJECT else self._selected(selected))

    def _selected(self, selected: int) -> int:
        """The object that a point is to be added to."""
        known = self._pipeline.object_ids
        if selected == 0:
            started = [i for i in self._started if i in known]
            if not started:
                raise UserError(
                    "there is no object to add a point to; start one first, with click_mode "
                    "new_object"
                )
            return started[-1]
        if selected not in known:
            listed = ", ".join(map(str, known)) or "none"
            raise UserError(
                f"there is no object {selected}, which selected_object says; known are {listed}"
            )
        return selected
