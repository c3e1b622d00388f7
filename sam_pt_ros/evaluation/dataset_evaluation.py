"""Evaluates a configuration on a data set, with one or more seeds."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam_pt_ros.configuration import Configuration, load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import Dataset, mean_and_deviation, official_figures
from sam_pt_ros.evaluation.engines import Outcome, run_jobs
from sam_pt_ros.evaluation.first_prompts import Start
from sam_pt_ros.evaluation.report import write_dataset_report
from sam_pt_ros.evaluation.results import SCORES_FILE, SUMMARY_FILE, ScoreRow, write_rows
from sam_pt_ros.evaluation.run_folder import (
    CONFIGURATION_FILE,
    REPORT_FILE,
    RUN_FILE,
    none_if_nan,
    remove_run,
    write_json,
)
from sam_pt_ros.evaluation.scoring import ScoringProtocol
from sam_pt_ros.evaluation.sequence_job import (
    SequenceJob,
    SequenceOutcome,
    earlier_outcome,
    run_sequence,
)
from sam_pt_ros.versions import versions

SEQUENCES_FOLDER = "sequences"
SUBMISSION_FOLDER = "submission"


@dataclass(frozen=True)
class DatasetOptions:
    """What is evaluated, and how.

    Attributes:
        configuration: the parameter file.
        out: the folder to write to.
        seeds: number of seeds, counted up from the configuration's.
        start: how an object is started from its first mask.
        engine: one of :data:`~sam_pt_ros.evaluation.engines.ENGINES`.
        workers: number of jobs at a time.
        resume: continue the evaluation in ``out``.
        masks: write label images even if the scores are computed here.
        films: write a film and a report for every sequence.
    """

    configuration: Path
    out: Path
    seeds: int = 1
    start: Start = "points"
    engine: str = "serial"
    workers: int = 1
    resume: bool = False
    masks: bool = False
    films: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise UserError(f"--seeds must be at least 1, got {self.seeds}")
        if self.workers < 1:
            raise UserError(f"--workers must be at least 1, got {self.workers}")


@dataclass(frozen=True)
class SequenceFigures:
    """One sequence: means over its objects and the seeds; NaN without a ground truth.

    Attributes:
        name: of the sequence.
        j: region similarity.
        f: boundary accuracy.
        fps: frames per second of the pipeline alone, while other workers were running.
    """

    name: str
    j: float
    f: float
    fps: float

    @property
    def j_and_f(self) -> float:
        """Mean of J and F."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, eq=False)
class DatasetResults:
    """The results on a data set.

    Attributes:
        dataset: the data set.
        sequences: in the data set's order, without those of which every seed failed.
        figures: the official figures, as mean and standard deviation over the seeds; empty if
            the ground truth is not available.
        scores: one per sequence, seed and object.
        failures: what failed, by sequence and seed, in words.
        problems: what went wrong without ending a sequence.
        submission: folder of the label images for a server, by seed; None if there is none.
        fps: frames per second of the pipeline alone; NaN if nothing was evaluated.
    """

    dataset: Dataset
    sequences: Sequence[SequenceFigures]
    figures: Mapping[str, tuple[float, float]]
    scores: Sequence[ScoreRow]
    failures: Sequence[str]
    problems: Sequence[str] = ()
    submission: Path | None = None
    fps: float = math.nan


def evaluate_dataset(
    dataset: Dataset,
    options: DatasetOptions,
    on_start: Callable[[int], None] = lambda jobs: None,
    on_done: Callable[[SequenceJob, str | None], None] = lambda job, error: None,
) -> DatasetResults:
    """Run all sequences with all seeds, and write tables, summary and report.

    A sequence that fails is reported and left out of the figures; the others continue.

    Args:
        dataset: what to evaluate on.
        options: how.
        on_start: called with the number of jobs to run.
        on_done: called when a job has ended, with its error or None.

    Raises:
        UserError: the configuration is bad, or ``out`` holds another evaluation.
    """
    configuration = load_configuration(options.configuration)
    _prepare(dataset, options, configuration)
    # Jobs read a copy: editing the file meanwhile must not mix two configurations in a run.
    text = options.configuration.read_bytes()
    (options.out / CONFIGURATION_FILE).write_bytes(text)
    jobs = _jobs(dataset, options, configuration)
    known = (
        {index: earlier_outcome(job) for index, job in enumerate(jobs)} if options.resume else {}
    )
    outcomes: list[SequenceOutcome | None] = [known.get(index) for index in range(len(jobs))]
    todo = [index for index, outcome in enumerate(outcomes) if outcome is None]
    on_start(len(todo))

    def tell(outcome: Outcome[SequenceOutcome]) -> None:
        on_done(jobs[todo[outcome.index]], outcome.error)

    failures = []
    ran = run_jobs(
        run_sequence,
        [jobs[index] for index in todo],
        engine=options.engine,
        workers=options.workers,
        on_done=tell,
    )
    for outcome in ran:
        index = todo[outcome.index]
        outcomes[index] = outcome.result
        if outcome.error is not None:
            failures.append(f"{_name(jobs[index], options)}: {outcome.error}")
    results = _results(dataset, options, jobs, outcomes, failures)
    _write(options, configuration, results)
    return results


