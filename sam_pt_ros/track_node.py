"""The node: parameters, topics and services around the pipeline; nothing of the method."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import rclpy
from geometry_msgs.msg import Point, PointStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import (
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from sam_pt_ros.configuration import Configuration, NodeOptions
from sam_pt_ros.errors import UserError
from sam_pt_ros.msg import (
    ObjectMaskArray,
    PointPromptArray,
    TrackedObjectArray,
    TrackedPointArray,
)
from sam_pt_ros.objects import POSITIVE, ObjectPrompt, PromptRequest, TrackResult
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros import images, messages
from sam_pt_ros.ros.camera import CameraModel
from sam_pt_ros.ros.parameters import Parameters
from sam_pt_ros.srv import AddObjects, RemoveObject
from sam_pt_ros.visualization import draw_overlay
from sam_pt_ros.worker import Worker

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
_ALL_POLICIES = QoSOverridingOptions(_POLICIES)
_LATEST_DEPTH = 5  # images that may wait for the executor; the newest of them is processed
_GRAPH_PERIOD = 0.25  # seconds between looks at who publishes images
_THROTTLE = 2.0  # seconds between repetitions of the same error
_MOST_ERRORS = 10  # different errors in that time, at most
_ANSWER_TIMEOUT = 30.0  # seconds that a service waits for the pipeline
_STOP_TIMEOUT = 1.5  # seconds that the pipeline gets to finish its frame

_Request = TypeVar("_Request")
_OK = TransitionCallbackReturn.SUCCESS
_FAILED = TransitionCallbackReturn.FAILURE


@dataclass(frozen=True)
class _Click:
    """What a click asks for, to be done in the worker's thread."""

    requests: list[PromptRequest]
    stamp: int | None


