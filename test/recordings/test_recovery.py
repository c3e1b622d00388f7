"""Recordings that were cut off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.cutting import image_message
from sam_pt_ros.recordings.recovery import recover, storage_files
from sam_pt_ros.recordings.rosbag2 import IMAGE_TYPE, typestore
from sam_pt_ros.recordings.sources import StampedImage
from support.media import frame, write_bag

MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
COUNT = 40


def images():
    for index in range(COUNT):
        image = StampedImage.from_rgb(frame(index)[:, :, ::-1], 1000 + index)
        yield "/image", IMAGE_TYPE, image_message(image), 1000 + index


def stored(path: Path) -> list[bytes]:
    with Reader(path) as bag:
        return [bytes(raw) for _, _, raw in bag.messages()]


def cut(path: Path, share: float) -> None:
    (file,) = storage_files(path)
    os.truncate(file, int(file.stat().st_size * share))


@pytest.mark.parametrize(
    ("plugin", "share"),
    # The root of a SQLite table is split after some rows only; before, nothing leads to them.
    [(MCAP, 0.1), (MCAP, 0.5), (MCAP, 0.97), (SQLITE, 0.5), (SQLITE, 0.97)],
)
def test_what_was_written_before_the_cut_is_there(
    tmp_path: Path, plugin: StoragePlugin, share: float
) -> None:
    whole = stored(write_bag(tmp_path / "bag", images(), plugin))
    cut(tmp_path / "bag", share)
    with pytest.raises(Exception, match=r"malformed|magic"):
        stored(tmp_path / "bag")
    left = stored(recover(tmp_path / "bag", tmp_path))
    assert left == whole[: len(left)]
    assert len(whole) * share - 3 <= len(left) <= len(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"bag", "recovered"}


def test_whole_chunks_of_a_compressed_file_are_there(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    bag = Writer(path, version=9, storage_plugin=MCAP)
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with bag:
        connection = bag.add_connection("/image", IMAGE_TYPE, typestore=typestore())
        for _, kind, message, stamp in images():
            bag.write(connection, stamp, typestore().serialize_cdr(message, kind))
    whole = stored(path)
    cut(path, 0.8)
    left = stored(recover(path, tmp_path))
    assert 0 < len(left) < len(whole) and left == whole[: len(left)]


def test_a_folder_without_its_metadata_and_a_lone_file_are_read(tmp_path: Path) -> None:
    whole = stored(write_bag(tmp_path / "bag", images()))
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert stored(recover(tmp_path / "bag", tmp_path)) == whole
    assert stored(recover(tmp_path / "bag" / "bag.mcap", tmp_path)) == whole


def test_files_come_in_the_order_in_which_they_were_recorded(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        (tmp_path / f"bag_{number}.mcap").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.stem for path in storage_files(tmp_path)] == ["bag_0", "bag_2", "bag_10"]
    assert storage_files(tmp_path / "nothing") == []


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3"])
@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"\x89MCAP0\r\n", bytes(500)])
def test_nothing_comes_of_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="no message of this recording can be read"):
        recover(tmp_path / name, tmp_path)


def test_nothing_is_taken_from_beyond_a_gap(tmp_path: Path) -> None:
    recorded = list(images())
    (tmp_path / "split").mkdir()
    for number in range(3):
        part = write_bag(tmp_path / f"split_{number}", recorded[number * 10 : number * 10 + 10])
        (part / f"split_{number}.mcap").rename(tmp_path / f"split/split_{number}.mcap")
    middle = tmp_path / "split/split_1.mcap"
    os.truncate(middle, middle.stat().st_size // 2)
    with Reader(recover(tmp_path / "split", tmp_path)) as bag:
        stamps = [stamp for _, stamp, _ in bag.messages()]
    assert stamps == list(range(1000, 1000 + len(stamps))) and 10 < len(stamps) < 20
