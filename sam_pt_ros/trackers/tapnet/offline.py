"""Tracking through a whole clip by TAP-Net."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.trackers.feature_maps import to_planes
from sam_pt_ros.trackers.sampling import sample
from sam_pt_ros.trackers.tapnet.checkpoint import read_tapnet
from sam_pt_ros.trackers.tapnet.network import STRIDE, TapNetNetwork
from sam_pt_ros.trackers.tapnet.options import TapNetOptions
from sam_pt_ros.trackers.video import VideoTracks
from sam_pt_ros.trackers.whole_clip import WholeClipTracker
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import (
    choose_device,
    load_weights,
    random_weights,
    reproducible,
)

_SERIAL = itertools.count()


class OfflineTapNet(WholeClipTracker):
    """See :class:`~sam_pt_ros.trackers.tapnet.TapNet`."""

    Options = TapNetOptions

    def __init__(self, options: TapNetOptions) -> None:
        self._device = choose_device(options.device)
        self._network = _loaded(options).requires_grad_(False).eval().to(self._device)
        self._key = f"tapnet {next(_SERIAL)}"
        super().__init__(options)

    @property
    def details(self) -> str:
        return f"{self.options.weights_text}, {self._device}"

    @torch.inference_mode()
    def _solve(self, frames: Sequence[Frame], queries: np.ndarray) -> VideoTracks:
        with reproducible(self._device):
            features = self._network.features(torch.cat([self._begun(f) for f in frames]))
        height, width = self.options.model_resolution
        scale = np.array([width / frames[0].width, height / frames[0].height], np.float32)
        # The model counts from the corner of the image, not from the centre of its first pixel.
        cells = torch.from_numpy((queries[:, 1:] + 0.5) * scale / STRIDE - 0.5).to(self._device)
        rows = torch.cat(
            [
                sample(features[int(start)], cells[row : row + 1])
                for row, start in enumerate(queries[:, 0])
            ]
        )
        found = [self._network.match(each, rows) for each in features]
        places = torch.stack([xy for xy, _ in found]).cpu().numpy() * STRIDE / scale - 0.5
        seen = torch.stack([(-logits).sigmoid() for _, logits in found]).cpu().numpy()
        return VideoTracks(places.astype(np.float32), seen > 0.5, seen)

    def _begun(self, frame: Frame) -> Tensor:
        """The features of a frame by itself, cached in the frame."""
        found: Tensor | None = frame.features.get(self._key)
        if found is None:
            planes = to_planes(frame.image, self._device)
            if planes.shape[-2:] != self.options.model_resolution:
                planes = F.interpolate(
                    planes, self.options.model_resolution, mode="bilinear", antialias=True
                )
            with reproducible(self._device):
                found = self._network.begin(planes)
            frame.features[self._key] = found
        return found


def _loaded(options: TapNetOptions) -> TapNetNetwork:
    """The network with its weights."""
    network = TapNetNetwork(options.temperature)
    unused = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    if options.checkpoint == RANDOM:
        state = random_weights(network, heads=("regression_2", "occlusion_out"))
        state |= {name: torch.ones_like(v) for name, v in state.items() if name.endswith("_var")}
        network.load_state_dict(state)
        return network
    path: Path = find_checkpoint(options.checkpoint, options.checkpoint_sha256)
    state = read_tapnet(path) if path.suffix == ".npy" else read_state_dict(path)
    load_weights(network, state, path, "TAP-Net", unused)
    return network
