"""Video instance segmentation on UVO: tracks the objects of the first frame through the video.

At most 100 proposals of SAM's mask generator start the objects (SAM-PT, arXiv 2307.01197, on UVO).
In the authors' program masks may overlap; here a pixel belongs to one object, as everywhere in
this package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.uvo import InstanceVideo, read_uvo, write_results
from sam_pt_ros.evaluation.engines import run_jobs
from sam_pt_ros.evaluation.proposals import DEFAULTS, LIMIT, GeneratorOptions, propose_masks
from sam_pt_ros.evaluation.results import SUMMARY_FILE
from sam_pt_ros.evaluation.run_folder import none_if_nan, write_json
from sam_pt_ros.evaluation.sequence_job import FRAME_PERIOD
from sam_pt_ros.evaluation.stream import InputFrame, run_stream
from sam_pt_ros.evaluation.video_instances import (
    InstanceScores,
    InstanceTrack,
    Rle,
    VideoMatches,
    encode_rle,
    match_video,
    score_videos,
)
from sam_pt_ros.objects import ObjectPrompt, ObjectState, PromptRequest, TrackResult
from sam_pt_ros.options import did_you_mean
from sam_pt_ros.segmenters.base import Segmenter
from sam_pt_ros.versions import versions

SPLITS = ("train", "val", "test")
RESULTS_JSON = "results.json"
"""The file for UVO's own evaluation."""


@dataclass(frozen=True)
class VideoJob:
    """The evaluation of one video; it can be sent to another process.

    Attributes:
        video: frames and true objects.
        configuration: the parameter file, with a segmenter of the SAM family.
        seed: of all random choices.
        limit: largest number of objects.
        generator: options of the proposals.
    """

    video: InstanceVideo
    configuration: Path
    seed: int
    limit: int = LIMIT
    generator: GeneratorOptions = DEFAULTS


@dataclass(frozen=True, eq=False)
class VideoOutcome:
    """The results on a video.

    Attributes:
        tracks: one per proposal.
        matches: of the tracks with the true objects.
        problems: what went wrong without ending the evaluation.
    """

    tracks: tuple[InstanceTrack, ...]
    matches: VideoMatches
    problems: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class UvoResults:
    """The results on all videos.

    Attributes:
        scores: AP and AR over the videos that did not fail; None without a ground truth.
        videos: number of videos.
        failures: what failed, a sentence per video.
    """

    scores: InstanceScores | None
    videos: int
    failures: Sequence[str]


def open_uvo(root: Path, split: str | None, names: Sequence[str] | None) -> list[InstanceVideo]:
    """The videos of UVO's dense set.

    Args:
        root: the folder with ``VideoDenseSet`` and ``uvo_videos_dense_frames``.
        split: one of :data:`SPLITS`; None: val.
        names: of the videos to take; None: all.

    Raises:
        UserError: the split or a name is unknown, or a file is missing.
    """
    split = split or "val"
    if split not in SPLITS:
        raise UserError(f"uvo has no split '{split}'; choose one of {', '.join(SPLITS)}")
    annotations = root / "VideoDenseSet" / f"UVO_video_{split}_dense.json"
    videos = read_uvo(annotations, root / "uvo_videos_dense_frames")
    if names is None:
        return videos
    by_name = {video.name: video for video in videos}
    for name in names:
        if name not in by_name:
            raise UserError(
                f"{annotations}: no video is named '{name}'{did_you_mean(name, by_name)}"
            )
    return [video for video in videos if video.name in names]


