"""Options of the tracker ``tapnet``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.trackers.shared_options import (
    check_resolution,
    clip_length_option,
    max_points_option,
)

_MULTIPLE = 8


@dataclass(frozen=True)
class TapNetOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.tapnet.TapNet`."""

    owner: ClassVar[str] = "tracker 'tapnet'"

    checkpoint: str = option(
        "tapnet",
        "Weights: the name of a published checkpoint, which is verified by its hash; the path of "
        "a file, .npy as published, or .pt; or random (see allow_random_weights).",
    )
    model_resolution: tuple[int, int] = option(
        (256, 256),
        "Height and width to which images are scaled, multiples of 8. The model was trained with "
        "256, 256.",
        minimum=64,
        maximum=4096,
    )
    temperature: float = option(
        10.0,
        "Factor on the similarities before the softmax; 10 is published.",
        minimum=0.1,
        maximum=1000.0,
    )
    max_points: int = max_points_option()
    clip_length: int = clip_length_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.owner, self.model_resolution, _MULTIPLE)
