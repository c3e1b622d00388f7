"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sam_pt_ros.errors import UserError


@contextmanager
def replacing(path: Path, *, make_folder: bool = False) -> Iterator[Path]:
    """Write a file beside ``path`` that replaces it once the block has succeeded.

    Args:
        path: the file to write.
        make_folder: create its folder if it does not exist.

    Yields:
        The path to write to. On an error this file is removed, and ``path`` stays as it was.

    Raises:
        UserError: the file cannot be written.
    """
    path = path.resolve()  # a link stays one
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the "
            "free space"
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def write_text(path: Path, text: str, *, make_folder: bool = False) -> None:
    """Write text (UTF-8) with :func:`replacing`; UserError if that fails."""
    with replacing(path, make_folder=make_folder) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
