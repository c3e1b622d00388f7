"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "browser" / "chromium"
TIMEOUT = 60.0
SHIFT = 8  # the protocol's bit for the key


class Chromium:
    """The browser's process, and the connection to it."""

    def __init__(self) -> None:
        assert PROGRAM.exists(), "there is no browser for this test; run `make browser`"
        self._profile = tempfile.mkdtemp(prefix="sam_pt_chromium_")
        self._process = subprocess.Popen(
            [
                str(PROGRAM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--no-first-run", "--disable-background-networking", "--mute-audio"),
                *("--remote-debugging-port=0", f"--user-data-dir={self._profile}", "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future] = {}
        self.pages: dict[str, Page] = {}
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            raise AssertionError("the browser did not start")
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self.wait(self._connect(found[1]))

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run in the thread of the connection; the result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT)

    async def _connect(self, url: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(url, max_msg_size=0)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            content = json.loads(message.data)
            if "id" in content:
                self._answers.pop(content["id"]).set_result(content)
            elif (page := self.pages.get(content.get("sessionId", ""))) is not None:
                page.hear(content["method"], content["params"])

    async def _send(self, method: str, session: str | None, parameters: dict[str, Any]) -> Any:
        number = next(self._numbers)
        self._answers[number] = answer = self._loop.create_future()
        order: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(order if session is None else order | {"sessionId": session})
        content = await answer
        assert "error" not in content, (method, content["error"])
        return content["result"]

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the protocol; its result."""
        return self.wait(self._send(method, session, parameters))

    def open(self, url: str, width: int = 1280, height: int = 800, **metrics: Any) -> Page:
        """A page in a window of this size (CSS pixels); ``metrics`` as of setDeviceMetrics."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.send(f"{domain}.enable")
        metrics = {"deviceScaleFactor": 1, "mobile": False} | metrics
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=height, **metrics)
        page.send("Page.navigate", url=url)
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    def close(self) -> None:
        self.wait(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._process.terminate()
        self._process.wait(TIMEOUT)
        shutil.rmtree(self._profile, ignore_errors=True)


class Page:
    """One page; ``complaints`` are errors of scripts, of the security policy and of loading."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []

    def send(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol for this page; its result."""
        return self._browser.send(method, self._session, **parameters)

    def close(self) -> None:
        self.send("Page.close")
        del self._browser.pages[self._session]

    def hear(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(json.dumps(parameters["entry"]))

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        done = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, (script, done["exceptionDetails"])
        return done["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true; its value."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := self.run(script)):
            said = self.run("document.body?.innerText"), self.complaints
            assert time.monotonic() < deadline, f"waited in vain for {script} in {said}"
            time.sleep(0.02)
        return value

    def click(self, x: float, y: float, modifiers: int = 0) -> None:
        """Press and release the mouse, CSS pixels."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=modifiers, **button
            )

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key, named as JavaScript names it."""
        text = {"text": key} if len(key) == 1 else {}
        if key == "Enter":
            text = {"text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                modifiers=modifiers,
                **(text if kind == "keyDown" else {}),
            )

    def tap(self, selector: str) -> None:
        """Click on the middle of an element."""
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        x, y = self.run(f"(b => [b.left + b.width / 2, b.top + b.height / 2])({box})")
        self.click(x, y)

    def touch(self, x: float, y: float) -> None:
        """Touch with a finger."""
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
