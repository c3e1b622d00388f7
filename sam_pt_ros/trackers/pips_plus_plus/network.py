"""PIPS++'s network, implemented from the paper (Zheng et al., arXiv 2307.15055, section 4).

It tracks points through windows of any length. Places are in cells of the feature map. The
network does not say where points are visible.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.feature_maps import Pyramid
from sam_pt_ros.trackers.pips.features import CORRELATIONS, correlate, sample
from sam_pt_ros.trackers.residual import ResidualNetwork

STRIDE = 8
"""Pixels per cell."""
ITERATIONS = 16
"""Published number of updates per window."""
TEMPLATES = 3
"""Templates of a point in each frame: from the query, and from 2 and 4 frames ago."""

_AGES = (2, 4)  # of the templates that are read anew, in frames
_FREQUENCIES = 32
_WIDTHS = (128, 128, 128, 256, 256, 512, 512, 1024, 1024)  # channels before and after each block
_INPUT = TEMPLATES * CORRELATIONS + 2 * (1 + 2 * _FREQUENCIES)


class PipsPlusPlusNetwork(nn.Module):
    """The published network. The published state dict also has a ``norm``, which is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = ResidualNetwork(STRIDE)
        self.delta_block = _DeltaBlock()

    def track(
        self, pyramids: Sequence[Pyramid], places: Tensor, templates: Tensor, iterations: int
    ) -> tuple[Tensor, Tensor]:
        """Track points through a window of S frames.

        Args:
            pyramids: features of the frames.
            places: ``(N, S, 2)``, from which to start; those in the first frame stay.
            templates: ``(N, S, 3, 128)``, for the first update.
            iterations: number of updates.

        Returns:
            Places ``(N, S, 2)``; templates of the last update, ``(N, S, 3, 128)``.
        """
        for number in range(iterations):
            if number:
                templates = self.renewed(pyramids, places, templates)
            change = self.delta_block(self.tokens(pyramids, places, templates))
            places = torch.cat([places[:, :1], (places + change)[:, 1:]], 1)
        return places, templates

    def renewed(self, pyramids: Sequence[Pyramid], places: Tensor, templates: Tensor) -> Tensor:
        """The templates ``(N, S, 3, 128)``, those of the past read at the present places."""
        frames = range(len(pyramids))
        read = [sample(pyramid, places[:, i]) for i, pyramid in enumerate(pyramids)]
        past = [torch.stack([read[max(i - age, 0)] for i in frames], 1) for age in _AGES]
        return torch.stack([templates[:, :, 0], *past], 2)

    def tokens(self, pyramids: Sequence[Pyramid], places: Tensor, templates: Tensor) -> Tensor:
        """The input of the update block: correlation with each template, velocity.

        Args:
            pyramids: features of S frames.
            places: ``(N, S, 2)``.
            templates: ``(N, S, 3, 128)``.

        Returns:
            ``(N, S, 718)``.
        """
        seen = [
            correlate(pyramid, places[:, i], templates[:, i]).flatten(1)
            for i, pyramid in enumerate(pyramids)
        ]
        return torch.cat([torch.stack(seen, 1), velocity(places)], 2)


def velocity(places: Tensor) -> Tensor:
    """Encode the step to the next frame, in cells; the last frame repeats the one before.

    Args:
        places: ``(N, S, 2)``, S at least 2.

    Returns:
        ``(N, S, 130)``: sines and cosines of x at 32 frequencies, those of y, x and y.
    """
    step = places[:, 1:] - places[:, :-1]
    step = torch.cat([step, step[:, -1:]], 1)
    exponents = torch.arange(_FREQUENCIES, device=places.device) / (_FREQUENCIES - 1)
    angles = step[..., None] * 10000.0**-exponents
    waves = torch.cat([angles.sin(), angles.cos()], -1)
    return torch.cat([waves.flatten(2), step], 2)


class _DeltaBlock(nn.Module):
    """Convolutions along the frames of a point."""

    def __init__(self) -> None:
        super().__init__()
        self.first_block_conv = _Convolution(_INPUT, _WIDTHS[0])
        self.basicblock_list = nn.ModuleList(
            _Residual(before, after, first=number == 0)
            for number, (before, after) in enumerate(zip(_WIDTHS, _WIDTHS[1:]))
        )
        self.dense = nn.Linear(_WIDTHS[-1], 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(N, S, 718)`` to changes of the places, ``(N, S, 2)``."""
        x = self.first_block_conv(tokens.mT).relu()
        for block in self.basicblock_list:
            x = block(x)
        return self.dense(x.relu().mT)


class _Convolution(nn.Module):
    """A convolution of kernel 3, whose published name has one more part."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, before, S)`` to ``(N, after, S)``."""
        return self.conv(x)


class _Residual(nn.Module):
    """A residual block.

    Args:
        before: channels of the input.
        after: channels of the output.
        first: whether it is the first block, whose input has just passed a ReLU.
    """

    def __init__(self, before: int, after: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.margin = (after - before) // 2
        self.conv1 = _Convolution(before, after)
        self.conv2 = _Convolution(after, after)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, before, S)`` to ``(N, after, S)``; new channels lie on both sides of the old."""
        y = x if self.first else F.instance_norm(x).relu()
        y = F.instance_norm(self.conv1(y)).relu()
        y = self.conv2(y)
        return y + F.pad(x, (0, 0, self.margin, self.margin))
