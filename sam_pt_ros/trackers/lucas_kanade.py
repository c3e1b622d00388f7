"""Pyramidal Lucas-Kanade with a forward-backward and an appearance check (OpenCV only).

Lucas and Kanade 1981, with Bouguet's pyramids. The forward-backward check is that of Kalal et al.,
"Forward-Backward Error", ICPR 2010. Points are tracked independently of each other, so adding or
removing some does not affect the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.options import check_options, option
from sam_pt_ros.trackers.independent import IndependentTracker

_WINDOW = 15  # side of the Lucas-Kanade window, pixels of the reduced image
_LEVELS = 3  # pyramid levels above the reduced image
_TERMINATION = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.03)
_PATCH = 13  # side of the appearance patch, pixels of the reduced image, odd
_REFRESH_PERIOD = 4  # frames between updates of the recent patch
_REFRESH_SIMILARITY = 0.85  # below this the point may be partly hidden, so do not update the patch
_DRIFT = 0.15  # similarity to the query patch below which the recent patch is ignored
_NOISE = 25.0  # variance of camera noise per channel, grey levels squared
_COLOUR_SCALE = 40.0  # difference of mean colours between two surfaces, grey levels
_DAMPING = 0.98  # factor on the velocity of a hidden point, per frame
_VELOCITY_RATE = 0.4  # weight of the newest step in the velocity
_SEARCH = 12  # search radius around the predicted position of a hidden point, reduced pixels
_FOUND_AGAIN = 0.15  # added to ``min_similarity`` for a hidden point to become visible


@dataclass(frozen=True)
class LucasKanadeOptions:
    """Options of :class:`LucasKanade`."""

    working_size: int = option(
        480,
        "Longer side, in pixels, of the reduced image in which points are tracked. Larger is more "
        "accurate and slower.",
        minimum=64,
        maximum=4096,
    )
    max_forward_backward_error: float = option(
        1.5,
        "Largest forward-backward error, in pixels of the reduced image, at which a point still "
        "counts as visible.",
        minimum=0.05,
        maximum=20.0,
    )
    min_similarity: float = option(
        0.5,
        "Smallest similarity at which a point counts as visible. Its patch is compared with the "
        "one it was added with and with a recent one; 1 means equal.",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, eq=False)
class _Reduced:
    """A frame, reduced to the working size.

    Attributes:
        rgb: ``uint8 (h, w, 3)``.
        gray: ``uint8 (h, w)``.
        scale: ``float32 (2,)``, reduced pixels per image pixel, in x and y.
    """

    rgb: np.ndarray
    gray: np.ndarray
    scale: np.ndarray

    def reduce(self, xy: np.ndarray) -> np.ndarray:
        """Image pixels ``(N, 2)`` to reduced pixels, ``float32 (N, 2)``."""
        return ((xy + 0.5) * self.scale - 0.5).astype(np.float32)

    def enlarge(self, xy: np.ndarray) -> np.ndarray:
        """Reduced pixels ``(N, 2)`` to image pixels, ``float32 (N, 2)``."""
        return ((xy + 0.5) / self.scale - 0.5).astype(np.float32)


@dataclass(eq=False)
class _Points:
    """State of N points in reduced pixels; row i of every array belongs to point i."""

    xy: np.ndarray  # float32 (N, 2)
    velocity: np.ndarray  # float32 (N, 2), per frame
    visible: np.ndarray  # bool (N,)
    confidence: np.ndarray  # float32 (N,)
    query: np.ndarray  # uint8 (N, P, P, 3), the appearance when added
    recent: np.ndarray  # uint8 (N, P, P, 3), the appearance a few visible frames ago
    since_refresh: np.ndarray  # int64 (N,), frames

    @classmethod
    def at(cls, xy: np.ndarray, reduced: _Reduced) -> _Points:
        """State of newly added points, visible at ``xy (N, 2)`` image pixels."""
        count = len(xy)
        small = reduced.reduce(xy)
        patches = _patches(reduced.rgb, small)
        return cls(
            small,
            np.zeros((count, 2), np.float32),
            np.ones(count, np.bool_),
            np.ones(count, np.float32),
            patches,
            patches.copy(),
            np.zeros(count, np.int64),
        )

    def rows(self, keep: np.ndarray) -> _Points:
        """The points selected by ``keep``, ``bool (N,)``."""
        return _Points(*(value[keep] for value in vars(self).values()))

    def joined(self, other: _Points) -> _Points:
        """These points, followed by the other ones."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Points(*(np.concatenate(pair) for pair in pairs))


