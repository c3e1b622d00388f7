"""What speaks for a mask, and the probability that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

# Of a logistic regression of "the mask overlaps the object by at least half", over the scenarios
# of benchmarks.honesty and 8 sequences of DAVIS 2016; cross-validated by scenario and sequence.
_KEYPOINTS_WEIGHT = 8.2
_CHROMA_WEIGHT = 36.3
_SHRUNK_WEIGHT = -2.3
_BIAS = -33.5


@dataclass(frozen=True)
class Evidence:
    """What speaks for a mask, as compared with the object's first view.

    Attributes:
        keypoints: share of the first view's keypoints that were found again, in a common
            arrangement, 0 to 1.
        chroma: similarity of colours without their lightness, 0 to 1.
        shrunk: logarithm of how many times smaller than usual the mask is, at least 0.
        index: index of the frame in which keypoints were looked for.
    """

    keypoints: float
    chroma: float
    shrunk: float
    index: int

    def at(self, index: int) -> Evidence:
        """The same in another frame."""
        return replace(self, index=index)

    @property
    def probability(self) -> float:
        """Probability that the mask overlaps the object by at least half, 0 to 1."""
        logit = (
            _KEYPOINTS_WEIGHT * self.keypoints
            + _CHROMA_WEIGHT * self.chroma
            + _SHRUNK_WEIGHT * self.shrunk
            + _BIAS
        )
        return 1 / (1 + math.exp(-logit))


CERTAIN = Evidence(1.0, 1.0, 0.0, 0)
"""That of the first view itself."""

NOTHING = Evidence(0.0, 0.0, 0.0, 0)
"""That of something that has nothing in common with the first view."""
