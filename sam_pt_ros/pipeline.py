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
from sam_pt_ros.masks import MAX_OBJECT_ID, CroppedMask, resolve_overlaps
from sam_pt_ros.objects import (
    NEGATIVE,
    POSITIVE,
    ObjectPrompt,
    ObjectResult,
    ObjectState,
    PointSet,
    PromptRequest,
    TrackedObject,
    TrackResult,
    View,
)
from sam_pt_ros.patch_filter import PatchFilter
from sam_pt_ros.pipeline_options import SamPtOptions
from sam_pt_ros.point_selection import select_points
from sam_pt_ros.prompting import build_prompt, shown, visible_positives
from sam_pt_ros.reinitialization import (
    MINIMUM_AREA,
    Window,
    create_reinitialization,
)
from sam_pt_ros.segmenters.base import MaskPrediction, Prompt, Segmenter
from sam_pt_ros.stages import Stages
from sam_pt_ros.trackers.base import PointTracker, PointTracks

__all__ = ["MAX_APART", "Counters", "SamPt", "SamPtOptions"]

MAX_APART = 10_000_000_000
"""A prompt may be so many nanoseconds ahead of the newest frame, or before the first; it waits for
its frame. More means that the clocks do not agree."""


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


_Predict = Callable[[Frame, Sequence[Prompt]], list[MaskPrediction]]

_FORGIVEN = 0.8
"""What catching up takes counts so much less after each frame in which it was not tried."""


