"""Class-agnostic average precision and recall of video instance segmentation, as UVO defines them.

Yang et al., "Video Instance Segmentation", ICCV 2019, section 3; Wang et al., "Unidentified
Video Objects", ICCV 2021 (arXiv 2104.04691): COCO's measures, with the intersection over union
of two tracks over the whole video. The values are those of YouTube-VIS's ``YTVOSeval``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
from pycocotools import mask as coco

from sam_pt_ros.errors import UserError

# COCO's own values, bit for bit: the second largest is slightly below 0.9.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100
"""Largest number of detections per video that count: those with the highest scores."""

_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_AREAS = np.array([(0, math.inf), (0, 128**2), (128**2, 256**2), (256**2, math.inf)])
_AT_50, _AT_75 = 0, 5  # of IOU_THRESHOLDS


class Rle(TypedDict):
    """A mask in COCO's compressed run-length encoding."""

    size: list[int]
    """Height and width."""
    counts: bytes


def encode_rle(mask: np.ndarray) -> Rle:
    """Encode a mask ``(H, W)``; nonzero pixels are the object."""
    code: Rle = coco.encode(np.asfortranarray(mask != 0).view(np.uint8))
    return code


def decode_rle(code: Rle) -> np.ndarray:
    """Decode a mask to ``bool (H, W)``."""
    return np.ascontiguousarray(coco.decode(code)).view(np.bool_)


@dataclass(frozen=True, eq=False)
class InstanceTrack:
    """A true or detected object's masks in all frames of a video.

    Attributes:
        masks: one per frame; None where the object is not seen.
        score: confidence of a detection; meaningless for a true object.
        crowd: whether a true object is a group, which may be detected but need not be.
    """

    masks: tuple[Rle | None, ...]
    score: float = 1.0
    crowd: bool = False

    def __post_init__(self) -> None:
        if not self.masks:
            raise UserError("a track has no frames; give one entry per frame")
        sizes = {tuple(code["size"]) for code in self.masks if code is not None}
        if len(sizes) > 1:
            raise UserError(f"the masks of a track must have the same size, got {sorted(sizes)}")
        if not math.isfinite(self.score):
            raise UserError(f"the score of a track must be finite, got {self.score}")

    @classmethod
    def of_masks(
        cls, masks: Iterable[np.ndarray | None], score: float = 1.0, crowd: bool = False
    ) -> InstanceTrack:
        """Encode masks ``(H, W)``, one per frame or None."""
        codes = tuple(None if mask is None else encode_rle(mask) for mask in masks)
        return cls(codes, score, crowd)

    def mask(self, index: int) -> np.ndarray | None:
        """The mask in a frame, ``bool (H, W)``; None if the object is not seen in it."""
        code = self.masks[index]
        return None if code is None else decode_rle(code)

    @cached_property
    def areas(self) -> np.ndarray:
        """Pixels in every frame, ``int64 (T,)``."""
        return np.array(
            [0 if code is None else int(coco.area(code)) for code in self.masks], np.int64
        )

    @property
    def mean_area(self) -> float:
        """Mean area over the frames in which the object is seen, pixels; 0 if there are none."""
        seen = self.areas[self.areas > 0]
        return float(seen.mean()) if len(seen) else 0.0


def track_ious(found: Sequence[InstanceTrack], true: Sequence[InstanceTrack]) -> np.ndarray:
    """Spatio-temporal IoU of all pairs of D detected and G true tracks, ``float64 (D, G)``.

    It is the sum of the intersections over the sum of the unions of all frames; 0 for two empty
    tracks.

    Raises:
        UserError: the tracks differ in their number of frames or in their size.
    """
    ious = np.zeros((len(found), len(true)))
    tracks = (*found, *true)
    if len({len(track.masks) for track in tracks}) > 1:
        lengths = sorted({len(track.masks) for track in tracks})
        raise UserError(
            f"the tracks of a video must have the same number of frames, got {lengths}"
        )
    if ious.size == 0:
        return ious
    intersections = np.zeros(ious.shape, np.int64)
    for index in range(len(tracks[0].masks)):
        rows = [row for row, track in enumerate(found) if track.areas[index]]
        columns = [column for column, track in enumerate(true) if track.areas[index]]
        if not rows or not columns:
            continue
        codes = [[track.masks[index] for track in tracks] for tracks in (found, true)]
        shares = np.asarray(
            coco.iou(
                [codes[0][row] for row in rows],
                [codes[1][column] for column in columns],
                [0] * len(columns),
            )
        )
        if (shares < 0).any():
            raise UserError(f"frame {index}: the masks of a video must have the same size")
        areas = np.add.outer(
            np.array([found[row].areas[index] for row in rows]),
            np.array([true[column].areas[index] for column in columns]),
        )
        # Solves IoU = i / (a - i), where a is the sum of both areas; i is an integer.
        pixels = np.rint(shares * areas / (1 + shares)).astype(np.int64)
        intersections[np.ix_(rows, columns)] += pixels
    totals = np.add.outer(
        np.array([track.areas.sum() for track in found]),
        np.array([track.areas.sum() for track in true]),
    )
    unions = totals - intersections
    np.divide(intersections, unions, out=ious, where=unions > 0)
    return ious


@dataclass(frozen=True, eq=False)
class VideoMatches:
    """One video's matches: A areas, T thresholds, D detections, the most confident first.

    Attributes:
        scores: ``float64 (D,)``.
        matched: ``bool (A, T, D)``: whether the detection matches a true object.
        ignored: ``bool (A, T, D)``: whether it counts neither as right nor as wrong.
        true: ``int64 (A,)``: number of true objects that should be detected.
    """

    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    true: np.ndarray


