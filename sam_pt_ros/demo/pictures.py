"""The film and the film strip of a run, out of the recorded overlays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.demo.bags import IMAGE_TYPE, SECOND, open_bag, typestore
from sam_pt_ros.visualization import film_strip

STRIP_IMAGES = 12
STRIP_COLUMNS = 4


def read_overlays(path: Path, topic: str) -> Iterator[tuple[int, np.ndarray]]:
    """Stamps and RGB images, ``uint8 (H, W, 3)``, of a recorded ``~/overlay``."""
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic == topic]
        for _, _, raw in bag.messages(connections):
            message: Any = typestore().deserialize_cdr(raw, IMAGE_TYPE)
            stamp = message.header.stamp.sec * SECOND + message.header.stamp.nanosec
            yield stamp, message.data.reshape(message.height, message.width, 3)


def write_film(
    path: Path, overlays: Iterator[tuple[int, np.ndarray]], stamps: Sequence[int]
) -> None:
    """Write the overlays as a video that is as long as the input.

    Args:
        path: an ``.mp4`` file.
        overlays: stamps and RGB images, in order; at least one.
        stamps: of all images that were played. One without an overlay shows the one before.

    Raises:
        RuntimeError: the file cannot be written, or not be read again.
    """
    span = (stamps[-1] - stamps[0]) / SECOND
    rate = (len(stamps) - 1) / span if span > 0 else 25.0
    current = following = next(overlays)
    height, width = current[1].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    try:
        exhausted = False
        for stamp in stamps:
            while not exhausted and following[0] <= stamp:
                current = following
                try:
                    following = next(overlays)
                except StopIteration:
                    exhausted = True
            writer.write(cv2.cvtColor(current[1], cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    frames = count_frames(path)
    if frames != len(stamps):
        raise RuntimeError(
            f"{path} holds {frames} of {len(stamps)} frames; check that the disk is not full"
        )


def count_frames(path: Path) -> int:
    """Frames of a video, by decoding it."""
    capture = cv2.VideoCapture(str(path))
    try:
        frames = 0
        while capture.grab():
            frames += 1
        return frames
    finally:
        capture.release()


def choose_evenly(stamps: Sequence[int], count: int = STRIP_IMAGES) -> list[int]:
    """At most ``count`` of the stamps, evenly in time, the first and the last included."""
    if len(stamps) <= count:
        return list(stamps)
    times = np.asarray(stamps, np.int64)
    wishes = times[0] + np.linspace(0, float(times[-1] - times[0]), count)
    nearest = {int(np.abs(times - wish).argmin()) for wish in wishes}
    return [stamps[i] for i in sorted(nearest)]


def write_strip(
    path: Path,
    overlays: Iterator[tuple[int, np.ndarray]],
    wanted: Sequence[int],
    stamps: Sequence[int],
) -> None:
    """Write some overlays side by side.

    Args:
        path: a ``.png`` file.
        overlays: stamps and RGB images.
        wanted: stamps of those to show.
        stamps: of all images that were played, for the titles.
    """
    index = {stamp: i for i, stamp in enumerate(stamps)}
    chosen = set(wanted)
    images, titles = [], []
    for stamp, image in overlays:
        if stamp in chosen:
            images.append(image)
            titles.append(f"frame {index[stamp]}    {(stamp - stamps[0]) / SECOND:.2f} s")
    if images:
        strip = film_strip(images, titles, STRIP_COLUMNS)
        cv2.imwrite(str(path), cv2.cvtColor(strip, cv2.COLOR_RGB2BGR))
