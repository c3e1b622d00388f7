"""The picker's ROS node: connects the server to the tracking node by topics and services."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Log
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, RegionOfInterest
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange import messages
from sam_pt_ros.interchange.images import decode_mask
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.msg import (
    ObjectMask,
    ObjectPrompt,
    PointPrompt,
    PointPromptArray,
    TrackedObject,
    TrackedObjectArray,
)
from sam_pt_ros.picker.tracker_interface import (
    Candidate,
    Gesture,
    Listener,
    ObjectView,
    PickerClick,
    Picture,
    Stamp,
    Started,
    Suggestion,
    TrackerError,
)
from sam_pt_ros.ros.message_classes import make_rclpy_message
from sam_pt_ros.ros.topics import create_steady_timer
from sam_pt_ros.srv import AddObjects, RemoveObject, SuggestMasks, Undo

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
    "suggest_masks": SuggestMasks,
    "undo": Undo,
    "remove_object": RemoveObject,
    "reset": Trigger,
    "enable": SetBool,
}
_MESSAGES = messages.ResultMessages(make_rclpy_message)


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
        create_steady_timer(self._node, _LOOK_PERIOD, self._look)
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
        point = _prompt(click.x, click.y, 0, True)
        return await self._start(ObjectPrompt(points=[point]), click.stamp)

    async def start_object(self, gesture: Gesture) -> Started:
        points = [_prompt(x, y, 0, True) for x, y in gesture.points]
        prompt = ObjectPrompt(points=points)
        if gesture.box is not None:
            left, top, right, bottom = gesture.box
            prompt.box = RegionOfInterest(
                x_offset=left, y_offset=top, width=right - left + 1, height=bottom - top + 1
            )
        return await self._start(prompt, gesture.stamp)

    async def take(
        self, suggestion: Suggestion, index: int, object_id: int | None = None
    ) -> Started:
        click, mask = suggestion.click, suggestion.candidates[index].mask
        prompt = ObjectPrompt(
            object_id=object_id or 0,
            points=[_prompt(click.x, click.y, 0, True)],
            mask=_MESSAGES.image(mask.full().view("uint8"), "mono8", _header(click.stamp)),
        )
        return await self._start(prompt, click.stamp)

    async def _start(self, prompt: ObjectPrompt, stamp: Stamp) -> Started:
        request = AddObjects.Request(header=_header(stamp), objects=[prompt])
        response = await self._call("add_objects", request)
        return Started(int(response.object_ids[0]), response.message)

    async def suggest(self, click: PickerClick, image_size: tuple[int, int]) -> Suggestion:
        prompt = ObjectPrompt(points=[_prompt(click.x, click.y, 0, True)])
        request = SuggestMasks.Request(header=_header(click.stamp), prompt=prompt)
        response = await self._call("suggest_masks", request)
        stamp = response.stamp.sec, response.stamp.nanosec
        try:
            found = tuple(_candidate(mask, image_size) for mask in response.masks)
            return Suggestion(PickerClick(stamp, click.x, click.y), found)
        except (ValueError, UserError) as error:
            raise TrackerError(
                f"the node {self.name} suggests what does not fit: {error}"
            ) from error

    async def undo(self, object_id: int) -> str:
        return str((await self._call("undo", Undo.Request(object_id=object_id))).message)

    async def add_point(self, object_id: int, click: PickerClick, positive: bool) -> str:
        await self._publish(object_id, click.stamp, [(click.x, click.y)], positive)
        return f"added a point {'on' if positive else 'beside'} object {object_id}"

    async def add_line(self, object_id: int, line: Gesture, positive: bool) -> str:
        await self._publish(object_id, line.stamp, line.points, positive)
        return f"added a line {'on' if positive else 'beside'} object {object_id}"

    async def _publish(
        self,
        object_id: int,
        stamp: Stamp,
        points: Sequence[tuple[float, float]],
        positive: bool,
    ) -> None:
        """Publish points of an object, as one gesture."""
        prompts = [_prompt(x, y, object_id, positive) for x, y in points]
        message = PointPromptArray(header=_header(stamp), prompts=prompts)

        def publish(answer: asyncio.Future[Any]) -> None:
            if self._points.get_subscription_count() == 0:
                topic = self._points.topic_name
                raise TrackerError(
                    f"the node {self.name} does not subscribe to {topic}; activate it"
                )
            self._points.publish(message)
            self._tell(_settle, answer, None)

        await self._in_executor(publish)

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


def _header(stamp: Stamp) -> Header:
    seconds, nanoseconds = stamp
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds))


def _prompt(x: float, y: float, object_id: int, positive: bool) -> PointPrompt:
    label = PointPrompt.POSITIVE if positive else PointPrompt.NEGATIVE
    return PointPrompt(object_id=object_id, x=x, y=y, label=label)


def _candidate(item: ObjectMask, image_size: tuple[int, int]) -> Candidate:
    """The candidate that a mask shows; UserError or ValueError if it does not fit."""
    origin = item.roi.x_offset, item.roi.y_offset
    return Candidate(CroppedMask.cut(decode_mask(item.mask, 1), origin, image_size), item.score)


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
