"""The tracker ``tapnet``, for recordings."""

from __future__ import annotations

from abc import ABC
from typing import Any

from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.trackers.tapnet.options import TapNetOptions


class TapNet(PointTracker, ABC):
    """TAP-Net (arXiv 2211.03726): each frame is searched for the query, without regard to others.

    It answers at the end of the clip, because the features of a frame depend on the 4 frames after
    it. Points do not influence each other.
    """

    Options = TapNetOptions

    @classmethod
    def create(cls, options: TapNetOptions) -> PointTracker:
        """A tracker.

        Raises:
            UserError: PyTorch is not installed, the device is not available, or the checkpoint is
                missing or another model's.
        """
        with needs_torch(options.owner):
            from sam_pt_ros.trackers.tapnet.offline import OfflineTapNet
        return OfflineTapNet(options)

    @classmethod
    def longest_clip(cls, options: Any) -> int | None:
        return int(options.clip_length)