def match_video(true: Sequence[InstanceTrack], found: Sequence[InstanceTrack]) -> VideoMatches:
    """Match the detections of one video to its true objects, the most confident first.

    A detection takes the free object with the largest IoU, if that reaches the threshold. Only the
    :data:`MAX_DETECTIONS` most confident count; of equally confident ones the earlier.

    Raises:
        UserError: the tracks differ in their number of frames or in their size.
    """
    order = np.argsort([-track.score for track in found], kind="stable")[:MAX_DETECTIONS]
    found = [found[index] for index in order]
    ious = track_ious(found, true)
    crowd = np.array([track.crowd for track in true], np.bool_)
    outside = _outside([track.mean_area for track in true]) | crowd
    shape = len(_AREAS), len(IOU_THRESHOLDS), len(found)
    matched, ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    too_small_or_large = _outside([track.mean_area for track in found])
    for area, level in np.ndindex(shape[:2]):
        partners = _assign(ious >= IOU_THRESHOLDS[level], ious, outside[area], crowd)
        hit = partners >= 0
        matched[area, level] = hit
        ignored[area, level] = ~hit & too_small_or_large[area]
        ignored[area, level, hit] = outside[area][partners[hit]]
    scores = np.array([track.score for track in found], np.float64)
    return VideoMatches(scores, matched, ignored, np.count_nonzero(~outside, axis=1))


def _outside(areas: Sequence[float]) -> np.ndarray:
    """Which tracks are outside each range of areas, ``bool (A, N)``."""
    values = np.asarray(areas, np.float64)
    return (values < _AREAS[:, :1]) | (values > _AREAS[:, 1:])


def _assign(
    enough: np.ndarray, ious: np.ndarray, ignored: np.ndarray, crowd: np.ndarray
) -> np.ndarray:
    """The index of each detection's true object, ``int64 (D,)``; -1: none.

    An ignored object is taken only if no other qualifies, and a crowd any number of times.
    """
    partners = np.full(len(ious), -1, np.int64)
    free = np.ones(ious.shape[1], np.bool_)
    for row in range(len(ious)):
        possible = enough[row] & (free | crowd)
        if (possible & ~ignored).any():
            possible &= ~ignored
        columns = np.flatnonzero(possible)
        if len(columns) == 0:
            continue
        # Of equal IoUs COCO takes the last.
        best = columns[::-1][np.argmax(ious[row, columns[::-1]])]
        partners[row] = best
        free[best] = False
    return partners


@dataclass(frozen=True)
class InstanceScores:
    """Scores of a data set, 0 to 1; NaN where there is no true object.

    Attributes:
        ap: average precision, mean over the IoU thresholds 0.50, 0.55, ... 0.95, with at most 100
            detections per video.
        ap50: average precision at the IoU threshold 0.50.
        ap75: average precision at the IoU threshold 0.75.
        ap_small: of objects with a mean area of up to 128² pixels.
        ap_medium: of objects with a mean area of up to 256² pixels.
        ap_large: of larger objects.
        ar1: average recall, mean over the same thresholds, of one detection per video.
        ar10: of 10 detections per video.
        ar100: of 100 detections per video.
        ar_small: of objects with a mean area of up to 128² pixels and 100 detections.
        ar_medium: of objects with a mean area of up to 256² pixels.
        ar_large: of larger objects.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    ar_small: float
    ar_medium: float
    ar_large: float


def score_videos(videos: Sequence[VideoMatches]) -> InstanceScores:
    """Scores over videos; of equally confident detections those of earlier videos come first."""
    precision, recall = _measure(videos, _ALL, MAX_DETECTIONS)
    by_area = {area: _measure(videos, area, MAX_DETECTIONS) for area in (_SMALL, _MEDIUM, _LARGE)}
    ap, ar = ({area: float(v[i].mean()) for area, v in by_area.items()} for i in (0, 1))
    return InstanceScores(
        ap=float(precision.mean()),
        ap50=float(precision[_AT_50]),
        ap75=float(precision[_AT_75]),
        ap_small=ap[_SMALL],
        ap_medium=ap[_MEDIUM],
        ap_large=ap[_LARGE],
        ar1=float(_measure(videos, _ALL, 1)[1].mean()),
        ar10=float(_measure(videos, _ALL, 10)[1].mean()),
        ar100=float(recall.mean()),
        ar_small=ar[_SMALL],
        ar_medium=ar[_MEDIUM],
        ar_large=ar[_LARGE],
    )


def _measure(
    videos: Sequence[VideoMatches], area: int, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and recall by threshold, ``float64 (T,)``; NaN without true objects."""
    levels = len(IOU_THRESHOLDS)
    total = sum(int(video.true[area]) for video in videos)
    if total == 0:
        return np.full(levels, math.nan), np.full(levels, math.nan)
    scores = np.concatenate([video.scores[:limit] for video in videos])
    order = np.argsort(-scores, kind="stable")
    matched = np.concatenate([v.matched[area, :, :limit] for v in videos], axis=1)[:, order]
    counts = ~np.concatenate([v.ignored[area, :, :limit] for v in videos], axis=1)[:, order]
    right = np.cumsum(matched & counts, axis=1)
    given = np.cumsum(counts, axis=1)
    precision, recall = np.zeros(levels), np.zeros(levels)
    for level in range(levels if len(scores) else 0):
        recalls = right[level] / total
        precisions = right[level] / np.maximum(given[level], 1)
        # The best precision at this or a higher recall; 0 where the recall is not reached.
        best = np.append(np.maximum.accumulate(precisions[::-1])[::-1], 0.0)
        precision[level] = best[np.searchsorted(recalls, RECALL_POINTS)].mean()
        recall[level] = recalls[-1]
    return precision, recall
