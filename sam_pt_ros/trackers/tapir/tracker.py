"""The tracker ``tapir``: the causal model in a stream, or the model that sees a whole clip."""

from __future__ import annotations

from abc import ABC
from typing import Any

from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.trackers.tapir.options import TapirOptions


class Tapir(PointTracker, ABC):
    """TAPIR (arXiv 2306.08637) and BootsTAPIR (arXiv 2402.00847); causal: arXiv 2308.15975.

    Points do not influence each other. In mode ``streaming`` each keeps a state of its own, so
    that points may be added in any frame of the history and removed at any time.
    """

    Options = TapirOptions

    @classmethod
    def create(cls, options: TapirOptions) -> PointTracker:
        """A tracker in the mode of the options.

        Raises:
            UserError: PyTorch is not installed, the device is not available, or the checkpoint is
                missing or another model's.
        """
        with needs_torch(options.owner):
            from sam_pt_ros.trackers.tapir.offline import OfflineTapir
            from sam_pt_ros.trackers.tapir.streaming import StreamingTapir
        return (OfflineTapir if options.mode == "offline" else StreamingTapir)(options)

    @classmethod
    def longest_clip(cls, options: Any) -> int | None:
        return int(options.clip_length) if options.mode == "offline" else None
