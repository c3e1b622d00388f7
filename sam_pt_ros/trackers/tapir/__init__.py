"""TAPIR and BootsTAPIR: point trackers whose points do not influence each other."""

from sam_pt_ros.trackers.tapir.tracker import Tapir

__all__ = ["Tapir"]
