"""Options shared by all backends with a trained network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import check_options, option

RANDOM = "random"
"""Value of ``checkpoint`` that stands for random weights instead of a file."""


@dataclass(frozen=True)
class NetworkOptions:
    """Where a network's weights come from, and where it runs."""

    owner: ClassVar[str] = "network"
    """Owner of the options, for error messages."""

    checkpoint: str = option(
        "",
        "Weights: empty for the model's published checkpoint, which is verified by its hash; the "
        "path of a file; or random (see allow_random_weights).",
    )
    checkpoint_sha256: str = option(
        "", "Expected SHA-256 of a file given by its path; empty: not checked."
    )
    allow_random_weights: bool = option(
        False,
        "For tests only: allow 'checkpoint: random'. Everything runs, but the results are "
        "meaningless.",
    )
    device: str = option(
        "auto",
        "auto (the first GPU, or the CPU if there is none), cpu, cuda, or cuda:N for one of "
        "several GPUs.",
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.checkpoint_sha256 and not re.fullmatch("[0-9a-fA-F]{64}", self.checkpoint_sha256):
            raise UserError(
                f"{self.owner}: 'checkpoint_sha256' must be 64 hexadecimal digits, got "
                f"'{self.checkpoint_sha256}'"
            )
        if self.checkpoint == RANDOM and not self.allow_random_weights:
            raise UserError(
                f"{self.owner}: 'checkpoint: random' is for tests only and needs "
                "'allow_random_weights: true'"
            )

    @property
    def weights_text(self) -> str:
        """The weights, as shown to people."""
        if self.checkpoint == RANDOM:
            return "RANDOM WEIGHTS, for tests only"
        return self.checkpoint or "published weights"


@contextmanager
def needs_torch(owner: str, *also: str) -> Iterator[None]:
    """Around imports of modules that need PyTorch: UserError for ``owner`` if it is missing.

    Args:
        owner: owner of the options, for the message.
        also: other packages that the modules need, by the names with which they are imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("torch", *also):
            raise
        missing = "PyTorch" if error.name == "torch" else error.name
        packages = " ".join(["torch", *also]).replace("_", "-")
        raise UserError(
            f"the {owner} needs {missing}; run `pip install {packages}`, or `make torch` in the "
            "source folder"
        ) from error
