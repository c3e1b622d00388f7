"""The three annotation methods, and the record of their interactions."""

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
        interactions: largest number of points added and removed.
        per_frame: the same per visit to a frame.
        iou: region similarity at which a frame is good enough, in a single pass.
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
                "the budget's 'thresholds' must rise, lie above 0 and up to 1, and not be empty, "
                f"got {list(self.thresholds)}"
            )


@dataclass(frozen=True)
class Method:
    """An annotation method: one or more passes through all annotated frames, in order.

    Attributes:
        name: in files and commands.
        title: in plots.
        tracked: whether points are tracked on from the clicked frame.
        several_passes: whether there is a pass for each threshold, or a single one for the
            budget's IoU.
    """

    name: str
    title: str
    tracked: bool
    several_passes: bool

    def goals(self, budget: Budget) -> tuple[float, ...]:
        """The region similarity at which a frame is good enough, by pass."""
        return budget.thresholds if self.several_passes else (budget.iou,)


ANNOTATION_METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("sam_only", "SAM only", tracked=False, several_passes=False),
        Method("online", "Online", tracked=True, several_passes=False),
        Method("offline", "Offline, checkpoints", tracked=True, several_passes=True),
    )
}
"""Methods by name; despite its name, ``sam_only`` works with any segmenter."""


def method_named(name: str) -> Method:
    """The method of this name; UserError if there is none."""
    if name not in ANNOTATION_METHODS:
        raise UserError(
            f"unknown annotation method '{name}'{did_you_mean(name, ANNOTATION_METHODS)}"
        )
    return ANNOTATION_METHODS[name]


@dataclass(frozen=True)
class Interaction:
    """One interaction and its effect.

    Attributes:
        number: from 1.
        pass_number: number of its pass, from 1.
        goal: region similarity that the pass aims at.
        frame: index of the frame.
        object_id: 1 to 65534.
        action: "add" or "remove".
        x: column of the point, pixels.
        y: row of the point, pixels.
        label: of the point; 1 on the object, 0 not on it.
        iou_frame_before: region similarity of the frame before the interaction, 0 to 1.
        iou_frame_after: the same after the interaction.
        mean_iou: mean over the annotated frames after the interaction.
        kept_iou: the larger of ``mean_iou`` and that of the best checkpoint: the result if this
            was the last interaction.
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
    """The annotation of one object.

    Attributes:
        start_iou: mean region similarity of empty masks.
        interactions: in order.
        frames: number of annotated frames.
        complete: whether the last pass was finished.
    """

    start_iou: float
    interactions: tuple[Interaction, ...]
    frames: int
    complete: bool

    @property
    def kept_ious(self) -> np.ndarray:
        """Mean region similarity that is kept after 0, 1, ... N interactions, ``(N + 1,)``."""
        return np.array([self.start_iou, *(each.kept_iou for each in self.interactions)])


def annotate(
    prompted: PromptedObject,
    truths: Mapping[int, FrameTruth],
    method: Method,
    budget: Budget,
    object_id: int = 1,
) -> Annotation:
    """Annotate an object until it is good enough or the budget is spent.

    Every pass visits the frames in order. In a frame below the pass's goal the annotator interacts
    (:func:`.next_edit`) until the goal is reached or ``per_frame`` interactions are spent. The
    points after each pass are a checkpoint. In the end the best checkpoint is restored, if it is
    better than the last state.

    Args:
        prompted: without points; it holds those of the result afterwards.
        truths: of the annotated frames, by index, at least one.
        method: the annotation method.
        budget: what may be spent.
        object_id: for the record.
    """
    if not truths:
        raise UserError(f"object {object_id} has no annotated frame; choose another object")
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
    """An annotation in progress."""

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
        """Mean region similarity of the current masks."""
        return sum(self._ious.values()) / len(self._ious)

    def visit(self, frame: int, goal: float, pass_number: int) -> bool:
        """Interact with a frame; False if the budget ran out."""
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
        """Save a checkpoint, if it is the best so far."""
        if self._best is None or self.mean_iou > self._best[0]:
            self._best = self.mean_iou, self.prompted.checkpoint()

    def revert(self) -> None:
        """Restore the best checkpoint, if it is better than the current state."""
        if self._best is not None and self._best[0] > self.mean_iou:
            self.prompted.restore(self._best[1])
            self._measure()

    def _measure(self) -> None:
        """Measure the masks that changed."""
        for frame in self.frames:
            mask = self.prompted.mask(frame)
            if self._masks.get(frame) is not mask:
                self._masks[frame] = mask
                self._ious[frame] = self.truths[frame].iou(mask)
