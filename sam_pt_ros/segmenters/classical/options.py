"""Options of the classical segmenter."""

from __future__ import annotations

from dataclasses import dataclass

from sam_pt_ros.options import check_options, option


@dataclass(frozen=True)
class ClassicalOptions:
    """Options of :class:`~sam_pt_ros.segmenters.classical.ClassicalSegmenter`."""

    object_size: int = option(
        100,
        "Pixels that an object is scaled to (geometric mean of its box's sides); larger is "
        "finer and slower.",
        minimum=24,
        maximum=256,
    )
    smoothness: float = option(
        1.5,
        "How much a short outline is preferred; larger gives rounder masks.",
        minimum=0.1,
        maximum=20.0,
    )
    colour_weight: float = option(
        0.8, "Weight of the object's colours.", minimum=0.0, maximum=10.0
    )
    place_weight: float = option(
        0.8, "Weight of the colours at their places on the object.", minimum=0.0, maximum=10.0
    )
    memory_weight: float = option(
        1.5,
        "Weight of the mask of the frame before, carried along by the motion.",
        minimum=0.0,
        maximum=10.0,
    )
    motion_weight: float = option(
        2.0,
        "Weight of moving like the object and unlike its surroundings.",
        minimum=0.0,
        maximum=10.0,
    )
    point_weight: float = option(1.0, "Weight of the prompt points.", minimum=0.0, maximum=10.0)
    iterations: int = option(40, "Rounds of the solver per frame.", minimum=1, maximum=1000)

    def __post_init__(self) -> None:
        check_options(self)
