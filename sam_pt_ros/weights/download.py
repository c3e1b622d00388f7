"""`sam-pt download`: files of weights from where their authors offer them.

A file gets its name only when it is whole and its hash is the published one. Until then it is
``<file>.part``, which the next download goes on with.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sam_pt_ros import __version__
from sam_pt_ros.errors import UserError
from sam_pt_ros.weights.checkpoints import (
    CHECKPOINTS,
    DIRECTORY_VARIABLE,
    HASH_NAMES,
    Checkpoint,
    checkpoint_directory,
    file_digest,
    format_bytes,
    known_checkpoint,
    record_sha256,
)

PAUSES = (1.0, 3.0, 9.0)
"""Seconds to wait before each new attempt after a connection broke."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

BLOCK = 1 << 16


class _LostError(Exception):
    """The server did not answer, or not with the file, or stopped before its end."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from https to what nobody vouches for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    name: str,
    directory: Path | None = None,
    *,
    console: Console | None = None,
    pauses: Sequence[float] = PAUSES,
    timeout: float = TIMEOUT,
) -> Path:
    """Download a published checkpoint and verify it, unless it is there already.

    What an earlier attempt left is gone on with. Nothing in the file is executed.

    Args:
        name: a key of ``CHECKPOINTS``.
        directory: folder for the file; None: ``checkpoint_directory()``.
        console: to say on what is done.
        pauses: seconds before each new attempt after a connection broke; empty: no new attempt.
        timeout: seconds without a byte after which a connection counts as broken.

    Returns:
        The file, whose hash is the published one.

    Raises:
        UserError: there is no such name; the folder cannot be written to or is too small; the
            file cannot be had, its connection broke too often, or its hash is wrong; another
            process is downloading it.
    """
    known = known_checkpoint(name)
    console = console or Console()
    job = _Job(name, known, directory or checkpoint_directory(), console, timeout)
    before = _stamp(job.target)
    if before is not None:
        if job.verified():
            return job.target
        job.say(f"{job.target} is not the published file; downloading it again")
    if not known.commercial:
        job.say(f"the licence of {name} ({known.licence}) forbids commercial use")
    _make_folder(job.folder)
    with _locked(name, job.part) as file:
        # Another process may have finished between the look above and the lock.
        if _stamp(job.target) not in (None, before) and job.verified():
            return job.target
        job.fetch(file, pauses)
        job.finish(file)
    return job.target


def download_all(
    names: Sequence[str] | None, directory: Path | None = None, *, console: Console | None = None
) -> None:
    """Download several published checkpoints, one after the other.

    Args:
        names: keys of ``CHECKPOINTS``; None: all.
        directory: folder for the files; None: ``checkpoint_directory()``.
        console: to say on what is done.

    Raises:
        UserError: as ``download``. Nothing is downloaded if one of the names is unknown.
    """
    console = console or Console()
    folder = directory or checkpoint_directory()
    if names is None:
        size = sum(_expected(known) or 0 for known in CHECKPOINTS.values())
        _say(console, f"downloading {len(CHECKPOINTS)} files ({format_bytes(size)}) to {folder}")
    wanted = list(CHECKPOINTS) if names is None else list(dict.fromkeys(names))
    for name in wanted:
        known_checkpoint(name)
    for name in wanted:
        download(name, folder, console=console)
    if folder.absolute() != checkpoint_directory().absolute():
        _say(console, f"to use these files, set {DIRECTORY_VARIABLE}={folder.absolute()}")


def list_checkpoints(directory: Path | None = None) -> str:
    """A table of the published checkpoints, and which of them are in a folder.

    The files are not read: that one is there says nothing about its hash.

    Args:
        directory: the folder; None: ``checkpoint_directory()``.
    """
    folder = directory or checkpoint_directory()
    rows = [("NAME", "FILE", "SIZE", "LICENCE", "PRESENT")]
    rows += [
        (name, known.file, _size_in_short(known), known.licence, _presence(folder, known))
        for name, known in CHECKPOINTS.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", f"Folder: {folder.absolute()}"])


def _size_in_short(known: Checkpoint) -> str:
    rough = "" if known.size is not None else "~"
    size = _expected(known)
    return "unknown" if size is None else rough + format_bytes(size)


def _say(console: Console, text: str) -> None:
    # As it is: a path may hold what rich takes for markup, and is copied in one piece.
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _presence(folder: Path, known: Checkpoint) -> str:
    target = folder / known.file
    if target.is_file():
        whole = known.size in (None, target.stat().st_size)
        return "yes" if whole else "damaged (wrong size)"
    part = _part_of(target)
    return f"partial ({format_bytes(part.stat().st_size)})" if part.is_file() else "no"


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _expected(known: Checkpoint) -> int | None:
    return known.size if known.size is not None else known.rough_size


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells one file of this name from another; None: there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


class _Job:
    """One file on its way."""

    def __init__(
        self, name: str, known: Checkpoint, folder: Path, console: Console, timeout: float
    ) -> None:
        self.name = name
        self.known = known
        self.folder = folder.absolute()
        self.target = self.folder / known.file
        self.part = _part_of(self.target)
        self._console = console
        self._timeout = timeout
        self._received = False  # whether this process has had a byte from the server

    def say(self, text: str) -> None:
        _say(self._console, text)

    def verified(self) -> bool:
        """Whether the finished file is there and intact; says so."""
        if not self.target.is_file():
            raise UserError(f"{self.target} exists but is not a file; remove it")
        if file_digest(self.target, self.known.algorithm) != self.known.digest:
            return False
        self.say(f"{self.name} is already downloaded: {self.target}")
        return True

    def fetch(self, file: BinaryIO, pauses: Sequence[float]) -> None:
        """Complete the part; UserError if that fails."""
        size = self.known.size
        if size is not None and _length(file) > size:
            file.truncate(0)  # not a beginning of the file
        if size is not None and _length(file) == size:
            return
        if size is None and _length(file) and self._hash_of_part() == self.known.digest:
            return  # whole, and asking for what follows would be an error
        self._check_room(_length(file))
        kept = f", resuming after {format_bytes(_length(file))}" if _length(file) else ""
        size_text = self.known.size_text
        self.say(f"{self.name}: downloading {size_text} from {self.known.address}{kept}")
        with _progress(self._console) as progress:
            task = progress.add_task(self.known.file, total=_expected(self.known))
            for pause in pauses:
                try:
                    return self._attempt(file, progress, task)
                except _LostError as error:
                    self._give_up_if_nothing_came(error)
                    self.say(f"{self.name}: connection lost ({error}); retrying")
                time.sleep(pause)
            try:
                self._attempt(file, progress, task)
            except _LostError as error:
                self._give_up_if_nothing_came(error)
                raise UserError(self._broken(file, str(error))) from error

    def _give_up_if_nothing_came(self, error: _LostError) -> None:
        # Without a network, new attempts would only keep the user waiting.
        if not self._received:
            raise UserError(
                f"{self.name}: cannot download {self.known.address} ({error}); "
                + self._elsewhere()
            ) from error

    def finish(self, file: BinaryIO) -> None:
        """Verify the part and give it its name; UserError if its hash is wrong."""
        file.flush()
        os.fsync(file.fileno())
        found = self._hash_of_part()
        if found != self.known.digest:
            self.part.unlink()
            raise UserError(
                f"{self.name}: the {HASH_NAMES[self.known.algorithm]} of the file from "
                f"{self.known.address} is {found}, expected {self.known.digest}; the file was "
                f"removed: run `sam-pt download {self.name}` again or, if that fails too, get the "
                f"file elsewhere and put it at {self.target}"
            )
        os.replace(self.part, self.target)
        if self.known.sha256 is None:
            record_sha256(self.target)
        self.say(f"{self.name} is downloaded and verified: {self.target}")

    def _hash_of_part(self) -> str:
        return file_digest(self.part, self.known.algorithm)

    def _check_room(self, present: int) -> None:
        needed = (_expected(self.known) or 0) - present
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"{self.folder}: {self.name} needs {format_bytes(needed)}, but only "
                f"{format_bytes(free)} are free; free some space, or choose another folder with "
                f"--directory or {DIRECTORY_VARIABLE}"
            )

    def _attempt(self, file: BinaryIO, progress: Progress, task: TaskID) -> None:
        with self._answer(file) as response:
            total = self._total(response, _length(file))
            progress.reset(task, total=total or _expected(self.known), completed=_length(file))
            while block := _read(response):
                self._received = True
                self._write(file, block)
                progress.update(task, completed=_length(file))
            if total is not None and _length(file) < total:
                raise _LostError(f"{total - _length(file):,} bytes are missing")

    def _answer(self, file: BinaryIO) -> http.client.HTTPResponse:
        """The server's answer, whose content belongs at the end of the part."""
        present = _length(file)
        try:
            response = self._open(present)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not present:
                raise _LostError(f"HTTP {error.code} {error.reason}") from error
            file.truncate(0)  # the part is no beginning of what the server has
            return self._answer(file)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _LostError(_reason(error)) from error
        if present and _range_start(response) != present:
            file.truncate(0)  # the server ignored the range and sends the whole file
            if response.status == http.HTTPStatus.PARTIAL_CONTENT:
                response.close()
                return self._answer(file)
        return response

    def _open(self, present: int) -> http.client.HTTPResponse:
        address = self.known.address
        if urlsplit(address).scheme not in ("https", "http"):
            raise ValueError("not an http or https address")
        # Without identity a server may compress, and then no length or range fits.
        headers = {"User-Agent": f"sam-pt/{__version__}", "Accept-Encoding": "identity"}
        if present:
            headers["Range"] = f"bytes={present}-"
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=ssl.create_default_context()), _SafeRedirects
        )
        request = urllib.request.Request(address, headers=headers)
        return opener.open(request, timeout=self._timeout)

    def _total(self, response: http.client.HTTPResponse, present: int) -> int | None:
        """Bytes of the whole file by the server's word; UserError if that is another file."""
        if response.length is None:
            return self.known.size
        total = present + response.length
        if self.known.size not in (None, total):
            raise UserError(
                f"{self.name}: {self.known.address} offers {total:,} bytes, expected "
                f"{self.known.size:,}: not the published file; {self._elsewhere()}"
            )
        return total

    def _write(self, file: BinaryIO, block: bytes) -> None:
        size = self.known.size
        if size is not None and _length(file) + len(block) > size:
            file.truncate(0)
            raise UserError(
                f"{self.name}: {self.known.address} sent more than {size:,} bytes: not the "
                f"published file; {self._elsewhere()}"
            )
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            raise UserError(
                f"{self.part}: cannot be written ({error.strerror}); the partial download is "
                f"kept: free some space and run `sam-pt download {self.name}` again"
            ) from error

    def _elsewhere(self) -> str:
        known = self.known
        return (
            f"get {known.file} ({known.size_text}, {HASH_NAMES[known.algorithm]} "
            f"{known.digest}) on another machine and put it at {self.target}"
        )

    def _broken(self, file: BinaryIO, reason: str) -> str:
        expected = _expected(self.known)
        of = f" of {format_bytes(expected)}" if expected else ""
        return (
            f"{self.name}: lost the connection to {urlsplit(self.known.address).hostname} "
            f"({reason}); {format_bytes(_length(file))}{of} are kept in {self.part}: run "
            f"`sam-pt download {self.name}` again to resume"
        )


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _LostError(_reason(error)) from error


