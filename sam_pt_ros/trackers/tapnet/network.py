"""TAP-Net (arXiv 2211.03726, section 4): features that see 4 frames around, and matching.

Positions are in pixels of the model's resolution; (0, 0) is the outer corner of the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.sampling import soft_argmax

FEATURES = 256
"""Numbers per cell of the feature map."""
STRIDE = 8
"""Pixels of the model's resolution per cell."""

_UNITS = ((64, 1, True), (128, 2, True), (256, 1, False))  # channels, stride, shift in time


class TapNetNetwork(nn.Module):
    """The network.

    Args:
        temperature: factor on the similarities before the softmax.
    """

    def __init__(self, temperature: float = 10.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.stem = nn.Conv2d(3, 64, 7, stride=2, bias=False)
        units, inputs = [], 64
        for channels, stride, shifts in _UNITS:
            units.append(
                nn.ModuleList(
                    [
                        _Block(inputs, channels, stride, shifts, first=True),
                        _Block(channels, channels, 1, shifts, first=False),
                    ]
                )
            )
            inputs = channels
        self.units = nn.ModuleList(units)
        self.regression_1 = nn.Conv2d(1, 16, 3, padding=1)
        self.regression_2 = nn.Conv2d(16, 1, 3, padding=1)
        self.occlusion_1 = nn.Conv2d(16, 32, 3, stride=2)
        self.occlusion_2 = nn.Linear(32, 16)
        self.occlusion_out = nn.Linear(16, 1)

    def begin(self, planes: Tensor) -> Tensor:
        """The part of the features that sees one frame: ``(1, 3, H, W)`` to ``(1, 64, H/4, W/4)``.

        Images range from -1 to 1.
        """
        x = self.stem(F.pad(planes, (2, 3, 2, 3)))
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)

    def features(self, begun: Tensor) -> Tensor:
        """Features of a whole clip: ``(T, 64, H/4, W/4)`` to ``(T, H/8, W/8, 256)``."""
        x = begun
        for unit in self.units:
            for block in unit:
                x = block(x)
        x = x * x.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt()
        return x.permute(0, 2, 3, 1).contiguous()

    def match(self, features: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Find query points in a frame.

        Args:
            features: ``(h, w, 256)``, those of the frame.
            queries: ``(N, 256)``, those at the points.

        Returns:
            ``(N, 2)`` in cells, (0, 0) the outer corner of the first one, and the logits ``(N,)``
            of being hidden.
        """
        height, width = features.shape[:2]
        cost = (queries @ features.flatten(0, 1).T).view(-1, 1, height, width)
        hidden = F.relu(self.regression_1(cost))
        heat = self.regression_2(hidden)[:, 0]
        pooled = self.occlusion_1(F.pad(hidden, (0, 1, 0, 1))).mean((2, 3))
        logits = self.occlusion_out(F.relu(self.occlusion_2(pooled)))[:, 0]
        return soft_argmax(heat, self.temperature), logits


class _Block(nn.Module):
    """A residual block with pre-activation, which may see the frames before and after."""

    def __init__(self, inputs: int, outputs: int, stride: int, shifts: bool, first: bool) -> None:
        super().__init__()
        self.norm_0 = nn.BatchNorm2d(inputs)
        self.norm_1 = nn.BatchNorm2d(outputs)
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, stride, padding=2 - stride, bias=False)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if first else None
        self._shifts = shifts

    def forward(self, x: Tensor) -> Tensor:
        """``(T, C, h, w)`` to ``(T, O, h, w)``, of half the size with stride 2."""
        before = F.relu(self.norm_0(x))
        skipped = x if self.shortcut is None else self.shortcut(before)
        if self._shifts:
            before = shifted(before)
        if self.conv_0.stride[0] == 2:
            before = F.pad(before, (0, 1, 0, 1))
        return self.conv_2(F.relu(self.norm_1(self.conv_0(before)))).add_(skipped)


def shifted(x: Tensor) -> Tensor:
    """Exchange an eighth of the channels with each neighbouring frame; ``(T, C, h, w)``.

    The channels of the next frame come first, then the frame's own, then those of the frame
    before. Beyond the clip they are zero.
    """
    part = x.shape[1] // 8
    ahead = F.pad(x[1:, -part:], (0, 0, 0, 0, 0, 0, 0, 1))
    behind = F.pad(x[:-1, :part], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([ahead, x[:, part:-part], behind], 1)
