"""Segmentation of noisy evidence by total variation, weighted by image contrast."""

from __future__ import annotations

import numpy as np

_STEP = 0.35  # below 1 / sqrt(8), which the primal-dual iteration needs to converge
_MIN_WEIGHT = 0.03
_LEVELS = np.float32(4096)  # steps to which the result is rounded


def contrast_weights(lab: np.ndarray) -> np.ndarray:
    """Cost of a boundary: 1 in uniform parts, near 0 along image edges.

    Args:
        lab: ``float32 (h, w, 3)``.

    Returns:
        ``float32 (2, h, w)``, between a pixel and its right and its lower neighbour.
    """
    squares = np.zeros((2, *lab.shape[:2]), np.float32)
    right, down = np.diff(lab, axis=1), np.diff(lab, axis=0)
    squares[0, :, :-1] = np.einsum("ijk,ijk->ij", right, right)
    squares[1, :-1] = np.einsum("ijk,ijk->ij", down, down)
    mean = float(squares.mean()) + 4.0
    weights: np.ndarray = np.exp(-squares / (2 * mean))
    return np.maximum(weights, _MIN_WEIGHT)


def cut(
    evidence: np.ndarray,
    weights: np.ndarray,
    smoothness: float,
    start: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """Minimise - <evidence, x> + smoothness * TV(x) over x in [0, 1].

    The convex relaxation of a graph cut (Chan, Esedoglu and Nikolova 2006), solved by the
    primal-dual method of Chambolle and Pock (2011).

    Args:
        evidence: ``float32 (h, w)``, positive on the object.
        weights: ``float32 (2, h, w)``, from :func:`contrast_weights`.
        smoothness: weight of the total variation.
        start: ``float32 (h, w)`` in [0, 1], initial solution.
        iterations: number of iterations.

    Returns:
        ``float32 (h, w)`` in [0, 1].
    """
    # The dual variable is stored divided by the step, which saves two products per iteration.
    bound = smoothness * (weights[0] + weights[1]) / (2 * _STEP)
    bound_squared = np.square(bound)
    gain = _STEP * evidence
    x = start.astype(np.float32)
    smooth = x.copy()
    dual = np.zeros_like(weights)
    px, py = dual
    squares, norm, flow = np.empty_like(dual), np.empty_like(x), np.empty_like(x)
    for _ in range(iterations):
        px[:, :-1] += np.subtract(smooth[:, 1:], smooth[:, :-1], out=norm[:, :-1])
        py[:-1] += np.subtract(smooth[1:], smooth[:-1], out=norm[:-1])
        np.multiply(dual, dual, out=squares)
        np.add(squares[0], squares[1], out=norm)
        np.maximum(norm, bound_squared, out=norm)
        np.sqrt(norm, out=norm)
        dual *= np.divide(bound, norm, out=norm)
        np.add(px, py, out=flow)
        flow[:, 1:] -= px[:, :-1]
        flow[1:] -= py[:-1]
        flow *= _STEP * _STEP
        flow += gain
        flow += x
        np.maximum(flow, 0, out=flow)
        np.minimum(flow, 1, out=flow)
        np.subtract(flow, x, out=smooth)
        smooth += flow
        x, flow = flow, x
    # The last bits depend on the memory alignment of arrays. The result must not.
    return np.rint(x * _LEVELS) / _LEVELS
