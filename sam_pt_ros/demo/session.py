"""A run of the node's process, the player and the recorder, from start to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sam_pt_ros.demo.node_process import NodeProcess
from sam_pt_ros.demo.player import NoAnswerError, Player
from sam_pt_ros.demo.private_graph import choose_domain, exchanged, private_environment
from sam_pt_ros.demo.recorder import Recorder
from sam_pt_ros.recordings.bag_topics import IMAGE_TOPIC, NODE_NAME
from sam_pt_ros.recordings.cutting import CutBag

START_TIMEOUT = 60.0
"""Seconds that the node may take to become active."""

SETTLED = 1.0
"""Seconds without a change of the subscriptions to the images; the node may subscribe again when
it sees the player's QoS."""

QUIET = 1.0
"""Seconds without an answer after which a real-time run is over."""

EVERY_FRAME = {
    "mode": "every_frame",
    "qos_overrides./image.subscription.reliability": "reliable",
}


@dataclass(frozen=True)
class PlayedRun:
    """The result of a run.

    Attributes:
        path: the bag of the node's outputs.
        due: when each image was due (nanoseconds, monotonic), by its stamp.
        received: by topic: stamps and times of receipt, in the order of receipt.
    """

    path: Path
    due: dict[int, int]
    received: dict[str, list[tuple[int, int]]]


def play_and_record(
    bag: CutBag,
    configuration: Path,
    every_frame: bool,
    output: Path,
    log: Path,
    on_ready: Callable[[], None] = lambda: None,
    on_image: Callable[[], None] = lambda: None,
) -> PlayedRun:
    """Play a bag to the real node, and record what it publishes.

    Args:
        bag: the bag to play.
        configuration: the node's parameter file.
        every_frame: whether to play all images as fast as the node answers; otherwise they are
            played in real time.
        output: folder of the bag to write.
        log: file for the node's log.
        on_ready: called when the node is active and connected.
        on_image: called for each image that is sent.

    Raises:
        NodeFailedError: the node failed.
    """
    domain = choose_domain()
    parameters = EVERY_FRAME if every_frame else {"mode": "latest"}
    width, height = bag.size
    with (
        private_environment(domain, image_bytes=4 * width * height) as environment,
        NodeProcess(configuration, parameters, environment, log) as process,
        _spinning_node(domain, environment) as node,
        Recorder(node, output) as recorder,
    ):

        def check() -> None:
            process.check()
            recorder.check()

        player = Player(node, bag.path, every_frame, on_image)
        _wait_until_ready(node, process, player, recorder)
        on_ready()
        try:
            if every_frame:
                player.play_every_frame(recorder, check)
            else:
                player.play_real_time(check)
                _wait_for_the_rest(recorder, bag.stamps[-1], process)
        except NoAnswerError as error:
            raise process.fail(str(error)) from error
    return PlayedRun(output, player.due, recorder.received)


@contextmanager
def _spinning_node(domain: int, environment: dict[str, str]) -> Iterator[Node]:
    """A node in a context of its own, with an executor in a thread."""
    context = rclpy.Context()
    with exchanged(environment):
        rclpy.init(
            context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO
        )
    try:
        node = rclpy.create_node("sam_pt_demo", context=context, start_parameter_services=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = threading.Thread(target=_spin, args=(executor,), name="recorder", daemon=True)
        thread.start()
        try:
            yield node
        finally:
            executor.shutdown()
            thread.join()
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _wait_until_ready(
    node: Node, process: NodeProcess, player: Player, recorder: Recorder
) -> None:
    """Wait until the node is active and every topic is matched."""
    deadline = time.monotonic() + START_TIMEOUT
    client = node.create_client(GetState, f"{NODE_NAME}/get_state")
    missing = "did not appear"
    settled: frozenset[bytes] = frozenset()
    since = time.monotonic()
    while time.monotonic() < deadline:
        process.check()
        unmatched = player.unmatched + recorder.unmatched
        if unmatched:
            missing = f"neither publishes nor subscribes to {', '.join(unmatched)}"
        elif not client.service_is_ready():
            missing = "does not offer the service get_state"
        else:
            answer = client.call_async(GetState.Request())
            asked = time.monotonic()
            while not answer.done() and time.monotonic() < asked + 2.0:
                time.sleep(0.005)
            if answer.done() and answer.result().current_state.id == State.PRIMARY_STATE_ACTIVE:
                listeners = _listeners(node)
                if listeners != settled:
                    settled, since = listeners, time.monotonic()
                elif time.monotonic() > since + SETTLED:
                    return  # the client is destroyed with the node, whose thread may be using it
            missing = "is not active"
        time.sleep(0.05)
    raise process.fail(f"was not ready within {START_TIMEOUT:g} s: it {missing}")


def _listeners(node: Node) -> frozenset[bytes]:
    """The ids of the subscriptions to the images."""
    found = node.get_subscriptions_info_by_topic(IMAGE_TOPIC)
    return frozenset(bytes(listener.endpoint_gid) for listener in found)


def _wait_for_the_rest(recorder: Recorder, last: int, process: NodeProcess) -> None:
    """Wait for the answer to the last image, which the node may have dropped."""
    while True:
        process.check()
        before = recorder.answered
        if recorder.wait_for(last, QUIET) or recorder.answered == before:
            return
