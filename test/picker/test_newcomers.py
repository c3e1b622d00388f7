"""Who has not shown the token holds few connections, and not for long; real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from sam_pt_ros.picker import server as server_module
from sam_pt_ros.picker.newcomers import MAX_NEWCOMERS, PATIENCE, Newcomers
from sam_pt_ros.picker.security import Access
from sam_pt_ros.picker.server import PickerServer
from support.fake_tracker import FakeTracker

TOKEN = "a-very-long-token"
HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LONG = 1000.0
"""Seconds; longer than any test."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Site:
    """A server on all addresses, and connections to it."""

    def __init__(self, server: PickerServer, port: int) -> None:
        self.server = server
        self.port = port
        self._open: list[asyncio.StreamWriter] = []

    @property
    def newcomers(self) -> int:
        return len(self.server._newcomers)

    async def connect(self, sent: bytes = HALF, source: str = "127.0.0.1") -> Connection:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0)
        )
        self._open.append(writer)
        writer.write(sent)
        return reader, writer

    async def flood(self, count: int, source: str = "127.0.0.1") -> list[Connection]:
        made = [await self.connect(source=source) for _ in range(count)]
        await until(lambda: self.newcomers == MAX_NEWCOMERS)
        return made

    async def page(self, session: ClientSession) -> ClientWebSocketResponse:
        """Open the page as its user does: by the printed address, and then its socket."""
        url = f"http://127.0.0.1:{self.port}"
        response = await session.get(f"{url}/?token={TOKEN}")
        assert response.status == 200
        cookie = {"Cookie": f"{self.server._access.cookie}={TOKEN}", "Origin": url}
        return await session.ws_connect(f"{url}/socket", headers=cookie)

    def close(self) -> None:
        for writer in self._open:
            writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # the test has a limit
        await asyncio.sleep(0.005)


async def ended(connection: Connection) -> bool:
    """Whether the server closes the connection; waits for it."""
    with suppress(ConnectionResetError):
        await connection[0].read()
    return True


def still_open(connections: list[Connection]) -> int:
    return sum(not reader.at_eof() and reader.exception() is None for reader, _ in connections)


async def works(page: ClientWebSocketResponse, request: int) -> bool:
    """Whether the page's commands are done."""
    await page.send_json({"type": "reset", "request": request})
    while True:
        message = await page.receive()
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        if message.type is WSMsgType.TEXT:
            content = json.loads(message.data)
            if content["type"] == "answer":
                return bool(content["ok"] and content["request"] == request)


def run(test: Callable[[Site], Awaitable[None]], token: str | None = TOKEN) -> None:
    async def go() -> None:
        async with site(token) as made:
            await asyncio.wait_for(test(made), 120)

    asyncio.run(go())


@asynccontextmanager
async def site(token: str | None) -> AsyncIterator[Site]:
    host = "127.0.0.1" if token is None else "0.0.0.0"
    server = PickerServer(FakeTracker(), Access(host, token))
    made = Site(server, await server.listen(host, 0))
    try:
        yield made
    finally:
        made.close()
        await server.close()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that servers give to who connects."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(server_module, "Newcomers", lambda: Newcomers(MAX_NEWCOMERS, seconds))

    return set_to


def test_half_sent_requests_are_bounded_and_the_page_goes_on(
    patience: Callable[[float], None],
) -> None:
    patience(LONG)

    async def test(site: Site) -> None:
        async with ClientSession() as session:
            page = await site.page(session)
            assert await works(page, 1)
            assert site.newcomers == 0
            made = await site.flood(MAX_NEWCOMERS + 150)
            assert await works(page, 2)
            async with ClientSession() as other:  # who comes now gets in, too
                assert await works(await site.page(other), 3)
            assert await works(page, 4)
            await until(lambda: still_open(made) <= MAX_NEWCOMERS)
            # The newest were kept; the two of the other session took the place of others.
            assert still_open(made[-(MAX_NEWCOMERS - 2) :]) == MAX_NEWCOMERS - 2
            assert still_open(made[:-MAX_NEWCOMERS]) == 0

    run(test)


def test_who_floods_pushes_out_himself_and_nobody_else(
    patience: Callable[[float], None],
) -> None:
    patience(LONG)

    async def test(site: Site) -> None:
        slow = await site.connect(source="127.0.0.2")
        await until(lambda: site.newcomers == 1)
        await site.flood(MAX_NEWCOMERS + 40, source="127.0.0.3")
        reader, writer = slow
        writer.write(f"Cookie: {site.server._access.cookie}={TOKEN}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(test)


@pytest.mark.parametrize("sent", [b"", HALF, HALF + b"\r\n", b"\x16\x03\x01\x00"])
def test_who_shows_no_token_in_time_is_closed(
    patience: Callable[[float], None], sent: bytes
) -> None:
    """Whether he sends nothing, half a request, one without the token, or no HTTP."""
    patience(0.3)

    async def test(site: Site) -> None:
        async with ClientSession() as session:
            page = await site.page(session)
            connection = await site.connect(sent)
            assert await ended(connection)
            await until(lambda: site.newcomers == 0)
            assert await works(page, 1)

    run(test)


def test_who_has_shown_the_token_has_all_the_time(patience: Callable[[float], None]) -> None:
    patience(0.3)

    async def test(site: Site) -> None:
        reader, writer = await site.connect(
            HALF + f"Cookie: {site.server._access.cookie}={TOKEN}\r\n\r\n".encode()
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert site.newcomers == 0
        stranger = await site.connect()
        assert await ended(stranger)  # so his time, and that of the first, is over
        writer.write(HALF + b"\r\n")
        answer = await reader.readuntil(b"HTTP/1.1 403")
        assert answer.endswith(b"HTTP/1.1 403")

    run(test)


def test_connections_that_end_by_themselves_are_forgotten(
    patience: Callable[[float], None],
) -> None:
    patience(LONG)

    async def test(site: Site) -> None:
        made = [await site.connect() for _ in range(5)]
        await until(lambda: site.newcomers == 5)
        for _, writer in made[:3]:
            writer.close()
        await until(lambda: site.newcomers == 2)

    run(test)


def test_where_no_token_is_needed_a_whole_request_is_enough(
    patience: Callable[[float], None],
) -> None:
    patience(LONG)

    async def test(site: Site) -> None:
        reader, _ = await site.connect(HALF + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert site.newcomers == 0
        await site.flood(MAX_NEWCOMERS + 10)
        assert site.newcomers == MAX_NEWCOMERS

    run(test, token=None)


def test_there_is_room_for_browsers_that_connect_ahead() -> None:
    assert (MAX_NEWCOMERS, PATIENCE) == (64, 10.0)
