"""Feature maps of frames at several scales, and how they are read between their cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 4
"""Levels of the pyramid, each with half the width and height of the previous one."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """The feature map of one frame at several scales.

    Attributes:
        levels: one tensor ``(h, w, 128)`` per level, finest first.
    """

    levels: tuple[Tensor, ...]

    @classmethod
    def of(cls, finest: Tensor, dtype: torch.dtype = torch.float32) -> Pyramid:
        """Build the pyramid by average pooling of the finest map ``(h, w, 128)``.

        The pooled vectors are not normalised again. Odd last rows and columns are dropped.
        """
        maps = [finest.permute(2, 0, 1)[None]]  # in memory, the features of a cell stay contiguous
        while len(maps) < LEVELS:
            maps.append(F.avg_pool2d(maps[-1], 2))
        return cls(tuple(each[0].permute(1, 2, 0).contiguous().to(dtype) for each in maps))


def planes_of(image: np.ndarray, device: torch.device) -> Tensor:
    """An RGB image ``uint8 (H, W, 3)`` as ``float32 (1, 3, H, W)`` on a device, 0 to 255."""
    # PyTorch warns about read-only arrays, such as those that share a message's memory.
    pixels = torch.from_numpy(image if image.flags.writeable else image.copy())
    if device.type == "cuda":
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    return pixels.permute(2, 0, 1)[None].to(torch.float32)


def to_planes(image: np.ndarray, device: torch.device) -> Tensor:
    """As :func:`planes_of`, -1 to 1."""
    return planes_of(image, device).div_(255).mul_(2).sub_(1)


def cells_around(xy: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """The cells from which a square of samples around points is interpolated.

    Args:
        xy: ``(N, 2)`` in cells.
        radius: of the square, in cells: it has K = 2 ``radius`` + 1 samples on a side.

    Returns:
        Their columns and rows, each ``int64 (N, K + 1)``, also beyond the map; the fractional part
        of the positions, ``(N, 2)``.
    """
    corner = xy.floor()
    steps = torch.arange(-radius, radius + 2, device=xy.device)
    columns, rows = (corner.long()[:, :, None] + steps).unbind(1)
    return columns, rows, xy - corner


def gather(features: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """The features of cells; those of the border are repeated beyond it.

    Args:
        features: ``(h, w, C)``.
        columns: ``int64 (N, K)``.
        rows: ``int64 (N, K)``.

    Returns:
        ``float32 (N, K, K, C)``, x before y.
    """
    height, width = features.shape[:2]
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    cells = rows[:, None, :] * width + columns[:, :, None]
    found = features.flatten(0, 1).index_select(0, cells.flatten())
    return found.view(*cells.shape, features.shape[2]).float()


def interpolate(cells: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate bilinearly: ``(N, K + 1, K + 1, C)``, x before y, to ``(N, K * K, C)``.

    Args:
        cells: values in the cells from :func:`cells_around`.
        fraction: ``(N, 2)``, from the same.
    """
    x, y = fraction[:, :, None, None, None].unbind(1)
    cells = torch.lerp(cells[:, :-1], cells[:, 1:], x)
    return torch.lerp(cells[:, :, :-1], cells[:, :, 1:], y).flatten(1, 2)
