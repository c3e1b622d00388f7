"""Cuts bags that can be played to the node: images, a calibration, clicks and ground truth."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.messages import ResultMessages
from sam_pt_ros.recordings.bag_topics import (
    CAMERA_INFO_TOPIC,
    IMAGE_TOPIC,
    POINTS_TOPIC,
    TRUTH_TOPIC,
)
from sam_pt_ros.recordings.clicks import Click, ClickEvent, check_clicks
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPE,
    PROMPTS_TYPE,
    SECOND,
    create_bag,
    make_bag_header,
    make_bag_message,
    remove_bag,
    typestore,
)
from sam_pt_ros.recordings.sources import Source, StampedImage

FOCAL_LENGTH = 0.87
"""Of an uncalibrated camera, in image widths: its field of view is 60 degrees."""

OUTPUT_SHARE = 1.5
"""Approximate size of the node's recorded outputs per byte of an image."""


@dataclass(frozen=True)
class CutBag:
    """A bag to play.

    Attributes:
        path: its folder.
        size: width and height of its images, pixels.
        stamps: of its images, nanoseconds, increasing.
        click_stamps: stamps of the images that are clicked on.
        problems: what was left out of its source, a sentence each.
    """

    path: Path
    size: tuple[int, int]
    stamps: tuple[int, ...]
    click_stamps: tuple[int, ...]
    problems: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Its duration, including the last image."""
        if len(self.stamps) < 2:
            return 0.0
        span = self.stamps[-1] - self.stamps[0]
        return span / SECOND * len(self.stamps) / (len(self.stamps) - 1)


def cut_bag(
    path: Path,
    source: Source,
    clicks: Sequence[Click] = (),
    start: float = 0.0,
    duration: float | None = None,
    on_image: Callable[[], None] = lambda: None,
    *,
    truth: Callable[[int], np.ndarray | None] | None = None,
    storage: str = "mcap",
) -> CutBag:
    """Write a bag that can be played to the node.

    Args:
        path: its folder; a bag that an earlier run left there is replaced, if there is no error.
        source: the images; it may read from ``path`` itself.
        clicks: in pixels of ``source.size``; empty: those that come with the source.
        start: seconds from the first image to the one that is clicked on.
        duration: seconds of the source to take; None: all.
        on_image: called after each image.
        truth: gives the label image, ``uint16 (H, W)``, of the image with an index in the source,
            or None.
        storage: ``mcap`` or ``sqlite3``.

    Raises:
        UserError: a click or an image that cannot be used, or a disk that is too small.
    """
    images = source.images()
    first = next(images)
    events = source.click_events
    if clicks:
        events = (ClickEvent(first.stamp + round(start * SECOND), tuple(clicks)),)
    check_clicks([click for event in events for click in event.clicks], *source.size)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    _check_space(folder, source, first, duration)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".cut_") as scratch:
        new = Path(scratch) / path.name
        cut = _write(
            new, chain([first], images), source, events, duration, on_image, truth, storage
        )
        if events and not cut.click_stamps:
            given = start if clicks else None
            raise _no_image_to_click_on(source.name, cut, events[0], given, duration)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_bag(path)
        shutil.move(new, path)
    return replace(cut, path=path, problems=tuple(source.problems))


def _no_image_to_click_on(
    name: str, cut: CutBag, event: ClickEvent, start: float | None, duration: float | None
) -> UserError:
    """The error of clicks after the last image.

    Args:
        name: of the source.
        cut: what was taken of it.
        event: the first clicks.
        start: seconds, as the user gave it; None: the clicks came with the source.
        duration: seconds, as the user gave it.
    """
    wanted = (event.stamp - cut.stamps[0]) / SECOND
    last = (cut.stamps[-1] - cut.stamps[0]) // (SECOND // 100) / 100  # rounded down
    if start is not None:
        wanted, advice = start, f"--start must be {last:.2f} s at most"
    elif duration is not None:
        advice = f"its clicks need a --duration of more than {wanted:.2f} s"
    else:
        advice = "its clicks have later stamps than its images; give others"
    length = "lasts {:.2f} s" if duration is None else "is cut to {:.2f} s by --duration"
    return UserError(
        f"{name}: {length.format(cut.seconds)}, so there is no image to click on {wanted:g} s "
        f"after the first; {advice}"
    )


def _check_space(
    folder: Path, source: Source, image: StampedImage, duration: float | None
) -> None:
    """UserError if the raw images and the node's outputs do not fit on the disk."""
    seconds = source.seconds if duration is None else min(duration, source.seconds)
    needed = seconds * source.rate * image.data.nbytes * (1 + OUTPUT_SHARE)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{seconds:.0f} s of {source.name} need about {needed / 1e9:.1f} GB, but "
            f"{folder.absolute()} has {free / 1e9:.1f} GB free; take less with --duration, or "
            "write elsewhere with --out"
        )


