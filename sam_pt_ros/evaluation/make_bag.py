"""Makes a bag with clicks, a calibration and ground truth from a folder of frames or a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.first_prompts import Start, first_prompt
from sam_pt_ros.evaluation.sequences import VOID
from sam_pt_ros.evaluation.truth import TruthFolder
from sam_pt_ros.interchange.grey_levels import GreyLevels
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.recordings.clicks import Click, ClickEvent
from sam_pt_ros.recordings.cutting import CutBag, cut_bag
from sam_pt_ros.recordings.pictures import read_picture
from sam_pt_ros.recordings.rosbag2 import SECOND, check_replaceable
from sam_pt_ros.recordings.sources import (
    FIRST_STAMP,
    UNSCALED,
    FolderSource,
    Source,
    VideoSource,
    count_frames,
)


@dataclass(frozen=True)
class MakeBagOptions:
    """What goes into a bag.

    Attributes:
        source: a folder of frames (a sequence of a data set, for example) or a video.
        bag: the folder to write.
        annotations: a folder of label images of the frames; None: no ground truth.
        clicks: on the image ``start`` seconds after the first; empty: they are sampled from the
            first annotation of each object, if there are annotations.
        start: seconds from the first image.
        prompt: what is sampled, ``points`` or ``click``.
        seed: of the sampling.
        rate: frames per second of a folder.
        duration: seconds to take; None: all.
        storage: ``mcap`` or ``sqlite3``.
    """

    source: Path
    bag: Path
    annotations: Path | None = None
    clicks: tuple[Click, ...] = ()
    start: float = 0.0
    prompt: Start = "points"
    seed: int = 0
    rate: float = 25.0
    duration: float | None = None
    storage: str = "mcap"

    def __post_init__(self) -> None:
        if self.start and not self.clicks:
            raise UserError("--start says when to click; give clicks with --click")
        others = {"box": "boxes", "mask": "masks"}
        if self.prompt in others:
            raise UserError(
                f"a bag holds clicks, not {others[self.prompt]}; use the prompt 'points' or "
                "'click'"
            )
        if not 0.001 <= self.rate <= 1000:
            raise UserError(f"--rate must be 0.001 to 1000 frames per second, got {self.rate:g}")


def make_bag(options: MakeBagOptions, on_image: Callable[[], None] = lambda: None) -> CutBag:
    """Write a bag; for errors see :func:`~sam_pt_ros.recordings.cutting.cut_bag`."""
    check_replaceable(options.bag)
    source: Source
    if options.source.is_dir():
        source = folder = FolderSource(options.source, options.rate)
        files: Sequence[Path] = folder.files
    else:
        source = VideoSource(options.source, UNSCALED)
        files = ()
    truth = None
    if options.annotations is not None:
        truth = TruthFolder(options.annotations, len(files) or count_frames(options.source))
        if not options.clicks:
            if not files:
                raise UserError(
                    "clicks can be sampled for a folder of frames only; give clicks with --click"
                )
            source.click_events = _sampled(files, truth, options)
    return cut_bag(
        options.bag,
        source,
        options.clicks,
        options.start,
        options.duration,
        on_image,
        truth=None if truth is None else truth.at,
        storage=options.storage,
    )


def _sampled(
    files: Sequence[Path], truth: TruthFolder, options: MakeBagOptions
) -> tuple[ClickEvent, ...]:
    """Clicks on each object in the first frame in which it is annotated."""
    rng = np.random.default_rng(options.seed)
    settings = SamPtOptions()
    events = []
    started: set[int] = set()
    levels = GreyLevels()
    for index in truth.annotated:
        labels = truth.at(index)
        assert labels is not None
        new = [int(v) for v in np.unique(labels) if 0 < v < VOID and int(v) not in started]
        if not new:
            continue
        image = read_picture(files[index], levels)
        if labels.shape != image.shape[:2]:
            raise UserError(
                f"{files[index]}: has {image.shape[1]}x{image.shape[0]} pixels, but its "
                f"annotation {labels.shape[1]}x{labels.shape[0]}"
            )
        clicks = []
        for object_id in new:
            prompt = first_prompt(image, labels == object_id, settings, rng, options.prompt)
            for (x, y), label in zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True):
                clicks.append(Click(x, y, label, object_id))
        started.update(new)
        stamp = FIRST_STAMP + round(index * SECOND / options.rate)
        events.append(ClickEvent(stamp, tuple(clicks)))
    if not events:
        raise UserError(
            f"{options.annotations}: these label images show no object; check the folder"
        )
    return tuple(events)
