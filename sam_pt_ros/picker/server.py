"""The picker's web server, independent of ROS: it works on any :class:`Tracker`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from sam_pt_ros.picker import page_messages
from sam_pt_ros.picker.hub import Client, Hub
from sam_pt_ros.picker.newcomers import Newcomers
from sam_pt_ros.picker.page_messages import Command, Drawn, ProtocolError
from sam_pt_ros.picker.security import Access
from sam_pt_ros.picker.tracker_interface import Tracker, TrackerError

MAX_PAGES = 16
"""Largest number of open pages."""

MAX_COMMANDS = 8
"""Largest number of unanswered commands of a page."""

_HEARTBEAT = 15.0  # seconds after which a silent page is pinged, and then dropped

_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html"),
    "/picker.css": ("picker.css", "text/css"),
    "/picker.js": ("picker.js", "text/javascript"),
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


class PickerServer:
    """Serves the page and communicates with it."""

    def __init__(self, tracker: Tracker, access: Access) -> None:
        self._tracker = tracker
        self._access = access
        self.hub = Hub(tracker.name, tracker.want_pictures)
        self._newcomers = Newcomers()
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._sockets: set[web.WebSocketResponse] = set()
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
        self._sockets.add(socket)
        sender = asyncio.ensure_future(client.send_to(socket))
        waiting: set[asyncio.Task[None]] = set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(client, message.data, waiting)
                else:
                    client.tell(page_messages.error_message("only text messages are allowed"))
        finally:
            self._sockets.discard(socket)
            self.hub.leave(client)
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

    def _hear(self, client: Client, text: str, waiting: set[asyncio.Task[None]]) -> None:
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
            task = asyncio.ensure_future(self._answer(client, message))
            for tasks in (waiting, self._commands):
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    async def _answer(self, client: Client, command: Command) -> None:
        try:
            done, object_id = await self._do(command)
            answer = page_messages.answer_message(command.request, True, done, object_id)
        except TrackerError as error:
            answer = page_messages.answer_message(command.request, False, str(error))
        client.tell(answer)

    async def _do(self, command: Command) -> tuple[str, int | None]:
        """Run a command; a message for the user, and the id of an object if one was started."""
        tracker, click = self._tracker, command.click
        if command.action == "remove":
            done = await tracker.remove_object(command.object_id)
            self.hub.forget(command.object_id)
            return done, None
        if command.action == "reset":
            done = await tracker.reset()
            self.hub.forget(None)
            return done, None
        if command.action == "enable":
            done = await tracker.enable(command.on)
            self.hub.set_paused(not command.on)
            return done, None
        assert click is not None
        if command.action == "add_point":
            return await tracker.add_point(command.object_id, click, command.on), None
        started = await tracker.add_object(click)
        return started.message, started.object_id


def _refusal(text: str) -> web.Response:
    return web.Response(status=403, text=f"{text}\n")
