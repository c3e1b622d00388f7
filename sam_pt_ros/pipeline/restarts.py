"""Resamples query points, and lets them catch up with the newest frame (SAM-PT, Appendix G)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import NEGATIVE, POSITIVE
from sam_pt_ros.pipeline.answered_frames import AnsweredFrames
from sam_pt_ros.pipeline.observation import Observer, Predict, positives_by_object
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.point_selection import select_points
from sam_pt_ros.pipeline.problems import Problems
from sam_pt_ros.pipeline.prompting import shown
from sam_pt_ros.pipeline.reinitialization import MINIMUM_AREA, Reinitialization
from sam_pt_ros.pipeline.stages import Stages
from sam_pt_ros.pipeline.tracked_object import PointSet, TrackedObject
from sam_pt_ros.pipeline.tracking import Tracking
from sam_pt_ros.points import PointTracks

_FORGIVEN = 0.8
"""Factor on the expected duration of catching up, after each frame that skipped it."""

_LEAST = 2
"""Frames, at least, with which a late object catches up whenever it may: one more than arrive."""


@dataclass
class Counters:
    """What has happened since the pipeline was made or reset.

    Attributes:
        restarts: how often an object's points were resampled.
        over_budget: how many of these were in the newest frame because catching up from an
            earlier one would have taken too long.
        lost: how often no mask of a whole horizon could be sampled from.
    """

    restarts: int = 0
    over_budget: int = 0
    lost: int = 0


class Restarts:
    """Samples points on masks, replaces them at the horizon, and lets them catch up.

    Args:
        reinitialization: chooses when and where; None: points are never replaced.
        options: of the pipeline.
        history: the stream's frames.
        tracking: tracks the points.
        observer: finds the masks while points catch up.
        stages: measures the stage ``reinitialization``.
        problems: collects failures.
        clock: gives seconds, for the budget.

    Attributes:
        answered: the frames that have results.
        counters: since the last ``reset_counters``.
    """

    def __init__(
        self,
        reinitialization: Reinitialization | None,
        options: SamPtOptions,
        history: FrameHistory,
        tracking: Tracking,
        observer: Observer,
        stages: Stages,
        problems: Problems,
        clock: Callable[[], float],
    ) -> None:
        self._reinitialization = reinitialization
        self._options = options
        self._history = history
        self._tracking = tracking
        self._observer = observer
        self._stages = stages
        self._problems = problems
        self._clock = clock
        self.answered = AnsweredFrames(options.history_length)
        self.reset()
        self.reset_counters()

    def change(self, options: SamPtOptions) -> None:
        """Go on with other values of the options that may change at run time."""
        self._options = options

    def reset(self) -> None:
        """Begin a new stream."""
        self.answered.reset()
        self._catch_up_seconds: float | None = None  # per frame, the last time
        self._begun = False  # whether one has restarted in this frame: others may wait
        self._sampling_seconds = 0.0  # independent of the number of frames to catch up with
        self.begin_frame()

    def reset_counters(self) -> None:
        """Count from 0 again."""
        self.counters = Counters()

    @property
    def budget(self) -> float:
        """Seconds per frame for catching up; 0: there is no limit."""
        return self._options.catch_up_budget

    def begin_frame(self) -> None:
        """Give late objects the time of another frame to catch up."""
        self._seconds_left = self._options.catch_up_budget or math.inf

    # --- sampling and catching up -----------------------------------------------------------

    def sample(
        self, mask: np.ndarray, frame: Frame, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """New query points on a mask and beside it.

        Args:
            mask: ``bool (H, W)``.
            frame: the frame of the mask.
            rng: decides between points that are as good.

        Returns:
            Positive and negative points, each ``float32 (N, 2)`` pixels; fewer than the options
            ask for where there is no room.
        """
        options = self._options
        return (
            select_points(
                options.positive_selection,
                options.positive_points,
                frame.image,
                mask,
                rng,
                options.clustered_pixels,
            ),
            select_points(
                options.negative_selection,
                options.negative_points,
                frame.image,
                ~mask,
                rng,
                options.clustered_pixels,
            ),
        )

    def catch_up_late(self, item: TrackedObject, first: int, predict: Predict) -> int:
        """Have a late object catch up with the newest answered frame, as far as there is time.

        Args:
            item: the object.
            first: index of the first frame to observe it in.
            predict: as for ``catch_up``.

        Returns:
            As ``catch_up``.
        """
        begin = self._clock()
        with self._stages.measure("reinitialization"):
            reached = self.catch_up(
                [item], first, self.answered.newest, predict, begin + self._seconds_left
            )
        elapsed = self._clock() - begin
        self._seconds_left = max(self._seconds_left - elapsed, 0.0)
        if reached - first >= _LEAST:  # others may have to restart where it was started
            self._catch_up_seconds = elapsed / (reached - first)
        return reached

    def catch_up(
        self,
        items: Sequence[TrackedObject],
        first: int,
        last: int,
        predict: Predict,
        until: float = math.inf,
    ) -> int:
        """Observe objects in the frames from ``first`` to ``last``.

        The published results of these frames stay. Afterwards the objects are as if they had had
        their points in time.

        Args:
            items: objects that catch up from the same frame.
            first: index of the frame to begin with.
            last: index of a frame that was answered.
            predict: the segmenter; it is not asked in frames in which the masks of the other
                objects were moved along.
            until: when to stop, on the pipeline's clock; after two frames at least.

        Returns:
            Index of the first frame that they were not observed in.
        """
        begin = self._clock()
        for index in range(first, last + 1):
            now, done = self._clock(), index - first
            if done >= _LEAST and now + (now - begin) / done > until:
                return index
            frame = self._history.at(index)
            views = [self._tracking.view(item, PointTracks.empty(index)) for item in items]
            answered = self.answered.at(index)
            positives = answered.positives | positives_by_object(views, frame)
            prompts = self._observer.prompts(views, frame, positives)
            moved = answered.moved and not self._observer.must_segment(views, prompts, index)
            self._observer.observe(frame, views, prompts, None if moved else predict)
            self.restart(items)
        return max(first, last + 1)

    # --- restarts -------------------------------------------------------------------------

    def restart(self, items: Sequence[TrackedObject]) -> None:
        """Sample new points on the objects whose windows end now, and on corrected ones.

        Points that were sampled from the wrong mask contradict its correction.
        """
        reinitialization = self._reinitialization
        if reinitialization is None or not items:
            return
        until = self._clock() + (self._options.catch_up_budget or math.inf)
        with self._stages.measure("reinitialization"):
            for item in items:
                newest = item.window.newest
                self._begun = False
                if item.just_corrected and item.unmoved_window.mask_at(newest).area > MINIMUM_AREA:
                    self._restart_at(newest, [item], until)
            by_id = {item.object_id: item for item in items}
            windows = {object_id: item.unmoved_window for object_id, item in by_id.items()}
            together: dict[int, list[TrackedObject]] = {}
            for object_id, index in reinitialization.choose(windows).items():
                item = by_id[object_id]
                if index is not None:
                    together.setdefault(index, []).append(item)
                    continue
                if reinitialization.lost(item.window):
                    self.counters.lost += not item.lost
                    item.give_up()
                item.keep_points()
            over_budget = self.counters.over_budget
            self._begun = False
            for index, group in sorted(together.items()):
                self._restart_at(index, group, until)
            if self.counters.over_budget > over_budget and self._catch_up_seconds is not None:
                self._catch_up_seconds *= _FORGIVEN

    def bound_windows(self, items: Sequence[TrackedObject]) -> None:
        """Begin new windows where a failing tracker lets nothing else end them."""
        for item in items:
            if len(item.window.masks) >= self._options.history_length:
                item.keep_points()

    def _restart_at(self, index: int, items: Sequence[TrackedObject], until: float) -> None:
        """Replace objects' points by new ones from their masks in a frame, and catch up.

        Args:
            index: the frame's.
            items: objects with a mask in it.
            until: when the next frame is due, on the pipeline's clock.
        """
        newest = items[0].window.newest
        late = self._too_late(newest - index, until)
        begin, self._sampling_seconds = self._clock(), 0.0
        begun = []
        for item in items:
            if self._begun and self._may_wait(item, until):
                continue
            self._begun = True
            try:
                if not late:
                    self._resample(item, index)
                elif item.window.mask_at(newest).area > MINIMUM_AREA:
                    self._resample(item, newest)
                    self.counters.over_budget += 1
                else:
                    item.keep_points()
                begun.append(item)
            except Exception as error:  # one object must not cost the others their points
                item.keep_points()
                self._problems.note(f"object {item.object_id}: points cannot be resampled", error)
        if late or index == newest or not begun:
            return
        if not self._observer.segmentation.segmenter.has_memory:
            self._observe_again(begun, index, newest)
        elapsed = self._clock() - begin - self._sampling_seconds
        self._catch_up_seconds = elapsed / (newest - index)

    def _may_wait(self, item: TrackedObject, until: float) -> bool:
        """Whether an object's points are sampled anew in the next frame, for lack of time.

        Many objects that restart in one frame would hold it up. Its window goes on meanwhile, as
        long as the history reaches back to where it began.
        """
        frames = item.window.newest - item.window.start + 1
        known = self._options.history_length - self._tracking.lag - 1
        return self._clock() > until and frames < known

    def _observe_again(self, items: Sequence[TrackedObject], index: int, newest: int) -> None:
        """Predict the masks since a restart anew; if that fails, the published ones stay."""
        published = [item.snapshot() for item in items]
        for item in items:
            item.rewind(index)
        try:
            self.catch_up(items, index, newest, self._observer.segmentation.predict_each)
        except Exception as error:
            for item, before in zip(items, published, strict=True):
                item.restore_masks(before)
            self._problems.note("points cannot catch up", error)

    def _too_late(self, frames: int, until: float) -> bool:
        """Whether catching up with so many frames would end after the next one is due."""
        known = self._catch_up_seconds
        if frames == 0 or known is None:
            return False
        return self._clock() + known * frames > until

    def _resample(self, item: TrackedObject, index: int) -> None:
        """Replace an object's points by new ones, sampled from its mask in a frame."""
        frame = self._history.at(index)
        mask = item.window.mask_at(index)
        begin = self._clock()
        positives, negatives = self.sample(mask.full(), frame, item.rng)
        self._sampling_seconds += self._clock() - begin
        kept = item.points.where(np.isin(item.points.ids, self._kept(item, frame, mask)))
        room = self._options.positive_points - np.count_nonzero(kept.labels == POSITIVE)
        positives = positives[:room]
        leaving = np.setdiff1d(item.points.ids, kept.ids)
        xy = np.concatenate([positives, negatives])
        ids = self._tracking.replace_points(leaving, xy, frame)
        labels = np.full(len(ids), NEGATIVE, np.int32)
        labels[: len(positives)] = POSITIVE
        item.resample(PointSet.starting(ids, labels, index), kept, index)
        self.counters.restarts += 1

    def _kept(self, item: TrackedObject, frame: Frame, mask: CroppedMask) -> np.ndarray:
        """Ids, ``int64 (N,)``, of lasting points that are visible and on their side of a mask."""
        clicked = item.points.lasting.until(frame.index)
        tracks = self._tracking.recall(clicked.ids, frame.index)
        good = shown(tracks, frame.size)
        columns, rows = np.rint(tracks.xy[good]).astype(np.int64).T
        height, width = frame.size
        on = mask.full()[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        good[good] = on == (clicked.labels[good] == POSITIVE)
        # Who clicks again and again does not keep points from being sampled anew.
        positives = np.flatnonzero(good & (clicked.labels == POSITIVE))
        good[positives[: len(positives) - self._options.positive_points // 2]] = False
        return tracks.ids[good]
