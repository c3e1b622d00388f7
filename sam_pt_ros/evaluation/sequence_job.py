"""The evaluation of one sequence with one seed and one configuration, as a job of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.first_prompts import Start, first_prompt
from sam_pt_ros.evaluation.label_images import submission_path, write_gray, write_indexed
from sam_pt_ros.evaluation.result_writer import ResultWriter
from sam_pt_ros.evaluation.results import (
    RESULTS_FILE,
    SCORES_FILE,
    TIMINGS_FILE,
    ObjectRow,
    ScoreRow,
    TimingRow,
    read_rows,
    write_rows,
)
from sam_pt_ros.evaluation.run_folder import FILM_FILE, REPORT_FILE, RunResults, write_run
from sam_pt_ros.evaluation.scoring import Scorer, ScoringProtocol
from sam_pt_ros.evaluation.sequences import VideoSequence
from sam_pt_ros.evaluation.stream import InputFrame, Sink, run_stream
from sam_pt_ros.objects import PromptRequest, TrackResult
from sam_pt_ros.output.atomic_files import write_text
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.recordings.rosbag2 import SECOND

FRAME_PERIOD = SECOND // 24
"""Nanoseconds between the stamps that a sequence's frames are given; DAVIS' frame rate."""

INPUTS_FILE = "inputs.sha256"
"""Digest of the names and sizes of the files that a job has read."""

PROBLEMS_FILE = "problems.txt"
"""What went wrong without ending a job, one line each; absent if nothing did."""


@dataclass(frozen=True)
class SequenceJob:
    """What to evaluate; it can be sent to another process.

    Attributes:
        sequence: frames and annotations.
        protocol: which frames are scored.
        scored: whether the annotations are the ground truth of all scored frames.
        configuration: the parameter file.
        seed: of all random choices, including the first points.
        start: how an object is started from its first mask.
        folder: folder of its tables.
        masks: folder of the label images; None: they are not written.
        film: whether to write a film and a report.
    """

    sequence: VideoSequence
    protocol: ScoringProtocol
    scored: bool
    configuration: Path
    seed: int
    start: Start
    folder: Path
    masks: Path | None = None
    film: bool = False


@dataclass(frozen=True)
class SequenceOutcome:
    """The results of a job.

    Attributes:
        scores: one per object.
        frames: number of frames.
        seconds: time of the pipeline, including starting objects, without reading frames.
        problems: what went wrong without ending the job.
    """

    scores: tuple[ScoreRow, ...]
    frames: int
    seconds: float
    problems: tuple[str, ...] = ()


def run_sequence(job: SequenceJob) -> SequenceOutcome:
    """Track all objects of a sequence, and score them.

    Raises:
        UserError: a frame or an annotation cannot be used.
    """
    sequence = job.sequence
    configuration = load_configuration(job.configuration).offline().with_seed(job.seed)
    configuration.check_clip(len(sequence.images), sequence.name)
    prompter = _FirstMasks(sequence, configuration.pipeline, job.seed, job.start)
    scorer = Scorer(job.protocol, sequence.first_frames)
    sinks: list[Sink] = [scorer]
    job.folder.mkdir(parents=True, exist_ok=True)
    for name in (SCORES_FILE, PROBLEMS_FILE):
        (job.folder / name).unlink(missing_ok=True)
    write_text(job.folder / INPUTS_FILE, _fingerprint(job.sequence))
    writer = ResultWriter(None, job.folder / FILM_FILE if job.film else None)
    if job.film:
        sinks.append(writer)
    if job.masks is not None:
        sinks.append(_MaskWriter(sequence, job.masks))
    outcome = run_stream(configuration.create(), _frames(sequence, job.scored), prompter, sinks)
    if outcome.broken is not None:
        raise UserError(outcome.broken)
    scores = scorer.scores(sequence.name, job.seed, sequence.groups)
    if outcome.problems:
        lines = "".join(" ".join(text.split()) + "\n" for text in outcome.problems)
        write_text(job.folder / PROBLEMS_FILE, lines)
    if job.film:
        write_run(
            job.folder,
            RunResults(
                title=f"{sequence.name}, {job.configuration.stem}",
                source=sequence.name,
                configuration_name=job.configuration.name,
                configuration=configuration,
                rows=scorer.rows,
                timings=outcome.timings,
                scores=scores,
                stamps=[timing.stamp for timing in outcome.timings],
                strip=writer.strip.picture(),
                problems=outcome.problems,
            ),
        )
    else:
        write_rows(job.folder / RESULTS_FILE, ObjectRow, scorer.rows)
        write_rows(job.folder / TIMINGS_FILE, TimingRow, outcome.timings)
        write_rows(job.folder / SCORES_FILE, ScoreRow, scores)
    return SequenceOutcome(tuple(scores), *_time(outcome.timings), outcome.problems)


def earlier_outcome(job: SequenceJob) -> SequenceOutcome | None:
    """The results of an earlier run of the job; None unless all of its files are there.

    Label images and a film are among them if this job asks for them.
    """
    if not all(path.is_file() for path in _outputs(job)):
        return None
    try:
        if (job.folder / INPUTS_FILE).read_text(encoding="utf-8") != _fingerprint(job.sequence):
            return None
        scores = read_rows(job.folder / SCORES_FILE, ScoreRow)
        timings = read_rows(job.folder / TIMINGS_FILE, TimingRow)
        problems = _read_problems(job.folder / PROBLEMS_FILE)
    except (OSError, UserError, UnicodeDecodeError):
        return None
    if len(timings) != len(job.sequence.images) or len(scores) != len(job.sequence.first_frames):
        return None
    return SequenceOutcome(tuple(scores), *_time(timings), problems)


def _fingerprint(sequence: VideoSequence) -> str:
    """A digest of the names and sizes of all files, to notice that the data have changed."""
    digest = hashlib.sha256()
    for path in (*sequence.images, *(path for _, path in sorted(sequence.annotations.items()))):
        size = path.stat().st_size if path.exists() else -1
        digest.update(f"{path.name} {size}\n".encode())
    return digest.hexdigest() + "\n"


def _outputs(job: SequenceJob) -> Iterator[Path]:
    """The files that a job always writes."""
    names = [SCORES_FILE, TIMINGS_FILE, RESULTS_FILE, INPUTS_FILE]
    if job.film:
        names += [FILM_FILE, REPORT_FILE]
    yield from (job.folder / name for name in names)
    if job.masks is not None:
        for index in range(len(job.sequence.images)):
            if _saved(job.sequence, index):
                yield submission_path(job.masks, job.sequence, index)


def _read_problems(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()


def _saved(sequence: VideoSequence, index: int) -> bool:
    """Whether a submission contains the masks of a frame."""
    return sequence.saved is None or index in sequence.saved


def _time(timings: Sequence[TimingRow]) -> tuple[int, float]:
    return len(timings), sum(timing.total for timing in timings) / 1e3


def _frames(sequence: VideoSequence, scored: bool) -> Iterator[InputFrame]:
    for index in range(len(sequence.images)):
        image = sequence.image(index)
        truth = sequence.truth(index) if scored else None
        if truth is not None and truth.shape != image.shape[:2]:
            raise UserError(
                f"{sequence.annotations[index]}: has {truth.shape[1]}x{truth.shape[0]} pixels, "
                f"but its image {image.shape[1]}x{image.shape[0]}; get the files again"
            )
        # Stamp 0 would mean "no stamp".
        yield InputFrame(index, (index + 1) * FRAME_PERIOD, image, truth)


class _FirstMasks:
    """Prompts each object in its first frame; a :class:`~.stream.Prompter`."""

    def __init__(
        self, sequence: VideoSequence, options: SamPtOptions, seed: int, start: Start
    ) -> None:
        self._sequence, self._options, self._start = sequence, options, start
        self._rng = np.random.default_rng(seed)

    def __call__(self, frame: InputFrame) -> Sequence[PromptRequest]:
        first = self._sequence.first_frames
        due = sorted(object_id for object_id, index in first.items() if index == frame.index)
        if not due:
            return []
        labels = self._sequence.truth(frame.index)
        assert labels is not None  # an object's first frame has an annotation
        return [
            PromptRequest(
                first_prompt(
                    frame.image, labels == object_id, self._options, self._rng, self._start
                ),
                object_id,
            )
            for object_id in due
        ]


class _MaskWriter:
    """Writes label images for an evaluation server; a :class:`~.stream.Sink`."""

    def __init__(self, sequence: VideoSequence, folder: Path) -> None:
        self._sequence, self._folder = sequence, folder
        deep = max(sequence.first_frames, default=0) > 255
        self._write = write_gray if deep else write_indexed

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """Write the label image of a frame that a submission contains."""
        if _saved(self._sequence, frame.index):
            path = submission_path(self._folder, self._sequence, frame.index)
            self._write(path, result.label_image)

    def close(self) -> None:
        """Do nothing."""
