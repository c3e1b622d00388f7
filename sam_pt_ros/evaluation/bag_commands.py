"""The commands on recordings: ``sam-pt evaluate BAG``, ``replay`` and ``make-bag``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from sam_pt_ros.errors import UserError, counted, one_line
from sam_pt_ros.evaluation.arguments import chosen_configuration
from sam_pt_ros.evaluation.bag_evaluation import BagOptions, evaluate_bag
from sam_pt_ros.evaluation.incomplete import IncompleteError
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.evaluation.run_folder import REPORT_FILE, RunResults
from sam_pt_ros.output.terminal import (
    format_score,
    make_table,
    print_line,
    progress_display,
    progress_step,
)
from sam_pt_ros.recordings.skipped import MOST_LINES


def evaluate_bag_command(arguments: argparse.Namespace) -> None:
    """``sam-pt evaluate BAG``: every frame, without a ROS graph."""
    options = BagOptions(
        arguments.bag,
        chosen_configuration(arguments),
        arguments.out,
        arguments.image_topic,
        arguments.points_topic,
        arguments.prompts,
        arguments.truth_topic,
        arguments.truth,
        not arguments.no_bag,
        not arguments.no_film,
    )
    console = Console()
    with progress_display(console) as progress:
        task = progress.add_task(f"Evaluating {options.bag.name}", total=None)
        results = evaluate_bag(
            options,
            lambda frames: progress.update(task, total=frames),
            lambda: progress.advance(task),
        )
    _print_results(console, results, options.out)
    partial = None if results.partial is None else f"the results are partial: {results.partial}"
    reasons = [text for text in (partial, results.undecoded) if text is not None]
    if reasons:
        raise IncompleteError("; ".join(reasons))


def replay_command(arguments: argparse.Namespace) -> None:
    """``sam-pt replay``: the real node, over DDS, in real time."""
    try:
        import rclpy  # noqa: F401

        import sam_pt_ros.msg  # noqa: F401
        from sam_pt_ros.demo.node_process import sigterm_ends_it
        from sam_pt_ros.evaluation.live import LOG_FILE, LiveOptions, replay_live
    except ImportError as error:
        reason = one_line(error)
        raise UserError(
            f"a replay needs ROS 2 and this package's messages ({reason}); run `make build` in "
            "the source folder, or source a workspace in which sam_pt_ros is built"
        ) from error
    options = LiveOptions(
        arguments.bag,
        chosen_configuration(arguments),
        arguments.out,
        arguments.image_topic,
        arguments.points_topic,
        arguments.prompts,
    )
    console = Console()
    with sigterm_ends_it(), progress_display(console) as progress:
        results = replay_live(
            options, lambda description, total: progress_step(progress, description, total)
        )
    _print_results(console, results, options.out)
    live = results.live
    assert live is not None
    text = f"{counted(live.frames_in, 'image')} in, {live.frames_out} out, {live.dropped} dropped"
    if len(live.latencies_ms):
        p50, p95 = np.percentile(live.latencies_ms, [50, 95])
        text += f"; latency from stamp to mask: median {p50:.1f} ms, 95th percentile {p95:.1f} ms"
    print_line(console, text)
    if live.frames_out == 0:
        raise IncompleteError(f"the node published nothing; see {options.out / LOG_FILE}")
    if results.undecoded is not None:
        raise IncompleteError(results.undecoded)


def _print_results(console: Console, results: RunResults, out: Path) -> None:
    head = ("object", "frames", "tracked", "score", "scored", "J", "F", "J&F", "points inside")
    rows = [
        [
            f"{row.object_id} {row.label}".strip(),
            str(row.frames),
            f"{row.tracked:.0%}",
            format_score(row.score),
            str(row.scored),
            format_score(row.j_mean),
            format_score(row.f_mean),
            format_score(row.j_and_f),
            format_score(row.points_inside),
        ]
        for row in results.scores
    ]
    console.print(make_table(head, rows, title=results.title))
    for text in results.problems:
        print_line(console, f"note: {text}")
    print_line(console, f"The report is {out / REPORT_FILE}")


def make_bag_command(arguments: argparse.Namespace) -> None:
    """``sam-pt make-bag``."""
    options = MakeBagOptions(
        arguments.source,
        arguments.bag,
        arguments.annotations,
        tuple(arguments.click),
        arguments.start,
        arguments.prompt,
        arguments.seed,
        arguments.rate,
        arguments.duration,
        arguments.storage,
    )
    console = Console()
    with (
        progress_display(console) as progress,
        progress_step(progress, f"Writing {options.bag.name}") as advance,
    ):
        made = make_bag(options, advance)
    width, height = made.size
    clicks = len(made.click_stamps)
    print_line(
        console,
        f"{made.path}: {counted(len(made.stamps), 'image')} of {width}x{height} pixels, "
        f"{made.seconds:.2f} s, clicks on {clicks} of them",
    )
    if not clicks:
        print_line(console, "note: the bag holds no clicks; evaluate it with --prompts")
    if left_out := len(made.problems):
        for text in made.problems[:MOST_LINES]:
            print_line(console, f"note: {text}")
        if left_out > MOST_LINES:
            rest = counted(left_out - MOST_LINES, "more frame")
            print_line(console, f"note: left out as well: {rest}")
        total = left_out + len(made.stamps)
        raise IncompleteError(
            f"the bag is partial: {left_out} of {total} frames of {options.source} could not be "
            "read and were left out"
        )
