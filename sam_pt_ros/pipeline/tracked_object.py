"""What the pipeline remembers of an object from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import POSITIVE, ObjectPrompt
from sam_pt_ros.pipeline.moved_masks import Anchor
from sam_pt_ros.pipeline.reinitialization import Window
from sam_pt_ros.points import PointTracks


@dataclass(frozen=True, eq=False)
class PointSet:
    """The query points of an object, positives first.

    Attributes:
        ids: ``int64 (N,)``, the tracker's.
        labels: ``int32 (N,)``, 1 positive, 0 negative.
        starts: ``int64 (N,)``, index of the frame that each was added in.
    """

    ids: np.ndarray
    labels: np.ndarray
    starts: np.ndarray

    @classmethod
    def starting(cls, ids: np.ndarray, labels: np.ndarray, start: int) -> PointSet:
        """Points that were all added in the frame ``start``."""
        return cls(ids, labels, np.full(len(ids), start, np.int64))

    def __add__(self, other: PointSet) -> PointSet:
        """Both, positives first."""
        ids, labels, starts = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("ids", "labels", "starts")
        )
        order = np.argsort(labels != POSITIVE, kind="stable")
        return PointSet(ids[order], labels[order], starts[order])

    def where(self, chosen: np.ndarray) -> PointSet:
        """Those that ``chosen``, ``bool (N,)``, picks."""
        return PointSet(self.ids[chosen], self.labels[chosen], self.starts[chosen])

    def until(self, index: int) -> PointSet:
        """Those that had been added by that frame."""
        return self.where(self.starts <= index)


@dataclass
class TrackedObject:
    """What is remembered of an object from frame to frame.

    Attributes:
        object_id: 1 to 65535.
        label: its name, possibly empty.
        start: index of its first frame.
        prompt: what it was started from in that frame.
        rng: its own, so that objects do not disturb each other's choices.
        window: its masks since its points were last sampled.
        last_seen: index of the newest frame with a mask; before there is one, of the frame
            before the first.
        points: its query points.
        user_negatives: ids of the negatives that were clicked: they outlive a restart.
        mask: in its newest frame; None before its first.
        seen: its mask in the frame ``last_seen``; None before it has one.
        lost: whether no mask of a whole horizon could be sampled from, and none since.
        anchor: what its mask is moved along from while frames are not segmented; None: it is to
            be segmented in the next frame in which it is seen.
        moved: indices of the frames of its window whose masks were moved.
    """

    object_id: int
    label: str
    start: int
    prompt: ObjectPrompt
    rng: np.random.Generator
    window: Window
    last_seen: int
    points: PointSet
    user_negatives: np.ndarray
    mask: CroppedMask | None = None
    seen: CroppedMask | None = None
    lost: bool = False
    anchor: Anchor | None = None
    moved: frozenset[int] = frozenset()

    @property
    def unmoved_window(self) -> Window:
        """The window to sample from: without the masks that were moved."""
        masks = [
            CroppedMask.empty(mask.image_size) if index in self.moved else mask
            for index, mask in enumerate(self.window.masks, start=self.window.start)
        ]
        return replace(self.window, masks=masks)


@dataclass(frozen=True, eq=False)
class View:
    """An object's points in one frame.

    Attributes:
        item: the object.
        tracks: where its points are.
        labels: ``int32 (N,)`` of ``tracks``, 1 positive, 0 negative.
    """

    item: TrackedObject
    tracks: PointTracks
    labels: np.ndarray

    @classmethod
    def blind(cls, item: TrackedObject, index: int) -> View:
        """Nothing is known of its points."""
        return cls(item, PointTracks.empty(index), np.zeros(0, np.int32))
