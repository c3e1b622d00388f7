"""`sam-pt download`: download checkpoints from their authors and verify them.

A file gets its final name only after it is complete and its hash is verified. Until then it is
``<file>.part``. Interrupted downloads resume.
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
from sam_pt_ros.errors import UserError, one_line
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
"""Seconds to wait before each retry after a lost connection."""

TIMEOUT = 30.0
"""Seconds without data after which a connection counts as lost."""

BLOCK = 1 << 16


class _ConnectionLostError(Exception):
    """The server did not answer, did not send the file, or stopped before its end."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, except from https to anything else."""

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
    """Download a published checkpoint and verify it, unless it is present and verified already.

    An interrupted download resumes. Nothing in the file is executed.

    Args:
        name: a key of ``CHECKPOINTS``.
        directory: folder for the file; None: ``checkpoint_directory()``.
        console: console for messages and progress.
        pauses: seconds to wait before each retry after a lost connection; empty: no retries.
        timeout: seconds without data after which a connection counts as lost.

    Returns:
        The verified file.

    Raises:
        UserError: there is no such name; the folder is not writable or lacks space; the download
            fails, the connection is lost too often, or the hash is wrong; another process is
            downloading the file.
    """
    known = known_checkpoint(name)
    console = console or Console()
    job = _Job(name, known, directory or checkpoint_directory(), console, timeout)
    before = _identity(job.target)
    if before is not None:
        if job.verified():
            return job.target
        job.say(f"{job.target} is not the published file; downloading it again")
    if not known.commercial:
        job.say(f"the licence of {name} ({known.licence}) forbids commercial use")
    _make_folder(job.folder)
    with _locked(name, job.part) as file:
        # Another process may have finished between the check above and the lock.
        if _identity(job.target) not in (None, before) and job.verified():
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
        console: console for messages and progress.

    Raises:
        UserError: as for :func:`download`. Nothing is downloaded if one of the names is unknown.
    """
    console = console or Console()
    folder = directory or checkpoint_directory()
    if names is None:
        size = sum(_expected_size(known) or 0 for known in CHECKPOINTS.values())
        _say(console, f"downloading {len(CHECKPOINTS)} files ({format_bytes(size)}) to {folder}")
    wanted = list(CHECKPOINTS) if names is None else list(dict.fromkeys(names))
    for name in wanted:
        known_checkpoint(name)
    for name in wanted:
        download(name, folder, console=console)
    if folder.absolute() != checkpoint_directory().absolute():
        _say(console, f"to use these files, set {DIRECTORY_VARIABLE}={folder.absolute()}")


def list_checkpoints(directory: Path | None = None) -> str:
    """A table of the published checkpoints, with those present in a folder marked.

    Files are not read, so a present file may have a wrong hash.

    Args:
        directory: folder to look in; None: ``checkpoint_directory()``.
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
    size = _expected_size(known)
    return "unknown" if size is None else rough + format_bytes(size)


def _say(console: Console, text: str) -> None:
    # Paths may contain what rich takes for markup, and must not be wrapped.
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


def _expected_size(known: Checkpoint) -> int | None:
    return known.size if known.size is not None else known.rough_size


