"""Services: requests are run in the pipeline's thread, and answered when they are done.

The executor goes on meanwhile: it receives images and publishes diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from typing import Any, Protocol, TypeVar

from builtin_interfaces.msg import Time
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.interchange import messages
from sam_pt_ros.masks import NO_OBJECT, MaskPrediction
from sam_pt_ros.msg import ObjectMask
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.ros.message_classes import make_rclpy_message
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.topics import create_steady_timer
from sam_pt_ros.ros.worker import Worker
from sam_pt_ros.srv import AddObjects, RemoveObject, SuggestMasks, Undo

_ANSWER_TIMEOUT = 30.0  # seconds that a request waits for the pipeline

_MESSAGES = messages.ResultMessages(make_rclpy_message)

_Answer = TypeVar("_Answer")


class Control(Protocol):
    """What services control. ``worker`` and ``enable`` are used in the executor's thread."""

    @property
    def worker(self) -> Worker[Any] | None:
        """What runs the pipeline; None while the node is not active."""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height, width of the images; None before the first. Asked in the worker's thread."""

    @property
    def object_ids(self) -> Sequence[int]:
        """Objects that are tracked or wait for their image; asked in the worker's thread."""

    @property
    def waiting_ids(self) -> Sequence[int]:
        """Those that wait for their image; asked in the worker's thread."""

    def enable(self, enabled: bool) -> None:
        """Process images, or ignore them."""

    def add_objects(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """Start objects, in the worker's thread; their ids."""

    def hypotheses(
        self, prompt: ObjectPrompt, stamp: int | None
    ) -> tuple[int, list[MaskPrediction]]:
        """What a new object's prompt may mean, in the worker's thread; with the image's stamp."""

    def undo(self, object_id: int) -> None:
        """Take back the newest change of an object, in the worker's thread."""

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object, in the worker's thread; UserError if there is none."""

    def forget(self) -> None:
        """Forget all objects and images, in the worker's thread."""


class Services:
    """Offers services: to add objects, to change and to remove them, to pause.

    They are ``~/add_objects``, ``~/suggest_masks``, ``~/undo``, ``~/remove_object``, ``~/reset``
    and ``~/enable``.

    Args:
        node: offers them.
        reporter: logs failures.
        control: does what is requested.
    """

    def __init__(self, node: Node, reporter: Reporter, control: Control) -> None:
        self._node = node
        self._reporter = reporter
        self._control = control
        self._waiting = self._ended = False
        in_turn = MutuallyExclusiveCallbackGroup()  # and no other callback waits for them
        with ExitStack() as made:
            self._wake = node.create_guard_condition(self._on_wake)
            made.callback(node.destroy_guard_condition, self._wake)
            for kind, name, callback, group in (
                (AddObjects, "~/add_objects", self._add_objects, in_turn),
                (SuggestMasks, "~/suggest_masks", self._suggest_masks, in_turn),
                (Undo, "~/undo", self._undo, in_turn),
                (RemoveObject, "~/remove_object", self._remove_object, in_turn),
                (Trigger, "~/reset", self._reset, in_turn),
                (SetBool, "~/enable", self._enable, None),
            ):
                service = node.create_service(kind, name, callback, callback_group=group)
                made.callback(node.destroy_service, service)
            self._resources = made.pop_all()

    def destroy(self) -> None:
        """Withdraw the services, as soon as a client that waits has been answered."""
        self._ended = True
        self._on_wake()

    def _on_wake(self) -> None:
        if self._ended and not self._waiting:
            self._resources.close()

    async def in_worker(self, function: Callable[[], _Answer]) -> _Answer:
        """Run in the worker's thread; UserError if it was not run, or failed."""
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
            busy = future.cancel()  # once it has begun, the answer is its result

        future.add_done_callback(wake)
        timer = create_steady_timer(self._node, _ANSWER_TIMEOUT, give_up)
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
            raise UserError(f"the request failed in the pipeline: {error!r}") from error
        finally:
            self._node.destroy_timer(timer)
            self._waiting = False
            with suppress(InvalidHandle):  # the node was destroyed before the answer
                self._wake.trigger()  # again: services may have to be destroyed now

    async def _add_objects(
        self, request: AddObjects.Request, response: AddObjects.Response
    ) -> AddObjects.Response:
        def add() -> tuple[list[int], list[ObjectMask], str]:
            if not request.objects:
                raise UserError("the request holds no objects")
            size = self._control.image_size
            requests = [messages.request_from_prompt(item, size) for item in request.objects]
            stamp = messages.prompt_stamp(request.header)
            before = set(self._control.object_ids)
            ids = self._control.add_objects(requests, stamp)
            others: list[ObjectMask] = []
            if request.want_alternatives:
                others = self._alternatives(requests, stamp, ids)
            return ids, others, self._what_was_done(ids, before)

        try:
            response.object_ids, response.alternatives, done = await self.in_worker(add)
            response.success, response.message = True, done
            self._node.get_logger().info(response.message)
        except UserError as error:
            response.message = str(error)
        return response

    def _alternatives(
        self, requests: Sequence[PromptRequest], stamp: int | None, ids: Sequence[int]
    ) -> list[ObjectMask]:
        """What the prompts of new objects may mean, in the worker's thread.

        The objects are started already, so a failure is only logged.
        """
        found: list[ObjectMask] = []
        try:
            for object_id, each in zip(ids, requests, strict=True):
                found += self._masks(each.prompt, stamp, object_id)[1]
        except UserError:  # they wait for their image
            return found
        except Exception as error:  # of a backend
            self._reporter.exception("alternatives could not be found", error)
        return found

    def _what_was_done(self, ids: Sequence[int], before: Set[int]) -> str:
        """In words, in the worker's thread: which objects were started, and which wait."""
        waiting = set(self._control.waiting_ids)
        groups = (
            ("started object {}", [i for i in ids if i not in before and i not in waiting]),
            ("object {} starts once its image comes", [i for i in ids if i in waiting]),
            ("started object {} anew", [i for i in ids if i in before and i not in waiting]),
        )
        return ", ".join(
            words.format(", ".join(map(str, which))) for words, which in groups if which
        )

    def _masks(
        self, prompt: ObjectPrompt, stamp: int | None, object_id: int
    ) -> tuple[Time, list[ObjectMask]]:
        """What a prompt may mean, in the worker's thread; with the image's stamp."""
        nanoseconds, found = self._control.hypotheses(prompt, stamp)
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        header = Header(stamp=Time(sec=seconds, nanosec=rest))
        return header.stamp, _MESSAGES.hypotheses(found, object_id, header)

    async def _suggest_masks(
        self, request: SuggestMasks.Request, response: SuggestMasks.Response
    ) -> SuggestMasks.Response:
        def suggest() -> tuple[Time, list[ObjectMask]]:
            size = self._control.image_size
            prompt = messages.request_from_prompt(request.prompt, size).prompt
            return self._masks(prompt, messages.prompt_stamp(request.header), NO_OBJECT)

        try:
            response.stamp, response.masks = await self.in_worker(suggest)
            response.success = bool(response.masks)
            response.message = (
                f"the prompt may mean {counted(len(response.masks), 'region')}"
                if response.success
                else "no object was found at the prompt; click on its middle, or drag a box"
            )
        except UserError as error:
            response.message = str(error)
        return response

    async def _undo(self, request: Undo.Request, response: Undo.Response) -> Undo.Response:
        try:
            await self.in_worker(lambda: self._control.undo(request.object_id))
            response.success = True
            response.message = f"took back the newest change of object {request.object_id}"
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
            self._node.get_logger().info(response.message)
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
            self._node.get_logger().info(response.message)
        except UserError as error:
            response.message = str(error)
        return response

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._control.enable(request.data)
        response.success = True
        response.message = "images are processed" if request.data else "images are ignored"
        self._node.get_logger().info(response.message)
        return response