def _prepare(dataset: Dataset, options: DatasetOptions, configuration: Configuration) -> None:
    """Prepare the folder; UserError if it holds anything but this evaluation."""
    asked = {
        "dataset": dataset.name,
        "split": dataset.split,
        "start": options.start,
        "configuration": configuration.values,
        "versions": {"sam_pt_ros": versions()["sam_pt_ros"]},
    }
    asked = json.loads(json.dumps(asked, default=str))
    path = options.out / RUN_FILE
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{options.out}: cannot be created as a folder ({error.strerror}); choose another "
            "--out"
        ) from error
    if path.is_file() and options.resume:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(before, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            raise UserError(
                f"{path}: cannot be read as JSON; evaluate again without --resume"
            ) from error
        if before != asked:
            different = sorted(key for key in asked if before.get(key) != asked[key])
            raise UserError(
                f"{options.out}: holds an evaluation with another {', '.join(different)}; choose "
                "another --out, or start over without --resume"
            )
        return
    if any(options.out.iterdir()) and not _is_ours(path):
        raise UserError(f"{options.out}: holds other files; choose an empty folder with --out")
    remove_run(options.out)
    for name in (SEQUENCES_FOLDER, SUBMISSION_FOLDER):
        if (options.out / name).is_dir():
            shutil.rmtree(options.out / name)
    write_json(path, asked)


def _is_ours(path: Path) -> bool:
    try:
        return "sam_pt_ros" in json.loads(path.read_text(encoding="utf-8"))["versions"]
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _jobs(
    dataset: Dataset, options: DatasetOptions, configuration: Configuration
) -> list[SequenceJob]:
    """One job per sequence and seed."""
    out = options.out.absolute()
    first = configuration.pipeline.seed
    write_masks = options.masks or not dataset.scored
    return [
        SequenceJob(
            sequence,
            ScoringProtocol(dataset.skip_first, dataset.skip_last),
            dataset.scored,
            out / CONFIGURATION_FILE,
            seed,
            options.start,
            out / SEQUENCES_FOLDER / sequence.name / f"seed_{seed}",
            out / SUBMISSION_FOLDER / f"seed_{seed}" / dataset.submission_folder
            if write_masks
            else None,
            options.films,
        )
        for sequence in dataset.sequences
        for seed in range(first, first + options.seeds)
    ]


def _name(job: SequenceJob, options: DatasetOptions) -> str:
    seed = f", seed {job.seed}" if options.seeds > 1 else ""
    return f"{job.sequence.name}{seed}"


def _results(
    dataset: Dataset,
    options: DatasetOptions,
    jobs: Sequence[SequenceJob],
    outcomes: Sequence[SequenceOutcome | None],
    failures: Sequence[str],
) -> DatasetResults:
    done = [(job, outcome) for job, outcome in zip(jobs, outcomes) if outcome is not None]
    by_seed: dict[int, list[ScoreRow]] = {}
    by_sequence: dict[str, list[SequenceOutcome]] = {}
    for job, outcome in done:
        by_seed.setdefault(job.seed, []).extend(outcome.scores)
        by_sequence.setdefault(job.sequence.name, []).append(outcome)
    figures = {}
    if dataset.scored and by_seed:
        figures = mean_and_deviation(
            [official_figures(dataset, rows) for rows in by_seed.values()]
        )
    return DatasetResults(
        dataset,
        [_figures(name, found) for name, found in by_sequence.items()],
        figures,
        [row for _, outcome in done for row in outcome.scores],
        failures,
        [f"{_name(job, options)}: {text}" for job, outcome in done for text in outcome.problems],
        options.out / SUBMISSION_FOLDER if any(job.masks for job in jobs) else None,
        _rate([outcome for _, outcome in done]),
    )


def _figures(name: str, outcomes: Sequence[SequenceOutcome]) -> SequenceFigures:
    rows = [row for outcome in outcomes for row in outcome.scores if not math.isnan(row.j_mean)]
    j, f = (
        float(np.mean([getattr(row, measure) for row in rows])) if rows else math.nan
        for measure in ("j_mean", "f_mean")
    )
    return SequenceFigures(name, j, f, _rate(outcomes))


def _rate(outcomes: Sequence[SequenceOutcome]) -> float:
    seconds = sum(outcome.seconds for outcome in outcomes)
    return sum(outcome.frames for outcome in outcomes) / seconds if seconds > 0 else math.nan


def _write(options: DatasetOptions, configuration: Configuration, results: DatasetResults) -> None:
    dataset = results.dataset
    title = f"{dataset.name} {dataset.split}, {options.configuration.stem}"
    write_json(
        options.out / SUMMARY_FILE,
        {
            "title": title,
            "dataset": dataset.name,
            "split": dataset.split,
            "start": options.start,
            "seeds": options.seeds,
            "figures": {
                name: {"mean": none_if_nan(mean), "deviation": none_if_nan(deviation)}
                for name, (mean, deviation) in results.figures.items()
            },
            "sequences": {
                each.name: {
                    "j": none_if_nan(each.j),
                    "f": none_if_nan(each.f),
                    "j_and_f": none_if_nan(each.j_and_f),
                    "fps": none_if_nan(each.fps),
                }
                for each in results.sequences
            },
            "fps": none_if_nan(results.fps),
            "failures": list(results.failures),
            "problems": list(results.problems),
            "configuration_name": options.configuration.name,
            "configuration": configuration.values,
            "backends": configuration.backend_descriptions,
            "versions": versions(),
        },
    )
    write_dataset_report(
        options.out / REPORT_FILE,
        title,
        configuration.values,
        versions(),
        results.scores,
        results.figures,
        [*results.failures, *results.problems],
    )
    write_rows(options.out / SCORES_FILE, ScoreRow, results.scores)
