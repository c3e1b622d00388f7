"""Paths of the package's files that are not Python, and the order of numbered files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sam_pt_ros.errors import UserError

PACKAGE = "sam_pt_ros"


def share_folder() -> Path:
    """The folder with ``msg`` and ``config``: the source tree, or else the package's share.

    Raises:
        UserError: the package is not installed completely.
    """
    source = Path(__file__).resolve().parents[1]
    candidates = [source] if (source / "package.xml").is_file() else []
    try:
        from ament_index_python.packages import get_package_share_directory

        candidates.append(Path(get_package_share_directory(PACKAGE)))
    except (ImportError, LookupError, OSError):
        pass
    candidates.append(Path(sys.prefix) / "share" / PACKAGE)
    for folder in candidates:
        if (folder / "msg").is_dir() and (folder / "config").is_dir():
            return folder
    raise UserError(
        "the package's messages and configurations are not installed; run `make build`, or "
        "source the workspace that it was built in"
    )


def configuration_file(asked: Path) -> Path:
    """The parameter file at a path, or else the one of this name that comes with the package."""
    ours = share_folder() / "config" / f"{asked}.yaml"
    return ours if not asked.exists() and ours.is_file() else asked


def classical_configuration_file() -> Path:
    """The configuration that needs no weights and no GPU."""
    return share_folder() / "config" / "classical.yaml"


def is_hidden(path: Path) -> bool:
    """Whether a file is hidden, as those are that macOS puts beside others (``._name``)."""
    return path.name.startswith(".")


def natural_order(text: str) -> list[tuple[int, str]]:
    """A sort key for names in which numbers count as numbers (2 before 10)."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
