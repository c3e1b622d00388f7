"""Point trackers, by name."""

from __future__ import annotations

from typing import Any

from sam_pt_ros.options.registry import Registry
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.trackers.video import VideoTracks, track_video

__all__ = [
    "PointTracker",
    "PointTracks",
    "VideoTracks",
    "create_tracker",
    "track_video",
    "trackers",
]

trackers: Registry[PointTracker] = Registry(
    "tracker",
    PointTracker,  # type: ignore[type-abstract]
    "sam_pt_ros.trackers",
    {
        "cotracker": "sam_pt_ros.trackers.cotracker:CoTracker",
        "lucas_kanade": "sam_pt_ros.trackers.lucas_kanade:LucasKanade",
        "matching": "sam_pt_ros.trackers.matching:Matching",
        "pips": "sam_pt_ros.trackers.pips:Pips",
        "pips_plus_plus": "sam_pt_ros.trackers.pips_plus_plus:PipsPlusPlus",
        "raft": "sam_pt_ros.trackers.raft:Raft",
        "tapir": "sam_pt_ros.trackers.tapir:Tapir",
        "tapnet": "sam_pt_ros.trackers.tapnet:TapNet",
    },
)


def create_tracker(name: str, **options: Any) -> PointTracker:
    """The tracker registered as ``name``; UserError for an unknown name or option."""
    return trackers.create(name, options)
