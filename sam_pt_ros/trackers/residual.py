"""The residual network that computes feature maps for PIPS, PIPS++ and CoTracker.

It is that of PIPS (arXiv 2204.04153, section 3.2). A *cell* is one vector of the feature map and
covers ``stride`` x ``stride`` pixels of the network's input.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.enlarged import EnlargedConvolution

CHANNELS = 128
"""Features per cell."""
BILINEAR: dict[str, Any] = {"mode": "bilinear", "align_corners": True}
"""How maps are brought to another size: corner cells stay corner cells."""

_WIDTHS = (64, 96, 128, 128)  # features per cell of the four stages


class ResidualNetwork(nn.Module):
    """Computes the feature map of a frame. Parameters are named as in the published state dicts.

    Args:
        stride: pixels per cell, 4 or 8.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        # Stage i, from 1, has 2**i pixels per cell. Those coarser than the map are enlarged.
        self._fine = stride.bit_length() - 1
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 96, 2)
        self.layer3 = _stage(96, 128, 2)
        self.layer4 = _stage(128, 128, 2)
        self.conv2 = nn.Conv2d(sum(_WIDTHS), 2 * CHANNELS, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)
        self._enlarged: dict[tuple[tuple[int, int], ...], EnlargedConvolution] = {}

    def raw(self, image: Tensor) -> Tensor:
        """``(1, 3, H, W)`` to ``(1, 128, H // stride, W // stride)``, not normalised."""
        size = image.shape[-2] // self.stride, image.shape[-1] // self.stride
        x = _standardized(self.conv1(image)).relu_()
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(x)
        # Bring the stages to one size, concatenate them, and convolve with conv2.
        fine = [
            x if x.shape[-2:] == size else F.interpolate(x, size, **BILINEAR)
            for x in stages[: self._fine]
        ]
        weights = self.conv2.weight.split(_WIDTHS, 1)
        joined = F.conv2d(
            torch.cat(fine, 1), torch.cat(weights[: self._fine], 1), self.conv2.bias, padding=1
        )
        for weight, coarse in zip(weights[self._fine :], stages[self._fine :], strict=True):
            shape = coarse.shape[-2], coarse.shape[-1]
            if (shape, size) not in self._enlarged:
                self._enlarged[shape, size] = EnlargedConvolution(weight, shape, size)
            self._enlarged[shape, size].add_to(joined[0], coarse[0])
        return self.conv3(_standardized(joined).relu_())


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
        """``(1, before, H, W)`` to ``(1, after, H / stride, W / stride)``, rounded up."""
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
