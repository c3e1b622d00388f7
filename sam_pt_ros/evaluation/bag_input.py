"""A bag as the input of an evaluation: images, clicks, calibration and ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.prompts import PromptEvent
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.evaluation.truth import LabelRule, TruthFolder
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.images import decode_compressed, decode_image, decode_labels
from sam_pt_ros.interchange.messages import prompt_stamp, requests_from_points
from sam_pt_ros.recordings.bag_topics import POINTS_TOPIC, TRUTH_TOPIC
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    PROMPTS_TYPE,
    open_bag,
    serialized_stamp,
    typestore,
)

IMAGE_TYPES = (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE)


class UnreadableError(UserError):
    """A bag is unreadable from some message on."""


class TruthSource(Protocol):
    """A source of annotations."""

    def at(self, index: int, stamp: int) -> np.ndarray | None:
        """The label image of a frame, ``uint16 (H, W)``; frames must be asked for in order."""
        ...


class NoTruth:
    """A ground truth without annotations."""

    def at(self, index: int, stamp: int) -> np.ndarray | None:
        """None."""
        return None


@dataclass(frozen=True)
class BagInput:
    """The topics of a bag that an evaluation uses.

    Attributes:
        path: of the bag.
        image_topic: of its images.
        points_topic: of its clicks; None if there are none.
        truth_topic: of its label images; None if there are none.
        frames: number of its images.
        cut_off: whether the recording held more images.
    """

    path: Path
    image_topic: str
    points_topic: str | None
    truth_topic: str | None
    frames: int
    cut_off: bool = False

    @classmethod
    def find(
        cls,
        path: Path,
        image_topic: str = "",
        points_topic: str = "",
        truth_topic: str = "",
    ) -> BagInput:
        """Find the topics in a bag.

        Args:
            path: of the bag.
            image_topic: of the images; empty: the only topic with images.
            points_topic: of the clicks; empty: ``/points`` if it holds clicks, else the only
                topic with clicks, if there is one.
            truth_topic: of the label images; empty: ``/truth`` if it holds images.

        Raises:
            UserError: a topic is missing, has another type, or cannot be chosen among several.
        """
        with open_bag(path) as bag:
            kinds = {c.topic: c.msgtype for c in bag.connections if c.msgcount}
            counts = {c.topic: c.msgcount for c in bag.connections}
        truth = _topic(path, kinds, truth_topic, (IMAGE_TYPE,), "label images")
        if not truth_topic and kinds.get(TRUTH_TOPIC) == IMAGE_TYPE != image_topic:
            truth = TRUTH_TOPIC
        images = _topic(path, kinds, image_topic, IMAGE_TYPES, "images")
        if images is None:
            found = [t for t, kind in kinds.items() if kind in IMAGE_TYPES and t != truth]
            if len(found) != 1:
                raise UserError(
                    f"{path}: has several image topics ({', '.join(sorted(found))}); choose one "
                    "with --image-topic"
                    if found
                    else f"{path}: this bag holds no images; {_offer(kinds)}"
                )
            images = found[0]
        points = _topic(path, kinds, points_topic, (PROMPTS_TYPE,), "clicks")
        if points is None:
            found = [t for t, kind in kinds.items() if kind == PROMPTS_TYPE]
            points = POINTS_TOPIC if POINTS_TOPIC in found else None
            if points is None and len(found) > 1:
                raise UserError(
                    f"{path}: has several topics with clicks ({', '.join(sorted(found))}); choose "
                    "one with --points-topic"
                )
            points = points or (found[0] if found else None)
        return cls(path, images, points, truth, counts[images])

    @contextmanager
    def open_truth(self, folder: Path | None = None) -> Iterator[TruthSource]:
        """The annotations of a folder, or else those of the bag, if it has any.

        Raises:
            UserError: the folder's files cannot be matched with the frames.
        """
        if folder is not None:
            yield TruthFolder(folder, self.frames, self.cut_off)
        elif self.truth_topic is None:
            yield NoTruth()
        else:
            with TruthTopic(self.path, self.truth_topic) as truth:
                yield truth

    def images(self, truth: TruthSource) -> Iterator[InputFrame]:
        """The frames, decoded, in the order of the bag.

        Raises:
            UserError: an image cannot be used; those before it have been yielded.
        """
        newest, size = -1, None
        with open_bag(self.path) as bag:
            connections = [c for c in bag.connections if c.topic == self.image_topic]
            for index, (connection, recorded, raw) in enumerate(
                _messages(bag, connections, self.path)
            ):
                where = f"{self.path}: image {index} on '{self.image_topic}'"
                message: Any = _decode(raw, connection.msgtype, where)
                stamp = serialized_stamp(raw)
                if stamp <= newest:
                    raise UserError(
                        f"{where}: its stamp of {stamp} ns is not later than that of the previous "
                        f"image, {newest} ns; record it again with a driver that stamps images"
                    )
                newest = stamp
                try:
                    if connection.msgtype == COMPRESSED_IMAGE_TYPE:
                        image = decode_compressed(message)
                    else:
                        image = decode_image(message)
                except UserError as error:
                    raise UserError(f"{where}: {error}") from error
                if size is not None and image.shape[:2] != size:
                    raise UserError(
                        f"{where}: has {image.shape[1]}x{image.shape[0]} pixels, but the images "
                        f"before it have {size[1]}x{size[0]}; use a recording of one image size"
                    )
                size = image.shape[:2]
                labels = truth.at(index, stamp)
                if labels is not None and labels.shape != size:
                    raise UserError(
                        f"{where}: its ground truth has {labels.shape[1]}x{labels.shape[0]} "
                        f"pixels, but the image {size[1]}x{size[0]}; use label images of the "
                        "images' size"
                    )
                frame_id = message.header.frame_id
                yield InputFrame(index, stamp, image, labels, frame_id, recorded)

    def prompts(self) -> tuple[list[PromptEvent], list[str], str | None]:
        """The bag's own clicks, in their order, at their stamps.

        Clicks without a stamp refer to the last image that was recorded before them, or else to
        the first image.

        Returns:
            The clicks; a sentence for each message that cannot be used; and why clicks may be
            missing, if the bag is unreadable from some point on.
        """
        events: list[PromptEvent] = []
        problems: list[str] = []
        if self.points_topic is not None:
            try:
                self._read_prompts(events, problems)
            except UnreadableError as error:
                return events, problems, str(error)
        return events, problems, None

    def _read_prompts(self, events: list[PromptEvent], problems: list[str]) -> None:
        newest = 0
        with open_bag(self.path) as bag:
            wanted = (self.image_topic, self.points_topic)
            connections = [c for c in bag.connections if c.topic in wanted]
            for connection, _, raw in _messages(bag, connections, self.path):
                where = f"clicks on '{connection.topic}'"
                try:
                    message: Any = _decode(raw, connection.msgtype, where)
                    stamp = prompt_stamp(message.header)
                    if connection.topic == self.image_topic:
                        newest = stamp or newest
                        continue
                    where = f"{where} with the stamp {stamp or 0} ns"
                    requests = requests_from_points(message.prompts)
                except UserError as error:
                    if connection.topic != self.image_topic:  # `images` reports those
                        problems.append(f"{where}: {error}")
                    continue
                events.append(
                    PromptEvent(tuple(requests), stamp=newest if stamp is None else stamp)
                )

    def camera(self, size: tuple[int, int], rectified: bool = False) -> CameraModel | None:
        """The first calibration for images of this size, if there is one.

        Args:
            size: height and width of the images, pixels.
            rectified: whether the images are rectified.
        """
        with open_bag(self.path) as bag:
            connections = [c for c in bag.connections if c.msgtype == CAMERA_INFO_TYPE]
            if not connections:
                return None
            for connection, _, raw in _messages(bag, connections, self.path):
                try:
                    message: Any = _decode(raw, connection.msgtype, "the camera_info")
                    camera = CameraModel.from_message(message, rectified)
                    if camera.size == size:
                        return camera
                except UserError:  # broken or uncalibrated: no markers then
                    return None
        return None


class TruthTopic:
    """Label images of a bag, with the stamps of their images; a context manager."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path, self._topic = path, topic
        self._next: tuple[int, np.ndarray] | None = None
        self._images = self._read()

    def __enter__(self) -> TruthTopic:
        return self

    def __exit__(self, *_: object) -> None:
        self._images.close()  # type: ignore[attr-defined]

    def at(self, index: int, stamp: int) -> np.ndarray | None:
        """The label image with this stamp, if there is one; stamps must be asked for in order."""
        while self._next is None or self._next[0] < stamp:
            self._next = next(self._images, None)
            if self._next is None:
                return None
        return self._next[1] if self._next[0] == stamp else None

    def _read(self) -> Iterator[tuple[int, np.ndarray]]:
        rule = LabelRule()
        with open_bag(self._path) as bag:
            connections = [c for c in bag.connections if c.topic == self._topic]
            for _, _, raw in _messages(bag, connections, self._path):
                where = f"{self._path}: the ground truth on '{self._topic}'"
                message: Any = _decode(raw, IMAGE_TYPE, where)
                stamp = serialized_stamp(raw)
                try:
                    labels = rule(decode_labels(message))
                except UserError as error:
                    raise UserError(f"{where} with the stamp {stamp} ns: {error}") from error
                yield stamp, labels


