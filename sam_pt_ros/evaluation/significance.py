"""Whether chance explains the difference between two sets of values, by Student's t.

Differences are tested at 5 % (two-sided).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy import stats

SIGNIFICANCE_LEVEL = 0.05

ROUNDING = 1e-9
"""Differences up to this are rounding."""


@dataclass(frozen=True)
class DifferenceTest:
    """What the seeds tell about a difference.

    Attributes:
        standard_error: of the difference; NaN if there are too few seeds.
        significant: whether the difference is larger than chance explains; None if there are too
            few seeds.
    """

    standard_error: float = math.nan
    significant: bool | None = None


def paired_test(differences: Sequence[float]) -> DifferenceTest:
    """Test whether paired differences have a mean other than 0; one pair tells nothing."""
    if len(differences) < 2:
        return DifferenceTest()
    error = _standard_error(differences)
    return _test(fmean(differences), error, len(differences) - 1)


def welch_test(before: Sequence[float], after: Sequence[float]) -> DifferenceTest:
    """Test whether two unpaired sets of values have different means (Welch's test).

    A set of one value tells nothing.
    """
    if min(len(before), len(after)) < 2:
        return DifferenceTest()
    squares = [_standard_error(values) ** 2 for values in (before, after)]
    counts = [len(values) - 1 for values in (before, after)]
    freedom = float(min(counts))
    if sum(squares) > 0:  # Welch and Satterthwaite's approximation
        parts = (square**2 / count for square, count in zip(squares, counts))
        freedom = sum(squares) ** 2 / sum(parts)
    return _test(fmean(after) - fmean(before), math.sqrt(sum(squares)), freedom)


def _standard_error(values: Sequence[float]) -> float:
    """Of the mean; exactly 0 for equal values, which floating-point sums do not give."""
    return math.sqrt(variance(values) / len(values))


def _test(difference: float, error: float, freedom: float) -> DifferenceTest:
    limit = max(ROUNDING, student_limit(freedom) * error)
    return DifferenceTest(error, abs(difference) > limit)


def student_limit(freedom: float) -> float:
    """The number of standard errors that chance explains, for these degrees of freedom."""
    return float(stats.t.ppf(1 - SIGNIFICANCE_LEVEL / 2, freedom))
