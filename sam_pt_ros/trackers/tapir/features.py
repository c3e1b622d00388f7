"""TAPIR's feature network, which sees a single frame (arXiv 2306.08637; 2402.00847).

A *cell* is one vector of a feature map. Maps of frames do not depend on the points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.winograd import WinogradConvolution

FINE, COARSE = 128, 256
"""Numbers per cell of the fine map (stride 4) and of the coarse one (stride 8)."""

_GROUPS = ((64, 1), (128, 2), (256, 2), (256, 1))  # channels and stride
_EXTRA_BLOCKS = 5


@dataclass(frozen=True, eq=False)
class Grids:
    """The feature maps of a frame at one resolution.

    Attributes:
        levels: maps ``(h, w, C)``: the fine one of 128 numbers, then coarse ones of 256, each of
            half the size of the one before. The first two are normalized per cell.
    """

    levels: tuple[Tensor, ...]

    @classmethod
    def of(cls, fine: Tensor, coarse: Tensor, count: int, dtype: torch.dtype) -> Grids:
        """Build them.

        Args:
            fine: ``(1, 128, H / 4, W / 4)``.
            coarse: ``(1, 256, H / 8, W / 8)``.
            count: number of levels.
            dtype: type in which they are kept.
        """
        maps = [_normalized(fine), _normalized(coarse)]
        while len(maps) < count:
            maps.append(F.avg_pool2d(maps[-1], 2))
        return cls(tuple(each[0].permute(1, 2, 0).contiguous().to(dtype) for each in maps))

    @property
    def coarse(self) -> Tensor:
        """The map of stride 8."""
        return self.levels[1]


def resize(planes: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Scale ``(1, 3, H, W)`` to a height and width, bilinearly, without antialiasing."""
    if planes.shape[-2:] == resolution:
        return planes
    return F.interpolate(planes, resolution, mode="bilinear", align_corners=False)


class ResidualNetwork(nn.Module):
    """The residual network. Parameters are named as in the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.initial_conv = nn.Conv2d(3, 64, 7, stride=2, bias=False)
        groups, inputs = [], 64
        for channels, stride in _GROUPS:
            groups.append(_Group(inputs, channels, stride))
            inputs = channels
        self.block_groups = nn.ModuleList(groups)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``(1, 3, H, W)`` to the fine map ``(1, 128, H / 4, W / 4)`` and the coarse one."""
        x = self.initial_conv(F.pad(image, (2, 3, 2, 3)))
        outputs = []
        for group in self.block_groups:
            x = group(x)
            outputs.append(x)
        return outputs[1], outputs[3]


class _Group(nn.Module):
    """Two blocks; the first has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [_Block(inputs, outputs, stride, first=True), _Block(outputs, outputs, 1, first=False)]
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _Block(nn.Module):
    """A residual block with pre-activation and instance norms."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn_0 = nn.InstanceNorm2d(inputs, affine=True)
        self.bn_1 = nn.InstanceNorm2d(outputs, affine=True)
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, stride, padding=2 - stride, bias=False)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.proj_conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        before = F.relu(self.bn_0(x))
        skipped = x if self.proj_conv is None else self.proj_conv(before)
        if self.conv_0.stride[0] == 2:
            before = F.pad(before, (0, 1, 0, 1))
        return self.conv_1(F.relu(self.bn_1(self.conv_0(before)))).add_(skipped)


class ExtraBlocks(nn.Module):
    """The convolutions by which BootsTAPIR refines the coarse map: most of a frame's work."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_ExtraBlock() for _ in range(_EXTRA_BLOCKS))

    def prepare(self) -> None:
        """Make the convolutions fast on a CPU. Call it after the weights are loaded."""
        for block in self.blocks:
            block.prepare()

    def forward(self, x: Tensor) -> Tensor:
        """``(1, 256, h, w)`` to ``(1, 256, h, w)``."""
        cells = x[0].permute(1, 2, 0).contiguous()
        for block in self.blocks:
            cells = block(cells)
        return cells.permute(2, 0, 1)[None]


class _ExtraBlock(nn.Module):
    """A convolutional block whose skip starts from the normalized input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(COARSE)
        self.conv = nn.Conv2d(COARSE, 4 * COARSE, 3, padding=1)
        self.conv_1 = nn.Conv2d(4 * COARSE, COARSE, 3, padding=1)
        self._fast: tuple[WinogradConvolution, WinogradConvolution] | None = None

    def prepare(self) -> None:
        """Make the convolutions fast on a CPU."""
        self._fast = WinogradConvolution(self.conv), WinogradConvolution(self.conv_1)

    def forward(self, cells: Tensor) -> Tensor:
        """``(h, w, 256)`` to ``(h, w, 256)``."""
        cells = self.layer_norm(cells)
        if self._fast is not None:
            first, second = self._fast
            return second(F.gelu(first(cells), approximate="tanh")).add_(cells)
        wide = F.gelu(self.conv(cells.permute(2, 0, 1)[None]), approximate="tanh")
        return self.conv_1(wide)[0].permute(1, 2, 0) + cells


def _normalized(x: Tensor) -> Tensor:
    """Divide ``(1, C, h, w)`` by the norm of each cell."""
    return x * x.float().square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt().to(x.dtype)