def _write(
    path: Path,
    images: Iterator[StampedImage],
    source: Source,
    events: Sequence[ClickEvent],
    duration: float | None,
    on_image: Callable[[], None],
    truth: Callable[[int], np.ndarray | None] | None,
    storage: str,
) -> CutBag:
    waiting = list(events)
    stamps: list[int] = []
    click_stamps = []
    size = (0, 0)
    kinds = {
        IMAGE_TOPIC: IMAGE_TYPE,
        CAMERA_INFO_TOPIC: CAMERA_INFO_TYPE,
        POINTS_TOPIC: PROMPTS_TYPE,
    }
    if truth is not None:
        kinds[TRUTH_TOPIC] = IMAGE_TYPE
    with create_bag(path, storage) as bag:
        store = typestore()
        topics = {
            topic: bag.add_connection(topic, kind, typestore=store)
            for topic, kind in kinds.items()
        }

        def write(topic: str, message: Any, stamp: int) -> None:
            connection = topics[topic]
            bag.write(connection, stamp, store.serialize_cdr(message, connection.msgtype))

        for image in images:
            if stamps and duration is not None and image.stamp - stamps[0] >= duration * SECOND:
                break
            size = (image.width, image.height)
            while waiting and waiting[0].stamp <= image.stamp:
                scale = image.width / source.size[0], image.height / source.size[1]
                due = [click.scaled(*scale) for click in waiting.pop(0).clicks]
                write(POINTS_TOPIC, prompts_message(due, image), image.stamp)
                click_stamps.append(image.stamp)
            info = camera_info_message(image, source.camera_info)
            write(CAMERA_INFO_TOPIC, info, image.stamp)
            labels = None if truth is None else truth(image.index)
            if labels is not None:
                write(TRUTH_TOPIC, label_message(labels, image), image.stamp)
            write(IMAGE_TOPIC, image_message(image), image.stamp)
            stamps.append(image.stamp)
            on_image()
    return CutBag(path, size, tuple(stamps), tuple(click_stamps))


def image_message(image: StampedImage) -> Any:
    """``sensor_msgs/msg/Image``."""
    return make_bag_message(
        IMAGE_TYPE,
        header=make_bag_header(image.stamp, image.frame_id),
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        is_bigendian=image.is_bigendian,
        step=image.step,
        data=image.data,
    )


def label_message(labels: np.ndarray, image: StampedImage) -> Any:
    """The label image, ``uint16 (H, W)``, of an image: mono8 if the labels fit, else mono16.

    Raises:
        UserError: its size is not that of the image.
    """
    if labels.shape != (image.height, image.width):
        raise UserError(
            f"the ground truth of the image with the stamp {image.stamp} ns has "
            f"{labels.shape[1]}x{labels.shape[0]} pixels, the image "
            f"{image.width}x{image.height}; use label images of the images' size"
        )
    deep = labels.max(initial=0) > 255
    pixels = labels.astype(np.uint16 if deep else np.uint8)
    header = make_bag_header(image.stamp, image.frame_id)
    make_image = ResultMessages(make_bag_message).image
    return make_image(pixels, "mono16" if deep else "mono8", header)


def camera_info_message(image: StampedImage, known: Any | None) -> Any:
    """``sensor_msgs/msg/CameraInfo``: the known calibration, or a plausible pinhole camera."""
    header = make_bag_header(image.stamp, image.frame_id)
    if known is not None:
        return replace(known, header=header)
    focal = FOCAL_LENGTH * image.width
    cx, cy = (image.width - 1) / 2, (image.height - 1) / 2
    return make_bag_message(
        CAMERA_INFO_TYPE,
        header=header,
        height=image.height,
        width=image.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([focal, 0, cx, 0, focal, cy, 0, 0, 1]),
        r=np.eye(3).reshape(-1),
        p=np.array([focal, 0, cx, 0, 0, focal, cy, 0, 0, 0, 1, 0]),
    )


def prompts_message(clicks: Sequence[Click], image: StampedImage) -> Any:
    """``PointPromptArray`` of clicks on an image."""
    prompts = [
        make_bag_message(
            PROMPTS_TYPE.removesuffix("Array"),
            object_id=click.object_id,
            object_label=click.name,
            x=click.x,
            y=click.y,
            label=click.label,
        )
        for click in clicks
    ]
    header = make_bag_header(image.stamp, image.frame_id)
    return make_bag_message(PROMPTS_TYPE, header=header, prompts=prompts)
