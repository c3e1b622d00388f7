"""How well points are tracked, measured against true masks and against true tracks.

True tracks are scored as TAP-Vid does (Doersch et al., "TAP-Vid: A Benchmark for Tracking Any
Point in a Video", NeurIPS 2022, arXiv 2211.03726; the values are those of
google-deepmind/tapnet's ``compute_tapvid_metrics``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sam_pt_ros.errors import UserError

THRESHOLDS = (1, 2, 4, 8, 16)
"""Allowed distances in pixels, in an image of :data:`SIDE` x :data:`SIDE`."""

SIDE = 256
"""Height and width of the image in which TAP-Vid measures distances, for any video size."""


@dataclass(frozen=True)
class PointCount:
    """How many of an object's positive points lie on it in one frame.

    Attributes:
        inside: visible points inside the true mask.
        visible: visible points.
        total: all points.
    """

    inside: int
    visible: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.inside <= self.visible <= self.total:
            raise ValueError(
                f"inside <= visible <= total must hold, got {self.inside} inside, {self.visible} "
                f"visible and {self.total} in total"
            )

    @property
    def share(self) -> float:
        """Share of the visible points that lie inside; NaN if none is visible."""
        return self.inside / self.visible if self.visible else math.nan

    @property
    def survives(self) -> bool:
        """Whether at least half of all points are visible and inside; False without points."""
        return self.total > 0 and 2 * self.inside >= self.total


def count_points(xy: np.ndarray, visible: np.ndarray, truth: np.ndarray) -> PointCount:
    """Count an object's positive points in one frame.

    Args:
        xy: ``(N, 2)`` pixels; a point lies in the pixel with the nearest centre, and a point
            outside the image lies outside every mask.
        visible: ``bool (N,)``.
        truth: ``(H, W)``; nonzero pixels are the object.
    """
    xy = np.asarray(xy, np.float64)
    visible = np.asarray(visible, np.bool_)
    if xy.ndim != 2 or xy.shape[1] != 2 or visible.shape != xy.shape[:1] or truth.ndim != 2:
        raise ValueError(
            f"expected points (N, 2), their visibility (N,) and a mask (H, W), got {xy.shape}, "
            f"{visible.shape} and {truth.shape}"
        )
    height, width = truth.shape
    x, y = np.rint(xy[visible]).T
    in_image = (x >= 0) & (y >= 0) & (x < width) & (y < height)  # NaN is not
    columns, rows = x[in_image].astype(np.int64), y[in_image].astype(np.int64)
    return PointCount(
        inside=int(np.count_nonzero(truth[rows, columns])),
        visible=int(np.count_nonzero(visible)),
        total=len(visible),
    )


def survival(survives: Sequence[bool]) -> float:
    """Share of the frames before the first frame in which an object's points are lost.

    Args:
        survives: :attr:`PointCount.survives` of the annotated frames after the object's first,
            in order.

    Returns:
        0 to 1; frames after the first loss do not count. NaN without frames.
    """
    if len(survives) == 0:
        return math.nan
    lost = next((index for index, held in enumerate(survives) if not held), len(survives))
    return lost / len(survives)


@dataclass(frozen=True)
class TapVidScores:
    """TAP-Vid's scores of one video, 0 to 1; NaN where no point counts.

    Attributes:
        average_jaccard: mean of ``jaccard`` (AJ).
        average_pts_within_thresh: mean of ``pts_within`` (the paper's delta average).
        occlusion_accuracy: share of points whose visibility is predicted correctly (OA).
        jaccard: by :data:`THRESHOLDS`: true positives over the sum of true positives, false
            negatives and false positives. A true positive is visible, predicted as visible and
            near. A visible point that is predicted as visible in the wrong place is both a false
            positive and a false negative.
        pts_within: by :data:`THRESHOLDS`: share of the visible points that are near, whatever
            their predicted visibility.
    """

    average_jaccard: float
    average_pts_within_thresh: float
    occlusion_accuracy: float
    jaccard: tuple[float, ...]
    pts_within: tuple[float, ...]


def tap_vid(
    xy: np.ndarray,
    visible: np.ndarray,
    true_xy: np.ndarray,
    true_visible: np.ndarray,
    queries: np.ndarray,
    size: tuple[int, int],
    mode: Literal["first", "strided"] = "first",
) -> TapVidScores:
    """Score the tracks of one video.

    Args:
        xy: predicted ``(T, N, 2)`` pixels, of T frames and N points; NaN is near nothing.
        visible: predicted ``bool (T, N)``.
        true_xy: ``(T, N, 2)`` pixels; ignored where ``true_visible`` is False.
        true_visible: ``bool (T, N)``.
        queries: ``int (N,)``: the frame in which each point was given.
        size: height and width of the images, pixels.
        mode: which frames count: "first": those after a point's query; "strided": all but it.

    Raises:
        UserError: the shapes do not match, a query names no frame, or the mode is unknown.
    """
    xy, true_xy = np.asarray(xy, np.float64), np.asarray(true_xy, np.float64)
    visible, true_visible = np.asarray(visible, np.bool_), np.asarray(true_visible, np.bool_)
    queries = np.asarray(queries)
    _check(xy, visible, true_xy, true_visible, queries)
    if min(size) <= 0:
        raise UserError(f"tracks: the images must not be empty, got {size[1]}x{size[0]} pixels")
    frames = np.arange(len(xy))[:, np.newaxis]
    if mode == "first":
        counts = frames > queries
    elif mode == "strided":
        counts = frames != queries
    else:
        raise UserError(f"tracks: the mode must be 'first' or 'strided', got '{mode}'")
    scale = np.array([SIDE / size[1], SIDE / size[0]])
    squared = np.sum(((xy - true_xy) * scale) ** 2, axis=-1)
    seen, claimed = true_visible & counts, visible & counts
    jaccard, within = [], []
    for threshold in THRESHOLDS:
        near = squared < threshold**2
        correct = np.count_nonzero(near & seen & claimed)
        wrong = np.count_nonzero(claimed & ~(near & seen))
        jaccard.append(_share(correct, np.count_nonzero(seen) + wrong))
        within.append(_share(np.count_nonzero(near & seen), np.count_nonzero(seen)))
    agreeing = np.count_nonzero((visible == true_visible) & counts)
    return TapVidScores(
        average_jaccard=sum(jaccard) / len(jaccard),
        average_pts_within_thresh=sum(within) / len(within),
        occlusion_accuracy=_share(agreeing, np.count_nonzero(counts)),
        jaccard=tuple(jaccard),
        pts_within=tuple(within),
    )


def _check(
    xy: np.ndarray,
    visible: np.ndarray,
    true_xy: np.ndarray,
    true_visible: np.ndarray,
    queries: np.ndarray,
) -> None:
    if xy.ndim != 3 or xy.shape[2] != 2:
        raise UserError(f"tracks: positions must have shape (T, N, 2), got {xy.shape}")
    wanted = {
        "visibility": (visible, xy.shape[:2]),
        "true positions": (true_xy, xy.shape),
        "true visibility": (true_visible, xy.shape[:2]),
        "queries": (queries, xy.shape[1:2]),
    }
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise UserError(
                f"tracks: {name} must have shape {shape} to match the positions, got {array.shape}"
            )
    if not np.issubdtype(queries.dtype, np.integer):
        raise UserError(f"tracks: queries must be integer frame indices, got {queries.dtype}")
    if ((queries < 0) | (queries >= len(xy))).any():
        raise UserError(
            f"tracks: queries must be frames 0 to {len(xy) - 1}, got {queries.tolist()}"
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
