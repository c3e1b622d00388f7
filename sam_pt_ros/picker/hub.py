"""Distributes pictures and states to all open pages; a slow page skips pictures."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from sam_pt_ros.picker import page_messages
from sam_pt_ros.picker.tracker_interface import ObjectView, Picture

PICTURES_IN_FLIGHT = 2
"""Largest number of pictures on their way to a page: one being drawn, and the next."""

_MAX_TOLD = 50  # messages waiting for a page; beyond that the oldest is dropped
_PAUSE_LAG = 5.0  # seconds after a pause in which a frame in progress may still arrive


class Socket(Protocol):
    """The sending half of a WebSocket."""

    async def send_str(self, data: str) -> None:
        """Send text; returns when the buffer has room for more."""

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; returns when the buffer has room for more."""


class Client:
    """The outgoing queue of one page; only the newest picture and the newest states wait."""

    def __init__(self) -> None:
        self._picture: bytes | None = None
        self._states: dict[str, str] = {}
        self._told: deque[str] = deque(maxlen=_MAX_TOLD)
        self._credit = PICTURES_IN_FLIGHT
        self._changed = asyncio.Event()

    def show(self, picture: bytes) -> None:
        """Send a picture; it replaces one that is still waiting."""
        self._picture = picture
        self._changed.set()

    def update(self, kind: str, message: str) -> None:
        """Send a state; it replaces one of the same kind that is still waiting."""
        self._states[kind] = message
        self._changed.set()

    def tell(self, message: str) -> None:
        """Send a message."""
        self._told.append(message)
        self._changed.set()

    def drawn(self) -> None:
        """Note that the page has drawn a picture."""
        self._credit = min(PICTURES_IN_FLIGHT, self._credit + 1)
        self._changed.set()

    async def send_to(self, socket: Socket) -> None:
        """Send whatever is waiting, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._told:
                await socket.send_str(self._told.popleft())
            states, self._states = self._states, {}
            for message in states.values():
                await socket.send_str(message)
            if self._picture is not None and self._credit:
                picture, self._picture = self._picture, None
                self._credit -= 1
                await socket.send_bytes(picture)


class Hub:
    """All open pages and their common state: the server's :class:`Listener`."""

    def __init__(self, node: str, want_pictures: Callable[[bool], None]) -> None:
        """Start without pages.

        Args:
            node: name of the tracking node, for users.
            want_pictures: is called with whether any page is open.
        """
        self._node = node
        self._want_pictures = want_pictures
        self._clients: set[Client] = set()
        self._present = self._active = False
        self._paused_at: float | None = None
        self._objects: tuple[ObjectView, ...] | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def join(self) -> Client:
        """Add a page."""
        client = Client()
        client.update("status", self._status())
        if self._objects is not None:
            client.update("objects", page_messages.objects_message(self._objects))
        self._clients.add(client)
        if len(self._clients) == 1:
            self._want_pictures(True)
        return client

    def leave(self, client: Client) -> None:
        """Remove a page."""
        self._clients.remove(client)
        if not self._clients:
            self._want_pictures(False)

    def set_paused(self, paused: bool) -> None:
        """Note whether the node ignores images."""
        self._paused_at = time.monotonic() if paused else None
        self._tell_status()

    def on_picture(self, picture: Picture) -> None:
        message = page_messages.picture_message(picture)
        for client in self._clients:
            client.show(message)

    def on_objects(self, objects: Sequence[ObjectView]) -> None:
        self._list(objects)
        if self._paused_at is not None and time.monotonic() - self._paused_at > _PAUSE_LAG:
            self.set_paused(False)  # somebody else has resumed it

    def forget(self, object_id: int | None) -> None:
        """Remove an object, or all (None), from the list before the next image arrives."""
        known = self._objects or ()
        self._list([o for o in known if object_id not in (None, o.object_id)])

    def _list(self, objects: Sequence[ObjectView]) -> None:
        self._objects = tuple(objects)
        self._update("objects", page_messages.objects_message(self._objects))

    def on_presence(self, present: bool, active: bool) -> None:
        self._present, self._active = present, active
        if not present:  # a node that appears later has no objects
            self._paused_at = None
            self.on_objects(())
        self._tell_status()

    def on_notice(self, level: str, text: str) -> None:
        for client in self._clients:
            client.tell(page_messages.notice_message(level, text))

    def _status(self) -> str:
        paused = self._paused_at is not None
        return page_messages.status_message(self._node, self._present, self._active, paused)

    def _tell_status(self) -> None:
        self._update("status", self._status())

    def _update(self, kind: str, message: str) -> None:
        for client in self._clients:
            client.update(kind, message)
