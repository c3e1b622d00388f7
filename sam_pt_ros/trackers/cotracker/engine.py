"""Common base of the two modes: tracks of points that come and go, on the model's device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.trackers.cotracker.correlation import NEIGHBOURS, sample_support
from sam_pt_ros.trackers.cotracker.network import CoTrackerNetwork
from sam_pt_ros.trackers.feature_maps import LEVELS, Pyramid
from sam_pt_ros.trackers.residual import CHANNELS

TRACK = 4
"""Numbers of a track in a frame: x and y in cells, visibility logit, confidence logit."""


class Engine(ABC):
    """Computes tracks on demand, and again after points have been added.

    Row i of every array and tensor belongs to point i. Frames are numbered consecutively, as given
    to :meth:`extend`.

    Args:
        network: the network with its weights, on its device.
        cells: ``(2,)``, width and height of the model's resolution in cells, on the device.
        iterations: updates per frame or window.
        features_of: returns the features of a frame, by number.
        capacity: number of newest frames in which points may be added.
    """

    reach: ClassVar[int]
    """Number of older frames, beyond ``capacity``, whose features may be requested."""

    def __init__(
        self,
        network: CoTrackerNetwork,
        cells: Tensor,
        iterations: int,
        features_of: Callable[[int], Pyramid],
        capacity: int,
    ) -> None:
        self.network = network
        self.cells = cells
        self.iterations = iterations
        self.features_of = features_of
        self.capacity = capacity
        self.newest = -1
        self.starts: np.ndarray = np.zeros(0, np.int64)
        self._queries = cells.new_zeros(0, 2)
        self._support = cells.new_zeros(0, LEVELS, NEIGHBOURS, CHANNELS)

    def extend(self, frame: int) -> None:
        """Announce the next frame."""
        self.newest = frame

    def foresee(self, xy: np.ndarray, starts: np.ndarray) -> None:
        """Announce points that will be added in later frames.

        Args:
            xy: ``(N, 2)`` in cells.
            starts: ``int64 (N,)``, frames in which they will be added.
        """

    @torch.inference_mode()
    def add(self, xy: np.ndarray, frame: int) -> None:
        """Add points at ``xy (N, 2)`` cells of a frame; they are tracked when next requested."""
        places = self._on_device(xy)
        # If anything fails, for example for lack of memory, the state must stay as it was.
        support = torch.cat([self._support, sample_support(self.features_of(frame), places)])
        queries = torch.cat([self._queries, places])
        self._added(places, frame)
        self._support, self._queries = support, queries
        self.starts = np.concatenate([self.starts, np.full(len(xy), frame)])

    @torch.inference_mode()
    def keep(self, rows: np.ndarray) -> None:
        """Free the state of all points except those in these rows, ``int64 (N,)``."""
        chosen = self._on_device(rows)
        queries, support = self._queries[chosen], self._support[chosen]
        self._kept(chosen)
        self.starts, self._queries, self._support = self.starts[rows], queries, support

    @torch.inference_mode()
    def answer(self, frame: int, rows: np.ndarray) -> np.ndarray:
        """The tracks of points in a frame, copied to the host.

        Args:
            frame: number of the frame, not before the points' query frames.
            rows: ``int64 (M,)``.

        Returns:
            ``float32 (M, 4)``: x and y in cells, visibility and confidence, 0 to 1.
        """
        tracks = self._tracks_of(rows, frame)
        found = torch.cat([tracks[:, :2], tracks[:, 2:].sigmoid()], 1)
        values: np.ndarray = found.cpu().numpy()
        return values

    @abstractmethod
    def final(self) -> int:
        """The newest frame whose tracks are final; a number before the first frame if none is."""

    def _tracks_of(self, rows: np.ndarray, frame: int) -> Tensor:
        """The tracks of these points, ``(M, 4)``, in a frame not before their query frames."""
        return self._tracks_in(frame)[self._on_device(rows)]

    @abstractmethod
    def _tracks_in(self, frame: int) -> Tensor:
        """The tracks of all points in a frame, ``(N, 4)``; undefined for points added later."""

    @abstractmethod
    def _added(self, xy: Tensor, frame: int) -> None:
        """Extend the state by points at ``xy (N, 2)`` cells; on failure, leave it unchanged."""

    @abstractmethod
    def _kept(self, rows: Tensor) -> None:
        """Reduce the state to these rows; on failure, leave it unchanged."""

    def _on_device(self, values: np.ndarray) -> Tensor:
        """Copy a small array to the device, without waiting for it."""
        made = torch.from_numpy(np.ascontiguousarray(values))
        if self.cells.is_cuda:
            made = made.pin_memory().to(self.cells.device, non_blocking=True)
        return made
