"""Services: what they ask for is done in the pipeline's thread, and answered when it is done.

The executor goes on meanwhile: it receives images, and diagnostics are published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange import messages
from sam_pt_ros.objects import PromptRequest
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.worker import Worker
from sam_pt_ros.srv import AddObjects, RemoveObject

_ANSWER_TIMEOUT = 30.0  # seconds that a service waits until the pipeline turns to it
_STEADY = ClockType.STEADY_TIME  # ROS time may stand still

_Answer = TypeVar("_Answer")


class Control(Protocol):
    """What services control."""

    @property
    def worker(self) -> Worker[Any] | None:
        """What runs the pipeline; None while the node is not active."""

    @property
    def sees(self) -> bool:
        """Whether there has been an image."""

    def enable(self, enabled: bool) -> None:
        """Process images, or ignore them."""

    def add_objects(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """Start objects, in the worker's thread; their ids."""

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object, in the worker's thread; UserError if there is none."""

    def forget(self) -> None:
        """Forget all objects and images, in the worker's thread."""


class Services:
    """Offers ``~/add_objects``, ``~/remove_object``, ``~/reset`` and ``~/enable``.

    Args:
        node: offers them.
        reporter: hears what fails.
        control: does what is asked for.
    """

    def __init__(self, node: Node, reporter: Reporter, control: Control) -> None:
        self._node = node
        self._reporter = reporter
        self._control = control
        self._waiting = self._ended = False
        self._wake = node.create_guard_condition(self._on_wake)
        in_turn = MutuallyExclusiveCallbackGroup()  # and nothing else waits for them
        self._offered = [
            node.create_service(kind, name, callback, callback_group=group)
            for kind, name, callback, group in (
                (AddObjects, "~/add_objects", self._add_objects, in_turn),
                (RemoveObject, "~/remove_object", self._remove_object, in_turn),
                (Trigger, "~/reset", self._reset, in_turn),
                (SetBool, "~/enable", self._enable, None),
            )
        ]

    def destroy(self) -> None:
        """Offer nothing any more, as soon as who waits has been answered."""
        self._ended = True
        self._on_wake()

    def _on_wake(self) -> None:
        if self._ended and not self._waiting:
            for service in self._offered:
                self._node.destroy_service(service)
            self._node.destroy_guard_condition(self._wake)

    async def in_worker(self, function: Callable[[], _Answer]) -> _Answer:
        """Run in the worker's thread; UserError if that was not done, or only in part."""
        worker = self._control.worker
        if worker is None:
            raise UserError("the node is not active; activate it first")
        self._waiting, busy = True, False
        future = worker.call(function)
        done: Future[None] = Future()

        def wake(_: object) -> None:
            done.set_result(None)
            self._wake.trigger()

        def give_up() -> None:
            nonlocal busy
            timer.cancel()
            busy = future.cancel()  # once it has begun, only its end can be answered

        future.add_done_callback(wake)
        timer = self._node.create_timer(_ANSWER_TIMEOUT, give_up, clock=Clock(clock_type=_STEADY))
        try:
            await done
            return future.result()
        except UserError:
            raise
        except CancelledError:
            why = "the pipeline is busy; nothing was done, try again"
            raise UserError(
                why if busy else "the node was stopped first; nothing was done"
            ) from None
        except (Exception, SystemExit) as error:  # a failure of a backend
            self._reporter.exception("a service call failed", error)
            raise UserError(f"the pipeline did not do it: {error!r}") from error
        finally:
            self._node.destroy_timer(timer)
            self._waiting = False
            with suppress(InvalidHandle):  # the node was destroyed without an answer
                self._wake.trigger()  # once more: services may have to be destroyed after it

    async def _add_objects(
        self, request: AddObjects.Request, response: AddObjects.Response
    ) -> AddObjects.Response:
        def add() -> tuple[list[int], bool]:
            if not request.objects:
                raise UserError("the request holds no objects")
            requests = [messages.request_from_prompt(item) for item in request.objects]
            stamp = messages.prompt_stamp(request.header)
            return self._control.add_objects(requests, stamp), self._control.sees

        try:
            response.object_ids, seeing = await self.in_worker(add)
            response.success = True
            done = "started" if seeing else "waiting for the first image to start"
            response.message = f"{done} object {listed(response.object_ids)}"
            self._node.get_logger().info(response.message)
        except UserError as error:
            response.message = str(error)
        return response

    async def _remove_object(
        self, request: RemoveObject.Request, response: RemoveObject.Response
    ) -> RemoveObject.Response:
        try:
            await self.in_worker(lambda: self._control.remove_object(request.object_id))
            response.success = True
            response.message = f"removed object {request.object_id}"
        except UserError as error:
            response.message = str(error)
        return response

    async def _reset(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            await self.in_worker(self._control.forget)
            response.success = True
            response.message = "all objects are forgotten; ids begin at 1 again"
        except UserError as error:
            response.message = str(error)
        return response

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._control.enable(request.data)
        response.success = True
        response.message = "images are processed" if request.data else "images are ignored"
        self._node.get_logger().info(response.message)
        return response


def listed(ids: Iterable[int]) -> str:
    """Ids in words."""
    return ", ".join(map(str, ids))
