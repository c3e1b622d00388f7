"""The first estimate: where in a frame the features are most like the query's.

TAPIR, arXiv 2306.08637, section 3.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_REACH = 5.0  # radius of the soft argmax around the best cell, in cells


class MatchingHead(nn.Module):
    """Computes the estimate. Parameters are named as in the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.hid1 = nn.Conv2d(1, 16, 3, padding=1)
        self.hid2 = nn.Conv2d(16, 1, 3, padding=1)
        self.hid3 = nn.Conv2d(16, 32, 3, stride=2)
        self.hid4 = nn.Linear(32, 16)
        self.occ_out = nn.Linear(16, 2)

    def forward(
        self, coarse: Tensor, queries: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Match queries to all cells of a frame.

        Args:
            coarse: ``(h, w, 256)``.
            queries: ``(N, 256)``.
            temperature: factor on the similarities.

        Returns:
            Positions ``(N, 2)`` in cells, with (0, 0) the outer corner of the first one, and the
            two logits ``(N, 2)``: occluded, and far off.
        """
        height, width = coarse.shape[:2]
        cost = (queries.to(coarse.dtype) @ coarse.flatten(0, 1).T).view(-1, 1, height, width)
        hidden = F.relu(self.hid1(cost.to(self.hid1.weight.dtype)))
        heat = self.hid2(hidden)
        pooled = F.relu(self.hid3(F.pad(hidden, (0, 1, 0, 1)))).mean((2, 3))
        logits = self.occ_out(F.relu(self.hid4(pooled)))
        return soft_argmax(heat[:, 0].float(), temperature), logits.float()


def soft_argmax(heat: Tensor, temperature: float) -> Tensor:
    """The mean position near the best cell, weighted by a softmax over all cells.

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
