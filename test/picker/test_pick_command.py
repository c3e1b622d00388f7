"""`sam-pt pick` as it is started, refused and ended."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from aiohttp import ClientSession, WSServerHandshakeError
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.picker.bridge import Bridge
from sam_pt_ros.picker.pick_command import TOKEN_VARIABLE, PickOptions
from sam_pt_ros.picker.tracker_interface import PickerClick, TrackerError
from support.picker_process import PickerProcess
from support.rig import ROOT, free_domain

BAD = {
    "a port by name": (["--port", "http"], "must be a port, 0 to 65535; got 'http'"),
    "a large port": (["--port", "65536"], "must be a port, 0 to 65535"),
    "a node that is none": (["--node", "/a b"], "--node must be a full name such as /sam_pt"),
    "no node": (["--node", "/"], "--node must be a full name"),
    "a topic that is none": (["--points", "points"], "--points must be a full name"),
    "a weak token": (["--token", "secret"], "--token must have 8 to 128"),
    "an address of others": (["--host", "192.0.2.1"], "check --host and --port"),
    "an unknown option": (["--fast"], "--fast"),
}


def one_line(error: str) -> str:
    assert error.startswith("sam-pt: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_one_line_and_exit_code_2(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, expected = BAD[name]
    assert main(["pick", *arguments]) == 2
    assert expected in one_line(capfd.readouterr().err)


def options(**given: Any) -> PickOptions:
    defaults = {"host": "127.0.0.1", "port": 0, "token": None, "node": "/sam_pt", "points": None}
    return PickOptions.from_arguments(Namespace(**{**defaults, **given}, ros_args=[]))


def test_the_token_is_taken_from_the_environment_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everybody on the machine sees arguments."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert options().access.token is None
    assert len(options(host="0.0.0.0").access.token or "") == 22
    monkeypatch.setenv("SAM_PT_PICK_TOKEN", "of-the-environment")
    for host in ("127.0.0.1", "0.0.0.0"):
        assert options(host=host).access.token == "of-the-environment"
        assert options(host=host, token="an-argument").access.token == "an-argument"
    monkeypatch.setenv("SAM_PT_PICK_TOKEN", "")  # as the launch file leaves it
    assert options().access.token is None
    assert len(options(host="0.0.0.0").access.token or "") == 22
    monkeypatch.setenv("SAM_PT_PICK_TOKEN", "short")
    with pytest.raises(UserError, match="8 to 128"):
        options()


def test_bad_arguments_for_ros_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["pick", "--ros-args", "-p", "nonsense"]) == 2
    said = capfd.readouterr().err.splitlines()[-1]  # rcl has its own line before
    assert said.startswith("sam-pt: --ros-args: ") and "'-p nonsense'" in said


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["pick", "--port", str(port)]) == 2
    said = one_line(capfd.readouterr().err)
    assert f"port {port} of 127.0.0.1 is already in use; choose another with --port" in said


@pytest.mark.parametrize(
    ("module", "advice"),
    [("aiohttp", "run `pip install aiohttp`"), ("rclpy", "source a workspace")],
)
def test_what_is_missing_is_said(module: str, advice: str) -> None:
    script = f"""
        import sys
        sys.modules[{module!r}] = None
        from sam_pt_ros.cli import main
        sys.exit(main(["pick"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2 and done.stdout == ""
    said = one_line(done.stderr)
    assert "the picker needs" in said and module in said and advice in said


def test_the_server_is_free_of_ros() -> None:
    code = """
        import sys
        for name in ("rclpy", "sam_pt_ros.msg", "std_msgs", "sensor_msgs", "builtin_interfaces"):
            sys.modules[name] = None
        import sam_pt_ros.picker.server
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=True, timeout=300
    )


def status_of(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


async def handshake(url: str, **headers: str) -> int:
    async with ClientSession() as session:
        try:
            async with session.ws_connect(url, headers=headers):
                return 101
        except WSServerHandshakeError as error:
            return error.status


def test_beyond_this_machine_nobody_gets_in_without_the_token_or_from_another_page() -> None:
    picker = PickerProcess(free_domain(), "--host", "0.0.0.0")
    found = re.fullmatch(r"http://[^/]+:(\d+)/\?token=([\w-]{22})", picker.url)
    assert found, picker.url
    page, token = f"http://127.0.0.1:{found[1]}", found[2]
    own, evil = {"Origin": page}, {"Origin": "http://evil.example"}

    assert status_of(page) == 403
    assert status_of(f"{page}/picker.js") == 403
    assert status_of(f"{page}/?token={token[:-1]}") == 403
    assert status_of(f"{page}/?token={token}") == 200
    assert status_of(f"{page}/?token={token}", **evil) == 403
    assert status_of(f"{page}/?token={token}", Host="evil.example") == 403
    sockets = f"{page}/socket"
    assert asyncio.run(handshake(sockets, **own)) == 403
    assert asyncio.run(handshake(f"{sockets}?token={token}", **evil)) == 403
    assert asyncio.run(handshake(f"{sockets}?token={token}", **own)) == 101

    assert picker.end(signal.SIGTERM) == (0, "")


def test_it_ends_at_once_while_pages_are_open_and_says_where_there_is_no_node() -> None:
    picker = PickerProcess(free_domain(), "--node", "/robot/sam_pt", "--ros-args", "-r", "a:=b")

    async def click_and_end() -> tuple[dict[str, Any], int, float, tuple[int, str]]:
        async with ClientSession() as session:
            origin = picker.url.rstrip("/")
            async with session.ws_connect(f"{picker.url}socket", origin=origin) as page:
                await page.send_json({"type": "reset", "request": 1})
                async for message in page:
                    answer = json.loads(message.data)
                    if answer["type"] == "answer":
                        break
                begun = time.monotonic()
                ending = asyncio.get_running_loop().run_in_executor(None, picker.end)
                while not page.closed:
                    await page.receive()
                said = await ending
                return answer, page.close_code or 0, time.monotonic() - begun, said

    answer, code, seconds, said = asyncio.run(click_and_end())
    assert not answer["ok"]
    assert (
        answer["message"]
        == "the node /robot/sam_pt was not found; check that it is running and configured"
    )
    assert code == 1001 and seconds < 30
    assert said == (0, "")


# --- the bridge, with a node that does not behave -----------------------------------------


@pytest.fixture
def silent_node() -> Iterator[int]:
    """A node that offers `reset` and never answers; its domain."""
    domain = free_domain()
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = Node("sam_pt", context=context)
    asked, free = threading.Event(), threading.Event()

    def never(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        asked.set()
        free.wait(30)
        return response

    node.create_service(Trigger, "~/reset", never)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield domain
    assert asked.is_set()
    free.set()
    executor.shutdown()
    thread.join()
    node.destroy_node()
    rclpy.shutdown(context=context)


class Deaf:
    """A listener that does not listen."""

    def on_presence(self, present: bool, active: bool) -> None:
        pass


def test_a_node_that_does_not_answer_is_not_waited_for_for_ever(silent_node: int) -> None:
    async def use() -> None:
        bridge = Bridge("/sam_pt", "/points", answer_timeout=0.3)
        failures: list[str] = []
        bridge.start(Deaf(), failures.append)  # type: ignore[arg-type]
        try:
            with pytest.raises(TrackerError, match="does not subscribe to /points; activate it"):
                await bridge.add_point(1, PickerClick((1, 2), 3.0, 4.0), True)
            while True:
                with pytest.raises(TrackerError) as refusal:
                    await bridge.reset()
                if "was not found" not in str(refusal.value):
                    break
                await asyncio.sleep(0.05)
            assert (
                "/sam_pt did not answer within 0.3 s; check that it is running and active"
                in str(refusal.value)
            )
        finally:
            bridge.close()
        assert failures == []

    rclpy.init(domain_id=silent_node)
    try:
        asyncio.run(use())
    finally:
        rclpy.shutdown()


class NewestFirst:
    """An executor that begins with its newest task, as those before Kilted do."""

    def __init__(self) -> None:
        self._tasks: list[Callable[[], Any]] = []

    def create_task(self, task: Callable[[], Any]) -> None:
        self._tasks.append(task)

    def run(self) -> None:
        while self._tasks:
            self._tasks.pop()()

    def shutdown(self, timeout_sec: float) -> None:
        pass


class Points:
    """A publisher that somebody listens to."""

    topic_name = "/points"

    def __init__(self) -> None:
        self.published: list[float] = []

    def get_subscription_count(self) -> int:
        return 1

    def publish(self, message: Any) -> None:
        self.published += [point.x for point in message.prompts]


@pytest.fixture
def newest_first() -> Iterator[tuple[Bridge, NewestFirst]]:
    """A bridge whose executor begins with the newest task."""
    rclpy.init(domain_id=free_domain())
    bridge = Bridge("/sam_pt", "/points")
    bridge._executor.shutdown()
    executor = NewestFirst()
    bridge._executor = executor  # type: ignore[assignment]
    yield bridge, executor
    bridge.close()
    rclpy.shutdown()


def test_pictures_that_are_wanted_again_come_whatever_the_executor_begins_with(
    newest_first: tuple[Bridge, NewestFirst],
) -> None:
    """A page is loaded again: it leaves, and comes."""
    bridge, executor = newest_first

    def topics() -> list[str]:
        return [s.topic_name for s in bridge._node.subscriptions if "overlay" in s.topic_name]

    bridge.want_pictures(True)
    executor.run()
    assert topics() == ["/sam_pt/overlay/compressed"]
    bridge.want_pictures(False)
    bridge.want_pictures(True)
    executor.run()
    assert topics() == ["/sam_pt/overlay/compressed"]
    bridge.want_pictures(True)
    bridge.want_pictures(False)
    executor.run()
    assert topics() == []


def test_points_keep_their_order_whatever_the_executor_begins_with(
    newest_first: tuple[Bridge, NewestFirst], monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, executor = newest_first
    points = Points()
    monkeypatch.setattr(bridge, "_points", points)

    async def click() -> None:
        bridge._loop = asyncio.get_running_loop()
        clicks = [
            asyncio.ensure_future(bridge.add_point(1, PickerClick((1, 2), float(x), 0.0), True))
            for x in range(5)
        ]
        await asyncio.sleep(0)
        executor.run()
        await asyncio.gather(*clicks)

    asyncio.run(click())
    assert points.published == [0.0, 1.0, 2.0, 3.0, 4.0]
