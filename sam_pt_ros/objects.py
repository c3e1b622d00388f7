"""Objects: the prompts that start them, and their results in a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.points import PointTracks, check_query_points

NEGATIVE = 0
POSITIVE = 1

REFINEMENT = "refinement"
SEGMENTATION = "segmentation"


class ObjectState(IntEnum):
    """Whether an object is seen. The values are those of ``TrackedObject.msg``."""

    TRACKING = 1
    OCCLUDED = 2
    LOST = 3


def _no_points() -> np.ndarray:
    return np.zeros((0, 2), np.float32)


def _no_labels() -> np.ndarray:
    return np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """A user's prompt in one frame: points, a box, a mask, or a combination.

    Attributes:
        points: ``float32 (N, 2)`` pixels.
        labels: ``int32 (N,)``: 1 on the object, 0 not on it.
        box: ``float32 (4,)``: x min, y min, x max, y max, inclusive pixel indices; or None.
        mask: ``bool (H, W)`` of the image's size; or None.
    """

    points: np.ndarray = field(default_factory=_no_points)
    labels: np.ndarray = field(default_factory=_no_labels)
    box: np.ndarray | None = None
    mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # values that overflow are refused below as not finite
            points = np.asarray(self.points, np.float32)
        labels = np.asarray(self.labels)
        if points.ndim != 2 or points.shape[1] != 2:
            raise UserError(f"points must have shape (N, 2), got {points.shape}")
        if labels.shape != (len(points),):
            raise UserError(f"{len(points)} points need as many labels, got {labels.shape}")
        if not np.isin(labels, (NEGATIVE, POSITIVE)).all():
            raise UserError(f"labels must be 1 (on the object) or 0, got {labels.tolist()}")
        labels = labels.astype(np.int32)
        if not np.isfinite(points).all():
            raise UserError(f"points must be finite, got {points.tolist()}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "labels", labels)
        if self.box is not None:
            box = np.asarray(self.box, np.float32)
            if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] < box[:2]).any():
                raise UserError(
                    f"a box must be x min, y min, x max, y max, got {np.asarray(self.box)}"
                )
            object.__setattr__(self, "box", box)
        if self.mask is not None:
            mask = np.asarray(self.mask)
            if mask.ndim != 2:
                raise UserError(f"a mask must have shape (H, W), got {mask.shape}")
            object.__setattr__(self, "mask", mask.astype(np.bool_))

    @property
    def starts_object(self) -> bool:
        """Whether the prompt can start an object: it says more than where the object is not."""
        return self.box is not None or self.mask is not None or bool((self.labels == 1).any())

    def check(self, frame: Frame) -> None:
        """Raise UserError if the prompt does not fit ``frame``."""
        check_query_points(self.points, frame)
        if self.box is not None:
            x0, y0, x1, y1 = self.box.tolist()
            if x1 < 0 or y1 < 0 or x0 > frame.width - 1 or y0 > frame.height - 1:
                raise UserError(
                    f"the box ({x0:g}, {y0:g}) to ({x1:g}, {y1:g}) lies outside of the image of "
                    f"{frame.width}x{frame.height} pixels"
                )
        if self.mask is not None:
            if self.mask.shape != frame.size:
                raise UserError(
                    f"the mask is {self.mask.shape[1]}x{self.mask.shape[0]}, the image is "
                    f"{frame.width}x{frame.height}"
                )
            if not self.mask.any():
                raise UserError("the mask is empty; mark the object with values other than 0")


@dataclass(frozen=True)
class PromptRequest:
    """A prompt for a new or an existing object.

    Attributes:
        prompt: the prompt.
        object_id: 1 to 65535; None to start a new object with an automatic id.
        label: name of a new object, for people.
        anew: whether an object that exists starts anew from the prompt, under the same id and
            label; else points are added to it.
    """

    prompt: ObjectPrompt
    object_id: int | None = None
    label: str = ""
    anew: bool = False


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """One object in one frame.

    Attributes:
        object_id: 1 to 65535.
        label: its name, possibly empty.
        state: TRACKING exactly if the mask is not empty.
        score: quality of the mask, 0 to 1; 0 without a mask.
        mask: the mask. Masks of different objects do not overlap.
        points: its query points in this frame, positive ones first.
        point_labels: ``int32 (N,)``, 1 positive, 0 negative.
        age: frames since the object was started.
        frames_since_seen: frames since the object was last in state TRACKING; 0 exactly while
            TRACKING. Before the first such frame it counts from the frame before the start.
        revised: whether the segmenter decided anew in this frame what the object's prompt meant;
            the mask may be another than that of the frame before.
    """

    object_id: int
    label: str
    state: ObjectState
    score: float
    mask: CroppedMask
    points: PointTracks
    point_labels: np.ndarray
    age: int
    frames_since_seen: int
    revised: bool = False

    @property
    def positives_visible(self) -> int:
        """Number of visible positive points."""
        return int(np.count_nonzero(self.points.visible & (self.point_labels == POSITIVE)))

    @property
    def positives_total(self) -> int:
        """Number of positive points."""
        return int(np.count_nonzero(self.point_labels == POSITIVE))


@dataclass(frozen=True, eq=False)
class TrackResult:
    """The result of one frame.

    Attributes:
        index: the frame's index.
        stamp: the frame's stamp, nanoseconds.
        label_image: ``uint16 (H, W)``: object ids, 0 where there is no object.
        objects: in ascending order of id.
        timings: milliseconds by stage (``tracker``, ``segmenter``, ``reinitialization``).
        problems: what went wrong since the previous result, as messages for the user: prompts
            that waited for their frame and were refused, models that failed.
        skipped: what was skipped to save time: ``refinement`` of the masks, or the whole
            ``segmentation``. In the second case the masks are the last ones, moved with their
            points.
        failed: whether a model failed.
    """

    index: int
    stamp: int
    label_image: np.ndarray
    objects: tuple[ObjectResult, ...]
    timings: dict[str, float]
    problems: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failed: bool = False

    def object(self, object_id: int) -> ObjectResult:
        """The result of one object; KeyError if there is none."""
        for result in self.objects:
            if result.object_id == object_id:
                return result
        raise KeyError(object_id)
