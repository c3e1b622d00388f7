"""SAM-PT's rule of choosing points from a matcher's matches, errors included.

It is no tracker: a point's number means another thing in every frame, and query points only say
how many points are wanted. What chooses is the mask of the first frame, which a tracker is not
given. So this is a function for comparison with SAM-PT; the tracker ``matching`` has its own rule.

The errors, kept here: the mask of the first frame is looked up at places of the later frame, which
fails as soon as the object moves; points are drawn with replacement, so that some occur twice
while others are left; the matcher's scores are not used; in the first frame no point is visible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_THRESHOLD = 0.5  # value of a mask above which a pixel is inside


def published_candidates(
    masks: np.ndarray, keypoints: np.ndarray, matches: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The keypoints of a frame from which SAM-PT draws.

    Args:
        masks: ``(M, H, W)``, those of the first frame, 0 to 1.
        keypoints: ``(K, 2)`` pixels, x and y in this frame.
        matches: ``int64 (L,)``, for every keypoint of the first frame the number of its match in
            ``keypoints``, or -1.

    Returns:
        For each mask the numbers of positive and of negative candidates, ``int64`` each, in the
        order of the keypoints of the first frame.

    Raises:
        IndexError: a matched place is outside the image, to the right or below.
    """
    matched = np.asarray(matches, np.int64)
    matched = matched[matched != -1]
    x, y = np.asarray(keypoints).reshape(-1, 2)[matched].astype(np.int64).T  # cut, not rounded
    found = []
    for mask in masks:
        inside = mask[y, x] > _THRESHOLD
        found.append((matched[inside], matched[~inside]))
    return found


def published_points(
    masks: np.ndarray,
    keypoints: np.ndarray,
    matches: np.ndarray,
    wanted: Sequence[int],
    random: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """The points that SAM-PT returns in a frame after the first.

    Args:
        masks: see :func:`published_candidates`.
        keypoints: see :func:`published_candidates`.
        matches: see :func:`published_candidates`.
        wanted: number of positive and of negative points per mask.
        random: what the points are drawn with; its state goes on from frame to frame.

    Returns:
        ``float32 (P, 2)`` pixels, mask by mask, the positive ones first, (-1, -1) where too few
        were matched; ``bool (P,)``, whether there is a point.
    """
    xy: list[np.ndarray] = []
    for both in published_candidates(masks, keypoints, matches):
        for candidates, number in zip(both, wanted, strict=True):
            drawn = random.choice(candidates, min(len(candidates), number))
            points = np.full((number, 2), -1, np.float32)
            points[: len(drawn)] = np.asarray(keypoints, np.float32).reshape(-1, 2)[drawn]
            xy.append(points)
    made = np.concatenate(xy)
    return made, (made != -1).any(1)
