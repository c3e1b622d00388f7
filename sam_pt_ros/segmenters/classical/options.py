"""Options of the classical segmenter."""

from __future__ import annotations

from dataclasses import dataclass

from sam_pt_ros.options import check_options, option


@dataclass(frozen=True)
class ClassicalOptions:
    """Options of :class:`~sam_pt_ros.segmenters.classical.ClassicalSegmenter`."""

    object_size: int = option(
        100,
        "Size in pixels to which an object is scaled (geometric mean of its box's sides). Larger "
        "gives finer masks and is slower.",
        minimum=24,
        maximum=256,
    )
    smoothness: float = option(
        1.5,
        "Weight of a short outline; larger gives rounder masks.",
        minimum=0.1,
        maximum=20.0,
    )
    colour_weight: float = option(
        0.8, "Weight of the object's colours.", minimum=0.0, maximum=10.0
    )
    place_weight: float = option(
        0.8, "Weight of the object's colours by position.", minimum=0.0, maximum=10.0
    )
    memory_weight: float = option(
        1.5,
        "Weight of the previous frame's mask, warped by the motion.",
        minimum=0.0,
        maximum=10.0,
    )
    motion_weight: float = option(
        2.0,
        "Weight of motion that matches the object and not its surroundings.",
        minimum=0.0,
        maximum=10.0,
    )
    point_weight: float = option(1.0, "Weight of the prompt points.", minimum=0.0, maximum=10.0)
    iterations: int = option(40, "Solver iterations per frame.", minimum=1, maximum=1000)

    def __post_init__(self) -> None:
        check_options(self)
