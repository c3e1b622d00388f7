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
        behind = 2 * height if encoding == "nv24" else height // 2
        planar = encoding in ("nv12", "nv21", "nv24", "i420", "yuv420", "yv12")
        pixel = np.dstack([image, image, image])[
            :, :, : 1 if planar else bytes_per_pixel(encoding)
        ]
        data = np.ascontiguousarray(pixel)
        message = SimpleNamespace(
            encoding=encoding,
            height=height,
            width=width,
            step=data.nbytes // height,
            is_bigendian=0,
            data=of_bytes(
                np.concatenate([data, data, data])[: height + behind] if planar else data
            ),
        )
        made[encoding] = (decode_image, message)
    files = {"jpeg": encode_jpeg(image), "png": cv2.imencode(".png", image)[1]}
    for name, data in files.items():
        message = SimpleNamespace(format=name, data=of_bytes(data))
        made[name] = (decode_compressed, message)
    return made


def bytes_per_pixel(encoding: str) -> int:
    if encoding.startswith(("mono", "bayer")):
        return 2 if encoding.endswith("16") else 1
    if encoding in ("rgb8", "bgr8", "8UC3"):
        return 3
    sizes = {"8UC1": 1, "8UC4": 4, "rgba8": 4, "bgra8": 4, "rgb16": 6, "bgr16": 6, "16UC3": 6}
    sizes.update({"rgba16": 8, "bgra16": 8, "16UC4": 8})
    return sizes.get(encoding, 2)


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
