"""Connections that have not shown the token yet: few at a time, and not for long.

Anybody in the network may connect, so what a connection costs before it has shown the token is
bounded. One that has shown it is not touched.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MAX_NEWCOMERS = 64
"""Largest number of connections that have not shown the token."""

PATIENCE = 10.0
"""Seconds in which a connection has to show it; browsers connect ahead of their requests."""


@dataclass(frozen=True)
class _Newcomer:
    address: str
    deadline: asyncio.TimerHandle


class Newcomers:
    """Closes connections that do not show the token, and the oldest one of too many.

    Of too many, one of the address with the most connections is closed: who floods the server
    pushes out himself first. The newest is kept, because an honest request takes milliseconds.

    All methods are called in the event loop.

    Args:
        most: how many there may be.
        patience: seconds that each has.
    """

    def __init__(self, most: int = MAX_NEWCOMERS, patience: float = PATIENCE) -> None:
        self._most = most
        self._patience = patience
        self._waiting: dict[asyncio.BaseTransport, _Newcomer] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def watched(self, make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """A protocol factory for ``loop.create_server`` whose connections are newcomers.

        Args:
            make: makes the protocol that serves a connection.
        """
        return lambda: _WatchedProtocol(make(), self)

    def admit(self, transport: asyncio.BaseTransport | None) -> None:
        """The connection has shown the token, or has ended."""
        newcomer = None if transport is None else self._waiting.pop(transport, None)
        if newcomer is not None:
            newcomer.deadline.cancel()

    def join(self, transport: asyncio.Transport) -> None:
        """A connection has been made."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        deadline = asyncio.get_running_loop().call_later(self._patience, self._close, transport)
        self._waiting[transport] = _Newcomer(address, deadline)
        if len(self._waiting) > self._most:
            self._close(self._superfluous())

    def _superfluous(self) -> asyncio.BaseTransport:
        """The oldest connection of the address that has the most of them."""
        counts = Counter(newcomer.address for newcomer in self._waiting.values())
        most = max(counts.values())
        return next(
            transport
            for transport, newcomer in self._waiting.items()
            if counts[newcomer.address] == most
        )

    def _close(self, transport: asyncio.BaseTransport) -> None:
        self.admit(transport)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()  # what it has not read yet is dropped


class _WatchedProtocol(asyncio.Protocol):
    """Passes everything on to another protocol, and tells when a connection begins and ends."""

    def __init__(self, served: asyncio.Protocol, newcomers: Newcomers) -> None:
        self._served = served
        self._newcomers = newcomers
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        assert isinstance(transport, asyncio.Transport)
        self._served.connection_made(transport)
        self._newcomers.join(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._newcomers.admit(self._transport)
        self._served.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()
