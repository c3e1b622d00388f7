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
        "float32: full precision. float16: runs the image encoder and the mask decoder in half "
        "precision, for GPUs.",
        choices=("float32", "float16"),
    )
    refinement_iterations: int = option(
        12,
        "Largest number of refinement passes per mask. Each pass runs the mask decoder once, "
        "prompted with the previous mask and its box.",
        minimum=0,
        maximum=100,
    )
    refinement_tolerance: float = option(
        0.0,
        "Stop refining a mask when its IoU with the previous one is at least 1 minus this; "
        "0: never stop early, as published.",
        minimum=0.0,
        maximum=1.0,
    )
    iou_threshold: float = option(
        0.7,
        "Reject masks with a lower predicted IoU; the object is then not seen in the frame.",
        minimum=0.0,
        maximum=1.0,
    )
