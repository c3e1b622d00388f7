"""Recordings as people have them: whole, cut off, compressed, renamed, or of other tools."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import yaml
import zstandard

from sam_pt_ros.errors import UserError, counted, one_line
from sam_pt_ros.paths import is_hidden, natural_order
from sam_pt_ros.recordings.rosbag2 import decode_message
from sam_pt_ros.recordings.skipped import SkippedMessages
from sam_pt_ros.recordings.storage_files import (
    CDR,
    McapFile,
    Message,
    SqliteFile,
    StorageFile,
    Topic,
    UnreadableError,
)

METADATA = "metadata.yaml"

_COPIES = ".reading_"
_SUFFIXES = (".mcap", ".db3")
_COMPRESSED = (".zstd", ".zst")
_ZSTD = b"\x28\xb5\x2f\xfd"
_MCAP = b"\x89MCAP0\r\n"
_SQLITE = b"SQLite format 3\0"
_ROS1 = b"#ROSBAG V"
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class Recording:
    """A recording that can be read; its files are opened only while messages are read.

    Attributes:
        path: of the recording, as it was given.
        files: in the order in which they were recorded.
        problems: what is odd about it, a sentence each.
        cut_off: why messages are missing at its end; None if none are.
        stated: number of messages by topic, as its metadata.yaml says.
    """

    path: Path
    files: tuple[StorageFile, ...]
    problems: tuple[str, ...] = ()
    cut_off: str | None = None
    stated: Mapping[str, int] = field(default_factory=dict)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All topics with messages, in the order of the files."""
        counts: dict[tuple[str, str, str], int] = {}
        for file in self.files:
            for topic in file.topics:
                if topic.count:
                    key = topic.name, topic.type, topic.encoding
                    counts[key] = counts.get(key, 0) + topic.count
        return tuple(Topic(*key, count) for key, count in counts.items())

    @property
    def types(self) -> dict[str, str]:
        """The message types, by topic, of what can be read."""
        return {topic.name: topic.type for topic in self.topics if topic.encoding == CDR}

    def topics_of(self, *types: str) -> list[str]:
        """Names of the topics whose messages are of some types and can be read."""
        return [name for name, kind in self.types.items() if kind in types]

    def count(self, name: str) -> int:
        """Number of messages on a topic that can be read."""
        return sum(t.count for t in self.topics if t.name == name and t.encoding == CDR)

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        spans = [file.span for file in self.files if file.span is not None]
        if not spans:
            return 0.0
        return (max(end for _, end in spans) - min(begin for begin, _ in spans)) * 1e-9

    def messages(self, names: Collection[str]) -> Iterator[Message]:
        """The messages on some topics, by time within each file.

        Raises:
            UnreadableError: a file cannot be read on.
        """
        for file in self.files:
            try:
                for message in file.messages(names):
                    if message.data[:4] == _ZSTD:  # of a CDR message the first byte is 0
                        message = message._replace(data=_decompressed(message.data))
                    yield message
            except UnreadableError as error:
                raise UnreadableError(f"{self.path}: {error}") from error

    def parsed(
        self, names: Collection[str], skipped: SkippedMessages | None = None
    ) -> Iterator[Any]:
        """As :meth:`messages`, deserialised.

        Args:
            names: of the topics.
            skipped: takes those that cannot be parsed, which are left out.
        """
        for message in self.messages(names):
            try:
                parsed = decode_message(message.data, message.type)
            except UserError as error:
                if skipped is not None:
                    skipped.add(message, error)
                continue
            yield parsed

    def missing(self, name: str) -> str | None:
        """Whether metadata.yaml promises other messages on a topic than there are."""
        stated, held = self.stated.get(name), self.count(name)
        if self.cut_off is not None or stated in (None, held):
            return None
        promised = counted(stated, "message")
        return f"{METADATA} says that '{name}' has {promised}, but the files hold {held}"


