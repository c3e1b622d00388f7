"""The three ways of working, and the record of what each interaction brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.interactive.annotator import Edit, FrameTruth, next_edit
from sam_pt_ros.evaluation.interactive.prompted import ClickCheckpoint, PromptedObject
from sam_pt_ros.options import did_you_mean

ADD = "add"
REMOVE = "remove"


@dataclass(frozen=True)
class Budget:
    """What an annotator may spend on one object of one video, and what is good enough.

    Attributes:
        interactions: points added and points removed, in all.
        per_frame: the same in one frame, each time that the annotator comes to it.
        iou: region similarity from which a frame is good enough, in a single pass.
        thresholds: the same for each of several passes, rising; as in the authors' simulation.
    """

    interactions: int = 300
    per_frame: int = 3
    iou: float = 0.95
    thresholds: tuple[float, ...] = (
        *(0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.65, 0.70, 0.75, 0.80),
        *(0.85, 0.88, 0.90, 0.92, 0.95),
    )

    def __post_init__(self) -> None:
        for name in ("interactions", "per_frame"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"the budget's '{name}' must be at least 1, got {getattr(self, name)}"
                )
        if not 0 < self.iou <= 1:
            raise UserError(f"the budget's 'iou' must be above 0 and at most 1, got {self.iou}")
        possible = all(0 < threshold <= 1 for threshold in self.thresholds)
        rising = all(a < b for a, b in zip(self.thresholds, self.thresholds[1:]))
        if not self.thresholds or not possible or not rising:
            raise UserError(
                "the budget's 'thresholds' must rise from above 0 to 1 at most, and be at least "
                f"one, got {list(self.thresholds)}"
            )


@dataclass(frozen=True)
class Method:
    """A way of working: pass after pass through all annotated frames, in order.

    Attributes:
        name: for files and commands.
        title: for people.
        tracked: whether points are tracked on from the frame that was clicked on.
        several_passes: whether there is a pass for each threshold, or one that asks for the
            budget's IoU at once.
    """

    name: str
    title: str
    tracked: bool
    several_passes: bool

    def goals(self, budget: Budget) -> tuple[float, ...]:
        """From which region similarity on a frame is good enough, by pass."""
        return budget.thresholds if self.several_passes else (budget.iou,)


ANNOTATION_METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("sam_only", "SAM only", tracked=False, several_passes=False),
        Method("online", "Online", tracked=True, several_passes=False),
        Method("offline", "Offline, checkpoints", tracked=True, several_passes=True),
    )
}
"""By name. The first takes any segmenter, whatever its name says."""


def method_named(name: str) -> Method:
    """The method of that name; UserError if there is no such one."""
    if name not in ANNOTATION_METHODS:
        raise UserError(
            f"unknown way of working '{name}' in the interactive study"
            f"{did_you_mean(name, ANNOTATION_METHODS)}"
        )
    return ANNOTATION_METHODS[name]


@dataclass(frozen=True)
class Interaction:
    """One interaction and what it brought.

    Attributes:
        number: from 1.
        pass_number: from 1; which pass it belongs to.
        goal: region similarity that the pass asks for.
        frame: index of the frame.
        object_id: 1 to 65534.
        action: "add" or "remove".
        x: column of the point, pixels.
        y: row of the point, pixels.
        label: of the point; 1 on the object, 0 not on it.
        iou_frame_before: region similarity of the frame, 0 to 1.
        iou_frame_after: the same with the interaction.
        mean_iou: mean over the annotated frames, with the interaction.
        kept_iou: the better one of ``mean_iou`` and of the best checkpoint's: what the annotator
            has if this was the last interaction.
    """

    number: int
    pass_number: int
    goal: float
    frame: int
    object_id: int
    action: str
    x: float
    y: float
    label: int
    iou_frame_before: float
    iou_frame_after: float
    mean_iou: float
    kept_iou: float


@dataclass(frozen=True)
class Annotation:
    """What an annotator did to one object, and what came of it.

    Attributes:
        start_iou: mean region similarity of empty masks.
        interactions: in order.
        frames: how many frames are annotated.
        complete: whether the last pass was gone through to its end.
    """

    start_iou: float
    interactions: tuple[Interaction, ...]
    frames: int
    complete: bool

    @property
    def kept_ious(self) -> np.ndarray:
        """What is kept after 0, 1, ... N interactions: mean region similarity, ``(N + 1,)``."""
        return np.array([self.start_iou, *(each.kept_iou for each in self.interactions)])


def annotate(
    prompted: PromptedObject,
    truths: Mapping[int, FrameTruth],
    method: Method,
    budget: Budget,
    object_id: int = 1,
) -> Annotation:
    """Work on an object until it is good enough or the budget is spent.

    In every pass the frames are gone through in order. In one that is worse than the pass asks
    for the annotator interacts (:func:`.next_edit`) until it is good enough, or ``per_frame``
    interactions were spent on it; either way the next frame is next. At the end of a pass the
    points are a checkpoint. At the end of all the best checkpoint is gone back to, if it is better
    than what there is.

    Args:
        prompted: without points; with those of the result afterwards.
        truths: of the annotated frames, by index, at least one.
        method: the way of working.
        budget: what may be spent.
        object_id: to write into the record.
    """
    if not truths:
        raise UserError(f"object {object_id} has no annotated frame; it cannot be studied")
    work = _Work(prompted, truths, budget, object_id)
    complete = False
    for number, goal in enumerate(method.goals(budget), start=1):
        complete = all(work.visit(frame, goal, number) for frame in work.frames)
        if not complete:
            break
        work.keep()
    work.revert()
    return Annotation(work.start_iou, tuple(work.done), len(work.frames), complete)


class _Work:
    """An annotation under way."""

    def __init__(
        self,
        prompted: PromptedObject,
        truths: Mapping[int, FrameTruth],
        budget: Budget,
        object_id: int,
    ) -> None:
        self.prompted = prompted
        self.truths = truths
        self.budget = budget
        self.object_id = object_id
        self.frames = sorted(truths)
        self.done: list[Interaction] = []
        self._masks: dict[int, np.ndarray] = {}
        self._ious: dict[int, float] = {}
        self._measure()
        self.start_iou = self.mean_iou
        self._best: tuple[float, ClickCheckpoint] | None = None

    @property
    def mean_iou(self) -> float:
        """Of the masks as they are."""
        return sum(self._ious.values()) / len(self._ious)

    def visit(self, frame: int, goal: float, pass_number: int) -> bool:
        """Interact with a frame; whether that was not cut short by the end of the budget."""
        for _ in range(self.budget.per_frame):
            if self._ious[frame] >= goal:
                return True
            if len(self.done) == self.budget.interactions:
                return False
            edit = next_edit(
                self.truths[frame], self.prompted.mask(frame), self.prompted.points_in(frame)
            )
            if edit is None:
                return True
            self._apply(edit, frame, goal, pass_number)
        return True

    def _apply(self, edit: Edit, frame: int, goal: float, pass_number: int) -> None:
        before = self._ious[frame]
        if edit.removes is None:
            self.prompted.add(frame, edit.x, edit.y, edit.label)
        else:
            self.prompted.remove(frame, edit.removes)
        self._measure()
        mean = self.mean_iou
        self.done.append(
            Interaction(
                number=len(self.done) + 1,
                pass_number=pass_number,
                goal=goal,
                frame=frame,
                object_id=self.object_id,
                action=ADD if edit.removes is None else REMOVE,
                x=edit.x,
                y=edit.y,
                label=edit.label,
                iou_frame_before=before,
                iou_frame_after=self._ious[frame],
                mean_iou=mean,
                kept_iou=mean if self._best is None else max(mean, self._best[0]),
            )
        )

    def keep(self) -> None:
        """Make a checkpoint, if it is the best so far."""
        if self._best is None or self.mean_iou > self._best[0]:
            self._best = self.mean_iou, self.prompted.checkpoint()

    def revert(self) -> None:
        """Go back to the best checkpoint, if it is better than what there is."""
        if self._best is not None and self._best[0] > self.mean_iou:
            self.prompted.restore(self._best[1])
            self._measure()

    def _measure(self) -> None:
        """Look at the masks that changed."""
        for frame in self.frames:
            mask = self.prompted.mask(frame)
            if self._masks.get(frame) is not mask:
                self._masks[frame] = mask
                self._ious[frame] = self.truths[frame].iou(mask)
