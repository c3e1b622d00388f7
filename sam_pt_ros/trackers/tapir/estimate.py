"""The first estimate: where in a frame the features are most like the query's.

TAPIR, arXiv 2306.08637, section 3.1.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.sampling import soft_argmax


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
