"""TAPIR as a whole: features, first estimate, refinement.

TAPIR (arXiv 2306.08637), BootsTAPIR (2402.00847), and the causal model (RoboTAP, 2308.15975).
Positions are in pixels of the model's first resolution; (0, 0) is the outer corner of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam_pt_ros.trackers.sampling import correlate, sample
from sam_pt_ros.trackers.tapir.estimate import MatchingHead
from sam_pt_ros.trackers.tapir.features import COARSE, FINE, ExtraBlocks, Grids, ResidualNetwork
from sam_pt_ros.trackers.tapir.mixer import Memory, Mixer

RADIUS = 3
"""Radius of the correlated neighbourhood, in cells of each level."""

NEIGHBOURS = (2 * RADIUS + 1) ** 2
"""Correlations of a point with one map."""

_OUTPUTS = 4 + FINE + COARSE

Resolution = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, eq=False)
class Queries:
    """Features of N query points, one pair per resolution.

    Attributes:
        fine: ``float32 (N, 128)`` each.
        coarse: ``float32 (N, 256)`` each.
    """

    fine: tuple[Tensor, ...]
    coarse: tuple[Tensor, ...]

    def rows(self, keep: Tensor) -> Queries:
        """Those of the points selected by ``keep``, indices or ``bool (N,)``."""
        return Queries(*(tuple(f[keep] for f in level) for level in (self.fine, self.coarse)))

    def joined(self, other: Queries) -> Queries:
        """These points, followed by the other ones."""
        return Queries(
            tuple(map(torch.cat, zip(self.fine, other.fine, strict=True))),
            tuple(map(torch.cat, zip(self.coarse, other.coarse, strict=True))),
        )


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where N points are in a frame.

    Attributes:
        xy: ``float32 (N, 2)``.
        logits: ``float32 (N, 2)``: occluded, far off.
    """

    xy: Tensor
    logits: Tensor


