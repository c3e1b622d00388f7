"""The picker's ROS node: connects the server to the tracking node by topics and services."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Log
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sam_pt_ros.msg import (
    ObjectPrompt,
    PointPrompt,
    PointPromptArray,
    TrackedObject,
    TrackedObjectArray,
)
from sam_pt_ros.picker.tracker_interface import (
    Listener,
    ObjectView,
    PickerClick,
    Picture,
    Started,
    TrackerError,
)
from sam_pt_ros.srv import AddObjects, RemoveObject

SERVICE_TIMEOUT = 35.0
"""Seconds to wait for a response; the node itself reports after 30 s that it is busy."""

_LOOK_PERIOD = 0.3  # seconds between checks for the node
_WARNING, _ERROR = 30, 40  # severities of rcl_interfaces/Log
_STATES = {
    TrackedObject.TRACKING: "tracking",
    TrackedObject.OCCLUDED: "occluded",
    TrackedObject.LOST: "lost",
}
# Lost messages are replaced by the next; and best effort matches every publisher.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

_SERVICES = {
    "add_objects": AddObjects,
    "remove_object": RemoveObject,
    "reset": Trigger,
    "enable": SetBool,
}


class Bridge:
    """The tracking node as a :class:`~.tracker_interface.Tracker`.

    rclpy runs in the thread of its executor, and the rest in that of the event loop.
    """

    def __init__(
        self, name: str, points_topic: str, answer_timeout: float = SERVICE_TIMEOUT
    ) -> None:
        """Create the node; rclpy must be initialized.

        Args:
            name: full name of the tracking node, such as ``/sam_pt``.
            points_topic: topic on which it receives PointPromptArray.
            answer_timeout: seconds to wait for the response of a service.
        """
        self.name = name
        self._answer_timeout = answer_timeout
        self._node = Node("picker")
        self._points = self._node.create_publisher(
            PointPromptArray, points_topic, QoSProfile(depth=100)
        )
        self._clients = {
            service: self._node.create_client(kind, f"{name}/{service}")
            for service, kind in _SERVICES.items()
        }
        self._node.create_subscription(
            TrackedObjectArray, f"{name}/objects", self._on_objects, _NEWEST
        )
        self._node.create_subscription(Log, "/rosout", self._on_log, QoSProfile(depth=100))
        # Not in ROS time, which may be paused.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._node.create_timer(_LOOK_PERIOD, self._look, clock=steady)
        self._logger_name = name.strip("/").replace("/", ".")
        self._pictures: Any = None
        self._presence = (False, False)
        self._jobs: deque[Callable[[], Any]] = deque()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread: threading.Thread | None = None

    def start(self, listener: Listener, on_failure: Callable[[str], None]) -> None:
        """Start receiving; called in the running event loop.

        Args:
            listener: is notified of what is received.
            on_failure: is called with a reason if receiving fails.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._thread = threading.Thread(target=self._spin, args=(on_failure,), name="executor")
        self._thread.start()

    def close(self) -> None:
        """Stop receiving."""
        self._executor.shutdown(timeout_sec=0)
        if self._thread is not None:
            self._thread.join()
        self._node.destroy_node()

    def _spin(self, on_failure: Callable[[str], None]) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:  # would end the thread silently
            self._loop.call_soon_threadsafe(on_failure, repr(error))

    # --- receiving, in the executor's thread ----------------------------------------------

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    def _look(self) -> None:
        present = bool(self._clients["add_objects"].service_is_ready())
        presence = present, present and self._points.get_subscription_count() > 0
        if presence != self._presence:
            self._presence = presence
            self._tell(self._listener.on_presence, *presence)

    def _on_picture(self, message: CompressedImage) -> None:
        stamp = message.header.stamp
        now = self._node.get_clock().now().nanoseconds
        age = 1e-9 * (now - stamp.sec * 1_000_000_000 - stamp.nanosec)
        picture = Picture((stamp.sec, stamp.nanosec), age, bytes(message.data))
        self._tell(self._listener.on_picture, picture)

    def _on_objects(self, message: TrackedObjectArray) -> None:
        self._tell(self._listener.on_objects, [_view(item) for item in message.objects])

    def _on_log(self, message: Log) -> None:
        if message.name == self._logger_name and message.level >= _WARNING:
            level = "error" if message.level >= _ERROR else "warning"
            self._tell(self._listener.on_notice, level, message.msg)

    # --- commands, in the event loop's thread ---------------------------------------------

    def want_pictures(self, wanted: bool) -> None:
        self._do(self._subscribe if wanted else self._unsubscribe)

    def _subscribe(self) -> None:
        if self._pictures is None:
            topic = f"{self.name}/overlay/compressed"
            self._pictures = self._node.create_subscription(
                CompressedImage, topic, self._on_picture, _NEWEST
            )

    def _unsubscribe(self) -> None:
        subscription, self._pictures = self._pictures, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    async def add_object(self, click: PickerClick) -> Started:
        prompt = ObjectPrompt(points=[_prompt(click, 0, True)])
        request = AddObjects.Request(header=_header(click), objects=[prompt])
        response = await self._call("add_objects", request)
        return Started(int(response.object_ids[0]), response.message)

    async def add_point(self, object_id: int, click: PickerClick, positive: bool) -> str:
        message = PointPromptArray(
            header=_header(click), prompts=[_prompt(click, object_id, positive)]
        )

        def publish(answer: asyncio.Future[Any]) -> None:
            if self._points.get_subscription_count() == 0:
                topic = self._points.topic_name
                raise TrackerError(
                    f"the node {self.name} does not subscribe to {topic}; activate it"
                )
            self._points.publish(message)
            self._tell(_settle, answer, None)

        await self._in_executor(publish)
        return f"added a point {'on' if positive else 'beside'} object {object_id}"

    async def remove_object(self, object_id: int) -> str:
        request = RemoveObject.Request(object_id=object_id)
        return str((await self._call("remove_object", request)).message)

    async def reset(self) -> str:
        return str((await self._call("reset", Trigger.Request())).message)

    async def enable(self, enabled: bool) -> str:
        return str((await self._call("enable", SetBool.Request(data=enabled))).message)

    async def _call(self, service: str, request: Any) -> Any:
        """Call a service of the node; TrackerError unless it succeeds."""
        client = self._clients[service]
        calls: list[Any] = []

        def call(answer: asyncio.Future[Any]) -> None:
            if not client.service_is_ready():
                raise TrackerError(
                    f"the node {self.name} was not found; check that it is running and configured"
                )
            calls.append(client.call_async(request))
            calls[0].add_done_callback(partial(self._on_response, answer))

        try:
            response = await self._in_executor(call)
        except TrackerError:
            # Late responses are dropped.
            self._do(lambda: [client.remove_pending_request(c) for c in calls])
            raise
        if not response.success:
            raise TrackerError(response.message)
        return response

    def _on_response(self, answer: asyncio.Future[Any], future: Any) -> None:
        if future.exception() is not None:
            self._tell(_fail, answer, TrackerError(f"the call failed: {future.exception()!r}"))
        else:
            self._tell(_settle, answer, future.result())

    def _do(self, job: Callable[[], Any]) -> None:
        """Run a job in the executor's thread, after all earlier jobs.

        Before Kilted, executors themselves start with the newest task.
        """
        self._jobs.append(job)
        self._executor.create_task(lambda: self._jobs.popleft()())

    async def _in_executor(self, function: Callable[[asyncio.Future[Any]], None]) -> Any:
        """Run a function that settles the given future; the future's result."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def run() -> None:
            try:
                function(answer)
            except TrackerError as error:
                self._tell(_fail, answer, error)
            except Exception as error:  # would end the executor
                self._tell(_fail, answer, TrackerError(f"the command failed: {error!r}"))

        self._do(run)
        try:
            return await asyncio.wait_for(answer, self._answer_timeout)
        except asyncio.TimeoutError:
            raise TrackerError(
                f"the node {self.name} did not answer within {self._answer_timeout:g} s; check "
                "that it is running and active"
            ) from None


def _settle(answer: asyncio.Future[Any], value: Any) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[Any], error: TrackerError) -> None:
    if not answer.done():
        answer.set_exception(error)


def _header(click: PickerClick) -> Header:
    seconds, nanoseconds = click.stamp
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds))


def _prompt(click: PickerClick, object_id: int, positive: bool) -> PointPrompt:
    label = PointPrompt.POSITIVE if positive else PointPrompt.NEGATIVE
    return PointPrompt(object_id=object_id, x=click.x, y=click.y, label=label)


def _view(item: TrackedObject) -> ObjectView:
    centroid = item.extent.centroid
    distance = math.hypot(centroid.x, centroid.y, centroid.z)
    return ObjectView(
        item.id,
        item.label,
        _STATES.get(item.state, "lost"),
        item.score,
        item.points_visible,
        item.points_total,
        distance if math.isfinite(distance) else None,
    )
