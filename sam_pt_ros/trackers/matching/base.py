"""The interface of matchers: how points looked in one frame, and where they are in another."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.matching.fit import Fits
from sam_pt_ros.trackers.matching.images import Scaled

References = tuple[np.ndarray, ...]
"""How N points looked in a frame: arrays whose row i belongs to point i."""

_COLOURS_APART = 40.0  # difference of mean colours of two surfaces, grey levels


class Matcher(ABC):
    """Finds points of one frame in another."""

    device: str
    """Where the network runs, as shown to people."""

    @abstractmethod
    def references(self, xy: np.ndarray, frame: Frame) -> References:
        """How points look at ``float32 (N, 2)`` pixels of a frame."""

    @abstractmethod
    def find(self, references: References, frame: Frame) -> Fits:
        """Where points are in a frame, anywhere."""

    @abstractmethod
    def scaled(self, frame: Frame) -> Scaled:
        """The frame as the matcher sees it, cached in the frame."""

    def renewable(self, wanted: np.ndarray, possible: np.ndarray) -> np.ndarray:
        """Which points get a newer reference, ``bool (N,)``.

        Args:
            wanted: ``bool (N,)``, those that need one.
            possible: ``bool (N,)``, those whose place is known well enough.
        """
        return wanted & possible

    def limited(self, query: References, newer: References) -> tuple[References, References]:
        """The references of N points, reduced to as many frames as may be kept."""
        return query, newer


def colour_likeness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How like two mean colours ``(..., 3)`` are, 0 to 1."""
    apart = np.linalg.norm(first - second, axis=-1) / _COLOURS_APART
    likeness: np.ndarray = np.exp(-0.5 * apart**2)
    return likeness
