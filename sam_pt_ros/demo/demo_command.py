"""`sam-pt demo`: from its arguments to its pictures."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.demo.bunny import BunnySource
from sam_pt_ros.demo.node_process import sigterm_ends_it
from sam_pt_ros.demo.summary import DemoSummary, read_object_history, summarize_demo
from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.images import decode_image
from sam_pt_ros.output.terminal import progress_display, progress_step
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
from sam_pt_ros.recordings.rosbag2 import remove_bag
from sam_pt_ros.recordings.sources import BagSource, CameraSource, Source, VideoSource
from sam_pt_ros.trackers import trackers


class OutputLostError(RuntimeError):
    """A run of every frame that has not answered every frame."""


@dataclass(frozen=True)
class DemoOptions:
    """What the user asked for.

    Attributes:
        out: folder to write to.
        video: a video file; with ``camera`` and ``bag`` None too: the clip of the demo.
        camera: number of a camera.
        bag: folder of a rosbag2.
        image_topic: of the bag; empty: its first one with images.
        clicks: in pixels of the source's images; empty: those that come with it.
        start: seconds from the first image to the one that is clicked on.
        duration: seconds of images to take; None: all there are.
        configuration: the node's parameter file.
        every_frame: process all images; else play in real time.
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
            raise UserError("--image-topic says which topic of a bag; it needs --bag")
        if arguments.start and not arguments.click:
            raise UserError("--start says when to click; it needs --click")
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

    def open_source(self) -> Source:
        """The images; UserError if there are none."""
        if self.video is not None:
            return VideoSource(self.video)
        if self.camera is not None:
            return CameraSource(self.camera)
        if self.bag is not None:
            return BagSource(self.bag, self.image_topic)
        return BunnySource()


CAMERA_SECONDS = 10.0
"""How long a camera is recorded, unless told otherwise."""

RESULTS = ("overlay.mp4", "filmstrip.png", "summary.json", "node.log")
"""Files that a run writes beside its bags."""


def run_demo(options: DemoOptions) -> None:
    """Do it all.

    Raises:
        UserError: bad input.
        RuntimeError: the node failed, or has not answered every frame when it had to.
    """
    # Imported here, so that bad arguments are reported even where ROS is missing.
    from sam_pt_ros.demo.recorder import LABEL_IMAGE_TOPIC, OBJECTS_TOPIC, OVERLAY_TOPIC
    from sam_pt_ros.demo.session import play_and_record

    configuration = load_configuration(options.configuration)
    tracker = trackers.load(configuration.backends.tracker)
    if late := tracker.lag(configuration.tracker):
        raise UserError(
            f"{options.configuration}: the tracker answers up to {late} frames late, and the demo "
            "waits for every answer; use one that streams (cotracker: 'mode: streaming')"
        )
    console = Console()
    seconds: dict[str, float] = {}
    out = options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made a folder ({error.strerror}); see --out") from error
    with sigterm_ends_it(), progress_display(console) as progress:
        with _measured(seconds, "input"), progress_step(progress, "Cutting the bag") as advance:
            source = options.open_source()
            if not options.clicks and not source.click_events:
                raise _ask_for_clicks(source, options)
            bag = cut_bag(
                out / "input", source, options.clicks, options.start, options.duration, advance
            )
        _remove_results(out)
        start = time.monotonic()
        with ExitStack() as steps:
            starting = steps.enter_context(ExitStack())
            starting.enter_context(progress_step(progress, "Starting the node"))
            advance_play: list[Callable[[], None]] = []

            def on_ready() -> None:
                seconds["start"] = time.monotonic() - start
                starting.close()
                step = progress_step(progress, _playing(options, bag), len(bag.stamps))
                advance_play.append(steps.enter_context(step))

            recording = play_and_record(
                bag,
                options.configuration,
                options.every_frame,
                out / "output",
                out / "node.log",
                on_ready,
                lambda: advance_play[0](),
            )
        seconds["play"] = time.monotonic() - start - seconds["start"]
        with _measured(seconds, "pictures"), progress_step(progress, "Drawing") as _:
            history = read_object_history(recording.path, OBJECTS_TOPIC)
            if recording.received[OVERLAY_TOPIC]:
                write_film(
                    out / "overlay.mp4", read_overlays(recording.path, OVERLAY_TOPIC), bag.stamps
                )
                write_strip(
                    out / "filmstrip.png",
                    read_overlays(recording.path, OVERLAY_TOPIC),
                    choose_evenly(history.stamps),
                    bag.stamps,
                )
    summary = summarize_demo(
        bag,
        recording.due,
        recording.received[LABEL_IMAGE_TOPIC],
        history,
        options.every_frame,
        source.name,
        options.configuration,
        configuration.described,
        seconds,
    )
    (out / "summary.json").write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    _print_summary(console, summary, out)
    if not summary.frames_out:
        raise OutputLostError(f"the node published nothing; what it said is in {out}/node.log")
    if options.every_frame and (summary.frames_dropped or not summary.stamps_in_order):
        raise OutputLostError(
            f"{summary.frames_in} images went in, but {summary.frames_out} label images came "
            f"out; what the node said is in {out}/node.log"
        )


def _ask_for_clicks(source: Source, options: DemoOptions) -> UserError:
    """Show the user the image to click on."""
    width, height = source.size
    path = options.out / "click_here.png"
    write_image(path, cv2.resize(decode_image(next(source.images())), source.size))
    return UserError(
        f"say what to track in {source.name} with --click {SYNTAX}; its images have "
        f"{width}x{height} pixels; the first one is in {path}"
    )


def _remove_results(out: Path) -> None:
    """Take away what an earlier run left, so that nothing of it can be taken for this one's."""
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
    table = Table(title=escape(title), caption=caption, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    width, height = summary.image_size
    for kind, what in summary.backends.items():
        table.add_row(kind, escape(what))
    table.add_row("images", f"{width}x{height}, {summary.input_seconds:.2f} s")
    table.add_row("frames in", str(summary.frames_in))
    table.add_row("frames out", str(summary.frames_out))
    table.add_row("frames dropped", str(summary.frames_dropped))
    for what, rate, latency in (
        ("", summary.output_hz, summary.latency_ms),
        (" with objects", summary.tracking_hz, summary.tracking_latency_ms),
    ):
        if rate is not None:
            table.add_row(f"output rate{what}", f"{rate:.1f} Hz")
        if latency is not None:
            table.add_row(
                f"latency{what}: p50, p95",
                f"{latency['p50']:.1f} ms, {latency['p95']:.1f} ms",
            )
    for object_id, item in summary.objects.items():
        others = [
            f"{count} {state.lower()}"
            for state, count in islice(item.states.items(), 1, None)
            if count
        ]
        table.add_row(
            escape(f"object {object_id} {item.label}".rstrip()),
            f"tracked in {item.tracked:.0%} of {item.frames} frames"
            + "".join(f", {other}" for other in others),
        )
    console.print(table)
    made = [name for name in (*RESULTS, "input", "output") if (out / name).exists()]
    console.print(f"In {out}: {', '.join(made)}", markup=False, highlight=False, soft_wrap=True)
