"""A tracker and a segmenter that fail as they are told, while the node runs.

A file beside this one, named ``tracker`` or ``segmenter``, holds the fault as long as it is to
last: ``raise``, ``nan``, ``shape``, ``hang`` (once: as long as there is a file ``hanging``, which
it makes), ``slow`` (0.1 s), or ``memory``, for no room for two objects at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Prompt
from sam_pt_ros.segmenters.classical import ClassicalSegmenter
from sam_pt_ros.trackers.lucas_kanade import LucasKanade


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's."""


def _fault(kind: str) -> str:
    """The fault of now; what all of them do before the work is done already."""
    path = Path(__file__).with_name(kind)
    fault = path.read_text() if path.exists() else ""
    if fault == "raise":
        raise RuntimeError("broken on purpose")
    if fault == "slow":
        time.sleep(0.1)
    if fault == "hang":
        hanging = path.rename(path.with_name("hanging"))
        while hanging.exists():
            time.sleep(0.005)
    return fault


class FaultyTracker(LucasKanade):
    def step(self, frame: Frame) -> PointTracks:
        fault = _fault("tracker")
        found = super().step(frame)
        xy = {
            "nan": lambda: np.where(np.arange(2 * len(found)).reshape(-1, 2), np.nan, found.xy),
            "shape": lambda: found.xy[:, :1],
        }.get(fault, lambda: found.xy)()
        return PointTracks(frame.index, found.ids, xy, found.visible, found.confidence)


class FaultySegmenter(ClassicalSegmenter):
    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        fault = _fault("segmenter")
        if fault == "memory" and len(prompts) > 1:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        found = super().predict(prompts)
        if fault == "nan":
            return [
                MaskPrediction(m.logits * np.float32(np.nan), m.origin, m.image_size, m.score)
                for m in found
            ]
        if fault == "shape":
            return [MaskPrediction.nothing((20, 30)) for _ in found]
        return found
