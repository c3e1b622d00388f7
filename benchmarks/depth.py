"""Time that depth adds to a frame: decoding it, and finding two objects in it.

Two discs, each a tenth of the image, 1.2 and 1.5 m away before a slanted wall, with noise and a
tenth of all readings missing; 17 points each; a lens with distortion; one thread. ``half`` is
depth of half the image's size. Medians over frames.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.depth import locate
from sam_pt_ros.interchange.images import decode_depth
from sam_pt_ros.interchange.messages import ResultMessages
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.points import PointTracks
from sam_pt_ros.recordings import rosbag2

SIZES = ((480, 640), (720, 1280))
SHARE = 0.1
DISTANCES = (1.2, 1.5)
POINTS = 17
MESSAGES = ResultMessages(rosbag2.make_bag_message)
HEADER = rosbag2.make_bag_header(1, "camera_optical_frame")
KINDS = {"16UC1": (np.uint16, 1000.0), "32FC1": (np.float32, 1.0)}


def camera_of(size: tuple[int, int]) -> CameraModel:
    height, width = size
    matrix = np.array(
        [[0.7 * width, 0, width / 2], [0, 0.7 * width, height / 2], [0, 0, 1]], np.float64
    )
    return CameraModel(matrix, np.array([-0.2, 0.05, 0.001, -0.001, 0.0]), False, size)


def make(size: tuple[int, int]) -> tuple[TrackResult, np.ndarray]:
    """A result with two objects, and the depth of its image in metres, 0 for no reading."""
    height, width = size
    rng = np.random.default_rng(0)
    y, x = np.indices(size)
    depth = 2 + x / width
    radius = (SHARE * height * width / np.pi) ** 0.5
    labels = np.zeros(size, np.uint16)
    objects = []
    for number, distance in enumerate(DISTANCES, start=1):
        disc = np.hypot(x - width * (0.5 * number - 0.25), y - height / 2) < radius
        depth[disc] = distance
        labels[disc] = number
        rows, columns = np.nonzero(disc)
        chosen = rng.integers(0, len(rows), POINTS)
        points = PointTracks(
            0,
            np.arange(POINTS),
            np.stack([columns[chosen], rows[chosen]], 1),
            np.ones(POINTS),
            np.ones(POINTS),
        )
        mask = CroppedMask.cut(disc, (0, 0), size)
        positive = np.ones(POINTS, np.int32)
        objects.append(
            ObjectResult(number, "", ObjectState.TRACKING, 1.0, mask, points, positive, 1, 0)
        )
    depth *= rng.normal(1, 0.005, size)
    depth[rng.random(size) < 0.1] = 0
    return TrackResult(0, 1, labels, tuple(objects), {}), depth


def median_ms(function: Callable[[], object], turns: int) -> float:
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        function()
        times.append((time.perf_counter() - begin) * 1e3)
    return float(np.median(times))


def measure(size: tuple[int, int], turns: int) -> dict[str, float]:
    """Milliseconds by what is timed."""
    result, depth = make(size)
    camera = camera_of(size)
    found = {}
    for encoding, (kind, scale) in KINDS.items():
        message = MESSAGES.image((depth * scale).astype(kind), encoding, HEADER)
        found[f"decode_{encoding}"] = median_ms(lambda m=message: decode_depth(m), turns)
        metres = decode_depth(message)
    begin = time.perf_counter()
    space = locate(result, metres, camera, "camera")
    found["first_frame"] = (time.perf_counter() - begin) * 1e3
    half = np.ascontiguousarray(metres[::2, ::2])
    locate(result, half, camera, "camera")
    move = np.eye(4)
    timed: dict[str, Callable[[], Any]] = {
        "locate": lambda: locate(result, metres, camera, "camera"),
        "locate_half": lambda: locate(result, half, camera, "camera"),
        "transform": lambda: space.transformed(move, "map"),
        "extents": lambda: [item.extent for item in space.objects.values()],
        "cloud": lambda: MESSAGES.cloud(space, HEADER),
    }
    return found | {name: median_ms(function, turns) for name, function in timed.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.depth", description=__doc__)
    parser.add_argument("--turns", type=int, default=100, help="times that each is timed")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    times = {
        f"{width}x{height}": measure((height, width), options.turns) for height, width in SIZES
    }
    print(f"{'ms':<16}{''.join(f'{size:>12}' for size in times)}")
    for name in next(iter(times.values())):
        print(f"{name:<16}{''.join(f'{found[name]:>12.2f}' for found in times.values())}")
    summary = {
        "benchmark": "depth",
        "cores": os.cpu_count(),
        "objects": len(DISTANCES),
        "object_share": SHARE,
        "points": POINTS * len(DISTANCES),
        "ms_median": times,
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
