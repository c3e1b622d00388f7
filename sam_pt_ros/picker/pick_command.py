"""The command ``sam-pt pick``."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import re
import signal
import socket
from dataclasses import dataclass
from urllib.parse import quote

import rclpy
from rclpy.signals import SignalHandlerOptions

from sam_pt_ros.errors import UserError
from sam_pt_ros.picker.bridge import Bridge
from sam_pt_ros.picker.security import Access, is_loopback, new_token
from sam_pt_ros.picker.server import PickerServer

TOKEN_VARIABLE = "SAM_PT_PICK_TOKEN"
"""Environment variable of the token; a command line would show the token to all users."""

_NAME = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_EVERYWHERE = ("0.0.0.0", "::")
_SOMEWHERE = ("192.0.2.1", 9)  # a reserved address; nothing is sent to it


@dataclass(frozen=True)
class PickOptions:
    """What the user asked for.

    Attributes:
        access: where to listen, and who has access.
        port: 0: any free port.
        node: full name of the tracking node.
        points_topic: topic on which it receives clicks.
        ros_args: for rclpy, without the leading ``--ros-args``.
    """

    access: Access
    port: int
    node: str
    points_topic: str
    ros_args: tuple[str, ...]

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> PickOptions:
        """Check the arguments of the command line; UserError says what is wrong."""
        node = f"/{arguments.node.lstrip('/')}"
        points = arguments.points or f"{node.rpartition('/')[0]}/points"
        for option, name in (("--node", node), ("--points", points)):
            if not _NAME.fullmatch(name):
                raise UserError(f"{option} must be a full name such as /sam_pt, got '{name}'")
        host, token = arguments.host, arguments.token or os.environ.get(TOKEN_VARIABLE) or None
        if token is None and not is_loopback(host):
            token = new_token()
        access = Access(host, token)
        return cls(access, arguments.port, node, points, tuple(arguments.ros_args))


def run_pick(options: PickOptions) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Raises:
        UserError: the ROS arguments are not valid, or the address cannot be used.
        RuntimeError: ROS failed.
    """
    try:
        rclpy.init(
            args=["sam-pt", "--ros-args", *options.ros_args],
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except Exception as error:  # rclpy's classes of errors differ between distributions
        raise UserError(f"--ros-args: {' '.join(str(error).split())}") from error
    try:
        asyncio.run(_serve(options))
    finally:
        rclpy.try_shutdown()


async def _serve(options: PickOptions) -> None:
    bridge = Bridge(options.node, options.points_topic)
    server = PickerServer(bridge, options.access)
    ended = asyncio.Event()
    failures: list[str] = []

    def fail(reason: str) -> None:
        failures.append(reason)
        ended.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        bridge.start(server.hub, fail)
        port = await _listen(server, options)
        print(f"Pick targets for {options.node} at {_url(options.access, port)}")
        print("Press Ctrl-C to stop.", flush=True)
        await ended.wait()
    finally:
        await server.close()
        bridge.close()
    if failures:
        raise RuntimeError(f"ROS failed: {failures[0]}")


async def _listen(server: PickerServer, options: PickOptions) -> int:
    """Start listening; the port."""
    host = options.access.host
    try:
        return await server.listen(host, options.port)
    except (OSError, UnicodeError, OverflowError) as error:
        where = f"port {options.port} of {host}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UserError(f"{where} is already in use; choose another with --port") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot listen on {where} ({reason}); check --host and --port") from error


def _url(access: Access, port: int) -> str:
    """The page's URL, with the token if there is one."""
    host = _own_address() if access.host in _EVERYWHERE else access.host
    if ":" in host:
        host = f"[{host}]"
    token = "" if access.token is None else f"?token={quote(access.token)}"
    return f"http://{host}:{port}/{token}"


def _own_address() -> str:
    """The address of this machine in its network, or else its name."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_SOMEWHERE)
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
