"""Features of frames for PIPS and PIPS++, and their correlation with those of points.

Places are in cells of the finest map: pixels of the network's input divided by its stride.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sam_pt_ros.trackers.feature_maps import LEVELS, Pyramid, cells_around, gather, interpolate
from sam_pt_ros.trackers.residual import CHANNELS, ResidualNetwork

RADIUS = 3
"""Radius of the compared neighbourhood, in cells of each level."""

CORRELATIONS = LEVELS * (2 * RADIUS + 1) ** 2
"""Samples of the correlation of a point in a frame."""

SMALLEST = 2 ** (LEVELS - 1) * 2
"""Smallest width and height of the finest map, in cells: the coarsest has two of them."""


def features_of(network: ResidualNetwork, planes: Tensor) -> Pyramid:
    """The features of a frame, not normalised.

    Args:
        network: the feature network.
        planes: ``float32 (1, 3, H, W)`` RGB, 0 to 255.
    """
    finest = network.raw(planes * (2 / 255) - 1)[0]
    return Pyramid.of(finest.permute(1, 2, 0).contiguous())


def sample(pyramid: Pyramid, xy: Tensor) -> Tensor:
    """Read the finest features at places ``(N, 2)``: ``(N, 128)``. The border is repeated."""
    columns, rows, fraction = cells_around(xy, 0)
    return interpolate(gather(pyramid.levels[0], columns, rows), fraction)[:, 0]


def correlate(pyramid: Pyramid, xy: Tensor, features: Tensor) -> Tensor:
    """Compute dot products of the features of points with those around places in a frame.

    Args:
        pyramid: features of the frame.
        xy: ``(N, 2)`` in cells.
        features: ``(N, K, 128)``, K templates of every point.

    Returns:
        ``(N, K, 196)``: for each level 7 x 7 neighbours, x in the outer and y in the inner loop.
        Beyond the border the map is zero.
    """
    levels = []
    for level, cells in enumerate(pyramid.levels):
        height, width = cells.shape[:2]
        columns, rows, fraction = cells_around(xy / 2**level, RADIUS)
        inside_x, inside_y = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
        inside = inside_x[:, :, None, None] & inside_y[:, None, :, None]
        # Interpolating the products is cheaper than interpolating the features, and the same.
        found = gather(cells, columns, rows)
        products = (found.flatten(1, 2) @ features.mT).unflatten(1, found.shape[1:3])
        levels.append(interpolate(products.where(inside, 0.0), fraction))
    return torch.cat(levels, 1).mT / math.sqrt(CHANNELS)
