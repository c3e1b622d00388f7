"""What the two modes have in common: tracks of points that come and go, on the model's device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.trackers.cotracker.correlation import NEIGHBOURS, sample_support
from sam_pt_ros.trackers.cotracker.features import CHANNELS, LEVELS, Pyramid
from sam_pt_ros.trackers.cotracker.network import CoTrackerNetwork

TRACK = 4
"""Numbers of a track in a frame: x and y in cells, visibility logit, confidence logit."""


class Engine(ABC):
    """Computes tracks when they are asked for, and again when points were added since.

    Row i of every array and tensor belongs to point i. Frames have the numbers that they are
    given to :meth:`extend` with: each one more than the one before.

    Args:
        network: with its weights, on its device.
        cells: ``(2,)``: width and height of the model's resolution in cells, on the device.
        iterations: updates of each frame or window.
        features_of: gives the features of a frame.
        capacity: how many frames, the newest included, points may be added in.
    """

    reach: ClassVar[int]
    """Of how many frames more than ``capacity`` the features may be asked for."""

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
        self.starts = np.zeros(0, np.int64)
        self._queries = cells.new_zeros(0, 2)
        self._support = cells.new_zeros(0, LEVELS, NEIGHBOURS, CHANNELS)

    def extend(self, frame: int) -> None:
        """Take note of the next frame."""
        self.newest = frame

    def foresee(self, xy: np.ndarray, starts: np.ndarray) -> None:
        """Take note of points, ``(N, 2)`` cells, that will be added in later frames."""

    @torch.inference_mode()
    def add(self, xy: np.ndarray, frame: int) -> None:
        """Add points at ``(N, 2)`` cells of a frame; they catch up when they are asked for."""
        places = self._on_device(xy)
        # Whatever fails, for want of memory say, must leave all as it was.
        support = torch.cat([self._support, sample_support(self.features_of(frame), places)])
        queries = torch.cat([self._queries, places])
        self._added(places, frame)
        self._support, self._queries = support, queries
        self.starts = np.concatenate([self.starts, np.full(len(xy), frame)])

    @torch.inference_mode()
    def keep(self, rows: np.ndarray) -> None:
        """Free the state of all points but those in these rows, ``int64 (N,)``."""
        chosen = self._on_device(rows)
        queries, support = self._queries[chosen], self._support[chosen]
        self._kept(chosen)
        self.starts, self._queries, self._support = self.starts[rows], queries, support

    @torch.inference_mode()
    def answer(self, frame: int, rows: np.ndarray) -> np.ndarray:
        """Where points are in a frame at or after their own: all that leaves the device.

        Returns:
            ``float32 (len(rows), 4)``: x and y in cells, visibility and confidence, 0 to 1.
        """
        tracks = self._tracks_of(rows, frame)
        found = torch.cat([tracks[:, :2], tracks[:, 2:].sigmoid()], 1)
        values: np.ndarray = found.cpu().numpy()
        return values

    @abstractmethod
    def final(self) -> int:
        """The newest frame whose tracks no later frame will change; less than the first: none."""

    def _tracks_of(self, rows: np.ndarray, frame: int) -> Tensor:
        """The tracks of these points in a frame at or after their own, ``(len(rows), 4)``."""
        return self._tracks_in(frame)[self._on_device(rows)]

    @abstractmethod
    def _tracks_in(self, frame: int) -> Tensor:
        """The tracks of all points in a frame, ``(N, 4)``; of later ones anything."""

    @abstractmethod
    def _added(self, xy: Tensor, frame: int) -> None:
        """Make room for new points: all of it, or, if that fails, none."""

    @abstractmethod
    def _kept(self, rows: Tensor) -> None:
        """Free what belongs to other rows: all of it, or, if that fails, nothing."""

    def _on_device(self, values: np.ndarray) -> Tensor:
        """A small array, without waiting for the device."""
        made = torch.from_numpy(np.ascontiguousarray(values))
        if self.cells.is_cuda:
            made = made.pin_memory().to(self.cells.device, non_blocking=True)
        return made
