"""The interface of segmenters: prompts in, masks out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction, distinct
from sam_pt_ros.options import NoOptions

SAMPLED = -1
"""In place of a gesture's number: no person set the point."""


def _no_gestures() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Prompt:
    """The prompt for one object in one frame.

    Attributes:
        object_id: id of the object; segmenters with a memory store it by this id.
        points: ``float32 (N, 2)`` pixels, the visible points.
        labels: ``int32 (N,)``: 1 on the object, 0 not on it (its own negative points, and positive
            points of other objects).
        box: ``float32 (4,)`` x min, y min, x max, y max, inclusive pixel indices, or None.
        mask: ``bool (H, W)``, the object as drawn by the user in this frame, or None.
        positives_first: whether the object has negative points of its own, visible or not.
            Segmenters with several passes then use only the positive points in the first.
        gestures: ``int64 (N,)``: which gesture of a person set the point. The object's gestures
            are numbered in the order in which they were made; what was given together has one
            number. ``SAMPLED`` for points that were sampled, and for those of other objects.
            Empty: all are ``SAMPLED``.
    """

    object_id: int
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray | None = None
    mask: np.ndarray | None = None
    positives_first: bool = True
    gestures: np.ndarray = field(default_factory=_no_gestures)

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float32).reshape(-1, 2)
        labels = np.asarray(self.labels, np.int32)
        if labels.shape != (len(points),):
            raise ValueError(f"{len(points)} points need as many labels, got {labels.shape}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "labels", labels)
        gestures = np.asarray(self.gestures, np.int64)
        if len(gestures) == 0:
            gestures = np.full(len(points), SAMPLED, np.int64)
        if gestures.shape != (len(points),):
            raise ValueError(f"{len(points)} points need as many gestures, got {gestures.shape}")
        object.__setattr__(self, "gestures", gestures)
        if self.box is not None:
            object.__setattr__(self, "box", np.asarray(self.box, np.float32).reshape(4))

    def where(self, chosen: np.ndarray) -> Prompt:
        """The prompt with only those points that ``chosen``, ``bool (N,)``, picks."""
        return replace(
            self,
            points=self.points[chosen],
            labels=self.labels[chosen],
            gestures=self.gestures[chosen],
        )


class Deadline:
    """The time by which the masks of a frame are wanted.

    A segmenter checks it before each optional step.

    Args:
        at: time in seconds, on ``clock``.
        clock: returns the current time in seconds.
    """

    def __init__(self, at: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.at = at
        self.clock = clock

    def allows(self, seconds: float) -> bool:
        """Whether work of this duration would finish in time."""
        return self.clock() + seconds <= self.at


@dataclass(frozen=True, eq=False)
class TimedPredictions:
    """Masks that were requested by a deadline.

    Attributes:
        masks: one per prompt, in order.
        needed: seconds that the mandatory work took; None: all work was mandatory.
        shortened: whether optional work was skipped.
    """

    masks: list[MaskPrediction]
    needed: float | None = None
    shortened: bool = False


class Segmenter(ABC):
    """Finds the mask of every prompted object in one frame."""

    Options: ClassVar[type[Any]] = NoOptions
    """Frozen dataclass of the segmenter's options, declared with ``sam_pt_ros.options.option``."""
    has_memory: ClassVar[bool] = False
    """Whether masks depend on earlier frames. Such a segmenter never gets a frame twice."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def details(self) -> str:
        """Weights, device and the like, as shown to people; empty if there is nothing to say."""
        return ""

    @abstractmethod
    def set_image(self, frame: Frame) -> None:
        """Set the frame to which the following predictions refer."""

    @abstractmethod
    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Predict one mask per prompt, in order. One call takes all objects of a frame."""

    def predict_until(self, prompts: Sequence[Prompt], deadline: Deadline) -> TimedPredictions:
        """Like ``predict``, but the segmenter may skip refinements to meet the deadline.

        It predicts a mask for every prompt in any case.
        """
        return TimedPredictions(self.predict(prompts))

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Like ``predict``, for new objects, about which only the user's prompt is known.

        A single click may mean an object or a part of it. A segmenter may choose among candidates.
        """
        return self.predict(prompts)

    def hypotheses(self, prompt: Prompt) -> list[MaskPrediction]:
        """Masks that the prompt of a new object may mean, the likeliest first.

        Nothing is remembered, and the id of the prompt means nothing. A part, the whole thing and
        a group are typical. Scores compare the masks of one call.
        """
        found = self.propose([prompt])
        self.forget(prompt.object_id)
        return distinct(found)

    def memory(self, object_id: int) -> Any:
        """What is remembered of an object, for :meth:`restore`; None: nothing."""
        return None

    def restore(self, object_id: int, memory: Any) -> None:
        """Remember of an object what :meth:`memory` gave, and nothing else."""

    def forget(self, object_id: int) -> None:
        """Free the memory of an object. Segmenters without a memory ignore this."""

    def reset(self) -> None:
        """Forget all objects."""
