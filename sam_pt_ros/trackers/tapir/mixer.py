"""The network that refines tracks over time (arXiv 2306.08637, section 3.2; 2308.15975).

It mixes the frames of one point by convolutions of three taps. In the causal model, all taps are
in the past, so that two rows of memory per convolution replace the frames before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 512
WIDE = 4 * WIDTH
BLOCKS = 12

Taps = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""For rows ``(N, T, C)``, those that the three taps of a convolution see, each ``(N, T, C)``."""


@dataclass(frozen=True, eq=False)
class Memory:
    """What the causal mixer keeps of the two frames before.

    Attributes:
        older: rows of the frame before the last, ``(N, 1, C)``, one per convolution in the order
            of the network, C 512 and 2048 by turns.
        newer: those of the last frame.
    """

    older: tuple[Tensor, ...]
    newer: tuple[Tensor, ...]

    @classmethod
    def empty(cls, count: int, like: Tensor) -> Memory:
        """That of ``count`` points before their first frame, with the type of ``like``."""
        narrow, wide = like.new_zeros(count, 1, WIDTH), like.new_zeros(count, 1, WIDE)
        rows = (narrow, wide) * BLOCKS
        return cls(rows, rows)

    def rows(self, keep: Tensor) -> Memory:
        """That of the points selected by ``keep``, indices or ``bool (N,)``."""
        older, newer = (tuple(row[keep] for row in rows) for rows in (self.older, self.newer))
        return Memory(older, newer)

    def joined(self, other: Memory) -> Memory:
        """That of these points, followed by that of the other ones."""
        return Memory(
            tuple(map(torch.cat, zip(self.older, other.older, strict=True))),
            tuple(map(torch.cat, zip(self.newer, other.newer, strict=True))),
        )


class Mixer(nn.Module):
    """The mixer. Parameters are named as in the published state dict.

    Args:
        inputs: numbers per point and frame.
        outputs: likewise.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(BLOCKS))
        self.layer_norm = nn.LayerNorm(WIDTH, bias=False)
        self.linear_1 = nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Mix all frames of a clip: ``(N, T, inputs)`` to ``(N, T, outputs)``."""
        return self._mixed(x, lambda row: _shifted(row, 1))

    def causal(self, x: Tensor) -> Tensor:
        """Like ``forward``, with no frame seeing later ones."""
        return self._mixed(x, lambda row: _shifted(row, 2))

    def step(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Like ``causal``, for the next frame: ``(N, inputs)`` to ``(N, outputs)``.

        Returns:
            The outputs, and the memory for the frame after it.
        """
        rows: list[Tensor] = []

        def recall(row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            place = len(rows)
            rows.append(row)
            return memory.older[place], memory.newer[place], row

        mixed = self._mixed(x[:, None], recall)[:, 0]
        return mixed, Memory(memory.newer, tuple(rows))

    def _mixed(self, x: Tensor, taps: Taps) -> Tensor:
        x = self.linear(x)
        for block in self.blocks:
            x = block(x, taps)
        return self.linear_1(self.layer_norm(x))


class _Block(nn.Module):
    """Mixes frames, then channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(WIDTH, bias=False)
        self.mlp1_up = nn.Conv1d(WIDTH, WIDE, 3, groups=WIDTH)
        self.mlp1_up_1 = nn.Conv1d(WIDE, WIDE, 3, groups=WIDE)
        self.layer_norm_1 = nn.LayerNorm(WIDTH, bias=False)
        self.conv_channels_mixer = _ChannelMixer()

    def forward(self, x: Tensor, taps: Taps) -> Tensor:
        wide = _convolved(taps(self.layer_norm(x)), self.mlp1_up)
        wide = F.gelu(wide, approximate="tanh")
        wide = _convolved(taps(wide), self.mlp1_up_1)
        x = x + wide.unflatten(-1, (WIDTH, -1)).sum(-1)
        return x + self.conv_channels_mixer(self.layer_norm_1(x))


class _ChannelMixer(nn.Module):
    """The feed-forward part of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp2_up = nn.Linear(WIDTH, WIDE)
        self.mlp2_down = nn.Linear(WIDE, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp2_down(F.gelu(self.mlp2_up(x), approximate="tanh"))


def _convolved(taps: tuple[Tensor, Tensor, Tensor], kernel: nn.Conv1d) -> Tensor:
    """A depthwise convolution over time, by products: ``(N, T, C)`` each to ``(N, T, 2048)``.

    Each channel makes ``2048 / C`` neighbouring ones.
    """
    width = taps[0].shape[-1]
    weights = kernel.weight.view(width, -1, 3).unbind(-1)  # each (C, 2048 / C)
    bias = kernel.bias
    assert bias is not None
    total = bias.view(width, -1)
    for tap, weight in zip(taps, weights, strict=True):
        total = torch.addcmul(total, tap[..., None], weight)
    return total.flatten(-2)


def _shifted(rows: Tensor, before: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows ``(N, T, C)`` for each tap; 2 rows of zeros are added, ``before`` of them in front."""
    padded = F.pad(rows, (0, 0, before, 2 - before))
    count = rows.shape[1]
    return padded[:, :count], padded[:, 1 : count + 1], padded[:, 2:]
