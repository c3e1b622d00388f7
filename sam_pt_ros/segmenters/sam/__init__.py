"""SAM, MobileSAM and HQ-SAM, prompted with tracked points."""

from sam_pt_ros.segmenters.sam.options import SamOptions
from sam_pt_ros.segmenters.sam.segmenter import (
    HqSamVitB,
    HqSamVitH,
    HqSamVitL,
    HqSamVitTiny,
    MobileSam,
    SamSegmenter,
    SamVitB,
    SamVitH,
    SamVitL,
)

__all__ = [
    "HqSamVitB",
    "HqSamVitH",
    "HqSamVitL",
    "HqSamVitTiny",
    "MobileSam",
    "SamOptions",
    "SamSegmenter",
    "SamVitB",
    "SamVitH",
    "SamVitL",
]
