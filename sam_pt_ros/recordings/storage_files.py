"""Storage files of recordings, MCAP and SQLite, read by topic and type whatever else they hold."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, DataEnd, Footer, McapRecord, Schema
from mcap.records import Message as McapMessage
from mcap.stream_reader import StreamReader, breakup_chunk

from sam_pt_ros.errors import UserError, one_line

_CHUNK_HEAD = struct.Struct("<QQQII")  # times, size, CRC, length of the compression's name
_PAGE_SIZE_AT, _PAGE_COUNT_AT = 16, 28  # in the header of a SQLite file

CDR = "cdr"
"""The serialization that is read."""


class Message(NamedTuple):
    """A serialised message; ``recorded`` is when it was received, in nanoseconds."""

    topic: str
    type: str
    recorded: int
    data: bytes


class UnreadableError(UserError):
    """A recording is unreadable from some message on."""


@dataclass(frozen=True)
class Topic:
    """What a file holds of a topic.

    Attributes:
        name: of the topic.
        type: of its messages, as ``sensor_msgs/msg/Image``; may be empty.
        encoding: their serialization, such as ``cdr``.
        count: number of messages.
    """

    name: str
    type: str
    encoding: str
    count: int


@dataclass(frozen=True)
class StorageFile(ABC):
    """A file of messages.

    Attributes:
        path: of the file.
        topics: all that it holds.
        span: the earliest and the latest time of a message, nanoseconds; None without messages.
        whole: whether it can be read to its end.
    """

    path: Path
    topics: tuple[Topic, ...]
    span: tuple[int, int] | None
    whole: bool

    @abstractmethod
    def messages(self, names: Collection[str]) -> Iterator[Message]:
        """The CDR messages on some topics, by time; those of a cut file in the file's order.

        Raises:
            UnreadableError: the file was taken for whole, and cannot be read on.
        """


def full_type_name(name: str) -> str:
    """``sensor_msgs/msg/Image``, also of ``sensor_msgs/Image`` as some tools write it."""
    package, _, rest = name.partition("/")
    return f"{package}/msg/{rest}" if rest and "/" not in rest else name


def _widened(span: tuple[int, int] | None, time: int) -> tuple[int, int]:
    """The span that covers one more time."""
    return (time, time) if span is None else (min(span[0], time), max(span[1], time))


def _unreadable(path: Path, error: Exception) -> UnreadableError:
    reason = one_line(error) or type(error).__name__
    return UnreadableError(f"{path.name} cannot be read on ({reason}); record or copy it again")


# --- MCAP ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class McapFile(StorageFile):
    """An MCAP file.

    Attributes:
        indexed: whether its messages can be found without reading all of it.
    """

    indexed: bool

    @classmethod
    def inspect(cls, path: Path) -> McapFile:
        """Read its summary or, if it has none, all of it."""
        return cls._from_summary(path) or cls._from_scan(path)

    @classmethod
    def _from_summary(cls, path: Path) -> McapFile | None:
        try:
            with path.open("rb") as stream:
                summary = make_reader(stream).get_summary()
            if summary is None or summary.statistics is None or not summary.chunk_indexes:
                return None
            statistics = summary.statistics
            topics = tuple(
                _topic(
                    channel,
                    summary.schemas.get(channel.schema_id),
                    statistics.channel_message_counts.get(number, 0),
                )
                for number, channel in summary.channels.items()
            )
        except Exception:  # mcap, struct and the compressions have errors of their own
            return None
        span = statistics.message_start_time, statistics.message_end_time
        return cls(path, topics, span if statistics.message_count else None, True, True)

    @classmethod
    def _from_scan(cls, path: Path) -> McapFile:
        counts: Counter[int] = Counter()
        kinds: dict[int, tuple[Channel, Schema | None]] = {}
        span: tuple[int, int] | None = None
        whole = True
        try:
            for channel, schema, message in _in_file_order(path):
                counts[channel.id] += 1
                kinds[channel.id] = channel, schema
                span = _widened(span, message.log_time)
        except Exception:
            whole = False
        topics = tuple(_topic(*kind, counts[number]) for number, kind in kinds.items())
        return cls(path, topics, span, whole, False)

    def messages(self, names: Collection[str]) -> Iterator[Message]:
        """See :class:`StorageFile`."""
        try:
            for channel, schema, message in self._read(names):
                if channel.message_encoding == CDR and channel.topic in names:
                    yield Message(channel.topic, _type(schema), message.log_time, message.data)
        except Exception as error:
            if self.whole:
                raise _unreadable(self.path, error) from error

    def _read(
        self, names: Collection[str]
    ) -> Iterator[tuple[Channel, Schema | None, McapMessage]]:
        if not self.indexed:
            yield from _in_file_order(self.path)
            return
        with self.path.open("rb") as stream:
            for schema, channel, message in make_reader(stream).iter_messages(list(names)):
                yield channel, schema, message


def _topic(channel: Channel, schema: Schema | None, count: int) -> Topic:
    return Topic(channel.topic, _type(schema), channel.message_encoding, count)


def _type(schema: Schema | None) -> str:
    return full_type_name("" if schema is None else schema.name)


def _in_file_order(path: Path) -> Iterator[tuple[Channel, Schema | None, McapMessage]]:
    """All messages; raises an error of any kind after the last one of a file that was cut off."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with path.open("rb") as stream:
        for record in _records(stream):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, McapMessage):
                channel = channels[record.channel_id]
                yield channel, schemas.get(channel.schema_id), record


