"""Options of the tracker ``cotracker``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions

_MULTIPLE = 16


@dataclass(frozen=True)
class CoTrackerOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.cotracker.CoTracker`."""

    owner: ClassVar[str] = "tracker 'cotracker'"

    checkpoint: str = option(
        "cotracker3_online",
        "Weights: the name of a published checkpoint, which is verified; the path of a file; or "
        "random (see allow_random_weights).",
    )
    mode: str = option(
        "streaming",
        "streaming: an answer on every frame (LiteTracker); windowed: the authors' predictor, "
        "whose answers come 9 to 16 frames late, for recordings.",
        choices=("streaming", "windowed"),
    )
    precision: str = option(
        "float32",
        "float32; mixed: features are kept as float16, in half the memory, and points stay where "
        "they are to 0.1 pixels; float16: all of the network, for GPUs, and points may go "
        "elsewhere.",
        choices=("float32", "mixed", "float16"),
    )
    model_resolution: tuple[int, int] = option(
        (384, 512),
        "Height and width that images are scaled to, multiples of 16; the model was trained "
        "with 384, 512.",
        minimum=64,
        maximum=4096,
    )
    iterations: int = option(
        0,
        "Updates of each frame (streaming) or window (windowed); 0: as published, 1 and 6.",
        minimum=0,
        maximum=32,
    )
    support_grid: bool = option(
        False,
        "Track 36 more points on a grid, which help the others and are not answered for.",
    )
    max_points: int = option(
        1024, "Points at a time; more are refused.", minimum=1, maximum=100000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(side % _MULTIPLE for side in self.model_resolution):
            raise UserError(
                f"tracker 'cotracker': 'model_resolution' must be multiples of {_MULTIPLE}, got "
                f"{self.model_resolution}"
            )
