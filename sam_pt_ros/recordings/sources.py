"""Where images come from: a video file, a camera or a bag."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.images import decode_compressed, decode_image
from sam_pt_ros.recordings.clicks import Click, ClickEvent
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    PROMPTS_TYPE,
    SECOND,
    open_bag,
    serialized_stamp,
    typestore,
)

FRAME_ID = "camera_optical_frame"
FIRST_STAMP = 1_000 * SECOND
"""Stamp of a video's first frame: fixed, so that every run is the same; not 0, which would mean
"no stamp"."""

FALLBACK_RATE = 25.0
"""Frames per second of a video that does not state them."""

WIDEST = 1280
"""Images of a video or a camera are scaled down to this width by default (pixels)."""


UNSCALED = 1 << 20
"""A width that no image exceeds."""


@dataclass(frozen=True, eq=False)
class StampedImage:
    """The content of a ``sensor_msgs/msg/Image``.

    Attributes:
        stamp: nanoseconds.
        data: ``uint8 (height * step,)``.
    """

    stamp: int
    height: int
    width: int
    encoding: str
    step: int
    data: np.ndarray
    frame_id: str = FRAME_ID
    is_bigendian: int = 0

    @classmethod
    def from_rgb(cls, image: np.ndarray, stamp: int, frame_id: str = FRAME_ID) -> StampedImage:
        """From an RGB image, ``uint8 (H, W, 3)``, and its stamp in nanoseconds."""
        height, width = image.shape[:2]
        data = np.ascontiguousarray(image).reshape(-1)
        return cls(stamp, height, width, "rgb8", 3 * width, data, frame_id)


class Source(Protocol):
    """A stream of images.

    Attributes:
        name: what it is, for people.
        size: width and height of the images before scaling; clicks are in these pixels.
        click_events: clicks that come with the images.
        camera_info: the camera's calibration, if it is known.
        seconds: its approximate duration; infinite for a camera.
        rate: approximate images per second.
    """

    name: str
    size: tuple[int, int]
    click_events: tuple[ClickEvent, ...]
    camera_info: Any | None
    seconds: float
    rate: float

    def images(self) -> Iterator[StampedImage]:
        """The images, in order; can be called once."""
        ...


def _open_capture(target: str | int) -> cv2.VideoCapture:
    # OpenCV and FFmpeg report a bad file in many lines that do not help.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging = getattr(cv2.utils, "logging", cv2)  # up to OpenCV 4.6 these functions are in cv2
    level = logging.getLogLevel()
    logging.setLogLevel(0)  # silent
    try:
        return cv2.VideoCapture(target)
    finally:
        logging.setLogLevel(level)


def _fit(size: tuple[int, int], widest: int) -> tuple[int, int]:
    """Width and height of an image that is not wider than ``widest``."""
    width, height = size
    if width <= widest:
        return size
    return widest, max(1, round(height * widest / width))


class _Capture:
    """Common to videos and cameras."""

    click_events: tuple[ClickEvent, ...] = ()
    camera_info: Any | None = None

    def __init__(self, target: str | int, problem: str, widest: int) -> None:
        self._capture = _open_capture(target)
        read, self._first = self._capture.read()
        if not read:
            self._capture.release()
            raise UserError(problem)
        height, width = self._first.shape[:2]
        self.size = (width, height)
        self._scaled = _fit(self.size, widest)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= 1000 else FALLBACK_RATE

    def _read(self) -> Iterator[np.ndarray]:
        """RGB images."""
        image = self._first
        try:
            while True:
                if image.shape[1::-1] != self._scaled:
                    image = cv2.resize(image, self._scaled, interpolation=cv2.INTER_AREA)
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                read, image = self._capture.read()
                if not read:
                    return
        finally:
            self._capture.release()


class VideoSource(_Capture):
    """A video file; stamps follow from its frame rate."""

    def __init__(self, path: Path, widest: int = WIDEST) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such video file; check the path")
        problem = (
            f"{path}: cannot be read as a video; convert it, for example to H.264 in MP4, or "
            "choose another"
        )
        super().__init__(str(path), problem, widest)
        self.name = path.name
        self.seconds = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) / self.rate

    def images(self) -> Iterator[StampedImage]:
        """The frames."""
        for index, image in enumerate(self._read()):
            yield StampedImage.from_rgb(image, FIRST_STAMP + round(index * SECOND / self.rate))


class FolderSource:
    """A folder of pictures, as in data sets; stamps follow from a frame rate; never scaled."""

    click_events: tuple[ClickEvent, ...] = ()
    camera_info: Any | None = None

    def __init__(self, folder: Path, rate: float = FALLBACK_RATE) -> None:
        self.files = picture_files(folder)
        first = self._read(self.files[0])
        self.size = (first.shape[1], first.shape[0])
        self.name = folder.name
        self.rate = rate
        self.seconds = len(self.files) / rate

    def images(self) -> Iterator[StampedImage]:
        """The pictures, in the order of their names."""
        for index, path in enumerate(self.files):
            image = cv2.cvtColor(self._read(path), cv2.COLOR_BGR2RGB)
            yield StampedImage.from_rgb(image, FIRST_STAMP + round(index * SECOND / self.rate))

    @staticmethod
    def _read(path: Path) -> np.ndarray:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(f"{path}: cannot be read as a picture; replace or remove it")
        return image


PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def picture_files(folder: Path) -> tuple[Path, ...]:
    """The pictures in a folder, in natural order of their names (2 before 10).

    Raises:
        UserError: the folder does not exist, or holds no picture.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check the path")
    files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    if not files:
        raise UserError(f"{folder}: holds no pictures ({', '.join(PICTURES)}); check the path")
    return tuple(sorted(files, key=lambda path: natural_order(path.stem)))


