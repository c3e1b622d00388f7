"""What a point tracker is: query points in, tracks out, one frame at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.options import NoOptions
from sam_pt_ros.points import PointTracks


class PointTracker(ABC):
    """Tracks query points through one stream of frames.

    Frames come in order, each once, by :meth:`step`. Points may be added at the newest frame
    and at any earlier one that ``history`` still holds; they are then caught up to the newest,
    by :meth:`add_points` or when they are next asked for. Ids are never used twice between two
    resets.
    """

    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, options: Any) -> None:
        self.options = options
        self.history = FrameHistory()

    @classmethod
    def lag(cls, options: Any) -> int:
        """By how many frames, at most, it answers late with these options."""
        return 0

    @property
    def details(self) -> str:
        """What it runs with and on, in a few words for people; empty: there is no choice."""
        return ""

    def reset(self, history: FrameHistory | None = None) -> None:
        """Begin a new stream without points.

        Args:
            history: the stream's frames; the caller appends to it before each ``step``.
                Without it the tracker knows no frame but those it was stepped with.
        """
        self.history = FrameHistory() if history is None else history

    def foresee(self, queries: np.ndarray) -> None:
        """Before the first frame of a clip: the query points that will be added in it.

        They still have to be added when their frame has come. It is for models in whose published
        function points have a part before their frame; others need not know.

        Args:
            queries: ``float32 (N, 3)``: frame, counted from the clip's first; x, y in pixels.
        """

    @abstractmethod
    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """Start tracking points.

        Args:
            xy: ``float32 (N, 2)`` pixels in ``frame``.
            frame: the newest frame stepped, or an earlier one still in the history.

        Returns:
            ids, ``int64 (N,)``.

        Raises:
            UserError: points that are not finite or outside the image.
            FrameUnavailableError: ``frame`` is not in the history.
        """

    @abstractmethod
    def remove_points(self, ids: np.ndarray) -> None:
        """Stop tracking points and free their state; ids that are not tracked are ignored."""

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """Start tracking points instead of those of ``ids``; if that fails, these stay.

        For arguments, result and errors see :meth:`add_points`.
        """
        added = self.add_points(xy, frame)
        self.remove_points(ids)
        return added

    @abstractmethod
    def step(self, frame: Frame) -> PointTracks:
        """Track all points into the next frame; the tracks of all of them there."""

    @abstractmethod
    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """Where points were in an earlier frame of the history, at or after they were added.

        Raises:
            KeyError: a point that is not tracked, or not yet at that frame.
        """

    def tracks_of(self, ids: np.ndarray, answer: PointTracks) -> PointTracks:
        """The tracks of ``ids`` in the frame of an answer, given before or after some were added.

        Raises:
            KeyError: a point that is not tracked, or not yet at that frame.
        """
        if np.isin(ids, answer.ids).all():
            return answer.select(ids)
        return self.recall(ids, answer.index)

    def advance(self, frame: Frame) -> list[PointTracks]:
        """Like ``step``, but the tracks of every frame that became final by this one.

        A streaming tracker answers for the frame itself; a windowed one answers for no frame
        or for several at once, in order.
        """
        return [self.step(frame)]

    def flush(self) -> list[PointTracks]:
        """At the end of the stream: the tracks of the frames not yet answered for."""
        return []