def _identity(path: Path) -> tuple[int, int] | None:
    """Inode and modification time, which change when the file is replaced; None: no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


class _Job:
    """The download of one file."""

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
        self._received = False  # whether any data has arrived from the server

    def say(self, text: str) -> None:
        _say(self._console, text)

    def verified(self) -> bool:
        """Whether the complete file has the published hash; if so, report it."""
        if not self.target.is_file():
            raise UserError(f"{self.target} exists but is not a file; remove it")
        if not self.known.matches(file_digest(self.target, self.known.algorithm)):
            return False
        self.say(f"{self.name} is already downloaded: {self.target}")
        return True

    def fetch(self, file: BinaryIO, pauses: Sequence[float]) -> None:
        """Download the rest of the file; UserError if that fails."""
        size = self.known.size
        if size is not None and _length(file) > size:
            file.truncate(0)  # it is not the beginning of the file
        if size is not None and _length(file) == size:
            return
        if size is None and _length(file) and self.known.matches(self._hash_of_part()):
            return  # complete; requesting a range after its end would fail
        self._check_room(_length(file))
        kept = f", resuming after {format_bytes(_length(file))}" if _length(file) else ""
        size_text = self.known.size_text
        self.say(f"{self.name}: downloading {size_text} from {self.known.address}{kept}")
        with _progress(self._console) as progress:
            task = progress.add_task(self.known.file, total=_expected_size(self.known))
            for pause in pauses:
                try:
                    return self._attempt(file, progress, task)
                except _ConnectionLostError as error:
                    self._give_up_if_nothing_came(error)
                    self.say(f"{self.name}: connection lost ({error}); retrying")
                time.sleep(pause)
            try:
                self._attempt(file, progress, task)
            except _ConnectionLostError as error:
                self._give_up_if_nothing_came(error)
                raise UserError(self._resume_hint(file, str(error))) from error

    def _give_up_if_nothing_came(self, error: _ConnectionLostError) -> None:
        # Without a network, retries would only keep the user waiting.
        if not self._received:
            raise UserError(
                f"{self.name}: cannot download {self.known.address} ({error}); "
                + self._manual_download()
            ) from error

    def finish(self, file: BinaryIO) -> None:
        """Verify the file and give it its final name; UserError if its hash is wrong."""
        file.flush()
        os.fsync(file.fileno())
        found = self._hash_of_part()
        if not self.known.matches(found):
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
        needed = (_expected_size(self.known) or 0) - present
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"{self.folder}: {self.name} needs {format_bytes(needed)}, but only "
                f"{format_bytes(free)} are free; free some space, or choose another folder with "
                f"--directory or {DIRECTORY_VARIABLE}"
            )

    def _attempt(self, file: BinaryIO, progress: Progress, task: TaskID) -> None:
        with self._answer(file) as response:
            total = self._total_size(response, _length(file))
            progress.reset(
                task, total=total or _expected_size(self.known), completed=_length(file)
            )
            while block := _read(response):
                self._received = True
                self._write(file, block)
                progress.update(task, completed=_length(file))
            if total is not None and _length(file) < total:
                raise _ConnectionLostError(f"{total - _length(file):,} bytes are missing")

    def _answer(self, file: BinaryIO) -> http.client.HTTPResponse:
        """The server's response, whose content is to be appended to the part."""
        present = _length(file)
        try:
            response = self._open(present)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not present:
                raise _ConnectionLostError(f"HTTP {error.code} {error.reason}") from error
            file.truncate(0)  # the part is not the beginning of the server's file
            return self._answer(file)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _ConnectionLostError(_reason(error)) from error
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
        # Otherwise a server may compress the content, and lengths and ranges do not match.
        headers = {"User-Agent": f"sam-pt/{__version__}", "Accept-Encoding": "identity"}
        if present:
            headers["Range"] = f"bytes={present}-"
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=ssl.create_default_context()), _SafeRedirects
        )
        request = urllib.request.Request(address, headers=headers)
        return opener.open(request, timeout=self._timeout)

    def _total_size(self, response: http.client.HTTPResponse, present: int) -> int | None:
        """Size of the whole file according to the server; UserError if it is another file's."""
        if response.length is None:
            return self.known.size
        total = present + response.length
        if self.known.size not in (None, total):
            raise UserError(
                f"{self.name}: {self.known.address} offers {total:,} bytes, expected "
                f"{self.known.size:,}: not the published file; {self._manual_download()}"
            )
        return total

    def _write(self, file: BinaryIO, block: bytes) -> None:
        size = self.known.size
        if size is not None and _length(file) + len(block) > size:
            file.truncate(0)
            raise UserError(
                f"{self.name}: {self.known.address} sent more than {size:,} bytes: not the "
                f"published file; {self._manual_download()}"
            )
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            raise UserError(
                f"{self.part}: cannot be written ({error.strerror}); the partial download is "
                f"kept: free some space and run `sam-pt download {self.name}` again"
            ) from error

    def _manual_download(self) -> str:
        known = self.known
        return (
            f"get {known.file} ({known.size_text}, {HASH_NAMES[known.algorithm]} "
            f"{known.digest}) on another machine and put it at {self.target}"
        )

    def _resume_hint(self, file: BinaryIO, reason: str) -> str:
        expected = _expected_size(self.known)
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
        raise _ConnectionLostError(_reason(error)) from error


def _length(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _range_start(response: http.client.HTTPResponse) -> int:
    """Offset in the file at which a response begins."""
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
    return one_line(text)


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
    """Open the part for appending and lock it.

    Raises:
        UserError: it cannot be opened, or another process has locked it.
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
            # Whoever held the lock before may have renamed or removed the opened file. Then it is
            # a finished file and must not be written to.
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
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
