"""Base of trackers that see a whole clip before they track, for recordings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory, SeenFrames
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.trackers.base import PointTracker, check_max_points
from sam_pt_ros.trackers.video import VideoTracks


class WholeClipTracker(PointTracker):
    """Keeps the frames of a clip and the points in it; a subclass tracks them.

    All tracks are returned by ``flush``, at the end of the clip. Points do not influence each
    other, and each is tracked once, however many there are.

    The options need ``clip_length`` and ``max_points``.
    """

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.reset()

    @abstractmethod
    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        """Track points through the whole clip.

        Args:
            frames: all frames of the clip so far, T, each with the cache of its features.
            queries: ``float32 (N, 3)``: place of the frame in ``frames``; x, y in pixels. N is at
                least 1.

        Returns:
            Tracks ``(T, N)``; those of earlier frames than a point's query are not used.
        """

    @classmethod
    def longest_clip(cls, options: Any) -> int | None:
        return int(options.clip_length)

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._frames = SeenFrames(history, more=self.options.clip_length)
        self._queries: dict[int, np.ndarray] = {}  # (3,) by id: place in the clip, x, y
        self._solved: dict[int, np.ndarray] = {}  # (T, 4) by id: x, y, visible, confidence
        self._answered = 0  # frames
        self._next_id = 0

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        return self._add(xy, frame, np.zeros(0, np.int64))

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        added = self._add(xy, frame, ids)
        self.remove_points(ids)
        return added

    def _add(self, xy: np.ndarray, frame: Frame, leaving: np.ndarray) -> np.ndarray:
        """Add points. The points ``leaving``, which are removed next, do not count."""
        held = self._frames.at(frame.index)
        points = check_query_points(xy, held)
        staying = sum(point not in leaving for point in self._queries)
        check_max_points(staying + len(points), self.options.max_points)
        ids = np.arange(self._next_id, self._next_id + len(points), dtype=np.int64)
        for point, (x, y) in zip(ids.tolist(), points, strict=True):
            self._queries[point] = np.array([held.index - self._frames.oldest, x, y], np.float32)
        self._next_id += len(ids)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        for point in np.asarray(ids).tolist():
            self._queries.pop(point, None)
            self._solved.pop(point, None)

    def step(self, frame: Frame) -> PointTracks:
        """UserError: the tracks are known only at the end of the clip."""
        raise UserError(
            "this tracker answers at the end of a clip: use advance() and flush(), or a tracker "
            "that answers for every frame"
        )

    def advance(self, frame: Frame) -> list[PointTracks]:
        limit = self.options.clip_length
        if len(self._frames) >= limit:
            raise UserError(
                f"the clip has more than {limit} frames; raise 'clip_length' and "
                "'history_length', or use a tracker that answers for every frame"
            )
        self._frames.append(frame)
        self._solved.clear()
        # Those of a clip that goes on after its end would be lost with the frame that is refused.
        return self.flush() if len(self._frames) == limit else []

    def flush(self) -> list[PointTracks]:
        frames = list(self._frames)[self._answered :]
        answers = [self._tracks(list(self._queries), frame.index) for frame in frames]
        self._answered += len(answers)
        return answers

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """See :meth:`PointTracker.recall`. The tracks are those of the clip so far."""
        if not len(self._frames) or not self._frames.oldest <= index <= self._frames.newest.index:
            raise KeyError(f"frame {index} is not in the clip")
        tracks = self._tracks(ids.tolist(), index)
        if len(tracks) < len(ids):
            raise KeyError(f"some of the points were added after frame {index}")
        return tracks

    def _tracks(self, points: Sequence[int], index: int) -> PointTracks:
        """The tracks of those of the points that have begun, in a frame of the clip."""
        place = index - self._frames.oldest
        begun = [point for point in points if self._queries[point][0] <= place]
        self._solve_missing()
        values = np.array([self._solved[p][place] for p in begun], np.float32).reshape(-1, 4)
        return PointTracks(index, np.array(begun), values[:, :2], values[:, 2] > 0, values[:, 3])

    def _solve_missing(self) -> None:
        """Track all points that have not been tracked yet."""
        missing = [point for point in self._queries if point not in self._solved]
        if not missing:
            return
        queries = np.stack([self._queries[point] for point in missing])
        found = self._solve(list(self._frames), queries)
        for column, point in enumerate(missing):
            tracks = np.concatenate(
                [
                    found.xy[:, column],
                    found.visible[:, column, None].astype(np.float32),
                    found.confidence[:, column, None],
                ],
                1,
            )
            # A point that went wrong is hidden, and does the others no harm.
            good = np.isfinite(tracks).all(1)
            tracks[~good] = [*self._queries[point][1:], 0, 0]
            place = int(self._queries[point][0])
            tracks[place] = *self._queries[point][1:], 1, 1
            self._solved[point] = tracks
