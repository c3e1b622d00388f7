"""CoTracker3's network, implemented from the paper (Karaev et al., arXiv 2410.11831)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.cotracker.correlation import CORRELATION_WIDTH, CorrelationMlp, correlate
from sam_pt_ros.trackers.cotracker.features import FeatureNetwork
from sam_pt_ros.trackers.cotracker.transformer import FREQUENCIES, TOKEN_WIDTH, UpdateTransformer
from sam_pt_ros.trackers.feature_maps import Pyramid

WINDOW = 16
"""Frames that the transformer sees at once."""


class CoTrackerNetwork(nn.Module):
    """The published network; ``load_state_dict`` takes the published state dict, strictly.

    A *track* is ``(..., 4)``: x and y in cells, visibility logit, confidence logit.
    """

    time_emb: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fnet = FeatureNetwork()
        self.corr_mlp = CorrelationMlp()
        self.updateformer = UpdateTransformer()
        self.register_buffer("time_emb", time_embedding())
        self.dtype = torch.float32

    def prepare(self, dtype: torch.dtype = torch.float32) -> None:
        """Precompute what depends only on the weights. Call it after they are loaded.

        Args:
            dtype: type of the weights and of the computation. Positions, logits and motion stay
                ``float32``.
        """
        project = self.updateformer.input_transform
        rest = 2 + CORRELATION_WIDTH
        self._on_correlation = project.weight[:, 2:rest].to(dtype)
        self._on_rest = torch.cat([project.weight[:, :2], project.weight[:, rest:]], 1)
        # Projected time embeddings for every possible length of a window.
        self._times = [
            project(F.interpolate(self.time_emb.mT, frames, mode="linear")[0].mT)
            for frames in range(1, WINDOW + 1)
        ]
        self.to(dtype)
        self.updateformer.prepare()
        self.dtype = dtype

    def embed(self, pyramid: Pyramid, xy: Tensor, support: Tensor) -> Tensor:
        """Embed the correlations of points in a frame, projected to the tokens' width.

        Args:
            pyramid: features of the frame.
            xy: ``(N, 2)`` in cells.
            support: ``(N, levels, 49, 128)``, from ``sample_support``.

        Returns:
            ``float32 (N, 384)``.
        """
        correlations = correlate(pyramid, xy, support).to(self.dtype)
        return F.linear(self.corr_mlp(correlations), self._on_correlation).float()

    def update(
        self,
        tracks: Tensor,
        embedded: Tensor,
        cells: Tensor,
        active: Tensor | None = None,
        newest: bool = False,
    ) -> Tensor:
        """Compute the update of tracks.

        Args:
            tracks: ``(N, T, 4)``.
            embedded: ``(N, T, 384)``, from :meth:`embed`.
            cells: ``(2,)``, width and height of the model's resolution, in cells.
            active: see :meth:`UpdateTransformer.forward`.
            newest: see :meth:`UpdateTransformer.forward`.

        Returns:
            Changes to be added to the tracks, ``(N, T, 4)``, or ``(N, 1, 4)`` with ``newest``.
        """
        known = torch.cat([tracks[..., 2:], motion(tracks[..., :2], cells)], -1)
        tokens = F.linear(known, self._on_rest) + embedded + self._times[tracks.shape[1] - 1]
        changes: Tensor = self.updateformer(tokens.to(self.dtype), active, newest)
        return changes.float()


def motion(xy: Tensor, cells: Tensor) -> Tensor:
    """Encode the motion of points to the next frame and from the previous one.

    Args:
        xy: ``(N, T, 2)`` in cells.
        cells: ``(2,)``, width and height of the image in cells.

    Returns:
        ``(N, T, 84)``: the steps relative to the size of the image, and their sines and cosines
        at ten frequencies.
    """
    step = xy[:, 1:] - xy[:, :-1]
    none = xy.new_zeros(len(xy), 1, 2)
    steps = torch.cat([torch.cat([-step, none], 1), torch.cat([none, step], 1)], -1)
    steps = steps / cells.repeat(2)
    octaves = 2.0 ** torch.arange(FREQUENCIES, device=xy.device)
    angles = (steps[..., None, :] * octaves[:, None]).flatten(-2)
    return torch.cat([steps, angles.sin(), (angles + math.pi / 2).sin()], -1)


def time_embedding() -> Tensor:
    """Sinusoidal embedding of the frame number, ``(1, 16, 1110)``; a buffer of the checkpoint."""
    half = TOKEN_WIDTH // 2
    rates = 10000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(WINDOW, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[None].float()