def _records(stream: IO[bytes]) -> Iterator[McapRecord]:
    """The records of the data section, chunks opened, the last one too if it is incomplete."""
    reader = StreamReader(stream, emit_chunks=True)
    start = stream.tell()
    try:
        for record in reader.records:
            if isinstance(record, (DataEnd, Footer)):
                return
            if isinstance(record, Chunk):
                yield from breakup_chunk(record)
            else:
                yield record
            start = stream.tell()
    except Exception:
        stream.seek(start)
        if _enter_chunk(stream):
            yield from StreamReader(stream, skip_magic=True).records
        raise


def _enter_chunk(stream: IO[bytes]) -> bool:
    """Move to the first record of an uncompressed chunk; whether that was possible.

    Records are also valid outside a chunk.
    """
    head = stream.read(9)
    if len(head) < 9 or head[0] != Opcode.CHUNK:
        return False
    head = stream.read(_CHUNK_HEAD.size)
    if len(head) < _CHUNK_HEAD.size or _CHUNK_HEAD.unpack(head)[-1] != 0:
        return False
    return len(stream.read(8)) == 8


# --- SQLite -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SqliteFile(StorageFile):
    """A SQLite file.

    Attributes:
        readable: the file itself, or a copy of it that SQLite can open.
    """

    readable: Path

    @classmethod
    def inspect(cls, path: Path, folder: Path) -> SqliteFile:
        """Count its messages.

        Args:
            path: of the file.
            folder: where a copy is made of a file that SQLite cannot open as it is.
        """
        readable = _completed(path, folder)
        counts: Counter[int] = Counter()
        span: tuple[int, int] | None = None
        kinds: dict[int, tuple[str, str, str]] = {}
        whole = readable == path or _has_journal(path)
        try:
            with _database(readable) as database:
                for number, *kind in database.execute(
                    "SELECT id, name, type, serialization_format FROM topics"
                ):
                    name, kind_name, encoding = map(_text, kind)
                    kinds[number] = name, full_type_name(kind_name), encoding
                # Of a file that was cut, the data of a row may be missing where the row is not.
                data = "" if whole else ", data"
                for number, stamp, *_ in database.execute(
                    f"SELECT topic_id, timestamp{data} FROM messages ORDER BY id"
                ):
                    counts[number] += 1
                    span = _widened(span, _time(stamp))
        except (sqlite3.Error, TypeError, ValueError):  # such as text that is not UTF-8
            whole = False
        topics = tuple(Topic(*kind, counts[number]) for number, kind in kinds.items())
        return cls(path, topics, span, whole, readable)

    def messages(self, names: Collection[str]) -> Iterator[Message]:
        """See :class:`StorageFile`."""
        order = "timestamp" if self.whole else "messages.id"  # an index may be what is missing
        places = ",".join("?" * len(names))
        try:
            with _database(self.readable) as database:
                for topic, kind, stamp, data in database.execute(
                    "SELECT name, type, timestamp, data FROM messages "
                    "JOIN topics ON topic_id = topics.id "
                    f"WHERE serialization_format = '{CDR}' AND name IN ({places}) "
                    f"ORDER BY {order}",
                    tuple(names),
                ):
                    raw = data if isinstance(data, bytes) else _text(data).encode()
                    yield Message(_text(topic), full_type_name(_text(kind)), _time(stamp), raw)
        except sqlite3.Error as error:
            if self.whole:
                raise _unreadable(self.path, error) from error


def _text(value: object) -> str:
    """A value of a damaged table may have any type."""
    return value if isinstance(value, str) else ""


def _time(value: object) -> int:
    return value if isinstance(value, int) else 0


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    mode = "mode=rw" if _has_journal(path) else "immutable=1"
    address = f"{path.absolute().as_uri()}?{mode}"
    # One thread opens it to read the first messages, and another reads the rest.
    with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as database:
        yield database


def _journal(path: Path) -> Path:
    """What a recorder that was killed had not yet moved into the file."""
    return path.with_name(f"{path.name}-wal")


def _has_journal(path: Path) -> bool:
    return _journal(path).exists() and _journal(path).stat().st_size > 0


def _completed(path: Path, folder: Path) -> Path:
    """The file, or a copy of one that SQLite would refuse or change.

    SQLite refuses a file that is shorter than its header says, and merges a journal into its file.
    """
    with path.open("rb") as source:
        header = source.read(100)
    size = 0
    if len(header) == 100:
        (page,) = struct.unpack_from(">H", header, _PAGE_SIZE_AT)
        (pages,) = struct.unpack_from(">I", header, _PAGE_COUNT_AT)
        size = (65536 if page == 1 else page) * pages
    short = path.stat().st_size < size
    journal = _has_journal(path)
    if not (short or journal):
        return path
    copy = folder / path.name
    shutil.copyfile(path, copy)
    if journal:
        shutil.copyfile(_journal(path), _journal(copy))
    else:
        os.truncate(copy, size)
    return copy
