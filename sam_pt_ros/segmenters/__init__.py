"""Segmenters, by name."""

from __future__ import annotations

from typing import Any

from sam_pt_ros.registry import Registry
from sam_pt_ros.segmenters.base import MaskPrediction, Prompt, Segmenter

__all__ = ["MaskPrediction", "Prompt", "Segmenter", "create_segmenter", "segmenters"]

segmenters: Registry[Segmenter] = Registry(
    "segmenter",
    Segmenter,  # type: ignore[type-abstract]
    "sam_pt_ros.segmenters",
    {"classical": "sam_pt_ros.segmenters.classical:ClassicalSegmenter"},
)


def create_segmenter(name: str, **options: Any) -> Segmenter:
    """The segmenter registered as ``name``; UserError for an unknown name or option."""
    return segmenters.create(name, options)
