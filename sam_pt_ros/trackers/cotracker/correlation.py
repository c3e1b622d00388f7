"""4D correlation of features around a point and its query (arXiv 2410.11831, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.feature_maps import LEVELS, Pyramid, cells_around, gather, interpolate

RADIUS = 3
"""Radius of the compared neighbourhood, in cells of each level."""
EMBEDDED = 256
"""Width of the embedded correlations of one level."""

_SIDE = 2 * RADIUS + 1

NEIGHBOURS = _SIDE**2
"""Sampled positions around a point on each level."""


def sample_support(pyramid: Pyramid, xy: Tensor) -> Tensor:
    """Sample the features around query points.

    Args:
        pyramid: features of the query frame.
        xy: ``(N, 2)`` in cells of the finest level.

    Returns:
        ``(N, levels, 49, 128)``: 7 x 7 neighbours, x in the outer and y in the inner loop.
    """
    levels = []
    for level, features in enumerate(pyramid.levels):
        cells, fraction = _neighbourhood(features, xy / 2**level)
        levels.append(interpolate(cells, fraction))
    return torch.stack(levels, 1)


def correlate(pyramid: Pyramid, xy: Tensor, support: Tensor) -> Tensor:
    """Compute dot products of the features around points with those around their queries.

    Args:
        pyramid: features of a frame.
        xy: ``(N, 2)`` in cells of the finest level, positions of the points in the frame.
        support: ``(N, levels, 49, 128)``, from :func:`sample_support`.

    Returns:
        ``(N, levels, 2401)``: for each of the 49 neighbours here, the 49 of the query.
    """
    levels = []
    for level, features in enumerate(pyramid.levels):
        cells, fraction = _neighbourhood(features, xy / 2**level)
        # Interpolation and the dot product commute. Interpolating the products is cheaper, because
        # there are fewer of them than features.
        products = cells.flatten(1, 2) @ support[:, level].transpose(1, 2)
        levels.append(interpolate(products.unflatten(1, (_SIDE + 1, -1)), fraction).flatten(1))
    return torch.stack(levels, 1)


def _neighbourhood(features: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """The 8 x 8 cells around points from which the 7 x 7 neighbours are interpolated.

    Border cells are replicated.

    Args:
        features: ``(h, w, 128)``.
        xy: ``(N, 2)`` in cells.

    Returns:
        Cells ``(N, 8, 8, 128)``, x before y; the fractional part of the positions, ``(N, 2)``.
    """
    columns, rows, fraction = cells_around(xy, RADIUS)
    return gather(features, columns, rows), fraction


class CorrelationMlp(nn.Module):
    """Embeds the correlations of one level; all levels share it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(NEIGHBOURS**2, 384)
        self.fc2 = nn.Linear(384, EMBEDDED)

    def forward(self, correlations: Tensor) -> Tensor:
        """``(N, levels, 2401)`` to ``(N, levels * 256)``."""
        return self.fc2(F.gelu(self.fc1(correlations))).flatten(1)


CORRELATION_WIDTH = LEVELS * EMBEDDED
"""Width of a point's embedded correlations on all levels."""