@contextmanager
def open_recording(path: Path, scratch: Path | None = None) -> Iterator[Recording]:
    """Find out what can be read of a recording.

    Args:
        path: of a rosbag2: its folder, or a storage file. Storage files may be compressed by
            zstd, cut off, or of other tools.
        scratch: the folder for temporary copies of files that cannot be read in place; None: that
            of the system.

    Yields:
        The recording; it can be read as long as the context lasts, in other processes too.

    Raises:
        UserError: nothing can be read.
    """
    if scratch is not None:
        for left in scratch.glob(f"{_COPIES}*"):  # by a run that was killed
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=_COPIES) as folder:
        yield _inspected(path, Path(folder))


def is_recording(path: Path) -> bool:
    """Whether a path is a recording, and not a video or a folder of pictures, by its names."""
    files = storage_files(path) if path.is_dir() else [path]
    return (path / METADATA).exists() or any(_bare(file).suffix in _SUFFIXES for file in files)


def storage_files(path: Path) -> list[Path]:
    """The storage files of a recording, hidden ones left out, in the order of recording."""
    if path.is_file():
        return [path]
    files = [
        file
        for file in path.glob("*")
        if _bare(file).suffix in _SUFFIXES and file.is_file() and not is_hidden(file)
    ]
    return sorted(files, key=lambda file: natural_order(_bare(file).stem))


def _bare(file: Path) -> Path:
    """Without the suffix of a compression."""
    return file.with_suffix("") if file.suffix in _COMPRESSED else file


def _inspected(path: Path, folder: Path) -> Recording:
    if not path.exists():
        raise UserError(f"{path}: no such recording; check the path")
    metadata = _Metadata.read(path)
    files, problems, gap = metadata.choose(path)
    found: list[StorageFile] = []
    for number, file in enumerate(files):
        inspected = _inspect(file, folder / str(number))
        found.append(inspected)
        if not inspected.whole:
            gap = f"{file.name} was cut off, or never closed"
            break  # what follows a gap is another recording
    recording = Recording(path, tuple(found), tuple(problems), gap, metadata.counts)
    count = sum(topic.count for topic in recording.topics)
    if gap is not None:
        if count == 0:
            raise UserError(
                f"{path}: no message of this recording can be read ({gap}); record it again"
            )
        reason = f"{path}: {gap}; its {count} readable messages were used"
        return replace(recording, cut_off=reason)
    return recording


def _inspect(file: Path, folder: Path) -> StorageFile:
    """A storage file, told by its content; UserError if it is none."""
    folder.mkdir()
    try:
        with file.open("rb") as stream:
            start = stream.read(100)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    if start.startswith(_ZSTD):
        return _inspect(_unpacked(file, folder), folder / "unpacked")
    if start.startswith(_MCAP):
        return McapFile.inspect(file)
    if start.startswith(_SQLITE):
        return SqliteFile.inspect(file, folder)
    raise UserError(f"{file}: {_what_else(file, start)}")


def _what_else(file: Path, start: bytes) -> str:
    """What a file is that is no storage file, and what to do."""
    if not start:
        return "is empty; copy or record it again"
    if start.startswith(_ROS1):
        return (
            "is a ROS 1 bag; convert it with "
            f"`rosbags-convert --src {file} --dst {file.with_suffix('')}`"
        )
    if start.startswith(_LFS):
        return "is a pointer of Git LFS and not the file itself; fetch it with `git lfs pull`"
    return (
        "is neither an MCAP nor a SQLite file of rosbag2, so no message of this recording can be "
        "read; copy or record it again"
    )


def _unpacked(file: Path, folder: Path) -> Path:
    """A decompressed copy; of a file that was cut off, what can be had."""
    copy = folder / _bare(file).name
    with file.open("rb") as source, copy.open("wb") as target:
        try:
            zstandard.ZstdDecompressor().copy_stream(source, target)
            reason = "it was cut off"
        except zstandard.ZstdError as error:
            reason = str(error)
        if target.tell() == 0:
            raise UserError(f"{file}: cannot be decompressed ({reason}); copy or record it again")
    return copy


