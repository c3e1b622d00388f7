"""The server with a tracker that only writes down; real sockets, no ROS, no browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer

from sam_pt_ros.picker.hub import PICTURES_IN_FLIGHT, Client, Hub
from sam_pt_ros.picker.page_messages import PICTURE_HEADER
from sam_pt_ros.picker.security import Access
from sam_pt_ros.picker.server import MAX_COMMANDS, MAX_PAGES, PickerServer
from sam_pt_ros.picker.tracker_interface import ObjectView, PickerClick, Picture
from support.fake_tracker import FakeTracker

TOKEN = "a-very-long-token"
SCRIPTS = ("picker", "gestures", "sketch", "candidates", "undo", "rows", "toasts")
FILES = ("/", "/picker.css", "/icon.svg", *(f"/{name}.js" for name in SCRIPTS))
PATHS = (*FILES, "/socket", "/elsewhere")
BALL = ObjectView(1, "ball", "tracking", 0.9, 3, 4)


class Site:
    """A server that runs, and a client of it."""

    def __init__(self, tracker: FakeTracker, server: PickerServer, client: TestClient) -> None:
        self.tracker = tracker
        self.hub = server.hub
        self.client = client
        self.host = f"127.0.0.1:{client.server.port}"

    async def get(self, path: str = "/", **headers: str) -> Any:
        return await self.client.get(path, headers=headers)

    async def socket(self, path: str = "/socket", **headers: str) -> ClientWebSocketResponse:
        headers = {"Origin": f"http://{self.host}", **headers}
        return await self.client.ws_connect(path, headers=headers)

    async def refused(self, path: str = "/socket", **headers: str) -> int:
        with pytest.raises(WSServerHandshakeError) as refusal:
            await self.client.ws_connect(path, headers=headers)
        return refusal.value.status

    def show(self, number: int) -> None:
        self.hub.on_picture(Picture((1, number), 0.0, b"\xff" * 1000))


def run(
    test: Callable[[Site], Awaitable[None]], host: str = "127.0.0.1", token: str | None = None
) -> None:
    async def go() -> None:
        async with site(host, token) as made:
            await asyncio.wait_for(test(made), 20)

    asyncio.run(go())


@asynccontextmanager
async def site(host: str, token: str | None) -> AsyncIterator[Site]:
    tracker = FakeTracker()
    server = PickerServer(tracker, Access(host, token))
    async with TestClient(TestServer(server.application())) as client:
        yield Site(tracker, server, client)


async def hear(socket: ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        message = await socket.receive(timeout=60)
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        if message.type is WSMsgType.TEXT:
            content = json.loads(message.data)
            if content["type"] == kind:
                return content


async def pictures(socket: ClientWebSocketResponse) -> list[int]:
    """Numbers of all pictures that come before there is silence."""
    numbers = []
    while True:
        try:
            message = await socket.receive(timeout=0.15)
        except asyncio.TimeoutError:
            return numbers
        if message.type is WSMsgType.BINARY:
            numbers.append(PICTURE_HEADER.unpack(message.data[: PICTURE_HEADER.size])[1])


async def settle() -> None:
    await asyncio.sleep(0.05)


# --- security -----------------------------------------------------------------------------


def test_the_page_is_served_and_says_what_it_may_load() -> None:
    async def test(site: Site) -> None:
        for path, kind in [
            ("/", "text/html"),
            ("/picker.css", "text/css"),
            *((f"/{name}.js", "text/javascript") for name in SCRIPTS),
            ("/icon.svg", "image/svg+xml"),
        ]:
            response = await site.get(path)
            assert (response.status, response.content_type) == (200, kind)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'" in policy
            assert f"connect-src 'self' ws://{site.host};" in policy
            assert "unsafe" not in policy
        assert (await site.get("/elsewhere")).status == 404
        assert (await site.get("/../server.py")).status == 404

    run(test)


def test_other_origins_are_refused() -> None:
    async def test(site: Site) -> None:
        for origin in ("http://evil.example", "null", "http://localhost:1", "http://127.0.0.1"):
            for path in PATHS:
                assert (await site.get(path, Origin=origin)).status == 403, (origin, path)
            assert await site.refused(Origin=origin) == 403
        assert await site.refused() == 403
        await (await site.socket()).close()
        assert site.tracker.told == []

    run(test)


def test_other_hosts_are_refused_even_where_the_origin_is_the_same() -> None:
    async def test(site: Site) -> None:
        evil = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
        for path in PATHS:
            response = await site.get(path, **evil)
            assert response.status == 403
            assert "evil" not in str(response.headers)
        assert await site.refused(**evil) == 403
        tunnel = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
        await (await site.socket(**tunnel)).close()

    run(test)


def test_without_the_token_nothing_is_served() -> None:
    async def test(site: Site) -> None:
        own = {"Origin": f"http://{site.host}"}
        for query in ("", "?token=", "?token=a-very-long-toke", "?token=%00"):
            for path in PATHS:
                response = await site.get(path + query)
                assert response.status == 403
                assert "Set-Cookie" not in response.headers
            assert await site.refused("/socket" + query, **own) == 403
        assert "printed" in await (await site.get()).text()

    run(test, "0.0.0.0", TOKEN)


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_gets() -> None:
    async def test(site: Site) -> None:
        response = await site.get(f"/?token={TOKEN}")
        assert response.status == 200
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
        pair = cookie.partition(";")[0]
        for path in FILES:
            assert (await site.get(path, Cookie=pair)).status == 200
        await (await site.socket(Cookie=pair)).close()
        evil = {"Cookie": pair, "Origin": "http://evil.example"}
        assert await site.refused(**evil) == 403

    run(test, "0.0.0.0", TOKEN)


def test_a_cookie_of_any_bytes_is_refused_as_others_are() -> None:
    async def test(site: Site) -> None:
        cookie = Access("0.0.0.0", TOKEN).cookie.encode()
        for value in (b"\xff\xfe", b"a-very-long-toke\xe4", b"\xc3"):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.client.server.port)
            lines = [b"GET / HTTP/1.1", b"Host: " + site.host.encode()]
            lines += [b"Cookie: " + cookie + b"=" + value, b"Connection: close", b"", b""]
            writer.write(b"\r\n".join(lines))
            status = await reader.readline()
            writer.close()
            assert status.startswith(b"HTTP/1.1 403"), (value, status)

    run(test, "0.0.0.0", TOKEN)


# --- commands -----------------------------------------------------------------------------


def test_commands_are_done_and_answered() -> None:
    async def test(site: Site) -> None:
        socket = await site.socket()
        click = {"stamp": [7, 8], "x": 1, "y": 2}
        meant = PickerClick((7, 8), 1.0, 2.0)
        for command, told in [
            ({"type": "add_object", **click}, ("add_object", meant)),
            (
                {"type": "add_point", **click, "object": 1, "positive": False},
                ("add_point", 1, meant, False),
            ),
            ({"type": "remove", "object": 1}, ("remove", 1)),
            ({"type": "reset"}, ("reset",)),
            ({"type": "enable", "on": False}, ("enable", False)),
        ]:
            request = len(site.tracker.told)
            await socket.send_json({**command, "request": request})
            answer = await hear(socket, "answer")
            assert answer["ok"] and answer["request"] == request
            assert site.tracker.told[-1] == told
            assert answer["object"] == (1 if told[0] == "add_object" else None)
            assert answer["message"] == f"did {told[0]}"

    run(test)


def test_what_was_not_done_is_answered_with_the_reason() -> None:
    async def test(site: Site) -> None:
        site.tracker.failure = "the node /sam_pt does not answer"
        socket = await site.socket()
        await socket.send_json({"type": "enable", "on": False, "request": 3})
        answer = await hear(socket, "answer")
        assert (answer["request"], answer["ok"]) == (3, False)
        assert answer["message"] == site.tracker.failure
        assert not (await hear_status(site))["paused"]

    run(test)


async def hear_status(site: Site) -> dict[str, Any]:
    """What a page is told that has just come."""
    socket = await site.socket()
    status = await hear(socket, "status")
    await socket.close()
    return status


def test_what_is_malformed_is_answered_and_the_page_goes_on() -> None:
    async def test(site: Site) -> None:
        socket = await site.socket()
        for text in ("", "{", "[]", '{"type": "dance"}', '{"type": "reset"}', "\0"):
            await socket.send_str(text)
            assert (await hear(socket, "error"))["message"]
        await socket.send_bytes(b"\0\1\2")
        assert "text" in (await hear(socket, "error"))["message"]
        assert site.tracker.told == []
        await socket.send_json({"type": "reset", "request": 1})
        assert (await hear(socket, "answer"))["ok"]

    run(test)


def test_a_message_that_is_too_large_ends_its_page_only() -> None:
    async def test(site: Site) -> None:
        other, socket = await site.socket(), await site.socket()
        await socket.send_str(json.dumps({"type": "reset", "request": 1, "more": "x" * 5000}))
        while (message := await socket.receive(timeout=60)).type is WSMsgType.TEXT:
            pass
        assert message.type is WSMsgType.CLOSE and message.data == 1009
        await other.send_json({"type": "reset", "request": 1})
        assert (await hear(other, "answer"))["ok"]
        assert len(site.tracker.told) == 1

    run(test)


def test_a_page_cannot_pile_up_commands() -> None:
    async def test(site: Site) -> None:
        site.tracker.gate = asyncio.Event()
        socket = await site.socket()
        for request in range(MAX_COMMANDS + 3):
            await socket.send_json({"type": "reset", "request": request})
        refused = [await hear(socket, "answer") for _ in range(3)]
        assert all("too many commands" in answer["message"] for answer in refused)
        site.tracker.gate.set()
        done = [await hear(socket, "answer") for _ in range(MAX_COMMANDS)]
        assert [answer["request"] for answer in done] == list(range(MAX_COMMANDS))
        assert len(site.tracker.told) == MAX_COMMANDS

    run(test)


# --- many pages, slow pages ---------------------------------------------------------------


def test_pages_hear_the_same_and_pictures_are_wanted_while_there_is_one() -> None:
    async def test(site: Site) -> None:
        site.hub.on_presence(True, True)
        site.hub.on_objects([BALL])
        assert site.tracker.wanted == []
        pages = [await site.socket(), await site.socket()]
        for page in pages:
            status = await hear(page, "status")
            assert status["present"] and status["active"] and not status["paused"]
            (item,) = (await hear(page, "objects"))["objects"]
            assert item["label"] == "ball"
        site.show(1)
        site.hub.on_notice("warning", "click on 'points' refused")
        for page in pages:
            assert (await hear(page, "notice"))["level"] == "warning"
            assert await pictures(page) == [1]
        assert site.tracker.wanted == [True]
        for page in pages:
            await page.close()
        await settle()
        assert site.tracker.wanted == [True, False]

    run(test)


def test_a_slow_page_gets_the_newest_picture_and_holds_up_no_other() -> None:
    async def test(site: Site) -> None:
        slow, fast = await site.socket(), await site.socket()
        seen = []
        for number in range(1, 31):
            site.show(number)
            message = await fast.receive(timeout=60)
            while message.type is WSMsgType.TEXT:
                message = await fast.receive(timeout=60)
            seen.append(PICTURE_HEADER.unpack(message.data[:16])[1])
            await fast.send_json({"type": "drawn"})
            await asyncio.sleep(0)
        assert seen == list(range(1, 31))
        assert await pictures(slow) == list(range(1, PICTURES_IN_FLIGHT + 1))
        await slow.send_json({"type": "drawn"})
        assert await pictures(slow) == [30]

    run(test)


def test_thanks_for_pictures_that_were_not_sent_buy_nothing() -> None:
    async def test(site: Site) -> None:
        socket = await site.socket()
        for _ in range(20):
            await socket.send_json({"type": "drawn"})
        await settle()
        for number in range(1, 11):
            site.show(number)
            await settle()
        assert len(await pictures(socket)) == PICTURES_IN_FLIGHT

    run(test)


def test_nothing_is_heaped_up_for_a_page_whose_connection_is_stuck() -> None:
    class Stuck:
        """A socket that takes what it is given, but never has room for more."""

        def __init__(self) -> None:
            self.sent: list[Any] = []

        async def send_str(self, data: str) -> None:
            self.sent.append(data)
            await asyncio.Event().wait()

        async def send_bytes(self, data: bytes) -> None:
            await self.send_str(str(data))

    async def go() -> int:
        client, socket = Client(), Stuck()
        task = asyncio.ensure_future(client.send_to(socket))
        for number in range(1000):
            client.show(b"%d" % number)
            client.update("objects", str(number))
            client.tell(str(number))
            await asyncio.sleep(0)
        task.cancel()
        assert len(socket.sent) == 1
        return len(client._told) + len(client._states) + (client._picture is not None)

    assert asyncio.run(go()) <= 52


def test_there_is_an_end_to_the_pages() -> None:
    async def test(site: Site) -> None:
        sockets = [await site.socket() for _ in range(MAX_PAGES)]
        assert await site.refused(Origin=f"http://{site.host}") == 503
        await sockets[0].close()
        await settle()
        await (await site.socket()).close()

    run(test)


# --- status -------------------------------------------------------------------------------


def test_a_pause_is_known_to_all_pages_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        socket = await site.socket()
        await socket.send_json({"type": "enable", "on": False, "request": 1})
        assert (await hear(socket, "answer"))["ok"]
        assert (await hear_status(site))["paused"]
        site.hub.on_objects([BALL])  # of the frame in hand
        assert (await hear_status(site))["paused"]
        monkeypatch.setattr("sam_pt_ros.picker.hub._PAUSE_LAG", 0.0)
        site.hub.on_objects([BALL])  # somebody else has let it go on
        assert not (await hear_status(site))["paused"]

    run(test)


def test_what_is_removed_while_images_are_ignored_leaves_the_list_of_every_page() -> None:
    """No image comes that would say so."""

    async def test(site: Site) -> None:
        pages = [await site.socket(), await site.socket()]

        async def do(request: int, **command: Any) -> None:
            await pages[0].send_json({**command, "request": request})
            assert (await hear(pages[0], "answer"))["ok"] == (site.tracker.failure == "")

        async def listed() -> list[list[int]]:
            found = [(await hear(page, "objects"))["objects"] for page in pages]
            return [[item["id"] for item in objects] for objects in found]

        for page in pages:
            await hear(page, "status")
        site.hub.on_objects([BALL, replace(BALL, object_id=2), replace(BALL, object_id=3)])
        assert await listed() == [[1, 2, 3]] * 2
        await do(1, type="enable", on=False)
        await do(2, type="remove", object=2)
        assert await listed() == [[1, 3]] * 2
        site.tracker.failure = "there is no object 1"
        await do(3, type="remove", object=1)
        site.tracker.failure = ""
        await do(4, type="remove", object=1)
        assert await listed() == [[3]] * 2
        await do(5, type="reset")
        assert await listed() == [[]] * 2
        assert (await hear_status(site))["paused"]

    run(test)


def test_of_a_node_that_is_gone_nothing_is_left() -> None:
    hub = Hub("/sam_pt", lambda wanted: None)
    asyncio.run(_join_after(hub))


async def _join_after(hub: Hub) -> None:
    hub.on_presence(True, True)
    hub.on_objects([BALL])
    hub.set_paused(True)
    hub.on_presence(False, False)
    states = hub.join()._states
    assert json.loads(states["objects"])["objects"] == []
    assert json.loads(states["status"]) == {
        "type": "status",
        "node": "/sam_pt",
        "present": False,
        "active": False,
        "paused": False,
    }
