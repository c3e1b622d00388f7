"""The objects of a stream: started, extended, dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import NO_OBJECT, CroppedMask, MaskPrediction
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt, PromptRequest
from sam_pt_ros.pipeline.changes import Changes
from sam_pt_ros.pipeline.observation import Predict
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.problems import Problems
from sam_pt_ros.pipeline.reinitialization import MaskWindow
from sam_pt_ros.pipeline.restarts import Restarts
from sam_pt_ros.pipeline.segmentation import Segmentation
from sam_pt_ros.pipeline.tracked_object import PointSet, TrackedObject
from sam_pt_ros.pipeline.tracking import Tracking
from sam_pt_ros.segmenters.base import SAMPLED, Prompt
from sam_pt_ros.weights.memory import free_memory, is_out_of_memory


class Roster:
    """The objects that are tracked, by id.

    Args:
        options: of the pipeline.
        changes: remembers what can be undone.
        tracking: tracks their points.
        segmentation: finds what a click means.
        restarts: samples their first points, and lets them catch up.
        problems: collects why an object cannot catch up.
    """

    def __init__(
        self,
        options: SamPtOptions,
        changes: Changes,
        tracking: Tracking,
        segmentation: Segmentation,
        restarts: Restarts,
        problems: Problems,
    ) -> None:
        self._options = options
        self._changes = changes
        self._tracking = tracking
        self._segmentation = segmentation
        self._restarts = restarts
        self._problems = problems
        self.clear()

    def clear(self) -> None:
        """Forget all objects."""
        self._objects: dict[int, TrackedObject] = {}
        # Those that were started in a past frame and have not caught up with the newest yet, with
        # the index of the first frame that they have not been observed in.
        self._late: dict[int, int] = {}
        self._changes.clear()
        self._superseded: list[np.ndarray] = []  # ids of points of objects that started anew

    @property
    def ids(self) -> list[int]:
        """Ids of all objects, ascending."""
        return sorted(self._objects)

    def get(self, object_id: int) -> TrackedObject | None:
        """The object of an id, or None if it has not been started."""
        return self._objects.get(object_id)

    def started_by(self, index: int) -> list[TrackedObject]:
        """The objects that a frame shows, by ascending id; not those that are late.

        Results must not depend on the order in which objects were started.
        """
        return [
            item
            for object_id, item in sorted(self._objects.items())
            if item.start <= index and object_id not in self._late
        ]

    def last_masks(self, newest: int, unseen: int) -> dict[int, tuple[str, CroppedMask | None]]:
        """Label and last mask of each object, by id; see :meth:`TrackedObject.last_mask`.

        Late objects have none: where they were in the past frame that they have reached is not
        where they are.
        """
        return {
            object_id: (
                item.label,
                None if object_id in self._late else item.last_mask(newest, unseen),
            )
            for object_id, item in self._objects.items()
        }

    def start(self, request: PromptRequest, object_id: int, frame: Frame) -> None:
        """Start an object; if models run out of memory, empty their caches and try once more.

        Raises:
            UserError: nothing was found in the box.
        """
        try:
            return self._start_once(request, object_id, frame)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler nothing holds what the models had allocated any more.
        self.drop(object_id)
        free_memory()
        self._start_once(request, object_id, frame)

    def _start_once(self, request: PromptRequest, object_id: int, frame: Frame) -> None:
        prompt = request.prompt
        rng = np.random.default_rng([self._options.seed, object_id])
        mask = self._first_mask(prompt, object_id, frame)
        positives = prompt.points[prompt.labels == POSITIVE]
        negatives = prompt.points[prompt.labels == NEGATIVE]
        nothing = np.zeros((0, 2), np.float32)
        sampled, beside = (
            (nothing, nothing) if mask is None else self._restarts.sample(mask, frame, rng)
        )
        sampled = sampled[: max(self._options.positive_points - len(positives), 0)]
        if len(positives) + len(sampled) == 0:
            raise UserError("nothing was found in the box; click on the object, or draw its mask")
        xy = np.concatenate([positives, sampled, negatives, beside])
        labels = np.full(len(xy), NEGATIVE, np.int32)
        labels[: len(positives) + len(sampled)] = POSITIVE
        ids = self._tracking.add_points(xy, frame, late=self._restarts.budget > 0)
        groups = [len(each) for each in (positives, sampled, negatives, beside)]
        gestures = np.repeat([0, SAMPLED, 0, SAMPLED], groups)
        item = TrackedObject(
            object_id,
            request.label,
            frame.index,
            prompt,
            rng,
            MaskWindow(frame.index, first=True),
            last_seen=frame.index - 1,
            seen=None if prompt.mask is None else CroppedMask.cut(prompt.mask, (0, 0), frame.size),
            points=PointSet(ids, labels, np.full(len(ids), frame.index), gestures),
        )
        self._objects[object_id] = item
        self._late[object_id] = frame.index
        self._catch_up(object_id, self._segmentation.predict)

    def catch_up(self) -> None:
        """Have late objects catch up, before the next frame; one that cannot is dropped."""
        self._changes.prune()
        self._restarts.begin_frame()
        for object_id in list(self._late):
            try:
                self._catch_up(object_id, self._segmentation.predict_each)
            except Exception as error:  # one object must not cost the others their frame
                self._problems.note(f"object {object_id} cannot catch up, and was dropped", error)
                self.drop(object_id)

    def _catch_up(self, object_id: int, predict: Predict) -> None:
        item, first = self._objects[object_id], self._late[object_id]
        self._late[object_id] = self._restarts.catch_up_late(item, first, predict)
        if self._late[object_id] > self._restarts.answered.newest:
            del self._late[object_id]

    def _first_mask(self, prompt: ObjectPrompt, object_id: int, frame: Frame) -> np.ndarray | None:
        """The mask to sample from, ``bool (H, W)``; None to track only the given points."""
        if prompt.mask is not None:
            return prompt.mask
        enough = (prompt.labels == POSITIVE).sum() >= self._options.positive_points
        if prompt.box is None and (enough or not self._options.click_expansion):
            return None
        return self._segmentation.propose(frame, _first_prompt(prompt, object_id)).mask

    def hypotheses(self, prompt: ObjectPrompt, frame: Frame) -> list[MaskPrediction]:
        """What a new object's prompt may mean, the likeliest first."""
        return self._segmentation.hypotheses(frame, _first_prompt(prompt, NO_OBJECT))

    def extend(self, prompt: ObjectPrompt, object_id: int, frame: Frame) -> Callable[[], None]:
        """Add clicked points to an object; returns what undoes it."""
        item = self._objects[object_id]
        before, earlier = item.snapshot(), self._changes.before(item, self._unobserved(item))
        ids = self._tracking.add_points(prompt.points, frame)
        item.add_clicked_points(ids, prompt.labels, frame.index)
        item.inform(max(frame.index, self._restarts.answered.newest + 1))
        self._changes.remember(earlier)

        def undo() -> None:
            self._changes.withdraw(earlier)
            item.restore(before)
            self._tracking.remove_points(ids)

        return undo

    def start_anew(
        self, request: PromptRequest, object_id: int, frame: Frame
    ) -> Callable[[], None]:
        """Start an object that exists from another prompt; returns what undoes it.

        Raises:
            UserError: nothing was found in the box; the object stays as it is.
        """
        item, late = self._objects[object_id], self._late.get(object_id)
        earlier = self._changes.before(item, self._unobserved(item))
        changes = self._changes.forget(object_id)
        segmenter, old = self._segmentation.segmenter, item.points.ids

        def undo() -> None:
            self.drop(object_id)
            self._objects[object_id] = item
            self._changes.restore(object_id, changes)
            if late is not None:
                self._late[object_id] = late
            segmenter.restore(object_id, earlier.memory)
            self._superseded = [ids for ids in self._superseded if ids is not old]

        segmenter.forget(object_id)
        del self._objects[object_id]
        try:
            self.start(replace(request, label=item.label), object_id, frame)
        except BaseException:
            undo()
            raise
        self._superseded.append(old)
        self._changes.restore(object_id, [*changes])
        self._changes.remember(earlier)
        return undo

    def settle(self) -> None:
        """Give up what only :meth:`start_anew` may still have needed, to be undone at once."""
        superseded, self._superseded = self._superseded, []
        for ids in superseded:
            self._tracking.remove_points(ids)

    def undo(self, object_id: int) -> None:
        """Take back the newest change that a person made to an object.

        It becomes what it was before, and catches up with the newest frame as a late one does.

        Raises:
            UserError: nothing was changed since it was started, or that is too long ago.
        """
        present, late = self._objects[object_id].points, self._restarts.budget > 0
        earlier = self._changes.take_back(object_id, present, late=late)
        item, first = earlier.item, earlier.first
        following = self._restarts.answered.newest + 1
        if first < following and not self._segmentation.segmenter.has_memory:
            first = following
            item.rewind(first)
        self._objects[object_id] = item
        self._late[object_id] = first
        self._catch_up(object_id, self._segmentation.predict_each)

    def _unobserved(self, item: TrackedObject) -> int:
        """Index of the first frame that an object has not been observed in."""
        return self._late.get(item.object_id, self._restarts.answered.newest + 1)

    def drop(self, object_id: int) -> None:
        """Forget an object and all that parts remember of it; an unknown id is ignored."""
        self._changes.forget(object_id)
        item = self._objects.pop(object_id, None)
        self._late.pop(object_id, None)
        self._restarts.answered.forget(object_id)
        self._segmentation.segmenter.forget(object_id)
        if item is not None:
            self._tracking.remove_points(item.points.ids)  # last, because a tracker may fail


def _first_prompt(prompt: ObjectPrompt, object_id: int) -> Prompt:
    """What a segmenter is asked about a new object."""
    return Prompt(
        object_id,
        prompt.points,
        prompt.labels,
        box=prompt.box,
        mask=prompt.mask,
        gestures=np.zeros(len(prompt.labels)),
    )
