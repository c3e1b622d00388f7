"""The tracker ``pips_plus_plus``: long chunks of a clip, for recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers.pips_plus_plus.options import ADDRESS, SMALLEST, PipsPlusPlusOptions
from sam_pt_ros.trackers.video import VideoTracks
from sam_pt_ros.trackers.whole_clip import WholeClipTracker


class PipsPlusPlus(WholeClipTracker):
    """PIPS++ (arXiv 2307.15055), in chunks as in SAM-PT, from the query to both ends of a clip.

    The model does not say where points are visible: every point is visible in every frame, with
    confidence 1. Points do not influence each other. The features of a frame are computed once.

    Raises:
        UserError: PyTorch is not installed, the device is not available, or the checkpoint is
            missing or another model's.
    """

    Options = PipsPlusPlusOptions

    def __init__(self, options: PipsPlusPlusOptions) -> None:
        if not options.checkpoint:
            raise UserError(
                f"{options.owner}: 'checkpoint' must be the path of the authors' weights, "
                f"model-000200000.pth in the archive at {ADDRESS}"
            )
        with needs_torch(options.owner):
            from sam_pt_ros.trackers.pips_plus_plus.model import PipsPlusPlusModel
        self._model = PipsPlusPlusModel(options)
        super().__init__(options)

    @property
    def details(self) -> str:
        return f"{self.options.weights_text}, {self._model.device}, all points visible"

    def advance(self, frame: Frame) -> list[PointTracks]:
        if min(self._model.input_size(frame)) < SMALLEST:
            raise UserError(
                f"{self.options.owner}: an image must have at least {SMALLEST}x{SMALLEST} pixels, "
                f"got {frame.width}x{frame.height}; set 'image_size' to scale it up"
            )
        return super().advance(frame)

    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        xy = np.zeros((len(frames), len(queries), 2), np.float32)
        starts = queries[:, 0].astype(np.int64)
        for start in np.unique(starts):
            rows = np.flatnonzero(starts == start)
            there = queries[rows, 1:]
            xy[: start + 1, rows] = self._model.follow(frames[start::-1], there)[::-1]
            xy[start:, rows] = self._model.follow(frames[start:], there)
            xy[start, rows] = there
        everywhere = np.ones(xy.shape[:2], np.float32)
        return VideoTracks(xy, everywhere > 0, everywhere)
