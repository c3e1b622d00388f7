"""What a person means by a click on the wrong side of a mask: the region around it."""

from __future__ import annotations

import cv2
import numpy as np

from sam_pt_ros.segmenters.classical.colour import Bins, distribution
from sam_pt_ros.segmenters.classical.cut import contrast_weights, cut

CORE = 2.0
"""Radius around a click that always follows it, working pixels."""
_ROOM = 3.5  # length of what may be meant, in distances of the click from the domain's border;
_MOST_ROOM = 1.5  # at most this, relative to the object's size
_REACHES = (0.08, 0.16, 0.3, 0.55)  # radii to try, relative to the mean of that and the size
_LEAST_RADIUS = 2.5  # working pixels
_SLOPE = 6.0  # by which the belief falls from the click to the radius
_BELIEF_LIMITS = (-4.0, 2.0)
_COLOUR_LIMIT = 3.0
_FLOOR = 1e-4  # probability added to every bin of a histogram
_SMOOTHNESS = 2.5
_ITERATIONS = 40
_ROUNDS = 2
_CERTAIN = 20.0  # evidence
_FREE = 0.03  # cost of an outline that is there already
_CONTRAST = 4.0  # exponent by which contrast along the outline and distinct colours count
_MAJORITY = 0.55


def click_region(
    place: tuple[int, int],
    domain: np.ndarray,
    claimed: np.ndarray,
    lab: np.ndarray,
    size: float,
) -> np.ndarray:
    """The region that a click in a domain means.

    People click in the middle of what is wrong, but do not say how large that is. Several extents
    are tried. Each votes by the contrast along its outline and by how much its colours differ
    from the rest of the domain.

    Args:
        place: row, column of the click, in the domain.
        domain: ``bool (h, w)``, what is on the wrong side: the mask for a click beside the
            object, the rest for a click on it.
        claimed: ``bool (h, w)``, pixels that other clicks hold on the domain's side.
        lab: ``uint8 (h, w, 3)``, the crop, from :func:`.to_lab`.
        size: square root of the object's area, working pixels.

    Returns:
        ``bool (h, w)``: connected, around the click, within the domain, apart from ``claimed``.
    """
    height, width = domain.shape
    row, column = place
    y, x = np.ogrid[-row : height - row, -column : width - column]
    away = np.hypot(x, y).astype(np.float32)
    allowed = domain & ~_grown(claimed)
    core = (away <= CORE) & domain & ~claimed
    core[place] = True
    room = float(cv2.distanceTransform(domain.view(np.uint8), cv2.DIST_L2, 5)[place])
    length = float(np.sqrt(size * min(_ROOM * room, _MOST_ROOM * size)))
    weights = contrast_weights(lab.astype(np.float32))
    # Where the domain ends, the region may end at no cost.
    costs = weights.copy()
    costs[0, :, :-1][domain[:, 1:] != domain[:, :-1]] = _FREE
    costs[1, :-1][domain[1:] != domain[:-1]] = _FREE
    bins = Bins.of(lab, np.array([column, row]), size)
    votes, cast = np.zeros(domain.shape, np.float32), 0.0
    for reach in _REACHES:
        radius = max(reach * length, _LEAST_RADIUS)
        belief = np.clip(_SLOPE * (1 - away / radius), *_BELIEF_LIMITS)
        region = domain & (away <= radius)
        for _ in range(_ROUNDS):
            evidence = belief + _colours(bins, region, domain)
            evidence[~allowed] = -_CERTAIN
            evidence[core] = _CERTAIN
            start = region.astype(np.float32)
            found = cut(evidence.astype(np.float32), costs, _SMOOTHNESS, start, _ITERATIONS)
            region = _connected((found > 0.5) & domain | core, place)
        vote = float(np.exp(_CONTRAST * _rating(region, domain, weights, bins)))
        votes += vote * region
        cast += vote
    return _connected((votes > _MAJORITY * cast) | core, place)


def _colours(bins: Bins, region: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Log likelihood ratio of colours: of the region over the rest of the domain, ``(h, w)``."""
    inside, rest = _histograms(bins, region, domain)
    ratio = np.log((inside + _FLOOR) / (rest + _FLOOR)).clip(-_COLOUR_LIMIT, _COLOUR_LIMIT)
    return np.asarray(ratio[bins.whole].reshape(domain.shape))


def _histograms(
    bins: Bins, region: np.ndarray, domain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the region and of the rest of the domain, ``float32 (bins,)`` each."""
    return distribution(bins, region), distribution(bins, domain & ~region)


def _rating(region: np.ndarray, domain: np.ndarray, weights: np.ndarray, bins: Bins) -> float:
    """Rate a region: image edges along the new outline, and distinct colours, speak for it."""
    across = (region[:, 1:] != region[:, :-1]) & domain[:, 1:] & domain[:, :-1]
    down = (region[1:] != region[:-1]) & domain[1:] & domain[:-1]
    along = np.concatenate([weights[0, :, :-1][across], weights[1, :-1][down]])
    contrast = 1 - float(along.mean()) if len(along) else 0.5
    inside, rest = _histograms(bins, region, domain)
    return contrast - float(np.sqrt(inside * rest).sum())


def _grown(claimed: np.ndarray) -> np.ndarray:
    """Pixels within ``CORE`` of claimed ones."""
    side = 2 * round(CORE) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(claimed.view(np.uint8), disc).view(np.bool_)


def _connected(region: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    """The part of a region that is connected with a pixel in it."""
    _, parts = cv2.connectedComponents(region.view(np.uint8), connectivity=4)
    return np.asarray(parts == parts[place])
