"""Options of the tracker ``pips_plus_plus``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.trackers.shared_options import clip_length_option, max_points_option

SMALLEST = 128
"""Smallest width and height of the network's input, in pixels."""

ADDRESS = (
    "https://www.dropbox.com/scl/fi/czdlt2zc2ji2b7zd0pvoe/reference_model.tar.gz"
    "?rlkey=56ebq4g5dk01kyq8kuismev14"
)
"""Where the authors publish an archive with the weights."""


@dataclass(frozen=True)
class PipsPlusPlusOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.pips_plus_plus.PipsPlusPlus`.

    There is no threshold of visibility: the model does not say where points are visible, so all
    are, everywhere.
    """

    owner: ClassVar[str] = "tracker 'pips_plus_plus'"

    checkpoint: str = option(
        "",
        "Weights: the path of a file, unpacked from the authors' archive; or random (see "
        "allow_random_weights).",
    )
    chunk: int = option(
        128,
        "Frames that are tracked together. A clip that is longer is tracked in chunks, each of "
        "which begins with the last frame of the one before. All points count as visible.",
        minimum=2,
        maximum=10000,
    )
    image_size: tuple[int, int] = option(
        (0, 0),
        "Height and width to which images are scaled for the network, at least 128 each; 0, 0: "
        "images are taken as they are.",
        minimum=0,
        maximum=4096,
    )
    iterations: int = option(0, "Updates per chunk; 0: as published, 16.", minimum=0, maximum=64)
    max_points: int = max_points_option()
    clip_length: int = clip_length_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size != (0, 0) and min(self.image_size) < SMALLEST:
            raise UserError(
                f"{self.owner}: 'image_size' must be 0, 0 or at least {SMALLEST}, {SMALLEST}, got "
                f"{self.image_size}"
            )