def _length(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _range_start(response: http.client.HTTPResponse) -> int:
    """Where in the file an answer begins."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "timed out"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot create the folder ({error.strerror}); choose another one with "
            f"--directory or {DIRECTORY_VARIABLE}"
        ) from error


@contextmanager
def _locked(name: str, part: Path) -> Iterator[BinaryIO]:
    """The part, opened for appending, and this process alone with it.

    Raises:
        UserError: it cannot be opened, or another process has it.
    """
    while True:
        try:
            file = part.open("ab")
        except OSError as error:
            raise UserError(
                f"{part}: cannot be written ({error.strerror}); choose another folder with "
                f"--directory or {DIRECTORY_VARIABLE}"
            ) from error
        with file:
            _lock(name, part, file)
            # The one who had the lock may have renamed or removed the file that was opened: then
            # it is a finished one, and not to be written to.
            if not _is_at(file, part):
                continue
            try:
                yield file
            finally:
                if _length(file) == 0 and _is_at(file, part):
                    part.unlink()
            return


def _lock(name: str, part: Path, file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise UserError(
                f"another process is downloading {name} to {part}; wait until it is done"
            ) from error
        raise UserError(
            f"{part}: cannot be locked ({error.strerror}); choose a folder on a local disk with "
            "--directory"
        ) from error


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
