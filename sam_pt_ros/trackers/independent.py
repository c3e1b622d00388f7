"""Base of trackers whose points are tracked frame by frame and do not influence each other."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from sam_pt_ros.frames import Frame, FrameHistory, SeenFrames
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.trackers.base import PointTracker, check_max_points

S = TypeVar("S", bound="PointStates")


class PointStates(Protocol):
    """What a tracker knows of N points; row i belongs to point i."""

    def rows(self: S, keep: np.ndarray) -> S:
        """The points selected by ``keep``, ``bool (N,)``, in a new object."""

    def joined(self: S, other: S) -> S:
        """These points, followed by the other ones, in a new object."""


class _Group(Generic[S]):
    """Points that are advanced together.

    Attributes:
        ids: ``int64 (N,)``.
        state: what is known of them in the frame ``last``.
        last: the newest frame in which they are tracked.
        tracks: those of the newest frames, oldest first.
    """

    def __init__(self, capacity: int, ids: np.ndarray, state: S, tracks: PointTracks, at: Frame):
        self.ids = ids
        self.state = state
        self.last = at
        self.tracks: deque[PointTracks] = deque([tracks], maxlen=capacity)

    def fill(self, index: int) -> None:
        """Append tracks for frames before ``index`` that were missed after a failure.

        The points stay where they were, hidden.
        """
        while self.tracks[-1].index + 1 < index:
            last = self.tracks[-1]
            nothing = np.zeros(len(last))
            self.tracks.append(PointTracks(last.index + 1, last.ids, last.xy, nothing, nothing))

    def skip_to(self, frame: Frame) -> None:
        """Give up on the frames before this one; the points stay where they were, hidden."""
        self.fill(frame.index + 1)
        self.last = frame

    def remove(self, ids: np.ndarray) -> None:
        """Forget points; ids that are not in the group are ignored."""
        keep = ~np.isin(self.ids, ids)
        if keep.all():
            return
        self.state, self.ids = self.state.rows(keep), self.ids[keep]
        self.tracks = deque(
            (t.select(t.ids[~np.isin(t.ids, ids)]) for t in self.tracks),
            maxlen=self.tracks.maxlen,
        )

    def join(self, other: _Group[S]) -> None:
        """Take over the points of a group that is tracked in the same newest frame."""
        self.state = self.state.joined(other.state)
        self.ids = np.concatenate([self.ids, other.ids])
        theirs = {tracks.index: tracks for tracks in other.tracks}
        own = {tracks.index: tracks for tracks in self.tracks}
        both = [
            own[index].joined(theirs[index]) if index in own and index in theirs else tracks
            for index, tracks in sorted({**theirs, **own}.items())
        ]
        self.tracks = deque(both, maxlen=self.tracks.maxlen)


class IndependentTracker(PointTracker, Generic[S]):
    """Keeps the books of points that come and go; a subclass tracks them.

    Adding and removing points does not affect the others. Points of a past frame are tracked up to
    the newest one: at once by ``add_points``, as far as ``recall`` asks by ``add_late_points``.
    If a frame fails, nothing changes; the next one continues from the last that did not.
    """

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.reset()

    # --- what a subclass does ---------------------------------------------------------------

    @abstractmethod
    def _begin(self, xy: np.ndarray, frame: Frame) -> S:
        """The state of new points at ``float32 (N, 2)`` pixels of a frame."""

    @abstractmethod
    def _advanced(self, state: S, before: Frame, after: Frame) -> S:
        """The state in the next frame. ``state`` must not be changed.

        Args:
            state: that of N points, at least one, in ``before``.
            before: the frame in which they were tracked last.
            after: the next frame; after a failure, a later one.
        """

    @abstractmethod
    def _located(self, state: S, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions in pixels, ``(N, 2)``; visibility and confidence, each ``(N,)``."""

    # --- points -----------------------------------------------------------------------------

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._frames = SeenFrames(history)
        self._main: _Group[S] | None = None
        self._late: list[_Group[S]] = []
        self._failed: Frame | None = None
        self._next_id = 0

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        return self._add(xy, frame, np.zeros(0, np.int64), late=False)

    def add_late_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        return self._add(xy, frame, np.zeros(0, np.int64), late=True)

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        late = any(np.isin(group.ids, ids).any() for group in self._late)
        added = self._add(xy, frame, ids, late)
        self.remove_points(ids)
        return added

    def _add(self, xy: np.ndarray, frame: Frame, leaving: np.ndarray, late: bool) -> np.ndarray:
        """Add points; the points ``leaving``, which are removed next, do not count."""
        first, *later = self._frames.since(frame)
        points = check_query_points(xy, first)
        staying = sum(np.count_nonzero(~np.isin(each.ids, leaving)) for each in self._groups())
        check_max_points(staying + len(points), getattr(self.options, "max_points", None))
        ids = np.arange(self._next_id, self._next_id + len(points), dtype=np.int64)
        if len(ids) == 0:
            return ids
        known = np.ones(len(ids))
        tracks = PointTracks(first.index, ids, points, known, known)
        state = self._begin(points, first)
        group = _Group(self._frames.capacity, ids, state, tracks, first)
        if not late:
            for each in later:
                self._advance(group, each)
        self._late.append(group)
        self._join_those_at_the_newest()
        self._next_id += len(ids)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        for group in self._groups():
            group.remove(ids)
        self._late = [group for group in self._late if len(group.ids)]

    # --- frames -----------------------------------------------------------------------------

    def step(self, frame: Frame) -> PointTracks:
        self._frames.check(frame)
        self._failed = frame
        if self._main is not None:
            self._advance(self._main, frame)
        self._frames.append(frame)
        self._failed = None
        for group in self._late:
            if group.last.index < self._frames.oldest:
                group.skip_to(self._frames.at(self._frames.oldest))
        return PointTracks.empty(frame.index) if self._main is None else self._main.tracks[-1]

    def flush(self) -> list[PointTracks]:
        """The tracks of the newest frame if ``step`` failed in it, by another attempt."""
        return [] if self._failed is None else [self.step(self._failed)]

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        if not self._frames.reaches(index):
            raise KeyError(f"frame {index} is no longer held")
        found = PointTracks.empty(index)
        for group in self._groups():
            if not np.isin(ids, group.ids).any():
                continue
            for each in range(max(group.last.index + 1, self._frames.oldest), index + 1):
                self._advance(group, self._frames.at(each))
            held = (tracks for tracks in group.tracks if tracks.index == index)
            found = found.joined(next(held, PointTracks.empty(index)))
        self._join_those_at_the_newest()
        return found.select(ids)

    def _groups(self) -> list[_Group[S]]:
        return self._late if self._main is None else [self._main, *self._late]

    def _advance(self, group: _Group[S], frame: Frame) -> None:
        state, tracks = group.state, PointTracks.empty(frame.index)
        if len(group.ids):
            state = self._advanced(state, group.last, frame)
            xy, visible, confidence = self._located(state, frame)
            # A point that went wrong stays where it was, hidden, and does the others no harm.
            good = np.isfinite(xy).all(1) & np.isfinite(confidence)
            tracks = PointTracks(
                frame.index,
                group.ids,
                np.where(good[:, None], xy, group.tracks[-1].xy),
                visible & good,
                np.where(good, confidence, 0),
            )
        group.fill(frame.index)
        group.tracks.append(tracks)
        group.state, group.last = state, frame

    def _join_those_at_the_newest(self) -> None:
        newest = self._frames.newest
        for group in [each for each in self._late if each.last.index == newest.index]:
            self._late.remove(group)
            if self._main is None or len(self._main.ids) == 0:
                self._main = group
            else:
                self._main.fill(newest.index)
                self._main.join(group)
