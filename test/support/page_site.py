"""A server in this process for pages in a real browser, and what a hand does on a page."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from aiohttp import web

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.picker.security import Access
from sam_pt_ros.picker.server import PickerServer
from sam_pt_ros.picker.tracker_interface import (
    Candidate,
    Gesture,
    PickerClick,
    Picture,
    Started,
    Suggestion,
)
from support.chromium import Page
from support.fake_tracker import FakeTracker

WIDTH, HEIGHT = 640, 360
ALT, CONTROL = 1, 2  # the protocol's bits for the keys
RADII = (20, 40, 60)

OpenPage = Callable[..., Page]


def disc(x: float, y: float, radius: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> CroppedMask:
    rows, columns = np.indices(size)
    return CroppedMask.cut(np.hypot(columns - x, rows - y) <= radius, (0, 0), size)


class GestureTracker(FakeTracker):
    """It also takes gestures, and suggests discs around every click."""

    def __init__(self) -> None:
        super().__init__()
        self.radii = RADII

    async def start_object(self, gesture: Gesture) -> Started:
        said = await self._do("start", gesture)
        self._ids += 1
        return Started(self._ids, said)

    async def add_line(self, object_id: int, line: Gesture, positive: bool) -> str:
        return await self._do("add_line", object_id, line, positive)

    async def suggest(self, click: PickerClick, image_size: tuple[int, int]) -> Suggestion:
        await self._do("suggest", click, image_size)
        masks = [disc(click.x, click.y, radius, image_size) for radius in self.radii]
        return Suggestion(click, tuple(Candidate(mask, 0.5) for mask in masks))

    async def take(
        self, suggestion: Suggestion, index: int, object_id: int | None = None
    ) -> Started:
        said = await self._do("take", suggestion.click, index, object_id)
        if object_id is None:
            self._ids += 1
        return Started(object_id or self._ids, said)

    async def undo(self, object_id: int) -> str:
        return await self._do("undo", object_id)


class Site:
    """A server in a thread, with a tracker that only writes down."""

    def __init__(self) -> None:
        self.tracker = GestureTracker()
        self.server = PickerServer(self.tracker, Access("127.0.0.1", None))
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.runner = web.AppRunner(self.server.application())
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(10)
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/"
        self.tell("on_presence", True, True)

    async def _start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()

    def tell(self, method: str, *arguments: Any) -> None:
        self.loop.call_soon_threadsafe(getattr(self.server.hub, method), *arguments)

    def show(self, number: int, width: int = WIDTH, height: int = HEIGHT) -> None:
        image = np.full((height, width, 3), 90, np.uint8)
        picture = Picture((1, number), 0.05, cv2.imencode(".jpg", image)[1].tobytes())
        self.tell("on_picture", picture)

    def told(self, count: int = 1) -> list[Any]:
        """What the tracker was told, once it is as much as this."""
        deadline = time.monotonic() + 60
        while len(self.tracker.told) < count:
            assert time.monotonic() < deadline, self.tracker.told
            time.sleep(0.01)
        told, self.tracker.told = self.tracker.told, []
        return told

    def ordered(self, count: int = 1) -> list[Any]:
        """As :meth:`told`, without suggestions: on a busy machine the mouse may seem to rest."""
        deadline = time.monotonic() + 60
        while len(orders := [what for what in self.tracker.told if what[0] != "suggest"]) < count:
            assert time.monotonic() < deadline, self.tracker.told
            time.sleep(0.01)
        self.tracker.told = []
        return orders

    def hold(self) -> None:
        """Let commands wait until :meth:`let_go`."""
        self.tracker.gate = asyncio.Event()

    def let_go(self) -> None:
        gate, self.tracker.gate = self.tracker.gate, None
        assert gate is not None
        self.loop.call_soon_threadsafe(gate.set)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where the centre of an image's pixel is in the window, CSS pixels."""
    left, top, width, height, columns, rows = page.run(
        "(c => { const b = c.getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height, c.width, c.height]; })"
        "(document.querySelector('canvas'))"
    )
    return left + (x + 0.5) / columns * width, top + (y + 0.5) / rows * height


def stop_clock(page: Page) -> None:
    """Let time stand still for the page; ``window.late`` is how many milliseconds have passed."""
    page.run(
        "window.late = 0; const begin = performance.now();"
        "performance.now = () => begin + window.late"
    )


class Hand:
    """A mouse on the pixels of the picture that a page shows."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def _mouse(self, kind: str, pixel: tuple[float, float], **more: Any) -> None:
        x, y = place(self._page, *pixel)
        self._page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def move(self, *pixel: float) -> None:
        self._mouse("mouseMoved", (pixel[0], pixel[1]))

    def press(self, *pixel: float, modifiers: int = 0) -> None:
        for kind in ("mouseMoved", "mousePressed"):
            button = {"button": "left", "clickCount": 1} if kind == "mousePressed" else {}
            self._mouse(kind, (pixel[0], pixel[1]), modifiers=modifiers, **button)

    def pull(self, *pixels: tuple[float, float], modifiers: int = 0) -> None:
        for pixel in pixels:
            self._mouse("mouseMoved", pixel, button="left", buttons=1, modifiers=modifiers)

    def release(self, *pixel: float, modifiers: int = 0) -> None:
        self._mouse(
            "mouseReleased",
            (pixel[0], pixel[1]),
            button="left",
            clickCount=1,
            modifiers=modifiers,
        )

    def drag(self, *pixels: tuple[float, float], modifiers: int = 0) -> None:
        """Press on the first pixel, and release on the last."""
        self.press(*pixels[0], modifiers=modifiers)
        self.pull(*pixels[1:], modifiers=modifiers)
        self.release(*pixels[-1], modifiers=modifiers)

    def wheel(self, x: float, y: float, turn: float) -> None:
        self._mouse("mouseWheel", (x, y), deltaX=0, deltaY=turn)

    def drag_finger(self, *pixels: tuple[float, float]) -> None:
        places = [place(self._page, *pixel) for pixel in pixels]
        for number, (x, y) in enumerate(places):
            kind = "touchMove" if number else "touchStart"
            self._page.send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self._page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
