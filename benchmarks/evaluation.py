"""The time that an evaluation adds to the pipeline's own.

A sequence of DAVIS 2016, forwards and backwards in turns, becomes a bag (raw images, clicks,
ground truth). It is run alternately through the pipeline alone, with all images in memory, and
through the evaluation: reading and decoding, J and F, a film, a bag of all the node's topics. The
ratio is the median over the turns of the ratio of wall times, including starting objects. The
report takes the same time for any length and is timed separately.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from benchmarks.metrics import DEFAULT_ROOT, RESOLUTION
from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.bag_input import BagInput, NoTruth
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.evaluation.prompts import PromptSchedule
from sam_pt_ros.evaluation.run_folder import RunResults, write_run
from sam_pt_ros.evaluation.scoring import ScoringProtocol
from sam_pt_ros.evaluation.side_process import SideJob, SideProcess
from sam_pt_ros.evaluation.stream import InputFrame, StreamOutcome, run_stream
from sam_pt_ros.recordings.recording import open_recording
from sam_pt_ros.recordings.sources import picture_files

TURNS = 5
LENGTHENED = 2
SEQUENCE = "dog"


def lengthened(source: Path, folder: Path) -> Path:
    """A sequence forwards and backwards in turns, so that one-time work matters little."""
    files = picture_files(source)
    folder.mkdir()
    there_and_back = [*files, *files[-2:0:-1]]
    for index, path in enumerate(there_and_back * LENGTHENED):
        (folder / f"{index:05d}{path.suffix}").symlink_to(path.resolve())
    return folder


def alone(config: Path, bag: BagInput, frames: list[InputFrame]) -> float:
    """Seconds of the pipeline alone, with all images in memory."""
    pipeline = load_configuration(config).offline().create()
    schedule = PromptSchedule(bag.prompts()[0])
    begin = time.perf_counter()
    for frame in frames:
        requests = schedule(frame)
        if requests:
            pipeline.apply(requests, stamp=frame.stamp)
        pipeline.process(frame.image, frame.stamp)
    pipeline.flush()
    return time.perf_counter() - begin


def evaluated(config: Path, bag: BagInput, out: Path) -> tuple[float, StreamOutcome, SideProcess]:
    """Seconds of the evaluation without its report, and its results."""
    pipeline = load_configuration(config).offline().create()
    schedule = PromptSchedule(bag.prompts()[0])
    camera = bag.camera(next(iter(bag.images(NoTruth()))).image.shape[:2])
    job = SideJob(bag, None, ScoringProtocol(), out / "output", out / "overlay.mp4", camera)
    with bag.open_truth() as truth:
        begin = time.perf_counter()
        side = SideProcess(job)
        outcome = run_stream(pipeline, bag.images(truth), schedule, [side])
        return time.perf_counter() - begin, outcome, side


def report(config: Path, out: Path, outcome: StreamOutcome, side: SideProcess) -> float:
    """Seconds for the tables and the report."""
    begin = time.perf_counter()
    run = RunResults(
        title="benchmark",
        source=SEQUENCE,
        configuration_name=config.name,
        configuration=load_configuration(config),
        rows=side.scorer.rows,
        timings=outcome.timings,
        scores=side.scorer.scores(SEQUENCE, 0),
        stamps=[timing.stamp for timing in outcome.timings],
        strip=side.strip.picture(),
    )
    write_run(out, run)
    return time.perf_counter() - begin


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    config = Path(__file__).resolve().parents[1] / "config" / "classical.yaml"
    parser.add_argument("--config", type=Path, default=config, help="configuration file")
    root = Path(os.environ.get("SAM_PT_DAVIS_ROOT", DEFAULT_ROOT))
    parser.add_argument("--root", type=Path, default=root, help="folder of DAVIS 2016")
    parser.add_argument("--sequence", default=SEQUENCE, help=f"default: {SEQUENCE}")
    options = parser.parse_args(arguments)
    images = options.root / "JPEGImages" / RESOLUTION
    if not images.is_dir():
        reason = f"no DAVIS 2016 sequences in {options.root}; name their folder with --root"
        print(f"skipped: {reason}")
        print(json.dumps({"skipped": reason}))
        return 0
    cv2.setNumThreads(1)
    pipeline_seconds, evaluation_seconds, report_seconds = [], [], []
    try:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
            annotations = options.root / "Annotations" / RESOLUTION / options.sequence
            long = [
                lengthened(source, Path(folder) / name)
                for source, name in ((images / options.sequence, "f"), (annotations, "a"))
            ]
            path = Path(folder) / "bag"
            made = make_bag(MakeBagOptions(long[0], path, long[1]))
            bag = BagInput.find(opened.enter_context(open_recording(path)))
            with bag.open_truth() as truth:
                frames = list(bag.images(truth))
            alone(options.config, bag, frames)  # a warm-up
            for turn in range(TURNS):
                out = Path(folder) / f"out_{turn}"
                out.mkdir()
                pipeline_seconds.append(alone(options.config, bag, frames))
                seconds, outcome, side = evaluated(options.config, bag, out)
                evaluation_seconds.append(seconds)
                report_seconds.append(report(options.config, out, outcome, side))
    except UserError as error:
        print(f"benchmarks.evaluation: {error}", file=sys.stderr)
        return 2
    ratios = np.array(evaluation_seconds) / np.array(pipeline_seconds)
    count = len(made.stamps)
    summary = {
        "benchmark": "evaluation",
        "config": options.config.name,
        "sequence": options.sequence,
        "frames": count,
        "width": made.size[0],
        "height": made.size[1],
        "cores": os.cpu_count(),
        "pipeline_ms_per_frame": float(np.median(pipeline_seconds)) / count * 1e3,
        "evaluation_ms_per_frame": float(np.median(evaluation_seconds)) / count * 1e3,
        "ratio_median": float(np.median(ratios)),
        "ratios": ratios.round(3).tolist(),
        "report_s": float(np.median(report_seconds)),
    }
    print(f"{count} frames of {made.size[0]}x{made.size[1]}, medians of {TURNS} turns")
    print(f"{'pipeline alone':<24}{summary['pipeline_ms_per_frame']:>8.1f} ms per frame")
    print(f"{'evaluation':<24}{summary['evaluation_ms_per_frame']:>8.1f} ms per frame")
    print(f"{'added':<24}{summary['ratio_median'] - 1:>8.1%}")
    print(f"{'tables and report':<24}{summary['report_s']:>8.2f} s")
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
