"""Points followed by matching frames. PyTorch is imported only when a tracker is made."""

from sam_pt_ros.trackers.matching.options import MatchingOptions
from sam_pt_ros.trackers.matching.tracker import Matching

__all__ = ["Matching", "MatchingOptions"]
