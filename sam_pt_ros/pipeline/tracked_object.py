"""One object as the pipeline knows it: its points, its masks, and their transitions."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from sam_pt_ros.masks import CroppedMask, MaskPrediction
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt
from sam_pt_ros.pipeline.moved_masks import Anchor
from sam_pt_ros.pipeline.reinitialization import MaskWindow
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import SAMPLED


@dataclass(frozen=True, eq=False)
class PointSet:
    """The query points of an object, positives first.

    Attributes:
        ids: ``int64 (N,)``, the tracker's.
        labels: ``int32 (N,)``, 1 positive, 0 negative.
        starts: ``int64 (N,)``, index of the frame that each was added in.
        gestures: ``int64 (N,)``, which of the user's gestures set each, from 0; ``SAMPLED`` for
            points that were sampled.
    """

    ids: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    gestures: np.ndarray

    @classmethod
    def starting(
        cls, ids: np.ndarray, labels: np.ndarray, start: int, gesture: int = SAMPLED
    ) -> PointSet:
        """Points that were all added in the frame ``start``, by one gesture or sampled."""
        one = np.ones(len(ids), np.int64)
        return cls(ids, labels, start * one, gesture * one)

    def __add__(self, other: PointSet) -> PointSet:
        """Both, positives first."""
        ids, labels, starts, gestures = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("ids", "labels", "starts", "gestures")
        )
        order = np.argsort(labels != POSITIVE, kind="stable")
        return PointSet(ids[order], labels[order], starts[order], gestures[order])

    def where(self, chosen: np.ndarray) -> PointSet:
        """Those that ``chosen``, ``bool (N,)``, picks."""
        return PointSet(
            self.ids[chosen], self.labels[chosen], self.starts[chosen], self.gestures[chosen]
        )

    def until(self, index: int) -> PointSet:
        """Those that had been added by that frame."""
        return self.where(self.starts <= index)

    @property
    def lasting(self) -> PointSet:
        """Those that outlive a restart: what a person set beside the object, and corrections.

        The points that an object was started from make room for others.
        """
        beside = (self.gestures != SAMPLED) & (self.labels == NEGATIVE)
        return self.where(beside | (self.gestures > 0))


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The part of an object's state that an attempt may change, to be restored if it fails."""

    points: PointSet
    lost: bool
    window: MaskWindow
    anchor: Anchor | None
    moved: frozenset[int]