def evaluate_uvo(
    videos: Sequence[InstanceVideo],
    configuration: Path,
    out: Path,
    engine: str = "serial",
    workers: int = 1,
    on_done: Callable[[], None] = lambda: None,
) -> UvoResults:
    """Track the proposals of all videos, and write scores and the file for UVO's evaluation.

    Args:
        videos: of :func:`open_uvo`.
        configuration: the parameter file.
        out: the folder to write to.
        engine: one of :data:`~sam_pt_ros.evaluation.engines.ENGINES`.
        workers: number of videos at a time.
        on_done: called after each video.

    Raises:
        UserError: the configuration is not valid, or ``out`` cannot be created.
    """
    loaded = load_configuration(configuration)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be created as a folder ({error.strerror}); choose another --out"
        ) from error
    for name in (RESULTS_JSON, SUMMARY_FILE):  # of an earlier run
        (out / name).unlink(missing_ok=True)
    jobs = [VideoJob(video, configuration.absolute(), loaded.pipeline.seed) for video in videos]
    outcomes = run_jobs(
        run_video, jobs, engine=engine, workers=workers, on_done=lambda outcome: on_done()
    )
    done = [(videos[each.index], each.result) for each in outcomes if each.result is not None]
    failures = [
        f"{videos[each.index].name}: {each.error}" for each in outcomes if each.error is not None
    ]
    if done:
        write_results(out / RESULTS_JSON, [(video, result.tracks) for video, result in done])
    truth = any(video.tracks for video in videos)
    scores = score_videos([result.matches for _, result in done]) if truth and done else None
    write_json(
        out / SUMMARY_FILE,
        {
            "title": f"uvo, {configuration.stem}",
            "dataset": "uvo",
            "videos": len(videos),
            "figures": None
            if scores is None
            else {name: none_if_nan(value) for name, value in asdict(scores).items()},
            "failures": failures,
            "problems": [f"{v.name}: {text}" for v, result in done for text in result.problems],
            "configuration_name": configuration.name,
            "configuration": loaded.values,
            "backends": loaded.backend_descriptions,
            "versions": versions(),
        },
    )
    return UvoResults(scores, len(videos), failures)


def run_video(job: VideoJob) -> VideoOutcome:
    """Propose objects in the first frame, and track them.

    Raises:
        UserError: the segmenter cannot propose masks, or a frame cannot be used.
    """
    configuration = load_configuration(job.configuration).offline().with_seed(job.seed)
    pipeline = configuration.create()
    collector = _Tracks(len(job.video.images))
    proposer = _Proposals(pipeline.segmenter, job)
    outcome = run_stream(pipeline, _frames(job.video), proposer, [collector])
    if outcome.broken is not None:
        raise UserError(outcome.broken)
    tracks = collector.tracks()
    return VideoOutcome(tracks, match_video(job.video.tracks, tracks), outcome.problems)


def _frames(video: InstanceVideo) -> Iterator[InputFrame]:
    for index in range(len(video.images)):
        yield InputFrame(index, (index + 1) * FRAME_PERIOD, video.image(index))


class _Proposals:
    """Starts an object from each proposal; a :class:`~.stream.Prompter`."""

    def __init__(self, segmenter: Segmenter, job: VideoJob) -> None:
        self._segmenter, self._job = segmenter, job

    def __call__(self, frame: InputFrame) -> Sequence[PromptRequest]:
        if frame.index:
            return []
        found = propose_masks(self._segmenter, frame.image, self._job.limit, self._job.generator)
        return [
            PromptRequest(ObjectPrompt(mask=proposal.mask), object_id)
            for object_id, proposal in enumerate(found, start=1)
        ]


class _Tracks:
    """Collects masks and scores by object; a :class:`~.stream.Sink`."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._masks: dict[int, dict[int, Rle]] = {}
        self._scores: dict[int, float] = {}

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """Add the masks of a frame."""
        for item in result.objects:
            masks = self._masks.setdefault(item.object_id, {})
            self._scores[item.object_id] = self._scores.get(item.object_id, 0.0) + item.score
            if item.state is ObjectState.TRACKING:
                masks[frame.index] = encode_rle(item.mask.full())

    def close(self) -> None:
        """Do nothing."""

    def tracks(self) -> tuple[InstanceTrack, ...]:
        """One track per object; its score is the mean over all frames, 0 where it is not seen."""
        return tuple(
            InstanceTrack(
                tuple(masks.get(index) for index in range(self._frames)),
                self._scores[object_id] / self._frames,
            )
            for object_id, masks in sorted(self._masks.items())
        )


def figures(scores: InstanceScores) -> dict[str, float]:
    """The figures that UVO's papers report, by name; NaN where there is nothing to score."""
    names = {"AR@100": "ar100", "AR@10": "ar10", "AR@1": "ar1", "AP": "ap"}
    names |= {"AP50": "ap50", "AP75": "ap75"}
    values = asdict(scores)
    return {title: values.get(name, math.nan) for title, name in names.items()}
