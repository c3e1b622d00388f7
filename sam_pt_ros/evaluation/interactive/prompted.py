"""One object's masks in a whole video, from points that can be added and removed.

Tracker and segmenter are used without the pipeline, which computes each frame once: here a frame
is computed again after every click. Points are never resampled; all of them are the annotator's,
as in the authors' simulation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.interactive.annotator import PlacedPoint
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.objects import NEGATIVE, POSITIVE
from sam_pt_ros.pipeline.prompting import shown
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Prompt, Segmenter
from sam_pt_ros.trackers.base import PointTracker


class Footage:
    """All frames of a video, through which points can be tracked.

    The frames stay in memory, with what trackers and segmenters computed from them.

    Args:
        images: RGB ``uint8 (H, W, 3)``, at least one, all of the same size.
        tracker: reset here, and not to be used by others meanwhile. None: points stay in their
            frame.
    """

    def __init__(self, images: Iterable[np.ndarray], tracker: PointTracker | None) -> None:
        held = list(images)
        if not held:
            raise UserError("the video has no frames; check the sequence")
        self._history = FrameHistory(max(len(held), 2))
        self._tracker = tracker
        if tracker is not None:
            tracker.reset(self._history)
        for index, image in enumerate(held):
            frame = self._history.append(image, stamp=index)
            if tracker is not None:
                tracker.advance(frame)
        if tracker is not None:
            tracker.flush()

    def __len__(self) -> int:
        return len(self._history)

    @property
    def tracked(self) -> bool:
        """Whether there is a tracker."""
        return self._tracker is not None

    def frame(self, index: int) -> Frame:
        """The frame with this index; FrameUnavailableError if there is none."""
        return self._history.at(index)

    def follow(self, index: int, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
        """Track a point by itself from its frame to the last frame.

        Args:
            index: of the point's frame.
            x: column, pixels.
            y: row, pixels.

        Returns:
            Positions, ``float32 (N, 2)`` pixels, and whether they may prompt, ``bool (N,)``. In
            its own frame the point may prompt where it was put.
        """
        if self._tracker is None:
            raise UserError("points cannot be tracked: the footage has no tracker")
        ids = self._tracker.add_points(np.array([[x, y]], np.float32), self.frame(index))
        try:
            places = np.zeros((len(self) - index, 2), np.float32)
            visible = np.zeros(len(places), np.bool_)
            for row in range(len(places)):
                tracks: PointTracks = self._tracker.recall(ids, index + row)
                places[row] = tracks.xy[0]
                visible[row] = shown(tracks, self.frame(index).size)[0]
        finally:
            self._tracker.remove_points(ids)
        places[0], visible[0] = (x, y), True
        return places, visible


@dataclass(frozen=True, eq=False)
class _Point:
    """A clicked point in the frames from ``start`` up to, but not including, ``end``."""

    number: int
    label: int
    start: int
    end: int
    places: np.ndarray
    visible: np.ndarray

    def in_frame(self, index: int) -> PlacedPoint | None:
        if not self.start <= index < self.end or not self.visible[index - self.start]:
            return None
        x, y = self.places[index - self.start].tolist()
        return PlacedPoint(self.number, x, y, self.label)


@dataclass(frozen=True, eq=False)
class ClickCheckpoint:
    """The points of a :class:`PromptedObject` at some time, to restore them later."""

    points: tuple[_Point, ...]


_Source = tuple[bool, tuple[int, ...]]
"""What determines a mask: whether the object was clicked by then, and its points' numbers."""


