"""Draws results and writes them to a bag, a film and a film strip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.messages import KINDS, ResultMessages
from sam_pt_ros.interchange.visualization import draw_overlay, film_strip
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.recordings.bag_topics import NODE_NAME
from sam_pt_ros.recordings.films import STRIP_COLUMNS, STRIP_IMAGES, FilmWriter, choose_evenly
from sam_pt_ros.recordings.rosbag2 import (
    SECOND,
    add_connection,
    create_bag,
    make_bag_header,
    make_bag_message,
    typestore,
)

TILE_WIDTH = 480
"""Largest width of a picture in the film strip, pixels."""


_KEPT = 2 * STRIP_IMAGES  # overlays; when there are more, every second one is dropped


class Strip:
    """A film strip of a run of unknown length: keeps some of its overlays."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, np.ndarray, str]] = []
        self._step = 1
        self._seen = 0

    def add(self, frame: InputFrame, overlay: np.ndarray, seconds: float) -> None:
        """Offer an overlay, RGB ``uint8 (H, W, 3)``, and its time in seconds."""
        if self._seen % self._step == 0:
            if len(self._kept) == _KEPT:
                self._kept = self._kept[::2]
                self._step *= 2
            title = f"frame {frame.index}    {seconds:.2f} s"
            if self._seen % self._step == 0:
                self._kept.append((self._seen, _tile(overlay), title))
        self._seen += 1

    def picture(self) -> np.ndarray | None:
        """The film strip, RGB ``uint8 (H, W, 3)``; None without overlays."""
        if not self._kept:
            return None
        chosen = set(choose_evenly([seen for seen, _, _ in self._kept]))
        kept = [item for item in self._kept if item[0] in chosen]
        return film_strip([i for _, i, _ in kept], [t for _, _, t in kept], STRIP_COLUMNS)


def _tile(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if width <= TILE_WIDTH:
        return image
    size = (TILE_WIDTH, max(1, round(height * TILE_WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


class ResultWriter:
    """Draws results and writes them; a :class:`~.stream.Sink`.

    Args:
        bag: folder of the bag to write (mcap), with all topics of the node; None: no bag.
        film: the ``.mp4`` file to write; None: no film.
        camera: of the images; None: no markers.
    """

    def __init__(
        self, bag: Path | None, film: Path | None, camera: CameraModel | None = None
    ) -> None:
        self.strip = Strip()
        self._bag = None if bag is None else create_bag(bag)
        self._film = None if film is None else FilmWriter(film)
        self._camera = camera
        self._messages = ResultMessages(make_bag_message)
        self._first: int | None = None
        if self._bag is not None:
            self._bag.open()

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """Draw and write one result."""
        self._first = frame.stamp if self._first is None else self._first
        overlay = draw_overlay(frame.image, result)
        if result.objects:
            self.strip.add(frame, overlay, (frame.stamp - self._first) / SECOND)
        if self._film is not None:
            self._film.add(frame.stamp, overlay)
        if self._bag is not None:
            self._write(frame, result, overlay)

    def _write(self, frame: InputFrame, result: TrackResult, overlay: np.ndarray) -> None:
        header = make_bag_header(frame.stamp, frame.frame_id)
        made: dict[str, Any] = {
            "objects": self._messages.objects(result, header),
            "label_image": self._messages.label_image(result, header),
            "masks": self._messages.masks(result, header),
            "tracked_points": self._messages.tracked_points(result, header),
            "overlay": self._messages.image(overlay, "rgb8", header),
        }
        if self._camera is not None:
            made["markers"] = self._messages.markers(result, header, self._camera)
        assert self._bag is not None
        for name, message in made.items():
            connection = add_connection(self._bag, f"{NODE_NAME}/{name}", KINDS[name])
            raw = typestore().serialize_cdr(message, KINDS[name])
            self._bag.write(connection, frame.recorded, raw)

    def close(self) -> None:
        """Finish the film and the bag."""
        try:
            if self._film is not None:
                self._film.close()
        finally:
            if self._bag is not None:
                self._bag.close()
