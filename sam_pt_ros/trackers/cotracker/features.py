"""CoTracker3's feature network, which sees a single frame (arXiv 2410.11831, section 3).

A *cell* is one vector of the feature map and covers ``STRIDE`` x ``STRIDE`` pixels of the model's
resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.cotracker.enlarged import EnlargedConvolution

STRIDE = 4
"""Pixels of the model's resolution per cell."""
CHANNELS = 128
"""Features per cell."""
LEVELS = 4
"""Levels of the pyramid, each with half the width and height of the previous one."""

_WIDTHS = (64, 96, 128, 128)  # features per cell of the four stages
_FINE = 2  # number of stages that are not coarser than the map; the others are enlarged
_BILINEAR: dict[str, Any] = {"mode": "bilinear", "align_corners": True}


@dataclass(frozen=True, eq=False)
class Pyramid:
    """The feature map of one frame at several scales.

    Attributes:
        levels: one tensor ``(h, w, 128)`` per level, finest first. The finest has a quarter of
            the model's resolution.
    """

    levels: tuple[Tensor, ...]

    @classmethod
    def of(cls, finest: Tensor, dtype: torch.dtype = torch.float32) -> Pyramid:
        """Build the pyramid by average pooling of the finest map ``(h, w, 128)``.

        The pooled vectors are not normalised again.
        """
        maps = [finest.permute(2, 0, 1)[None]]  # in memory, the features of a cell stay contiguous
        while len(maps) < LEVELS:
            maps.append(F.avg_pool2d(maps[-1], 2))
        return cls(tuple(each[0].permute(1, 2, 0).contiguous().to(dtype) for each in maps))


def prepare(image: np.ndarray, resolution: tuple[int, int], device: torch.device) -> Tensor:
    """Convert an RGB image to the input of the network.

    Args:
        image: ``uint8 (H, W, 3)``.
        resolution: height and width of the model's input.
        device: where the result is computed.

    Returns:
        ``float32 (1, 3, *resolution)``, -1 to 1.
    """
    # PyTorch warns about read-only arrays, such as those that share a message's memory.
    pixels = torch.from_numpy(image if image.flags.writeable else image.copy())
    if device.type == "cuda":
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    planes = pixels.permute(2, 0, 1)[None].to(torch.float32)
    planes = F.interpolate(planes, resolution, **_BILINEAR)
    return planes.mul_(2 / 255).sub_(1)


class FeatureNetwork(nn.Module):
    """Computes the feature map of a frame. Parameters are named as in the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 96, 2)
        self.layer3 = _stage(96, 128, 2)
        self.layer4 = _stage(128, 128, 2)
        self.conv2 = nn.Conv2d(sum(_WIDTHS), 2 * CHANNELS, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)
        self._enlarged: dict[tuple[int, int], EnlargedConvolution] = {}

    def raw(self, image: Tensor) -> Tensor:
        """``(1, 3, H, W)`` to ``(1, 128, H / 4, W / 4)``, not normalised."""
        size = image.shape[-2] // STRIDE, image.shape[-1] // STRIDE
        x = _standardized(self.conv1(image)).relu_()
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(x)
        # Bring the stages to one size, concatenate them, and convolve with conv2.
        fine = [
            x if x.shape[-2:] == size else F.interpolate(x, size, **_BILINEAR)
            for x in stages[:_FINE]
        ]
        weights = self.conv2.weight.split(_WIDTHS, 1)
        joined = F.conv2d(
            torch.cat(fine, 1), torch.cat(weights[:_FINE], 1), self.conv2.bias, padding=1
        )
        for weight, coarse in zip(weights[_FINE:], stages[_FINE:], strict=True):
            shape = coarse.shape[-2], coarse.shape[-1]
            if shape not in self._enlarged:
                self._enlarged[shape] = EnlargedConvolution(weight, shape, size)
            self._enlarged[shape].add_to(joined[0], coarse[0])
        return self.conv3(_standardized(joined).relu_())

    def forward(self, image: Tensor) -> Tensor:
        """``(1, 3, H, W)`` to ``(H / 4, W / 4, 128)``; every cell's vector has length 1."""
        x = self.raw(image)[0].permute(1, 2, 0).contiguous().float()
        norm = torch.linalg.vector_norm(x, dim=2, keepdim=True)
        return x.div_(norm.clamp_(min=1e-6))


class _Residual(nn.Module):
    """A residual block of two 3 x 3 convolutions."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride=stride)) if stride > 1 else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(1, before, H, W)`` to ``(1, after, H / stride, W / stride)``."""
        y = _standardized(self.conv1(x)).relu_()
        y = _standardized(self.conv2(y)).relu_()
        if self.downsample is not None:
            x = _standardized(self.downsample(x))
        return y.add_(x).relu_()


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Residual(before, after, stride), _Residual(after, after, 1))


def _standardized(x: Tensor) -> Tensor:
    """Instance norm of ``(1, C, H, W)``, without parameters and in place.

    On a CPU this takes less than half the time of PyTorch's own.
    """
    x.sub_(x.mean((2, 3), keepdim=True))
    norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=torch.float32)
    variance = norm.square_().div_(x.shape[2] * x.shape[3])
    return x.mul_(variance.add_(1e-5).rsqrt_().to(x.dtype))