class PromptedObject:
    """One object's masks in all frames, from its points.

    A mask is computed when it is needed, and again when its points have changed. With a segmenter
    that has a memory, a mask depends on the points of all frames up to its own, and the video is
    processed from the start; without a tracker the segmenter is reset for each frame.

    Args:
        footage: the video.
        segmenter: reset here, and not to be used by others meanwhile.
        tracked: whether points are tracked on; otherwise a point affects its own frame only.
        require_positive: whether a frame without a visible positive point has no mask. Otherwise
            the segmenter decides, from the first frame with a point on.
        object_id: the object's id for the segmenter.
    """

    def __init__(
        self,
        footage: Footage,
        segmenter: Segmenter,
        *,
        tracked: bool,
        require_positive: bool = True,
        object_id: int = 1,
    ) -> None:
        if tracked and not footage.tracked:
            raise UserError("points cannot be tracked: the footage has no tracker")
        self._footage = footage
        self._segmenter = segmenter
        self._tracked = tracked
        self._require_positive = require_positive
        self._object_id = object_id
        self._next_number = 0
        self._set_points(())
        self._masks: dict[int, np.ndarray] = {}
        self._sources: dict[int, _Source] = {}  # of each mask
        self._reached = 0  # frames that the segmenter's memory has seen since its last reset
        segmenter.reset()

    def points_in(self, index: int) -> list[PlacedPoint]:
        """The visible points in a frame, in the order in which they were added."""
        placed = (point.in_frame(index) for point in self._points)
        return [point for point in placed if point is not None]

    def add(self, index: int, x: float, y: float, label: int) -> int:
        """Add a point in a frame and, if it is tracked, in the frames after it.

        Args:
            index: of the frame.
            x: column, pixels.
            y: row, pixels.
            label: 1 on the object, 0 not on it.

        Returns:
            The number of the point.

        Raises:
            UserError: the position is outside the image, or the label is neither 1 nor 0.
        """
        frame = self._footage.frame(index)
        if not (-0.5 <= x <= frame.width - 0.5 and -0.5 <= y <= frame.height - 0.5):
            raise UserError(
                f"the point ({x:g}, {y:g}) is outside the image of "
                f"{frame.width}x{frame.height} pixels"
            )
        if label not in (NEGATIVE, POSITIVE):
            raise UserError(f"a label must be 1 (on the object) or 0, got {label}")
        if self._tracked:
            places, visible = self._footage.follow(index, x, y)
        else:
            places, visible = np.array([[x, y]], np.float32), np.ones(1, np.bool_)
        number, self._next_number = self._next_number, self._next_number + 1
        point = _Point(number, label, index, index + len(places), places, visible)
        self._set_points((*self._points, point))
        return number

    def remove(self, index: int, number: int) -> None:
        """Remove a point from a frame and the frames after it.

        Raises:
            UserError: the frame has no such point.
        """
        if number not in [p.number for p in self._points if p.start <= index < p.end]:
            raise UserError(f"frame {index} has no point {number} to remove")
        self._set_points(
            tuple(
                replace(point, end=index) if point.number == number else point
                for point in self._points
            )
        )

    def checkpoint(self) -> ClickCheckpoint:
        """The current points, for :meth:`restore`."""
        return ClickCheckpoint(self._points)

    def restore(self, checkpoint: ClickCheckpoint) -> None:
        """Restore earlier points."""
        self._set_points(checkpoint.points)

    def mask(self, index: int) -> np.ndarray:
        """The mask in a frame, ``bool (H, W)``; the same array until it changes."""
        if self._segmenter.has_memory and self._tracked:
            self._run_to(index)
        elif self._sources.get(index) != self._wanted[index]:
            if self._segmenter.has_memory:
                self._segmenter.reset()
            self._masks[index] = self._segment(index)
            self._sources[index] = self._wanted[index]
        return self._masks[index]

    def _run_to(self, index: int) -> None:
        """Pass the frames up to this one to a segmenter with a memory, each once, in order."""
        changed = [i for i in range(self._reached) if self._sources[i] != self._wanted[i]]
        if changed:
            self._segmenter.reset()
            self._reached = 0
        kept = min(changed, default=0)  # masks before it do not change
        while self._reached <= index:
            now = self._reached
            mask = self._segment(now)
            if now >= kept or now not in self._masks:
                self._masks[now] = mask
            self._sources[now] = self._wanted[now]
            self._reached += 1

    def _set_points(self, points: tuple[_Point, ...]) -> None:
        self._points = points
        # The sources of up-to-date masks.
        self._wanted = [self._source(index) for index in range(len(self._footage))]

    def _source(self, index: int) -> _Source:
        numbers = tuple(point.number for point in self.points_in(index))
        if self._tracked:
            return any(point.start <= index for point in self._points), numbers
        return bool(numbers), numbers

    def _segment(self, index: int) -> np.ndarray:
        frame = self._footage.frame(index)
        placed = sorted(self.points_in(index), key=lambda point: point.label != POSITIVE)
        labels = np.array([point.label for point in placed], np.int32)
        begun, _ = self._wanted[index]
        if not begun or (self._require_positive and not (labels == POSITIVE).any()):
            return np.zeros(frame.size, np.bool_)
        prompt = Prompt(
            self._object_id,
            np.array([(point.x, point.y) for point in placed], np.float32),
            labels,
            positives_first=bool((labels == NEGATIVE).any()),
            gestures=np.array([point.number for point in placed], np.int64),
        )
        self._segmenter.set_image(frame)
        (prediction,) = self._segmenter.predict([prompt])
        return prediction.mask