class LucasKanade(IndependentTracker[_Points]):
    """Tracks points by pyramidal Lucas-Kanade, and searches hidden ones where they should be."""

    Options = LucasKanadeOptions

    def _begin(self, xy: np.ndarray, frame: Frame) -> _Points:
        return _Points.at(xy, self._reduced(frame))

    def _located(self, state: _Points, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._reduced(frame).enlarge(state.xy), state.visible, state.confidence

    def _reduced(self, frame: Frame) -> _Reduced:
        """The reduced image of a frame, cached in the frame."""
        # Frames may be shared with a tracker that reduces them to another size.
        key = f"lucas_kanade {self.options.working_size}"
        found: _Reduced | None = frame.features.get(key)
        if found is None:
            shrink = max(1, round(max(frame.size) / self.options.working_size))
            width, height = max(1, frame.width // shrink), max(1, frame.height // shrink)
            rgb = frame.image
            if shrink > 1:
                rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
            scale = np.array([width / frame.width, height / frame.height], np.float32)
            found = _Reduced(rgb, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), scale)
            frame.features[key] = found
        return found

    def _advanced(self, state: _Points, before: Frame, after: Frame) -> _Points:
        return self._followed(state, self._reduced(before), self._reduced(after))

    def _followed(self, points: _Points, before: _Reduced, after: _Reduced) -> _Points:
        """The points in the next frame."""
        options = self.options
        followed = np.flatnonzero(points.visible)
        hidden = np.flatnonzero(~points.visible)
        start = points.xy.copy()
        quality = np.zeros(len(start), np.float32)
        reached = start + points.velocity

        if len(followed):
            moved, error = _follow(before.gray, after.gray, start[followed])
            good = error <= options.max_forward_backward_error
            reached[followed[good]] = moved[good]
            quality[followed[good]] = 1.0
        for row in hidden:
            place, score = _search(after.rgb, reached[row], points.recent[row])
            if score >= options.min_similarity + _FOUND_AGAIN:
                reached[row], quality[row] = place, 1.0

        patches = _patches(after.rgb, reached)
        old = _similarity(points.query, patches)
        new = _similarity(points.recent, patches)
        similarity = np.maximum(old, np.where(old >= _DRIFT, new, 0.0))
        needed = np.where(
            points.visible, options.min_similarity, options.min_similarity + _FOUND_AGAIN
        )
        height, width = after.gray.shape
        inside = (
            (reached[:, 0] >= -0.5)
            & (reached[:, 1] >= -0.5)
            & (reached[:, 0] <= width - 0.5)
            & (reached[:, 1] <= height - 0.5)
        )
        visible = inside & (quality > 0) & (similarity >= needed)

        lost = points.visible & ~visible & ~(quality > 0)
        reached[lost] = start[lost] + points.velocity[lost]
        limit = np.array([width, height], np.float32)
        xy = np.clip(reached, -limit, 2 * limit).astype(np.float32)
        velocity = np.where(
            visible[:, None] & points.visible[:, None],
            points.velocity + _VELOCITY_RATE * (xy - start - points.velocity),
            _DAMPING * points.velocity,
        ).astype(np.float32)

        since = points.since_refresh + 1
        learn = visible & (new >= _REFRESH_SIMILARITY) & (since >= _REFRESH_PERIOD)
        return _Points(
            xy,
            velocity,
            visible,
            np.where(visible, np.clip(similarity, 0, 1), 0).astype(np.float32),
            points.query,
            np.where(learn[:, None, None, None], patches, points.recent),
            np.where(learn, 0, since),
        )


def _follow(
    before: np.ndarray, after: np.ndarray, xy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Track points forward and back.

    Args:
        before: ``uint8 (h, w)``.
        after: ``uint8 (h, w)``.
        xy: ``float32 (N, 2)`` pixels in ``before``.

    Returns:
        Positions in ``after``, ``float32 (N, 2)`` pixels; the forward-backward error,
        ``float32 (N,)`` pixels, infinite where tracking failed.
    """
    settings: dict[str, Any] = {
        "winSize": (_WINDOW, _WINDOW),
        "maxLevel": _LEVELS,
        "criteria": _TERMINATION,
    }
    start = np.ascontiguousarray(xy, np.float32).reshape(-1, 1, 2)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **settings)
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **settings)
    error = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    error[(found.ravel() == 0) | (again.ravel() == 0)] = np.inf
    return there.reshape(-1, 2), error


def _search(image: np.ndarray, xy: np.ndarray, patch: np.ndarray) -> tuple[np.ndarray, float]:
    """Find a patch around a position.

    Args:
        image: ``uint8 (h, w, 3)``.
        xy: ``float32 (2,)`` pixels.
        patch: ``uint8 (P, P, 3)``.

    Returns:
        The best position, ``float32 (2,)`` pixels, and the correlation there; -1 if there is none.
    """
    half = _PATCH // 2
    x, y = int(round(float(xy[0]))), int(round(float(xy[1])))
    left, top = max(x - _SEARCH - half, 0), max(y - _SEARCH - half, 0)
    region = image[top : max(y + _SEARCH + half + 1, 0), left : max(x + _SEARCH + half + 1, 0)]
    if min(region.shape[:2]) < _PATCH:
        return xy, -1.0
    scores = cv2.matchTemplate(region, patch, cv2.TM_CCOEFF_NORMED)
    _, best, _, place = cv2.minMaxLoc(scores)
    # Patches without contrast correlate with everything.
    if not np.isfinite(best) or float(patch.std()) < np.sqrt(_NOISE):
        return xy, -1.0
    return np.array([left + place[0] + half, top + place[1] + half], np.float32), float(best)


def _patches(image: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Patches ``uint8 (N, P, P, 3)`` around points ``(N, 2)``; the border is replicated."""
    patches = np.empty((len(xy), _PATCH, _PATCH, 3), np.uint8)
    for row, (x, y) in enumerate(xy.tolist()):
        patches[row] = cv2.getRectSubPix(image, (_PATCH, _PATCH), (x, y))
    return patches


def _similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Similarity of patches, -1 to 1: correlation of the structure times agreement in colour.

    Camera noise is added to the variances (as in SSIM), so flat patches count as having equal
    structure, and their colour decides.

    Args:
        first: ``uint8 (N, P, P, 3)``.
        second: ``uint8 (N, P, P, 3)``.

    Returns:
        ``float32 (N,)``.
    """
    count = len(first)
    a = first.reshape(count, -1, 3).astype(np.float32)
    b = second.reshape(count, -1, 3).astype(np.float32)
    mean_a, mean_b = a.mean(axis=1, keepdims=True), b.mean(axis=1, keepdims=True)
    a, b = (a - mean_a).reshape(count, -1), (b - mean_b).reshape(count, -1)
    covariance = (a * b).mean(axis=1)
    deviation = np.sqrt((a * a).mean(axis=1) * (b * b).mean(axis=1))
    structure = (covariance + _NOISE) / (deviation + _NOISE)
    apart = np.linalg.norm((mean_a - mean_b).reshape(count, 3), axis=1) / _COLOUR_SCALE
    similarity: np.ndarray = structure * np.exp(-0.5 * apart**2)
    return similarity
