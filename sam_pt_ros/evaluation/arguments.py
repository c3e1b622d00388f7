"""Types and options of the command line that several commands share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import did_you_mean
from sam_pt_ros.paths import classical_configuration_file, configuration_file
from sam_pt_ros.recordings.clicks import Click, parse_click


def click(text: str) -> Click:
    """A click."""
    try:
        return parse_click(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    return _number(text, "seconds")


def rate(text: str) -> float:
    """A number of frames per second, 0 or more."""
    return _number(text, "frames per second")


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text, "points")
    if value > 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got '{text}'")
    return value


def _number(text: str, unit: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of {unit}, 0 or more; got '{text}'")
    return value


def positive_integer(text: str) -> int:
    """A whole number, 1 or more."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more; got '{text}'")
    return int(text)


def natural_number(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more; got '{text}'")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def add_clicks(parser: argparse.ArgumentParser) -> None:
    """Add ``--click`` and ``--start``."""
    parser.add_argument(
        "--click",
        type=click,
        action="append",
        default=[],
        metavar="X,Y[,+|-[,OBJECT]]",
        help="a pixel on an object (+, the default) or beside it (-), and the object's number "
        "(default: 1); repeat the option for more clicks",
    )
    parser.add_argument(
        "--start",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="when to click, counted from the first image (default: on the first image)",
    )


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the node's parameter file, or the name of one that comes with the package "
        "(default: classical)",
    )


def chosen_configuration(arguments: argparse.Namespace) -> Path:
    """The parameter file that ``--config`` names; UserError if no file has that name."""
    if arguments.config is None:
        return classical_configuration_file()
    path = configuration_file(arguments.config)
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        known = [each.stem for each in classical_configuration_file().parent.glob("*.yaml")]
        raise UserError(
            f"no configuration and no file is named '{path}'{did_you_mean(str(path), known)}"
        )
    return path


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--out``."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help=f"the folder to write to (default: {default})",
    )
