"""Plays a recording to the real node over DDS in real time; measures drops and latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from sam_pt_ros.configuration import Configuration, load_configuration
from sam_pt_ros.demo.recorder import LABEL_IMAGE_TOPIC, OVERLAY_TOPIC
from sam_pt_ros.demo.session import PlayedRun, play_and_record
from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.evaluation.bag_input import BagInput
from sam_pt_ros.evaluation.prompts import PromptEvent, read_prompts
from sam_pt_ros.evaluation.recorded_results import read_results
from sam_pt_ros.evaluation.report import LiveFigures
from sam_pt_ros.evaluation.run_folder import (
    BAG_FOLDER,
    FILM_FILE,
    LATENCIES_FILE,
    STRIP_FILE,
    RunResults,
    begin_run,
    check_folder,
    write_run,
)
from sam_pt_ros.evaluation.scoring import Scorer, ScoringProtocol
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.output.csv_files import write_csv
from sam_pt_ros.recordings.bag_topics import NODE_NAME
from sam_pt_ros.recordings.clicks import Click, ClickEvent
from sam_pt_ros.recordings.cutting import CutBag, cut_bag
from sam_pt_ros.recordings.films import choose_evenly, read_overlays, write_film, write_strip
from sam_pt_ros.recordings.recording import Recording, open_recording
from sam_pt_ros.recordings.rosbag2 import check_replaceable
from sam_pt_ros.recordings.sources import BagSource
from sam_pt_ros.trackers import trackers

INPUT_FOLDER = "input"
LOG_FILE = "node.log"

Step = Callable[[str, "int | None"], AbstractContextManager[Callable[[], None]]]
"""Shows a step and its number of parts; yields a function to call after each part."""


@dataclass(frozen=True)
class LiveOptions:
    """What to play, and where to write; attributes as in
    :class:`~sam_pt_ros.evaluation.bag_evaluation.BagOptions`.
    """

    bag: Path
    configuration: Path
    out: Path
    image_topic: str = ""
    points_topic: str = ""
    prompts: Path | None = None


def replay_live(options: LiveOptions, step: Step) -> RunResults:
    """Play and record, and write all results to the folder of the options.

    Raises:
        UserError: bad input.
        RuntimeError: the node failed.
    """
    configuration = load_configuration(options.configuration)
    tracker = trackers.load(configuration.backends.tracker)
    if late := tracker.lag(configuration.tracker):
        raise UserError(
            f"{options.configuration}: the tracker answers up to {counted(late, 'frame')} late; "
            "use a streaming one, or evaluate without --live"
        )
    check_folder(options.out)
    for name in (BAG_FOLDER, INPUT_FOLDER):
        check_replaceable(options.out / name)
    with open_recording(options.bag, options.out) as recording:
        return _replay(options, configuration, recording, step)


def _replay(
    options: LiveOptions, configuration: Configuration, recording: Recording, step: Step
) -> RunResults:
    found = BagInput.find(recording, options.image_topic, options.points_topic)
    source = BagSource(recording, found.image_topic, found.points_topic)
    if options.prompts is not None:
        source.click_events = _click_events(read_prompts(options.prompts), source)
    if not source.click_events:
        raise UserError(
            f"{options.bag}: holds no clicks, so there is nothing to track; give clicks in a file "
            "with --prompts, or record them on a topic of type sam_pt_ros/msg/PointPromptArray"
        )
    with step("Preparing the recording", found.frames) as advance:
        cut = cut_bag(options.out / INPUT_FOLDER, source, on_image=advance)
    begin_run(options.out)
    with ExitStack() as steps:
        advances = [steps.enter_context(step("Starting the node", None))]

        def on_ready() -> None:
            playing = step(f"Playing {cut.seconds:.1f} s in real time", len(cut.stamps))
            advances.append(steps.enter_context(playing))

        played = play_and_record(
            cut,
            options.configuration,
            False,
            options.out / BAG_FOLDER,
            options.out / LOG_FILE,
            on_ready,
            lambda: advances[-1](),
        )
    results = replace(
        _results(options, configuration, found, cut, played, source.problems),
        undecoded=source.undecoded,
    )
    _write_latencies(options.out / LATENCIES_FILE, cut, played)
    write_run(options.out, results)
    return results


def _click_events(events: tuple[PromptEvent, ...], source: BagSource) -> tuple[ClickEvent, ...]:
    """The prompts as clicks, in order of the stamps of their images."""
    stamps = [image.stamp for image in source.images()]
    made = []
    for event in events:
        if event.frame is not None and event.frame >= len(stamps):
            raise UserError(
                f"a prompt names frame {event.frame}, but the recording has frames 0 to "
                f"{len(stamps) - 1}"
            )
        stamp = event.stamp if event.frame is None else stamps[event.frame]
        clicks = [
            Click(float(x), float(y), int(label), request.object_id or 1, request.label)
            for request in event.requests
            for (x, y), label in zip(request.prompt.points, request.prompt.labels, strict=True)
        ]
        made.append(ClickEvent(stamp or 0, tuple(clicks)))
    return tuple(sorted(made, key=lambda event: event.stamp))


def _results(
    options: LiveOptions,
    configuration: Configuration,
    found: BagInput,
    cut: CutBag,
    played: PlayedRun,
    problems: Sequence[str],
) -> RunResults:
    indices = {stamp: index for index, stamp in enumerate(cut.stamps)}
    scorer = Scorer(ScoringProtocol())
    with found.open_truth() as truth:
        for result in read_results(played.path, NODE_NAME, indices):
            labels = truth.at(result.index, result.stamp)
            scorer.take(_frame(result, labels), result)
        problems = [*problems, *truth.problems]
    if scorer.rows and scorer.rows[-1].frame == len(cut.stamps) - 1:
        scorer.close()
    received = played.received[LABEL_IMAGE_TOPIC]
    latencies = [
        (when - played.due[stamp]) * 1e-6 for stamp, when in received if stamp in played.due
    ]
    tracked = sorted({row.stamp for row in scorer.rows})
    strip = None
    if played.received[OVERLAY_TOPIC]:
        write_film(options.out / FILM_FILE, read_overlays(played.path, OVERLAY_TOPIC), cut.stamps)
        overlays = read_overlays(played.path, OVERLAY_TOPIC)
        path = options.out / STRIP_FILE
        write_strip(path, overlays, choose_evenly(tracked), cut.stamps)
        if path.is_file():
            strip = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    name = options.bag.name
    return RunResults(
        title=f"{name}, {options.configuration.stem}, live",
        source=name,
        configuration_name=options.configuration.name,
        configuration=configuration,
        rows=scorer.rows,
        timings=(),
        scores=scorer.scores(name, configuration.pipeline.seed),
        stamps=cut.stamps,
        strip=strip,
        problems=problems,
        live=LiveFigures(
            len(cut.stamps), len(received), len(cut.stamps) - len(received), latencies
        ),
    )


def _write_latencies(path: Path, cut: CutBag, played: PlayedRun) -> None:
    """Write the latency of every image from its stamp to its mask; empty if it was dropped."""
    received = dict(played.received[LABEL_IMAGE_TOPIC])
    rows = []
    for index, stamp in enumerate(cut.stamps):
        when = received.get(stamp)
        late = None if when is None else round((when - played.due[stamp]) * 1e-6, 3)
        rows.append([index, stamp, late])
    write_csv(path, ("frame", "stamp", "latency_ms"), rows)


def _frame(result: TrackResult, labels: np.ndarray | None) -> InputFrame:
    """A frame for the scorer, which does not look at the image."""
    image = np.broadcast_to(np.uint8(0), (*result.label_image.shape, 3))
    return InputFrame(result.index, result.stamp, image, labels)
