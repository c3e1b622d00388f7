"""The usable images on a topic of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.interchange.image_decoder import ImageDecoder
from sam_pt_ros.interchange.images import DEPTH_ENCODINGS
from sam_pt_ros.recordings.recording import Recording, offer_topics
from sam_pt_ros.recordings.rosbag2 import (
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    decode_message,
    serialized_stamp,
)
from sam_pt_ros.recordings.skipped import SkippedMessages
from sam_pt_ros.recordings.storage_files import CDR, Message

IMAGE_TYPES = (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE)

ENDED = 10
"""So many unusable images after the last usable one mean that the stream has ended there."""


class _UndecodableError(UserError):
    """The bytes of an image cannot be decoded."""


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """An image of a recording.

    Attributes:
        index: among the messages on its topic, unusable ones included.
        stamp: nanoseconds.
        recorded: when it was received, nanoseconds.
        message: ``Image`` or ``CompressedImage``.
        pixels: RGB, ``uint8 (H, W, 3)``.
        encoding: as of a :class:`~sam_pt_ros.interchange.image_decoder.DecodedImage`.
    """

    index: int
    stamp: int
    recorded: int
    message: Any
    pixels: np.ndarray
    encoding: str


class ImageStream:
    """The usable images on a topic, in the order of the recording.

    An image is left out if it cannot be decoded, if its size is not that of the first image, or if
    its stamp is not between those of its neighbours.

    Args:
        recording: to read.
        topic: of the images.
        stretch: see :class:`~sam_pt_ros.interchange.image_decoder.ImageDecoder`.

    Attributes:
        problems: what was left out, once all images were read.
        broken: why the stream ended early, once all images were read; None if it did not.
        undecoded: how many of how many images were left out because they could not be decoded,
            in a sentence, once all images were read; None if none were.
    """

    def __init__(self, recording: Recording, topic: str, stretch: bool = True) -> None:
        self._recording = recording
        self._topic = topic
        self._stretch = stretch
        self._reset()

    def _reset(self) -> None:
        self.problems: list[str] = []
        self.broken: str | None = None
        self.undecoded: str | None = None
        self._decoder = ImageDecoder(self._stretch)
        self._encoding = ""
        self._changes: list[str] = []
        self._newest = -1
        self._size: tuple[int, ...] | None = None

    def __iter__(self) -> Iterator[RecordedImage]:
        """The images.

        Raises:
            UserError: no image is usable.
            UnreadableError: the recording cannot be read on.
        """
        self._reset()
        skipped, newest = SkippedMessages(), SkippedMessages()
        newest_reason = ""
        in_a_row = total = undecoded = 0
        for total, (message, following) in enumerate(self._pairs(), 1):
            index = total - 1
            try:
                image = self._usable(index, message, following)
            except UserError as error:
                if not in_a_row:
                    newest_reason = f"image {index} on '{self._topic}': {error}"
                in_a_row += 1
                undecoded += isinstance(error, _UndecodableError)
                newest.add(message, error, f"image {index}")
                continue
            skipped.add_all(newest)
            newest, in_a_row = SkippedMessages(), 0
            yield image
        path = self._recording.path
        if in_a_row == total:
            raise UserError(
                f"{path}: {newest_reason}"
                if total
                else f"{path}: holds no images on the topic '{self._topic}'"
            )
        if in_a_row >= ENDED:
            self.broken = f"{path}: no image is usable from {newest_reason}"
        else:
            skipped.add_all(newest)
        if self._changes:
            self.problems.append(
                "the encoding of the images, or the range of their 16-bit values, changed "
                f"{counted(len(self._changes), 'time')}; first in {self._changes[0]}"
            )
        self.problems += skipped.lines
        if undecoded:
            self.undecoded = (
                f"{path}: {undecoded} of {total} images on '{self._topic}' could not be decoded "
                "and were left out"
            )

    def _pairs(self) -> Iterator[tuple[Message, Message | None]]:
        """Each message with the one that follows."""
        messages = self._recording.messages([self._topic])
        current = next(messages, None)
        while current is not None:
            following = next(messages, None)
            yield current, following
            current = following

    def _usable(self, index: int, message: Message, following: Message | None) -> RecordedImage:
        """The image of a message; UserError if it is to be left out."""
        with _decoding():
            decoded = decode_message(message.data, message.type)
        stamp = serialized_stamp(message.data)
        if stamp <= self._newest:
            raise UserError(
                f"its stamp of {stamp} ns is not later than that of the previous image, "
                f"{self._newest} ns; record it again with a driver that stamps images"
            )
        if following is not None and len(following.data) >= 12:
            after = serialized_stamp(following.data)
            if self._newest >= 0 and self._newest < after < stamp:
                raise UserError(
                    f"its stamp of {stamp} ns is later than that of the next image, {after} ns"
                )
        with _decoding():
            image = self._decoder.decode(decoded)
        pixels = image.pixels
        size = pixels.shape[:2]
        if self._size not in (None, size):
            assert self._size is not None
            raise UserError(
                f"has {size[1]}x{size[0]} pixels, but the images before it have "
                f"{self._size[1]}x{self._size[0]}; use a recording of one image size"
            )
        if self._encoding not in ("", image.encoding):
            self._changes.append(f"image {index}, from '{self._encoding}' to '{image.encoding}'")
        self._newest, self._size, self._encoding = stamp, size, image.encoding
        return RecordedImage(index, stamp, message.recorded, decoded, pixels, image.encoding)


@contextmanager
def _decoding() -> Iterator[None]:
    """Tell the errors of decoding from other reasons to leave an image out."""
    try:
        yield
    except UserError as error:
        raise _UndecodableError(str(error)) from error


def picture_topics(recording: Recording, without: str | None = None) -> list[str]:
    """The topics with pictures, those of depth left out unless there are no others.

    A topic comes before its compressed twin.

    Args:
        recording: to look into.
        without: a topic that holds other images, such as the ground truth.
    """
    found = [
        name
        for name in recording.topics_of(*IMAGE_TYPES)
        if name != without and not _is_compressed_depth(recording, name)
    ]
    pictures = [name for name in found if not _is_depth(recording, name)] or found
    raw = recording.topics_of(IMAGE_TYPE)
    return sorted(pictures, key=lambda name: name not in raw)


def _is_depth(recording: Recording, topic: str) -> bool:
    if recording.types[topic] != IMAGE_TYPE:
        return False
    message = next(recording.parsed([topic]), None)
    if message is None or message.encoding not in DEPTH_ENCODINGS:
        return False
    return message.encoding != "mono16" or "depth" in topic.lower()  # thermal cameras use it, too


def _is_compressed_depth(recording: Recording, topic: str) -> bool:
    if recording.types[topic] != COMPRESSED_IMAGE_TYPE:
        return False
    message = next(recording.parsed([topic]), None)
    return message is not None and "compresseddepth" in message.format.lower()


def no_pictures(recording: Recording) -> UserError:
    """The error of a recording without pictures: says what it holds instead."""
    unread = [
        topic
        for topic in recording.topics
        if topic.type.removeprefix("foxglove.") in (*IMAGE_TYPES, "RawImage", "CompressedImage")
        and topic.encoding != CDR
    ]
    if unread:
        encodings = ", ".join(sorted({topic.encoding for topic in unread}))
        return UserError(
            f"{recording.path}: its images are serialized as {encodings}, and only {CDR} is "
            f"read ({offer_topics(recording)}); convert the recording to ROS 2, or record it with "
            "`ros2 bag record`"
        )
    return UserError(f"{recording.path}: this bag holds no images; {offer_topics(recording)}")
