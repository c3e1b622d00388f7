"""SAM-PT made causal: one frame in, one result out (arXiv 2307.01197). No ROS here."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sam_pt_ros.errors import UnknownObjectError, UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MAX_OBJECT_ID, CroppedMask, MaskPrediction, resolve_overlaps
from sam_pt_ros.objects import (
    NEGATIVE,
    POSITIVE,
    REFINEMENT,
    SEGMENTATION,
    ObjectPrompt,
    ObjectResult,
    ObjectState,
    PromptRequest,
    TrackResult,
)
from sam_pt_ros.options import specs
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.point_selection import select_points
from sam_pt_ros.pipeline.problems import Problems
from sam_pt_ros.pipeline.prompting import build_prompt, shown, visible_positives
from sam_pt_ros.pipeline.reinitialization import MINIMUM_AREA, MaskWindow, create_reinitialization
from sam_pt_ros.pipeline.segmentation import Segmentation
from sam_pt_ros.pipeline.stages import Stages
from sam_pt_ros.pipeline.stamps import check_ahead, check_behind, later
from sam_pt_ros.pipeline.tracked_object import ObjectView, PointSet, TrackedObject
from sam_pt_ros.pipeline.tracking import TrackerAnswer, Tracking
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Deadline, Prompt, Segmenter
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.weights.memory import free_memory, is_out_of_memory


@dataclass
class Counters:
    """What has happened since the pipeline was made or reset.

    Attributes:
        restarts: how often an object's points were sampled anew.
        over_budget: of these, how often in the newest frame because catching up from an earlier
            one would have taken too long.
        lost: how often no mask of a whole horizon could be sampled from.
    """

    restarts: int = 0
    over_budget: int = 0
    lost: int = 0


@dataclass(frozen=True)
class _Waiting:
    """A request whose frame has not come yet."""

    request: PromptRequest
    object_id: int
    stamp: int | None
    starts: bool  # the object, and does not add to it
    mask: CroppedMask | None = None  # that it starts again from, of whatever size


@dataclass(frozen=True)
class _Answered:
    """What catching up must know of a frame that has a result.

    Attributes:
        index: the frame's.
        positives: the visible positive points of all objects then, by id.
        moved: whether it was not segmented.
    """

    index: int
    positives: dict[int, np.ndarray]
    moved: bool


_Predict = Callable[[Frame, Sequence[Prompt]], list[MaskPrediction | None]]

_FORGIVEN = 0.8
"""What catching up takes counts so much less after each frame in which it was not tried."""


class SamPt:
    """Tracks objects through one stream of frames.

    Objects are started by :meth:`add_object` in the newest frame, in an earlier one that is
    still in the history (they catch up at once), or in one that has not come yet (they wait
    for it). :meth:`process` takes the next frame. Not thread-safe; deterministic unless it has
    a budget: the same calls give the same results.

    Args:
        tracker: tracks the points.
        segmenter: makes masks of them.
        options: everything else.
        clock: gives the seconds that budgets are compared with.
    """

    def __init__(
        self,
        tracker: PointTracker,
        segmenter: Segmenter,
        options: SamPtOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options or SamPtOptions()
        self._clock = clock
        self.history = FrameHistory(self.options.history_length)
        self._problems = Problems()
        self._stages = Stages()
        self._tracking = Tracking(
            tracker, self.options, self.history, self._stages, self._problems
        )
        self._segmentation = Segmentation(
            segmenter, self.options, clock, self._tracking.recall, self._problems.note
        )
        self._reinitialization = create_reinitialization(
            self.options.reinitialization, self.options.reinitialization_horizon
        )
        self.check(self.options)
        self.reset()

    def check(self, options: SamPtOptions) -> None:
        """UserError if the history is too short for other options of this pipeline."""
        late = self._tracking.lag
        horizon = 1 if self._reinitialization is None else self._reinitialization.horizon
        needed = max(horizon, options.segment_every_n, 2 if options.frame_budget else 1)
        if options.history_length < late + needed:
            lag = f" and {late} frames by which the tracker may answer late" if late else ""
            why = (
                "'segment_every_n', within which masks are moved along"
                if needed > horizon
                else "the 'reinitialization_horizon', within which points may be sampled anew"
            )
            raise UserError(
                f"'history_length' must be at least {late + needed}: {why}{lag}; got "
                f"{options.history_length}"
            )

    def change(self, options: SamPtOptions) -> None:
        """Go on with other values of the options that may change at any time, between two frames.

        Raises:
            UserError: another value of an option that may not, or the history is too short.
        """
        for spec in specs(SamPtOptions):
            if not spec.runtime and getattr(options, spec.name) != getattr(
                self.options, spec.name
            ):
                raise UserError(f"'{spec.name}' cannot be changed once there is a pipeline")
        self.check(options)
        self.options = options
        self._segmentation.change(options)

    def reset(self) -> None:
        """Forget all frames and objects; ids begin again at 1."""
        self._waiting: list[_Waiting] = []
        self._used_ids: set[int] = set()
        self._problems.reset()
        self.counters = Counters()
        self._begin()

    def _begin(self) -> None:
        """Begin a new stream without objects."""
        self.history.clear()
        self._objects: dict[int, TrackedObject] = {}
        self._answered = -1  # index of the newest frame that has a result
        self._problems.end_streak()
        self._replaced = False  # whether the models are others than saw these frames
        self._past: deque[_Answered] = deque(maxlen=self.options.history_length)
        self._stages.reset()
        self._catch_up_seconds: float | None = None  # per frame, the last time
        self._sampling_seconds = 0.0  # which do not depend on how many frames there are
        self._tracking.reset()  # last, because models may fail
        self._segmentation.reset()

    @property
    def tracker(self) -> PointTracker:
        """What tracks points."""
        return self._tracking.tracker

    @tracker.setter
    def tracker(self, tracker: PointTracker) -> None:
        self._tracking.tracker = tracker

    @property
    def segmenter(self) -> Segmenter:
        """What makes masks."""
        return self._segmentation.segmenter

    @segmenter.setter
    def segmenter(self, segmenter: Segmenter) -> None:
        self._segmentation.segmenter = segmenter

    @property
    def object_ids(self) -> list[int]:
        """Ids of all objects, those included that wait for their frame; ascending."""
        return sorted({*self._objects, *(w.object_id for w in self._waiting)})

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
        self._check_known(object_id)
        self.apply([PromptRequest(prompt, object_id)], stamp=stamp)

    def apply(self, requests: Sequence[PromptRequest], *, stamp: int | None = None) -> list[int]:
        """Start objects and add points to objects, in one frame: all of it, or nothing.

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
        ids = self._ids_for(requests)
        frame = self._frame_for(stamp)
        starts = [object_id not in self.object_ids for object_id in ids]
        for request, object_id, start in zip(requests, ids, starts, strict=True):
            self._check_request(request, object_id, frame, start)
        undo: list[Callable[[], None]] = []
        with self._stages.ignore():
            try:
                for request, object_id, start in zip(requests, ids, starts, strict=True):
                    waits_for = [w for w in self._waiting if w.object_id == object_id and w.starts]
                    if waits_for or frame is None:
                        when = later(stamp, waits_for[0].stamp) if waits_for else stamp
                        self._waiting.append(_Waiting(request, object_id, when, start))
                    elif start:
                        undo.append(partial(self._drop, object_id))
                        self._start(request, object_id, frame)
                    else:
                        undo.append(self._extend(request.prompt, object_id, frame))
            except Exception:
                for step in reversed(undo):
                    step()
                raise
        self._used_ids.update(ids)
        return ids

    def _ids_for(self, requests: Sequence[PromptRequest]) -> list[int]:
        given = {request.object_id for request in requests}
        fresh = (i for i in itertools.count(1) if i not in self._used_ids and i not in given)
        ids = [next(fresh) if r.object_id is None else r.object_id for r in requests]
        if len(set(ids)) != len(ids):
            raise UserError(f"each object may be named once in a request, got {ids}")
        return ids

    def _check_request(
        self, request: PromptRequest, object_id: int, frame: Frame | None, starts: bool
    ) -> None:
        prompt = request.prompt
        if starts:
            if not prompt.starts_object:
                name = f" '{request.label}'" if request.label else ""
                which = (
                    f"object {object_id} is not tracked, and"
                    if request.object_id
                    else (f"a new object{name}")
                )
                raise UserError(f"{which} needs a positive point, a box or a mask to start from")
            if not 1 <= object_id <= MAX_OBJECT_ID:
                raise UserError(
                    f"an object id must be 1 to {MAX_OBJECT_ID}, got {object_id}; after a reset "
                    "ids begin at 1 again"
                )
        elif prompt.box is not None or prompt.mask is not None or len(prompt.points) == 0:
            raise UserError(f"object {object_id} exists: only points can be added to it")
        if frame is not None:
            prompt.check(frame)
            item = self._objects.get(object_id)
            if item is not None and frame.index < item.start:
                raise UserError(
                    f"object {object_id} starts later than the frame that was clicked on"
                )

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object; UnknownObjectError if there is no such one."""
        self._check_known(object_id)
        self._waiting = [w for w in self._waiting if w.object_id != object_id]
        self._drop(object_id)

    def _drop(self, object_id: int) -> None:
        item = self._objects.pop(object_id, None)
        for answered in self._past:  # its id may be used again
            answered.positives.pop(object_id, None)
        self.segmenter.forget(object_id)
        if item is not None:
            self._tracking.remove_points(item.points.ids)  # last, because a tracker may fail

    def _check_known(self, object_id: int) -> None:
        if object_id not in self.object_ids:
            known = ", ".join(map(str, self.object_ids)) or "none"
            raise UnknownObjectError(f"there is no object {object_id}; known are {known}")

    def _frame_for(self, stamp: int | None) -> Frame | None:
        """The frame that a prompt means; None if it has not come yet."""
        if len(self.history) == 0 or self._replaced:
            return None
        newest = self.history.newest
        if stamp is None:
            return newest
        check_ahead(stamp, newest)
        return None if stamp > newest.stamp else self.history.nearest(stamp)

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
        frame = self.history.append(image, stamp)
        self._segmentation.schedule.begin()
        answers = self._tracking.advance(frame, self._answered)
        # A tracker that has failed takes no points: they would be lost.
        if not answers or answers[-1].tracks is not None:
            self._start_waiting(frame)
        return self._results(answers)

    def replace_backends(self, tracker: PointTracker, segmenter: Segmenter) -> None:
        """Go on with others of the same kinds; the next frame is to be given to ``restart``.

        Prompts wait for that frame.
        """
        self.tracker = tracker
        self.segmenter = segmenter
        self._replaced = True

    def restart(self, image: np.ndarray, stamp: int, unseen: int = 0) -> list[TrackResult]:
        """Take a frame that may be of another size or kind: objects start anew from their masks.

        Their masks of the newest frame are scaled, or, where models have failed since, those of
        the last frame before. An object without one is forgotten, and ``problems`` says so. Where
        models fail in this frame objects wait for the next. Results that a windowed tracker owes
        are lost: flush first.

        Args:
            image: as for :meth:`process`.
            stamp: as for :meth:`process`.
            unseen: frames without a mask after which that of the last frame with one will do,
                whether models have failed in all of them or not.
        """
        size = Frame(image, stamp, 0).size  # UserError for what is no image
        unseen = max(unseen, self._problems.streak)
        known, again = self._objects, [w for w in self._waiting if w.mask is not None]
        last = {
            i: (item.label, item.last_mask(self._answered, unseen)) for i, item in known.items()
        }
        last |= {each.object_id: (each.request.label, each.mask) for each in again}
        starts = []
        for object_id, (label, mask) in sorted(last.items()):
            if mask is None or mask.resized(size).area == 0:
                self._problems.note(
                    f"object {object_id} was not seen when objects had to start again from their "
                    "masks, and is forgotten; click on it again"
                )
                continue
            request = PromptRequest(ObjectPrompt(), object_id, label)
            starts.append(_Waiting(request, object_id, None, starts=True, mask=mask))
        self._waiting = starts + [w for w in self._waiting if w.mask is None]
        self._begin()
        return self.process(image, stamp)

    def flush(self) -> list[TrackResult]:
        """At the end of the stream: the results that a windowed tracker still owes."""
        self._segmentation.schedule.begin()
        return self._results(self._tracking.flush(self._answered))

    def _results(self, answers: Sequence[TrackerAnswer]) -> list[TrackResult]:
        return [
            self._result(answer, self._segmentation.schedule.deadline(number))
            for number, answer in enumerate(answers)
        ]

    def _result(self, answer: TrackerAnswer, deadline: Deadline | None) -> TrackResult:
        index = answer.index
        frame = self.history.at(index)
        self._answered = index
        # In ascending order of id, so that it does not matter in which order they were added.
        items = [item for _, item in sorted(self._objects.items()) if item.start <= index]
        views = self._tracking.views(items, answer)
        positives = _positives(views, frame)
        prompts = self._prompts(views, frame, positives)
        # Without a prompt to ask for there is nothing to skip.
        asked = any(map(self._segmentation.asks, prompts))
        moved = (
            asked
            and not self._must_segment(views, prompts, index)
            and not self._segmentation.schedule.due(index, deadline)
        )
        self._past.append(_Answered(index, positives, moved))
        predict = partial(self._segmentation.predict_each, deadline=deadline)
        labels, objects = self._look(frame, views, prompts, None if moved else predict)
        skipped: tuple[str, ...] = (SEGMENTATION,) if moved else ()
        if asked and not moved:
            self._segmentation.schedule.segmented(index)
            skipped = (REFINEMENT,) if self._segmentation.shortened else ()
        if answer.tracks is not None:
            try:
                self._reinitialize(items)
            except Exception as error:  # the points that there are stay
                self._problems.note("points cannot be sampled anew", error)
        else:
            self._bound_windows(items)
        report = self._problems.report()
        return TrackResult(
            frame.index,
            frame.stamp,
            labels,
            tuple(objects),
            self._stages.take(),
            report.problems,
            skipped,
            failed=report.failed,
        )

    def _prompts(
        self, views: Sequence[ObjectView], frame: Frame, positives: Mapping[int, np.ndarray]
    ) -> list[Prompt]:
        """What the segmenter may be asked, one per view.

        Args:
            positives: the visible positive points of all objects in this frame, by id.
        """
        options = self.options
        others = positives if options.others_as_negatives else {}
        return [
            build_prompt(view, frame, others, options.max_others_negatives, options.seed)
            for view in views
        ]

    def _must_segment(
        self, views: Sequence[ObjectView], prompts: Sequence[Prompt], index: int
    ) -> bool:
        """Whether masks cannot do with being moved along in a frame.

        That is where there is none to move or it does not know of what was clicked since, and
        where points may be sampled anew: from masks that were moved errors would add up.
        """
        return any(
            self._segmentation.asks(prompt) and self._needs_mask(view.item, index)
            for view, prompt in zip(views, prompts, strict=True)
        )

    def _needs_mask(self, item: TrackedObject, index: int) -> bool:
        variant, window = self._reinitialization, item.window
        if item.anchor is None or item.anchor.index < window.informed <= index:
            return True
        return variant is not None and index - window.start >= variant.horizon - 1

    def _look(
        self,
        frame: Frame,
        views: Sequence[ObjectView],
        prompts: Sequence[Prompt],
        predict: _Predict | None,
    ) -> tuple[np.ndarray, list[ObjectResult]]:
        """Find the masks of objects in one frame, and remember what was seen.

        Args:
            prompts: one per view.
            predict: gives one prediction per prompt, None where it failed; without it masks are
                moved along.
        """
        options = self.options
        nothing = MaskPrediction.nothing(frame.size)
        with self._stages.measure("segmenter"):
            answers = (
                self._segmentation.move(frame, views, prompts)
                if predict is None
                else predict(frame, prompts)
            )
        predictions = [
            nothing if answer is None else _unless_lost(view.item, answer)
            for view, answer in zip(views, answers, strict=True)
        ]
        ids = [view.item.object_id for view in views]
        labels, masks = resolve_overlaps(predictions, ids, frame.size)
        results = []
        for view, answer, prediction, mask in zip(views, answers, predictions, masks, strict=True):
            item = view.item
            item.observe(
                frame.index,
                mask,
                None if answer is None else prediction,
                moved=predict is None,
                remember=self._reinitialization is not None,
            )
            unseen = frame.index - item.last_seen
            results.append(
                ObjectResult(
                    item.object_id,
                    item.label,
                    _state(mask, item.lost or unseen > options.lost_after),
                    float(prediction.score) if mask.area else 0.0,
                    mask,
                    view.tracks,
                    view.labels,
                    age=frame.index - item.start,
                    frames_since_seen=unseen,
                )
            )
        return labels, results

    # --- starting and restarting ----------------------------------------------------------

    def _start_waiting(self, frame: Frame) -> None:
        """Use the prompts whose frame has come; note why others of them cannot be used."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            try:
                ahead = each.stamp is not None and each.stamp > frame.stamp
                if each.stamp is not None and ahead:
                    check_ahead(each.stamp, frame)
                # What is added to an object that cannot start again waits with it.
                if ahead or any(w.object_id == each.object_id and w.mask for w in self._waiting):
                    self._waiting.append(each)
                else:
                    self._use(each, frame)
            except Exception as error:  # one object must not cost the others their frame
                if each.starts:
                    self._drop(each.object_id)
                failed = not isinstance(error, UserError)
                if each.mask is None:
                    self._problems.note(f"click refused: object {each.object_id}", error, failed)
                    continue
                self._problems.note(f"object {each.object_id} cannot start again", error, failed)
                if failed:
                    self._waiting.append(each)

    def _use(self, waiting: _Waiting, frame: Frame) -> None:
        object_id = waiting.object_id
        if not waiting.starts and object_id not in self._objects:
            raise UserError("it was not started, so nothing can be added to it")
        if waiting.stamp is not None and frame.index == 0:
            check_behind(waiting.stamp, frame)
        request = waiting.request
        if waiting.mask is not None:
            mask = waiting.mask.resized(frame.size).full()
            request = replace(request, prompt=ObjectPrompt(mask=mask))
        self._check_request(request, object_id, frame, waiting.starts)
        if waiting.starts:
            self._start(request, object_id, frame)
        else:
            self._extend(request.prompt, object_id, frame)

    def _start(self, request: PromptRequest, object_id: int, frame: Frame) -> None:
        """Start an object; where models find no room caches are emptied, and it is tried again."""
        try:
            return self._start_once(request, object_id, frame)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Only now nothing holds what the models had allocated any more.
        self._drop(object_id)
        free_memory()
        self._start_once(request, object_id, frame)

    def _start_once(self, request: PromptRequest, object_id: int, frame: Frame) -> None:
        prompt = request.prompt
        rng = np.random.default_rng([self.options.seed, object_id])
        mask = self._first_mask(prompt, object_id, frame)
        positives = prompt.points[prompt.labels == POSITIVE]
        negatives = prompt.points[prompt.labels == NEGATIVE]
        sampled, beside = self._sample(mask, frame, rng) if mask is not None else _NO_SAMPLES
        sampled = sampled[: max(self.options.positive_points - len(positives), 0)]
        if len(positives) + len(sampled) == 0:
            raise UserError("nothing was found in the box; click on the object, or draw its mask")
        xy = np.concatenate([positives, sampled, negatives, beside])
        labels = np.full(len(xy), NEGATIVE, np.int32)
        labels[: len(positives) + len(sampled)] = POSITIVE
        ids = self._tracking.add_points(xy, frame)
        clicked = len(positives) + len(sampled) + np.arange(len(negatives))
        item = TrackedObject(
            object_id,
            request.label,
            frame.index,
            prompt,
            rng,
            MaskWindow(frame.index, first=True),
            last_seen=frame.index - 1,
            seen=None if prompt.mask is None else CroppedMask.cut(prompt.mask, (0, 0), frame.size),
            points=PointSet.starting(ids, labels, frame.index),
            user_negatives=ids[clicked],
        )
        self._objects[object_id] = item
        self._catch_up([item], self._answered, self._segmentation.predict)

    def _first_mask(self, prompt: ObjectPrompt, object_id: int, frame: Frame) -> np.ndarray | None:
        """The mask to sample from, ``bool (H, W)``; None to track just the given points."""
        if prompt.mask is not None:
            return prompt.mask
        enough = (prompt.labels == POSITIVE).sum() >= self.options.positive_points
        if prompt.box is None and (enough or not self.options.click_expansion):
            return None
        asked = Prompt(object_id, prompt.points, prompt.labels, box=prompt.box)
        return self._segmentation.propose(frame, asked).mask

    def _sample(
        self, mask: np.ndarray, frame: Frame, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """New query points on the mask and beside it."""
        options = self.options
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

    def _extend(self, prompt: ObjectPrompt, object_id: int, frame: Frame) -> Callable[[], None]:
        """Add clicked points to an object; what takes them away again."""
        item = self._objects[object_id]
        before = item.snapshot()
        ids = self._tracking.add_points(prompt.points, frame)
        item.add_clicked_points(ids, prompt.labels, frame.index)
        item.inform(max(frame.index, self._answered + 1))

        def undo() -> None:
            item.restore(before)
            self._tracking.remove_points(ids)

        return undo

    def _catch_up(self, items: Sequence[TrackedObject], until: int, predict: _Predict) -> None:
        """Look at objects in the frames from the end of their windows to ``until``.

        The results of these frames stay as they were published; the objects then stand as if they
        had had their points in time.

        Args:
            items: objects that catch up from the same frame.
            until: index of a frame that was answered.
            predict: as for ``_look``; it is not asked where others' masks were moved along, too.
        """
        first = items[0].window.newest + 1
        for index in range(first, until + 1):
            frame = self.history.at(index)
            views = [self._tracking.view(item, PointTracks.empty(index)) for item in items]
            answered = self._answered_in(frame)
            positives = answered.positives | _positives(views, frame)
            prompts = self._prompts(views, frame, positives)
            moved = answered.moved and not self._must_segment(views, prompts, index)
            self._look(frame, views, prompts, None if moved else predict)
            self._reinitialize(items)

    def _answered_in(self, frame: Frame) -> _Answered:
        for answered in self._past:
            if answered.index == frame.index:
                return answered
        return _Answered(frame.index, {}, moved=False)

    def _reinitialize(self, items: Sequence[TrackedObject]) -> None:
        """Sample new points on the objects whose windows end now."""
        reinitialization = self._reinitialization
        if reinitialization is None or not items:
            return
        until = self._clock() + (self.options.catch_up_budget or math.inf)
        with self._stages.measure("reinitialization"):
            windows = {item.object_id: item.unmoved_window for item in items}
            together: dict[int, list[TrackedObject]] = {}
            for object_id, index in reinitialization.choose(windows).items():
                item = self._objects[object_id]
                if index is not None:
                    together.setdefault(index, []).append(item)
                    continue
                if reinitialization.lost(item.window):
                    self.counters.lost += not item.lost
                    item.give_up()
                item.keep_points()
            over_budget = self.counters.over_budget
            for index, group in sorted(together.items()):
                self._restart_at(index, group, until)
            if self.counters.over_budget > over_budget and self._catch_up_seconds is not None:
                self._catch_up_seconds *= _FORGIVEN

    def _bound_windows(self, items: Sequence[TrackedObject]) -> None:
        """Begin new windows where nothing else ends them, because the tracker fails."""
        for item in items:
            if len(item.window.masks) >= self.options.history_length:
                item.keep_points()

    def _restart_at(self, index: int, items: Sequence[TrackedObject], until: float) -> None:
        """Replace objects' points by new ones from their masks in a frame, and catch up.

        Args:
            index: of that frame.
            items: objects with a mask in it.
            until: when the next frame is due, on the pipeline's clock.
        """
        newest = items[0].window.newest
        late = self._too_late(newest - index, until)
        begin, self._sampling_seconds = self._clock(), 0.0
        begun = []
        for item in items:
            try:
                if not late:
                    self._begin_window(item, index)
                elif item.window.mask_at(newest).area > MINIMUM_AREA:
                    self._begin_window(item, newest)
                    self.counters.over_budget += 1
                else:
                    item.keep_points()
                begun.append(item)
            except Exception as error:  # one object must not cost the others their points
                item.keep_points()
                self._problems.note(
                    f"object {item.object_id}: points cannot be sampled anew", error
                )
        if late or index == newest or not begun:
            return
        if not self.segmenter.has_memory:
            self._look_again(begun, index, newest)
        elapsed = self._clock() - begin - self._sampling_seconds
        self._catch_up_seconds = elapsed / (newest - index)

    def _look_again(self, items: Sequence[TrackedObject], index: int, newest: int) -> None:
        """Predict the masks since a restart anew; if that fails, those that there were stay."""
        published = [item.snapshot() for item in items]
        for item in items:
            item.rewind(index)
        try:
            self._catch_up(items, newest, self._segmentation.predict_each)
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

    def _begin_window(self, item: TrackedObject, index: int) -> None:
        """Replace an object's points by new ones, sampled from its mask in a frame."""
        frame = self.history.at(index)
        mask = item.window.mask_at(index)
        begin = self._clock()
        positives, negatives = self._sample(mask.full(), frame, item.rng)
        self._sampling_seconds += self._clock() - begin
        kept = item.points.where(np.isin(item.points.ids, self._kept_negatives(item, frame, mask)))
        leaving = np.setdiff1d(item.points.ids, kept.ids)
        xy = np.concatenate([positives, negatives])
        ids = self._tracking.replace_points(leaving, xy, frame)
        labels = np.full(len(ids), NEGATIVE, np.int32)
        labels[: len(positives)] = POSITIVE
        item.resample(PointSet.starting(ids, labels, index), kept, index)
        self.counters.restarts += 1

    def _kept_negatives(self, item: TrackedObject, frame: Frame, mask: CroppedMask) -> np.ndarray:
        """The clicked negatives that are still good: visible, and not on the mask."""
        clicked = item.points.where(np.isin(item.points.ids, item.user_negatives))
        tracks = self._tracking.recall(clicked.until(frame.index).ids, frame.index)
        good = shown(tracks, frame.size)
        columns, rows = np.rint(tracks.xy[good]).astype(np.int64).T
        height, width = frame.size
        good[good] = ~mask.full()[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return tracks.ids[good]


_NO_SAMPLES = (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))


def _positives(views: Sequence[ObjectView], frame: Frame) -> dict[int, np.ndarray]:
    """The visible positive points of objects, by id."""
    return {
        view.item.object_id: visible_positives(view.tracks, view.labels, frame.size)
        for view in views
    }


def _state(mask: CroppedMask, lost: bool) -> ObjectState:
    if mask.area:
        return ObjectState.TRACKING
    return ObjectState.LOST if lost else ObjectState.OCCLUDED


def _unless_lost(item: TrackedObject, prediction: MaskPrediction) -> MaskPrediction:
    """An object that was lost is seen again when there is a mask that can be sampled from."""
    if item.lost and np.count_nonzero(prediction.logits > 0) <= MINIMUM_AREA:
        return MaskPrediction.nothing(prediction.image_size)
    return prediction
