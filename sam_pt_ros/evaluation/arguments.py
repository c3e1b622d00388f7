"""The arguments of the commands of ``sam-pt`` that evaluate; what they do is in ``commands``."""

from __future__ import annotations

import argparse
import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.clicks import Click, parse_click

SubParsers = Any  # argparse's, which is generic for type checkers only

DATASET_NAMES = ("davis2016", "davis2017", "youtube_vos2018", "mose2023", "bdd100k", "uvo")
STUDY_METHODS = ("sam_only", "online", "offline")


def add_evaluation_commands(commands: SubParsers) -> None:
    """Add the commands that evaluate, and those that prepare and compare evaluations."""
    _add_evaluate(commands)
    _add_replay(commands)
    _add_make_bag(commands)
    _add_compare(commands)
    _add_sweep(commands)
    _add_study(commands)
    _add_points(commands)


def click(text: str) -> Click:
    """A click of the command line."""
    try:
        return parse_click(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """A number of seconds."""
    return _number(text, "seconds")


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"a number of {what} from 0 on, not '{text}'")
    return value


def _rate(text: str) -> float:
    return _number(text, "frames per second")


def _share(text: str) -> float:
    value = _number(text, "points")
    if value > 1:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1, not '{text}'")
    return value


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, not '{text}'")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on, not '{text}'")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _run(name: str) -> Callable[[argparse.Namespace], None]:
    """The command of that name, imported when it is run: ``--help`` must not wait for it."""

    def run(arguments: argparse.Namespace) -> None:
        module = "sam_pt_ros.evaluation.commands"
        try:
            command = getattr(importlib.import_module(module), name)
        except ImportError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("", "sam_pt_ros"):
                raise
            raise UserError(
                f"the evaluation needs the Python package '{missing}'; run "
                "`pip install sam_pt_ros[evaluation]`, or `make build` in the source folder"
            ) from error
        command(arguments)

    return run


def add_clicks(parser: argparse.ArgumentParser) -> None:
    """Add ``--click`` and ``--start``."""
    parser.add_argument(
        "--click",
        type=click,
        action="append",
        default=[],
        metavar="X,Y[,+|-[,OBJECT]]",
        help="a pixel on an object (+, the default) or beside it (-), and the object's number "
        "(default 1); repeat it for more",
    )
    parser.add_argument(
        "--start",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="when to click, from the first image (default: in it)",
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


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--out``."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help=f"the folder to write to (default: {default})",
    )


def _add_dataset(parser: Any, required: bool) -> None:
    parser.add_argument(
        "--dataset",
        choices=DATASET_NAMES,
        required=required,
        help="a data set in its official folders",
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", required=required, help="the data set's folder"
    )
    parser.add_argument("--split", help="part of the data set (default: val or valid)")
    parser.add_argument(
        "--sequences",
        type=_names,
        metavar="A,B",
        help="these sequences only (default: all that are there)",
    )


def _add_jobs(parser: Any) -> None:
    parser.add_argument(
        "--seeds", type=_count, default=1, metavar="N", help="how many seeds (default: 1)"
    )
    parser.add_argument(
        "--start",
        choices=("points", "click", "mask"),
        default="points",
        help="what is shown of an object's first mask: points sampled from it (default), one "
        "click on its innermost pixel, or the mask",
    )
    parser.add_argument(
        "--engine",
        choices=("serial", "processes", "ray"),
        help="where sequences are run: here, in processes (default with --workers), or on Ray",
    )
    parser.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="sequences at a time (default: 1)"
    )


def _add_topics(parser: Any) -> None:
    parser.add_argument(
        "--image-topic", default="", metavar="TOPIC", help="the images (default: the only ones)"
    )
    clicks = parser.add_mutually_exclusive_group()
    clicks.add_argument(
        "--points-topic",
        default="",
        metavar="TOPIC",
        help="the clicks (PointPromptArray; default: /points, or the only ones)",
    )
    clicks.add_argument(
        "--prompts", type=Path, metavar="FILE", help="a YAML file of clicks, in their place"
    )


def _add_evaluate(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="how well a configuration holds its objects: on a recording or a data set",
        description="Evaluate a configuration on a rosbag2 (sqlite3 or mcap), every frame and "
        "without a ROS graph, or on a data set. Writes tables, films and a report.",
    )
    parser.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="a rosbag2")
    add_configuration(parser)
    add_out(parser, "evaluation")
    bag = parser.add_argument_group("of a recording")
    _add_topics(bag)
    truth = bag.add_mutually_exclusive_group()
    truth.add_argument(
        "--truth-topic",
        default="",
        metavar="TOPIC",
        help="label images with the stamps of the images (default: /truth, if there is one)",
    )
    truth.add_argument(
        "--truth", type=Path, metavar="DIR", help="a folder of label images, in their place"
    )
    bag.add_argument("--no-bag", action="store_true", help="do not write the results into a bag")
    bag.add_argument("--no-film", action="store_true", help="do not write overlay.mp4")
    bag.add_argument(
        "--live",
        action="store_true",
        help="play it to the real node over DDS in real time instead (also: sam-pt replay)",
    )
    dataset = parser.add_argument_group("of a data set")
    _add_dataset(dataset, required=False)
    _add_jobs(dataset)
    dataset.add_argument(
        "--resume", action="store_true", help="go on with what is in --out, and run what failed"
    )
    dataset.add_argument(
        "--masks", action="store_true", help="write label images also where scores are made here"
    )
    dataset.add_argument(
        "--films", action="store_true", help="make a film and a report of every sequence"
    )
    parser.set_defaults(run=_run("evaluate"))


