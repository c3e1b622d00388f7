"""One object as the pipeline knows it: its points, its masks, and their transitions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sam_pt_ros.masks import CroppedMask, MaskPrediction
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt
from sam_pt_ros.pipeline.moved_masks import Anchor
from sam_pt_ros.pipeline.reinitialization import MaskWindow
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


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The part of an object's state that an attempt may change, to be restored if it fails."""

    points: PointSet
    user_negatives: np.ndarray
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
        user_negatives: ids of the negatives that were clicked: they outlive a restart.
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
    user_negatives: np.ndarray
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
        self.points = self.points + PointSet.starting(ids, labels, index)
        self.user_negatives = np.concatenate([self.user_negatives, ids[labels == NEGATIVE]])
        self.lost = False

    def inform(self, index: int) -> None:
        """Sample only from masks of the frame ``index`` and later: earlier ones lack a click."""
        self.window = replace(self.window, informed=index)

    def resample(self, sampled: PointSet, kept: PointSet, index: int) -> None:
        """Begin a new window with new points.

        Args:
            sampled: the new points.
            kept: clicked negatives that stay.
            index: of the frame that they were sampled in.
        """
        self.points = sampled + kept
        self.user_negatives = kept.ids
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

    def snapshot(self) -> Snapshot:
        """Its state now, for :meth:`restore` and :meth:`restore_masks`."""
        return Snapshot(
            self.points, self.user_negatives, self.lost, self.window, self.anchor, self.moved
        )

    def restore(self, before: Snapshot) -> None:
        """Undo what has changed since the snapshot."""
        self.points, self.user_negatives = before.points, before.user_negatives
        self.lost = before.lost
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
        labels: ``int32 (N,)`` of ``tracks``, 1 positive, 0 negative.
    """

    item: TrackedObject
    tracks: PointTracks
    labels: np.ndarray

    @classmethod
    def without_points(cls, item: TrackedObject, index: int) -> ObjectView:
        """The tracker says nothing about its points in the frame ``index``."""
        return cls(item, PointTracks.empty(index), np.zeros(0, np.int32))
