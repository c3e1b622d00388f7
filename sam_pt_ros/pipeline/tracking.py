"""Where the points of a frame are: the tracker's answer, less what the patch filter hides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.errors import counted
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.patch_filter import PatchFilter
from sam_pt_ros.pipeline.problems import Problems
from sam_pt_ros.pipeline.stages import Stages
from sam_pt_ros.pipeline.tracked_object import ObjectView, TrackedObject
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.weights.memory import free_memory, is_out_of_memory


@dataclass(frozen=True, eq=False)
class TrackerAnswer:
    """What the tracker says about one frame.

    Attributes:
        index: the frame's index.
        tracks: where the points are; None: the tracker failed.
    """

    index: int
    tracks: PointTracks | None


class Tracking:
    """Tracks the query points of all objects through one stream; a failure costs no frame.

    Args:
        tracker: tracks the points.
        options: of the pipeline.
        history: the stream's frames.
        stages: measures the stage ``tracker``.
        problems: collects failures.

    Attributes:
        tracker: the same; it may be replaced before :meth:`reset`.
    """

    def __init__(
        self,
        tracker: PointTracker,
        options: SamPtOptions,
        history: FrameHistory,
        stages: Stages,
        problems: Problems,
    ) -> None:
        self.tracker = tracker
        self._options = options
        self._history = history
        self._stages = stages
        self._problems = problems
        self._failure: Exception | None = None  # the newest

    @property
    def lag(self) -> int:
        """Frames, at most, by which the tracker answers late."""
        return self.tracker.lag(self.tracker.options)

    def reset(self) -> None:
        """Begin a new stream without points."""
        self._failure = None
        self._patches = PatchFilter(self._options.patch_size, self._options.patch_similarity)
        self.tracker.reset(self._history)  # last, because it may fail

    # --- frame by frame -------------------------------------------------------------------

    def advance(self, frame: Frame, answered: int) -> list[TrackerAnswer]:
        """Track the points into the next frame.

        Args:
            frame: the newest of the history.
            answered: index of the newest frame that has been answered.

        Returns:
            The frames that this one completes, in order. If the tracker fails, all that it owes,
            without tracks. If it runs out of memory, caches are emptied, and a tracker that does
            not answer late is asked once more.
        """
        return self._ask(lambda: self.tracker.advance(frame), answered)

    def flush(self, answered: int) -> list[TrackerAnswer]:
        """The frames that the tracker still owes at the end of the stream; see :meth:`advance`."""
        return self._ask(self.tracker.flush, answered)

    def _ask(self, ask: Callable[[], list[PointTracks]], answered: int) -> list[TrackerAnswer]:
        try:
            return self._checked(ask, answered)
        except Exception as error:
            failure = error.with_traceback(None)  # which would keep what the model has allocated
        owed = range(answered + 1, self._history.newest.index + 1)
        if is_out_of_memory(failure):
            free_memory()
            if not self.lag:
                with contextlib.suppress(Exception):  # the first failure is reported
                    answers = self._checked(self.tracker.flush, answered)
                    if [answer.index for answer in answers] == list(owed):
                        self._problems.note(
                            f"points were tracked only at the second attempt: {failure!r}"
                        )
                        return answers
        self._failure = failure
        self._problems.note("points cannot be tracked", failure)
        return [TrackerAnswer(index, None) for index in owed]

    def _checked(self, ask: Callable[[], list[PointTracks]], answered: int) -> list[TrackerAnswer]:
        """The tracker's answers; ValueError for frames that do not exist or are out of order."""
        with self._stages.measure("tracker"):
            answers = [TrackerAnswer(t.index, t) for t in ask() if t.index > answered]
        found = [answer.index for answer in answers]
        if found != sorted({i for i in found if i <= self._history.newest.index}):
            raise ValueError(f"the tracker answered for the frames {found}, and not for its own")
        return answers

    def views(self, items: Sequence[TrackedObject], answer: TrackerAnswer) -> list[ObjectView]:
        """The objects' points in the frame of an answer; no points where the tracker failed."""
        if answer.tracks is None:
            if not self._problems.failed:  # the next of several frames that it owed
                self._problems.note("points cannot be tracked", self._failure)
        else:
            try:
                return [self.view(item, answer.tracks) for item in items]
            except Exception as error:  # it answered for other points than there are
                self._problems.note("points cannot be tracked", error)
        return [ObjectView.without_points(item, answer.index) for item in items]

    def view(self, item: TrackedObject, tracks: PointTracks) -> ObjectView:
        """An object's points in the frame of ``tracks``; those that lack there are recalled."""
        points = item.points.until(tracks.index)
        found = self._filtered(self.tracker.tracks_of(points.ids, tracks), points.ids)
        return ObjectView(item, found, points)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """Where points, by id, ``int64 (N,)``, were in an earlier frame."""
        return self._filtered(self.tracker.recall(ids, index), ids)

    # --- points come and go ---------------------------------------------------------------

    def add_points(self, xy: np.ndarray, frame: Frame, *, late: bool = False) -> np.ndarray:
        """Start tracking points; see :meth:`PointTracker.add_points`.

        Args:
            xy: ``float32 (N, 2)`` pixels in ``frame``.
            frame: of the history.
            late: whether they catch up with the newest frame as :meth:`view` asks for them.
        """
        add = self.tracker.add_late_points if late else self.tracker.add_points
        ids = add(xy, frame)
        if self._options.patch_filter:
            self._patches.add(ids, xy, frame)
        return ids

    def replace_points(self, leaving: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """Track other points instead; see :meth:`PointTracker.replace_points`."""
        ids = self.tracker.replace_points(leaving, xy, frame)
        if self._options.patch_filter:
            self._patches.add(ids, xy, frame)
            self._patches.remove(leaving)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        """Stop tracking points."""
        self.tracker.remove_points(ids)
        self._patches.remove(ids)

    def _filtered(self, tracks: PointTracks, ids: np.ndarray) -> PointTracks:
        """What the tracker says of the points ``ids``; ValueError if it speaks of others."""
        if not np.array_equal(tracks.ids, ids):
            raise ValueError(
                f"the tracker was asked for {counted(len(ids), 'point')}, and answered for others"
            )
        if not self._options.patch_filter:
            return tracks
        return self._patches.apply(tracks, self._history.at(tracks.index))