class TapirNetwork(nn.Module):
    """The network. Parameters are named as in the published state dict.

    Args:
        levels: number of feature maps that are correlated; 2 in TAPIR, 3 in BootsTAPIR.
        extra_blocks: whether the coarse map is refined, as in BootsTAPIR.
        iterations: refinements per resolution.
        temperature: factor on the similarities of the first estimate.
    """

    def __init__(
        self,
        levels: int = 3,
        extra_blocks: bool = True,
        iterations: int = 4,
        temperature: float = 20.0,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.iterations = iterations
        self.temperature = temperature
        self.resnet_torch = ResidualNetwork()
        self.extra_convs = ExtraBlocks() if extra_blocks else None
        self.torch_cost_volume_track_mods = MatchingHead()
        self.torch_pips_mixer = Mixer(_OUTPUTS + levels * NEIGHBOURS, _OUTPUTS)

    def prepare(self) -> None:
        """Make the network fast on a CPU. Call it after the weights are loaded."""
        if self.extra_convs is not None:
            self.extra_convs.prepare()

    @property
    def dtype(self) -> torch.dtype:
        """Type in which the network computes."""
        return self.torch_pips_mixer.linear.weight.dtype

    def grids(self, planes: Tensor, kept_as: torch.dtype) -> Grids:
        """The feature maps of an image ``(1, 3, H, W)``, H and W multiples of 8."""
        fine, coarse = self.resnet_torch(planes.to(self.dtype))
        if self.extra_convs is not None:
            coarse = self.extra_convs(coarse)
        return Grids.of(fine, coarse, self.levels, kept_as)

    def queries(self, grids: Sequence[Grids], xy: Tensor, first: Resolution) -> Queries:
        """Features of points of a frame.

        Args:
            grids: maps of the frame, by resolution.
            xy: ``float32 (N, 2)``.
            first: the model's first resolution.
        """
        fine, coarse = (
            tuple(
                sample(each.levels[level], _cells(xy, each.levels[level], first)) for each in grids
            )
            for level in (0, 1)
        )
        return Queries(fine, coarse)

    def first_estimate(self, grids: Grids, queries: Queries, first: Resolution) -> Estimate:
        """Match points to all cells of a frame at the model's first resolution."""
        head: MatchingHead = self.torch_cost_volume_track_mods
        cells, logits = head(grids.coarse, queries.coarse[0], self.temperature)
        height, width = grids.coarse.shape[:2]
        return Estimate(cells * cells.new_tensor([first[1] / width, first[0] / height]), logits)

    def step(
        self,
        grids: Sequence[Grids],
        queries: Queries,
        memory: Sequence[Memory],
        resolutions: Sequence[Resolution],
    ) -> tuple[Estimate, tuple[Memory, ...]]:
        """Track points in the next frame, by the causal model.

        Args:
            grids: maps of the frame, by resolution.
            queries: features of the points.
            memory: one for each refinement, from the frame before.
            resolutions: those of ``grids``; the first is the model's.

        Returns:
            The positions after the last refinement, and the memory for the next frame.
        """
        first = resolutions[0]
        start = self.first_estimate(grids[0], queries, first)
        xy, logits = start.xy, start.logits
        kept: list[Memory] = []
        for number, resolution in enumerate(resolutions):
            logits = start.logits
            fine, coarse = queries.fine[number], queries.coarse[number]
            for _ in range(self.iterations):
                tokens = self._tokens(grids[number], xy, logits, fine, coarse, first)
                change, after = self.torch_pips_mixer.step(
                    tokens.to(self.dtype), memory[len(kept)]
                )
                kept.append(after)
                xy, logits, fine, coarse = _changed(
                    change.float(), xy, logits, fine, coarse, first, resolution
                )
        return Estimate(xy, logits), tuple(kept)

    def track(
        self,
        grids_of: Callable[[int], Sequence[Grids]],
        queries: Queries,
        pinned: Tensor | None,
        starts: Sequence[Estimate],
        resolutions: Sequence[Resolution],
        mix: Callable[[Tensor], Tensor] | None = None,
    ) -> Estimate:
        """Track points through a clip of T frames, all of which each of them sees.

        Args:
            grids_of: maps of a frame by its place in the clip, by resolution.
            queries: features of N points.
            pinned: ``float32 (N, 3)``, place of the query frame, x, y: first estimates there are
                replaced by the query. None: they are not.
            starts: first estimates, one for each frame.
            resolutions: those of the maps; the first is the model's.
            mix: the mixer to use; that of whole clips by default.

        Returns:
            ``xy (N, T, 2)`` and ``logits (N, T, 2)``, the means over the resolutions.
        """
        first = resolutions[0]
        xy = torch.stack([each.xy for each in starts], 1)
        initial = torch.stack([each.logits for each in starts], 1)
        if pinned is not None:
            rows = torch.arange(len(xy), device=xy.device)
            xy[rows, pinned[:, 0].long()] = pinned[:, 1:]
        results = []
        for number, resolution in enumerate(resolutions):
            logits = initial
            fine, coarse = (
                level[number][:, None].expand(-1, xy.shape[1], -1)
                for level in (queries.fine, queries.coarse)
            )
            for _ in range(self.iterations):
                tokens = torch.stack(
                    [
                        self._tokens(
                            grids_of(frame)[number],
                            xy[:, frame],
                            logits[:, frame],
                            fine[:, frame],
                            coarse[:, frame],
                            first,
                        )
                        for frame in range(xy.shape[1])
                    ],
                    1,
                )
                change = (mix or self.torch_pips_mixer)(tokens.to(self.dtype)).float()
                xy, logits, fine, coarse = _changed(
                    change, xy, logits, fine, coarse, first, resolution
                )
            results.append((xy, logits))
        places, found = (torch.stack(values).mean(0) for values in zip(*results, strict=True))
        return Estimate(places, found)

    def _tokens(
        self,
        grids: Grids,
        xy: Tensor,
        logits: Tensor,
        fine: Tensor,
        coarse: Tensor,
        first: Resolution,
    ) -> Tensor:
        """What the mixer sees of N points in a frame, ``(N, inputs)``."""
        correlations = [
            correlate(
                features, _cells(xy, features, first), fine if level == 0 else coarse, RADIUS
            )
            for level, features in enumerate(grids.levels)
        ]
        return torch.cat([torch.zeros_like(xy), logits, fine, coarse, *correlations], -1)


def refinement_resolutions(first: Resolution, image: Resolution) -> list[Resolution]:
    """The published resolutions of the refinements for images that are larger than the first."""
    ratios = image[0] / first[0], image[1] / first[1]
    count = math.ceil(max(math.log2(ratio) for ratio in ratios)) + 1
    if image == first or count <= 1:
        return [first]

    def side(start: int, ratio: float, number: int) -> int:
        return 8 * int(start * ratio ** (number / (count - 1)) / 8)

    return [
        (side(first[0], ratios[0], number), side(first[1], ratios[1], number))
        for number in range(count)
    ]


def _cells(xy: Tensor, features: Tensor, first: Resolution) -> Tensor:
    """Positions in pixels of the first resolution, in cells of a map with centres at integers."""
    height, width = features.shape[:2]
    return xy * xy.new_tensor([width / first[1], height / first[0]]) - 0.5


def _changed(
    change: Tensor,
    xy: Tensor,
    logits: Tensor,
    fine: Tensor,
    coarse: Tensor,
    first: Resolution,
    resolution: Resolution,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Add the mixer's output ``(..., 388)``: positions, logits and features of the next round."""
    scale = xy.new_tensor([first[1] / resolution[1], first[0] / resolution[0]])
    moved, seen, finer, coarser = change.split([2, 2, FINE, COARSE], -1)
    return xy + moved * scale, logits + seen, fine + finer, coarse + coarser
