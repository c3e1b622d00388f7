"""Tests that any tracker can run on itself; they need pytest."""

from sam_pt_ros.testing.tracker_contract import TrackerContract

__all__ = ["TrackerContract"]
