"""Options of the tracker ``pips``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.trackers.shared_options import clip_length_option, max_points_option


@dataclass(frozen=True)
class PipsOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.pips.Pips`."""

    owner: ClassVar[str] = "tracker 'pips'"

    checkpoint: str = option(
        "pips",
        "Weights: the name of a published checkpoint, which is verified by its hash; the path of "
        "a file; or random (see allow_random_weights).",
    )
    mode: str = option(
        "offline",
        "offline: SAM-PT's rules, tracks are known at the end of a clip; for recordings. "
        "streaming: the same windows forward in time, tracks are 6 frames late.",
        choices=("offline", "streaming"),
    )
    iterations: int = option(0, "Updates per window; 0: as published, 6.", minimum=0, maximum=32)
    visibility_threshold: float = option(
        0.5,
        "A point is visible where its probability of being visible exceeds this.",
        minimum=0.0,
        maximum=1.0,
    )
    linking_threshold: float = option(
        0.9,
        "The next window of a point starts in the latest frame of a window in which its "
        "probability of being visible exceeds this. If there is none, the value is lowered in "
        "steps of 0.02.",
        minimum=0.0,
        maximum=1.0,
    )
    max_points: int = max_points_option()
    clip_length: int = clip_length_option()
