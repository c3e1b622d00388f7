"""SAM-PT made causal: frames and prompts in, masks and tracked points out. No ROS, no torch."""

from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.restarts import Counters
from sam_pt_ros.pipeline.sam_pt import SamPt
from sam_pt_ros.pipeline.stamps import MAX_APART

__all__ = ["MAX_APART", "Counters", "SamPt", "SamPtOptions"]
