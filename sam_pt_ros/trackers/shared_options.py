"""Options that several trackers have."""

from __future__ import annotations

from typing import Any

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import option


def max_points_option(remark: str = "") -> Any:
    """The option ``max_points``; ``remark`` is added to its description."""
    description = "Largest number of points tracked at a time; adding more is refused."
    return option(1024, " ".join(filter(None, (description, remark))), minimum=1, maximum=100000)


def clip_length_option() -> Any:
    """The option ``clip_length`` of a tracker that sees whole clips."""
    return option(
        120,
        "Largest number of frames of a clip, all of which are kept. 'history_length' must be at "
        "least this plus 'reinitialization_horizon', or plus 1 without reinitialization.",
        minimum=2,
        maximum=100000,
    )


def check_resolution(owner: str, resolution: tuple[int, int], multiple: int) -> None:
    """UserError if the sides of ``model_resolution`` are not multiples of ``multiple``."""
    if any(side % multiple for side in resolution):
        raise UserError(
            f"{owner}: 'model_resolution' must be multiples of {multiple}, got {resolution}"
        )
