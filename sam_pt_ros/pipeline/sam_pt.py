"""SAM-PT made causal: one frame in, one result out (arXiv 2307.01197)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import (
    REFINEMENT,
    SEGMENTATION,
    ObjectPrompt,
    PromptRequest,
    TrackResult,
)
from sam_pt_ros.options import specs
from sam_pt_ros.pipeline.changes import Changes
from sam_pt_ros.pipeline.observation import Observer, positives_by_object
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.point_selection import check_installed
from sam_pt_ros.pipeline.problems import Problems
from sam_pt_ros.pipeline.reinitialization import create_reinitialization
from sam_pt_ros.pipeline.requests import Requests
from sam_pt_ros.pipeline.restarts import Counters, Restarts
from sam_pt_ros.pipeline.roster import Roster
from sam_pt_ros.pipeline.segmentation import Segmentation
from sam_pt_ros.pipeline.stages import Stages
from sam_pt_ros.pipeline.tracking import TrackerAnswer, Tracking
from sam_pt_ros.segmenters.base import Deadline, Segmenter
from sam_pt_ros.trackers.base import PointTracker


class SamPt:
    """Tracks objects through one stream of frames.

    Objects are started by :meth:`add_object` in the newest frame, in an earlier one that is
    still in the history (they catch up, at once or within ``catch_up_budget`` over several
    frames), or in one that has not come yet (they wait for it). :meth:`process` takes the next
    frame. Not thread-safe. Deterministic unless it has
    a budget: the same calls give the same results.

    Args:
        tracker: tracks the points.
        segmenter: makes masks of them.
        options: everything else.
        clock: gives the seconds that budgets are compared with.

    Raises:
        UserError: the history is too short for the options, or the Python package kmedoids is
            needed and not installed.

    Attributes:
        options: as given, or as last changed.
        history: the newest frames.
    """

    def __init__(
        self,
        tracker: PointTracker,
        segmenter: Segmenter,
        options: SamPtOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options = options or SamPtOptions()
        check_installed(options.positive_selection, options.negative_selection)
        self.history = history = FrameHistory(options.history_length)
        self._problems = problems = Problems()
        self._stages = stages = Stages()
        reinitialization = create_reinitialization(
            options.reinitialization, options.reinitialization_horizon
        )
        self._horizon = None if reinitialization is None else reinitialization.horizon
        self._tracking = tracking = Tracking(tracker, options, history, stages, problems)
        self._segmentation = segmentation = Segmentation(
            segmenter, options, clock, tracking.recall, problems.note
        )
        self.check(options)
        self._observer = Observer(segmentation, options, self._horizon, stages)
        self._restarts = Restarts(
            reinitialization, options, history, tracking, self._observer, stages, problems, clock
        )
        changes = Changes(history, tracking, segmentation)
        self._roster = Roster(options, changes, tracking, segmentation, self._restarts, problems)
        self._requests = Requests(history, self._roster, stages, problems)
        self.reset()

    def check(self, options: SamPtOptions) -> None:
        """UserError if the history is too short for other options of this pipeline."""
        late = self._tracking.lag
        horizon = self._horizon or 1
        needed = max(horizon, options.segment_every_n, 2 if options.frame_budget else 1)
        if options.history_length < late + needed:
            why = (
                f"'segment_every_n' ({needed}), within which masks are moved along"
                if needed > horizon
                else f"the 'reinitialization_horizon' ({needed}), within which points may be "
                "resampled"
            )
            lag = f", plus {counted(late, 'frame')} by which the tracker may answer late"
            raise UserError(
                f"'history_length' must be at least {late + needed}: {why}{lag if late else ''}; "
                f"got {options.history_length}"
            )

    def change(self, options: SamPtOptions) -> None:
        """Go on with other values of the options that may change between two frames.

        Raises:
            UserError: another value of an option that may not change, or the history is too
                short.
        """
        for spec in specs(SamPtOptions):
            if not spec.runtime and getattr(options, spec.name) != getattr(
                self.options, spec.name
            ):
                raise UserError(f"'{spec.name}' cannot change while the pipeline exists")
        self.check(options)
        self.options = options
        self._observer.change(options)
        self._restarts.change(options)

    def reset(self) -> None:
        """Forget all frames and objects; ids begin again at 1."""
        self._requests.reset()
        self._problems.reset()
        self._restarts.reset_counters()
        self._begin_stream()

    def _begin_stream(self) -> None:
        """Begin a new stream without objects; what waits goes on waiting."""
        self.history.clear()
        self._requests.resume()
        self._roster.clear()
        self._restarts.reset()
        self._problems.end_streak()
        self._stages.reset()
        self._tracking.reset()  # last, because models may fail
        self._segmentation.reset()

    @property
    def tracker(self) -> PointTracker:
        """The model that tracks points."""
        return self._tracking.tracker

    @tracker.setter
    def tracker(self, tracker: PointTracker) -> None:
        self._tracking.tracker = tracker

    @property
    def segmenter(self) -> Segmenter:
        """The model that makes masks."""
        return self._segmentation.segmenter

    @segmenter.setter
    def segmenter(self, segmenter: Segmenter) -> None:
        self._segmentation.segmenter = segmenter

    @property
    def counters(self) -> Counters:
        """What has happened since the pipeline was made or reset."""
        return self._restarts.counters

    @property
    def object_ids(self) -> list[int]:
        """Ids of all objects, including those that wait for their frame; ascending."""
        return self._requests.object_ids

    @property
    def waiting_ids(self) -> list[int]:
        """Ids of the objects that are to start in a frame that has not come yet; ascending."""
        return self._requests.waiting_ids

    # --- what users ask for ---------------------------------------------------------------

    def add_object(
        self,
        prompt: ObjectPrompt,
        *,
        stamp: int | None = None,
        label: str = "",
        object_id: int | None = None,
    ) -> int:
        """Start an object; its id. For arguments and errors see :meth:`apply`."""
        if object_id is not None and object_id in self.object_ids:
            raise UserError(f"object {object_id} exists already; remove it first")
        return self.apply([PromptRequest(prompt, object_id, label)], stamp=stamp)[0]

    def add_prompts(
        self, object_id: int, prompt: ObjectPrompt, *, stamp: int | None = None
    ) -> None:
        """Add points to an object; UnknownObjectError if there is no such one."""
        self._requests.check_known(object_id)
        self.apply([PromptRequest(prompt, object_id)], stamp=stamp)

    def apply(self, requests: Sequence[PromptRequest], *, stamp: int | None = None) -> list[int]:
        """Start objects and add points to objects in one frame: all of it, or nothing.

        Args:
            requests: one per object. One without an id, or with an id that is not in use,
                starts an object; any other adds points to an object.
            stamp: nanoseconds; the prompts refer to the frame nearest to it. None: to the
                newest frame. Before the first frame, and with a stamp in the future, they
                wait for the first frame that is not earlier.

        Returns:
            The objects' ids, one per request.

        Raises:
            UserError: a prompt that does not say where a new object is, that adds a box or a
                mask to an object that exists, or that does not fit the image; an id out of
                range or given twice; a stamp older than the history or the object, or far in
                the future.
        """
        return self._requests.apply(requests, stamp)

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object; UnknownObjectError if there is no such one."""
        self._requests.remove(object_id)

    def undo(self, object_id: int) -> None:
        """Take back the newest points that were added to an object, or its newest start.

        The object becomes what it was before that, and catches up with the newest frame as one
        that was started in the past. As many changes can be undone as the history reaches back.

        Raises:
            UnknownObjectError: there is no such object.
            UserError: nothing was changed since it was started, or that is too long ago.
        """
        self._requests.undo(object_id)

    def hypotheses(
        self, prompt: ObjectPrompt, *, stamp: int | None = None
    ) -> tuple[Frame, list[MaskPrediction]]:
        """What the prompt of a new object may mean; nothing is started.

        To take another than the first, start the object from that mask, with the points.

        Args:
            prompt: as for :meth:`add_object`.
            stamp: nanoseconds; the prompt refers to the frame nearest to it. None: to the newest.

        Returns:
            The frame, and masks that differ, the likeliest first. Their scores, 0 to 1, compare
            them.

        Raises:
            UserError: there is no frame yet, or the prompt does not fit it.
        """
        return self._requests.hypotheses(prompt, stamp)

    # --- frame by frame -------------------------------------------------------------------

    def process(self, image: np.ndarray, stamp: int) -> list[TrackResult]:
        """Take the next frame.

        Args:
            image: RGB ``uint8 (H, W, 3)``. It must not be changed afterwards.
            stamp: nanoseconds, later than the frame before.

        Returns:
            The results that this frame completes, in order: its own with a streaming tracker,
            none or those of several earlier frames with a windowed one. A tracker or a
            segmenter that fails costs no frame its result: what it failed on is not seen, and
            ``problems`` says why.

        Raises:
            UserError: an image of another size (see :meth:`restart`), or a stamp that is not
                later; nothing changed.
        """
        self._catch_up()  # while the history still reaches back to where they are
        frame = self.history.append(image, stamp)
        self._segmentation.schedule.begin()
        answers = self._tracking.advance(frame, self._restarts.answered.newest)
        # A tracker that has failed takes no points: they would be lost.
        if answers and answers[-1].tracks is None:
            self._requests.hold()
        else:
            self._requests.resume()
            self._requests.apply_waiting(frame)
        return self._results(answers)

    def flush(self) -> list[TrackResult]:
        """At the end of the stream: the results that a windowed tracker still owes."""
        self._catch_up()
        self._segmentation.schedule.begin()
        return self._results(self._tracking.flush(self._restarts.answered.newest))

    def _catch_up(self) -> None:
        if not self._requests.held:  # a tracker that failed has no tracks of the newest frame
            self._roster.catch_up()

    def _results(self, answers: Sequence[TrackerAnswer]) -> list[TrackResult]:
        return [
            self._result(answer, self._segmentation.schedule.deadline(number))
            for number, answer in enumerate(answers)
        ]

    def _result(self, answer: TrackerAnswer, deadline: Deadline | None) -> TrackResult:
        segmentation, answered = self._segmentation, self._restarts.answered
        frame = self.history.at(answer.index)
        answered.newest = frame.index
        items = self._roster.started_by(frame.index)
        views = self._tracking.views(items, answer)
        positives = positives_by_object(views, frame)
        prompts = self._observer.prompts(views, frame, positives)
        # Without a prompt to ask for there is nothing to skip.
        asked = any(map(segmentation.asks, prompts))
        moved = (
            asked
            and not self._observer.must_segment(views, prompts, frame.index)
            and not segmentation.schedule.due(frame.index, deadline)
        )
        answered.add(frame.index, positives, moved)
        predict = None if moved else partial(segmentation.predict_each, deadline=deadline)
        seen = self._observer.observe(frame, views, prompts, predict)
        skipped: tuple[str, ...] = (SEGMENTATION,) if moved else ()
        if asked and not moved:
            segmentation.schedule.segmented(frame.index)
            skipped = (REFINEMENT,) if segmentation.shortened else ()
        if answer.tracks is None:
            self._restarts.bound_windows(items)
        else:
            try:
                self._restarts.restart(items)
            except Exception as error:  # the points that there are stay
                self._problems.note("points cannot be resampled", error)
        report = self._problems.report()
        return TrackResult(
            frame.index,
            frame.stamp,
            seen.label_image,
            seen.objects,
            self._stages.take(),
            report.problems,
            skipped,
            failed=report.failed,
        )

    # --- another size, other models -------------------------------------------------------

    def replace_backends(self, tracker: PointTracker, segmenter: Segmenter) -> None:
        """Go on with others of the same kinds; the next frame is to be given to ``restart``.

        Prompts wait for that frame.
        """
        self.tracker = tracker
        self.segmenter = segmenter
        self._requests.hold()

    def restart(self, image: np.ndarray, stamp: int, unseen: int = 0) -> list[TrackResult]:
        """Take a frame that may be of another size or kind: objects start anew from their masks.

        Masks of the newest frame are scaled; where models have failed since, those of the last
        frame before that. An object without a mask, or one that has not caught up yet, is
        dropped, and ``problems`` says so. If models
        fail in this frame, objects wait for the next one. Results that a windowed tracker owes
        are lost: call :meth:`flush` first.

        Args:
            image: as for :meth:`process`.
            stamp: as for :meth:`process`.
            unseen: number of frames without a mask after which an object's last mask still
                counts, whether models failed in all of these frames or not.
        """
        size = Frame(image, stamp, 0).size  # UserError for what is no image
        unseen = max(unseen, self._problems.streak)
        last = self._roster.last_masks(self._restarts.answered.newest, unseen)
        self._requests.start_again(last, size)
        self._begin_stream()
        return self.process(image, stamp)
