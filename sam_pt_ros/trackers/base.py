"""The interface of point trackers: query points in, tracks out, one frame at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.options import NoOptions
from sam_pt_ros.points import PointTracks


class PointTracker(ABC):
    """Tracks query points through one stream of frames.

    Frames arrive in order, each once, through :meth:`step`. Points may be added in the newest
    frame and in any earlier one that ``history`` still holds; they are then tracked up to the
    newest frame, by :meth:`add_points` or when their tracks are next requested. Ids are not
    reused between two resets.
    """

    Options: ClassVar[type[Any]] = NoOptions
    """Frozen dataclass of the tracker's options, declared with ``sam_pt_ros.options.option``."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.history = FrameHistory()

    @classmethod
    def create(cls, options: Any) -> PointTracker:
        """A tracker with these options, of another class where they ask for one."""
        return cls(options)

    @classmethod
    def lag(cls, options: Any) -> int:
        """Largest number of frames by which tracks are late with these options."""
        return cls.longest_clip(options) or 0

    @classmethod
    def longest_clip(cls, options: Any) -> int | None:
        """Largest number of frames of a clip; None, unless it answers at the end of a clip."""
        return None

    @property
    def details(self) -> str:
        """Weights, device and the like, as shown to people; empty if there is nothing to say."""
        return ""

    def reset(self, history: FrameHistory | None = None) -> None:
        """Start a new stream without points.

        Args:
            history: the stream's frames; the caller appends each one before ``step``. None: the
                tracker knows only the frames that it was stepped with.
        """
        self.history = FrameHistory() if history is None else history

    def foresee(self, queries: np.ndarray) -> None:
        """Announce, before the first frame of a clip, the query points that will be added in it.

        They must still be added when their frame arrives. Only models in which points take part
        before their query frame, as published, need this.

        Args:
            queries: ``float32 (N, 3)``: frame, counted from the first of the clip; x, y in pixels.
        """

    @abstractmethod
    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """Start tracking points.

        Args:
            xy: ``float32 (N, 2)`` pixels in ``frame``.
            frame: the newest frame stepped, or an earlier one still in the history.

        Returns:
            Ids of the points, ``int64 (N,)``.

        Raises:
            UserError: a point is not finite or outside the image.
            FrameUnavailableError: ``frame`` is not in the history.
        """

    def add_late_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """Start tracking points of an earlier frame that need not be where they are now at once.

        ``recall`` tracks them as far as it is asked. Once it has been asked for the newest frame,
        they are in the results of ``step``. Where that would cost little, they may be tracked up
        to the newest frame here. For arguments, the result and errors see :meth:`add_points`.
        """
        return self.add_points(xy, frame)

    @abstractmethod
    def remove_points(self, ids: np.ndarray) -> None:
        """Stop tracking points, by ids ``int64 (N,)``; ids that are not tracked are ignored."""

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """Replace the points ``ids`` by new ones; if adding fails, the old ones stay.

        For the other arguments, the result and errors see :meth:`add_points`.
        """
        added = self.add_points(xy, frame)
        self.remove_points(ids)
        return added

    @abstractmethod
    def step(self, frame: Frame) -> PointTracks:
        """Track all points into the next frame and return their tracks in it."""

    @abstractmethod
    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """The tracks of points in an earlier frame of the history.

        Args:
            ids: ``int64 (N,)``.
            index: index of the frame, not before the points were added.

        Raises:
            KeyError: a point is not tracked, or was added after that frame.
        """

    def tracks_of(self, ids: np.ndarray, answer: PointTracks) -> PointTracks:
        """The tracks of points in the frame of an earlier result, even of points added since.

        Args:
            ids: ``int64 (N,)``.
            answer: the result of ``step`` or ``advance`` for the frame.

        Raises:
            KeyError: a point is not tracked, or was added after that frame.
        """
        if np.isin(ids, answer.ids).all():
            return answer.select(ids)
        return self.recall(ids, answer.index)

    def advance(self, frame: Frame) -> list[PointTracks]:
        """Like ``step``, but return the tracks of every frame that became final with this one.

        A streaming tracker returns the tracks of the frame itself; a windowed one returns those
        of no frame or of several at once, in order.
        """
        return [self.step(frame)]

    def flush(self) -> list[PointTracks]:
        """At the end of the stream, return the tracks of the frames not yet returned."""
        return []


def check_max_points(total: int, limit: int | None) -> None:
    """UserError if ``total`` points are more than the option ``max_points`` allows."""
    if limit is not None and total > limit:
        raise UserError(
            f"{total} points would exceed 'max_points', which is {limit}; "
            "raise it, or track fewer points or objects"
        )