class SamPt:
    """Tracks objects through one stream of frames.

    Objects are started by :meth:`add_object` in the newest frame, in an earlier one that is
    still in the history (they catch up at once), or in one that has not come yet (they wait
    for it). :meth:`process` takes the next frame. Not thread-safe; deterministic: the same
    calls give the same results.
    """

    def __init__(
        self, tracker: PointTracker, segmenter: Segmenter, options: SamPtOptions | None = None
    ) -> None:
        self.tracker = tracker
        self.segmenter = segmenter
        self.options = options or SamPtOptions()
        late = tracker.lag(tracker.options)
        self._reinitialization = create_reinitialization(
            self.options.reinitialization, self.options.reinitialization_horizon
        )
        horizon = 1 if self._reinitialization is None else self._reinitialization.horizon
        if self.options.history_length < late + horizon:
            lag = f" and {late} frames by which the tracker may answer late" if late else ""
            raise UserError(
                f"'history_length' must be at least {late + horizon}: the "
                f"'reinitialization_horizon', within which points may be sampled anew{lag}; got "
                f"{self.options.history_length}"
            )
        self.history = FrameHistory(self.options.history_length)
        self.reset()

    def reset(self) -> None:
        """Forget all frames and objects; ids begin again at 1."""
        self._waiting: list[_Waiting] = []
        self._used_ids: set[int] = set()
        self._problems: list[str] = []
        self.counters = Counters()
        self._begin()

    def _begin(self) -> None:
        """Begin a new stream without objects."""
        self.history.clear()
        self.tracker.reset(self.history)
        self.segmenter.reset()
        self._objects: dict[int, TrackedObject] = {}
        self._answered = -1  # index of the newest frame that has a result
        # What catching up must know of the past frames, by index: all visible positives.
        self._past: deque[tuple[int, dict[int, np.ndarray]]] = deque(
            maxlen=self.options.history_length
        )
        self._stages = Stages()
        self._catch_up_seconds: float | None = None  # per frame, the last time
        self._sampling_seconds = 0.0  # which do not depend on how many frames there are
        self._patches = PatchFilter(self.options.patch_size, self.options.patch_similarity)

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
        try:
            for request, object_id, start in zip(requests, ids, starts, strict=True):
                waits_for = [w for w in self._waiting if w.object_id == object_id and w.starts]
                if waits_for or frame is None:
                    when = _later(stamp, waits_for[0].stamp) if waits_for else stamp
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
                raise UserError(
                    f"object {object_id} is not tracked, and needs a positive point, a box or a "
                    "mask to start from"
                )
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
        if item is not None:
            self._remove_points(item.points.ids)
        for _, positives in self._past:  # its id may be used again
            positives.pop(object_id, None)
        self.segmenter.forget(object_id)

    def _check_known(self, object_id: int) -> None:
        if object_id not in self.object_ids:
            known = ", ".join(map(str, self.object_ids)) or "none"
            raise UnknownObjectError(f"there is no object {object_id}; known are {known}")

    def _frame_for(self, stamp: int | None) -> Frame | None:
        """The frame that a prompt means; None if it has not come yet."""
        if len(self.history) == 0:
            return None
        newest = self.history.newest
        if stamp is None:
            return newest
        _check_ahead(stamp, newest)
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
        answers = self._answers(partial(self.tracker.advance, frame))
        self._start_waiting(frame)
        return [self._result(index, tracks) for index, tracks in answers]

    def restart(self, image: np.ndarray, stamp: int) -> list[TrackResult]:
        """Take a frame of another size: a new stream, in which objects start from their masks.

        Their masks of the newest frame are scaled. An object without one is forgotten, and
        ``problems`` says so. Results that a windowed tracker owes are lost: flush first.

        For arguments, results and errors see :meth:`process`.
        """
        size = Frame(image, stamp, 0).size  # UserError for what is no image
        known, self._objects = self._objects, {}
        starts = []
        for object_id, item in sorted(known.items()):
            mask = None if item.mask is None else item.mask.resized(size)
            if mask is None or mask.area == 0:
                self._problems.append(
                    f"object {object_id} was not seen when the image size changed, and is "
                    "forgotten; click on it again"
                )
                continue
            request = PromptRequest(ObjectPrompt(mask=mask.full()), object_id, item.label)
            starts.append(_Waiting(request, object_id, None, starts=True))
        self._waiting = starts + self._waiting
        self._begin()
        return self.process(image, stamp)

    def flush(self) -> list[TrackResult]:
        """At the end of the stream: the results that a windowed tracker still owes."""
        return [self._result(index, tracks) for index, tracks in self._answers(self.tracker.flush)]

    def _answers(
        self, ask: Callable[[], list[PointTracks]]
    ) -> list[tuple[int, PointTracks | None]]:
        """What the tracker answers, by frame; None for all that it owes if it fails."""
        try:
            with self._stages.measure("tracker"):
                return [(t.index, t) for t in ask() if t.index > self._answered]
        except Exception as error:
            self._note("points cannot be tracked", error)
            return [(i, None) for i in range(self._answered + 1, self.history.newest.index + 1)]

    def _result(self, index: int, tracks: PointTracks | None) -> TrackResult:
        frame = self.history.at(index)
        self._answered = index
        # In ascending order of id, so that it does not matter in which order they were added.
        items = [item for _, item in sorted(self._objects.items()) if item.start <= index]
        if tracks is None:
            views = [View.blind(item, index) for item in items]
        else:
            views = [self._view(item, tracks) for item in items]
        positives = _positives(views, frame)
        self._past.append((index, positives))
        labels, objects = self._look(frame, views, positives, self._predict_each)
        if tracks is not None:
            try:
                self._reinitialize(items)
            except Exception as error:  # the points that there are stay
                self._note("points cannot be sampled anew", error)
        stages, self._stages = self._stages, Stages()
        problems, self._problems = self._problems, []
        result = TrackResult(
            frame.index,
            frame.stamp,
            labels,
            tuple(objects),
            stages.milliseconds,
            tuple(problems),
        )
        return result

    def _note(self, what: str, error: Exception) -> None:
        """Have the next result say what went wrong."""
        reason = error if isinstance(error, UserError) else repr(error)
        self._problems.append(f"{what}: {reason}")

    def _view(self, item: TrackedObject, answer: PointTracks) -> View:
        """An object's points in the frame that the tracker has answered for."""
        points = item.points.until(answer.index)
        tracks = self.tracker.tracks_of(points.ids, answer)
        if self.options.patch_filter:
            tracks = self._patches.apply(tracks, self.history.at(answer.index))
        return View(item, tracks, points.labels)

    def _add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        ids = self.tracker.add_points(xy, frame)
        if self.options.patch_filter:
            self._patches.add(ids, xy, frame)
        return ids

    def _replace_points(self, leaving: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        ids = self.tracker.replace_points(leaving, xy, frame)
        if self.options.patch_filter:
            self._patches.add(ids, xy, frame)
            self._patches.remove(leaving)
        return ids

    def _remove_points(self, ids: np.ndarray) -> None:
        self.tracker.remove_points(ids)
        self._patches.remove(ids)

    def _look(
        self,
        frame: Frame,
        views: Sequence[View],
        positives: Mapping[int, np.ndarray],
        predict: _Predict,
    ) -> tuple[np.ndarray, list[ObjectResult]]:
        """Segment objects in one frame, and remember what was seen.

        Args:
            positives: the visible positive points of all objects in this frame, by id.
            predict: gives one prediction per prompt.
        """
        options = self.options
        others = positives if options.others_as_negatives else {}
        prompts = [
            build_prompt(view, frame, others, options.max_others_negatives, options.seed)
            for view in views
        ]
        with self._stages.measure("segmenter"):
            predictions = predict(frame, prompts)
        predictions = [
            _unless_lost(view.item, prediction)
            for view, prediction in zip(views, predictions, strict=True)
        ]
        ids = [view.item.object_id for view in views]
        labels, masks = resolve_overlaps(predictions, ids, frame.size)
        results = []
        for view, prediction, mask in zip(views, predictions, masks, strict=True):
            item = view.item
            item.mask = mask
            if mask.area:
                item.last_seen = max(item.last_seen, frame.index)
                item.lost = False
            if self._reinitialization is not None:
                item.window.record(frame.index, mask)
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

    def _predict(self, frame: Frame, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        asked = [
            prompt
            for prompt in prompts
            if not self.options.require_positive
            or prompt.mask is not None
            or (prompt.labels == POSITIVE).any()
        ]
        if not asked:
            return [MaskPrediction.nothing(frame.size) for _ in prompts]
        self.segmenter.set_image(frame)
        answers = {
            prompt.object_id: prediction
            for prompt, prediction in zip(asked, self.segmenter.predict(asked), strict=True)
        }
        nothing = MaskPrediction.nothing(frame.size)
        return [answers.get(prompt.object_id, nothing) for prompt in prompts]

    def _predict_each(self, frame: Frame, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Like ``_predict``, but an object that it fails on is not seen; the others are."""
        try:
            return self._predict(frame, prompts)
        except Exception as error:
            if len(prompts) > 1:
                return [self._predict_each(frame, [prompt])[0] for prompt in prompts]
            self._note(f"object {prompts[0].object_id} cannot be segmented", error)
            return [MaskPrediction.nothing(frame.size)]

    # --- starting and restarting ----------------------------------------------------------

    def _start_waiting(self, frame: Frame) -> None:
        """Use the prompts whose frame has come; note why others of them cannot be used."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            try:
                if each.stamp is not None and each.stamp > frame.stamp:
                    _check_ahead(each.stamp, frame)
                    self._waiting.append(each)
                else:
                    self._use(each, frame)
            except Exception as error:  # one object must not cost the others their frame
                if each.starts:
                    self._drop(each.object_id)
                self._note(f"click refused: object {each.object_id}", error)

    def _use(self, waiting: _Waiting, frame: Frame) -> None:
        object_id = waiting.object_id
        if not waiting.starts and object_id not in self._objects:
            raise UserError("it was not started, so nothing can be added to it")
        if waiting.stamp is not None and frame.index == 0:
            _check_behind(waiting.stamp, frame)
        self._check_request(waiting.request, object_id, frame, waiting.starts)
        if waiting.starts:
            self._start(waiting.request, object_id, frame)
        else:
            self._extend(waiting.request.prompt, object_id, frame)

    def _start(self, request: PromptRequest, object_id: int, frame: Frame) -> None:
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
        ids = self._add_points(xy, frame)
        clicked = len(positives) + len(sampled) + np.arange(len(negatives))
        item = TrackedObject(
            object_id,
            request.label,
            frame.index,
            prompt,
            rng,
            Window(frame.index, first=True),
            last_seen=frame.index - 1,
            points=PointSet.starting(ids, labels, frame.index),
            user_negatives=ids[clicked],
        )
        self._objects[object_id] = item
        self._catch_up([item], self._answered, self._predict)

    def _first_mask(self, prompt: ObjectPrompt, object_id: int, frame: Frame) -> np.ndarray | None:
        """The mask to sample from, ``bool (H, W)``; None to track just the given points."""
        if prompt.mask is not None:
            return prompt.mask
        enough = (prompt.labels == POSITIVE).sum() >= self.options.positive_points
        if prompt.box is None and (enough or not self.options.click_expansion):
            return None
        asked = Prompt(object_id, prompt.points, prompt.labels, box=prompt.box)
        self.segmenter.set_image(frame)
        (prediction,) = self.segmenter.propose([asked])
        return prediction.mask

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
        before = item.points, item.user_negatives, item.lost, item.window
        ids = self._add_points(prompt.points, frame)
        item.points = item.points + PointSet.starting(ids, prompt.labels, frame.index)
        item.user_negatives = np.concatenate([item.user_negatives, ids[prompt.labels == NEGATIVE]])
        item.lost = False
        # Not to sample from a mask that does not know of these points.
        item.window = replace(item.window, informed=max(frame.index, item.window.newest + 1))

        def undo() -> None:
            item.points, item.user_negatives, item.lost, item.window = before
            self._remove_points(ids)

        return undo

    def _catch_up(self, items: Sequence[TrackedObject], until: int, predict: _Predict) -> None:
        """Look at objects in the frames from the end of their windows to ``until``.

        The results of these frames stay as they were published; the objects then stand as if they
        had had their points in time.

        Args:
            items: objects that catch up from the same frame.
            until: index of a frame that was answered.
            predict: as for ``_look``.
        """
        first = items[0].window.newest + 1
        for index in range(first, until + 1):
            frame = self.history.at(index)
            views = [self._view(item, PointTracks.empty(index)) for item in items]
            positives = self._past_positives(frame) | _positives(views, frame)
            self._look(frame, views, positives, predict)
            self._reinitialize(items)

    def _past_positives(self, frame: Frame) -> dict[int, np.ndarray]:
        for index, positives in self._past:
            if index == frame.index:
                return positives
        return {}

    def _reinitialize(self, items: Sequence[TrackedObject]) -> None:
        """Sample new points on the objects whose windows end now."""
        reinitialization = self._reinitialization
        if reinitialization is None or not items:
            return
        until = time.perf_counter() + (self.options.catch_up_budget or math.inf)
        with self._stages.measure("reinitialization"):
            windows = {item.object_id: item.window for item in items}
            together: dict[int, list[TrackedObject]] = {}
            for object_id, index in reinitialization.choose(windows).items():
                item = self._objects[object_id]
                if index is not None:
                    together.setdefault(index, []).append(item)
                    continue
                if reinitialization.lost(item.window):
                    self.counters.lost += not item.lost
                    item.lost = True
                self._keep_points(item)
            over_budget = self.counters.over_budget
            for index, group in sorted(together.items()):
                self._restart_at(index, group, until)
            if self.counters.over_budget > over_budget and self._catch_up_seconds is not None:
                self._catch_up_seconds *= _FORGIVEN

    def _restart_at(self, index: int, items: Sequence[TrackedObject], until: float) -> None:
        """Replace objects' points by new ones from their masks in a frame, and catch up.

        Args:
            index: of that frame.
            items: objects with a mask in it.
            until: when the next frame is due, on the clock of ``time.perf_counter``.
        """
        newest = items[0].window.newest
        late = self._too_late(newest - index, until)
        begin, self._sampling_seconds = time.perf_counter(), 0.0
        begun = []
        for item in items:
            try:
                if not late:
                    self._begin_window(item, index)
                elif item.window.mask_at(newest).area > MINIMUM_AREA:
                    self._begin_window(item, newest)
                    self.counters.over_budget += 1
                else:
                    self._keep_points(item)
                begun.append(item)
            except Exception as error:  # one object must not cost the others their points
                self._keep_points(item)
                self._note(f"object {item.object_id}: points cannot be sampled anew", error)
        if late or index == newest or not begun:
            return
        if not self.segmenter.has_memory:
            self._look_again(begun, index, newest)
        elapsed = time.perf_counter() - begin - self._sampling_seconds
        self._catch_up_seconds = elapsed / (newest - index)

    def _look_again(self, items: Sequence[TrackedObject], index: int, newest: int) -> None:
        """Predict the masks since a restart anew; if that fails, those that there were stay."""
        published = [item.window for item in items]
        for item in items:
            item.window = Window(index)
        try:
            self._catch_up(items, newest, self._predict_each)
        except Exception as error:
            for item, window in zip(items, published, strict=True):
                item.window = window
            self._note("points cannot catch up", error)

    def _too_late(self, frames: int, until: float) -> bool:
        """Whether catching up with so many frames would end after the next one is due."""
        known = self._catch_up_seconds
        if frames == 0 or known is None:
            return False
        return time.perf_counter() + known * frames > until

    def _keep_points(self, item: TrackedObject) -> None:
        """Begin a new window with the old points."""
        item.window = item.window.since(item.window.newest)

    def _begin_window(self, item: TrackedObject, index: int) -> None:
        """Replace an object's points by new ones, sampled from its mask in a frame."""
        frame = self.history.at(index)
        mask = item.window.mask_at(index)
        begin = time.perf_counter()
        positives, negatives = self._sample(mask.full(), frame, item.rng)
        self._sampling_seconds += time.perf_counter() - begin
        kept = item.points.where(np.isin(item.points.ids, self._kept_negatives(item, frame, mask)))
        leaving = np.setdiff1d(item.points.ids, kept.ids)
        xy = np.concatenate([positives, negatives])
        ids = self._replace_points(leaving, xy, frame)
        labels = np.full(len(ids), NEGATIVE, np.int32)
        labels[: len(positives)] = POSITIVE
        item.points = PointSet.starting(ids, labels, index) + kept
        item.user_negatives = kept.ids
        item.window = item.window.since(index)
        self.counters.restarts += 1

    def _kept_negatives(self, item: TrackedObject, frame: Frame, mask: CroppedMask) -> np.ndarray:
        """The clicked negatives that are still good: visible, and not on the mask."""
        clicked = item.points.where(np.isin(item.points.ids, item.user_negatives))
        tracks = self.tracker.recall(clicked.until(frame.index).ids, frame.index)
        if self.options.patch_filter:
            tracks = self._patches.apply(tracks, frame)
        good = shown(tracks, frame.size)
        columns, rows = np.rint(tracks.xy[good]).astype(np.int64).T
        height, width = frame.size
        good[good] = ~mask.full()[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return tracks.ids[good]


_CLOCKS = "check that the clocks agree, or use stamp 0 for the newest frame"
_NO_SAMPLES = (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))


def _positives(views: Sequence[View], frame: Frame) -> dict[int, np.ndarray]:
    """The visible positive points of objects, by id."""
    return {
        view.item.object_id: visible_positives(view.tracks, view.labels, frame.size)
        for view in views
    }


def _check_ahead(stamp: int, newest: Frame) -> None:
    if stamp > newest.stamp + MAX_APART:
        raise UserError(
            f"the stamp {stamp} ns is {(stamp - newest.stamp) * 1e-9:.1f} s ahead of the newest "
            f"frame; {_CLOCKS}"
        )


def _check_behind(stamp: int, first: Frame) -> None:
    if stamp < first.stamp - MAX_APART:
        raise UserError(
            f"the stamp {stamp} ns is {(first.stamp - stamp) * 1e-9:.1f} s older than the first "
            f"frame; {_CLOCKS}"
        )


def _later(one: int | None, other: int | None) -> int | None:
    """The later of two stamps; None, the next frame, is before all others."""
    return other if one is None else one if other is None else max(one, other)


def _state(mask: CroppedMask, lost: bool) -> ObjectState:
    if mask.area:
        return ObjectState.TRACKING
    return ObjectState.LOST if lost else ObjectState.OCCLUDED


def _unless_lost(item: TrackedObject, prediction: MaskPrediction) -> MaskPrediction:
    """An object that was lost is seen again when there is a mask that can be sampled from."""
    if item.lost and np.count_nonzero(prediction.logits > 0) <= MINIMUM_AREA:
        return MaskPrediction.nothing(prediction.image_size)
    return prediction
