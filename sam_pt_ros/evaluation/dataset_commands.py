"""The commands on data sets: ``sam-pt evaluate --dataset``, ``sweep`` and ``study``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.evaluation.arguments import chosen_configuration
from sam_pt_ros.evaluation.dataset_evaluation import (
    DatasetOptions,
    DatasetResults,
    evaluate_dataset,
)
from sam_pt_ros.evaluation.datasets.dataset import Dataset, open_dataset
from sam_pt_ros.evaluation.incomplete import IncompleteError
from sam_pt_ros.evaluation.results import SUMMARY_FILE, ScoreRow
from sam_pt_ros.evaluation.run_folder import REPORT_FILE
from sam_pt_ros.evaluation.sequence_job import SequenceJob
from sam_pt_ros.evaluation.sweep import run_sweep
from sam_pt_ros.evaluation.sweep_grid import Grid
from sam_pt_ros.evaluation.sweep_table import format_sweep, write_sweep
from sam_pt_ros.output.terminal import (
    format_score,
    make_table,
    print_line,
    progress_display,
    progress_step,
)


def evaluate_dataset_command(arguments: argparse.Namespace) -> None:
    """``sam-pt evaluate --dataset``."""
    if arguments.dataset == "uvo":
        _evaluate_uvo(arguments)
        return
    dataset = _open(arguments)
    options = _options(arguments, chosen_configuration(arguments), arguments.out)
    console = Console()
    title = f"{dataset.name} {dataset.split}, {options.configuration.stem}"
    results = _evaluate(dataset, options, console, title)
    _print_results(console, results, options, title)
    if results.failures:
        raise IncompleteError(
            f"{len(results.failures)} of {len(dataset.sequences) * options.seeds} runs failed; "
            "no score includes them, and the report names them; the first: "
            f"{results.failures[0]}"
        )


def _open(arguments: argparse.Namespace) -> Dataset:
    if arguments.dataset == "uvo":
        raise UserError("UVO gives no object's first mask; use it with `sam-pt evaluate` only")
    return open_dataset(
        arguments.dataset, arguments.root, arguments.split, arguments.sequences or None
    )


def _engine(arguments: argparse.Namespace) -> str:
    engine: str = arguments.engine or ("processes" if arguments.workers > 1 else "serial")
    if engine == "serial" and arguments.workers > 1:
        raise UserError("--engine serial runs one sequence at a time; leave out --workers")
    return engine


def _options(arguments: argparse.Namespace, configuration: Path, out: Path) -> DatasetOptions:
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


def _evaluate(
    dataset: Dataset, options: DatasetOptions, console: Console, title: str
) -> DatasetResults:
    with progress_display(console) as progress:
        task = progress.add_task(title, total=None)

        def on_done(job: SequenceJob, error: str | None) -> None:
            progress.advance(task)
            if error is not None:
                text = f"{job.sequence.name}, seed {job.seed} failed: {error}"
                print_line(progress.console, text)

        return evaluate_dataset(
            dataset, options, lambda jobs: progress.update(task, total=jobs), on_done
        )


def _print_results(
    console: Console, results: DatasetResults, options: DatasetOptions, title: str
) -> None:
    seeds = f"{options.seeds} seeds" if options.seeds > 1 else "1 seed"
    rows = [
        [each.name, *map(format_score, (each.j, each.f, each.j_and_f)), f"{each.fps:.1f}"]
        for each in results.sequences
    ]
    head = ("sequence", "J", "F", "J&F", "fps")
    console.print(make_table(head, rows, title=f"{title}, {seeds}"))
    for name, (mean, deviation) in results.figures.items():
        spread = "" if math.isnan(deviation) else f" ± {deviation:.3f}"
        print_line(console, f"{name:<10} {format_score(mean)}{spread}")
    print_line(console, f"{'fps':<10} {results.fps:.1f}")
    for text in results.problems:
        print_line(console, f"note: {text}")
    if results.submission is not None:
        print_line(console, f"The label images are in {results.submission}")
    print_line(console, f"The report is {options.out / REPORT_FILE}")


def _evaluate_uvo(arguments: argparse.Namespace) -> None:
    from sam_pt_ros.evaluation.uvo_evaluation import evaluate_uvo, figures, open_uvo

    for option in ("resume", "masks", "films"):
        if getattr(arguments, option):
            raise UserError(f"--{option} is not supported for UVO; leave it out")
    if arguments.seeds != 1 or arguments.start != "points":
        raise UserError("UVO's objects start from proposals; leave out --seeds and --start")
    videos = open_uvo(arguments.root, arguments.split, arguments.sequences or None)
    console = Console()
    with (
        progress_display(console) as progress,
        progress_step(progress, "Tracking proposals", len(videos)) as advance,
    ):
        results = evaluate_uvo(
            videos,
            chosen_configuration(arguments),
            arguments.out,
            _engine(arguments),
            arguments.workers,
            advance,
        )
    if results.scores is not None:
        for name, value in figures(results.scores).items():
            print_line(console, f"{name:<10} {format_score(value)}")
    print_line(console, f"The results are in {arguments.out}")
    if results.failures:
        raise IncompleteError(
            f"{len(results.failures)} of {results.videos} videos failed; no score includes them, "
            f"and {SUMMARY_FILE} names them; the first: {results.failures[0]}"
        )


def sweep_command(arguments: argparse.Namespace) -> None:
    """``sam-pt sweep``."""
    dataset = _open(arguments)
    if not dataset.scored:
        raise UserError(
            f"{dataset.name} {dataset.split} is scored on a server only; choose another --split"
        )
    grid = Grid.parse(arguments.axes)
    console = Console()

    def evaluate_one(configuration: Path, folder: Path) -> Sequence[ScoreRow]:
        options = _options(arguments, configuration, folder / "run")
        results = _evaluate(dataset, options, console, folder.name)
        if results.failures:
            raise IncompleteError("; ".join(results.failures))
        return results.scores

    names = ",".join(sequence.name for sequence in dataset.sequences)
    result = run_sweep(
        chosen_configuration(arguments),
        grid,
        arguments.out,
        evaluate_one,
        conditions=f"{dataset.name} {dataset.split}: {names}; {arguments.seeds} seeds; "
        f"{arguments.start}",
    )
    print(format_sweep(result))
    write_sweep(arguments.out / "sweep.csv", result)
    failed = [entry.combination.name for entry in result.entries if entry.error]
    if failed:
        raise IncompleteError(f"{counted(len(failed), 'combination')} failed: {', '.join(failed)}")


def study_command(arguments: argparse.Namespace) -> None:
    """``sam-pt study``."""
    from sam_pt_ros.evaluation.interactive.curve import mean_curve, plot_curves, write_curves
    from sam_pt_ros.evaluation.interactive.methods import Budget, method_named
    from sam_pt_ros.evaluation.interactive.study import run_study

    dataset = _open(arguments)
    if not dataset.scored:
        raise UserError(
            f"{dataset.name} {dataset.split} has no ground truth here; choose another --split"
        )
    configuration = load_configuration(chosen_configuration(arguments)).offline()
    for name in arguments.methods:
        method_named(name)
    budget = Budget(interactions=arguments.interactions, per_frame=arguments.per_frame)
    console = Console()
    curves = []
    with (
        progress_display(console) as progress,
        progress_step(progress, "Annotating", len(dataset.sequences)) as advance,
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
        print_line(
            console,
            f"{name:<10} mean IoU {mean[-1]:.3f} after {spent:.1f} interactions per object",
        )
    print_line(console, f"The curves are in {arguments.out}")
