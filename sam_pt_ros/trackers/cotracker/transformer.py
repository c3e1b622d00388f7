"""CoTracker3's transformer, which updates tracks (arXiv 2410.11831, section 3.3).

Tokens of N points in T frames attend along time and, through 64 virtual tracks, to each other. In
each of three rounds, all tracks attend along time, virtual tracks attend to points, virtual tracks
attend to each other, and points attend to virtual tracks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_pt_ros.trackers.cotracker.correlation import CORRELATION_WIDTH

FREQUENCIES = 10
MOTION_WIDTH = 4 * (1 + 2 * FREQUENCIES)
TOKEN_WIDTH = 2 + CORRELATION_WIDTH + MOTION_WIDTH
HIDDEN = 384
"""Width of the tokens inside the transformer."""
VIRTUAL_TRACKS = 64

_HEADS = 8
_ROUNDS = 3


class UpdateTransformer(nn.Module):
    """The transformer. Parameters are named as in the published state dict (even ``virual``)."""

    def __init__(self) -> None:
        super().__init__()
        self.virual_tracks = nn.Parameter(torch.zeros(1, VIRTUAL_TRACKS, 1, HIDDEN))
        self.input_transform = nn.Linear(TOKEN_WIDTH, HIDDEN)
        self.flow_head = nn.Linear(HIDDEN, 2)
        self.vis_conf_head = nn.Linear(HIDDEN, 2)
        self.time_blocks = _blocks(_SelfBlock)
        self.space_virtual_blocks = _blocks(_SelfBlock)
        self.space_point2virtual_blocks = _blocks(_CrossBlock)
        self.space_virtual2point_blocks = _blocks(_CrossBlock)
        self._first_virtual: Tensor | None = None

    def prepare(self) -> None:
        """Precompute what depends only on the weights. Call it after they are loaded."""
        # A virtual track starts with the same token in every frame, so the first attention along
        # time has the same result for any length of the window.
        self._first_virtual = self.time_blocks[0](self.virual_tracks[0])

    def forward(
        self, points: Tensor, active: Tensor | None = None, newest: bool = False
    ) -> Tensor:
        """Compute the change of each track in each frame.

        Args:
            points: ``(N, T, 384)``, tokens after the input projection.
            active: ``bool (N, T)``, tokens that others may attend to; None for all. Every point
                must be active in some frame, and every frame must have an active point.
            newest: compute only the changes in the last frame, which is cheaper.

        Returns:
            ``(N, T, 4)``, or ``(N, 1, 4)`` with ``newest``: x, y in cells, visibility logit,
            confidence logit.
        """
        count, frames = points.shape[:2]
        assert self._first_virtual is not None, "prepare() was not called"
        virtual = self._first_virtual  # equal in all frames until it attends to points
        along_time = across_points = None
        if active is not None:
            seen = torch.cat([active, active.new_ones(VIRTUAL_TRACKS, frames)])
            along_time = seen[:, None, None, :]
            across_points = active.T[:, None, None, :]
        for number in range(_ROUNDS):
            last = newest and number == _ROUNDS - 1
            time = self.time_blocks[number]
            if number == 0:
                own = None if along_time is None else along_time[:count]
                points = time(points, own, last)
            else:
                tokens = time(torch.cat([points, virtual]), along_time, last)
                points, virtual = tokens[:count], tokens[count:]
            if last and across_points is not None:
                across_points = across_points[-1:]
            virtual = self.space_virtual2point_blocks[number](virtual, points, across_points)
            virtual = self.space_virtual_blocks[number].across(virtual)
            points = self.space_point2virtual_blocks[number](points, virtual)
        return torch.cat([self.flow_head(points), self.vis_conf_head(points)], -1)


class _Attention(nn.Module):
    """Multi-head attention along either of the first two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(HIDDEN, HIDDEN)
        self.to_kv = nn.Linear(HIDDEN, 2 * HIDDEN)
        self.to_out = nn.Linear(HIDDEN, HIDDEN)

    def along(self, queries: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of ``(B, Q, 384)`` to ``(B, K, 384)`` along the second axis."""
        q = _split(self.to_q(queries))
        k, v = map(_split, self.to_kv(context).chunk(2, -1))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.to_out(found.transpose(1, 2).flatten(2))

    def across(self, queries: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of ``(Q, B or 1, 384)`` to ``(K, B, 384)`` along the first axis."""
        q = _split_across(self.to_q(queries).expand(-1, context.shape[1], -1))
        k, v = map(_split_across, self.to_kv(context).chunk(2, -1))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.to_out(found.permute(2, 0, 1, 3).flatten(2))


def _split(x: Tensor) -> Tensor:
    """``(B, L, 384)`` to ``(B, heads, L, 48)``."""
    return x.unflatten(-1, (_HEADS, -1)).transpose(1, 2)


def _split_across(x: Tensor) -> Tensor:
    """``(L, B, 384)`` to ``(B, heads, L, 48)``."""
    return x.unflatten(-1, (_HEADS, -1)).permute(1, 2, 0, 3)


class _Mlp(nn.Module):
    """The feed-forward part of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(HIDDEN, 4 * HIDDEN)
        self.fc2 = nn.Linear(4 * HIDDEN, HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., 384)`` to ``(..., 384)``."""
        return self.fc2(F.gelu(self.fc1(_norm(x)), approximate="tanh"))


class _SelfBlock(nn.Module):
    """A block of self-attention, along time or across tracks."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = _Attention()
        self.mlp = _Mlp()

    def forward(self, x: Tensor, mask: Tensor | None = None, newest: bool = False) -> Tensor:
        """Attention along time of ``(N, T, 384)``; with ``newest``, of the last frame only."""
        normal = _norm(x)
        if newest:
            found = self.attn.along(normal[:, -1:], normal, mask)
            x = x[:, -1:] + found
        else:
            x = x + self.attn.along(normal, normal, mask)
        return x + self.mlp(x)

    def across(self, x: Tensor) -> Tensor:
        """Attention across the tracks ``(N, T, 384)`` of each frame."""
        normal = _norm(x)
        x = x + self.attn.across(normal, normal, None)
        return x + self.mlp(x)


class _CrossBlock(nn.Module):
    """A block of attention from tracks to other tracks."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(HIDDEN)
        self.cross_attn = _Attention()
        self.mlp = _Mlp()

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of tracks ``(N, T or 1, 384)`` to others ``(M, T, 384)`` in each frame."""
        x = x + self.cross_attn.across(_norm(x), self.norm_context(context), mask)
        return x + self.mlp(x)


def _norm(x: Tensor) -> Tensor:
    """Layer norm of ``(..., 384)`` without parameters."""
    return F.layer_norm(x, (HIDDEN,), eps=1e-6)


def _blocks(kind: type[nn.Module]) -> nn.ModuleList:
    """One block of this kind per round."""
    return nn.ModuleList(kind() for _ in range(_ROUNDS))
