"""SIGINT and SIGTERM at any moment: during loading, in mid-frame, while a service waits."""

from __future__ import annotations

import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sam_pt_ros.msg import ObjectPrompt, PointPrompt, PointPromptArray
from sam_pt_ros.srv import AddObjects
from sensor_msgs.msg import Image

from support import packages
from support.camera_process import image
from support.rig import ROOT, TIMEOUT, NodeProcess, Rig, free_domain, run_node
from support.scene import THING, passing_scene

RUNS_ON = 1.5  # seconds after it has become active in which the node may be told to end
IN_TIME = 2.0  # seconds, of a machine that does nothing else


class Load:
    """Sends images, clicks and calls without a pause, to whatever node there is."""

    def __init__(self) -> None:
        self.domain = free_domain()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self._node = Node("load", context=self._context)
        self._images = self._node.create_publisher(Image, "image", QoSProfile(depth=10))
        self._clicks = self._node.create_publisher(PointPromptArray, "points", 10)
        self._client = self._node.create_client(AddObjects, "/sam_pt/add_objects")
        self._scene = passing_scene()
        self._frames = [image(self._scene, index, "rgb8", None) for index in range(20)]
        x, y = self._scene.inner_point(THING, 0)
        self._click = PointPrompt(x=x, y=y, label=PointPrompt.POSITIVE)
        self._number = 0
        self._node.create_timer(0.02, self._send)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        message = self._frames[self._number % len(self._frames)]
        stamp = self._scene.stamp(self._number)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        self._images.publish(message)
        if self._number % 10 == 0:
            self._clicks.publish(PointPromptArray(prompts=[self._click]))
            if self._client.service_is_ready():
                request = AddObjects.Request(objects=[ObjectPrompt(points=[self._click])])
                self._client.call_async(request)
        self._number += 1

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(TIMEOUT)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    made = Load()
    yield made
    made.close()


def wait_until_it_listens_to_signals(node: NodeProcess) -> None:
    """Before that it is Python that is being started, and ends as Python does."""
    status = Path(f"/proc/{node.process.pid}/status")
    deadline = time.monotonic() + TIMEOUT
    caught = re.compile(r"SigCgt:\s+([0-9a-f]+)")
    while time.monotonic() < deadline:
        found = caught.search(status.read_text())
        if found is not None and int(found[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError("the node does not start")


@pytest.fixture(scope="module")
def starting(load: Load, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds from when the node listens to signals until it is active."""
    log = tmp_path_factory.mktemp("starting") / "log"
    node = NodeProcess(load.domain, log)
    wait_until_it_listens_to_signals(node)
    begin = time.monotonic()
    while "active, mode latest" not in log.read_text():
        assert node.alive and time.monotonic() - begin < TIMEOUT, log.read_text()
        time.sleep(0.01)
    taken = time.monotonic() - begin
    node.end()
    return taken


INTERRUPTED = """
import os, signal, time

exec("os.kill(os.getpid(), signal.SIGINT)")
time.sleep(60)
"""


def test_a_signal_while_modules_are_imported_ends_the_node_well(tmp_path: Path) -> None:
    """Within exec(), too, as Python makes dataclasses: run by -m, it remembers an interruption."""
    packages.install(
        tmp_path,
        "interrupted",
        INTERRUPTED,
        segmenters={"interrupted": "interrupted:Segmenter"},
    )
    node = NodeProcess(
        free_domain(), tmp_path / "log", "segmenter:=interrupted", packages=tmp_path
    )
    code = node.process.wait(TIMEOUT)
    assert (code, node.log.read_text()) == (0, "")


def slowness() -> float:
    """How many times as long as on an idle machine what the node does takes now."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import sam_pt_ros.ros.node"], cwd=ROOT, check=True)
    taken = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


HELD_UP = """
import atexit, time
from sam_pt_ros import track_node

atexit.register(time.sleep, 2 * {timeout})
track_node.main()
"""


def test_the_process_does_not_wait_for_python_to_tear_down_its_modules() -> None:
    script = HELD_UP.format(timeout=TIMEOUT)
    ended = run_node([sys.executable, "-c", script, "--ros-args", "-p", "no_such_option:=1"])
    assert ended.returncode == 2
    assert "unknown parameter 'no_such_option'" in ended.stderr


def test_a_closed_stdout_changes_no_exit_code() -> None:
    closed = ["sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-m", "sam_pt_ros.track_node"]
    ended = run_node([*closed, "--ros-args", "-p", "no_such_option:=1"])
    assert ended.returncode == 2
    assert "unknown parameter 'no_such_option'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_node_that_has_ended_has_left_the_graph(make_rig: Callable[..., Rig]) -> None:
    """Otherwise others see it for 20 s, until DDS gives it up."""
    rig = make_rig("autostart:=false", connect=False)
    rig.call_service(GetState, "get_state", GetState.Request())
    wait_for_it_in_the_graph(rig, True, TIMEOUT)  # a service can be known before its node's name
    assert rig.node.end(signal.SIGTERM) == 0
    wait_for_it_in_the_graph(rig, False, 10)


def wait_for_it_in_the_graph(rig: Rig, present: bool, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while ("sam_pt" in rig.listener.get_node_names()) is not present:
        assert time.monotonic() < deadline, f"the node is {'not' if present else 'still'} there"
        time.sleep(0.01)


KILLED = """
import sys, time
from pathlib import Path

sys.path.insert(0, {test!r})
from support.rig import NodeProcess, free_domain

print(NodeProcess(free_domain(), Path({log!r})).process.pid, flush=True)
time.sleep(600)
"""


def test_a_node_under_test_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    script = KILLED.format(test=str(ROOT / "test"), log=str(tmp_path / "log"))
    tests = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    status = Path(f"/proc/{int(tests.stdout.readline())}/status")
    deadline = time.monotonic() + TIMEOUT
    # Not yet while it is still the program that makes it end with its parent.
    while not re.match(r"[^\0]*python[^\0]*\0", status.with_name("cmdline").read_text()):
        assert time.monotonic() < deadline, "the node does not start"
        time.sleep(0.01)
    tests.kill()
    tests.wait()
    tests.stdout.close()
    while status.exists() and "State:\tZ" not in status.read_text():
        assert time.monotonic() < deadline, "the node still runs"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "seed",
    [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))],
)
def test_a_signal_at_any_moment_ends_the_node_at_once_and_well(
    load: Load, starting: float, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    rng = random.Random(seed)
    number = (signal.SIGINT, signal.SIGTERM)[seed % 2]
    # Half of them while it starts, and half of them while it runs.
    moment = rng.uniform(0, starting) if seed % 4 < 2 else starting + rng.uniform(0, RUNS_ON)
    node = NodeProcess(load.domain, tmp_path / "log")
    wait_until_it_listens_to_signals(node)
    time.sleep(moment)
    assert node.alive, node.log.read_text()
    ending = node.end_measured(number)
    log = node.log.read_text()
    assert ending.code == 0, (moment, log)
    assert ending.busy < IN_TIME, (moment, ending, log)
    if request.node.get_closest_marker("slow") and ending.seconds >= IN_TIME:
        assert ending.seconds < IN_TIME * slowness(), (moment, ending, log)
    assert not re.search("Traceback|ERROR|Failed|terminate", log), (moment, log)