def _decompressed(data: bytes) -> bytes:
    """A message of a bag whose messages are compressed; as it is if it is damaged."""
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError:
        return data


def offer_topics(recording: Recording) -> str:
    """The topics and types of a recording, for a message."""
    if not recording.topics:
        return "the bag is empty"
    return "its topics are " + ", ".join(
        f"{topic.name} ({_readable_type(topic)})"
        for topic in sorted(recording.topics, key=lambda topic: topic.name)
    )


def _readable_type(topic: Topic) -> str:
    """With the serialization, if that is not read."""
    return topic.type if topic.encoding == CDR else f"{topic.type}, serialized as {topic.encoding}"


# --- metadata.yaml ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Metadata:
    """What metadata.yaml says.

    Attributes:
        names: of the storage files; None if there is no metadata.yaml that says so.
        counts: number of messages by topic.
        problem: why it cannot be used; None if it can.
    """

    names: tuple[str, ...] | None
    counts: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None

    @classmethod
    def read(cls, path: Path) -> _Metadata:
        if path.is_file():
            return cls((path.name,))
        try:
            content = yaml.safe_load((path / METADATA).read_text(encoding="utf-8"))
            information = content["rosbag2_bagfile_information"]
            names = tuple(PurePath(name).name for name in information["relative_file_paths"])
        except FileNotFoundError:
            return cls(None, problem=f"has no {METADATA}: the recorder did not end properly")
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            reason = one_line(error)
            return cls(None, problem=f"its {METADATA} cannot be used ({reason})")
        return cls(names, _counts(information))

    def choose(self, path: Path) -> tuple[list[Path], list[str], str | None]:
        """The files to read, what is odd about them, and why some are missing at the end."""
        there = storage_files(path)
        if not there:
            raise UserError(_no_files(path, self.names))
        if self.names is None:
            assert self.problem is not None
            return there, [], self.problem
        by_name = {_bare(file).name: file for file in there}
        wanted = [_bare(Path(name)).name for name in self.names]
        others = [file for name, file in by_name.items() if name not in wanted]
        missing = [name for name in wanted if name not in by_name]
        if missing and len(missing) == len(others):  # renamed
            names = ", ".join(file.name for file in others)
            problem = f"{METADATA} names {', '.join(missing)}, which is missing; {names} was read"
            return there, [problem], None
        if missing and missing[0] == wanted[0]:
            raise UserError(
                f"{path}: {missing[0]}, which its {METADATA} names, is missing; copy the "
                "recording again, or give one of its files"
            )
        problems = []
        if others:
            names = ", ".join(file.name for file in others)
            problems.append(
                f"{names} lies beside the recording's files, is not named in {METADATA} and was "
                "not read; to include it, run `ros2 bag reindex`"
            )
        before = wanted[: wanted.index(missing[0])] if missing else wanted
        gap = f"{missing[0]}, which its {METADATA} names, is missing" if missing else None
        return [by_name[name] for name in before], problems, gap


def _counts(information: Any) -> dict[str, int]:
    """Messages by topic; what is not written as expected is left out."""
    counts: dict[str, int] = {}
    try:
        for topic in information["topics_with_message_count"]:
            name = topic["topic_metadata"]["name"]
            counts[name] = counts.get(name, 0) + int(topic["message_count"])
    except (KeyError, TypeError, ValueError):
        pass
    return counts


def _no_files(path: Path, names: tuple[str, ...] | None) -> str:
    """Why a folder is no recording, and what to do."""
    if names:
        return (
            f"{path}: {', '.join(names)}, which its {METADATA} names, is missing; copy the "
            "recording again"
        )
    if bags := sorted(path.glob("*.bag")):
        return f"{bags[0]}: {_what_else(bags[0], _ROS1)}"
    within = sorted(found.parent.name for found in path.glob(f"*/{METADATA}"))
    advice = (
        f"give one of the recordings in it ({', '.join(within)})"
        if within
        else f"give the folder that holds its {METADATA}"
    )
    return f"{path}: not a readable rosbag2 (it holds no .mcap or .db3 file); {advice}"
