"""CoTracker3 with its weights on a device, ready to track."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, SeenFrames
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.trackers.cotracker.engine import Engine
from sam_pt_ros.trackers.cotracker.features import STRIDE, prepare
from sam_pt_ros.trackers.cotracker.network import WINDOW, CoTrackerNetwork, time_embedding
from sam_pt_ros.trackers.cotracker.options import CoTrackerOptions
from sam_pt_ros.trackers.cotracker.streaming import StreamingEngine
from sam_pt_ros.trackers.cotracker.windowed import WindowedEngine
from sam_pt_ros.trackers.feature_maps import Pyramid
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import (
    PRECISIONS,
    choose_device,
    load_weights,
    random_weights,
    reproducible,
)

_ENGINES: dict[str, tuple[type[Engine], int]] = {
    "streaming": (StreamingEngine, 1),
    "windowed": (WindowedEngine, 6),
}
"""Engines by mode, with the published number of updates."""

_GRID_SIDE = 6  # support points in a row and in a column
_GRID_MARGIN = 64  # the margin of the grid is this fraction of the image's width
_SERIAL = itertools.count()


class CoTrackerModel:
    """The network with its weights, ready to run, and the preparation of its inputs.

    Args:
        options: checkpoint, device, precision and resolution.

    Raises:
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    def __init__(self, options: CoTrackerOptions) -> None:
        self.device = choose_device(options.device)
        self.options = options
        network = CoTrackerNetwork()
        if options.checkpoint == RANDOM:
            network.load_state_dict(random_cotracker_weights(network))
        else:
            path = find_checkpoint(options.checkpoint, options.checkpoint_sha256)
            state = read_state_dict(path)
            _check_window(state, path)
            load_weights(network, state, path, "CoTracker3 online")
        self.network = network.requires_grad_(False).eval().to(self.device)
        self._features_as, computed_as = PRECISIONS[options.precision]
        with torch.inference_mode():
            self.network.prepare(computed_as)
        height, width = self.resolution
        self._cells = torch.tensor([width / STRIDE, height / STRIDE], device=self.device)
        # Frames cache the features of every model, so each model needs its own key.
        self._key = f"cotracker {next(_SERIAL)}"

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width to which frames are scaled."""
        return self.options.model_resolution

    @property
    def stride(self) -> int:
        """Pixels of the model's resolution per cell."""
        return STRIDE

    @property
    def reach(self) -> int:
        """Number of older frames, beyond the history, whose features may be requested."""
        return _ENGINES[self.options.mode][0].reach

    def engine(self, frames: SeenFrames) -> Engine:
        """Make the engine that tracks points through these frames, in the mode of the options."""
        kind, published = _ENGINES[self.options.mode]
        return kind(
            self.network,
            self._cells,
            self.options.iterations or published,
            lambda index: self.features_of(frames.at(index)),
            frames.capacity,
        )

    def support_grid(self) -> np.ndarray:
        """The support grid of the authors' predictor, ``float32 (36, 2)`` cells."""
        height, width = self.resolution
        margin = width / _GRID_MARGIN
        x = np.linspace(margin, width - margin, _GRID_SIDE)
        y = np.linspace(margin, height - margin, _GRID_SIDE)
        return (np.stack(np.meshgrid(x, y), -1).reshape(-1, 2) / STRIDE).astype(np.float32)

    def features_of(self, frame: Frame) -> Pyramid:
        """The features of a frame, cached in the frame."""
        found: Pyramid | None = frame.features.get(self._key)
        if found is None:
            image = prepare(frame.image, self.resolution, self.device)
            with reproducible(self.device):
                finest = self.network.fnet(image.to(self.network.dtype))
            found = Pyramid.of(finest, self._features_as)
            frame.features[self._key] = found
        return found


def _check_window(state: Mapping[str, Tensor], path: Path) -> None:
    """UserError if the weights are those of the offline model, whose window is longer."""
    times = state.get("time_emb")
    if times is not None and times.ndim == 3 and times.shape[1] != WINDOW:
        raise UserError(
            f"{path}: this model has a window of {times.shape[1]} frames, expected {WINDOW}; it "
            "may be the offline model: use the online one (scaled_online.pth)"
        )


def random_cotracker_weights(network: CoTrackerNetwork) -> dict[str, Tensor]:
    """Weights for tests, the same in every run. Points move little, and not with the image."""
    state = random_weights(network, heads=("head",))
    state["time_emb"] = time_embedding()
    return state
