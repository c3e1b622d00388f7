"""Where on a mask the query points go (SAM-PT, arXiv 2307.01197, section 3.3).

All points are whole pixels, ``float32 (n, 2)`` x, y. The generator that is passed in is the only
source of randomness.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from sam_pt_ros.errors import UserError

CLUSTERED_PIXELS = 1800
"""Number of pixels of a large mask that k-medoids clusters (the authors' setting)."""

_FILLED_UP_PIXELS = 2000  # the same where k-medoids replaces missing corners

_EROSIONS = (0.06, 0.02, 0.01)  # shares of the mask's diameter, tried in this order
_MINIMUM_ERODED = 10  # pixels below which the next smaller erosion is tried


def select_points(
    method: str,
    count: int,
    image: np.ndarray,
    mask: np.ndarray,
    rng: np.random.Generator,
    clustered_pixels: int = CLUSTERED_PIXELS,
) -> np.ndarray:
    """Choose query points on a mask.

    Args:
        method: one of :data:`METHODS`.
        count: number of points.
        image: RGB ``uint8 (H, W, 3)``.
        mask: ``bool (H, W)``; an empty one has no point to give.
        rng: the source of all randomness.
        clustered_pixels: maximum number of pixels, chosen at random, that k-medoids clusters. As
            published, the default becomes 2000 where k-medoids replaces missing corners.

    Returns:
        ``float32 (count, 2)``, or ``(0, 2)`` for an empty mask. A mask with fewer pixels than
        points repeats its pixels.
    """
    if method not in _METHODS:
        raise UserError(f"unknown point selection '{method}'; available: {', '.join(METHODS)}")
    if count == 0 or not mask.any():
        return np.zeros((0, 2), np.float32)
    return _METHODS[method](count, image, mask, rng, clustered_pixels)


def _draw(count: int, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most ``count`` different pixels of a mask, row by row, ``float32 (n, 2)`` x, y."""
    chosen = np.flatnonzero(mask)
    if len(chosen) > count:
        chosen = chosen[np.sort(rng.choice(len(chosen), count, replace=False))]
    rows, columns = np.divmod(chosen, mask.shape[1])
    return np.stack([columns, rows], axis=1).astype(np.float32)


def _random(
    count: int, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, _: int
) -> np.ndarray:
    return np.resize(_draw(count, mask, rng), (count, 2))


def _kmedoids(
    count: int, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, clustered: int
) -> np.ndarray:
    pixels = _draw(max(clustered, count), mask, rng)
    if len(pixels) < count:
        return np.resize(pixels, (count, 2))
    squares = (pixels**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * pixels @ pixels.T
    np.sqrt(np.maximum(distances, 0), out=distances)
    start = rng.choice(len(pixels), count, replace=False).astype(np.uintp)
    import kmedoids  # optional: it has no package in the ROS distributions

    # One thread: parallel sums come in another order, and results must not depend on that.
    result = kmedoids.fasterpam(distances, start, max_iter=100, n_cpu=1)
    return pixels[np.asarray(result.medoids, np.int64)]


def mask_diameter(mask: np.ndarray) -> float:
    """Diagonal of the bounding box in pixels, from the first to the last row and column."""
    _, _, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return float(np.hypot(width - 1, height - 1))


def erode_mask(mask: np.ndarray, share: float) -> np.ndarray:
    """Erode by a square of ``share`` of the diameter; the image border does not erode."""
    side = int(mask_diameter(mask) * share)
    # The published function hands OpenCV an empty kernel for side 0, which it takes for 3 x 3.
    kernel = np.ones((side or 3, side or 3), np.uint8)
    return cv2.erode(mask.astype(np.uint8), kernel).astype(np.bool_)


def corner_mask(mask: np.ndarray) -> np.ndarray:
    """The part of the mask where corners are looked for: away from its edge if possible."""
    for share in _EROSIONS:
        eroded = erode_mask(mask, share)
        if np.count_nonzero(eroded) >= _MINIMUM_ERODED:
            return eroded
    return mask


def shi_tomasi_corners(count: int, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """At most ``count`` corners inside the mask, best first, ``float32 (m, 2)``."""
    inner = corner_mask(mask)
    corners = cv2.goodFeaturesToTrack(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
        maxCorners=count,
        qualityLevel=0.001,
        minDistance=mask_diameter(inner) / count,
        mask=inner.astype(np.uint8),
        blockSize=3,
        gradientSize=3,
    )
    return np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)


def _shi_tomasi(
    count: int, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, clustered: int
) -> np.ndarray:
    corners = shi_tomasi_corners(count, image, mask)
    missing = count - len(corners)
    if missing == 0:
        return corners
    if clustered == CLUSTERED_PIXELS:
        clustered = _FILLED_UP_PIXELS
    return np.concatenate([corners, _kmedoids(missing, image, mask, rng, clustered)])


def _mixed(
    count: int, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, clustered: int
) -> np.ndarray:
    shares = (
        (count // 4, _kmedoids),
        (count // 3, _shi_tomasi),
        (count - count // 4 - count // 3, _random),
    )
    return np.concatenate(
        [choose(share, image, mask, rng, clustered) for share, choose in shares if share]
    )


_Method = Callable[[int, np.ndarray, np.ndarray, np.random.Generator, int], np.ndarray]
_METHODS: dict[str, _Method] = {
    "kmedoids": _kmedoids,
    "shi_tomasi": _shi_tomasi,
    "random": _random,
    "mixed": _mixed,
}
METHODS = tuple(_METHODS)
"""Names of the methods."""
_WITHOUT_KMEDOIDS = "random"


def check_installed(*methods: str) -> None:
    """UserError if one of the methods needs a package that cannot be imported."""
    if set(methods) <= {_WITHOUT_KMEDOIDS}:
        return
    try:
        import kmedoids  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the Python package 'kmedoids' cannot be imported ({error}); run `pip install "
            f"kmedoids`, or set positive_selection and negative_selection to '{_WITHOUT_KMEDOIDS}'"
        ) from error
