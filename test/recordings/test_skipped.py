"""Which messages were skipped is said line by line, and in few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from rosbags.rosbag2 import StoragePlugin, Writer

from sam_pt_ros.evaluation.bag_evaluation import BagOptions, evaluate_bag
from sam_pt_ros.evaluation.bag_input import BagInput
from sam_pt_ros.paths import classical_configuration_file
from sam_pt_ros.recordings.clicks import Click
from sam_pt_ros.recordings.cutting import (
    camera_info_message,
    image_message,
    label_message,
    prompts_message,
)
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPE,
    PROMPTS_TYPE,
    SECOND,
    add_connection,
    typestore,
)
from sam_pt_ros.recordings.skipped import MOST_LINES, SkippedMessages
from sam_pt_ros.recordings.sources import BagSource, StampedImage
from sam_pt_ros.recordings.storage_files import Message
from support.media import frame, recording, truth

BROKEN, FRAMES = 13, 20
SIZE = (160, 120)


def stamp_of(index: int) -> int:
    return SECOND + index * SECOND // 25


def damaged(folder: Path) -> Path:
    """A recording in which 13 messages of each topic are cut off, and the others are whole."""
    with Writer(folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        for index in range(FRAMES):
            stamp = stamp_of(index)
            image = StampedImage.from_rgb(np.ascontiguousarray(frame(index, SIZE)), stamp)
            messages: list[tuple[str, str, Any]] = [
                ("/camera_info", CAMERA_INFO_TYPE, camera_info_message(image, None)),
                ("/points", PROMPTS_TYPE, prompts_message([Click(45, 60)], image)),
                ("/truth", IMAGE_TYPE, label_message((truth(index) > 0).astype("u2"), image)),
                ("/image", IMAGE_TYPE, image_message(image)),
            ]
            for topic, kind, message in messages:
                raw = bytes(typestore().serialize_cdr(message, kind))
                raw = raw[:30] if 1 <= index <= BROKEN or topic == "/camera_info" else raw
                bag.write(add_connection(bag, topic, kind), stamp, raw)
    return folder / "bag"


def check(lines: list[str], topic: str, total: int = BROKEN) -> None:
    """A line for each of the first ten, and one for the rest."""
    mine = [line for line in lines if f"'{topic}'" in line]
    begin = 0 if total == FRAMES else 1
    assert len(mine) == MOST_LINES + 1, mine
    for index, line in enumerate(mine[:MOST_LINES], begin):
        place = f" on '{topic}' with the stamp {stamp_of(index)} ns"
        assert f"{place} was skipped: its 30 bytes are no " in line
    assert mine[-1] == f"{total - MOST_LINES} more of '{topic}' were skipped"


def test_a_played_recording_names_the_messages_of_each_topic(tmp_path: Path) -> None:
    """As for a demonstration and a replay."""
    recorded = recording(damaged(tmp_path))
    source = BagSource(recorded, "/image")
    assert len(list(source.images())) == FRAMES - BROKEN
    check(source.problems, "/image")
    check(source.problems, "/points")
    check(source.problems, "/camera_info", FRAMES)
    assert len(source.problems) == 3 * (MOST_LINES + 1)
    assert source.problems[-11].startswith(f"image 1 on '/image' with the stamp {stamp_of(1)} ns")


def test_a_ground_truth_names_its_messages(tmp_path: Path) -> None:
    recorded = recording(damaged(tmp_path))
    with BagInput.find(recorded, "/image").open_truth() as found:
        assert found.at(0, stamp_of(0)) is not None
        assert found.at(BROKEN + 1, stamp_of(BROKEN + 1)) is not None
        check(found.problems, "/truth")


def test_an_evaluation_names_the_messages_of_each_topic(tmp_path: Path) -> None:
    options = BagOptions(
        damaged(tmp_path),
        classical_configuration_file(),
        tmp_path / "out",
        image_topic="/image",
        write_bag=False,
        write_film=False,
    )
    problems = list(evaluate_bag(options).problems)
    for topic in ("/image", "/points", "/truth"):
        check(problems, topic)
    check(problems, "/camera_info", FRAMES)


def test_bytes_without_a_stamp_are_named_by_their_time_of_receipt() -> None:
    skipped = SkippedMessages()
    for data in (b"\0\1\0\0", b"\7\7" + bytes(20)):
        skipped.add(Message("/image", IMAGE_TYPE, 5, data), "no good")
    assert skipped.lines == ["a message on '/image', recorded at 5 ns, was skipped: no good"] * 2


def test_one_more_is_one() -> None:
    skipped, later = SkippedMessages(), SkippedMessages()
    for number in range(MOST_LINES - 1):
        skipped.add(Message("/a", IMAGE_TYPE, number, b""), "no good")
    for number in range(2):
        later.add(Message("/a", IMAGE_TYPE, number, b""), "no good")
    skipped.add_all(later)
    assert len(skipped.lines) == MOST_LINES + 1
    assert skipped.lines[-1] == "1 more of '/a' was skipped"
