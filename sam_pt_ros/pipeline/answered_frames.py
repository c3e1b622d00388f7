"""What catching up must know about the frames that have results."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class AnsweredFrame:
    """A frame that has a result.

    Attributes:
        index: the frame's.
        positives: the visible positive points of all objects then, ``float32 (N, 2)`` pixels, by
            id.
        moved: whether masks were moved along instead of segmented.
    """

    index: int
    positives: dict[int, np.ndarray]
    moved: bool


class AnsweredFrames:
    """The newest frames that have results.

    Args:
        length: how many are kept.

    Attributes:
        newest: index of the newest one; -1 before the first.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self.newest = -1
        self._frames: deque[AnsweredFrame] = deque(maxlen=self._length)

    def add(self, index: int, positives: Mapping[int, np.ndarray], moved: bool) -> None:
        """Remember how a frame was answered."""
        self._frames.append(AnsweredFrame(index, dict(positives), moved))

    def at(self, index: int) -> AnsweredFrame:
        """The frame of an index; one without points if it is not kept."""
        for frame in self._frames:
            if frame.index == index:
                return frame
        return AnsweredFrame(index, {}, moved=False)

    def forget(self, object_id: int) -> None:
        """Forget the points of an object, whose id may be used again."""
        for frame in self._frames:
            frame.positives.pop(object_id, None)
