"""TAP-Net, which matches each query with every frame of a clip."""

from sam_pt_ros.trackers.tapnet.tracker import TapNet

__all__ = ["TapNet"]
