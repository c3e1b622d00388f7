"""Tracking through a whole clip, frame by frame as in the node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import FrameHistory
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers.base import PointTracker


@dataclass(frozen=True, eq=False)
class VideoTracks:
    """Tracks of N points through T frames.

    Attributes:
        xy: ``float32 (T, N, 2)`` pixels; before the query frame, the query point.
        visible: ``bool (T, N)``; false before the query frame.
        confidence: ``float32 (T, N)``, 0 to 1; 0 before the query frame.
    """

    xy: np.ndarray
    visible: np.ndarray
    confidence: np.ndarray


def track_video(tracker: PointTracker, frames: np.ndarray, queries: np.ndarray) -> VideoTracks:
    """Track query points through a clip.

    Args:
        tracker: the tracker; it is reset first.
        frames: ``uint8 (T, H, W, 3)`` RGB.
        queries: ``float32 (N, 3)``: frame, x, y; x, y in pixels.

    Raises:
        UserError: a shape is wrong, or a query is outside the clip.
    """
    frames = np.asarray(frames)
    queries = np.asarray(queries, np.float32)
    if frames.ndim != 4:
        raise UserError(f"frames must have shape (T, H, W, 3), got {frames.shape}")
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise UserError(f"queries must have shape (N, 3): frame, x, y; got {queries.shape}")
    starts = queries[:, 0]
    good = (starts >= 0) & (starts < len(frames)) & (starts == np.floor(starts))
    if not good.all():
        raise UserError(
            f"query frames must be whole numbers from 0 to {len(frames) - 1}, got "
            f"{starts[~good][0]:g}; a query is frame, x, y"
        )

    history = FrameHistory()
    tracker.reset(history)
    ids = np.full(len(queries), -1, np.int64)
    xy = np.tile(queries[None, :, 1:], (len(frames), 1, 1))
    visible = np.zeros(xy.shape[:2], np.bool_)
    confidence = np.zeros(xy.shape[:2], np.float32)

    def store(tracks: PointTracks, columns: np.ndarray) -> None:
        chosen = tracker.tracks_of(ids[columns], tracks)
        xy[tracks.index, columns] = chosen.xy
        visible[tracks.index, columns] = chosen.visible
        confidence[tracks.index, columns] = chosen.confidence

    def started(index: int) -> np.ndarray:
        return np.flatnonzero((ids >= 0) & (starts <= index))

    tracker.foresee(queries)
    for index, image in enumerate(frames):
        frame = history.append(image, stamp=index)
        answers = tracker.advance(frame)
        new = np.flatnonzero(starts == index)
        if len(new):
            ids[new] = tracker.add_points(queries[new, 1:], frame)
        for tracks in answers:
            store(tracks, started(tracks.index))
    for tracks in tracker.flush():
        store(tracks, started(tracks.index))
    return VideoTracks(xy, visible, confidence)
