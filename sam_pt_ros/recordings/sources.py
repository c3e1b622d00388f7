"""Where images come from: a video file, a camera or a bag."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.grey_levels import GreyLevels
from sam_pt_ros.interchange.images import check_size
from sam_pt_ros.recordings.clicks import Click, ClickEvent
from sam_pt_ros.recordings.image_stream import (
    IMAGE_TYPES,
    ImageStream,
    RecordedImage,
    no_pictures,
    picture_topics,
)
from sam_pt_ros.recordings.pictures import picture_files, read_picture, silent_opencv
from sam_pt_ros.recordings.recording import Recording
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    PROMPTS_TYPE,
    SECOND,
    decode_message,
    serialized_stamp,
)
from sam_pt_ros.recordings.skipped import SkippedMessages
from sam_pt_ros.recordings.storage_files import UnreadableError

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
        index: among the images of its source, from 0, those included that are left out.
    """

    stamp: int
    height: int
    width: int
    encoding: str
    step: int
    data: np.ndarray
    frame_id: str = FRAME_ID
    is_bigendian: int = 0
    index: int = 0

    @classmethod
    def from_rgb(
        cls, image: np.ndarray, stamp: int, index: int = 0, frame_id: str = FRAME_ID
    ) -> StampedImage:
        """From an RGB image, ``uint8 (H, W, 3)``, its stamp in nanoseconds and its index."""
        height, width = image.shape[:2]
        data = np.ascontiguousarray(image).reshape(-1)
        return cls(stamp, height, width, "rgb8", 3 * width, data, frame_id, index=index)


class Source(Protocol):
    """A stream of images.

    Attributes:
        name: what it is, for people.
        size: width and height of the images before scaling; clicks are in these pixels.
        click_events: clicks that come with the images.
        camera_info: the camera's calibration, if it is known.
        seconds: its approximate duration; infinite for a camera.
        rate: approximate images per second.
        problems: what is odd about it, or was left out so far, a sentence each.
    """

    name: str
    size: tuple[int, int]
    click_events: tuple[ClickEvent, ...]
    camera_info: Any | None
    seconds: float
    rate: float
    problems: list[str]

    def images(self) -> Iterator[StampedImage]:
        """The images, in order; can be called once."""
        ...


def _open_capture(target: str | int) -> cv2.VideoCapture:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with silent_opencv():
        return cv2.VideoCapture(target)


