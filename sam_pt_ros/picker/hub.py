"""What is tracked, handed to every page that looks. A slow page misses pictures."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from sam_pt_ros.picker import page_messages
from sam_pt_ros.picker.tracker_interface import ObjectView, Picture

PICTURES_IN_FLIGHT = 2
"""Pictures on their way to a page: one that is drawn, and one to go on with."""

_MAX_TOLD = 50  # messages that wait for a page; beyond that the oldest is dropped
_PAUSE_LAG = 5.0  # seconds after a pause in which the frame in hand may still come


class Socket(Protocol):
    """The sending half of a WebSocket."""

    async def send_str(self, data: str) -> None:
        """Send text; returns when there is room for more."""

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; returns when there is room for more."""


class Client:
    """What waits to be sent to one page: of pictures and of states only the newest."""

    def __init__(self) -> None:
        self._picture: bytes | None = None
        self._states: dict[str, str] = {}
        self._told: deque[str] = deque(maxlen=_MAX_TOLD)
        self._credit = PICTURES_IN_FLIGHT
        self._changed = asyncio.Event()

    def show(self, picture: bytes) -> None:
        """Send a picture, instead of one that still waits."""
        self._picture = picture
        self._changed.set()

    def update(self, kind: str, message: str) -> None:
        """Send a state, instead of one of the same kind that still waits."""
        self._states[kind] = message
        self._changed.set()

    def tell(self, message: str) -> None:
        """Send a message."""
        self._told.append(message)
        self._changed.set()

    def drawn(self) -> None:
        """The page has shown a picture."""
        self._credit = min(PICTURES_IN_FLIGHT, self._credit + 1)
        self._changed.set()

    async def send_to(self, socket: Socket) -> None:
        """Send what there is, for ever."""
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
    """All pages, and what they are to know: the server's listener to the tracker."""

    def __init__(self, node: str, want_pictures: Callable[[bool], None]) -> None:
        """Start without pages.

        Args:
            node: name of the node, for people.
            want_pictures: is told whether there is any page.
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
        """A page has come."""
        client = Client()
        client.update("status", self._status())
        if self._objects is not None:
            client.update("objects", page_messages.objects_message(self._objects))
        self._clients.add(client)
        if len(self._clients) == 1:
            self._want_pictures(True)
        return client

    def leave(self, client: Client) -> None:
        """A page has gone."""
        self._clients.remove(client)
        if not self._clients:
            self._want_pictures(False)

    def set_paused(self, paused: bool) -> None:
        """Images are ignored from now on, or no longer."""
        self._paused_at = time.monotonic() if paused else None
        self._tell_status()

    def on_picture(self, picture: Picture) -> None:
        message = page_messages.picture_message(picture)
        for client in self._clients:
            client.show(message)

    def on_objects(self, objects: Sequence[ObjectView]) -> None:
        self._list(objects)
        if self._paused_at is not None and time.monotonic() - self._paused_at > _PAUSE_LAG:
            self.set_paused(False)  # somebody else let it go on

    def forget(self, object_id: int | None) -> None:
        """An object, or None: all, is gone; the next image may be long in coming."""
        known = self._objects or ()
        self._list([o for o in known if object_id not in (None, o.object_id)])

    def _list(self, objects: Sequence[ObjectView]) -> None:
        self._objects = tuple(objects)
        self._update("objects", page_messages.objects_message(self._objects))

    def on_presence(self, present: bool, active: bool) -> None:
        self._present, self._active = present, active
        if not present:  # what comes next is another node, which knows of nothing
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
