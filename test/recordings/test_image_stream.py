"""Which topic is taken for the pictures, and which images of it are of use."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.cutting import image_message
from sam_pt_ros.recordings.image_stream import ENDED, ImageStream, picture_topics
from sam_pt_ros.recordings.recording import Recording
from sam_pt_ros.recordings.rosbag2 import (
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    make_bag_header,
    make_bag_message,
)
from sam_pt_ros.recordings.sources import BagSource, StampedImage
from support.media import frame, recording, write_bag

SIZE = (64, 48)


def colour(stamp: int) -> Any:
    return IMAGE_TYPE, image_message(StampedImage.from_rgb(frame(stamp, SIZE), stamp))


def depth(stamp: int, encoding: str = "16UC1") -> Any:
    width, height = SIZE
    size = 4 if encoding == "32FC1" else 2
    data = np.zeros(width * height * size, np.uint8)
    image = StampedImage(stamp, height, width, encoding, width * size, data)
    return IMAGE_TYPE, image_message(image)


def compressed(stamp: int, format: str = "rgb8; jpeg compressed bgr8", start: bytes = b"") -> Any:
    data = start + cv2.imencode(".png", frame(stamp, SIZE))[1].tobytes()
    return COMPRESSED_IMAGE_TYPE, make_bag_message(
        COMPRESSED_IMAGE_TYPE, header=make_bag_header(stamp, ""), format=format, data=data
    )


def compressed_depth(stamp: int) -> Any:
    return compressed(stamp, "16UC1; compressedDepth png", struct.pack("<iff", 0, 0.0, 0.0))


def recorded(folder: Path, **topics: Any) -> Recording:
    """A recording of three messages on each topic, in the order of the topics."""
    messages = [
        (f"/{topic}", *make(stamp), stamp) for stamp in (1, 2, 3) for topic, make in topics.items()
    ]
    return recording(write_bag(folder / "bag", messages))


@pytest.mark.parametrize(
    ("topics", "chosen"),
    [
        ({"depth": depth, "rgb": colour}, ["/rgb"]),
        ({"depth": lambda s: depth(s, "32FC1"), "rgb": colour}, ["/rgb"]),
        ({"my_depth": lambda s: depth(s, "mono16"), "rgb": colour}, ["/rgb"]),
        ({"thermal": lambda s: depth(s, "mono16"), "rgb": colour}, ["/thermal", "/rgb"]),
        ({"depth": compressed_depth, "rgb": compressed}, ["/rgb"]),
        ({"small": compressed, "raw": colour, "other": colour}, ["/raw", "/other", "/small"]),
        ({"depth": depth}, ["/depth"]),
        ({"depth": compressed_depth}, []),
    ],
)
def test_colour_comes_before_depth_and_raw_before_compressed(
    tmp_path: Path, topics: dict[str, Any], chosen: list[str]
) -> None:
    assert picture_topics(recorded(tmp_path, **topics)) == chosen


def test_what_was_taken_is_said_where_there_was_a_choice(tmp_path: Path) -> None:
    both = recorded(tmp_path, depth=depth, left=colour, right=colour)
    source = BagSource(both)
    assert source.topic == "/left"
    assert source.problems == [
        "the images on '/left' were taken; to take those on /right, use --image-topic"
    ]
    assert BagSource(both, "/right").problems == []
    with pytest.raises(UserError, match="choose one of /depth, /left, /right"):
        BagSource(both, "/up")


def test_a_recording_of_compressed_depth_holds_no_pictures(tmp_path: Path) -> None:
    only = recorded(tmp_path, depth=compressed_depth)
    with pytest.raises(UserError, match=r"holds no images; its topics are /depth \(sensor_msgs"):
        BagSource(only)


def stream(folder: Path, stamps: list[int]) -> ImageStream:
    messages = [("/image", *colour(stamp), index) for index, stamp in enumerate(stamps)]
    return ImageStream(recording(write_bag(folder / "bag", messages)), "/image")


@pytest.mark.parametrize(
    ("stamps", "used"),
    [
        ([10, 11, 12], [10, 11, 12]),
        ([10, 5, 11, 12], [10, 11, 12]),
        ([10, 99, 11, 12], [10, 11, 12]),
        ([10, 10, 11], [10, 11]),
        ([10, 11, 99], [10, 11, 99]),
    ],
)
def test_an_image_of_another_time_is_left_out(
    tmp_path: Path, stamps: list[int], used: list[int]
) -> None:
    images = stream(tmp_path, stamps)
    assert [image.stamp for image in images] == used
    assert [image.index for image in images] == [stamps.index(stamp) for stamp in used]
    assert len(images.problems) == (len(used) < len(stamps))
    assert images.broken is None


@pytest.mark.parametrize("late", [ENDED - 1, ENDED])
def test_many_images_of_no_use_at_the_end_are_the_end(tmp_path: Path, late: int) -> None:
    images = stream(tmp_path, [100, 101, *range(1, late + 1)])
    assert [image.stamp for image in images] == [100, 101]
    ended = late == ENDED
    assert (images.broken is not None) is ended and bool(images.problems) is not ended
    if ended:
        assert images.broken is not None
        assert "no image is usable from image 2 on '/image': its stamp of 1 ns" in images.broken


def test_a_driver_that_does_not_stamp_is_named(tmp_path: Path) -> None:
    images = stream(tmp_path, [0] * 20)
    assert len(list(images)) == 1
    assert images.broken is not None and "a driver that stamps images" in images.broken


def thermal(stamp: int, low: int) -> Any:
    width, height = SIZE
    values = np.full((height, width), low, "<u2")
    values[:, 30:] += 300
    data = np.frombuffer(values.tobytes(), np.uint8)
    return IMAGE_TYPE, image_message(StampedImage(stamp, height, width, "mono16", 2 * width, data))


def test_another_range_of_sixteen_bit_values_is_reported(tmp_path: Path) -> None:
    values = [3000, 3000, 9000, 9000, 9000, 9000]
    messages = [("/image", *thermal(10 + i, low), i) for i, low in enumerate(values)]
    bag = recording(write_bag(tmp_path / "bag", messages))
    images = ImageStream(bag, "/image")
    shown = [np.unique(image.pixels).tolist() for image in images]
    assert shown == [[64, 191]] * 2 + [[255]] * 2 + [[64, 191]] * 2
    (problem,) = images.problems
    assert problem == (
        "the encoding of the images, or the range of their 16-bit values, changed 1 time; first "
        "in image 4, from 'mono16, values 2850 to 3450' to 'mono16, values 8850 to 9450'"
    )
    upper = ImageStream(bag, "/image", stretch=False)
    assert [np.unique(image.pixels).tolist() for image in upper] == [[11, 12]] * 2 + [[35, 36]] * 4
    assert upper.problems == []
