"""What a segmenter is: prompts in, masks out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.options import NoOptions


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is known about one object in one frame.

    Attributes:
        object_id: whose prompt it is; segmenters with a memory keep it by this.
        points: ``float32 (N, 2)`` pixels; only points that are visible.
        labels: ``int32 (N,)``: 1 on the object, 0 not on it (its own negatives, and the
            positives of other objects).
        box: ``float32 (4,)`` x min, y min, x max, y max, inclusive pixel indices, or None.
        mask: ``bool (H, W)``, the object as its user drew it in this frame, or None.
        positives_first: whether the object has negative points of its own, seen or not: then
            segmenters that ask in several passes begin with the positive ones alone.
    """

    object_id: int
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray | None = None
    mask: np.ndarray | None = None
    positives_first: bool = True

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float32).reshape(-1, 2)
        labels = np.asarray(self.labels, np.int32)
        if labels.shape != (len(points),):
            raise ValueError(f"{len(points)} points need as many labels, got {labels.shape}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "labels", labels)
        if self.box is not None:
            object.__setattr__(self, "box", np.asarray(self.box, np.float32).reshape(4))


class Deadline:
    """Until when a frame's masks are wanted.

    A segmenter that can do with less work asks before each part of it that it can leave out.

    Args:
        at: seconds, on ``clock``.
        clock: gives seconds.
    """

    def __init__(self, at: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.at = at
        self.clock = clock

    def allows(self, seconds: float) -> bool:
        """Whether work that takes so long would be done in time."""
        return self.clock() + seconds <= self.at


@dataclass(frozen=True, eq=False)
class TimedPredictions:
    """Masks that were wanted until a deadline.

    Attributes:
        masks: one per prompt, in order.
        needed: seconds of the work that could not be left out; None: all that it took.
        shortened: whether something was left out.
    """

    masks: list[MaskPrediction]
    needed: float | None = None
    shortened: bool = False


class Segmenter(ABC):
    """Finds the mask of every prompted object in one frame."""

    Options: ClassVar[type[Any]] = NoOptions
    has_memory: ClassVar[bool] = False
    """Whether its answers depend on earlier frames: then no frame is shown to it twice."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def details(self) -> str:
        """What it runs with and on, in a few words for people; empty: there is no choice."""
        return ""

    @abstractmethod
    def set_image(self, frame: Frame) -> None:
        """The frame that the next ``predict`` is about."""

    @abstractmethod
    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """One prediction per prompt, in order; all objects of a frame go in one call."""

    def predict_until(self, prompts: Sequence[Prompt], deadline: Deadline) -> TimedPredictions:
        """Like ``predict``; a segmenter may leave out what only improves its masks to be in time.

        It answers all prompts in any case.
        """
        return TimedPredictions(self.predict(prompts))

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Like ``predict``, for new objects, of which nothing is known but what a user says.

        A single click may mean a thing or a part of it; a segmenter may weigh what it could mean.
        """
        return self.predict(prompts)

    def forget(self, object_id: int) -> None:
        """Free what is remembered of an object. Segmenters without a memory need not care."""

    def reset(self) -> None:
        """Forget all objects."""
