"""The tracker ``cotracker``: maps ids and pixels to the engine's rows and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory, SeenFrames
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.trackers.base import PointTracker
from sam_pt_ros.trackers.cotracker.options import CoTrackerOptions

if TYPE_CHECKING:
    from sam_pt_ros.trackers.cotracker.engine import Engine

VISIBLE = 0.6
"""A point is visible if its visibility times its confidence exceeds this."""

_SUPPORT = -1  # the id of support points


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
        try:
            from sam_pt_ros.trackers.cotracker.model import CoTrackerModel
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UserError(
                "the tracker 'cotracker' needs PyTorch; run `pip install torch`, or `make torch` "
                "in the source folder"
            ) from error
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
        self._engine: Engine = self._model.engine(self._frames)
        self._foreseen: np.ndarray = np.zeros((0, 3), np.float32)
        self._ids: np.ndarray = np.zeros(0, np.int64)
        self._next_id = 0
        self._answered = -1

    # --- points ---------------------------------------------------------------------------

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        """See :meth:`PointTracker.add_points`. Exceeding ``max_points`` is a UserError."""
        return self._add(xy, frame, np.zeros(0, np.int64))

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        added = self._add(xy, frame, ids)
        self.remove_points(ids)
        return added

    def _add(self, xy: np.ndarray, frame: Frame, leaving: np.ndarray) -> np.ndarray:
        """Add points. The points ``leaving`` do not count, because they are removed next."""
        held = self._frames.since(frame)[0]
        points = check_query_points(xy, held)
        staying = (self._ids != _SUPPORT) & ~np.isin(self._ids, leaving)
        total = np.count_nonzero(staying) + len(points)
        if total > self.options.max_points:
            raise UserError(
                f"{total} points would exceed 'max_points', which is {self.options.max_points}; "
                "raise it, or track fewer points or objects"
            )
        ids = np.arange(self._next_id, self._next_id + len(points), dtype=np.int64)
        if len(points):
            cells, rows = points * self._cells_per_pixel(held), ids
            if self.options.support_grid and len(self._ids) == 0:
                grid = self._model.support_grid()
                cells = np.concatenate([grid, cells])
                rows = np.concatenate([np.full(len(grid), _SUPPORT), ids])
            self._engine.add(cells, held.index)
            self._ids = np.concatenate([self._ids, rows])
            self._next_id += len(points)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        keep = (self._ids == _SUPPORT) | ~np.isin(self._ids, ids)
        if keep.all():
            return
        if (self._ids[keep] == _SUPPORT).all():
            keep[:] = False  # there are no points left to support
        self._engine.keep(np.flatnonzero(keep))
        self._ids = self._ids[keep]

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
        self._engine.extend(frame.index)
        if first and len(self._foreseen):
            # The authors' predictor has all queries and its grid from the start.
            cells = self._foreseen[:, 1:] * self._cells_per_pixel(frame)
            self._engine.foresee(cells, frame.index + self._foreseen[:, 0].astype(np.int64))
            if self.options.support_grid:
                grid = self._model.support_grid()
                self._engine.add(grid, frame.index)
                self._ids = np.full(len(grid), _SUPPORT)
        return self._answers_until(self._engine.final())

    def flush(self) -> list[PointTracks]:
        return self._answers_until(self._engine.newest)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """See :meth:`PointTracker.recall`.

        In mode ``windowed``, frames that are not final yet get the tracks that they would have if
        the stream ended now.
        """
        if not self._frames.reaches(index):
            raise KeyError(f"frame {index} is no longer held")
        row = {point: i for i, point in enumerate(self._ids.tolist())}
        rows = np.array([row[int(point)] for point in ids], np.int64)
        if (self._engine.starts[rows] > index).any():
            raise KeyError(f"some of the points were added after frame {index}")
        return self._tracks(rows, index)

    def _answers_until(self, index: int) -> list[PointTracks]:
        """The tracks of all frames up to ``index`` that have not been returned yet."""
        if len(self._frames) == 0:
            return []
        first = max(self._answered + 1, self._frames.oldest)
        answers = []
        for each in range(first, index + 1):
            known = self._engine.starts <= each
            rows = np.flatnonzero(known & (self._ids != _SUPPORT))
            if len(rows) == 0 and known.any():
                self._engine.answer(
                    each, np.flatnonzero(known)
                )  # keep tracking the support points
            answers.append(self._tracks(rows, each))
            self._answered = each
        return answers

    def _tracks(self, rows: np.ndarray, index: int) -> PointTracks:
        """The tracks of the points in these rows, ``int64 (N,)``, in a frame."""
        if len(rows) == 0:
            return PointTracks.empty(index)
        values = self._engine.answer(index, rows)
        xy = values[:, :2] / self._cells_per_pixel(self._frames.at(index))
        visible = values[:, 2] * values[:, 3] > VISIBLE
        return PointTracks(index, self._ids[rows], xy, visible, values[:, 3])

    def _cells_per_pixel(self, frame: Frame) -> np.ndarray:
        """Scale in x and y, ``float32 (2,)``; corner pixels map to corners of the scaled image."""
        height, width = self._model.resolution
        pixels = np.array([frame.width - 1, frame.height - 1], np.float32)
        scale: np.ndarray = np.array([width - 1, height - 1], np.float32) / pixels
        return scale / self._model.stride
