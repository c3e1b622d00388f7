"""Time from an image message to an RGB frame, by encoding and size.

The message's data is an array of bytes, as rclpy makes it, without padding; one thread. The last
60 frames are kept, as the pipeline keeps them, so that memory is taken and given back as in the
node. The encodings take turns, so that a busy moment of the machine falls on all of them.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np

from sam_pt_ros.interchange.compressed_images import decode_compressed
from sam_pt_ros.interchange.images import ENCODINGS, decode_image, encode_jpeg

SIZES = ((640, 480), (1280, 720))
KEPT = 60
BEHIND = {"nv12": 1, "nv21": 1, "i420": 1, "yuv420": 1, "yv12": 1, "nv24": 4}
"""Bytes of the other planes, in halves of that of Y, by encoding."""
Decoder = Callable[[SimpleNamespace], np.ndarray]


def picture(width: int, height: int) -> np.ndarray:
    """RGB, smooth with some noise: compressed it is about as large as a photograph."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (height // 40, width // 40, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(smooth, random.integers(0, 8, smooth.shape, np.uint8)))


def of_bytes(data: np.ndarray) -> array.array[int]:
    made = array.array("B")
    made.frombytes(data.tobytes())
    return made


def messages(width: int, height: int) -> dict[str, tuple[Decoder, SimpleNamespace]]:
    """By encoding, or by ``jpeg`` and ``png``: what decodes a message, and one."""
    image = picture(width, height)
    made: dict[str, tuple[Decoder, SimpleNamespace]] = {}
    for encoding in ENCODINGS:
        # The time does not depend on what the bytes mean.
        behind = height * BEHIND.get(encoding, 0) // 2
        pixel = np.dstack([image, image, image])[:, :, : bytes_per_pixel(encoding)]
        data = np.ascontiguousarray(pixel)
        message = SimpleNamespace(
            encoding=encoding,
            height=height,
            width=width,
            step=data.nbytes // height,
            is_bigendian=0,
            data=of_bytes(np.concatenate([data, data, data])[: height + behind]),
        )
        made[encoding] = (decode_image, message)
    files = {"jpeg": encode_jpeg(image), "png": cv2.imencode(".png", image)[1]}
    for name, data in files.items():
        message = SimpleNamespace(format=name, data=of_bytes(data))
        made[name] = (decode_compressed, message)
    return made


def bytes_per_pixel(encoding: str) -> int:
    """Of the plane of Y if there are planes."""
    if encoding in BEHIND:
        return 1
    if encoding.startswith(("mono", "bayer")):
        return 2 if encoding.endswith("16") else 1
    if encoding in ("rgb8", "bgr8", "8UC3"):
        return 3
    sizes = {1: ["8UC1"], 4: ["8UC4", "rgba8", "bgra8"], 6: ["rgb16", "bgr16", "16UC3"]}
    sizes[8] = ["rgba16", "bgra16", "16UC4"]
    return next((size for size, names in sizes.items() if encoding in names), 2)


def measure(
    made: dict[str, tuple[Decoder, SimpleNamespace]], turns: int
) -> dict[str, dict[str, float]]:
    """Milliseconds by encoding: median and 95 %."""
    kept: deque[np.ndarray] = deque(maxlen=KEPT)
    times: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(-5, turns):  # the first ones warm up
        for name, (decode, message) in made.items():
            begin = time.perf_counter()
            frame = decode(message)
            elapsed = (time.perf_counter() - begin) * 1e3
            kept.append(frame)
            if turn >= 0:
                times[name].append(elapsed)
    return {
        name: {"median": float(np.median(found)), "p95": float(np.percentile(found, 95))}
        for name, found in times.items()
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--turns", type=int, default=100, help="that are counted, default 100")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    results = {f"{w}x{h}": measure(messages(w, h), options.turns) for w, h in SIZES}
    print(f"{'ms (median, 95 %)':<20}" + "".join(f"{size:>18}" for size in results))
    for name in next(iter(results.values())):
        cells = (found[name] for found in results.values())
        print(f"{name:<20}" + "".join(f"{c['median']:>10.2f}{c['p95']:>8.2f}" for c in cells))
    summary = {
        "benchmark": "images",
        "cores": os.cpu_count(),
        "threads": 1,
        "turns": options.turns,
        "decode_ms": results,
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