def natural_order(text: str) -> list[tuple[int, str]]:
    """A sort key for names in which numbers count as numbers."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


class CameraSource(_Capture):
    """A camera of this machine; frames are stamped when they arrive. It never ends."""

    seconds = math.inf

    def __init__(self, number: int, widest: int = WIDEST) -> None:
        problem = (
            f"camera {number} cannot be opened; check that /dev/video{number} exists, is a camera "
            "and is not in use"
        )
        super().__init__(number, problem, widest)
        self.name = f"camera {number}"

    def images(self) -> Iterator[StampedImage]:
        """The images, from now on."""
        newest = 0
        for image in self._read():
            newest = max(time.time_ns(), newest + 1)
            yield StampedImage.from_rgb(image, newest)


@dataclass
class BagSource:
    """An image topic of a rosbag2, whose messages are passed on unchanged.

    Compressed images are decoded. Clicks come from one topic of type PointPromptArray or, if none
    is named, from all such topics.
    """

    path: Path
    topic: str = ""
    points_topic: str | None = None
    name: str = field(init=False)
    size: tuple[int, int] = field(init=False)
    click_events: tuple[ClickEvent, ...] = field(init=False)
    camera_info: Any | None = field(init=False)
    seconds: float = field(init=False)
    rate: float = field(init=False)

    def __post_init__(self) -> None:
        self.topic = self._find_topic()
        self.name = f"{self.path.name}:{self.topic}"
        first = next(self.images())
        self.size = (first.width, first.height)
        self.click_events = self._find_clicks()
        self.camera_info = self._find_camera_info()

    def _find_topic(self) -> str:
        with open_bag(self.path) as bag:
            images = {
                c.topic: c.msgcount
                for c in bag.connections
                if c.msgtype in (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE) and c.msgcount
            }
            self.seconds = bag.duration / SECOND
        if not images:
            raise UserError(f"{self.path}: this bag holds no images; choose another")
        topic = self.topic or next(iter(images))
        if topic not in images:
            raise UserError(
                f"{self.path}: no images on the topic '{topic}'; choose one of {', '.join(images)}"
            )
        self.rate = images[topic] / self.seconds
        return topic

    def images(self) -> Iterator[StampedImage]:
        """The images in the order of the bag."""
        newest = -1
        with open_bag(self.path) as bag:
            connections = [c for c in bag.connections if c.topic == self.topic]
            for connection, _, raw in bag.messages(connections):
                message: Any = typestore().deserialize_cdr(raw, connection.msgtype)
                stamp = serialized_stamp(raw)
                if stamp <= newest:
                    raise UserError(
                        f"{self.path}: the stamps on '{self.topic}' do not increase ({stamp} ns "
                        f"after {newest} ns); record it again with a driver that stamps images"
                    )
                newest = stamp
                try:
                    yield _stamped_image(message, stamp)
                except UserError as error:
                    raise UserError(
                        f"{self.path}: an image on '{self.topic}' (stamp {stamp} ns) cannot be "
                        f"used: {error}"
                    ) from error

    def _find_clicks(self) -> tuple[ClickEvent, ...]:
        """The bag's clicks; clicks without a stamp refer to the image that follows."""
        events = []
        unstamped: list[Click] = []
        new_ids: dict[str, int] = {}
        with open_bag(self.path) as bag:
            wanted = [
                c
                for c in bag.connections
                if c.topic == self.topic
                or (c.msgtype == PROMPTS_TYPE and self.points_topic in (None, c.topic))
            ]
            if all(c.topic == self.topic for c in wanted):
                return ()
            for connection, _, raw in bag.messages(wanted):
                stamp = serialized_stamp(raw)
                if connection.topic == self.topic:
                    if unstamped:
                        events.append(ClickEvent(stamp, tuple(unstamped)))
                        unstamped = []
                    continue
                message: Any = typestore().deserialize_cdr(raw, PROMPTS_TYPE)
                clicks = [
                    Click(
                        p.x,
                        p.y,
                        int(p.label),
                        int(p.object_id) or new_ids.setdefault(p.object_label, len(new_ids) + 1),
                        p.object_label,
                    )
                    for p in message.prompts
                ]
                if stamp == 0:
                    unstamped += clicks
                elif clicks:
                    events.append(ClickEvent(stamp, tuple(clicks)))
        return tuple(sorted(events, key=lambda event: event.stamp))

    def _find_camera_info(self) -> Any | None:
        """The calibration for images of this size, if there is one."""
        with open_bag(self.path) as bag:
            connections = [c for c in bag.connections if c.msgtype == CAMERA_INFO_TYPE]
            if not connections:
                return None
            for connection, _, raw in bag.messages(connections):
                message: Any = typestore().deserialize_cdr(raw, connection.msgtype)
                if (message.width, message.height) == self.size:
                    return message
        return None


def _stamped_image(message: Any, stamp: int) -> StampedImage:
    """A message of a bag; UserError if the node could not use it."""
    if message.__msgtype__ == COMPRESSED_IMAGE_TYPE:
        return StampedImage.from_rgb(decode_compressed(message), stamp, message.header.frame_id)
    image = StampedImage(
        stamp,
        int(message.height),
        int(message.width),
        message.encoding,
        int(message.step),
        message.data,
        message.header.frame_id,
        int(message.is_bigendian),
    )
    decode_image(image)
    return image
