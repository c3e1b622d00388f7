"""The picker's web server, independent of ROS: it works on any :class:`Tracker`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from sam_pt_ros.picker import page_messages
from sam_pt_ros.picker.candidates import PageCandidates, Turns
from sam_pt_ros.picker.hub import Client, Hub
from sam_pt_ros.picker.newcomers import Newcomers
from sam_pt_ros.picker.page_messages import Command, Drawn, ProtocolError
from sam_pt_ros.picker.security import Access
from sam_pt_ros.picker.tracker_interface import Candidate, Started, Tracker, TrackerError

MAX_PAGES = 16
"""Largest number of open pages."""

MAX_COMMANDS = 8
"""Largest number of unanswered commands of a page."""

_HEARTBEAT = 15.0  # seconds after which a silent page is pinged, and then dropped

_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html"),
    "/picker.css": ("picker.css", "text/css"),
    **{
        f"/{name}.js": (f"{name}.js", "text/javascript")
        for name in ("picker", "gestures", "sketch", "candidates", "undo", "rows", "toasts")
    },
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NO_TOKEN = "This picker needs a token. Open the address that `sam-pt pick` printed at its start."

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Page:
    """An open page: what goes to it, what it has asked for, and its unanswered commands."""

    def __init__(self, client: Client, candidates: PageCandidates) -> None:
        self.client = client
        self.candidates = candidates
        self.waiting: set[asyncio.Task[None]] = set()


@dataclass(frozen=True)
class _Done:
    """What a command did: a message for the user, and what else the answer tells."""

    message: str
    object_id: int | None = None
    candidates: Sequence[Candidate] = ()


class PickerServer:
    """Serves the page and communicates with it."""

    def __init__(self, tracker: Tracker, access: Access) -> None:
        self._tracker = tracker
        self._access = access
        self.hub = Hub(tracker.name, tracker.want_pictures)
        self._newcomers = Newcomers()
        self._turns = Turns()
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._pages: set[_Page] = set()
        self._commands: set[asyncio.Task[None]] = set()
        self._files = {
            path: (_PAGE.joinpath(name).read_bytes(), kind)
            for path, (name, kind) in _FILES.items()
        }

    async def listen(self, host: str, port: int) -> int:
        """Start to serve.

        Args:
            host: name or address to listen on.
            port: 0: any free port.

        Returns:
            The port.

        Raises:
            OSError, UnicodeError, OverflowError: the address cannot be used.
        """
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        handlers = self._runner.server
        assert handlers is not None  # after setup
        self._listening = await asyncio.get_running_loop().create_server(
            self._newcomers.watched(handlers), host, port
        )
        return int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop to serve, and close all pages."""
        if self._listening is not None:
            self._listening.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def application(self) -> web.Application:
        """The application, for an aiohttp runner."""
        application = web.Application(middlewares=[self._guard])
        for path in self._files:
            application.router.add_get(path, self._serve_file)
        application.router.add_get("/socket", self._serve_socket)
        application.on_response_prepare.append(self._add_headers)
        application.on_shutdown.append(self._close_sockets)
        return application

    # --- security -------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        if not self._access.expects_host(host):
            return _refusal("Unknown host name; see `sam-pt pick --help` on --host.")
        if not self._access.expects_origin(origin, host, needed=request.path == "/socket"):
            return _refusal("Requests from other pages are refused.")
        tokens = request.query.get("token"), request.cookies.get(self._access.cookie)
        if not any(self._access.knows(token) for token in tokens):
            return _refusal(_NO_TOKEN)
        self._newcomers.admit(request.transport)
        return await handler(request)

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        host = request.headers.get("Host")
        # In some browsers 'self' does not cover WebSockets.
        sockets = f" ws://{host}" if self._access.expects_host(host) else ""
        response.headers["Content-Security-Policy"] = _POLICY.format(sockets=sockets)

    # --- the page -------------------------------------------------------------------------

    async def _serve_file(self, request: web.Request) -> web.Response:
        content, kind = self._files[request.path]
        response = web.Response(body=content, content_type=kind, charset="utf-8")
        token = request.query.get("token")
        if self._access.token is not None and token is not None and self._access.knows(token):
            # The page removes the token from its URL, so that a shared URL does not contain it.
            response.set_cookie(
                self._access.cookie, token, httponly=True, samesite="Strict", path="/"
            )
        return response

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        if len(self.hub) >= MAX_PAGES:
            raise web.HTTPServiceUnavailable(
                text=f"{MAX_PAGES} pages are already open; close one."
            )
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT, max_msg_size=page_messages.MAX_MESSAGE, compress=False
        )
        await socket.prepare(request)
        client = self.hub.join()
        page = _Page(client, PageCandidates(self._tracker, self._turns))
        self._sockets.add(socket)
        self._pages.add(page)
        sender = asyncio.ensure_future(client.send_to(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(page, message.data)
                else:
                    client.tell(page_messages.error_message("only text messages are allowed"))
        finally:
            self._sockets.discard(socket)
            self._pages.discard(page)
            self.hub.leave(client)
            page.candidates.leave()
            sender.cancel()
            # Its error is expected: the page has closed.
            await asyncio.gather(sender, return_exceptions=True)
        return socket

    async def _close_sockets(self, application: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the picker has stopped")
        for command in self._commands:
            command.cancel()

    # --- commands -------------------------------------------------------------------------

    def _hear(self, page: _Page, text: str) -> None:
        client, waiting = page.client, page.waiting
        try:
            message = page_messages.parse(text)
        except ProtocolError as error:
            client.tell(page_messages.error_message(str(error)))
            return
        if isinstance(message, Drawn):
            client.drawn()
        elif len(waiting) >= MAX_COMMANDS:
            text = "too many commands at once; wait for the answers"
            client.tell(page_messages.answer_message(message.request, False, text))
        else:
            task = asyncio.ensure_future(self._answer(page, message))
            for tasks in (waiting, self._commands):
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    async def _answer(self, page: _Page, command: Command) -> None:
        request = command.request
        try:
            done = await self._do(page.candidates, command)
            answer = page_messages.answer_message(
                request, True, done.message, done.object_id, done.candidates
            )
        except TrackerError as error:
            answer = page_messages.answer_message(request, False, str(error))
        page.client.tell(answer)

    async def _do(self, candidates: PageCandidates, command: Command) -> _Done:
        """Run a command."""
        tracker, action, object_id = self._tracker, command.action, command.object_id
        if action == "remove":
            done = await tracker.remove_object(object_id)
            self._forget(object_id)
            return _Done(done)
        if action == "reset":
            done = await tracker.reset()
            self._forget(None)
            return _Done(done)
        if action == "enable":
            done = await tracker.enable(command.on)
            self.hub.set_paused(not command.on)
            return _Done(done)
        if action == "undo":
            return _Done(await tracker.undo(object_id))
        if action == "another":
            return _Done(await candidates.another(object_id, command.image_size))
        if action == "take":
            return _started(await candidates.take(command.suggestion, command.candidate))
        return await self._do_drawn(candidates, command)

    def _forget(self, object_id: int | None) -> None:
        """An object is gone; None: all are."""
        self.hub.forget(object_id)
        for page in self._pages:
            page.candidates.forget(object_id)

    async def _do_drawn(self, candidates: PageCandidates, command: Command) -> _Done:
        """Run a command with a click or a gesture."""
        tracker, click, gesture = self._tracker, command.click, command.gesture
        if gesture is not None:
            if command.action == "add_points":
                return _Done(await tracker.add_line(command.object_id, gesture, command.on))
            return _started(await tracker.start_object(gesture))
        assert click is not None
        if command.action == "add_point":
            return _Done(await tracker.add_point(command.object_id, click, command.on))
        if command.action == "suggest":
            found = await candidates.suggest(command.request, click, command.image_size)
            return _Done("", candidates=found.candidates)
        started = await tracker.add_object(click)
        candidates.note_start(started.object_id, click)
        return _started(started)


def _started(started: Started) -> _Done:
    return _Done(started.message, started.object_id)


def _refusal(text: str) -> web.Response:
    return web.Response(status=403, text=f"{text}\n")
