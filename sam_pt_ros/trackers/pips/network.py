"""PIPS's network, implemented from the paper (Harley et al., arXiv 2204.04153, section 3).

It tracks points through windows of 8 frames. Places are in cells of the feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sam_pt_ros.trackers.feature_maps import Pyramid
from sam_pt_ros.trackers.pips.features import CORRELATIONS, correlate
from sam_pt_ros.trackers.pips.linking import WINDOW
from sam_pt_ros.trackers.residual import CHANNELS, ResidualNetwork

STRIDE = 4
"""Pixels per cell."""
ITERATIONS = 6
"""Published number of updates per window."""

_FREQUENCIES = 32
_FREQUENCY_STEP = 31.25  # radians per cell or frame
_MOTION = 3 * (1 + 2 * _FREQUENCIES)
_HIDDEN = 512  # width of the tokens inside the mixer
_ROUNDS = 12


class PipsNetwork(nn.Module):
    """The published network; ``load_state_dict`` takes the published state dict, strictly."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = ResidualNetwork(STRIDE)
        self.delta_block = _DeltaBlock()
        self.norm = nn.GroupNorm(1, CHANNELS)
        self.ffeat_updater = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(CHANNELS, 1))

    def track(
        self, pyramids: Sequence[Pyramid], xy: Tensor, features: Tensor, iterations: int
    ) -> tuple[Tensor, Tensor]:
        """Track points through a window.

        Args:
            pyramids: features of its 8 frames.
            xy: ``(N, 2)``, places in the first one.
            features: ``(N, 128)`` of the points.
            iterations: number of updates.

        Returns:
            Places ``(N, 8, 2)``; logits of being visible ``(N, 8)``.
        """
        places = xy[:, None].repeat(1, WINDOW, 1)
        features = features[:, None].repeat(1, WINDOW, 1)
        for _ in range(iterations):
            tokens = self.tokens(pyramids, places, features)
            places, features = self.updated(places, features, self.delta_block(tokens))
        return places, self.vis_predictor(features)[..., 0]

    def tokens(self, pyramids: Sequence[Pyramid], places: Tensor, features: Tensor) -> Tensor:
        """The input of the mixer.

        Args:
            pyramids: features of the 8 frames.
            places: ``(N, 8, 2)``.
            features: ``(N, 8, 128)`` of the points in each frame.

        Returns:
            ``(N, 8, 519)``: feature, correlation, motion since the first frame.
        """
        seen = [
            correlate(pyramid, places[:, i], features[:, i, None])[:, 0]
            for i, pyramid in enumerate(pyramids)
        ]
        return torch.cat([features, torch.stack(seen, 1), motion(places)], 2)

    def updated(self, places: Tensor, features: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Places and features after an update, ``(N, 8, 130)`` from the mixer.

        The first place is the query's and stays; its feature does not.
        """
        moved = places + change[..., :2]
        moved[:, 0] = places[:, 0]
        normal = self.norm(change[..., 2:].flatten(0, 1))
        return moved, features + self.ffeat_updater(normal).view_as(features)


def motion(places: Tensor) -> Tensor:
    """Encode the way from the first frame, in cells, and the time, as the network was trained.

    Args:
        places: ``(N, 8, 2)``.

    Returns:
        ``(N, 8, 195)``: sine and cosine in turn of x, then of y and of the time; then these three.
        The time goes from 0 to 8, both included.
    """
    times = torch.linspace(0, WINDOW, WINDOW, device=places.device)
    times = times[None, :, None].expand(len(places), -1, -1)
    values = torch.cat([places - places[:, :1], times], 2)
    frequencies = _FREQUENCY_STEP * torch.arange(_FREQUENCIES, device=places.device)
    angles = values[..., None] * frequencies
    waves = torch.stack([angles.sin(), angles.cos()], -1)
    return torch.cat([waves.flatten(2), values], 2)


class _DeltaBlock(nn.Module):
    """An MLP-Mixer over the frames and the channels of a point's tokens."""

    def __init__(self) -> None:
        super().__init__()
        rounds = [
            nn.Sequential(_MixFrames(WINDOW, 4 * WINDOW), _MixChannels(_HIDDEN, 4 * _HIDDEN))
            for _ in range(_ROUNDS)
        ]
        self.to_delta = nn.Sequential(
            nn.Linear(CHANNELS + CORRELATIONS + _MOTION, _HIDDEN),
            *rounds,
            nn.LayerNorm(_HIDDEN),
            _Mean(),
            nn.Linear(_HIDDEN, WINDOW * (2 + CHANNELS)),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """``(N, 8, 519)`` to ``(N, 8, 130)``: changes of the place, then of the feature."""
        return self.to_delta(tokens).unflatten(1, (WINDOW, 2 + CHANNELS))


class _Step(nn.Module):
    """A residual step of the mixer."""

    def __init__(self, first: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_HIDDEN)
        # The published names count the layers that do something in training only.
        self.fn = nn.Sequential(first, nn.GELU(), nn.Identity(), last)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 8, 512)`` to ``(N, 8, 512)``."""
        return x + self.fn(self.norm(x))


class _MixFrames(_Step):
    """Mixes the frames of each channel."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(nn.Conv1d(width, inner, 1), nn.Conv1d(inner, width, 1))


class _MixChannels(_Step):
    """Mixes the channels of each frame."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(nn.Linear(width, inner), nn.Linear(inner, width))


class _Mean(nn.Module):
    """The mean over the frames."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 8, C)`` to ``(N, C)``."""
        return x.mean(1)
