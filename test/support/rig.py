"""Node and camera as processes of their own, and a listener in the test process, over DDS."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PointStamped
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import Log
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sam_pt_ros.msg import (
    ObjectMaskArray,
    PointPrompt,
    PointPromptArray,
    TrackedObject,
    TrackedObjectArray,
    TrackedPointArray,
)
from sam_pt_ros.srv import AddObjects, RemoveObject, SuggestMasks, Undo
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from support.scene import Scene, passing_scene

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config" / "classical.yaml"
TIMEOUT = 120.0
"""Seconds that anything may take on a busy machine; nothing ever waits that long."""

CHUNK = 6  # frames on the way at once, fewer than the outputs' queues hold

_OUTPUTS = {
    "objects": TrackedObjectArray,
    "label_image": Image,
    "masks": ObjectMaskArray,
    "tracked_points": TrackedPointArray,
    "overlay": Image,
    "markers": MarkerArray,
}
_RELIABLE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
_LOGS = QoSProfile(
    depth=1000,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
_RELIABLE_IMAGES = (
    "qos_overrides./image.subscription.reliability:=reliable",
    "qos_overrides./image/compressed.subscription.reliability:=reliable",
)
# Far from that of another process which runs tests at the same time.
_next_domain = os.getpid() + 50 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_taken: dict[int, socket.socket] = {}


def free_domain() -> int:
    """A ROS domain from 1 to 101 in which nobody is, as far as this machine knows.

    It is taken until it is given back, or this process ends: the port of the domain's first
    participant is held, so that neither another run of the tests nor `sam-pt demo` chooses it
    before the first participant is there.
    """
    global _next_domain
    for _ in range(101):
        _next_domain += 1
        domain = _next_domain % 101 + 1
        first = 7400 + 250 * domain
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            held.bind(("", first + 10))
            for port in (first + 11, *range(first + 12, first + 20, 2)):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("", port))
        except OSError:
            held.close()
            continue
        _taken[domain] = held
        return domain
    raise RuntimeError("all ROS domains are in use")


def give_back(domain: int) -> None:
    """Let others have a domain, once nobody is in it any more."""
    _taken.pop(domain).close()


def environment(domain: int) -> dict[str, str]:
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }


def node_command(*parameters: str, config: Path | None = CONFIG) -> list[str]:
    """The command that starts the node; parameters as ``name:=value``."""
    command = [sys.executable, "-m", "sam_pt_ros.track_node", "--ros-args"]
    if config is not None:
        command += ["--params-file", str(config)]
    for parameter in parameters:
        command += ["-p", parameter]
    return command


class Ending(NamedTuple):
    """How a process ended."""

    code: int
    seconds: float
    busy: float
    """Seconds of the CPU, which do not depend on what else the machine does."""


# Tests that are killed leave no node running.
_ENDS_WITH_ITS_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


class NodeProcess:
    """The node under test; it ends when the process of the tests does, however that ends."""

    def __init__(
        self, domain: int, log: Path, *parameters: str, packages: Path | None = None
    ) -> None:
        self.log = log
        variables = environment(domain)
        if packages is not None:
            known = variables.get("PYTHONPATH", "")  # that of ROS, where it was sourced
            variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(packages), known]))
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*_ENDS_WITH_ITS_PARENT, *node_command(*parameters)],
                cwd=ROOT,
                env=variables,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def cpu_seconds(self) -> float:
        """Seconds of the CPU that it has taken so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def let_end(self, number: int = signal.SIGINT) -> None:
        """Send a signal, unless it has ended already."""
        if self.alive:
            self.process.send_signal(number)

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit code."""
        return self.end_measured(number).code

    def end_measured(self, number: int = signal.SIGINT) -> Ending:
        """Send a signal; how it ended, and what that took."""
        begin, before = time.monotonic(), self.cpu_seconds if self.alive else 0.0
        self.let_end(number)
        try:
            deadline = begin + TIMEOUT
            while self.process.returncode is None and time.monotonic() < deadline:
                # It is left to be collected, so that it can still be asked what it took.
                if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                    break
                time.sleep(0.005)
            busy = self.cpu_seconds - before if self.process.returncode is None else 0.0
            return Ending(self.process.wait(0), time.monotonic() - begin, busy)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the node did not end:\n{self.log.read_text()}") from None


class Camera:
    """The camera's process."""

    def __init__(self, domain: int, reliability: str) -> None:
        script = Path(__file__).with_name("camera_process.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), reliability],
            env=environment(domain),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def publish(self, frames: range | list[int], **order: Any) -> None:
        """Have frames published; returns when they have been handed to DDS."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"frames": list(frames), **order}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer == "done\n", "the camera's process died"

    def let_end(self) -> None:
        """Let it end; for who does not wait for that."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> None:
        self.let_end()
        self.process.wait(TIMEOUT)


class Rig:
    """A domain with a node and a camera in it, and what a listener heard."""

    def __init__(
        self,
        folder: Path,
        *parameters: str,
        order: dict[str, Any] | None = None,
        connect: bool = True,
        reliable: bool = True,
        packages: Path | None = None,
    ) -> None:
        """Start the processes.

        Args:
            folder: for the node's log.
            parameters: of the node, as ``name:=value``.
            order: what the camera is to make of its frames; see ``camera_process.py``.
            connect: wait until images go in and all outputs come out, then begin anew.
            reliable: no image may get lost; otherwise as sensors publish, and by default.
            packages: a folder with more Python packages for the node.
        """
        self.domain = free_domain()
        self.order = dict(order or {})
        self.scene: Scene = passing_scene(self.order.get("width", 320))
        if reliable:
            parameters = (*_RELIABLE_IMAGES, *parameters)
        log = folder / f"node_{self.domain}.log"
        self.node = NodeProcess(self.domain, log, *parameters, packages=packages)
        self.camera = Camera(self.domain, "reliable" if reliable else "best_effort")
        self._changed = threading.Condition()
        self._heard: dict[tuple[str, int], Any] = {}
        self._order_heard: dict[str, list[int]] = {}
        self._logs: list[str] = []

        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.listener = Node("listener", context=self._context)
        for topic, kind in _OUTPUTS.items():
            self.listener.create_subscription(
                kind, f"/sam_pt/{topic}", lambda m, topic=topic: self._hear(topic, m), _RELIABLE
            )
        self.listener.create_subscription(Log, "/rosout", self._hear_log, _LOGS)
        self._publishers = {
            topic: self.listener.create_publisher(kind, topic, 10)
            for topic, kind in (
                ("points", PointPromptArray),
                ("clicked_pixel", Point),
                ("clicked_point", PointStamped),
            )
        }
        self._clients: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.listener)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        if connect:
            try:
                self.connect()
                self.reset()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        self.camera.let_end()  # both at once
        self.node.let_end()
        self._executor.shutdown()
        self._thread.join(TIMEOUT)
        self.listener.destroy_node()
        rclpy.shutdown(context=self._context)
        self.camera.end()
        self.node.end()
        give_back(self.domain)

    # --- hearing --------------------------------------------------------------------------

    def _hear(self, topic: str, message: Any) -> None:
        header = message.markers[0].header if topic == "markers" else message.header
        stamp = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
        with self._changed:
            self._heard[topic, stamp] = message
            self._order_heard.setdefault(topic, []).append(stamp)
            self._changed.notify_all()

    def _hear_log(self, message: Log) -> None:
        if message.name == "sam_pt":
            with self._changed:
                self._logs.append(message.msg)
                self._changed.notify_all()

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until something that was heard makes the condition true; its value."""
        with self._changed:
            value = self._changed.wait_for(condition, TIMEOUT)
            logs = "\n".join(self._logs)
        assert value, f"waited in vain for {what}; the node said:\n{logs}"
        return value

    def output(self, topic: str, index: int) -> Any:
        """An output for one frame."""
        key = topic, self.scene.stamp(index)
        return self.wait(lambda: self._heard.get(key), f"{topic} of frame {index}")

    def heard(self, topic: str, index: int) -> bool:
        """Whether there has been an output for a frame so far."""
        with self._changed:
            return (topic, self.scene.stamp(index)) in self._heard

    def stamps(self, topic: str) -> list[int]:
        """Stamps of an output, in order of arrival."""
        with self._changed:
            return list(self._order_heard.get(topic, []))

    def log(self, pattern: str) -> str:
        """Wait for a line on /rosout since the last ``forget``; it."""
        return str(
            self.wait(
                lambda: next((line for line in self._logs if re.search(pattern, line)), None),
                f"the line '{pattern}'",
            )
        )

    def logs(self, pattern: str) -> list[str]:
        """Lines on /rosout since the last ``forget``."""
        with self._changed:
            return [line for line in self._logs if re.search(pattern, line)]

    def forget(self) -> None:
        """Forget what was heard so far."""
        with self._changed:
            self._heard.clear()
            self._order_heard.clear()
            self._logs.clear()

    # --- what came out --------------------------------------------------------------------

    def labels(self, index: int) -> np.ndarray:
        """The label image of a frame, ``(H, W)``."""
        message = self.output("label_image", index)
        kind = {"mono8": np.uint8, "mono16": np.uint16}[message.encoding]
        return np.frombuffer(message.data, kind).reshape(message.height, message.width)

    def mask(self, object_id: int, index: int) -> np.ndarray:
        return np.asarray(self.labels(index) == object_id)

    def objects(self, index: int) -> dict[int, TrackedObject]:
        """The objects of a frame, by id."""
        return {item.id: item for item in self.output("objects", index).objects}

    def connect(self, first: int = 0) -> int:
        """Publish frames from ``first`` on until one is answered by every output; its number.

        What is published while the ends of a topic still find each other may get lost, however
        reliable they are; afterwards nothing may.
        """
        for index in range(first, self.scene.length):
            self.camera.publish([index], **self.order)
            wanted = {(topic, self.scene.stamp(index)) for topic in _OUTPUTS}
            with self._changed:
                if self._changed.wait_for(lambda wanted=wanted: wanted <= self._heard.keys(), 0.5):
                    return index
        raise AssertionError(f"no image gets through:\n{self.node.log.read_text()}")

    # --- doing ----------------------------------------------------------------------------

    def play(self, first: int, last: int | None = None) -> None:
        """Publish frames ``first`` to ``last``, and wait until all have been processed."""
        frames = range(first, (first if last is None else last) + 1)
        for begin in range(0, len(frames), CHUNK):
            chunk = frames[begin : begin + CHUNK]
            self.camera.publish(chunk, **self.order)
            for index in chunk:
                self.output("objects", index)

    def click(self, topic: str, message: Any) -> str:
        """Publish a click, and wait until the node has said what it made of it."""
        publisher = self._publishers[topic]
        deadline = time.monotonic() + TIMEOUT
        while publisher.get_subscription_count() == 0:
            assert time.monotonic() < deadline, f"the node does not listen to {topic}"
            time.sleep(0.01)
        with self._changed:
            known = len(self._logs)
        publisher.publish(message)

        def answer() -> str | None:
            lines = [line for line in self._logs[known:] if f"click on '{topic}'" in line]
            return lines[0] if lines else None

        return str(self.wait(answer, f"an answer to the click on '{topic}'"))

    def header(self, index: int | None) -> Header:
        """The header of a frame; None: stamp 0, the newest frame."""
        if index is None:
            return Header()
        seconds, nanoseconds = divmod(self.scene.stamp(index), 1_000_000_000)
        return Header(stamp=Time(sec=seconds, nanosec=nanoseconds))

    def points(self, *prompts: PointPrompt, index: int | None = None) -> str:
        """Click on ``points``; the node's answer."""
        message = PointPromptArray(header=self.header(index), prompts=list(prompts))
        return self.click("points", message)

    def on(self, owner: int, index: int, **fields: Any) -> PointPrompt:
        """A positive click on the middle of a layer of the scene."""
        x, y = self.scene.inner_point(owner, index)
        return PointPrompt(x=x, y=y, label=PointPrompt.POSITIVE, **fields)

    def take_turn(self) -> None:
        """Return once the node's executor has taken all that had reached the node."""
        self.call_service(GetState, "get_state", GetState.Request())

    def call(self, name: str, request: Any) -> Any:
        """Call a service of the node; its response."""
        kind = {
            "add_objects": AddObjects,
            "suggest_masks": SuggestMasks,
            "undo": Undo,
            "remove_object": RemoveObject,
            "reset": Trigger,
            "enable": SetBool,
        }.get(name)
        return self.call_service(kind or request.__class__, name, request)

    def destroy(self, entity: Any) -> None:
        """Destroy a publisher or a subscription of the listener's.

        In the executor's thread: what another thread destroys while it builds what it waits for
        ends it.
        """
        kind = "publisher" if isinstance(entity, Publisher) else "subscription"
        destroy = getattr(self.listener, f"destroy_{kind}")
        done = threading.Event()
        task = self._executor.create_task(destroy, entity)
        task.add_done_callback(lambda _: done.set())
        assert done.wait(TIMEOUT) and task.result(), f"the {kind} was not destroyed"

    def call_service(self, kind: Any, name: str, request: Any) -> Any:
        done, future = self.call_later(kind, name, request)
        assert done.wait(TIMEOUT), f"the service {name} does not answer"
        return future.result()

    def call_later(self, kind: Any, name: str, request: Any) -> tuple[threading.Event, Any]:
        """Call a service; an event that is set once it has answered, and the future answer."""
        if name not in self._clients:
            self._clients[name] = self.listener.create_client(kind, f"/sam_pt/{name}")
        client = self._clients[name]
        assert client.wait_for_service(TIMEOUT), f"no service {name}"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        return done, future

    def reset(self) -> None:
        """Begin anew: no objects, no frames, nothing heard."""
        assert self._thread.is_alive(), "the listener has ended"
        assert self.call("enable", SetBool.Request(data=True)).success
        assert self.call("reset", Trigger.Request()).success
        self.forget()


def run_node(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    domain = free_domain()
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**environment(domain), **variables},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    finally:
        give_back(domain)
