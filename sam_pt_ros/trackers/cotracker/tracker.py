"""The tracker ``cotracker``: maps ids and pixels to the engine's rows and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory, SeenFrames
from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.trackers.base import PointTracker, check_max_points
from sam_pt_ros.trackers.cotracker.options import CoTrackerOptions

if TYPE_CHECKING:
    from sam_pt_ros.trackers.cotracker.engine import Engine
    from sam_pt_ros.trackers.cotracker.streaming import StreamingEngine

VISIBLE = 0.6
"""A point is visible if its visibility times its confidence exceeds this."""

_SUPPORT = -1  # the id of support points


class _Group:
    """Points that are tracked together; row i of the engine belongs to ``ids[i]``."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ids: np.ndarray = np.zeros(0, np.int64)

    def remove(self, ids: np.ndarray) -> None:
        """Stop tracking points; those of the support grid only if they are named, or alone."""
        keep = ~np.isin(self.ids, ids)
        if keep.all():
            return
        if (self.ids[keep] == _SUPPORT).all():
            keep[:] = False  # there are no points left to support
        self.engine.keep(np.flatnonzero(keep))
        self.ids = self.ids[keep]


class CoTracker(PointTracker):
    """CoTracker3 online (arXiv 2410.11831), by default frame by frame (arXiv 2504.09904).

    Points influence each other through the model's virtual tracks. The modules ``streaming`` and
    ``windowed`` describe how, and what happens when points come and go. The features of a frame
    are computed once, as soon as there is a point to track in it.

    Raises:
        UserError: PyTorch is not installed, the device is not available, or the checkpoint is
            missing or another model's.
    """

    Options = CoTrackerOptions

    def __init__(self, options: CoTrackerOptions) -> None:
        super().__init__(options)
        with needs_torch(options.owner):
            from sam_pt_ros.trackers.cotracker.model import CoTrackerModel
        self._model = CoTrackerModel(options)
        self.reset()

    @classmethod
    def lag(cls, options: CoTrackerOptions) -> int:
        return 16 if options.mode == "windowed" else 0

    @property
    def details(self) -> str:
        options = self.options
        device = self._model.device
        return f"{options.mode}, {options.weights_text}, {device}, {options.precision}"

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._frames = SeenFrames(history, more=self._model.reach)
        self._main = _Group(self._model.engine(self._frames))
        self._late: list[_Group] = []  # in mode streaming
        self._foreseen: np.ndarray = np.zeros((0, 3), np.float32)
        self._next_id = 0
        self._answered = -1

    # --- points ---------------------------------------------------------------------------

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """See :meth:`PointTracker.add_points`. Exceeding ``max_points`` is a UserError."""
        return self._add(self._main, xy, frame, np.zeros(0, np.int64))

    def add_late_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """See :meth:`PointTracker.add_late_points`.

        Adding them to the other points would have the next frame wait until all frames since
        theirs have been computed again. Until they have caught up, they influence only each other.
        In mode ``windowed`` they are added at once.
        """
        if self.options.mode != "streaming" or frame.index == self._frames.newest.index:
            return self.add_points(xy, frame)
        group = _Group(self._model.engine(self._frames))
        group.engine.extend(self._frames.newest.index)
        ids = self._add(group, xy, frame, np.zeros(0, np.int64))
        if len(ids):
            self._late.append(group)
        return ids

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        late = (group for group in self._late if np.isin(ids, group.ids).any())
        added = self._add(next(late, self._main), xy, frame, ids)
        self.remove_points(ids)
        return added

    def _add(self, group: _Group, xy: np.ndarray, frame: Frame, leaving: np.ndarray) -> np.ndarray:
        """Add points. The points ``leaving`` do not count, because they are removed next."""
        held = self._frames.since(frame)[0]
        points = check_query_points(xy, held)
        known = np.concatenate([each.ids for each in (self._main, *self._late)])
        staying = (known != _SUPPORT) & ~np.isin(known, leaving)
        total = np.count_nonzero(staying) + len(points)
        check_max_points(total, self.options.max_points)
        ids = np.arange(self._next_id, self._next_id + len(points), dtype=np.int64)
        if len(points):
            cells, rows = points * self._cells_per_pixel(held), ids
            if self.options.support_grid and len(self._main.ids) == len(group.ids) == 0:
                grid = self._model.support_grid()
                cells = np.concatenate([grid, cells])
                rows = np.concatenate([np.full(len(grid), _SUPPORT), ids])
            group.engine.add(cells, held.index)
            group.ids = np.concatenate([group.ids, rows])
            self._next_id += len(points)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        named = ids[ids != _SUPPORT]
        for group in (self._main, *self._late):
            group.remove(named)
        self._late = [group for group in self._late if len(group.ids)]

    def foresee(self, queries: np.ndarray) -> None:
        self._foreseen = np.asarray(queries, np.float32)

    # --- frames ---------------------------------------------------------------------------

    def step(self, frame: Frame) -> PointTracks:
        """See :meth:`PointTracker.step`; UserError in mode ``windowed``, which answers late."""
        if self.options.mode != "streaming":
            raise UserError(
                "mode 'windowed' answers late: use advance() and flush(), or 'mode: streaming'"
            )
        return self.advance(frame)[-1]

    def advance(self, frame: Frame) -> list[PointTracks]:
        if min(frame.size) < 2:
            raise UserError(
                f"an image must have at least 2x2 pixels, got {frame.width}x{frame.height}"
            )
        first = len(self._frames) == 0
        self._frames.append(frame)
        for group in (self._main, *self._late):
            group.engine.extend(frame.index)
        if first and len(self._foreseen):
            # The authors' predictor has all queries and its grid from the start.
            cells = self._foreseen[:, 1:] * self._cells_per_pixel(frame)
            self._main.engine.foresee(cells, frame.index + self._foreseen[:, 0].astype(np.int64))
            if self.options.support_grid:
                grid = self._model.support_grid()
                self._main.engine.add(grid, frame.index)
                self._main.ids = np.full(len(grid), _SUPPORT)
        return self._answers_until(self._main.engine.final())

    def flush(self) -> list[PointTracks]:
        return self._answers_until(self._main.engine.newest)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """See :meth:`PointTracker.recall`.

        In mode ``windowed``, frames that are not final yet get the tracks that they would have if
        the stream ended now.
        """
        if not self._frames.reaches(index):
            raise KeyError(f"frame {index} is no longer held")
        found = [self._recall(group, ids, index) for group in (self._main, *self._late)]
        self._join_late()
        tracks = found[0]
        for other in found[1:]:
            tracks = tracks.joined(other)
        return tracks.select(ids)

    def _recall(self, group: _Group, ids: np.ndarray, index: int) -> PointTracks:
        """The tracks of those of the points that are in a group."""
        rows = np.flatnonzero(np.isin(group.ids, ids))
        if (group.engine.starts[rows] > index).any():
            raise KeyError(f"some of the points were added after frame {index}")
        return self._tracks(group, rows, index)

    def _join_late(self) -> None:
        """Track late points that have caught up together with the others from now on."""
        main, newest = self._main, self._frames.newest.index
        for group in list(self._late):
            engine, late = (cast("StreamingEngine", each.engine) for each in (main, group))
            if len(main.ids) and engine.done < newest:
                return  # it has failed
            if late.done == newest:
                if (main.ids == _SUPPORT).any():
                    group.remove(np.array([_SUPPORT]))
                engine.join(late)
                main.ids = np.concatenate([main.ids, group.ids])
                self._late.remove(group)

    def _answers_until(self, index: int) -> list[PointTracks]:
        """The tracks of all frames up to ``index`` that have not been returned yet."""
        if len(self._frames) == 0:
            return []
        first = max(self._answered + 1, self._frames.oldest)
        answers = []
        main = self._main
        for each in range(first, index + 1):
            known = main.engine.starts <= each
            rows = np.flatnonzero(known & (main.ids != _SUPPORT))
            if len(rows) == 0 and known.any():
                main.engine.answer(each, np.flatnonzero(known))  # keep tracking the support points
            answers.append(self._tracks(main, rows, each))
            self._answered = each
        return answers

    def _tracks(self, group: _Group, rows: np.ndarray, index: int) -> PointTracks:
        """The tracks of the points in these rows of a group, ``int64 (N,)``, in a frame."""
        if len(rows) == 0:
            return PointTracks.empty(index)
        values = group.engine.answer(index, rows)
        xy = values[:, :2] / self._cells_per_pixel(self._frames.at(index))
        visible = values[:, 2] * values[:, 3] > VISIBLE
        return PointTracks(index, group.ids[rows], xy, visible, values[:, 3])

    def _cells_per_pixel(self, frame: Frame) -> np.ndarray:
        """Scale in x and y, ``float32 (2,)``; corner pixels map to corners of the scaled image."""
        height, width = self._model.resolution
        pixels = np.array([frame.width - 1, frame.height - 1], np.float32)
        scale: np.ndarray = np.array([width - 1, height - 1], np.float32) / pixels
        return scale / self._model.stride
