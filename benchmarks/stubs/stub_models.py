"""Stubs in place of models: they find nothing out, and take no time, or as long as they are told.

The node finds them by their entry points where this folder is on the Python path.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.options import option
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.segmenters.base import Prompt, Segmenter
from sam_pt_ros.trackers.base import PointTracker

SHARE = 4
"""A mask is a disc whose box has this part of the image's height as its side."""


class StubTracker(PointTracker):
    """Points stay where they were added, and are always visible."""

    def __init__(self, options: object) -> None:
        super().__init__(options)
        self.reset()

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._ids = np.zeros(0, np.int64)
        self._xy = np.zeros((0, 2), np.float32)
        self._next = 0

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        points = check_query_points(xy, frame)
        ids = np.arange(self._next, self._next + len(points))
        self._next += len(points)
        self._ids = np.concatenate([self._ids, ids])
        self._xy = np.concatenate([self._xy, points])
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        stays = ~np.isin(self._ids, ids)
        self._ids, self._xy = self._ids[stays], self._xy[stays]

    def step(self, frame: Frame) -> PointTracks:
        return self._tracks(frame.index)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        return self._tracks(index).select(ids)

    def _tracks(self, index: int) -> PointTracks:
        count = len(self._ids)
        return PointTracks(index, self._ids, self._xy, np.ones(count, bool), np.ones(count))


@dataclass(frozen=True)
class StubOptions:
    """Options of the stub of a segmenter."""

    seconds: float = option(0.0, "Seconds that a frame takes.", minimum=0.0, maximum=60.0)


class StubSegmenter(Segmenter):
    """Every mask is a disc around its points."""

    Options = StubOptions

    def __init__(self, options: StubOptions) -> None:
        super().__init__(options)
        self._disc = np.zeros((0, 0), np.float32)

    def set_image(self, frame: Frame) -> None:
        self._size = frame.size
        side = frame.height // SHARE
        if len(self._disc) != side:
            axis = np.arange(side) - (side - 1) / 2
            self._disc = (side / 2 - np.hypot(axis, axis[:, None])).astype(np.float32)

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        if self.options.seconds:
            time.sleep(self.options.seconds)
        return [self._mask(prompt) for prompt in prompts]

    def _mask(self, prompt: Prompt) -> MaskPrediction:
        side = len(self._disc)
        middle = prompt.points[prompt.labels == 1].mean(axis=0)
        height, width = self._size
        x, y = np.clip(middle - side / 2, 0, [width - side, height - side]).astype(int).tolist()
        return MaskPrediction(self._disc, (x, y), self._size, 1.0)