@dataclass
class TrackedObject:
    """What is remembered of an object from frame to frame, and how that changes.

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
        gestures: number of the user's gestures so far.
        mask: in its newest frame; None before its first.
        seen: its mask in the frame ``last_seen``; None before it has one.
        lost: whether no mask of a whole horizon could be sampled from, and none since.
        anchor: what its mask is moved along from in frames that are not segmented. None: the next
            frame in which it is seen must be segmented.
        moved: indices of the frames of its window whose masks were moved.
    """

    object_id: int
    label: str
    start: int
    prompt: ObjectPrompt
    rng: np.random.Generator
    window: MaskWindow
    last_seen: int
    points: PointSet
    gestures: int = 1
    mask: CroppedMask | None = None
    seen: CroppedMask | None = None
    lost: bool = False
    anchor: Anchor | None = None
    moved: frozenset[int] = frozenset()

    @property
    def unmoved_window(self) -> MaskWindow:
        """The window to sample from: masks that were moved count as empty."""
        masks = [
            CroppedMask.empty(mask.image_size) if index in self.moved else mask
            for index, mask in enumerate(self.window.masks, start=self.window.start)
        ]
        return replace(self.window, masks=masks)

    def last_mask(self, newest: int, unseen: int) -> CroppedMask | None:
        """Its mask in the frame ``newest``, or the last non-empty one.

        Args:
            newest: index of the newest frame that was answered.
            unseen: frames without a mask after which the last non-empty one still counts.
        """
        return self.seen if newest - self.last_seen <= unseen else self.mask

    # --- transitions ----------------------------------------------------------------------

    def observe(
        self,
        index: int,
        mask: CroppedMask,
        prediction: MaskPrediction | None,
        *,
        moved: bool,
        remember: bool,
    ) -> None:
        """Take over its mask in a frame.

        Args:
            index: the frame's.
            mask: what it holds of the frame; empty if it is not seen.
            prediction: what the mask was cut from; None: there is none.
            moved: whether the prediction is an earlier one, moved along.
            remember: whether the window keeps the mask, to sample from.
        """
        self.mask = mask
        if prediction is None:
            self.anchor = None
        elif not moved:
            self.anchor = Anchor(index, prediction)
        if mask.area:
            if index >= self.last_seen:
                self.last_seen, self.seen = index, mask
            self.lost = False
        if remember:
            self.window.record(index, mask)
            self.moved = self.moved | {index} if moved else self.moved - {index}

    def move_anchor(self, shift: tuple[int, int]) -> MaskPrediction:
        """Its mask, moved by x, y in whole pixels since it was segmented; ValueError without."""
        if self.anchor is None:
            raise ValueError(f"object {self.object_id} has no mask to move")
        self.anchor = replace(self.anchor, shift=shift)
        return self.anchor.moved

    def add_clicked_points(self, ids: np.ndarray, labels: np.ndarray, index: int) -> None:
        """Track clicked points, too.

        Args:
            ids: ``int64 (N,)``, the tracker's.
            labels: ``int32 (N,)``, 1 positive, 0 negative.
            index: of the frame that they were clicked in.
        """
        self.points = self.points + PointSet.starting(ids, labels, index, self.gestures)
        self.gestures += 1  # never used twice, even if the gesture is undone
        self.lost = False

    def inform(self, index: int) -> None:
        """Sample only from masks of the frame ``index`` and later: earlier ones lack a click."""
        self.window = replace(self.window, informed=index)

    @property
    def just_corrected(self) -> bool:
        """Whether the newest mask is the first one that knows of a click."""
        return self.window.informed == self.window.newest

    def resample(self, sampled: PointSet, kept: PointSet, index: int) -> None:
        """Begin a new window with new points.

        Args:
            sampled: the new points.
            kept: clicked points that stay.
            index: of the frame that they were sampled in.
        """
        self.points = sampled + kept
        self._begin_window(index)

    def keep_points(self) -> None:
        """Begin a new window in the newest frame with the old points."""
        self._begin_window(self.window.newest)

    def give_up(self) -> None:
        """Count it as lost until it has a mask that can be sampled from."""
        self.lost = True

    def rewind(self, index: int) -> None:
        """Forget its masks from a frame on; they are to be predicted anew."""
        self.window, self.anchor, self.moved = MaskWindow(index), None, frozenset()

    def _begin_window(self, index: int) -> None:
        self.window = self.window.since(index)
        self.moved = frozenset(i for i in self.moved if i >= index)

    def copy(self) -> TrackedObject:
        """The object as it is now; what happens to the one does not change the other."""
        window = replace(self.window, masks=list(self.window.masks))
        return replace(self, window=window, rng=copy.deepcopy(self.rng))

    def snapshot(self) -> Snapshot:
        """Its state now, for :meth:`restore` and :meth:`restore_masks`."""
        return Snapshot(self.points, self.lost, self.window, self.anchor, self.moved)

    def restore(self, before: Snapshot) -> None:
        """Undo what has changed since the snapshot."""
        self.points, self.lost = before.points, before.lost
        self.restore_masks(before)

    def restore_masks(self, before: Snapshot) -> None:
        """Bring back the masks of the snapshot; points stay as they are."""
        self.window, self.anchor, self.moved = before.window, before.anchor, before.moved


@dataclass(frozen=True, eq=False)
class ObjectView:
    """An object's points in one frame.

    Attributes:
        item: the object.
        tracks: where its points are.
        points: the same points, as the object knows them.
    """

    item: TrackedObject
    tracks: PointTracks
    points: PointSet

    @property
    def labels(self) -> np.ndarray:
        """``int32 (N,)`` of ``tracks``, 1 positive, 0 negative."""
        return self.points.labels

    @classmethod
    def without_points(cls, item: TrackedObject, index: int) -> ObjectView:
        """The tracker says nothing about its points in the frame ``index``."""
        none = np.zeros(len(item.points.ids), np.bool_)
        return cls(item, PointTracks.empty(index), item.points.where(none))
