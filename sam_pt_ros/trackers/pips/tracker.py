"""The tracker ``pips``: windows of 8 frames, chained, at the end of a clip or as frames arrive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory, SeenFrames
from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.trackers.base import PointTracker, check_max_points
from sam_pt_ros.trackers.pips.linking import DELAY, WINDOW, Chains
from sam_pt_ros.trackers.pips.options import PipsOptions
from sam_pt_ros.trackers.video import VideoTracks
from sam_pt_ros.trackers.whole_clip import WholeClipTracker


class Pips(PointTracker):
    """PIPS (arXiv 2204.04153), whose windows are chained by the rules of SAM-PT.

    Points do not influence each other. The features of a frame are computed once.

    Raises:
        UserError: PyTorch is not installed, the device is not available, or the checkpoint is
            missing or another model's.
    """

    Options = PipsOptions

    @classmethod
    def create(cls, options: PipsOptions) -> PointTracker:
        return (OfflinePips if options.mode == "offline" else StreamingPips)(options)

    def __init__(self, options: PipsOptions) -> None:
        with needs_torch(options.owner):
            from sam_pt_ros.trackers.pips.model import PipsModel
        self._model = PipsModel(options)
        super().__init__(options)

    @classmethod
    def lag(cls, options: PipsOptions) -> int:
        return options.clip_length if options.mode == "offline" else DELAY

    @classmethod
    def longest_clip(cls, options: PipsOptions) -> int | None:
        return options.clip_length if options.mode == "offline" else None

    @property
    def details(self) -> str:
        options = self.options
        return f"{options.mode}, {options.weights_text}, {self._model.device}"

    def _check(self, frame: Frame) -> None:
        """UserError if the network cannot work on a frame of this size."""
        smallest = self._model.smallest
        if min(frame.size) < smallest:
            raise UserError(
                f"{self.options.owner}: an image must have at least {smallest}x{smallest} pixels, "
                f"got {frame.width}x{frame.height}"
            )


class OfflinePips(Pips, WholeClipTracker):
    """Tracks from the query to both ends of a clip, as SAM-PT does."""

    def advance(self, frame: Frame) -> list[PointTracks]:
        self._check(frame)
        return super().advance(frame)

    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        starts, xy = queries[:, 0].astype(np.int64), queries[:, 1:]
        read = [self._model.read(frames[each], xy[starts == each]) for each in np.unique(starts)]
        sorted_rows = np.argsort(starts, kind="stable")
        features = np.concatenate(read)[np.argsort(sorted_rows)]
        forward = self._follow(frames, starts, xy, features)
        backward = self._follow(frames[::-1], len(frames) - 1 - starts, xy, features)[::-1]
        earlier = np.arange(len(frames))[:, None] < starts
        tracks = np.where(earlier[..., None], backward, forward)
        visible = tracks[..., 2] > self.options.visibility_threshold
        return VideoTracks(tracks[..., :2], visible, tracks[..., 2])

    def _follow(
        self, frames: Sequence[Frame], starts: np.ndarray, xy: np.ndarray, features: np.ndarray
    ) -> np.ndarray:
        """Track points to the end of a sequence.

        Args:
            frames: T frames in the order in which they are passed through.
            starts: ``int64 (N,)``, places of the query frames among them.
            xy: ``float32 (N, 2)`` pixels.
            features: ``float32 (N, 128)``.

        Returns:
            ``float32 (T, N, 3)``: x, y, probability of being visible; 0 before the query frame.
        """

        def solve(
            numbers: Sequence[int], places: np.ndarray, known: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            return self._model.track([frames[number] for number in numbers], places, known)

        last, rows = len(frames) - 1, np.arange(len(xy))
        chains = Chains(len(frames), self.options.linking_threshold, solve)
        chains.add(xy, starts, features)
        chains.advance(rows, last, last)
        return np.stack([chains.tracks_in(rows, each) for each in range(len(frames))])


class StreamingPips(Pips):
    """Tracks forward only, as frames arrive; tracks are 6 frames late.

    A window is computed when its last frame has arrived. The next one starts at most 6 frames
    before that, so all tracks up to there are final. Points of past frames catch up when their
    tracks are next asked for.
    """

    def __init__(self, options: PipsOptions) -> None:
        super().__init__(options)
        self.reset()

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._frames = SeenFrames(history, more=WINDOW)
        slots = self._frames.capacity + WINDOW
        self._chains = Chains(slots, self.options.linking_threshold, self._track)
        self._open: Chains | None = None  # those of a stream that ends with the newest frame
        self._ids: np.ndarray = np.zeros(0, np.int64)
        self._waiting: np.ndarray = np.zeros(0, np.bool_)  # late points that have not caught up
        self._next_id = 0
        self._answered = -1

    def _track(
        self, numbers: Sequence[int], xy: np.ndarray, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._model.track([self._frames.at(number) for number in numbers], xy, features)

    # --- points ---------------------------------------------------------------------------

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        return self._add(xy, frame, np.zeros(0, np.int64), late=False)

    def add_late_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        return self._add(xy, frame, np.zeros(0, np.int64), late=True)

    def replace_points(self, ids: np.ndarray, xy: np.ndarray, frame: Frame) -> np.ndarray:
        late = bool(self._waiting[np.isin(self._ids, ids)].any())
        added = self._add(xy, frame, ids, late)
        self.remove_points(ids)
        return added

    def _add(self, xy: np.ndarray, frame: Frame, leaving: np.ndarray, late: bool) -> np.ndarray:
        """Add points. The points ``leaving``, which are removed next, do not count."""
        held = self._frames.since(frame)[0]
        points = check_query_points(xy, held)
        staying = int(np.count_nonzero(~np.isin(self._ids, leaving)))
        check_max_points(staying + len(points), self.options.max_points)
        ids = np.arange(self._next_id, self._next_id + len(points), dtype=np.int64)
        if len(ids):
            features = self._model.read(held, points)
            self._chains.add(points, np.full(len(ids), held.index), features)
            self._ids = np.concatenate([self._ids, ids])
            waiting = np.full(len(ids), late and held.index < self._frames.newest.index)
            self._waiting = np.concatenate([self._waiting, waiting])
            self._open = None
            self._next_id += len(ids)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        keep = ~np.isin(self._ids, ids)
        if keep.all():
            return
        self._chains.keep(np.flatnonzero(keep))
        self._ids, self._waiting, self._open = self._ids[keep], self._waiting[keep], None

    # --- frames ---------------------------------------------------------------------------

    def step(self, frame: Frame) -> PointTracks:
        """UserError: the tracks of a frame are known only 6 frames later."""
        raise UserError(
            f"{self.options.owner}, mode 'streaming' answers late: use advance() and flush(), or "
            "a tracker that answers for every frame"
        )

    def advance(self, frame: Frame) -> list[PointTracks]:
        self._check(frame)
        self._frames.append(frame)
        self._open = None
        return self._answers_until(frame.index - DELAY)

    def flush(self) -> list[PointTracks]:
        return self._answers_until(self._frames.newest.index) if len(self._frames) else []

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        """See :meth:`PointTracker.recall`.

        Frames whose tracks are not final get those that they would have if the stream ended now.
        """
        if not self._frames.reaches(index):
            raise KeyError(f"frame {index} is no longer held")
        rows = np.flatnonzero(np.isin(self._ids, ids))
        if (self._chains.starts[rows] > index).any():
            raise KeyError(f"some of the points were added after frame {index}")
        tracks = self._tracks(rows, index).select(ids)
        self._waiting &= self._chains.nexts < self._frames.newest.index - DELAY
        return tracks

    def _answers_until(self, index: int) -> list[PointTracks]:
        """The tracks of all frames up to ``index`` that have not been returned yet."""
        answers = []
        for each in range(max(self._answered + 1, self._frames.oldest), index + 1):
            begun = ~self._waiting & (self._chains.starts <= each)
            answers.append(self._tracks(np.flatnonzero(begun), each))
        self._answered = max(self._answered, index)
        return answers

    def _tracks(self, rows: np.ndarray, index: int) -> PointTracks:
        """The tracks of points in these rows, ``int64 (N,)``, in a frame."""
        newest = self._frames.newest.index
        self._chains.skip_to(self._frames.oldest)
        if self._chains.advance(rows, min(index, newest - DELAY), newest):
            self._open = None
        chains = self._chains
        if (chains.nexts[rows] < index).any():
            self._open = self._open or chains.copy()
            chains = self._open
            chains.advance(rows, index, newest)
        values = chains.tracks_in(rows, index)
        visible = values[:, 2] > self.options.visibility_threshold
        return PointTracks(index, self._ids[rows], values[:, :2], visible, values[:, 2])
