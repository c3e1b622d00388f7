"""The tracker ``matching``: points that are found again by matching frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.independent import IndependentTracker
from sam_pt_ros.trackers.matching.base import Matcher, References
from sam_pt_ros.trackers.matching.fit import Fits
from sam_pt_ros.trackers.matching.matchers import make_matcher
from sam_pt_ros.trackers.matching.options import MatchingOptions

_LIKE = 0.45  # smallest likeness of a visible point
_NEAR = 4.0  # distance of two places that count as the same, scaled pixels
_TRUSTED = 0.7  # share from which on a match with the query corrects the drift
_LOST = 0.25  # share times likeness below which the query is asked, too
_RENEWED = 0.85, 0.7  # share and likeness below which a newer reference is wanted, ...
_RENEWABLE = 0.5, 0.5  # ... and those from which on it is taken: less may be partly hidden


@dataclass(eq=False)
class _Points:
    """State of N points; row i of every array belongs to point i."""

    xy: np.ndarray  # float64 (N, 2), image pixels
    visible: np.ndarray  # bool (N,)
    confidence: np.ndarray  # float32 (N,)
    query: References  # how they looked in their query frame
    newer: References  # how they looked in a later frame

    def rows(self, keep: np.ndarray) -> _Points:
        """The points selected by ``keep``, ``bool (N,)``."""
        return _Points(
            self.xy[keep],
            self.visible[keep],
            self.confidence[keep],
            tuple(each[keep] for each in self.query),
            tuple(each[keep] for each in self.newer),
        )

    def joined(self, other: _Points) -> _Points:
        """These points, followed by the other ones."""
        return _Points(
            np.concatenate([self.xy, other.xy]),
            np.concatenate([self.visible, other.visible]),
            np.concatenate([self.confidence, other.confidence]),
            tuple(map(np.concatenate, zip(self.query, other.query, strict=True))),
            tuple(map(np.concatenate, zip(self.newer, other.newer, strict=True))),
        )


class Matching(IndependentTracker[_Points]):
    """Finds points in every frame by matching it with earlier ones, anywhere in the image.

    A point is where a similarity transform (shift, rotation, scale), fitted to the matches around
    it, moves it, and looks like the point. It is visible if enough matches agree, and otherwise
    stays where it was last seen. Every frame is matched with two others: with a newer reference,
    a frame in which the point looked almost as it does now, which is replaced when it looks
    different; and with the point's query frame. That corrects the drift where both agree, and
    finds points again that were long out of sight. Points are tracked independently of each other.

    This is not SAM-PT's rule for SuperGlue, which returns other points in every frame and needs a
    mask. It is in the module ``published``.

    The features of a frame are computed once, as soon as there is a point to track in it.

    Raises:
        UserError: a package is not installed, the device is not available, or the checkpoint is
            missing or another model's.
    """

    Options = MatchingOptions

    def __init__(self, options: MatchingOptions) -> None:
        self._matcher: Matcher = make_matcher(options)
        super().__init__(options)

    @property
    def details(self) -> str:
        options = self.options
        return f"{options.matcher}, {options.weights_text}, {self._matcher.device}"

    def _begin(self, xy: np.ndarray, frame: Frame) -> _Points:
        query = self._matcher.references(xy, frame)
        known = np.ones(len(xy), np.bool_)
        return _Points(xy.astype(np.float64), known, known.astype(np.float32), query, query)

    def _located(self, state: _Points, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return state.xy, state.visible, state.confidence

    def _advanced(self, state: _Points, before: Frame, after: Frame) -> _Points:
        matcher = self._matcher
        newer = matcher.find(state.newer, after)
        best = _combined(
            matcher.find(state.query, after), newer, _NEAR * matcher.scaled(after).pixel
        )
        end = np.array([after.width, after.height]) - 0.5
        inside = ((best.xy >= -0.5) & (best.xy <= end)).all(1)
        visible = inside & (best.share >= self.options.min_share) & (best.likeness >= _LIKE)
        xy = np.where(visible[:, None], best.xy, state.xy)
        confidence = np.where(visible, np.minimum(best.share, 1), 0).astype(np.float32)

        wanted = (newer.share < _RENEWED[0]) | (newer.likeness < _RENEWED[1])
        possible = (best.share >= _RENEWABLE[0]) & (best.likeness >= _RENEWABLE[1]) & visible
        renewed = matcher.renewable(wanted, possible)
        references = state.newer
        if renewed.any():
            made = matcher.references(xy[renewed].astype(np.float32), after)
            references = tuple(each.copy() for each in references)
            for each, values in zip(references, made, strict=True):
                each[renewed] = values
        query, references = matcher.limited(state.query, references)
        return _Points(xy, visible, confidence, query, references)


def _combined(query: Fits, newer: Fits, near: float) -> Fits:
    """Where points are, by the match with their query frame and that with a newer one.

    Args:
        query: places by the query frame.
        newer: places by the newer reference.
        near: distance of places that count as the same, in pixels.
    """
    same = np.linalg.norm(query.xy - newer.xy, axis=1) <= near
    old, new = query.share * query.likeness, newer.share * newer.likeness
    taken = (same & (query.share >= _TRUSTED)) | ((new < _LOST) & (old > new))
    return Fits(
        np.where(taken[:, None], query.xy, newer.xy),
        np.where(taken, np.maximum(query.share, newer.share * same), newer.share),
        np.where(taken, np.maximum(query.likeness, newer.likeness * same), newer.likeness),
    )
