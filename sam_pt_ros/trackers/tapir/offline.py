"""Tracking through a whole clip, which every point sees (arXiv 2306.08637)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.tapir.model import TapirModel
from sam_pt_ros.trackers.tapir.network import Queries
from sam_pt_ros.trackers.tapir.options import TapirOptions
from sam_pt_ros.trackers.video import VideoTracks
from sam_pt_ros.trackers.whole_clip import WholeClipTracker

_TOGETHER = 64  # points; more would only take more memory


class OfflineTapir(WholeClipTracker):
    """See :class:`~sam_pt_ros.trackers.tapir.Tapir`."""

    Options = TapirOptions

    def __init__(self, options: TapirOptions) -> None:
        self._model = TapirModel(options)
        super().__init__(options)

    @property
    def details(self) -> str:
        return self._model.details

    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        parts = [
            self._solve_some(frames, queries[first : first + _TOGETHER])
            for first in range(0, len(queries), _TOGETHER)
        ]
        xy, visible, confidence = (
            np.concatenate([getattr(part, name) for part in parts], 1)
            for name in ("xy", "visible", "confidence")
        )
        return VideoTracks(xy, visible, confidence)

    @torch.inference_mode()
    def _solve_some(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        model, network = self._model, self._model.network
        resolutions = model.resolutions(frames[0])
        places = model.to_model(queries[:, 1:], frames[0])
        features = reduce(
            Queries.joined,
            (
                network.queries(
                    model.grids_of(frames[int(start)]), places[row : row + 1], resolutions[0]
                )
                for row, start in enumerate(queries[:, 0])
            ),
        )
        estimate = network.track(
            lambda place: model.grids_of(frames[place]),
            features,
            torch.cat([torch.from_numpy(queries[:, :1]).to(places), places], 1),
            [
                network.first_estimate(model.grids_of(frame)[0], features, resolutions[0])
                for frame in frames
            ],
            resolutions,
        )
        xy = model.to_image(estimate.xy, frames[0]).transpose(0, 1).cpu().numpy()
        seen = model.seen(estimate.logits).T.cpu().numpy()
        return VideoTracks(xy, seen > self.options.visible_above, seen)