def _topic(
    path: Path, kinds: dict[str, str], asked: str, wanted: Sequence[str], what: str
) -> str | None:
    """The topic ``asked``, if any; UserError if it is missing or has another type."""
    if not asked:
        return None
    if asked not in kinds:
        raise UserError(f"{path}: no messages on the topic '{asked}'; {_offer(kinds)}")
    if kinds[asked] not in wanted:
        raise UserError(
            f"{path}: the topic '{asked}' has the type {kinds[asked]}, but {what} have the type "
            f"{' or '.join(wanted)}"
        )
    return asked


def _offer(kinds: dict[str, str]) -> str:
    if not kinds:
        return "the bag is empty"
    return "its topics are " + ", ".join(
        f"{topic} ({kind})" for topic, kind in sorted(kinds.items())
    )


def _decode(raw: bytes, kind: str, where: str) -> Any:
    """A message; UserError if its bytes are not those of one of this type."""
    try:
        return typestore().deserialize_cdr(raw, kind)
    except Exception as error:  # rosbags passes on what struct and NumPy raise
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: its {len(raw)} bytes are no {kind} ({reason})") from error


def _messages(
    bag: Any, connections: Sequence[Any], path: Path
) -> Iterator[tuple[Any, int, bytes]]:
    """The messages of some connections; UserError where the bag cannot be read on."""
    try:
        yield from bag.messages(connections)
    except UserError:
        raise
    except Exception as error:  # rosbags passes on what its storages and zstd raise
        reason = " ".join(str(error).split())
        raise UnreadableError(
            f"{path}: cannot be read on ({reason}); record or copy it again"
        ) from error
