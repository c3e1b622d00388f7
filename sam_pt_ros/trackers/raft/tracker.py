"""The tracker ``raft``: points that follow the optical flow from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.trackers.independent import IndependentTracker
from sam_pt_ros.trackers.raft.chain import Chain, Field
from sam_pt_ros.trackers.raft.options import RaftOptions
from sam_pt_ros.trackers.video import VideoTracks
from sam_pt_ros.trackers.whole_clip import WholeClipTracker

if TYPE_CHECKING:
    from sam_pt_ros.trackers.raft.model import RaftModel


class Raft(PointTracker):
    """Chained optical flow of RAFT (Teed and Deng, ECCV 2020), as in SAM-PT.

    A point moves with the flow at its place, always from one frame to the next. Small errors add
    up, and nothing brings a point back that has slid onto another surface. Points are tracked
    independently of each other. The flow of a pair of frames is computed once, as soon as there is
    a point to track, and kept with the newer frame: 8 bytes per pixel, 16 if flows are compared.

    By ``rule: published`` a point is visible as long as it is in the image, even behind something.
    By ``checked`` it is also hidden, for good, once the flow there and the flow back disagree
    (equation 5 of Sundaram et al., ECCV 2010).

    Raises:
        UserError: PyTorch or torchvision is not installed, the device is not available, or the
            checkpoint is missing or another model's.
    """

    Options = RaftOptions
    _model: RaftModel

    @classmethod
    def create(cls, options: RaftOptions) -> PointTracker:
        return (_OfflineRaft if options.mode == "offline" else _StreamingRaft)(options)

    def __init__(self, options: RaftOptions) -> None:
        with needs_torch(options.owner, "torchvision"):
            from sam_pt_ros.trackers.raft.model import RaftModel
        self._model = RaftModel(options)
        super().__init__(options)

    @classmethod
    def longest_clip(cls, options: RaftOptions) -> int | None:
        return options.clip_length if options.mode == "offline" else None

    @property
    def details(self) -> str:
        options = self.options
        return (
            f"{options.network}, {options.mode}, {options.rule}, {options.weights_text}, "
            f"{self._model.device}, {options.updates} updates"
        )

    @property
    def _checked(self) -> bool:
        return bool(self.options.rule == "checked")

    def _moved(self, chain: Chain, fields: tuple[Field, Field | None], frame: Frame) -> Chain:
        """The points in ``frame``, by the flow to it; the second field is the flow back."""
        there, back = fields
        return chain.moved(there, back if self._checked else None, frame.size)


class _StreamingRaft(Raft, IndependentTracker[Chain]):
    """Tracks every frame as it arrives."""

    def _begin(self, xy: np.ndarray, frame: Frame) -> Chain:
        return Chain.at(xy)

    def _advanced(self, state: Chain, before: Frame, after: Frame) -> Chain:
        return self._moved(state, self._model.fields(before, after, self._checked), after)

    def _located(self, state: Chain, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return state.xy, state.visible, state.confidence


class _OfflineRaft(Raft, WholeClipTracker):
    """Tracks a clip when it is complete, before and after each point's query frame."""

    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        count, starts = len(queries), queries[:, 0].astype(np.int64)
        xy = np.zeros((len(frames), count, 2), np.float32)
        visible = np.zeros((len(frames), count), np.bool_)
        confidence = np.zeros((len(frames), count), np.float32)

        def store(index: int, rows: np.ndarray, chain: Chain) -> None:
            xy[index, rows], visible[index, rows] = chain.xy, chain.visible
            confidence[index, rows] = chain.confidence

        for order in (range(len(frames)), range(len(frames) - 1, -1, -1)):
            rows: np.ndarray = np.zeros(0, np.int64)
            chain = Chain.at(np.zeros((0, 2)))
            for place, index in enumerate(order):
                if len(rows):
                    chain = self._moved(
                        chain, self._between(frames, order[place - 1], index), frames[index]
                    )
                    store(index, rows, chain)
                new: np.ndarray = np.flatnonzero(starts == index)
                if len(new):
                    rows = np.concatenate([rows, new])
                    begun = Chain.at(queries[new, 1:])
                    chain = chain.joined(begun)
                    store(index, new, begun)
        return VideoTracks(xy, visible, confidence)

    def _between(
        self, frames: Sequence[Frame], source: int, target: int
    ) -> tuple[Field, Field | None]:
        """The flow from a frame of the clip to a neighbour of it, and back if it is compared."""
        if source < target:
            return self._model.fields(frames[source], frames[target], self._checked)
        there, back = self._model.fields(frames[target], frames[source], True)
        assert back is not None
        return back, there
