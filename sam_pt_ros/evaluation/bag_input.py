"""A bag as the input of an evaluation: images, clicks, calibration and ground truth."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.prompts import PromptEvent
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.evaluation.truth import LabelRule, TruthFolder
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.images import decode_labels
from sam_pt_ros.interchange.messages import prompt_stamp, requests_from_points
from sam_pt_ros.recordings.bag_topics import POINTS_TOPIC, TRUTH_TOPIC
from sam_pt_ros.recordings.image_stream import (
    IMAGE_TYPES,
    ImageStream,
    no_pictures,
    picture_topics,
)
from sam_pt_ros.recordings.recording import Recording, offer_topics
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPE,
    PROMPTS_TYPE,
    decode_message,
    serialized_stamp,
)
from sam_pt_ros.recordings.skipped import SkippedMessages
from sam_pt_ros.recordings.storage_files import UnreadableError


class TruthSource(Protocol):
    """A source of annotations."""

    @property
    def problems(self) -> list[str]:
        """Annotations that cannot be used, a sentence each, as far as they were read."""

    def at(self, index: int, stamp: int) -> np.ndarray | None:
        """The label image of a frame, ``uint16 (H, W)``; frames must be asked for in order."""
        ...


class NoTruth:
    """A ground truth without annotations."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def at(self, index: int, stamp: int) -> np.ndarray | None:
        """None."""
        return None


@dataclass(frozen=True)
class BagInput:
    """The topics of a recording that an evaluation uses.

    Attributes:
        recording: to read.
        image_topic: of its images.
        points_topic: of its clicks; None if there are none.
        truth_topic: of its label images; None if there are none.
        stretch: see :class:`~sam_pt_ros.interchange.image_decoder.ImageDecoder`.
    """

    recording: Recording
    image_topic: str
    points_topic: str | None
    truth_topic: str | None
    stretch: bool = True

    @classmethod
    def find(
        cls,
        recording: Recording,
        image_topic: str = "",
        points_topic: str = "",
        truth_topic: str = "",
    ) -> BagInput:
        """Find the topics in a recording.

        Args:
            recording: to look into.
            image_topic: of the images; empty: the only topic with pictures.
            points_topic: of the clicks; empty: ``/points`` if it holds clicks, else the only
                topic with clicks, if there is one.
            truth_topic: of the label images; empty: ``/truth`` if it holds images.

        Raises:
            UserError: a topic is missing, has another type, or cannot be chosen among several.
        """
        path, kinds = recording.path, recording.types
        truth = _topic(recording, truth_topic, (IMAGE_TYPE,), "label images")
        if not truth_topic and kinds.get(TRUTH_TOPIC) == IMAGE_TYPE and image_topic != TRUTH_TOPIC:
            truth = TRUTH_TOPIC
        images = _topic(recording, image_topic, IMAGE_TYPES, "images")
        if images is None:
            found = picture_topics(recording, truth)
            if not found:
                raise no_pictures(recording)
            if len(found) > 1:
                raise UserError(
                    f"{path}: has several image topics ({', '.join(sorted(found))}); choose one "
                    "with --image-topic"
                )
            images = found[0]
        points = _topic(recording, points_topic, (PROMPTS_TYPE,), "clicks")
        if points is None:
            found = recording.topics_of(PROMPTS_TYPE)
            points = POINTS_TOPIC if POINTS_TOPIC in found else None
            if points is None and len(found) > 1:
                raise UserError(
                    f"{path}: has several topics with clicks ({', '.join(sorted(found))}); choose "
                    "one with --points-topic"
                )
            points = points or (found[0] if found else None)
        return cls(recording, images, points, truth)

    @property
    def frames(self) -> int:
        """Number of its images, unusable ones included."""
        return self.recording.count(self.image_topic)

    @property
    def problems(self) -> list[str]:
        """What is odd about the recording, a sentence each."""
        used = (self.image_topic, self.points_topic, self.truth_topic)
        missing = [self.recording.missing(topic) for topic in used if topic is not None]
        return [*self.recording.problems, *(text for text in missing if text is not None)]

    @contextmanager
    def open_truth(self, folder: Path | None = None) -> Iterator[TruthSource]:
        """The annotations of a folder, or else those of the bag, if it has any.

        Raises:
            UserError: the folder's files cannot be matched with the frames.
        """
        if folder is not None:
            cut_off = self.recording.cut_off is not None
            yield TruthFolder(folder, self.frames, cut_off)
        elif self.truth_topic is None:
            yield NoTruth()
        else:
            with TruthTopic(self.recording, self.truth_topic) as truth:
                yield truth

    def images(self, truth: TruthSource) -> InputImages:
        """The usable frames, decoded, in the order of the recording."""
        return InputImages(ImageStream(self.recording, self.image_topic, self.stretch), truth)

    def prompts(self) -> tuple[list[PromptEvent], list[str], str | None]:
        """The bag's own clicks, in their order, at their stamps.

        Clicks without a stamp refer to the last image that was recorded before them, or else to
        the first image.

        Returns:
            The clicks; which messages cannot be used, in lines; and why clicks may be missing, if
            the bag is unreadable from some point on.
        """
        events: list[PromptEvent] = []
        skipped = SkippedMessages()
        if self.points_topic is not None:
            try:
                self._read_prompts(events, skipped)
            except UnreadableError as error:
                return events, skipped.lines, str(error)
        return events, skipped.lines, None

    def _read_prompts(self, events: list[PromptEvent], skipped: SkippedMessages) -> None:
        newest = 0
        assert self.points_topic is not None
        for raw in self.recording.messages((self.image_topic, self.points_topic)):
            try:
                message = decode_message(raw.data, raw.type)
                stamp = prompt_stamp(message.header)
                if raw.topic == self.image_topic:
                    newest = stamp or newest
                    continue
                requests = requests_from_points(message.prompts)
            except UserError as error:
                if raw.topic != self.image_topic:  # `images` reports those
                    skipped.add(raw, error)
                continue
            events.append(PromptEvent(tuple(requests), stamp=newest if stamp is None else stamp))

    def camera(
        self,
        size: tuple[int, int],
        rectified: bool = False,
        skipped: SkippedMessages | None = None,
    ) -> CameraModel | None:
        """The first usable calibration for images of this size, if there is one.

        Args:
            size: height and width of the images, pixels.
            rectified: whether the images are rectified.
            skipped: takes the messages before it that cannot be parsed.
        """
        topics = self.recording.topics_of(CAMERA_INFO_TYPE)
        if not topics:
            return None
        with suppress(UnreadableError):
            for message in self.recording.parsed(topics, skipped):
                with suppress(UserError):  # uncalibrated
                    camera = CameraModel.from_message(message, rectified)
                    if camera.size == size:
                        return camera
        return None


