"""Recordings as people have them: cut off, never closed, compressed, renamed, of other tools."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

import zstandard
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionMode
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.cutting import image_message
from sam_pt_ros.recordings.recording import (
    METADATA,
    Recording,
    is_recording,
    open_recording,
    storage_files,
)
from sam_pt_ros.recordings.rosbag2 import IMAGE_TYPE, typestore
from sam_pt_ros.recordings.sources import StampedImage
from support.media import frame, recording, write_bag

MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
COUNT = 40
FIRST = 1000


def images(count: int = COUNT) -> Any:
    for index in range(count):
        image = StampedImage.from_rgb(frame(index)[:, :, ::-1], FIRST + index)
        yield "/image", IMAGE_TYPE, image_message(image), FIRST + index


def stored(path: Path) -> list[bytes]:
    """By rosbags, which reads what is whole."""
    with Reader(path) as bag:
        return [bytes(raw) for _, _, raw in bag.messages()]


def found(opened: Recording) -> list[bytes]:
    return [message.data for message in opened.messages(["/image"])]


def read_all(path: Path) -> tuple[list[bytes], Recording]:
    with open_recording(path) as opened:
        return found(opened), opened


def only_file(path: Path) -> Path:
    (file,) = storage_files(path)
    return file


def change_metadata(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = yaml.safe_load((path / METADATA).read_text())
    change(content["rosbag2_bagfile_information"])
    (path / METADATA).write_text(yaml.safe_dump(content))


def compress(file: Path) -> Path:
    packed = file.with_name(f"{file.name}.zstd")
    packed.write_bytes(zstandard.ZstdCompressor().compress(file.read_bytes()))
    file.unlink()
    return packed


# --- cut off ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plugin", "share"),
    # The root of a SQLite table is split after some rows only; before, nothing leads to them.
    [(MCAP, 0.1), (MCAP, 0.5), (MCAP, 0.97), (SQLITE, 0.5), (SQLITE, 0.97)],
)
def test_what_was_written_before_the_cut_is_there(
    tmp_path: Path, plugin: StoragePlugin, share: float
) -> None:
    whole = stored(write_bag(tmp_path / "bag", images(), plugin))
    file = only_file(tmp_path / "bag")
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(Exception, match=r"malformed|magic"):
        stored(tmp_path / "bag")
    left, opened = read_all(tmp_path / "bag")
    assert left == whole[: len(left)]
    assert len(whole) * share - 3 <= len(left) <= len(whole)
    assert opened.count("/image") == len(left)
    assert opened.cut_off == (
        f"{tmp_path / 'bag'}: {file.name} was cut off, or never closed; its {len(left)} readable "
        "messages were used"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"bag"}


def test_whole_chunks_of_a_compressed_file_are_there(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", images(), MCAP, CompressionMode.STORAGE)
    whole = stored(path)
    os.truncate(only_file(path), int(only_file(path).stat().st_size * 0.8))
    left, _ = read_all(path)
    assert 0 < len(left) < len(whole) and left == whole[: len(left)]


def test_what_a_killed_recorder_left_in_the_journal_is_there(tmp_path: Path) -> None:
    """As with the storage preset `resilient`: the file itself holds nothing yet."""
    whole = stored(write_bag(tmp_path / "bag", images(), SQLITE))
    path = tmp_path / "killed"
    path.mkdir()
    with sqlite3.connect(only_file(tmp_path / "bag")) as source:
        live = sqlite3.connect(tmp_path / "live.db3")
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("PRAGMA wal_autocheckpoint=0")
        live.executescript("\n".join(source.iterdump()))
        live.commit()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db3{suffix}", path / f"killed.db3{suffix}")
    live.close()
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    left, opened = read_all(path)
    assert left == whole
    assert opened.cut_off is not None and f"has no {METADATA}" in opened.cut_off
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_folder_without_its_metadata_is_partial_and_a_lone_file_is_not(tmp_path: Path) -> None:
    whole = stored(write_bag(tmp_path / "bag", images()))
    (tmp_path / "bag" / METADATA).unlink()
    left, opened = read_all(tmp_path / "bag")
    assert left == whole
    assert opened.cut_off == (
        f"{tmp_path / 'bag'}: has no {METADATA}: the recorder did not end properly; its {COUNT} "
        "readable messages were used"
    )
    left, opened = read_all(tmp_path / "bag" / "bag.mcap")
    assert left == whole and opened.cut_off is None


def test_files_come_in_the_order_in_which_they_were_recorded(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        (tmp_path / f"bag_{number}.mcap").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.stem for path in storage_files(tmp_path)] == ["bag_0", "bag_2", "bag_10"]
    assert storage_files(tmp_path / "nothing") == []


def split(folder: Path) -> Path:
    """A recording of three files with ten images each, without metadata.yaml."""
    recorded = list(images(30))
    path = folder / "split"
    path.mkdir()
    for number in range(3):
        part = write_bag(folder / f"split_{number}", recorded[number * 10 : number * 10 + 10])
        (part / f"split_{number}.mcap").rename(path / f"split_{number}.mcap")
    return path


def test_nothing_is_taken_from_beyond_a_gap(tmp_path: Path) -> None:
    middle = split(tmp_path) / "split_1.mcap"
    os.truncate(middle, middle.stat().st_size // 2)
    with open_recording(tmp_path / "split") as opened:
        stamps = [message.recorded for message in opened.messages(["/image"])]
    assert stamps == list(range(FIRST, FIRST + len(stamps))) and 10 < len(stamps) < 20


# --- of drivers' own types, and of other tools --------------------------------------------

EXTRINSICS = "realsense2_camera_msgs/msg/Extrinsics"


@pytest.mark.parametrize("plugin", [MCAP, SQLITE])
@pytest.mark.parametrize("killed", [False, True])
def test_messages_of_unknown_types_are_no_obstacle(
    tmp_path: Path, plugin: StoragePlugin, killed: bool
) -> None:
    store = typestore()
    types = get_types_from_msg("float64[9] rotation\nfloat64[3] translation\n", EXTRINSICS)
    with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as bag:
        other = get_typestore(Stores.ROS2_KILTED)
        other.register(types)
        foreign = bag.add_connection("/extrinsics", EXTRINSICS, typestore=other)
        connection = bag.add_connection("/image", IMAGE_TYPE, typestore=store)
        bag.write(foreign, FIRST, bytes(100))
        for _, kind, message, stamp in images(5):
            bag.write(connection, stamp, store.serialize_cdr(message, kind))
    if killed:
        (tmp_path / "bag" / METADATA).unlink()
    left, opened = read_all(tmp_path / "bag")
    assert len(left) == 5
    assert opened.types == {"/extrinsics": EXTRINSICS, "/image": IMAGE_TYPE}


def serialized(index: int) -> bytes:
    _, kind, message, _ = list(images(index + 1))[index]
    return bytes(typestore().serialize_cdr(message, kind))


def foreign_mcap(
    path: Path,
    *,
    profile: str = "ros2",
    encoding: str = "cdr",
    schema: str = IMAGE_TYPE,
    schema_encoding: str = "ros2msg",
    others: bool = False,
    **options: Any,
) -> Path:
    """As other tools than rosbag2 write them."""
    with path.open("wb") as stream:
        writer = McapWriter(stream, **options)
        writer.start(profile=profile, library="another")
        kind = writer.register_schema(schema, schema_encoding, b"uint8[] data")
        image = writer.register_channel("/image", encoding, kind)
        channels = []
        if others:
            for name in ("protobuf", "jsonschema"):
                number = writer.register_schema(f"some.{name}", name, b"\0")
                channels.append(writer.register_channel(f"/{name}", name[:4], number))
        for index in range(4):
            for channel in channels:
                writer.add_message(channel, FIRST + index, b"\x08\x01", FIRST + index)
            writer.add_message(image, FIRST + index, serialized(index), FIRST + index)
        writer.finish()
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"profile": ""},
        {"profile": "", "others": True},
        {"schema": "sensor_msgs/Image"},
        {"schema_encoding": "ros2idl"},
        {"schema_encoding": ""},
        {"compression": CompressionType.LZ4},
        {"compression": CompressionType.ZSTD},
        {"compression": CompressionType.NONE},
        {"use_chunking": False},
        {"index_types": 0},
    ],
    ids=str,
)
def test_mcap_of_other_tools_is_read_by_topic_and_type(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    if "index_types" in options:
        options = {"index_types": IndexType.NONE}
    left, opened = read_all(foreign_mcap(tmp_path / "file.mcap", **options))
    assert left == [serialized(index) for index in range(4)]
    assert opened.types == {"/image": IMAGE_TYPE}
    assert opened.count("/image") == 4
    assert opened.seconds == pytest.approx(3e-9)


def test_other_serializations_are_named_and_not_read(tmp_path: Path) -> None:
    path = foreign_mcap(tmp_path / "one.mcap", profile="ros1", encoding="ros1")
    left, opened = read_all(path)
    assert left == [] and opened.types == {}
    assert [(t.name, t.encoding, t.count) for t in opened.topics] == [("/image", "ros1", 4)]


# --- metadata.yaml that does not fit ------------------------------------------------------


def quality_of_service() -> list[Qos]:
    never = QosTime(9223372036, 854775807)
    reliability, durability = QosReliability.BEST_EFFORT, QosDurability.VOLATILE
    history, liveliness = QosHistory.KEEP_LAST, QosLiveliness.AUTOMATIC
    return [Qos(history, 5, reliability, durability, never, never, liveliness, never, False)]


@pytest.mark.parametrize("plugin", [MCAP, SQLITE])
@pytest.mark.parametrize("text", ["", [], "- {history: 3}", "[", None])
def test_the_qos_in_metadata_may_differ_from_the_file_s(
    tmp_path: Path, plugin: StoragePlugin, text: Any
) -> None:
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=plugin) as bag:
        connection = bag.add_connection(
            "/image", IMAGE_TYPE, typestore=typestore(), offered_qos_profiles=quality_of_service()
        )
        for _, kind, message, stamp in images(4):
            bag.write(connection, stamp, typestore().serialize_cdr(message, kind))

    def change(information: dict[str, Any]) -> None:
        for topic in information["topics_with_message_count"]:
            topic["topic_metadata"]["offered_qos_profiles"] = text

    change_metadata(path, change)
    left, opened = read_all(path)
    assert len(left) == 4 and opened.problems == () and opened.cut_off is None


def test_messages_that_metadata_promises_and_the_file_lacks_are_said(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", images(4))
    assert recording(path).missing("/image") is None

    def change(information: dict[str, Any]) -> None:
        information["topics_with_message_count"][0]["message_count"] = 9

    change_metadata(path, change)
    said = f"{METADATA} says that '/image' has 9 messages, but the files hold 4"
    assert recording(path).missing("/image") == said
    assert recording(path).missing("/other") is None


def test_a_renamed_file_is_read_and_said(tmp_path: Path) -> None:
    whole = stored(write_bag(tmp_path / "bag", images(4), SQLITE))
    only_file(tmp_path / "bag").rename(tmp_path / "bag" / "my_run.db3")
    left, opened = read_all(tmp_path / "bag")
    assert left == whole and opened.cut_off is None
    assert opened.problems == (f"{METADATA} names bag.db3, which is missing; my_run.db3 was read",)


def described(path: Path, names: list[str]) -> None:
    (path / METADATA).write_text(
        yaml.safe_dump({"rosbag2_bagfile_information": {"relative_file_paths": names}})
    )


def test_a_file_that_metadata_does_not_name_is_said(tmp_path: Path) -> None:
    path = split(tmp_path)
    described(path, ["split_0.mcap", "split_1.mcap"])
    left, opened = read_all(path)
    assert len(left) == 20
    (problem,) = opened.problems
    assert problem.startswith("split_2.mcap lies beside") and "ros2 bag reindex" in problem


def test_hidden_files_are_none_of_a_recording(tmp_path: Path) -> None:
    whole = stored(write_bag(tmp_path / "bag", images(4), SQLITE))
    (tmp_path / "bag" / "._bag.db3").write_bytes(b"\0\5\x16\7" + bytes(100))
    left, opened = read_all(tmp_path / "bag")
    assert left == whole and opened.problems == ()


def test_a_file_that_is_missing_ends_the_recording_there(tmp_path: Path) -> None:
    path = split(tmp_path)
    described(path, [f"split_{number}.mcap" for number in range(3)])
    (path / "split_1.mcap").unlink()
    left, opened = read_all(path)
    assert len(left) == 10
    assert opened.cut_off is not None and "split_1.mcap, which its metadata" in opened.cut_off
    (path / "split_0.mcap").unlink()
    with pytest.raises(UserError, match=r"split_0\.mcap, which its metadata.yaml names, is miss"):
        read_all(path)


# --- compressed ---------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["name.zstd", "folder/name", "name", None])
@pytest.mark.parametrize("plugin", [MCAP, SQLITE])
def test_compressed_files_are_read_whatever_metadata_calls_them(
    tmp_path: Path, plugin: StoragePlugin, written: str | None
) -> None:
    whole = stored(write_bag(tmp_path / "bag", images(4), plugin))
    packed = compress(only_file(tmp_path / "bag"))
    bare = packed.name.removesuffix(".zstd")
    if written is None:
        (tmp_path / "bag" / METADATA).unlink()
    else:
        described(tmp_path / "bag", [written.replace("name", bare)])
    left, opened = read_all(tmp_path / "bag")
    assert left == whole
    assert (opened.cut_off is None) is (written is not None)
    assert {path.suffix for path in (tmp_path / "bag").iterdir()} <= {".zstd", ".yaml"}


def test_a_lone_compressed_file_is_read(tmp_path: Path) -> None:
    whole = stored(write_bag(tmp_path / "bag", images(4)))
    packed = compress(only_file(tmp_path / "bag"))
    assert read_all(packed)[0] == whole
    assert is_recording(packed) and is_recording(tmp_path / "bag")
    os.truncate(packed, 10)
    with pytest.raises(UserError, match=r"no message of this recording can be read|decompressed"):
        read_all(packed)


def test_a_damaged_message_of_a_compressed_bag_is_no_obstacle_to_others(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", images(4), SQLITE, CompressionMode.MESSAGE)
    with sqlite3.connect(only_file(path)) as database:
        database.execute("UPDATE messages SET data = substr(data, 1, 40) WHERE id = 2")
    left, _ = read_all(path)
    assert [left[index] for index in (0, 2, 3)] == [serialized(index) for index in (0, 2, 3)]


# --- no recording -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3", "bag.mcap.zstd"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; copy or record it again"),
        (b"SQLite format 3\0", "no message of this recording can be read"),
        (b"\x89MCAP0\r\n", "no message of this recording can be read"),
        (bytes(500), "neither an MCAP nor a SQLite file of rosbag2"),
        (b"\x28\xb5\x2f\xfd123", "cannot be decompressed"),
        (b"version https://git-lfs.github.com/spec/v1\n", "fetch it with `git lfs pull`"),
        (b"#ROSBAG V2.0\n", "is a ROS 1 bag; convert it with `rosbags-convert --src"),
    ],
    ids=lambda value: str(value)[:12],
)
@pytest.mark.parametrize("in_a_folder", [False, True])
def test_nothing_comes_of_nothing(
    tmp_path: Path, name: str, content: bytes, says: str, in_a_folder: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_all(tmp_path if in_a_folder else tmp_path / name)
    assert says in str(raised.value)


def test_a_folder_that_is_no_recording_is_told_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such recording; check the path"):
        read_all(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"holds no \.mcap or \.db3 file\); give the folder that"):
        read_all(tmp_path)
    write_bag(tmp_path / "bag", images(1))
    with pytest.raises(UserError, match=r"give one of the recordings in it \(bag\)"):
        read_all(tmp_path)
    (tmp_path / "old.bag").touch()
    with pytest.raises(UserError, match=r"old\.bag: is a ROS 1 bag"):
        read_all(tmp_path)


def test_copies_of_a_run_that_was_killed_are_removed(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", images(2))
    (tmp_path / ".reading_old").mkdir()
    with open_recording(tmp_path / "bag", tmp_path):
        assert not (tmp_path / ".reading_old").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"bag"}
