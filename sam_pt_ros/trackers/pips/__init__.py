"""PIPS, offline or streaming. PyTorch is imported only when a tracker is made."""

from sam_pt_ros.trackers.pips.options import PipsOptions
from sam_pt_ros.trackers.pips.tracker import OfflinePips, Pips, StreamingPips

__all__ = ["OfflinePips", "Pips", "PipsOptions", "StreamingPips"]
