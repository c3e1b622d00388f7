"""Evaluates a tracker by itself against true tracks, with TAP-Vid's measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam_pt_ros.configuration import Configuration, set_threads
from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.evaluation.bag_input import BagInput
from sam_pt_ros.evaluation.point_metrics import TapVidScores, tap_vid
from sam_pt_ros.interchange.images import decode_image
from sam_pt_ros.recordings.image_stream import ImageStream
from sam_pt_ros.recordings.recording import is_recording, open_recording
from sam_pt_ros.recordings.sources import UNSCALED, FolderSource, Source, VideoSource
from sam_pt_ros.trackers import track_video
from sam_pt_ros.trackers import trackers as registry


@dataclass(frozen=True, eq=False)
class TrueTracks:
    """The true positions of points in a video.

    Attributes:
        xy: ``float32 (T, N, 2)`` pixels.
        visible: ``bool (T, N)``.
        queries: ``int64 (N,)``: the frame in which each point is given to the tracker.
    """

    xy: np.ndarray
    visible: np.ndarray
    queries: np.ndarray

    def __post_init__(self) -> None:
        frames, points = self.visible.shape if self.visible.ndim == 2 else (0, 0)
        if not frames or not points or self.xy.shape != (frames, points, 2):
            raise UserError(
                "true tracks must have points (T, N, 2) and visible (T, N), got "
                f"{self.xy.shape} and {self.visible.shape}"
            )
        inside = (self.queries >= 0) & (self.queries < frames)
        if self.queries.shape != (points,) or not inside.all():
            raise UserError(
                f"each of the {points} true tracks needs a query frame, 0 to {frames - 1}"
            )
        if not self.visible[self.queries, np.arange(points)].all():
            raise UserError("each point must be visible in its query frame")


def read_tracks(path: Path) -> TrueTracks:
    """Read true tracks.

    Args:
        path: an ``.npz`` file with ``points``, ``(T, N, 2)`` pixels (x, y; the centre of the
            top-left pixel is 0, 0), ``visible``, ``(T, N)``, and, optionally, ``queries``,
            ``(N,)``: the frames in which the points are given (default: where they are first
            visible).

    Raises:
        UserError: the file cannot be read, or does not hold these arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an .npz file ({error})") from error
    missing = [name for name in ("points", "visible") if name not in arrays]
    if missing:
        raise UserError(
            f"{path}: the array '{missing[0]}' is missing; found {', '.join(arrays) or 'none'}"
        )
    visible = arrays["visible"].astype(np.bool_)
    if "queries" not in arrays and (visible.ndim != 2 or not visible.any(axis=0).all()):
        raise UserError(f"{path}: every point must be visible in at least one frame")
    queries = arrays.get("queries", visible.argmax(axis=0) if visible.ndim == 2 else np.zeros(0))
    try:
        return TrueTracks(arrays["points"].astype(np.float32), visible, queries.astype(np.int64))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_frames(path: Path) -> np.ndarray:
    """Read all frames of a folder of pictures, a video or a bag, RGB ``uint8 (T, H, W, 3)``.

    Raises:
        UserError: there are no readable frames, or their sizes differ.
    """
    if is_recording(path):
        with open_recording(path) as recording:
            stream = ImageStream(recording, BagInput.find(recording).image_topic)
            pixels = [image.pixels for image in stream]
        _check_complete([*stream.problems, *filter(None, [stream.broken])])
        return np.stack(pixels)
    source: Source = FolderSource(path) if path.is_dir() else VideoSource(path, UNSCALED)
    images = [decode_image(image) for image in source.images()]
    _check_complete(source.problems)
    return np.stack(images)


def _check_complete(problems: Sequence[str]) -> None:
    """Tracks are matched by the number of the frame."""
    if problems:
        raise UserError("; ".join(problems))


def evaluate_tracks(
    configuration: Configuration, frames: np.ndarray, truth: TrueTracks
) -> TapVidScores:
    """Track the true points from their query frames, and score the tracks.

    Args:
        configuration: only its tracker is used, without segmentation or resampling.
        frames: RGB ``uint8 (T, H, W, 3)``.
        truth: of the same frames.

    Raises:
        UserError: tracks and frames differ in length, or the tracker cannot be created.
    """
    if len(frames) != len(truth.xy):
        raise UserError(
            f"the true tracks have {counted(len(truth.xy), 'frame')}, but the video {len(frames)}"
        )
    points = np.arange(truth.xy.shape[1])
    given = truth.xy[truth.queries, points]
    queries = np.column_stack([truth.queries.astype(np.float32), given])
    tracker = registry.make(configuration.backends.tracker, configuration.tracker)
    set_threads(configuration.backends.threads)
    found = track_video(tracker, frames, queries)
    size = (frames.shape[1], frames.shape[2])
    return tap_vid(found.xy, found.visible, truth.xy, truth.visible, truth.queries, size)
