"""Golden videos and stand-in weights for TAPIR."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from support.golden_files import GOLDEN, golden_module, saved_checkpoint

CPU_RESOLUTION = (96, 96)
"""The model's resolution in the small golden files."""

SUMS = {"bootstapir": "c910440a", "tapir": "5511e2bb"}
"""Check sums of the stand-in weights."""


@functools.cache
def state(kind: str = "bootstapir") -> dict[str, Any]:
    """The state dict that the golden files were made with; not to be changed."""
    weights = golden_module("trackers/tapir_weights")
    shapes = weights.load_shapes(kind, str(GOLDEN / "trackers" / "tapir_keys.json"))
    filled: dict[str, Any] = weights.fill_state_dict(shapes)
    assert weights.checksum(filled) == SUMS[kind]
    return filled


def checkpoint(kind: str = "bootstapir") -> Path:
    """A file with the stand-in weights; it is gone when the tests end."""
    return saved_checkpoint(f"{kind}.pt", state(kind))


def network(kind: str = "bootstapir", **options: Any) -> Any:
    """The network with the stand-in weights."""
    import torch

    from sam_pt_ros.trackers.tapir.network import TapirNetwork

    torch.set_num_threads(1)  # on a busy machine more are slower by far
    boots = kind == "bootstapir"
    made = TapirNetwork(3 if boots else 2, boots, **options)
    made.load_state_dict(state(kind), strict=True)
    return made.requires_grad_(False).eval()


@dataclass(frozen=True, eq=False)
class GoldenRun:
    """A network that was shown a golden clip.

    Attributes:
        network: the network.
        grids: by frame and resolution.
        resolutions: those of the refinements.
        queries: ``(N, 3)``: frame, y, x in pixels of the clip.
        places: ``(N, 2)``: x, y in pixels of the first resolution.
        scale: ``(2,)``, those per pixel of the clip.
    """

    network: Any
    grids: list[list[Any]]
    resolutions: Sequence[tuple[int, int]]
    queries: np.ndarray
    places: Any
    scale: np.ndarray

    @classmethod
    def of(
        cls,
        network: Any,
        clip: np.ndarray,
        queries: np.ndarray,
        resolutions: Sequence[tuple[int, int]] = (CPU_RESOLUTION,),
    ) -> GoldenRun:
        """Show all frames of ``clip (T, H, W, 3)`` to the network."""
        import torch

        from sam_pt_ros.trackers.feature_maps import to_planes
        from sam_pt_ros.trackers.tapir.features import resize

        grids = [
            [
                network.grids(resize(to_planes(image, torch.device("cpu")), each), torch.float32)
                for each in resolutions
            ]
            for image in clip
        ]
        height, width = resolutions[0]
        scale = np.array([width / clip.shape[2], height / clip.shape[1]], np.float32)
        places = torch.from_numpy(queries[:, [2, 1]] * scale)
        return cls(network, grids, resolutions, queries, places, scale)

    def features(self, row: int, frame: int | None = None) -> Any:
        """Features of one query, in its frame or in another one."""
        at = int(self.queries[row, 0]) if frame is None else frame
        return self.network.queries(
            self.grids[at], self.places[row : row + 1], self.resolutions[0]
        )

    @functools.cached_property
    def all_features(self) -> Any:
        """Features of all queries, each in its frame."""
        return functools.reduce(
            lambda a, b: a.joined(b), (self.features(row) for row in range(len(self.queries)))
        )

    def starts(self) -> list[Any]:
        """The first estimates in all frames."""
        return [
            self.network.first_estimate(each[0], self.all_features, self.resolutions[0])
            for each in self.grids
        ]

    def track(self, pinned: bool = True, mix: Any = None) -> Any:
        """Track all points through the clip at once."""
        import torch

        frames = torch.from_numpy(self.queries[:, :1].astype(np.float32))
        return self.network.track(
            lambda place: self.grids[place],
            self.all_features,
            torch.cat([frames, self.places], 1) if pinned else None,
            self.starts(),
            self.resolutions,
            mix,
        )

    def pixels(self, xy: Any) -> np.ndarray:
        """Positions in pixels of the clip."""
        found: np.ndarray = xy.numpy() / self.scale
        return found


def visible(logits: Any) -> np.ndarray:
    """``(..., 2)`` to ``bool (...)``, by the published rule."""
    found: np.ndarray = ((-logits).sigmoid().prod(-1) > 0.5).numpy()
    return found


def tracker(mode: str = "streaming", **options: Any) -> Any:
    """A tracker with the stand-in weights, at the small resolution."""
    import torch

    from sam_pt_ros.trackers import create_tracker

    torch.set_num_threads(1)
    given = {"device": "cpu", "checkpoint": str(checkpoint())}
    given |= {"model_resolution": CPU_RESOLUTION}  # type: ignore[dict-item]
    return create_tracker("tapir", mode=mode, **{**given, **options})


@functools.cache
def _model(options: Any) -> Any:
    from sam_pt_ros.trackers.tapir.model import TapirModel

    return TapirModel(options)


def light_tracker(mode: str = "streaming", **options: Any) -> Any:
    """As :func:`tracker`, with a model that is made once, of one refinement.

    For tests of what is done with the network's answers, and not of the network.
    """
    from sam_pt_ros.trackers.tapir import offline, streaming

    with (
        mock.patch.object(streaming, "TapirModel", _model),
        mock.patch.object(offline, "TapirModel", _model),
    ):
        return tracker(mode, **{"iterations": 1, "model_resolution": (64, 64), **options})
