"""Which of two places is taken: that by the query frame, or that by a newer reference."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.trackers.matching.fit import Fits
from sam_pt_ros.trackers.matching.tracker import _combined

OLD, NEW = (10.0, 10.0), (12.0, 10.0)


def fits(xy: tuple[float, float], share: float, likeness: float) -> Fits:
    return Fits(np.array([xy]), np.array([share]), np.array([likeness]))


@pytest.mark.parametrize(
    ("query", "newer", "near", "taken"),
    [
        pytest.param((0.72, 0.5), (0.9, 0.9), 3.0, OLD, id="both agree: no drift"),
        pytest.param((0.72, 0.5), (0.9, 0.9), 1.9, NEW, id="they disagree"),
        pytest.param((0.68, 0.9), (0.9, 0.9), 3.0, NEW, id="the query is uncertain"),
        pytest.param((0.68, 0.9), (0.6, 0.4), 1.9, OLD, id="the newer one is lost"),
        pytest.param((0.68, 0.9), (0.6, 0.5), 1.9, NEW, id="the newer one is not quite lost"),
        pytest.param((0.2, 0.5), (0.4, 0.4), 1.9, NEW, id="both are lost, the query more so"),
    ],
)
def test_the_place_that_is_taken(
    query: tuple[float, float],
    newer: tuple[float, float],
    near: float,
    taken: tuple[float, float],
) -> None:
    found = _combined(fits(OLD, *query), fits(NEW, *newer), near)
    assert tuple(found.xy[0]) == taken


def test_places_that_agree_support_each_other() -> None:
    both = fits(OLD, 0.72, 0.5), fits(NEW, 0.9, 0.9)
    found = _combined(*both, 3.0)
    assert (found.share[0], found.likeness[0]) == (0.9, 0.9)
    lost = fits(OLD, 0.72, 0.5), fits(NEW, 0.3, 0.8)
    found = _combined(*lost, 1.0)
    assert (found.share[0], found.likeness[0]) == (0.72, 0.5)