class InputImages:
    """The usable frames of a recording, with their annotations; an iterable.

    Attributes:
        stream: where they come from; it says what was left out once all were read.
    """

    def __init__(self, stream: ImageStream, truth: TruthSource) -> None:
        self.stream = stream
        self._truth = truth

    def __iter__(self) -> Iterator[InputFrame]:
        """The frames.

        Raises:
            UserError: no image can be used, or the ground truth cannot; the frames before have
                been yielded.
        """
        for index, image in enumerate(self.stream):
            size = image.pixels.shape[:2]
            labels = self._truth.at(image.index, image.stamp)
            if labels is not None and labels.shape != size:
                raise UserError(
                    f"the ground truth of image {image.index} has {labels.shape[1]}x"
                    f"{labels.shape[0]} pixels, but the image {size[1]}x{size[0]}; use label "
                    "images of the images' size"
                )
            frame_id = image.message.header.frame_id
            yield InputFrame(
                index, image.stamp, image.pixels, labels, frame_id, image.recorded, image.encoding
            )


class TruthTopic:
    """Label images of a recording, with the stamps of their images; a context manager."""

    def __init__(self, recording: Recording, topic: str) -> None:
        self._recording, self._topic = recording, topic
        self._next: tuple[int, np.ndarray] | None = None
        self._images = self._read()
        self._skipped = SkippedMessages()

    def __enter__(self) -> TruthTopic:
        return self

    def __exit__(self, *_: object) -> None:
        self._images.close()

    @property
    def problems(self) -> list[str]:
        """Label images that cannot be used, a sentence each, as far as they were read."""
        return self._skipped.lines

    def at(self, index: int, stamp: int) -> np.ndarray | None:
        """The label image with this stamp, if there is one; stamps must be asked for in order."""
        while self._next is None or self._next[0] < stamp:
            self._next = next(self._images, None)
            if self._next is None:
                return None
        return self._next[1] if self._next[0] == stamp else None

    def _read(self) -> Generator[tuple[int, np.ndarray], None, None]:
        rule = LabelRule()
        usable = False
        for raw in self._recording.messages([self._topic]):
            try:
                message = decode_message(raw.data, raw.type)
                stamp = serialized_stamp(raw.data)
                labels = rule(decode_labels(message))
            except UserError as error:
                self._skipped.add(raw, error, "the ground truth")
                continue
            usable = True
            yield stamp, labels
        if self.problems and not usable:
            raise UserError(f"{self._recording.path}: {self.problems[0]}")


def _topic(recording: Recording, asked: str, wanted: Sequence[str], what: str) -> str | None:
    """The topic ``asked``, if any; UserError if it is missing or has another type."""
    if not asked:
        return None
    kinds = recording.types
    if asked not in kinds:
        raise UserError(
            f"{recording.path}: no messages on the topic '{asked}'; {offer_topics(recording)}"
        )
    if kinds[asked] not in wanted:
        raise UserError(
            f"{recording.path}: the topic '{asked}' has the type {kinds[asked]}, but {what} have "
            f"the type {' or '.join(wanted)}"
        )
    return asked
