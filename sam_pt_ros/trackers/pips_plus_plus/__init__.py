"""PIPS++, for recordings. PyTorch is imported only when a tracker is made."""

from sam_pt_ros.trackers.pips_plus_plus.options import PipsPlusPlusOptions
from sam_pt_ros.trackers.pips_plus_plus.tracker import PipsPlusPlus

__all__ = ["PipsPlusPlus", "PipsPlusPlusOptions"]
