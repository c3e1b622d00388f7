"""What a person changed about objects, as long as it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import FrameHistory
from sam_pt_ros.objects import POSITIVE
from sam_pt_ros.pipeline.prompting import shown
from sam_pt_ros.pipeline.segmentation import Segmentation
from sam_pt_ros.pipeline.tracked_object import PointSet, TrackedObject
from sam_pt_ros.pipeline.tracking import Tracking
from sam_pt_ros.points import PointTracks

_MOST = 50  # changes of an object, at most


@dataclass(frozen=True, eq=False)
class Earlier:
    """An object before a person changed it.

    Attributes:
        item: a copy of the object.
        first: index of the first frame that it was not observed in.
        places: where its points can be tracked from again.
        memory: what the segmenter remembered of it.
    """

    item: TrackedObject
    first: int
    places: tuple[PointTracks, ...]
    memory: Any


class Changes:
    """The newest changes of each object, which can be taken back one by one.

    Args:
        history: the stream's frames. A change can be taken back as long as it reaches that far.
        tracking: tracks the points.
        segmentation: remembers objects.
    """

    def __init__(
        self, history: FrameHistory, tracking: Tracking, segmentation: Segmentation
    ) -> None:
        self._history = history
        self._tracking = tracking
        self._segmentation = segmentation
        self.clear()

    def clear(self) -> None:
        """Forget all changes."""
        self._earlier: dict[int, list[Earlier]] = {}

    def forget(self, object_id: int) -> list[Earlier]:
        """Forget an object's changes; they are returned, for :meth:`restore`."""
        return self._earlier.pop(object_id, [])

    def restore(self, object_id: int, changes: list[Earlier]) -> None:
        """Remember an object's changes again."""
        self._earlier[object_id] = changes

    def prune(self) -> None:
        """Free changes that are older than the history; of the newest the fact is kept."""
        for object_id, changes in self._earlier.items():
            old = [each for each in changes if not self._reaches(each.first)]
            newest = [replace(each, places=(), memory=None) for each in old[-1:]]
            self._earlier[object_id] = newest + changes[len(old) :]

    def before(self, item: TrackedObject, first: int) -> Earlier:
        """What is needed to bring an object back to what it is now.

        Args:
            item: the object.
            first: index of the first frame that it was not observed in.
        """
        memory = self._segmentation.segmenter.memory(item.object_id)
        return Earlier(item.copy(), first, self._places(item.points, first - 1), memory)

    def remember(self, earlier: Earlier) -> None:
        """Note that an object has been changed."""
        changes = self._earlier.setdefault(earlier.item.object_id, [])
        changes.append(earlier)
        del changes[:-_MOST]

    def withdraw(self, earlier: Earlier) -> None:
        """The newest change was not made after all."""
        self._earlier[earlier.item.object_id].remove(earlier)

    def take_back(self, object_id: int, points: PointSet, *, late: bool) -> Earlier:
        """Bring back an object's points, and what the segmenter remembered of it.

        Args:
            object_id: of the object.
            points: that are tracked for it now.
            late: whether points that are tracked again may catch up bit by bit.

        Returns:
            The object as it was before its newest change.

        Raises:
            UserError: nothing was changed since it was started, or that is too long ago.
        """
        changes = self._earlier.get(object_id, [])
        if not changes:
            raise UserError(
                f"object {object_id} has not been changed since it was started; remove it to take "
                "back its first click"
            )
        earlier = changes[-1]
        if not self._reaches(earlier.first):
            raise UserError(
                f"the newest change of object {object_id} is older than the {len(self._history)} "
                "frames that are held, so it cannot be undone; 'history_length' sets their number"
            )
        wanted = earlier.item.points
        missing = ~np.isin(wanted.ids, points.ids)
        again = self._tracked_again(wanted.where(missing), earlier.places, late)
        earlier.item.points = wanted.where(~missing) + again
        self._tracking.remove_points(np.setdiff1d(points.ids, earlier.item.points.ids))
        self._segmentation.segmenter.restore(object_id, earlier.memory)
        return changes.pop()

    def _reaches(self, index: int) -> bool:
        """Whether the frame before ``index`` is held."""
        return self._history.newest.index - (index - 1) < len(self._history)

    def _places(self, points: PointSet, index: int) -> tuple[PointTracks, ...]:
        """Where points can be tracked from again: in a frame or, if they are newer, in their own.

        If none that is on the object is seen in that frame, in the last one in which one was:
        from where it is hidden, what hides it would be tracked.
        """
        newer = points.where(points.starts > index)
        places = [
            self._tracking.recall(newer.ids[newer.starts == start], start)
            for start in np.unique(newer.starts).tolist()
        ]
        for earlier in range(index, self._history.oldest.index - 1, -1):
            known = points.until(earlier)
            if not len(known.ids):
                break
            tracks = self._tracking.recall(known.ids, earlier)
            seen = shown(tracks, self._history.at(earlier).size)
            if (seen & (known.labels == POSITIVE)).any():
                return (tracks, *places)
        return tuple(places)

    def _tracked_again(
        self, points: PointSet, places: tuple[PointTracks, ...], late: bool
    ) -> PointSet:
        """Points that are not tracked any more, tracked again from where they were seen."""
        again = points.where(np.zeros(len(points.ids), np.bool_))
        for tracks in places:
            if tracks.index < self._history.oldest.index:
                continue
            frame = self._history.at(tracks.index)
            group = points.where(np.isin(points.ids, tracks.ids))
            tracks = tracks.select(group.ids)
            seen = shown(tracks, frame.size)
            if seen.any():
                ids = self._tracking.add_points(tracks.xy[seen], frame, late=late)
                starts = np.full(len(ids), frame.index)
                again = again + replace(group.where(seen), ids=ids, starts=starts)
        return again
