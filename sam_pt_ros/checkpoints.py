"""Files of trained weights: which there are, where they lie, and whether they are intact."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import did_you_mean

DIRECTORY_VARIABLE = "SAM_PT_CHECKPOINT_DIR"
"""Environment variable that names the folder of checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """A published file of weights.

    Attributes:
        file: its name.
        address: where its authors offer it.
        size: bytes.
        sha256: of the file, 64 hexadecimal digits.
        licence: what its authors allow.
    """

    file: str
    address: str
    size: int
    sha256: str
    licence: str


CHECKPOINTS: dict[str, Checkpoint] = {
    # Size and hash as the model's page on Hugging Face shows them (revision
    # bf55ea50d4390e1820a267f131cd6587240fb2c5); several public projects pin the same.
    "cotracker3_online": Checkpoint(
        "scaled_online.pth",
        "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_online.pth",
        101_695_610,
        "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218",
        "CC BY-NC 4.0",
    ),
}
"""Published checkpoints by the name they are asked for with."""


def checkpoint_directory() -> Path:
    """Where checkpoints lie: ``$SAM_PT_CHECKPOINT_DIR``, else a folder of the user's cache."""
    given = os.environ.get(DIRECTORY_VARIABLE)
    if given:
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "sam_pt_ros" / "checkpoints"


def find_checkpoint(asked: str, sha256: str = "") -> Path:
    """The file of a checkpoint, verified.

    Args:
        asked: a name of ``CHECKPOINTS``, whose published hash must be that of the file, or the
            path of a file.
        sha256: the hash that a file given by its path must have, in hexadecimal digits; empty:
            any. It has no part in a published one.

    Raises:
        UserError: there is no such name or file, or it has another hash.
    """
    known = CHECKPOINTS.get(asked)
    path = Path(asked).expanduser() if known is None else checkpoint_directory() / known.file
    if not path.is_file():
        raise UserError(_missing(asked, path, known))
    wanted = sha256.lower() if known is None else known.sha256
    if wanted and (found := file_sha256(path)) != wanted:
        what = "was not downloaded whole" if known and path.stat().st_size < known.size else ""
        raise UserError(
            f"{path}: its SHA-256 is {found}, expected {wanted}: the file "
            f"{what or 'is another one'}; "
            + (f"get it anew from {known.address}" if known else "check 'checkpoint_sha256'")
        )
    return path


def _missing(asked: str, path: Path, known: Checkpoint | None) -> str:
    if known is not None:
        if checkpoint_directory().is_file():
            return (
                f"{DIRECTORY_VARIABLE} names the file {checkpoint_directory()}; it must name the "
                "folder that the file lies in"
            )
        return (
            f"the checkpoint '{asked}' is missing: download {known.address} ({known.size:,} "
            f"bytes, {known.licence}) to {path}, or set {DIRECTORY_VARIABLE} to its folder"
        )
    if path.is_dir():
        return f"the checkpoint {path} is a folder; give the path of a file"
    if path.name == asked and not path.suffix:
        return f"unknown checkpoint '{asked}'{did_you_mean(asked, CHECKPOINTS)}"
    return (
        f"the checkpoint {path.absolute()} does not exist; give the path of a file, or a name "
        f"({', '.join(CHECKPOINTS)}: in {checkpoint_directory()})"
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; UserError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def load_state_dict(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, on the CPU; nothing in the file is executed.

    The dictionary may be bare or lie under the key ``model``.

    Raises:
        UserError: the file cannot be read, or is no checkpoint.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file makes PyTorch raise anything
        # Its own message advises to load the file in a way that runs what is in it.
        raise UserError(
            f"{path}: not a checkpoint of PyTorch, or damaged, or with more in it than tensors "
            f"({path.stat().st_size:,} bytes)"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in content.items()
    ):
        raise UserError(f"{path}: not a state dict: it must hold tensors by name")
    return content
