"""Segmentation without weights: colours, motion and points in a crop around each object."""

from sam_pt_ros.segmenters.classical.options import ClassicalOptions
from sam_pt_ros.segmenters.classical.segmenter import ClassicalSegmenter

__all__ = ["ClassicalOptions", "ClassicalSegmenter"]
