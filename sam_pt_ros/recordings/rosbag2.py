"""Reads and writes rosbag2 files without ROS."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rosbags.interfaces import Nodetype
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from sam_pt_ros.errors import UserError, one_line
from sam_pt_ros.paths import PACKAGE, share_folder

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
PROMPTS_TYPE = f"{PACKAGE}/msg/PointPromptArray"

SECOND = 1_000_000_000

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
"""Storage plugins, by name."""


@cache
def typestore() -> Typestore:
    """ROS's message types and those of this package."""
    store = get_typestore(Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for path in sorted((share_folder() / "msg").glob("*.msg")):
        name = f"{PACKAGE}/msg/{path.stem}"
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), name))
    store.register(types)
    return store


def serialized_stamp(cdr: bytes | memoryview) -> int:
    """The stamp (nanoseconds) of a serialised message that begins with a header."""
    order = "<" if cdr[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", cdr, 4)
    return int(seconds) * SECOND + int(nanoseconds)


def decode_message(raw: bytes, kind: str) -> Any:
    """A serialised message; UserError if its bytes are not those of one of this type."""
    try:
        return typestore().deserialize_cdr(raw, kind)
    except Exception as error:  # rosbags passes on what struct and NumPy raise
        reason = one_line(error)
        raise UserError(f"its {len(raw)} bytes are no {kind} ({reason})") from error


def make_bag_message(kind: str, **fields: Any) -> Any:
    """A message of rosbags' classes: a :class:`~sam_pt_ros.interchange.messages.MessageMaker`."""
    message_class, described = _type(kind)
    if len(fields) < len(described):
        for name, description in described.items():
            if name not in fields:
                fields[name] = _zero(description)
    if "data" in fields and not isinstance(fields["data"], np.ndarray):
        fields["data"] = np.frombuffer(fields["data"], np.uint8)
    return message_class(**fields)


@cache
def _type(kind: str) -> tuple[Any, dict[str, Any]]:
    """The class of a message type, and its fields as rosbags describes them."""
    return typestore().types[kind], dict(typestore().fielddefs[kind][1])


def make_bag_header(stamp: int, frame_id: str) -> Any:
    """``std_msgs/msg/Header`` of a stamp in nanoseconds."""
    seconds, nanoseconds = divmod(stamp, SECOND)
    time = make_bag_message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return make_bag_message("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


def _zero(description: Any) -> Any:
    node, detail = description
    if node is Nodetype.NAME:
        return make_bag_message(detail)
    if node is Nodetype.BASE:
        return _zero_number(detail[0])
    (inner, inner_detail), length = detail
    length = length if node is Nodetype.ARRAY else 0
    if inner is Nodetype.BASE and inner_detail[0] != "string":
        return np.zeros(length, _NUMPY.get(inner_detail[0], inner_detail[0]))
    return [_zero((inner, inner_detail)) for _ in range(length)]


_NUMPY = {"octet": "uint8", "byte": "uint8", "char": "uint8"}


def _zero_number(name: str) -> Any:
    if name == "string":
        return ""
    if name == "bool":
        return False
    return 0.0 if name.startswith("float") else 0


@contextmanager
def open_bag(path: Path) -> Iterator[Reader]:
    """Open a bag to read it; UserError if it is not a readable bag."""
    try:
        reader = Reader(path)
        reader.open()
    except Exception as error:  # rosbags passes on the errors of its storages, YAML and zstd
        reason = one_line(error)
        raise UserError(
            f"{path}: not a readable rosbag2 ({reason}); give the folder that holds its "
            "metadata.yaml"
        ) from error
    try:
        yield reader
    finally:
        reader.close()


def create_bag(path: Path, storage: str = "mcap") -> Writer:
    """A bag to write, in place of an earlier one; use it as a context manager.

    Args:
        path: its folder.
        storage: ``mcap`` or ``sqlite3``.
    """
    remove_bag(path)
    bag = Writer(path, version=9, storage_plugin=STORAGES[storage])
    bag.set_custom_data("made_by", PACKAGE)
    return bag


def check_replaceable(path: Path) -> None:
    """UserError if ``path`` holds anything but a bag of :func:`create_bag`.

    A bag that was never closed has no metadata that says what wrote it, and is not replaced.
    """
    if path.is_symlink():
        raise UserError(f"{path}: is a symbolic link and is not replaced; choose another path")
    if not path.exists():
        return
    files = {child.name for child in path.iterdir()} if path.is_dir() else {""}
    if not files:
        return
    try:
        content = yaml.safe_load((path / "metadata.yaml").read_text(encoding="utf-8"))
        information = content["rosbag2_bagfile_information"]
        ours = information["custom_data"]["made_by"] == PACKAGE
        ours &= files == {"metadata.yaml", *information["relative_file_paths"]}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        ours = False
    if not ours:
        raise UserError(
            f"{path}: holds more than a whole bag that was made by this program, or was not made "
            "by this program, and is not replaced; choose another name, or move it away"
        )


def add_connection(bag: Writer, topic: str, kind: str) -> Any:
    """The connection for a topic of a bag that is written; made when it is first asked for."""
    for connection in bag.connections:
        if connection.topic == topic:
            return connection
    return bag.add_connection(topic, kind, typestore=typestore())


def remove_bag(path: Path) -> None:
    """Remove a bag if there is one; UserError if the folder holds anything else."""
    if not path.exists():
        return
    if not path.is_dir() or any(
        child.name != "metadata.yaml" and child.suffix not in (".mcap", ".db3")
        for child in path.iterdir()
    ):
        raise UserError(f"{path}: exists and is not a bag of an earlier run; move it away")
    shutil.rmtree(path)
