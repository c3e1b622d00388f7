"""Options of the tracker ``cotracker``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.trackers.shared_options import check_resolution, max_points_option

_MULTIPLE = 16


@dataclass(frozen=True)
class CoTrackerOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.cotracker.CoTracker`."""

    owner: ClassVar[str] = "tracker 'cotracker'"

    checkpoint: str = option(
        "cotracker3_online",
        "Weights: the name of a published checkpoint, which is verified by its hash; the path of "
        "a file; or random (see allow_random_weights).",
    )
    mode: str = option(
        "streaming",
        "streaming: tracks every frame as it arrives (LiteTracker). windowed: the authors' "
        "predictor, whose tracks are 9 to 16 frames late; for recordings.",
        choices=("streaming", "windowed"),
    )
    precision: str = option(
        "float32",
        "float32: full precision. mixed: keeps features as float16, which halves their memory and "
        "moves points by at most 0.1 pixels. float16: runs the whole network in half precision, "
        "for GPUs; points may move further.",
        choices=("float32", "mixed", "float16"),
    )
    model_resolution: tuple[int, int] = option(
        (384, 512),
        "Height and width to which images are scaled, multiples of 16. The model was trained with "
        "384, 512.",
        minimum=64,
        maximum=4096,
    )
    iterations: int = option(
        0,
        "Updates per frame (streaming) or per window (windowed); 0: as published, 1 and 6.",
        minimum=0,
        maximum=32,
    )
    support_grid: bool = option(
        False,
        "Track 36 additional points on a grid. They support the other points and are not output.",
    )
    max_points: int = max_points_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.owner, self.model_resolution, _MULTIPLE)
