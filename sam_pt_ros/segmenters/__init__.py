"""Segmenters, by name."""

from __future__ import annotations

from typing import Any

from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.options.registry import Registry
from sam_pt_ros.segmenters.base import Prompt, Segmenter

__all__ = ["MaskPrediction", "Prompt", "Segmenter", "create_segmenter", "segmenters"]

segmenters: Registry[Segmenter] = Registry(
    "segmenter",
    Segmenter,  # type: ignore[type-abstract]
    "sam_pt_ros.segmenters",
    {
        "classical": "sam_pt_ros.segmenters.classical:ClassicalSegmenter",
        "hq_sam_vit_b": "sam_pt_ros.segmenters.sam:HqSamVitB",
        "hq_sam_vit_h": "sam_pt_ros.segmenters.sam:HqSamVitH",
        "hq_sam_vit_l": "sam_pt_ros.segmenters.sam:HqSamVitL",
        "hq_sam_vit_tiny": "sam_pt_ros.segmenters.sam:HqSamVitTiny",
        "mobile_sam": "sam_pt_ros.segmenters.sam:MobileSam",
        "sam_vit_b": "sam_pt_ros.segmenters.sam:SamVitB",
        "sam_vit_h": "sam_pt_ros.segmenters.sam:SamVitH",
        "sam_vit_l": "sam_pt_ros.segmenters.sam:SamVitL",
    },
)


def create_segmenter(name: str, **options: Any) -> Segmenter:
    """The segmenter registered as ``name``; UserError for an unknown name or option."""
    return segmenters.create(name, options)
