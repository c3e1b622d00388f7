"""Evaluates a configuration on every frame of a recording, without a ROS graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from sam_pt_ros.configuration import Configuration, load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.bag_input import BagInput
from sam_pt_ros.evaluation.prompts import PromptEvent, PromptSchedule, read_prompts
from sam_pt_ros.evaluation.run_folder import (
    BAG_FOLDER,
    FILM_FILE,
    RunResults,
    begin_run,
    check_folder,
    write_run,
)
from sam_pt_ros.evaluation.scoring import ScoringProtocol
from sam_pt_ros.evaluation.side_process import SideJob, SideProcess
from sam_pt_ros.evaluation.stream import StreamOutcome, run_stream
from sam_pt_ros.recordings.recording import open_recording
from sam_pt_ros.recordings.rosbag2 import check_replaceable, remove_bag
from sam_pt_ros.recordings.skipped import SkippedMessages


@dataclass(frozen=True)
class BagOptions:
    """What is evaluated, and what is written.

    Attributes:
        bag: a rosbag2: its folder, or a storage file.
        configuration: the parameter file.
        out: the folder to write to.
        image_topic: of the images; empty: the only one.
        points_topic: of the clicks; empty: ``/points``, or the only one.
        prompts: a file of prompts to use instead of the bag's clicks.
        truth_topic: of label images; empty: ``/truth`` if present.
        truth: a folder of label images to use instead of a topic.
        write_bag: whether to write the results to a bag.
        write_film: whether to write a film of the overlays.
    """

    bag: Path
    configuration: Path
    out: Path
    image_topic: str = ""
    points_topic: str = ""
    prompts: Path | None = None
    truth_topic: str = ""
    truth: Path | None = None
    write_bag: bool = True
    write_film: bool = True

    def __post_init__(self) -> None:
        if self.prompts is not None and self.points_topic:
            raise UserError("--prompts replaces the bag's clicks; leave out --points-topic")
        if self.truth is not None and self.truth_topic:
            raise UserError("--truth replaces a topic; leave out --truth-topic")


def evaluate_bag(
    options: BagOptions,
    on_start: Callable[[int], None] = lambda frames: None,
    on_frame: Callable[[], None] = lambda: None,
) -> RunResults:
    """Evaluate, and write all results to the folder of the options.

    Args:
        options: what to evaluate, and where to write.
        on_start: called with the number of frames.
        on_frame: called after each frame.

    Returns:
        The results; ``partial`` says why they cover only part of the recording, if they do.

    Raises:
        UserError: nothing could be evaluated.
    """
    configuration = load_configuration(options.configuration).offline()
    _check_out(options)
    with ExitStack() as opened:
        recording = opened.enter_context(open_recording(options.bag, options.out))
        found = BagInput.find(
            recording, options.image_topic, options.points_topic, options.truth_topic
        )
        bag = replace(found, stretch=configuration.node.stretch_16_bit)
        cut_off, problems = recording.cut_off, bag.problems
        if options.prompts is not None:
            events: Sequence[PromptEvent] = read_prompts(options.prompts)
        else:
            events, refused, unreadable = bag.prompts()
            problems += refused
            cut_off = cut_off or unreadable
        if not events:
            raise UserError(
                f"{options.bag}: holds no clicks, so there is nothing to track; give clicks in a "
                "file with --prompts, or record them on a topic of type "
                "sam_pt_ros/msg/PointPromptArray" + "".join(f"; {text}" for text in problems)
            )
        truth = opened.enter_context(bag.open_truth(options.truth))
        schedule = PromptSchedule(events)
        pipeline = configuration.create()
        on_start(bag.frames)
        images = bag.images(truth)
        frames = iter(images)
        first = next(frames)  # if none can be used, nothing is written
        skipped = SkippedMessages()
        camera = bag.camera(first.image.shape[:2], configuration.node.rectified, skipped)
        problems += skipped.lines
        begin_run(options.out)
        side = SideProcess(
            SideJob(
                bag,
                options.truth,
                ScoringProtocol(),
                options.out / BAG_FOLDER if options.write_bag else None,
                options.out / FILM_FILE if options.write_film else None,
                camera,
            )
        )
        outcome = run_stream(pipeline, chain([first], frames), schedule, [side], on_frame)
        problems += [*images.stream.problems, *truth.problems]
        partial = outcome.broken or images.stream.broken or cut_off
    results = replace(
        _results(options, configuration, outcome, schedule, side, problems, partial),
        undecoded=images.stream.undecoded,
    )
    write_run(options.out, results)
    return results


def _check_out(options: BagOptions) -> None:
    """Create the folder; UserError if the results would replace anything else."""
    out, bag = options.out.resolve(), options.bag.resolve()
    if bag.exists() and (
        out == bag or bag in out.parents or out / BAG_FOLDER in (bag, bag.parent)
    ):
        raise UserError(
            f"{options.out}: the results would be written into the recording; choose another --out"
        )
    check_folder(options.out)
    check_replaceable(options.out / BAG_FOLDER)
    if not options.write_bag:
        remove_bag(options.out / BAG_FOLDER)


def _results(
    options: BagOptions,
    configuration: Configuration,
    outcome: StreamOutcome,
    schedule: PromptSchedule,
    side: SideProcess,
    found: Sequence[str],
    partial: str | None,
) -> RunResults:
    problems = [*found, *outcome.problems]
    problems += [f"no frame matches the prompt at {event.when}" for event in schedule.unused]
    problems += [
        f"object {object_id} of the ground truth was never clicked on, and is not scored"
        for object_id in side.scorer.never_prompted
    ]
    if side.scorer.foreign:
        problems += [
            f"object {object_id} is missing from the ground truth, and is not scored"
            for object_id in side.scorer.foreign
        ]
    if side.scorer.annotated_frames not in (0, len(outcome.timings)):
        problems.append(
            f"the ground truth covers {side.scorer.annotated_frames} of "
            f"{len(outcome.timings)} frames"
        )
    if not side.scorer.rows:
        reason = "; ".join([*([partial] if partial else []), *problems])
        raise UserError(f"{options.bag}: no object was started: {reason}")
    return RunResults(
        title=f"{options.bag.name}, {options.configuration.stem}",
        source=str(options.bag.name),
        configuration_name=options.configuration.name,
        configuration=configuration,
        rows=side.scorer.rows,
        timings=outcome.timings,
        scores=side.scorer.scores(options.bag.name, configuration.pipeline.seed),
        stamps=[timing.stamp for timing in outcome.timings],
        strip=side.strip.picture(),
        problems=problems,
        partial=partial,
    )
