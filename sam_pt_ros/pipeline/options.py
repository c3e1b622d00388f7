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
        16, "Number of query points sampled on each object.", minimum=1, maximum=1024
    )
    negative_points: int = option(
        1, "Number of query points sampled beside each object.", minimum=0, maximum=1024
    )
    positive_selection: str = option(
        "kmedoids", "Method that chooses the points on an object.", choices=METHODS
    )
    negative_selection: str = option(
        "mixed", "Method that chooses the points beside an object.", choices=METHODS
    )
    clustered_pixels: int = option(
        CLUSTERED_PIXELS,
        "Number of mask pixels, chosen at random, that k-medoids clusters. Fewer are faster.",
        minimum=16,
        maximum=20000,
    )
    click_expansion: bool = option(
        True,
        "Segment a new object that has fewer clicks than positive_points, and sample the missing "
        "query points from its mask. If false, track only the clicked points.",
    )
    others_as_negatives: bool = option(
        True, "Use the visible positive points of the other objects as negatives of each object."
    )
    require_positive: bool = option(
        True,
        "Report an object without a visible positive point as not seen. If false, the segmenter "
        "decides.",
    )
    max_others_negatives: int = option(
        0,
        "Maximum number of points of other objects that are used as negatives, chosen at random "
        "in each frame. 0: no limit.",
        minimum=0,
        maximum=100000,
    )
    patch_filter: bool = option(
        False,
        "Hide points whose surroundings no longer look as they did when the points were sampled, "
        "until they are resampled.",
    )
    patch_size: int = option(
        3, "Side of the compared patches in pixels; odd.", minimum=1, maximum=15
    )
    patch_similarity: float = option(
        0.01,
        "Similarity from which two patches look alike; 1: equal.",
        minimum=0.0,
        maximum=1.0,
    )
    reinitialization: str = option(
        "A",
        "Where query points are resampled, or none for never. A: in the newest frame, and where "
        "another object starts. B, C and D: in a past frame, from which the points catch up. B: "
        "the frame of median area; C: the frame whose area is nearest the object's first; D: like "
        "C, but one frame for all objects.",
        choices=tuple(VARIANTS),
    )
    reinitialization_horizon: int = option(
        8, "Number of frames after which query points are resampled.", minimum=2, maximum=1000
    )
    catch_up_budget: float = option(
        0.0,
        "Maximum time in seconds per frame for points to catch up from a past frame. If it would "
        "take longer, points are resampled in the newest frame, and an object that was clicked on "
        "in a past frame catches up over several frames, by at least two in each; it has no "
        "result before. The time of lucas_kanade does not count. 0 (in mode every_frame always): "
        "no limit, so that results do not depend on the machine's speed.",
        minimum=0.0,
        maximum=3600.0,
        runtime=True,
    )
    segment_every_n: int = option(
        1,
        "Segment only every n-th frame, and move masks along with their points in between. Frames "
        "in which an object starts, reappears, was clicked on or may have its points resampled "
        "are always segmented.",
        minimum=1,
        maximum=1000,
        runtime=True,
    )
    frame_budget: float = option(
        0.0,
        "Maximum time in seconds per frame. If a frame would take longer, the segmenter first "
        "skips the refinement of masks, if it can; if that is not enough, masks are moved along "
        "with their points, never in two frames in a row. 0 (in mode every_frame always): no "
        "limit, so that results do not depend on the machine's speed.",
        minimum=0.0,
        maximum=3600.0,
        runtime=True,
    )
    lost_after: int = option(
        90,
        "Number of frames without a mask after which an object is LOST. It is also LOST when no "
        "mask of a whole horizon can be sampled from.",
        minimum=1,
        maximum=100000,
        runtime=True,
    )
    history_length: int = option(
        60,
        "Number of newest frames that are kept; a click on an older one is refused. At least "
        "reinitialization_horizon and segment_every_n.",
        minimum=2,
        maximum=1000,
    )
    seed: int = option(0, "Seed of all random choices.", minimum=0, maximum=2147483647)

    def __post_init__(self) -> None:
        check_options(self)
        if self.patch_size % 2 == 0:
            raise UserError(f"'patch_size' must be odd, got {self.patch_size}")
