"""Recovers recordings that were cut off by a crash, a full disk or an incomplete copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from rosbags.rosbag2 import Reader

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.rosbag2 import add_connection, create_bag
from sam_pt_ros.recordings.sources import natural_order

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _CHUNK, _DATA_END = 0x02, 0x06, 0x0F
_CHUNK_HEAD = struct.Struct("<QQQII")  # times, size, CRC, length of the compression name
_PAGE_SIZE_AT, _PAGE_COUNT_AT = 16, 28  # in the header of a SQLite file


def recover(path: Path, folder: Path) -> Path:
    """Copy the readable part of a recording that was cut off into a new bag.

    Args:
        path: a storage file (``.mcap``, ``.db3``), or the folder of a rosbag2.
        folder: where the bag and temporary copies are written.

    Returns:
        The bag (mcap). It holds the messages before the first unreadable one, in the order of the
        files.

    Raises:
        UserError: no message can be read.
    """
    files = storage_files(path)
    bag_path = folder / "recovered"
    count = 0
    with create_bag(bag_path) as bag:
        try:
            for file in files:
                for topic, kind, stamp, data in _messages(file, folder):
                    bag.write(add_connection(bag, topic, kind), stamp, data)
                    count += 1
        except _CutOffError:
            pass  # what follows a gap is another recording
    if count == 0:
        raise UserError(f"{path}: no message of this recording can be read; record it again")
    return bag_path


def storage_files(path: Path) -> list[Path]:
    """The storage files of a rosbag2, in the order in which they were recorded."""
    files = [path] if path.is_file() else path.glob("*") if path.is_dir() else []
    found = [file for file in files if file.suffix in (".mcap", ".db3")]
    return sorted(found, key=lambda file: natural_order(file.stem))


class _CutOffError(Exception):
    """A file ends too early, or is unreadable from some point on."""


_Message = tuple[str, str, int, bytes]  # topic, type, stamp, serialised


def _messages(file: Path, folder: Path) -> Iterator[_Message]:
    copy = folder / f"copy{file.suffix}"
    try:
        if file.suffix == ".db3":
            _complete_sqlite(file, copy)
            yield from _sqlite_messages(copy)
        else:
            whole = _complete_mcap(file, copy)
            with Reader(copy) as reader:
                for connection, stamp, data in reader.messages():
                    yield connection.topic, connection.msgtype, stamp, data
            if not whole:
                raise _CutOffError
    except Exception as error:  # each storage has its own errors for an unreadable rest
        raise _CutOffError from error
    finally:
        copy.unlink(missing_ok=True)


def _complete_mcap(file: Path, copy: Path) -> bool:
    """Copy the complete records of an MCAP file, and finish the copy as the specification asks.

    Returns:
        Whether the file was complete.
    """
    whole = False
    size = file.stat().st_size
    with file.open("rb") as source, copy.open("wb") as target:
        target.write(source.read(len(_MAGIC)))
        while head := source.read(9):
            if head[0] in (_FOOTER, _DATA_END):
                whole = True
                break
            if len(head) < 9:
                break
            (length,) = struct.unpack("<Q", head[1:])
            if source.tell() + length > size:
                if head[0] == _CHUNK and _enter_chunk(source):
                    continue
                break
            target.write(head)
            target.write(source.read(length))
        for kind, body in ((_DATA_END, bytes(4)), (_FOOTER, bytes(20))):
            target.write(struct.pack("<BQ", kind, len(body)) + body)
        target.write(_MAGIC)
    return whole


def _enter_chunk(chunk: BinaryIO) -> bool:
    """Move to the first record of an uncompressed chunk; whether that was possible.

    Records are also valid outside a chunk.
    """
    head = chunk.read(_CHUNK_HEAD.size)
    if len(head) < _CHUNK_HEAD.size or _CHUNK_HEAD.unpack(head)[-1] != 0:
        return False
    return len(chunk.read(8)) == 8


def _complete_sqlite(file: Path, copy: Path) -> None:
    """Copy a SQLite file, padded to the size in its header: SQLite refuses a shorter file."""
    shutil.copyfile(file, copy)
    with file.open("rb") as source:
        header = source.read(100)
    (page,) = struct.unpack_from(">H", header, _PAGE_SIZE_AT)
    (pages,) = struct.unpack_from(">I", header, _PAGE_COUNT_AT)
    page = 65536 if page == 1 else page
    if copy.stat().st_size < page * pages:
        os.truncate(copy, page * pages)


def _sqlite_messages(file: Path) -> Iterator[_Message]:
    with closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as database:
        topics = {
            number: (name, kind)
            for number, name, kind in database.execute("SELECT id, name, type FROM topics")
        }
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
        for number, stamp, data in rows:
            yield *topics[number], stamp, data
