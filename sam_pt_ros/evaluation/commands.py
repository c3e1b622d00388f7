"""What the commands of ``sam-pt`` that evaluate do with their arguments."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation import compare as comparing
from sam_pt_ros.evaluation import make_bag as making
from sam_pt_ros.evaluation import sweep as sweeping
from sam_pt_ros.evaluation.bag_evaluation import BagOptions, evaluate_bag
from sam_pt_ros.evaluation.dataset_evaluation import (
    DatasetOptions,
    DatasetResults,
    evaluate_dataset,
)
from sam_pt_ros.evaluation.datasets.base import Dataset, open_dataset
from sam_pt_ros.evaluation.results import SUMMARY_FILE, ScoreRow
from sam_pt_ros.evaluation.run_folder import REPORT_FILE, RunResults
from sam_pt_ros.evaluation.sequence_job import SequenceJob
from sam_pt_ros.options import did_you_mean
from sam_pt_ros.paths import classical_configuration_file, configuration_file
from sam_pt_ros.recordings.progress import progress_display, step_of


class IncompleteError(RuntimeError):
    """Results of a part of the input, which is what a caller has to know first of all."""


def evaluate(arguments: argparse.Namespace) -> None:
    """``sam-pt evaluate``."""
    if arguments.bag is None and arguments.dataset is None:
        raise UserError("give a BAG or a --dataset; see `sam-pt evaluate --help`")
    if arguments.bag is not None and arguments.dataset is not None:
        raise UserError("give a BAG or a --dataset, not both")
    _check_options(arguments)
    if arguments.dataset is None:
        if arguments.live:
            replay(arguments)
        else:
            _evaluate_bag(arguments)
        return
    if arguments.root is None:
        raise UserError("--dataset needs --root, the data set's folder")
    if arguments.dataset == "uvo":
        _evaluate_uvo(arguments)
    else:
        _evaluate_dataset(arguments)


_OF_BAGS = (
    *("image_topic", "points_topic", "prompts", "truth_topic", "truth"),
    *("no_bag", "no_film", "live"),
)
_OF_DATASETS = (
    *("root", "split", "sequences", "engine", "resume", "masks", "films"),
    *("seeds", "start", "workers"),
)
_DEFAULTS = {"seeds": 1, "start": "points", "workers": 1}


def _check_options(arguments: argparse.Namespace) -> None:
    """UserError for an option that would have no effect."""
    of_bag = arguments.dataset is None
    for name in _OF_DATASETS if of_bag else _OF_BAGS:
        if getattr(arguments, name) not in (_DEFAULTS.get(name), None, "", False):
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option} is for {'a --dataset' if of_bag else 'a BAG'} only")
    if arguments.live:
        for name in ("no_bag", "no_film", "truth_topic", "truth"):
            if getattr(arguments, name):
                raise UserError(f"--{name.replace('_', '-')} does not go with --live")


def _configuration(arguments: argparse.Namespace) -> Path:
    if arguments.config is None:
        return classical_configuration_file()
    path = configuration_file(arguments.config)
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        names = [each.stem for each in classical_configuration_file().parent.glob("*.yaml")]
        raise UserError(
            f"there is no configuration '{path}', and no such file{did_you_mean(str(path), names)}"
        )
    return path


# --- a recording --------------------------------------------------------------------------


def _evaluate_bag(arguments: argparse.Namespace) -> None:
    options = BagOptions(
        arguments.bag,
        _configuration(arguments),
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
    _print_run(console, results, options.out)
    if results.partial is not None:
        raise IncompleteError(f"the results are partial: {results.partial}")


MEASURED = ("J", "F", "J&F", "points inside")


def _print_run(console: Console, results: RunResults, out: Path) -> None:
    table = Table(title=escape(results.title))
    for name in ("object", "frames", "tracked", "score", "scored", *MEASURED):
        table.add_column(name, justify="left" if name == "object" else "right")
    for row in results.scores:
        table.add_row(
            escape(f"{row.object_id} {row.label}".strip()),
            str(row.frames),
            f"{row.tracked:.0%}",
            _figure(row.score),
            str(row.scored),
            *(
                _figure(value)
                for value in (row.j_mean, row.f_mean, row.j_and_f, row.points_inside)
            ),
        )
    console.print(table)
    for text in results.problems:
        _say(console, f"note: {text}")
    _say(console, f"The report is {out / REPORT_FILE}")


def replay(arguments: argparse.Namespace) -> None:
    """``sam-pt replay``: the node, over DDS, in real time."""
    try:
        import rclpy  # noqa: F401

        import sam_pt_ros.msg  # noqa: F401
        from sam_pt_ros.demo.node_process import sigterm_ends_it
        from sam_pt_ros.evaluation.live import LOG_FILE, LiveOptions, replay_live
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"a replay needs ROS 2 and this package's messages ({reason}); run `make build` in "
            "the source folder, or source a workspace in which sam_pt_ros is built"
        ) from error
    options = LiveOptions(
        arguments.bag,
        _configuration(arguments),
        arguments.out,
        arguments.image_topic,
        arguments.points_topic,
        arguments.prompts,
    )
    console = Console()
    with sigterm_ends_it(), progress_display(console) as progress:
        results = replay_live(
            options, lambda description, total: step_of(progress, description, total)
        )
    _print_run(console, results, options.out)
    live = results.live
    assert live is not None
    text = f"{live.frames_in} images in, {live.frames_out} out, {live.dropped} dropped"
    if len(live.latencies_ms):
        p50, p95 = np.percentile(live.latencies_ms, [50, 95])
        text += f"; from stamp to mask {p50:.1f} ms (median), {p95:.1f} ms (95 %)"
    _say(console, text)
    if live.frames_out == 0:
        raise IncompleteError(f"the node published nothing; see {options.out / LOG_FILE}")


# --- a data set ---------------------------------------------------------------------------


def _open(arguments: argparse.Namespace) -> Dataset:
    if arguments.dataset == "uvo":
        raise UserError("UVO gives no object's first mask; it is for `sam-pt evaluate` only")
    return open_dataset(
        arguments.dataset, arguments.root, arguments.split, arguments.sequences or None
    )


def _engine(arguments: argparse.Namespace) -> str:
    engine: str = arguments.engine or ("processes" if arguments.workers > 1 else "serial")
    if engine == "serial" and arguments.workers > 1:
        raise UserError("--engine serial runs one sequence at a time; leave out --workers")
    return engine


def _dataset_options(
    arguments: argparse.Namespace, configuration: Path, out: Path
) -> DatasetOptions:
    return DatasetOptions(
        configuration,
        out,
        arguments.seeds,
        arguments.start,
        _engine(arguments),
        arguments.workers,
        getattr(arguments, "resume", False),
        getattr(arguments, "masks", False),
        getattr(arguments, "films", False),
    )


def _run_dataset(
    dataset: Dataset, options: DatasetOptions, console: Console, title: str
) -> DatasetResults:
    with progress_display(console) as progress:
        task = progress.add_task(title, total=None)

        def tell(job: SequenceJob, error: str | None) -> None:
            progress.advance(task)
            if error is not None:
                text = f"{job.sequence.name}, seed {job.seed} failed: {error}"
                _say(progress.console, text)

        return evaluate_dataset(
            dataset, options, lambda jobs: progress.update(task, total=jobs), tell
        )


def _evaluate_dataset(arguments: argparse.Namespace) -> None:
    dataset = _open(arguments)
    options = _dataset_options(arguments, _configuration(arguments), arguments.out)
    console = Console()
    title = f"{dataset.name} {dataset.split}, {options.configuration.stem}"
    results = _run_dataset(dataset, options, console, title)
    _print_dataset(console, results, options, title)
    if results.failures:
        raise IncompleteError(
            f"{len(results.failures)} of {len(dataset.sequences) * options.seeds} runs failed, "
            f"are in no figure, and are named in the report; the first: {results.failures[0]}"
        )


def _print_dataset(
    console: Console, results: DatasetResults, options: DatasetOptions, title: str
) -> None:
    seeds = f"{options.seeds} seeds" if options.seeds > 1 else "1 seed"
    table = Table(title=escape(f"{title}, {seeds}"))
    for name in ("sequence", "J", "F", "J&F", "fps"):
        table.add_column(name, justify="left" if name == "sequence" else "right")
    for each in results.sequences:
        table.add_row(
            escape(each.name),
            *(_figure(value) for value in (each.j, each.f, each.j_and_f)),
            f"{each.fps:.1f}",
        )
    console.print(table)
    for name, (mean, deviation) in results.figures.items():
        spread = "" if math.isnan(deviation) else f" ± {deviation:.3f}"
        _say(console, f"{name:<10} {_figure(mean)}{spread}")
    _say(console, f"{'fps':<10} {results.fps:.1f}")
    for text in results.problems:
        _say(console, f"note: {text}")
    if results.submission is not None:
        _say(console, f"Label images are in {results.submission}")
    _say(console, f"The report is {options.out / REPORT_FILE}")


def _evaluate_uvo(arguments: argparse.Namespace) -> None:
    from sam_pt_ros.evaluation.uvo_evaluation import evaluate_uvo, figures, open_uvo

    for option in ("resume", "masks", "films"):
        if getattr(arguments, option):
            raise UserError(f"--{option} is not for UVO")
    if arguments.seeds != 1 or arguments.start != "points":
        raise UserError("UVO's objects start from proposals; leave out --seeds and --start")
    videos = open_uvo(arguments.root, arguments.split, arguments.sequences or None)
    console = Console()
    with (
        progress_display(console) as progress,
        step_of(progress, "Tracking proposals", len(videos)) as advance,
    ):
        results = evaluate_uvo(
            videos,
            _configuration(arguments),
            arguments.out,
            _engine(arguments),
            arguments.workers,
            advance,
        )
    if results.scores is not None:
        for name, value in figures(results.scores).items():
            _say(console, f"{name:<10} {_figure(value)}")
    _say(console, f"Results are in {arguments.out}")
    if results.failures:
        raise IncompleteError(
            f"{len(results.failures)} of {results.videos} videos failed, are in no figure, and "
            f"are named in {SUMMARY_FILE}; the first: {results.failures[0]}"
        )


# --- bags, comparisons, sweeps, the study -------------------------------------------------


def make_bag(arguments: argparse.Namespace) -> None:
    """``sam-pt make-bag``."""
    options = making.MakeBagOptions(
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
        step_of(progress, f"Writing {options.bag.name}") as advance,
    ):
        made = making.make_bag(options, advance)
    width, height = made.size
    clicks = len(made.click_stamps)
    _say(
        console,
        f"{made.path}: {len(made.stamps)} images of {width}x{height} pixels, "
        f"{made.seconds:.2f} s, clicks on {clicks} of them",
    )
    if not clicks:
        _say(console, "note: without clicks it is evaluated with --prompts only")


def compare(arguments: argparse.Namespace) -> None:
    """``sam-pt compare``."""
    comparison = comparing.compare(
        comparing.load_run(arguments.before), comparing.load_run(arguments.after)
    )
    print(comparing.format_comparison(comparison))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        comparing.write_comparison(arguments.out / "comparison.csv", comparison)
        comparing.plot_comparison(arguments.out / "comparison.svg", comparison)
    if arguments.tolerance is not None:
        worse = comparing.worse_than(comparison, arguments.tolerance)
        if worse:
            raise IncompleteError(
                f"worse by more than {arguments.tolerance:g}: " + "; ".join(worse)
            )


def sweep(arguments: argparse.Namespace) -> None:
    """``sam-pt sweep``."""
    dataset = _open(arguments)
    if not dataset.scored:
        raise UserError(f"{dataset.name} {dataset.split} is scored on a server only")
    grid = sweeping.Grid.parse(arguments.axes)
    console = Console()

    def evaluate_one(configuration: Path, folder: Path) -> Sequence[ScoreRow]:
        options = _dataset_options(arguments, configuration, folder / "run")
        results = _run_dataset(dataset, options, console, folder.name)
        if results.failures:
            raise IncompleteError("; ".join(results.failures))
        return results.scores

    names = ",".join(sequence.name for sequence in dataset.sequences)
    result = sweeping.run_sweep(
        _configuration(arguments),
        grid,
        arguments.out,
        evaluate_one,
        conditions=f"{dataset.name} {dataset.split}: {names}; {arguments.seeds} seeds; "
        f"{arguments.start}",
    )
    print(sweeping.format_sweep(result))
    sweeping.write_sweep(arguments.out / "sweep.csv", result)
    failed = [entry.combination.name for entry in result.entries if entry.error]
    if failed:
        raise IncompleteError(f"{len(failed)} combinations failed: {', '.join(failed)}")


def study(arguments: argparse.Namespace) -> None:
    """``sam-pt study``."""
    from sam_pt_ros.evaluation.interactive.curve import mean_curve, plot_curves, write_curves
    from sam_pt_ros.evaluation.interactive.methods import Budget, method_named
    from sam_pt_ros.evaluation.interactive.study import run_study

    dataset = _open(arguments)
    if not dataset.scored:
        raise UserError(f"{dataset.name} {dataset.split} has no truth to look at")
    configuration = load_configuration(_configuration(arguments)).offline()
    for name in arguments.methods:
        method_named(name)
    budget = Budget(interactions=arguments.interactions, per_frame=arguments.per_frame)
    console = Console()
    curves = []
    with (
        progress_display(console) as progress,
        step_of(progress, "Annotating", len(dataset.sequences)) as advance,
    ):
        for sequence in dataset.sequences:
            curves += run_study(sequence, configuration.create, arguments.methods, budget)
            advance()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_curves(arguments.out / "study.csv", curves)
    plot_curves(arguments.out / "study.png", curves, budget.iou)
    for name in arguments.methods:
        mine = [curve for curve in curves if curve.method == name]
        mean = mean_curve(mine)
        spent = sum(curve.spent for curve in mine) / len(mine)
        _say(
            console,
            f"{name:<10} mean IoU {mean[-1]:.3f} after {spent:.1f} interactions for each object",
        )
    _say(console, f"Curves are in {arguments.out}")


def evaluate_points(arguments: argparse.Namespace) -> None:
    """``sam-pt evaluate-points``."""
    from sam_pt_ros.evaluation.point_metrics import THRESHOLDS
    from sam_pt_ros.evaluation.track_evaluation import evaluate_tracks, read_frames, read_tracks

    configuration = load_configuration(_configuration(arguments))
    truth = read_tracks(arguments.tracks)
    scores = evaluate_tracks(configuration, read_frames(arguments.frames), truth)
    console = Console()
    for name, value in (
        ("AJ", scores.average_jaccard),
        ("delta_avg", scores.average_pts_within_thresh),
        ("OA", scores.occlusion_accuracy),
    ):
        _say(console, f"{name:<10} {_figure(value)}")
    for threshold, near in zip(THRESHOLDS, scores.pts_within, strict=True):
        _say(console, f"within {threshold:>2} px of 256: {_figure(near)}")


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _say(console: Console, text: str) -> None:
    """Print a line as it is; a path in it must stay whole."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
