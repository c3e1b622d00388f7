"""Chained optical flow of RAFT. PyTorch is imported only when a tracker is made."""

from sam_pt_ros.trackers.raft.options import RaftOptions
from sam_pt_ros.trackers.raft.tracker import Raft

__all__ = ["Raft", "RaftOptions"]
