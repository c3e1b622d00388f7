"""What users ask for: checked, applied at once, or kept until its frame has come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sam_pt_ros.errors import UnknownObjectError, UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MAX_OBJECT_ID, CroppedMask, MaskPrediction
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.pipeline.problems import Problems
from sam_pt_ros.pipeline.roster import Roster
from sam_pt_ros.pipeline.stages import Stages
from sam_pt_ros.pipeline.stamps import check_ahead, check_behind, later


@dataclass(frozen=True)
class WaitingRequest:
    """A request whose frame has not come yet.

    Attributes:
        request: the request.
        object_id: of the object that it starts or extends.
        stamp: nanoseconds, of the frame that it waits for; None: the next one.
        starts: whether it starts the object; else it adds points.
        mask: the mask that an object starts again from, of any size; None: it is a new object.
    """

    request: PromptRequest
    object_id: int
    stamp: int | None
    starts: bool
    mask: CroppedMask | None = None


class Requests:
    """Starts and extends objects as users ask for it, in the frames that they mean.

    Args:
        history: the stream's frames.
        roster: the objects.
        stages: measures no request: it belongs to no frame.
        problems: collects why a waiting request cannot be applied.
    """

    def __init__(
        self, history: FrameHistory, roster: Roster, stages: Stages, problems: Problems
    ) -> None:
        self._history = history
        self._roster = roster
        self._stages = stages
        self._problems = problems
        self.reset()

    def reset(self) -> None:
        """Forget all requests; ids begin again at 1."""
        self._waiting: list[WaitingRequest] = []
        self._used_ids: set[int] = set()
        self.resume()

    def hold(self) -> None:
        """Let all requests wait for a next frame: the models do not know the newest one."""
        self._held = True

    @property
    def held(self) -> bool:
        """Whether the models do not know the newest frame."""
        return self._held

    def resume(self) -> None:
        """Apply requests to the frames of the history again."""
        self._held = False

    @property
    def object_ids(self) -> list[int]:
        """Ids of all objects, including those that wait for their frame; ascending."""
        return sorted({*self._roster.ids, *(waiting.object_id for waiting in self._waiting)})

    @property
    def waiting_ids(self) -> list[int]:
        """Ids of the objects that are to start in a frame that has not come yet; ascending."""
        return sorted({waiting.object_id for waiting in self._waiting if waiting.starts})

    def check_known(self, object_id: int) -> None:
        """UnknownObjectError if there is no object of that id."""
        if object_id not in self.object_ids:
            known = ", ".join(map(str, self.object_ids)) or "none"
            raise UnknownObjectError(f"there is no object {object_id}; tracked objects: {known}")

    def remove(self, object_id: int) -> None:
        """Drop an object and what waits for it; UnknownObjectError if there is no such one."""
        self.check_known(object_id)
        self._waiting = [w for w in self._waiting if w.object_id != object_id]
        self._roster.drop(object_id)

    def hypotheses(
        self, prompt: ObjectPrompt, stamp: int | None
    ) -> tuple[Frame, list[MaskPrediction]]:
        """What a new object's prompt may mean; see :meth:`SamPt.hypotheses`."""
        frame = self._frame_for(stamp)
        if frame is None:
            raise UserError("the image that was clicked on has not come yet; try again")
        self._check(PromptRequest(prompt), 1, frame, True)
        with self._stages.ignore():
            return frame, self._roster.hypotheses(prompt, frame)

    def undo(self, object_id: int) -> None:
        """Take back the newest change of an object, or what waits to change it.

        Raises:
            UnknownObjectError: there is no such object.
            UserError: as :meth:`Roster.undo`, or models do not know the newest frame.
        """
        self.check_known(object_id)
        waiting = [w for w in self._waiting if w.object_id == object_id]
        if waiting and not waiting[-1].starts:
            self._waiting.remove(waiting[-1])
            return
        if waiting or self._held:
            raise UserError(f"object {object_id} waits for its frame; remove it, or try again")
        with self._stages.ignore():
            self._roster.undo(object_id)

    # --- applying -------------------------------------------------------------------------

    def apply(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """Start and extend objects: all of them, or none. See :meth:`SamPt.apply`."""
        ids = self._ids_for(requests)
        frame = self._frame_for(stamp)
        starts = [object_id not in self.object_ids for object_id in ids]
        for request, object_id, start in zip(requests, ids, starts, strict=True):
            self._check(request, object_id, frame, start)
        undo: list[Callable[[], object]] = []
        with self._stages.ignore():
            try:
                for request, object_id, start in zip(requests, ids, starts, strict=True):
                    waits_for = [w for w in self._waiting if w.object_id == object_id and w.starts]
                    if waits_for or frame is None:
                        when = later(stamp, waits_for[0].stamp) if waits_for else stamp
                        self._waiting.append(WaitingRequest(request, object_id, when, start))
                        undo.append(self._waiting.pop)
                    elif start:
                        undo.append(partial(self._roster.drop, object_id))
                        self._roster.start(request, object_id, frame)
                    elif request.anew:
                        undo.append(self._roster.start_anew(request, object_id, frame))
                    else:
                        undo.append(self._roster.extend(request.prompt, object_id, frame))
            except Exception:
                for step in reversed(undo):
                    step()
                raise
            self._roster.settle()
        self._used_ids.update(ids)
        return ids

    def _ids_for(self, requests: Sequence[PromptRequest]) -> list[int]:
        given = {request.object_id for request in requests}
        fresh = (i for i in itertools.count(1) if i not in self._used_ids and i not in given)
        ids = [next(fresh) if r.object_id is None else r.object_id for r in requests]
        if len(set(ids)) != len(ids):
            raise UserError(f"a request may name each object once, got the ids {ids}")
        return ids

    def _frame_for(self, stamp: int | None) -> Frame | None:
        """The frame that a prompt means; None if it has not come yet."""
        if len(self._history) == 0 or self._held:
            return None
        newest = self._history.newest
        if stamp is None:
            return newest
        check_ahead(stamp, newest)
        return None if stamp > newest.stamp else self._history.nearest(stamp)

    def _check(
        self, request: PromptRequest, object_id: int, frame: Frame | None, starts: bool
    ) -> None:
        prompt = request.prompt
        if starts or request.anew:
            if not prompt.starts_object:
                name = f" '{request.label}'" if request.label else ""
                which = (
                    f"a new object{name}"
                    if not request.object_id
                    else f"object {object_id}, which starts anew,"
                    if request.anew
                    else f"object {object_id} is not tracked, and"
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
            item = self._roster.get(object_id)
            if item is not None and not request.anew and frame.index < item.start:
                raise UserError(
                    f"object {object_id} starts later than the frame that was clicked on"
                )

    # --- waiting --------------------------------------------------------------------------

    def start_again(
        self, last: Mapping[int, tuple[str, CroppedMask | None]], image_size: tuple[int, int]
    ) -> None:
        """Let objects start again from their masks in the next frame, before all else that waits.

        Args:
            last: label and last mask of each object, by id. One without a mask is dropped, and a
                problem says so.
            image_size: height, width of the next frame.
        """
        again = {
            w.object_id: (w.request.label, w.mask) for w in self._waiting if w.mask is not None
        }
        starts = []
        for object_id, (label, mask) in sorted({**last, **again}.items()):
            if mask is None or mask.resized(image_size).area == 0:
                self._problems.note(
                    f"object {object_id} had no mask when objects restarted from their masks, and "
                    "was dropped; click on it again"
                )
                continue
            request = PromptRequest(ObjectPrompt(), object_id, label)
            starts.append(WaitingRequest(request, object_id, None, starts=True, mask=mask))
        self._waiting = starts + [w for w in self._waiting if w.mask is None]

    def apply_waiting(self, frame: Frame) -> None:
        """Apply the requests whose frame has come; report why others of them cannot be."""
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
                    self._apply_to(each, frame)
            except Exception as error:  # one object must not cost the others their frame
                if each.starts:
                    self._roster.drop(each.object_id)
                failed = not isinstance(error, UserError)
                if each.mask is None:
                    self._problems.note(f"click refused: object {each.object_id}", error, failed)
                    continue
                self._problems.note(
                    f"object {each.object_id} cannot restart from its mask", error, failed
                )
                if failed:
                    self._waiting.append(each)

    def _apply_to(self, waiting: WaitingRequest, frame: Frame) -> None:
        object_id = waiting.object_id
        if not waiting.starts and object_id not in self._roster.ids:
            raise UserError("it was not started, so nothing can be added to it")
        if waiting.stamp is not None and frame.index == 0:
            check_behind(waiting.stamp, frame)
        request = waiting.request
        if waiting.mask is not None:
            mask = waiting.mask.resized(frame.size).full()
            request = replace(request, prompt=ObjectPrompt(mask=mask))
        self._check(request, object_id, frame, waiting.starts)
        if waiting.starts:
            self._roster.start(request, object_id, frame)
        elif request.anew:
            self._roster.start_anew(request, object_id, frame)
            self._roster.settle()
        else:
            self._roster.extend(request.prompt, object_id, frame)
