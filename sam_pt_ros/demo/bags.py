"""Rosbag2 files, read and written without ROS."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from sam_pt_ros.demo.paths import PACKAGE, share_folder
from sam_pt_ros.errors import UserError

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
PROMPTS_TYPE = f"{PACKAGE}/msg/PointPromptArray"

SECOND = 1_000_000_000


@cache
def typestore() -> Typestore:
    """All message types that the demo handles, those of this package included."""
    store = get_typestore(Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for path in sorted((share_folder() / "msg").glob("*.msg")):
        name = f"{PACKAGE}/msg/{path.stem}"
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), name))
    store.register(types)
    return store


def stamp_of(cdr: bytes | memoryview) -> int:
    """The stamp (nanoseconds) of a serialised message that begins with a header."""
    order = "<" if cdr[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", cdr, 4)
    return int(seconds) * SECOND + int(nanoseconds)


def make_stamp(stamp: int) -> Any:
    """``builtin_interfaces/msg/Time`` of nanoseconds."""
    time_type = typestore().types["builtin_interfaces/msg/Time"]
    return time_type(*divmod(stamp, SECOND))


def make_header(stamp: int, frame_id: str) -> Any:
    """``std_msgs/msg/Header``."""
    return typestore().types["std_msgs/msg/Header"](make_stamp(stamp), frame_id)


@contextmanager
def open_bag(path: Path) -> Iterator[Reader]:
    """A bag to read; UserError if it is none."""
    try:
        reader = Reader(path)
        reader.open()
    except Exception as error:  # rosbags passes on what its storages, YAML and zstd raise
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: not a readable rosbag2 ({reason}); give the folder that holds its "
            "metadata.yaml"
        ) from error
    try:
        yield reader
    finally:
        reader.close()


def create_bag(path: Path) -> Writer:
    """A bag to write (mcap), in place of an earlier one; to be used as a context manager."""
    remove_bag(path)
    return Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)


def remove_bag(path: Path) -> None:
    """Remove a bag if there is one; UserError if the folder holds anything else."""
    if not path.exists():
        return
    if not path.is_dir() or any(
        child.name != "metadata.yaml" and child.suffix != ".mcap" for child in path.iterdir()
    ):
        raise UserError(f"{path}: exists and is not a bag of an earlier run; move it away")
    shutil.rmtree(path)
