"""The command line tool ``sam-pt``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sam_pt_ros import __version__
from sam_pt_ros.errors import UserError, one_line
from sam_pt_ros.evaluation.arguments import add_clicks, add_configuration, add_out, seconds
from sam_pt_ros.evaluation.command_line import add_evaluation_commands

BAD_INPUT = 2
"""Exit code for errors that the user can correct."""

FAILED = 1
INTERRUPTED = 130

MAX_CAMERA = 255
"""Largest device number of Video4Linux."""

MAX_PORT = 65535


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``sam-pt``; its exit code.

    Args:
        argv: arguments without the program's name; those of the process by default.
    """
    try:
        arguments = _parser().parse_args(argv)
        arguments.run(arguments)
    except UserError as error:
        print(f"sam-pt: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:  # a file that the user named cannot be read or written
        print(f"sam-pt: {_reason(error)}", file=sys.stderr)
        return BAD_INPUT
    except RuntimeError as error:
        print(f"sam-pt: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("sam-pt: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _reason(error: OSError) -> str:
    """What went wrong, and with which file if that is known."""
    reason = error.strerror or one_line(error)
    if error.filename:
        return f"{error.filename}: {reason}"
    return f"a file cannot be read or written ({reason}); check the free space on the disk"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sam-pt", description="Track objects that are clicked in a camera image."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_pick(commands)
    add_evaluation_commands(commands)
    _add_download(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="play a video to the real node, and show the result",
        description="Play a video to the real node over DDS, record everything that it publishes, "
        "and write pictures and figures. Without an input, a clip of Big Buck Bunny is played.",
    )
    source = demo.add_mutually_exclusive_group()
    source.add_argument("--video", type=Path, metavar="FILE", help="a video file")
    source.add_argument("--camera", type=_camera, metavar="N", help="the camera /dev/videoN")
    source.add_argument(
        "--bag", type=Path, metavar="DIR", help="a rosbag2 (sqlite3 or mcap) with images"
    )
    demo.add_argument(
        "--image-topic", metavar="TOPIC", help="topic of the bag's images (default: the first)"
    )
    add_clicks(demo)
    demo.add_argument(
        "--duration",
        type=seconds,
        metavar="SECONDS",
        help="how much of the input to take (default: all; of a camera: 10)",
    )
    add_configuration(demo)
    demo.add_argument(
        "--every-frame",
        action="store_true",
        help="process every frame, however long it takes (default: play in real time)",
    )
    add_out(demo, "demo_output")
    demo.set_defaults(run=_demo)


def _add_pick(commands: argparse._SubParsersAction[_Parser]) -> None:
    pick = commands.add_parser(
        "pick",
        help="pick targets in a web browser",
        description="Serve a web page that shows what the node tracks, and on which objects are "
        "started, refined and removed by clicks. Other machines can open the page only if --host "
        "allows it, and only with the token.",
    )
    pick.add_argument(
        "--port",
        type=_port,
        default=8080,
        metavar="N",
        help="port; 0: any free one (default: %(default)s)",
    )
    pick.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0: all of this machine (default: %(default)s)",
    )
    pick.add_argument(
        "--token",
        help="token that is needed to open the page (default: the environment variable "
        "SAM_PT_PICK_TOKEN, or a random one where one is needed)",
    )
    pick.add_argument(
        "--node",
        default="/sam_pt",
        metavar="NAME",
        help="name of the tracking node (default: %(default)s)",
    )
    pick.add_argument(
        "--points",
        metavar="TOPIC",
        help="topic on which the node receives clicks (default: 'points' in its namespace)",
    )
    pick.add_argument(
        "--ros-args",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="...",
        help="pass all arguments that follow to ROS, such as '-p use_sim_time:=true'",
    )
    pick.set_defaults(run=_pick)


def _add_download(commands: argparse._SubParsersAction[_Parser]) -> None:
    download = commands.add_parser(
        "download",
        help="download the trained weights of a network",
        description="Download trained weights from their authors, and verify them. Interrupted "
        "downloads resume.",
    )
    download.add_argument(
        "names", nargs="*", metavar="NAME", help="one or more names (see --list)"
    )
    download.add_argument("--all", action="store_true", help="download all weights")
    download.add_argument(
        "--list", action="store_true", help="list all weights, and which of them are present"
    )
    download.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="folder of the files (default: $SAM_PT_CHECKPOINT_DIR, else the user's cache)",
    )
    download.set_defaults(run=_download)


def _download(arguments: argparse.Namespace) -> None:
    if sum((bool(arguments.names), arguments.all, arguments.list)) != 1:
        raise UserError("give names, --all or --list; see `sam-pt download --help`")
    try:
        from sam_pt_ros.weights import download
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "rich":
            raise
        raise UserError(
            "the download needs the Python package 'rich'; run `pip install rich`"
        ) from error
    directory = None if arguments.directory is None else arguments.directory.expanduser()
    if arguments.list:
        print(download.list_checkpoints(directory))
    else:
        download.download_all(None if arguments.all else arguments.names, directory)


def _demo(arguments: argparse.Namespace) -> None:
    try:
        import rclpy  # noqa: F401

        import sam_pt_ros.msg  # noqa: F401
        from sam_pt_ros.demo.demo_command import DemoOptions, run_demo
    except ImportError as error:
        raise UserError(_missing(error, "the demo")) from error
    run_demo(DemoOptions.from_arguments(arguments))


def _pick(arguments: argparse.Namespace) -> None:
    try:
        import aiohttp  # noqa: F401
        import rclpy  # noqa: F401

        import sam_pt_ros.msg  # noqa: F401
        from sam_pt_ros.picker.pick_command import PickOptions, run_pick
    except ImportError as error:
        raise UserError(_missing(error, "the picker")) from error
    run_pick(PickOptions.from_arguments(arguments))


def _missing(error: ImportError, who: str) -> str:
    """A message about a module that is not installed."""
    if error.name in ("aiohttp", "av", "kmedoids", "mcap", "rich", "rosbags", "zstandard"):
        return f"{who} needs the Python package '{error.name}'; run `pip install {error.name}`"
    reason = one_line(error)
    return (
        f"{who} needs ROS 2 and this package's messages ({reason}); run `make demo` in the "
        "source folder, or source a workspace in which sam_pt_ros is built"
    )


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a port, 0 to {MAX_PORT}; got '{text}'")
    return int(text)


def _camera(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_CAMERA):
        raise argparse.ArgumentTypeError(
            f"must be the N of /dev/videoN, 0 to {MAX_CAMERA}; got '{text}'"
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
