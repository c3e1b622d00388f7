"""Options of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import check_options, option
from sam_pt_ros.pipeline.point_selection import CLUSTERED_PIXELS, METHODS
from sam_pt_ros.pipeline.reinitialization import VARIANTS


@dataclass(frozen=True)
class SamPtOptions:
    """How objects are tracked, whatever the tracker and the segmenter."""

    positive_points: int = option(
        16, "Query points sampled on each object.", minimum=1, maximum=1024
    )
    negative_points: int = option(
        1, "Query points sampled beside each object.", minimum=0, maximum=1024
    )
    positive_selection: str = option(
        "kmedoids", "How the points on an object are chosen.", choices=METHODS
    )
    negative_selection: str = option(
        "mixed", "How the points beside an object are chosen.", choices=METHODS
    )
    clustered_pixels: int = option(
        CLUSTERED_PIXELS,
        "Pixels of a mask, chosen at random, that k-medoids looks at; fewer are faster.",
        minimum=16,
        maximum=20000,
    )
    click_expansion: bool = option(
        True,
        "Segment an object from fewer clicks than positive_points first, and sample the "
        "missing query points from its mask; false: track just the given points.",
    )
    others_as_negatives: bool = option(
        True, "The visible positive points of the other objects are negatives of each object."
    )
    require_positive: bool = option(
        True,
        "An object without a visible positive point is not seen. False leaves that to the "
        "segmenter.",
    )
    max_others_negatives: int = option(
        0,
        "So many points of the others at most, chosen at random in each frame; 0: all.",
        minimum=0,
        maximum=100000,
    )
    patch_filter: bool = option(
        False,
        "Take no points whose surroundings look unlike those they were sampled with, until they "
        "are sampled anew.",
    )
    patch_size: int = option(
        3, "Side of the patches compared, an odd number of pixels.", minimum=1, maximum=15
    )
    patch_similarity: float = option(
        0.01,
        "Similarity of two patches from which they look alike; 1 is equal.",
        minimum=0.0,
        maximum=1.0,
    )
    reinitialization: str = option(
        "A",
        "Where query points are sampled anew, or none. A: in the newest frame, and where another "
        "object is started. In a past frame, from which they catch up: B: of median area; C: of "
        "an area like the first; D: like C, all objects in one frame.",
        choices=tuple(VARIANTS),
    )
    reinitialization_horizon: int = option(
        8, "Frames after which query points are sampled anew.", minimum=2, maximum=1000
    )
    catch_up_budget: float = option(
        0.0,
        "Seconds that catching up after restarts in the past may take in a frame; if it would "
        "take longer, points are sampled in the newest frame. 0, and in mode every_frame always: "
        "as long as it takes, so that results do not depend on the machine's speed.",
        minimum=0.0,
        maximum=3600.0,
        runtime=True,
    )
    segment_every_n: int = option(
        1,
        "Segment every n-th frame only; in those between, masks are moved along with their "
        "points. Frames in which an object is new, is seen again, was clicked on or has its "
        "points sampled anew are always segmented.",
        minimum=1,
        maximum=1000,
        runtime=True,
    )
    frame_budget: float = option(
        0.0,
        "Seconds that a frame may take. If it would take longer, the segmenter first leaves out "
        "what only refines masks, if it can; if that is not enough, masks are moved along with "
        "their points, never in two frames in a row. 0, and in mode every_frame always: as long "
        "as it takes, so that results do not depend on the machine's speed.",
        minimum=0.0,
        maximum=3600.0,
        runtime=True,
    )
    lost_after: int = option(
        90,
        "Frames without a mask after which an object is LOST; it is, too, when no mask of a "
        "whole horizon can be sampled from.",
        minimum=1,
        maximum=100000,
        runtime=True,
    )
    history_length: int = option(
        60,
        "Newest frames kept; a click on an older one is refused. At least the "
        "reinitialization_horizon and segment_every_n.",
        minimum=2,
        maximum=1000,
    )
    seed: int = option(0, "Seed of all random choices.", minimum=0, maximum=2147483647)

    def __post_init__(self) -> None:
        check_options(self)
        if self.patch_size % 2 == 0:
            raise UserError(f"'patch_size' must be odd, got {self.patch_size}")
