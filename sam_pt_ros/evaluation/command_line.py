"""The commands of ``sam-pt`` that evaluate, and those that prepare and compare evaluations.

What a command does is imported when it is run: ``--help`` must be fast.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.arguments import (
    add_clicks,
    add_configuration,
    add_out,
    names,
    natural_number,
    positive_integer,
    rate,
    seconds,
    share,
)

SubParsers = Any  # argparse's, which is generic for type checkers only
Container = Any  # a parser, or a group of its arguments

DATASET_NAMES = ("davis2016", "davis2017", "youtube_vos2018", "mose2023", "bdd100k", "uvo")
STUDY_METHODS = ("sam_only", "online", "offline")


def add_evaluation_commands(commands: SubParsers) -> None:
    """Add the commands to those of ``sam-pt``."""
    _add_evaluate(commands)
    _add_replay(commands)
    _add_make_bag(commands)
    _add_compare(commands)
    _add_sweep(commands)
    _add_study(commands)
    _add_points(commands)


def _run(module: str, function: str) -> Callable[[argparse.Namespace], None]:
    """The command ``function`` of a module of this package, imported when it is run."""

    def run(arguments: argparse.Namespace) -> None:
        try:
            command = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        except ImportError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("", "sam_pt_ros"):
                raise
            raise UserError(
                f"the evaluation needs the Python package '{missing}'; run "
                "`pip install '.[evaluation]'` or `make build` in the source folder"
            ) from error
        command(arguments)

    return run


# --- options by what they apply to ------------------------------------------------------------


def _add_topics(group: Container) -> None:
    """Where a recording's images and clicks come from."""
    group.add_argument(
        "--image-topic",
        default="",
        metavar="TOPIC",
        help="topic of the images (default: the only one that has images)",
    )
    clicks = group.add_mutually_exclusive_group()
    clicks.add_argument(
        "--points-topic",
        default="",
        metavar="TOPIC",
        help="topic of the clicks, of type PointPromptArray (default: /points, or the only one)",
    )
    clicks.add_argument(
        "--prompts", type=Path, metavar="FILE", help="a YAML file of clicks to use instead"
    )


def _add_offline(group: Container) -> None:
    """What applies to a recording that is not played to the node."""
    truth = group.add_mutually_exclusive_group()
    truth.add_argument(
        "--truth-topic",
        default="",
        metavar="TOPIC",
        help="topic of label images with the stamps of the images (default: /truth, if present)",
    )
    truth.add_argument(
        "--truth", type=Path, metavar="DIR", help="a folder of label images to use instead"
    )
    group.add_argument("--no-bag", action="store_true", help="do not write the results to a bag")
    group.add_argument("--no-film", action="store_true", help="do not write overlay.mp4")


def _add_live(group: Container) -> None:
    group.add_argument(
        "--live",
        action="store_true",
        help="play it to the real node over DDS in real time (the same as sam-pt replay)",
    )


def _add_sequences(group: Container, required: bool = False) -> None:
    """What to evaluate of which data set."""
    group.add_argument(
        "--dataset",
        choices=DATASET_NAMES,
        required=required,
        help="a data set in its official folders",
    )
    group.add_argument(
        "--root", type=Path, metavar="DIR", required=required, help="the data set's folder"
    )
    group.add_argument("--split", help="split of the data set (default: val or valid)")
    group.add_argument(
        "--sequences",
        type=names,
        metavar="A,B",
        help="evaluate only these sequences (default: all)",
    )


def _add_jobs(group: Container) -> None:
    """How sequences are run."""
    group.add_argument(
        "--seeds",
        type=positive_integer,
        default=1,
        metavar="N",
        help="number of seeds (default: 1)",
    )
    group.add_argument(
        "--start",
        choices=("points", "click", "box", "mask"),
        default="points",
        help="how an object is started: with points sampled from its first mask (default), with "
        "one click on the innermost pixel of that mask, with its bounding box, or with the mask "
        "itself",
    )
    group.add_argument(
        "--engine",
        choices=("serial", "processes", "ray"),
        help="where sequences are run: in this process, in several processes (default with "
        "--workers), or on Ray",
    )
    group.add_argument(
        "--workers",
        type=positive_integer,
        default=1,
        metavar="N",
        help="number of sequences to run at a time (default: 1)",
    )


def _add_dataset_outputs(group: Container) -> None:
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue the evaluation in --out, and run again what failed",
    )
    group.add_argument(
        "--masks",
        action="store_true",
        help="write label images even if the scores are computed here",
    )
    group.add_argument(
        "--films", action="store_true", help="write a film and a report for every sequence"
    )


_AddOptions = Callable[[Container], None]

_OF_BAGS: tuple[_AddOptions, ...] = (_add_topics, _add_offline, _add_live)
_OF_DATASETS: tuple[_AddOptions, ...] = (_add_sequences, _add_jobs, _add_dataset_outputs)


def _refuse(options: Sequence[_AddOptions], arguments: argparse.Namespace, reason: str) -> None:
    """UserError if one of these options has another value than its default."""
    parser = argparse.ArgumentParser(add_help=False)
    for add in options:
        add(parser)
    for name, default in vars(parser.parse_args([])).items():
        if getattr(arguments, name) not in (default, ""):
            raise UserError(f"--{name.replace('_', '-')} {reason}")


# --- the commands -----------------------------------------------------------------------------


