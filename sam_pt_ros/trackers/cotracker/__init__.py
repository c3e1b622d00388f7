"""CoTracker3 (online), tracking every frame. PyTorch is imported only when a tracker is made."""

from sam_pt_ros.trackers.cotracker.options import CoTrackerOptions
from sam_pt_ros.trackers.cotracker.tracker import CoTracker

__all__ = ["CoTracker", "CoTrackerOptions"]
