"""CoTracker3's feature network: what it sees of a single frame (arXiv 2410.11831, section 3).

A *cell* is one vector of the feature map and covers ``STRIDE`` x ``STRIDE`` pixels of the model's
resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 4
"""Pixels of the model's resolution per cell."""
CHANNELS = 128
"""Numbers per cell."""
LEVELS = 4
"""Levels of the pyramid, each half as wide and half as high as the one before."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """The feature map of one frame at several scales.

    Attributes:
        levels: one tensor ``(h, w, 128)`` per level, finest first; the finest is of the model's
            resolution divided by 4.
    """

    levels: tuple[Tensor, ...]

    @classmethod
    def of(cls, finest: Tensor) -> Pyramid:
        """Average pooling of the finest map ``(128, h, w)``; its vectors are not scaled again."""
        maps = [finest[None]]
        while len(maps) < LEVELS:
            maps.append(F.avg_pool2d(maps[-1], 2))
        return cls(tuple(each[0].permute(1, 2, 0).contiguous() for each in maps))


def prepare(image: np.ndarray, resolution: tuple[int, int], device: torch.device) -> Tensor:
    """An RGB image as the network wants it.

    Args:
        image: ``uint8 (H, W, 3)``.
        resolution: height and width of the model.

    Returns:
        ``float32 (1, 3, *resolution)``, -1 to 1.
    """
    pixels = torch.from_numpy(image)
    if device.type == "cuda":
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    planes = pixels.permute(2, 0, 1)[None].to(torch.float32)
    planes = F.interpolate(planes, resolution, mode="bilinear", align_corners=True)
    return planes.mul_(2 / 255).sub_(1)


class FeatureNetwork(nn.Module):
    """A frame to its feature map. Names of parameters are those of the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 96, 2)
        self.layer3 = _stage(96, 128, 2)
        self.layer4 = _stage(128, 128, 2)
        self.conv2 = nn.Conv2d(64 + 96 + 128 + 128, 2 * CHANNELS, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def raw(self, image: Tensor) -> Tensor:
        """``(1, 3, H, W)`` to ``(1, 128, H / 4, W / 4)``."""
        size = image.shape[-2] // STRIDE, image.shape[-1] // STRIDE
        x = F.relu(F.instance_norm(self.conv1(image)))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        return self.conv3(F.relu(F.instance_norm(self.conv2(torch.cat(stages, 1)))))

    def forward(self, image: Tensor) -> Tensor:
        """Like ``raw``, with every cell's vector scaled to length 1."""
        x = self.raw(image).float()
        return x * x.square().sum(1, keepdim=True).clamp_(min=1e-12).rsqrt_()


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride=stride)) if stride > 1 else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.instance_norm(self.conv1(x)))
        y = F.relu(F.instance_norm(self.conv2(y)))
        if self.downsample is not None:
            x = F.instance_norm(self.downsample(x))
        return F.relu(x + y)


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Residual(before, after, stride), _Residual(after, after, 1))