def _add_replay(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "replay",
        help="play a recording to the real node in real time: what it drops, how late it is",
        description="Play a rosbag2 to the real node over DDS in real time, and report which "
        "images it dropped and the latency from the camera's stamp to the mask.",
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="a rosbag2")
    add_configuration(parser)
    add_out(parser, "replay")
    _add_topics(parser)
    parser.set_defaults(run=_run("replay"))


def _add_make_bag(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "make-bag",
        help="make a recording of a folder of frames or a video, with clicks and truth",
        description="Write a rosbag2 with /image, /camera_info, /points and, with annotations, "
        "/truth. Without clicks of your own they are sampled from the annotations.",
    )
    parser.add_argument("source", type=Path, metavar="FRAMES", help="a folder, or a video file")
    parser.add_argument("bag", type=Path, metavar="OUT_BAG", help="the folder to write")
    parser.add_argument(
        "--annotations", type=Path, metavar="DIR", help="a folder of label images of the frames"
    )
    add_clicks(parser)
    parser.add_argument(
        "--prompt",
        choices=("points", "click"),
        default="points",
        help="what is sampled from annotations: 16 points on each object and one beside it "
        "(default), or one click on its innermost pixel",
    )
    parser.add_argument("--seed", type=_seed, default=0, help="of what is sampled (default: 0)")
    parser.add_argument(
        "--rate",
        type=_rate,
        default=25.0,
        metavar="HZ",
        help="frames per second of a folder (default: 25)",
    )
    parser.add_argument(
        "--duration", type=seconds, metavar="SECONDS", help="how much to take (default: all)"
    )
    parser.add_argument(
        "--storage",
        choices=("mcap", "sqlite3"),
        default="mcap",
        help="how it is stored (default: mcap)",
    )
    parser.set_defaults(run=_run("make_bag"))


def _add_compare(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "compare",
        help="what got better or worse from one evaluation to another",
        description="Compare two evaluations by sequence and object. A run is the folder of an "
        "evaluation, or its scores.csv.",
    )
    parser.add_argument("before", type=Path, metavar="RUN_A", help="the earlier run")
    parser.add_argument("after", type=Path, metavar="RUN_B", help="the later run")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write comparison.csv and a plot to this folder"
    )
    parser.add_argument(
        "--tolerance",
        type=_share,
        metavar="LOSS",
        help="fail (exit code 1) if anything lost more than this, 0 to 1",
    )
    parser.set_defaults(run=_run("compare"))


def _add_sweep(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "sweep",
        help="evaluate all combinations of some parameters on a data set",
        description="Evaluate every combination of values on a data set, and print them as the "
        "paper prints its ablations. What an earlier sweep finished is not run again.",
    )
    parser.add_argument(
        "--set",
        dest="axes",
        action="append",
        required=True,
        metavar="NAME=A,B",
        help="a parameter and its values; repeat it for more",
    )
    add_configuration(parser)
    add_out(parser, "sweep")
    _add_dataset(parser, required=True)
    _add_jobs(parser)
    parser.set_defaults(run=_run("sweep"))


def _add_study(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "study",
        help="the interactive study: how many clicks a good mask takes",
        description="Let simulated annotators click on the objects of a data set (SAM-PT, "
        "Appendix L), and draw the mean IoU by interaction.",
    )
    add_configuration(parser)
    add_out(parser, "study")
    _add_dataset(parser, required=True)
    parser.add_argument(
        "--methods",
        type=_names,
        default=STUDY_METHODS,
        metavar="A,B",
        help=f"ways of working (default: {','.join(STUDY_METHODS)})",
    )
    parser.add_argument(
        "--interactions",
        type=_count,
        default=300,
        metavar="N",
        help="for each object, at most (default: 300)",
    )
    parser.add_argument(
        "--per-frame",
        type=_count,
        default=3,
        metavar="N",
        help="in one frame, each time it is visited, at most (default: 3)",
    )
    parser.set_defaults(run=_run("study"))


def _add_points(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "evaluate-points",
        help="how well a tracker follows points, given true tracks",
        description="Track points through a video from where they are true, and score them as "
        "TAP-Vid does: AJ, delta average and OA.",
    )
    parser.add_argument(
        "frames", type=Path, metavar="FRAMES", help="a folder of frames, a video or a rosbag2"
    )
    parser.add_argument(
        "tracks",
        type=Path,
        metavar="TRACKS",
        help="an .npz file: points (T, N, 2) in pixels, visible (T, N) and, unless each point is "
        "given where it is first visible, queries (N,), their frames",
    )
    add_configuration(parser)
    parser.set_defaults(run=_run("evaluate_points"))