def _add_evaluate(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure how well a configuration tracks, on a recording or a data set",
        description="Evaluate a configuration on a rosbag2 (sqlite3 or mcap) or on a data set. "
        "Every frame is processed, without a ROS graph. Writes tables, films and a report.",
    )
    parser.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="a rosbag2")
    add_configuration(parser)
    add_out(parser, "evaluation")
    for title, options in (("recording", _OF_BAGS), ("data set", _OF_DATASETS)):
        group = parser.add_argument_group(f"options for a {title}")
        for add in options:
            add(group)
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    """Run what evaluates the input that is given."""
    if arguments.bag is None and arguments.dataset is None:
        raise UserError("give a BAG or a --dataset; see `sam-pt evaluate --help`")
    if arguments.bag is not None and arguments.dataset is not None:
        raise UserError("give a BAG or a --dataset, not both")
    if arguments.dataset is not None:
        _refuse(_OF_BAGS, arguments, "applies to a BAG only")
        if arguments.root is None:
            raise UserError("--dataset needs --root, the data set's folder")
        _run("dataset_commands", "evaluate_dataset_command")(arguments)
        return
    _refuse(_OF_DATASETS, arguments, "applies to a --dataset only")
    if arguments.live:
        _refuse([_add_offline], arguments, "cannot be combined with --live")
        _run("bag_commands", "replay_command")(arguments)
    else:
        _run("bag_commands", "evaluate_bag_command")(arguments)


def _add_replay(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "replay",
        help="play a recording to the real node in real time; report drops and latency",
        description="Play a rosbag2 to the real node over DDS in real time, and report which "
        "images it dropped and the latency from the camera's stamp to the mask.",
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="a rosbag2")
    add_configuration(parser)
    add_out(parser, "replay")
    _add_topics(parser)
    parser.set_defaults(run=_run("bag_commands", "replay_command"))


def _add_make_bag(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "make-bag",
        help="make a rosbag2 from a folder of frames or a video, with clicks and ground truth",
        description="Write a rosbag2 with /image, /camera_info, /points and, if annotations are "
        "given, /truth. Without --click, clicks are sampled from the annotations.",
    )
    parser.add_argument(
        "source", type=Path, metavar="FRAMES", help="a folder of frames, or a video file"
    )
    parser.add_argument("bag", type=Path, metavar="OUT_BAG", help="the folder to write")
    parser.add_argument(
        "--annotations", type=Path, metavar="DIR", help="a folder of label images of the frames"
    )
    add_clicks(parser)
    parser.add_argument(
        "--prompt",
        choices=("points", "click"),
        default="points",
        help="what is sampled from the annotations: 16 points on each object and one beside it "
        "(default), or one click on the object's innermost pixel",
    )
    parser.add_argument(
        "--seed", type=natural_number, default=0, help="seed of the sampling (default: 0)"
    )
    parser.add_argument(
        "--rate",
        type=rate,
        default=25.0,
        metavar="HZ",
        help="frames per second of a folder (default: 25)",
    )
    parser.add_argument(
        "--duration",
        type=seconds,
        metavar="SECONDS",
        help="how much of the input to take (default: all)",
    )
    parser.add_argument(
        "--storage",
        choices=("mcap", "sqlite3"),
        default="mcap",
        help="storage of the bag (default: mcap)",
    )
    parser.set_defaults(run=_run("bag_commands", "make_bag_command"))


def _add_compare(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "compare",
        help="show what got better or worse between two evaluations",
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
        type=share,
        metavar="LOSS",
        help="fail with exit code 1 if anything lost more than this, 0 to 1",
    )
    parser.set_defaults(run=_run("comparison_command", "compare_command"))


def _add_sweep(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "sweep",
        help="evaluate all combinations of some parameters on a data set",
        description="Evaluate every combination of values on a data set, and print a table like "
        "the paper's ablations. Combinations that an earlier sweep finished are not run again.",
    )
    parser.add_argument(
        "--set",
        dest="axes",
        action="append",
        required=True,
        metavar="NAME=A,B",
        help="a parameter and its values; repeat the option for more parameters",
    )
    add_configuration(parser)
    add_out(parser, "sweep")
    _add_sequences(parser, required=True)
    _add_jobs(parser)
    parser.set_defaults(run=_run("dataset_commands", "sweep_command"))


def _add_study(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "study",
        help="run the interactive study: how many clicks a good mask takes",
        description="Let a simulated annotator click on the objects of a data set (SAM-PT, "
        "Appendix L), and plot the mean IoU by interaction.",
    )
    add_configuration(parser)
    add_out(parser, "study")
    _add_sequences(parser, required=True)
    parser.add_argument(
        "--methods",
        type=names,
        default=STUDY_METHODS,
        metavar="A,B",
        help=f"annotation methods (default: {','.join(STUDY_METHODS)})",
    )
    parser.add_argument(
        "--interactions",
        type=positive_integer,
        default=300,
        metavar="N",
        help="largest number of interactions per object (default: 300)",
    )
    parser.add_argument(
        "--per-frame",
        type=positive_integer,
        default=3,
        metavar="N",
        help="largest number of interactions per visit to a frame (default: 3)",
    )
    parser.set_defaults(run=_run("dataset_commands", "study_command"))


def _add_points(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "evaluate-points",
        help="measure how well a tracker follows points, given true tracks",
        description="Track points through a video from their true positions, and score the "
        "tracks as TAP-Vid does: AJ, delta average and OA.",
    )
    parser.add_argument(
        "frames", type=Path, metavar="FRAMES", help="a folder of frames, a video or a rosbag2"
    )
    parser.add_argument(
        "tracks",
        type=Path,
        metavar="TRACKS",
        help="an .npz file with points (T, N, 2) in pixels, visible (T, N) and, optionally, "
        "queries (N,): the frames in which the points are given (default: where they are first "
        "visible)",
    )
    add_configuration(parser)
    parser.set_defaults(run=_run("points_command", "evaluate_points_command"))
