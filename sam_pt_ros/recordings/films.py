"""Films and film strips of overlays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from sam_pt_ros.interchange.visualization import film_strip
from sam_pt_ros.recordings.rosbag2 import IMAGE_TYPE, SECOND, open_bag, typestore

STRIP_IMAGES = 12
STRIP_COLUMNS = 4


def read_overlays(path: Path, topic: str) -> Iterator[tuple[int, np.ndarray]]:
    """Stamps (nanoseconds) and RGB images, ``uint8 (H, W, 3)``, of a recorded ``~/overlay``."""
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic == topic]
        for _, _, raw in bag.messages(connections):
            message: Any = typestore().deserialize_cdr(raw, IMAGE_TYPE)
            stamp = message.header.stamp.sec * SECOND + message.header.stamp.nanosec
            yield stamp, message.data.reshape(message.height, message.width, 3)


def write_film(
    path: Path, overlays: Iterator[tuple[int, np.ndarray]], stamps: Sequence[int]
) -> None:
    """Write the overlays as a video (H.264) of the input's length.

    Args:
        path: an ``.mp4`` file.
        overlays: stamps and RGB images, in order; at least one.
        stamps: of all images that were played; an image without an overlay shows the one before.
    """
    shown, following = next(overlays), next(overlays, None)
    height, width = shown[1].shape[:2]
    with av.open(str(path), "w") as film:
        stream = _add_stream(film, _rate(stamps), width, height)
        for stamp in stamps:
            while following and following[0] <= stamp:
                shown, following = following, next(overlays, None)
            film.mux(stream.encode(_video_frame(shown[1])))
        film.mux(stream.encode())


class FilmWriter:
    """Writes images as a video (H.264), each shown until the next; a context manager.

    Args:
        path: an ``.mp4`` file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._film: Any = None
        self._stream: Any = None
        self._first = 0
        self._newest = -1

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, stamp: int, image: np.ndarray) -> None:
        """Add an image, RGB ``uint8 (H, W, 3)``, shown from its stamp (nanoseconds) on.

        Raises:
            OSError: the film cannot be written.
        """
        if self._film is None:
            height, width = image.shape[:2]
            self._film = av.open(str(self._path), "w")
            self._stream = _add_stream(self._film, Fraction(25), width, height)
            self._stream.codec_context.time_base = _CLOCK
            self._first = stamp
        frame = _video_frame(image)
        # Later than the one before, however close the stamps are.
        self._newest = max(round((stamp - self._first) * _CLOCK_RATE / SECOND), self._newest + 1)
        frame.pts, frame.time_base = self._newest, _CLOCK
        self._film.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the film; without an image no file is written."""
        film, self._film = self._film, None
        if film is not None:
            try:
                film.mux(self._stream.encode())
            finally:
                film.close()


_CLOCK_RATE = 90_000  # ticks per second, as in MPEG
_CLOCK = Fraction(1, _CLOCK_RATE)


def _add_stream(film: Any, rate: Fraction, width: int, height: int) -> Any:
    """Add a stream that every browser plays: yuv420p, which needs even sides."""
    stream = film.add_stream("libx264", rate, options={"preset": "ultrafast"})
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1  # the other cores are busy
    stream.width, stream.height = width + width % 2, height + height % 2
    return stream


def _video_frame(image: np.ndarray) -> Any:
    """An RGB image as a video frame; the last row and column are repeated to make sides even."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _rate(stamps: Sequence[int]) -> Fraction:
    """Images per second, within what a film can hold; 30000/1001 stays exact."""
    span = stamps[-1] - stamps[0]
    if not span:
        return Fraction(25)
    rate = Fraction((len(stamps) - 1) * SECOND, span).limit_denominator(1001)
    return min(max(rate, Fraction(1, 1001)), Fraction(1000))


def choose_evenly(stamps: Sequence[int], count: int = STRIP_IMAGES) -> list[int]:
    """Choose at most ``count`` stamps, evenly in time, including the first and the last."""
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
        wanted: stamps of the overlays to show.
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
        write_image(path, strip)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image, ``uint8 (H, W, 3)``, as PNG; OSError if that fails."""
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