class TrackNode(LifecycleNode):
    """Images and clicks in; masks and tracked points out, under the header of the image."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("sam_pt", **arguments)
        self.parameters = Parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._configuration: Configuration | None = None
        self._pipeline: SamPt | None = None
        self._worker: Worker[Image | CompressedImage] | None = None
        self._click_inputs: list[Any] = []
        self._image_input: Any = None
        self._image_group = MutuallyExclusiveCallbackGroup()
        self._image_topic = ""
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self._graph_timer: Any = None
        self._result_outputs: list[tuple[Any, Callable[[TrackResult, Header], Any]]] = []
        self._offered: list[Any] = []
        self._camera: CameraModel | None = None
        self._frame_id = ""
        self._headers: dict[int, Header] = {}  # by stamp, of frames without a result
        self._reported: dict[str, float] = {}  # errors, and when they were logged
        self._enabled = threading.Event()
        self._enabled.set()

    # --- life cycle -----------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, make the pipeline, offer outputs and services."""
        try:
            self._configuration = self.parameters.read()
            self._pipeline = self._configuration.create()
        except UserError as error:
            self.get_logger().error(str(error))
            return _FAILED
        self._make_outputs()
        self._make_services()
        backends = self._configuration.backends
        self.get_logger().info(
            f"configured: tracker {backends.tracker}, segmenter {backends.segmenter}"
        )
        return _OK

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and process what comes."""
        mode = self._options.mode
        self._worker = Worker(
            self._process, self._options.queue_size if mode == "every_frame" else 1
        )
        self._make_inputs()
        self.get_logger().info(f"active, mode {mode}: waiting for images on {self._image_topic}")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; objects and models are kept."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the pipeline."""
        self.release()
        return _OK

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.release()
        return _OK

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to a clean state after a transition that raised."""
        self.release()
        return _OK

    def _stop(self) -> None:
        if self._graph_timer is not None:
            self.destroy_timer(self._graph_timer)
        for subscription in (*self._click_inputs, self._image_input):
            if subscription is not None:
                self.destroy_subscription(subscription)
        self._click_inputs, self._image_input, self._graph_timer = [], None, None
        if self._worker is not None:
            if not self._worker.stop(_STOP_TIMEOUT):
                self.get_logger().warning("the pipeline did not finish its frame in time")
            self._worker = None

    def release(self) -> None:
        """Stop, and free the pipeline and all that was offered."""
        self._stop()
        for publisher, _ in self._result_outputs:
            self.destroy_publisher(publisher)
        for service in self._offered:
            self.destroy_service(service)
        self._result_outputs, self._offered = [], []
        self._headers.clear()
        self._pipeline = self._configuration = self._camera = None

    def _check_parameters(self, changed: list[Parameter[Any]]) -> SetParametersResult:
        for parameter in changed:
            spec = self.parameters.specs.get(parameter.name)
            if spec is None:
                continue
            if self._configuration is not None:
                return SetParametersResult(
                    successful=False,
                    reason=f"'{parameter.name}' is read when the node is configured; deactivate "
                    "and clean up first",
                )
            try:
                spec.check(parameter.value, "parameters")
            except UserError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    # --- topics and services --------------------------------------------------------------

    def _make_inputs(self) -> None:
        for kind, topic, callback, qos in (
            (CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data),
            (PointPromptArray, "points", self._on_points, QoSProfile(depth=100)),
            (Point, "clicked_pixel", self._on_clicked_pixel, QoSProfile(depth=100)),
            (PointStamped, "clicked_point", self._on_clicked_point, QoSProfile(depth=100)),
        ):
            self._click_inputs.append(
                self.create_subscription(
                    kind, topic, callback, qos, qos_overriding_options=_ALL_POLICIES
                )
            )
        self._image_topic = self.resolve_topic_name(
            "image/compressed" if self._options.image_transport == "compressed" else "image"
        )
        # Reliable first: who plays a recording waits for a match, who serves a camera does not.
        self._subscribe_to_images(ReliabilityPolicy.RELIABLE)
        self._follow_publishers()
        # Not in ROS time, which may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._graph_timer = self.create_timer(_GRAPH_PERIOD, self._follow_publishers, clock=steady)

    @property
    def _options(self) -> NodeOptions:
        assert self._configuration is not None
        return self._configuration.node

    def _subscribe_to_images(self, reliability: ReliabilityPolicy) -> None:
        if self._image_input is not None:
            self.destroy_subscription(self._image_input)
        every_frame = self._options.mode == "every_frame"
        compressed = self._options.image_transport == "compressed"
        policies = _POLICIES
        if not self._reliability_is_given:
            # Declared once, the parameter would freeze what follows the publishers.
            policies = tuple(p for p in policies if p != QoSPolicyKind.RELIABILITY)
        self._image_input = self.create_subscription(
            CompressedImage if compressed else Image,
            self._image_topic,
            self._on_image,
            QoSProfile(
                depth=self._options.queue_size if every_frame else _LATEST_DEPTH,
                reliability=reliability,
            ),
            callback_group=self._image_group,
            qos_overriding_options=QoSOverridingOptions(policies),
            # A mismatch is ours to settle, unless the user has decided.
            event_callbacks=SubscriptionEventCallbacks(
                use_default_callbacks=self._reliability_is_given
            ),
        )
        self._reliability = reliability

    @property
    def _reliability_is_given(self) -> bool:
        name = f"qos_overrides.{self._image_topic}.subscription.reliability"
        return name in getattr(self, "_parameter_overrides", {})

    def _follow_publishers(self) -> None:
        """Ask for reliable images unless a publisher offers best effort only.

        Best effort, the default for sensors, would match any publisher, but large images then
        get lost without a word: one of 640x360 has more fragments than fit into the default
        shared memory of Fast DDS.
        """
        publishers = self.get_publishers_info_by_topic(self._image_topic)
        if self._reliability_is_given or not publishers:
            return
        offered = [publisher.qos_profile.reliability for publisher in publishers]
        all_reliable = all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        wanted = ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT
        if wanted != self._reliability:
            self.get_logger().info(f"images are {wanted.name.lower()}, as they are offered")
            self._subscribe_to_images(wanted)

    def _make_outputs(self) -> None:
        for kind, topic, make in (
            (TrackedObjectArray, "~/objects", messages.objects_message),
            (Image, "~/label_image", messages.label_image_message),
            (ObjectMaskArray, "~/masks", messages.masks_message),
            (TrackedPointArray, "~/tracked_points", messages.points_message),
            (Image, "~/overlay", self._overlay_message),
            (MarkerArray, "~/markers", self._markers_message),
        ):
            publisher = self.create_lifecycle_publisher(
                kind,
                topic,
                QoSProfile(depth=10),
                qos_overriding_options=_ALL_POLICIES,
            )
            self._result_outputs.append((publisher, make))

    def _make_services(self) -> None:
        # A group of their own: a service waits for the pipeline, images must not wait for it.
        group = MutuallyExclusiveCallbackGroup()
        for kind, name, callback in (
            (AddObjects, "~/add_objects", self._add_objects),
            (RemoveObject, "~/remove_object", self._remove_object),
            (Trigger, "~/reset", self._reset),
            (SetBool, "~/enable", self._enable),
        ):
            self._offered.append(self.create_service(kind, name, callback, callback_group=group))

    # --- receiving: hand over, never compute ----------------------------------------------

    def _on_image(self, message: Image | CompressedImage) -> None:
        worker = self._worker
        if worker is not None and self._enabled.is_set():
            worker.submit(message)

    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            self._camera = CameraModel.from_message(message)
        except UserError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=10 * _THROTTLE)
            return
        self._frame_id = message.header.frame_id

    def _on_points(self, message: PointPromptArray) -> None:
        self._click(
            "points",
            lambda: _Click(
                messages.requests_from_points(message.prompts),
                messages.prompt_stamp(message.header),
            ),
        )

    def _on_clicked_pixel(self, message: Point) -> None:
        self._click("clicked_pixel", lambda: _one_click(np.array([message.x, message.y])))

    def _on_clicked_point(self, message: PointStamped) -> None:
        self._click("clicked_point", lambda: _one_click(self._project(message)))

    def _project(self, message: PointStamped) -> np.ndarray:
        if self._camera is None:
            raise UserError("no camera_info has arrived yet, so a 3D point has no pixel")
        if message.header.frame_id != self._frame_id:
            raise UserError(
                f"the point is in frame '{message.header.frame_id}', the camera's is "
                f"'{self._frame_id}'; only points in the camera's frame are understood"
            )
        point = message.point
        return self._camera.project(np.array([point.x, point.y, point.z]))

    def _click(self, topic: str, read: Callable[[], _Click]) -> None:
        worker = self._worker
        if worker is None:
            return

        def use() -> None:
            try:
                click = read()
                ids = self._require_pipeline().apply(click.requests, stamp=click.stamp)
            except UserError as error:
                self.get_logger().warning(f"click on '{topic}' refused: {error}")
            else:
                self.get_logger().info(f"click on '{topic}': object {_listed(ids)}")

        worker.call(use).add_done_callback(self._report_failure)

    def _report_failure(self, future: Any) -> None:
        if not future.cancelled() and future.exception() is not None:
            self._log_exception("a click failed", future.exception())

    # --- services -------------------------------------------------------------------------

    def _in_worker(self, function: Callable[[], _Request]) -> _Request:
        """Run in the worker's thread; UserError if it is not running or does not answer."""
        worker = self._worker
        if worker is None:
            raise UserError("the node is not active; activate it first")
        try:
            return worker.call(function).result(_ANSWER_TIMEOUT)
        except UserError:
            raise
        except BaseException as error:  # cancelled, timed out, or a failure of a backend
            self._log_exception("a service call failed", error)
            raise UserError(f"the pipeline did not do it: {error!r}") from error

    def _add_objects(
        self, request: AddObjects.Request, response: AddObjects.Response
    ) -> AddObjects.Response:
        def add() -> list[int]:
            if not request.objects:
                raise UserError("the request holds no objects")
            requests = [messages.request_from_prompt(item) for item in request.objects]
            stamp = messages.prompt_stamp(request.header)
            return self._require_pipeline().apply(requests, stamp=stamp)

        try:
            response.object_ids = self._in_worker(add)
            response.success = True
            response.message = f"started object {_listed(response.object_ids)}"
        except UserError as error:
            response.message = str(error)
        return response

    def _remove_object(
        self, request: RemoveObject.Request, response: RemoveObject.Response
    ) -> RemoveObject.Response:
        try:
            self._in_worker(lambda: self._require_pipeline().remove_object(request.object_id))
            response.success = True
            response.message = f"removed object {request.object_id}"
        except UserError as error:
            response.message = str(error)
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._in_worker(self._forget)
            response.success = True
            response.message = "all objects are forgotten; ids begin at 1 again"
        except UserError as error:
            response.message = str(error)
        return response

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data:
            self._enabled.set()
        else:
            self._enabled.clear()
        response.success = True
        response.message = "images are processed" if request.data else "images are ignored"
        self.get_logger().info(response.message)
        return response

    # --- in the worker's thread -----------------------------------------------------------

    def _require_pipeline(self) -> SamPt:
        assert self._pipeline is not None
        return self._pipeline

    def _forget(self) -> None:
        self._require_pipeline().reset()
        self._headers.clear()

    def _process(self, message: Image | CompressedImage) -> None:
        try:
            if isinstance(message, CompressedImage):
                image = images.decode_compressed(message)
            else:
                image = images.decode_image(message)
            results = self._step(image, message.header)
            for result in results:
                self._publish(result)
        except UserError as error:
            self._report(f"image refused: {error}")
        except Exception as error:  # a failure of a backend must not end the node
            self._log_exception("an image could not be processed", error)

    def _step(self, image: np.ndarray, header: Header) -> list[TrackResult]:
        pipeline = self._require_pipeline()
        stamp = messages.stamp_of(header)
        if len(pipeline.history):
            newest = pipeline.history.newest
            if stamp == newest.stamp:
                raise UserError("its stamp is that of the image before; are there two cameras?")
            if stamp < newest.stamp:
                self.get_logger().warning(
                    f"time went back by {(newest.stamp - stamp) * 1e-9:.3f} s: all objects are "
                    "forgotten; click again"
                )
                self._forget()
            elif image.shape != newest.image.shape:
                self.get_logger().warning(
                    f"the image size changed from {newest.width}x{newest.height} to "
                    f"{image.shape[1]}x{image.shape[0]}: all objects are forgotten; click again"
                )
                self._forget()
        self._headers[stamp] = header
        return pipeline.process(image, stamp)

    def _publish(self, result: TrackResult) -> None:
        for problem in result.problems:
            self.get_logger().warning(f"click refused: {problem}")
        header = self._headers[result.stamp]
        self._headers = {s: h for s, h in self._headers.items() if s > result.stamp}
        for publisher, make in self._result_outputs:
            if publisher.get_subscription_count():
                message = make(result, header)
                if message is not None:
                    publisher.publish(message)

    def _overlay_message(self, result: TrackResult, header: Header) -> Image:
        frame = self._require_pipeline().history.at(result.index)
        return images.encode_image(draw_overlay(frame.image, result), "rgb8", header)

    def _markers_message(self, result: TrackResult, header: Header) -> MarkerArray | None:
        if self._camera is None:
            self.get_logger().warning(
                "markers need a camera_info, and none has arrived",
                throttle_duration_sec=10 * _THROTTLE,
            )
            return None
        return messages.markers_message(result, header, self._camera)

    def _log_exception(self, what: str, error: BaseException | None) -> None:
        where = traceback.extract_tb(error.__traceback__)[-1] if error else None
        place = f" ({where.filename}:{where.lineno})" if where else ""
        self._report(f"{what}: {error!r}{place}")

    def _report(self, error: str) -> None:
        """Log an error, but not the same one with every image."""
        now = time.monotonic()
        self._reported = {k: t for k, t in self._reported.items() if now - t < _THROTTLE}
        if error not in self._reported and len(self._reported) < _MOST_ERRORS:
            self._reported[error] = now
            self.get_logger().error(error)


def _one_click(pixel: np.ndarray) -> _Click:
    prompt = ObjectPrompt(pixel.reshape(1, 2), np.array([POSITIVE]))
    return _Click([PromptRequest(prompt)], None)


def _listed(ids: Any) -> str:
    return ", ".join(map(str, ids))


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is told to end; the exit code."""
    rclpy.init(args=arguments)
    # The launch system ends nodes with SIGINT, containers and systemd with SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        node = TrackNode()
    except UserError as error:
        print(f"track_node: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    # For images, for a service that waits for the pipeline, and for all else.
    executor = MultiThreadedExecutor(num_threads=3)
    executor.add_node(node)
    code = 0
    try:
        if node.get_parameter("autostart").value:
            started = node.trigger_configure() == _OK and node.trigger_activate() == _OK
            code = 0 if started else 2
        if code == 0:
            executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        # A second Ctrl-C must not cut the end short.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        node.release()
        executor.shutdown(timeout_sec=0.5)
        node.destroy_node()
        rclpy.try_shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
