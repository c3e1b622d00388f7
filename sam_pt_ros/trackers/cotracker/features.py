"""CoTracker3's feature network, which sees a single frame (arXiv 2410.11831, section 3).

A *cell* is one vector of the feature map and covers ``STRIDE`` x ``STRIDE`` pixels of the model's
resolution.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam_pt_ros.trackers.feature_maps import planes_of
from sam_pt_ros.trackers.residual import BILINEAR, ResidualNetwork

STRIDE = 4
"""Pixels of the model's resolution per cell."""


def prepare(image: np.ndarray, resolution: tuple[int, int], device: torch.device) -> Tensor:
    """Convert an RGB image to the input of the network.

    Args:
        image: ``uint8 (H, W, 3)``.
        resolution: height and width of the model's input.
        device: where the result is computed.

    Returns:
        ``float32 (1, 3, *resolution)``, -1 to 1.
    """
    planes = F.interpolate(planes_of(image, device), resolution, **BILINEAR)
    return planes.mul_(2 / 255).sub_(1)


class FeatureNetwork(ResidualNetwork):
    """Computes the feature map of a frame. Parameters are named as in the published state dict."""

    def __init__(self) -> None:
        super().__init__(STRIDE)

    def forward(self, image: Tensor) -> Tensor:
        """``(1, 3, H, W)`` to ``(H / 4, W / 4, 128)``; every cell's vector has length 1."""
        x = self.raw(image)[0].permute(1, 2, 0).contiguous().float()
        norm = torch.linalg.vector_norm(x, dim=2, keepdim=True)
        return x.div_(norm.clamp_(min=1e-6))
