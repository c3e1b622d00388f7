"""Tracking frame by frame by the causal model (arXiv 2308.15975).

A point keeps the features of its query, and two rows per convolution of the mixer. Each frame is
searched anew for the query; the rows carry what was seen in the frames before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.independent import IndependentTracker
from sam_pt_ros.trackers.tapir.mixer import Memory
from sam_pt_ros.trackers.tapir.model import TapirModel
from sam_pt_ros.trackers.tapir.network import Queries
from sam_pt_ros.trackers.tapir.options import TapirOptions


@dataclass(frozen=True, eq=False)
class _Points:
    """State of N points on the device.

    Attributes:
        queries: their features.
        memory: one for each refinement.
        found: ``float32 (N, 3)``: x, y in image pixels, probability of being seen.
    """

    queries: Queries
    memory: tuple[Memory, ...]
    found: Tensor

    def rows(self, keep: np.ndarray) -> _Points:
        chosen = torch.from_numpy(np.flatnonzero(keep)).to(self.found.device)
        return _Points(
            self.queries.rows(chosen),
            tuple(memory.rows(chosen) for memory in self.memory),
            self.found[chosen],
        )

    def joined(self, other: _Points) -> _Points:
        return _Points(
            self.queries.joined(other.queries),
            tuple(a.joined(b) for a, b in zip(self.memory, other.memory, strict=True)),
            torch.cat([self.found, other.found]),
        )


class StreamingTapir(IndependentTracker[_Points]):
    """See :class:`~sam_pt_ros.trackers.tapir.Tapir`."""

    Options = TapirOptions

    def __init__(self, options: TapirOptions) -> None:
        self._model = TapirModel(options)
        super().__init__(options)

    @property
    def details(self) -> str:
        return self._model.details

    @torch.inference_mode()
    def _begin(self, xy: np.ndarray, frame: Frame) -> _Points:
        model = self._model
        places = model.to_model(xy, frame)
        first = self.options.model_resolution
        queries = model.network.queries(model.grids_of(frame), places, first)
        refinements = self.options.iterations * len(model.resolutions(frame))
        memory = (Memory.empty(len(xy), places.to(model.network.dtype)),) * refinements
        # The memory starts in the frame of the query. What is found there is not used.
        return self._stepped(queries, memory, frame)

    @torch.inference_mode()
    def _advanced(self, state: _Points, before: Frame, after: Frame) -> _Points:
        return self._stepped(state.queries, state.memory, after)

    def _stepped(self, queries: Queries, memory: tuple[Memory, ...], frame: Frame) -> _Points:
        """Track points in a frame."""
        model = self._model
        estimate, after = model.network.step(
            model.grids_of(frame), queries, memory, model.resolutions(frame)
        )
        places = model.to_image(estimate.xy, frame)
        seen = model.seen(estimate.logits)
        return _Points(queries, after, torch.cat([places, seen[:, None]], 1))

    def _located(self, state: _Points, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = state.found.cpu().numpy()
        return found[:, :2], found[:, 2] > self.options.visible_above, found[:, 2]
