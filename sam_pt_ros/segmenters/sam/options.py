"""Options of the segmenters of the SAM family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions


@dataclass(frozen=True)
class SamOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.segmenters.sam.SamSegmenter`, the same for every model."""

    owner: ClassVar[str] = "segmenter"

    precision: str = option(
        "float32",
        "float32, or float16: image encoder and mask decoder compute in half precision, for GPUs.",
        choices=("float32", "float16"),
    )
    refinement_iterations: int = option(
        12,
        "Passes, at most, in which its last mask and its box refine a mask; each is a decoding.",
        minimum=0,
        maximum=100,
    )
    refinement_tolerance: float = option(
        0.0,
        "Stop refining a mask when its IoU with the one before is at least 1 less this; 0: never, "
        "as published.",
        minimum=0.0,
        maximum=1.0,
    )
    iou_threshold: float = option(
        0.7,
        "A mask whose predicted IoU is lower is taken for none.",
        minimum=0.0,
        maximum=1.0,
    )
