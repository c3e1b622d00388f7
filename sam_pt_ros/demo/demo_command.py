"""The command ``sam-pt demo``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from rich.console import Console
from rich.progress import Progress

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.demo.bunny import BunnySource
from sam_pt_ros.demo.node_process import sigterm_ends_it
from sam_pt_ros.demo.summary import (
    DemoSummary,
    ObjectHistory,
    read_object_history,
    summarize_demo,
)
from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.interchange.images import decode_image
from sam_pt_ros.output.atomic_files import write_text
from sam_pt_ros.output.terminal import make_table, print_line, progress_display, progress_step
from sam_pt_ros.paths import classical_configuration_file, configuration_file
from sam_pt_ros.recordings.clicks import SYNTAX, Click
from sam_pt_ros.recordings.cutting import CutBag, cut_bag
from sam_pt_ros.recordings.films import (
    choose_evenly,
    read_overlays,
    write_film,
    write_image,
    write_strip,
)
from sam_pt_ros.recordings.recording import open_recording
from sam_pt_ros.recordings.rosbag2 import remove_bag
from sam_pt_ros.recordings.sources import BagSource, CameraSource, Source, VideoSource
from sam_pt_ros.trackers import trackers

if TYPE_CHECKING:
    from sam_pt_ros.demo.session import PlayedRun


class OutputLostError(RuntimeError):
    """The node did not answer every frame, or none at all."""


@dataclass(frozen=True)
class DemoOptions:
    """What the user asked for.

    Attributes:
        out: folder to write to.
        video: a video file. Without a video, a camera and a bag the demo's own clip is played.
        camera: number of a camera.
        bag: folder of a rosbag2.
        image_topic: of the bag; empty: its first topic with images.
        clicks: in pixels of the source's images; empty: the clicks that come with the source.
        start: seconds from the first image to the one that is clicked on.
        duration: seconds of images to take; None: all.
        configuration: the node's parameter file.
        every_frame: whether all images are processed; otherwise they are played in real time.
    """

    out: Path
    video: Path | None
    camera: int | None
    bag: Path | None
    image_topic: str
    clicks: tuple[Click, ...]
    start: float
    duration: float | None
    configuration: Path
    every_frame: bool

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> DemoOptions:
        """Check the arguments of the command line; UserError says what is wrong."""
        if arguments.image_topic and arguments.bag is None:
            raise UserError("--image-topic names a topic of a bag; give the bag with --bag")
        if arguments.start and not arguments.click:
            raise UserError("--start says when to click; give clicks with --click")
        duration = arguments.duration
        if duration is None and arguments.camera is not None:
            duration = CAMERA_SECONDS
        return cls(
            arguments.out,
            arguments.video,
            arguments.camera,
            arguments.bag,
            arguments.image_topic or "",
            tuple(arguments.click),
            arguments.start,
            duration,
            configuration_file(arguments.config)
            if arguments.config
            else classical_configuration_file(),
            arguments.every_frame,
        )

    @contextmanager
    def open_source(self) -> Iterator[Source]:
        """Open the input; UserError if it holds no images."""
        if self.video is not None:
            yield VideoSource(self.video)
        elif self.camera is not None:
            yield CameraSource(self.camera)
        elif self.bag is not None:
            with open_recording(self.bag, self.out) as recording:
                yield BagSource(recording, self.image_topic)
        else:
            yield BunnySource()


CAMERA_SECONDS = 10.0
"""How long a camera is recorded by default."""

RESULTS = ("overlay.mp4", "filmstrip.png", "summary.json", "node.log")
"""Files that a run writes beside its bags."""


def run_demo(options: DemoOptions) -> None:
    """Cut the input, play it to the node, and draw and print what the node published.

    Raises:
        UserError: bad input.
        RuntimeError: the node failed, or did not answer every frame when it had to.
    """
    # Imported here, so that bad arguments are reported even where ROS is missing.
    from sam_pt_ros.demo.recorder import LABEL_IMAGE_TOPIC

    configuration = load_configuration(options.configuration)
    tracker = trackers.load(configuration.backends.tracker)
    if late := tracker.lag(configuration.tracker):
        raise UserError(
            f"{options.configuration}: the tracker answers up to {counted(late, 'frame')} late, "
            "but the demo waits for every answer; use lucas_kanade, matching, or cotracker, tapir "
            "or raft in mode streaming"
        )
    console = Console()
    seconds: dict[str, float] = {}
    out = options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be created as a folder ({error.strerror}); choose another --out"
        ) from error
    with sigterm_ends_it(), progress_display(console) as progress:
        with _measured(seconds, "input"), progress_step(progress, "Cutting the bag") as advance:
            source, bag = _cut_input(options, advance)
        _remove_results(out)
        played = _play(options, bag, progress, seconds)
        with _measured(seconds, "pictures"), progress_step(progress, "Drawing"):
            history = _draw(out, played, bag)
    summary = summarize_demo(
        bag,
        played.due,
        played.received[LABEL_IMAGE_TOPIC],
        history,
        options.every_frame,
        source.name,
        options.configuration,
        configuration.backend_descriptions,
        seconds,
        source.problems,
    )
    write_text(out / "summary.json", json.dumps(summary.as_json(), indent=2) + "\n")
    _print_summary(console, summary, out)
    if not summary.frames_out:
        raise OutputLostError(f"the node published nothing; its log is {out}/node.log")
    if options.every_frame and (summary.frames_dropped or not summary.stamps_in_order):
        raise OutputLostError(
            f"{summary.frames_in} images went in, but {summary.frames_out} label images came "
            f"out; the node's log is {out}/node.log"
        )


def _cut_input(options: DemoOptions, on_image: Callable[[], None]) -> tuple[Source, CutBag]:
    with options.open_source() as source:
        if not options.clicks and not source.click_events:
            raise _ask_for_clicks(source, options)
        folder = options.out / "input"
        bag = cut_bag(folder, source, options.clicks, options.start, options.duration, on_image)
        return source, bag


def _play(
    options: DemoOptions, bag: CutBag, progress: Progress, seconds: dict[str, float]
) -> PlayedRun:
    """Play the bag to the node; add to ``seconds`` how long starting and playing took."""
    from sam_pt_ros.demo.session import play_and_record

    begin = time.monotonic()
    with ExitStack() as steps:
        starting = steps.enter_context(ExitStack())
        starting.enter_context(progress_step(progress, "Starting the node"))
        advance_play: list[Callable[[], None]] = []

        def on_ready() -> None:
            seconds["start"] = time.monotonic() - begin
            starting.close()
            step = progress_step(progress, _playing(options, bag), len(bag.stamps))
            advance_play.append(steps.enter_context(step))

        played = play_and_record(
            bag,
            options.configuration,
            options.every_frame,
            options.out / "output",
            options.out / "node.log",
            on_ready,
            lambda: advance_play[0](),
        )
    seconds["play"] = time.monotonic() - begin - seconds["start"]
    return played


def _draw(out: Path, played: PlayedRun, bag: CutBag) -> ObjectHistory:
    """Write the film and the film strip, if there are overlays; the history of the objects."""
    from sam_pt_ros.demo.recorder import OBJECTS_TOPIC, OVERLAY_TOPIC

    history = read_object_history(played.path, OBJECTS_TOPIC)
    if played.received[OVERLAY_TOPIC]:
        write_film(out / "overlay.mp4", read_overlays(played.path, OVERLAY_TOPIC), bag.stamps)
        write_strip(
            out / "filmstrip.png",
            read_overlays(played.path, OVERLAY_TOPIC),
            choose_evenly(history.stamps),
            bag.stamps,
        )
    return history


def _ask_for_clicks(source: Source, options: DemoOptions) -> UserError:
    """Save the image to click on; the error that asks for clicks."""
    width, height = source.size
    path = options.out / "click_here.png"
    write_image(path, cv2.resize(decode_image(next(source.images())), source.size))
    return UserError(
        f"nothing to track is given for {source.name}; click with --click {SYNTAX}; its images "
        f"have {width}x{height} pixels, and the first one is saved as {path}"
    )


def _remove_results(out: Path) -> None:
    """Remove what an earlier run left, so that none of it is taken for a result of this one."""
    remove_bag(out / "output")
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)


def _playing(options: DemoOptions, bag: CutBag) -> str:
    if options.every_frame:
        return "Playing every frame"
    return f"Playing {bag.seconds:.1f} s in real time"


@contextmanager
def _measured(seconds: dict[str, float], step: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    seconds[step] = time.monotonic() - begin


def _print_summary(console: Console, summary: DemoSummary, out: Path) -> None:
    title = f"{summary.source}, {summary.configuration}, mode {summary.mode}"
    caption = f"latency from {summary.latency_from} to receipt of the label image"
    rows = [*_figures(summary), *_object_lines(summary)]
    console.print(make_table(("", ""), rows, title=title, caption=caption))
    for text in summary.problems:
        print_line(console, f"note: {text}")
    made = [name for name in (*RESULTS, "input", "output") if (out / name).exists()]
    print_line(console, f"In {out}: {', '.join(made)}")


def _figures(summary: DemoSummary) -> Iterator[tuple[str, str]]:
    width, height = summary.image_size
    yield from summary.backends.items()
    yield "images", f"{width}x{height}, {summary.input_seconds:.2f} s"
    yield "frames in", str(summary.frames_in)
    yield "frames out", str(summary.frames_out)
    yield "frames dropped", str(summary.frames_dropped)
    for what, rate, latency in (
        ("", summary.output_hz, summary.latency_ms),
        (" with objects", summary.tracking_hz, summary.tracking_latency_ms),
    ):
        if rate is not None:
            yield f"output rate{what}", f"{rate:.1f} Hz"
        if latency is not None:
            values = f"{latency['p50']:.1f} ms, {latency['p95']:.1f} ms"
            yield f"latency{what}: p50, p95", values


def _object_lines(summary: DemoSummary) -> Iterator[tuple[str, str]]:
    for object_id, item in summary.objects.items():
        others = [
            f", {count} {state.lower()}"
            for state, count in islice(item.states.items(), 1, None)
            if count
        ]
        tracked = f"tracked in {item.tracked:.0%} of {item.frames} frames"
        yield f"object {object_id} {item.label}".rstrip(), tracked + "".join(others)