def _check_sides(size: tuple[int, int], where: object) -> None:
    """UserError if images of this width and height cannot be played."""
    try:
        check_size(size[1], size[0])
    except UserError as error:
        raise UserError(f"{where}: {error}; choose another") from error


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

    def __init__(self, target: str | int, where: str, problem: str, widest: int) -> None:
        self.problems: list[str] = []
        self._capture = _open_capture(target)
        read, self._first = self._capture.read()
        if not read:
            self._capture.release()
            raise UserError(problem)
        height, width = self._first.shape[:2]
        self.size = (width, height)
        self._scaled = _fit(self.size, widest)
        for size in (self.size, self._scaled):
            _check_sides(size, where)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= 1000 else FALLBACK_RATE

    @property
    def _time(self) -> float:
        """Time of the newest image that was read, in milliseconds, where the source has times."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC))

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
    """A video file; stamps follow from the times in the file, which need not be evenly spaced."""

    def __init__(self, path: Path, widest: int = WIDEST) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such video file; check the path")
        problem = (
            f"{path}: cannot be read as a video; convert it, for example to H.264 in MP4, or "
            "choose another"
        )
        super().__init__(str(path), str(path), problem, widest)
        self.name = path.name
        self.seconds = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) / self.rate

    def images(self) -> Iterator[StampedImage]:
        """The frames."""
        period = SECOND / self.rate
        begin, newest = self._time, -period
        for index, image in enumerate(self._read()):
            time = (self._time - begin) * 1e6  # nanoseconds
            if time <= newest:  # the file does not tell it
                time = newest + period
            newest = time
            yield StampedImage.from_rgb(image, FIRST_STAMP + round(time), index)


def count_frames(path: Path) -> int:
    """The frames of a video, by reading all of it: not every container states their number."""
    capture = _open_capture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


class FolderSource:
    """A folder of pictures, as in data sets; stamps follow from a frame rate; never scaled.

    All pictures must have one size. A picture that cannot be read is left out, and its time with
    it.
    """

    click_events: tuple[ClickEvent, ...] = ()
    camera_info: Any | None = None

    def __init__(self, folder: Path, rate: float = FALLBACK_RATE) -> None:
        self.problems: list[str] = []
        self.files = picture_files(folder)
        self._sized, first = self._first_readable()
        self.size = (first.shape[1], first.shape[0])
        _check_sides(self.size, folder)
        self.name = folder.name
        self.rate = rate
        self.seconds = len(self.files) / rate

    def _first_readable(self) -> tuple[Path, np.ndarray]:
        """The picture whose size counts, and its pixels."""
        problem: UserError | None = None
        for path in self.files:
            try:
                return path, read_picture(path)
            except UserError as error:
                problem = problem or error
        assert problem is not None
        raise problem

    def images(self) -> Iterator[StampedImage]:
        """The pictures, in the order of their names.

        Raises:
            UserError: a picture has another size than the first.
        """
        levels = GreyLevels()
        for index, path in enumerate(self.files):
            stamp = FIRST_STAMP + round(index * SECOND / self.rate)
            try:
                image = read_picture(path, levels)
            except UserError as error:
                self.problems.append(f"frame {index} was left out: {error}")
                continue
            height, width = image.shape[:2]
            if (width, height) != self.size:
                raise UserError(
                    f"{path}: has {width}x{height} pixels, but {self._sized.name} has "
                    f"{self.size[0]}x{self.size[1]}; scale the pictures to one size, or keep each "
                    "size in a folder of its own"
                )
            yield StampedImage.from_rgb(image, stamp, index)


class CameraSource(_Capture):
    """A camera of this machine; frames are stamped when they arrive. It never ends."""

    seconds = math.inf

    def __init__(self, number: int, widest: int = WIDEST) -> None:
        problem = (
            f"camera {number} cannot be opened; check that /dev/video{number} exists, is a camera "
            "and is not in use"
        )
        super().__init__(number, f"camera {number}", problem, widest)
        self.name = f"camera {number}"

    def images(self) -> Iterator[StampedImage]:
        """The images, from now on."""
        newest = 0
        for index, image in enumerate(self._read()):
            newest = max(time.time_ns(), newest + 1)
            yield StampedImage.from_rgb(image, newest, index)


class BagSource:
    """An image topic of a recording, whose messages are passed on unchanged.

    Compressed images are decoded; images that cannot be used are left out.

    Args:
        recording: to read.
        topic: of the images; empty: the first with pictures, colour before depth.
        points_topic: of clicks, of type PointPromptArray; None: all such topics.

    Attributes:
        problems: what is odd about the recording, a sentence each; what was left out of the
            images is added once they were read.
        undecoded: as of an :class:`~sam_pt_ros.recordings.image_stream.ImageStream`.

    Raises:
        UserError: there are no such images.
    """

    def __init__(
        self, recording: Recording, topic: str = "", points_topic: str | None = None
    ) -> None:
        self._recording = recording
        self.problems = list(recording.problems)
        self.undecoded: str | None = None
        if recording.cut_off is not None:
            self.problems.append(recording.cut_off)
        self.topic = self._choose(topic)
        if (missing := recording.missing(self.topic)) is not None:
            self.problems.append(missing)
        self.name = f"{recording.path.name}:{self.topic}"
        first = next(iter(ImageStream(recording, self.topic)))
        self.size = (first.pixels.shape[1], first.pixels.shape[0])
        self.seconds = recording.seconds
        self.rate = recording.count(self.topic) / self.seconds if self.seconds else FALLBACK_RATE
        skipped = SkippedMessages()
        self.click_events = self._find_clicks(points_topic, skipped)
        self.camera_info = self._find_camera_info(skipped)
        self.problems += skipped.lines

    def _choose(self, asked: str) -> str:
        pictures = picture_topics(self._recording)
        if not pictures:
            raise no_pictures(self._recording)
        if asked:
            images = self._recording.topics_of(*IMAGE_TYPES)
            if asked not in images:
                raise UserError(
                    f"{self._recording.path}: no images on the topic '{asked}'; choose one of "
                    f"{', '.join(images)}"
                )
            return asked
        if len(pictures) > 1:
            self.problems.append(
                f"the images on '{pictures[0]}' were taken; to take those on "
                f"{' or '.join(pictures[1:])}, use --image-topic"
            )
        return pictures[0]

    def images(self) -> Iterator[StampedImage]:
        """The usable images, in the order of the recording, as far as it can be read.

        Raises:
            UserError: no image is usable.
        """
        stream = ImageStream(self._recording, self.topic)
        ends: list[str] = []
        try:
            yield from map(_stamped_image, stream)
        except UnreadableError as error:
            ends.append(str(error))
        self.undecoded = stream.undecoded
        for text in (*stream.problems, *filter(None, [stream.broken]), *ends):
            if text not in self.problems:
                self.problems.append(text)

    def _find_clicks(
        self, points_topic: str | None, skipped: SkippedMessages
    ) -> tuple[ClickEvent, ...]:
        """The bag's clicks; clicks without a stamp refer to the image that follows."""
        events: list[ClickEvent] = []
        unstamped: list[Click] = []
        new_ids: dict[str, int] = {}
        topics = [
            topic
            for topic in self._recording.topics_of(PROMPTS_TYPE)
            if points_topic in (None, topic)
        ]
        if not topics:
            return ()
        with suppress(UnreadableError):  # `images` reports it
            for raw in self._recording.messages([self.topic, *topics]):
                try:
                    message = decode_message(raw.data, raw.type)
                    stamp = serialized_stamp(raw.data)
                    if raw.topic == self.topic:
                        if unstamped:
                            events.append(ClickEvent(stamp, tuple(unstamped)))
                            unstamped = []
                        continue
                    clicks = [
                        Click(
                            p.x,
                            p.y,
                            int(p.label),
                            int(p.object_id)
                            or new_ids.setdefault(p.object_label, len(new_ids) + 1),
                            p.object_label,
                        )
                        for p in message.prompts
                    ]
                except UserError as error:
                    if raw.topic != self.topic:  # `images` reports those
                        skipped.add(raw, error)
                    continue
                if stamp == 0:
                    unstamped += clicks
                elif clicks:
                    events.append(ClickEvent(stamp, tuple(clicks)))
        return tuple(sorted(events, key=lambda event: event.stamp))

    def _find_camera_info(self, skipped: SkippedMessages) -> Any | None:
        """The calibration for images of this size, if there is one."""
        topics = self._recording.topics_of(CAMERA_INFO_TYPE)
        if not topics:
            return None
        with suppress(UnreadableError):
            for message in self._recording.parsed(topics, skipped):
                if (message.width, message.height) == self.size:
                    return message
        return None


def _stamped_image(image: RecordedImage) -> StampedImage:
    message = image.message
    if message.__msgtype__ == COMPRESSED_IMAGE_TYPE:
        return StampedImage.from_rgb(
            image.pixels, image.stamp, image.index, message.header.frame_id
        )
    return StampedImage(
        image.stamp,
        int(message.height),
        int(message.width),
        message.encoding,
        int(message.step),
        message.data,
        message.header.frame_id,
        int(message.is_bigendian),
        image.index,
    )
