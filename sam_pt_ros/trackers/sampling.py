"""Bilinear sampling of feature maps, and correlations around points.

A map ``(h, w, C)`` holds one vector per cell. Positions are in cells, (0, 0) is the centre of the
first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sam_pt_ros.trackers.feature_maps import cells_around, gather, interpolate

_REACH = 5.0  # radius of the soft argmax around the best cell, in cells


def sample(features: Tensor, xy: Tensor) -> Tensor:
    """Sample a map at points; outside the centres of the border cells, the border is repeated.

    Args:
        features: ``(h, w, C)``.
        xy: ``(N, 2)`` cells.

    Returns:
        ``float32 (N, C)``.
    """
    height, width = features.shape[:2]
    limit = torch.tensor([width - 1, height - 1], dtype=xy.dtype, device=xy.device)
    places = torch.minimum(xy.clamp(min=0), limit)
    corner = torch.minimum(places.floor(), (limit - 1).clamp(min=0))
    x, y = (places - corner)[:, :, None].unbind(1)
    left, top = corner.long().unbind(1)
    right, below = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    rows = features.flatten(0, 1)

    def at(column: Tensor, row: Tensor) -> Tensor:
        return rows.index_select(0, row * width + column).float()

    upper = torch.lerp(at(left, top), at(right, top), x)
    lower = torch.lerp(at(left, below), at(right, below), x)
    return torch.lerp(upper, lower, y)


def correlate(features: Tensor, xy: Tensor, vectors: Tensor, radius: int) -> Tensor:
    """Dot products of vectors with a map around points; cells outside of it count as zero.

    Args:
        features: ``(h, w, C)``.
        xy: ``(N, 2)`` cells.
        vectors: ``float32 (N, C)``, one per point.
        radius: of the square neighbourhood, in cells.

    Returns:
        ``float32 (N, (2 radius + 1)**2)``, row by row.
    """
    height, width = features.shape[:2]
    # Positions far outside must not overflow as integers.
    reach = 2 * radius + 2
    limit = torch.tensor([width + reach, height + reach], dtype=xy.dtype, device=xy.device)
    columns, rows, fraction = cells_around(torch.minimum(xy.clamp(min=-reach), limit), radius)
    inside_x, inside_y = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
    inside = inside_x[:, :, None] & inside_y[:, None, :]
    # Interpolation and the dot product commute. Interpolating the products is cheaper.
    found = gather(features, columns, rows).flatten(1, 2)
    products = torch.bmm(found, vectors[:, :, None]).view(inside.shape) * inside
    side = 2 * radius + 1
    found = interpolate(products[..., None], fraction).view(len(xy), side, side)
    return found.transpose(1, 2).flatten(1)


def soft_argmax(heat: Tensor, temperature: float) -> Tensor:
    """The mean position near the best cell, weighted by a softmax over all cells.

    TAP-Net, arXiv 2211.03726, section 4.

    Args:
        heat: ``float32 (N, h, w)``.
        temperature: factor on it.

    Returns:
        ``(N, 2)`` cells, with (0, 0) the outer corner of the first one.
    """
    height, width = heat.shape[1:]
    weights = (temperature * heat.flatten(1)).softmax(1)
    best = weights.argmax(1)
    cells = torch.arange(height * width, device=heat.device)
    centres = torch.stack([cells % width, cells // width], 1) + 0.5
    near = (centres[None] - centres[best][:, None]).square().sum(2) < _REACH**2
    weights = weights * near
    return (weights @ centres) / weights.sum(1, keepdim=True).clamp(min=1e-12)
