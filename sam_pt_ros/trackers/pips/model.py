"""PIPS with its weights on a device, ready to track."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.feature_maps import Pyramid, planes_of
from sam_pt_ros.trackers.pips.features import SMALLEST, features_of, sample
from sam_pt_ros.trackers.pips.network import ITERATIONS, STRIDE, PipsNetwork
from sam_pt_ros.trackers.pips.options import PipsOptions
from sam_pt_ros.trackers.pips.weights import with_weights
from sam_pt_ros.weights.networks import choose_device, reproducible

_SERIAL = itertools.count()


class PipsModel:
    """The network with its weights. Places are in pixels of the frames, arrays on the host.

    Args:
        options: checkpoint, device and number of updates.

    Raises:
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    smallest = SMALLEST * STRIDE
    """Smallest width and height of a frame, in pixels."""

    def __init__(self, options: PipsOptions) -> None:
        self.device = choose_device(options.device)
        self._iterations = options.iterations or ITERATIONS
        self.network = with_weights(
            PipsNetwork(), options, self.device, "PIPS", "delta_block.to_delta.15"
        )
        # Frames cache the features of every model, so each model needs its own key.
        self._key = f"pips {next(_SERIAL)}"

    @torch.inference_mode()
    def features_of(self, frame: Frame) -> Pyramid:
        """The features of a frame, cached in the frame."""
        found: Pyramid | None = frame.features.get(self._key)
        if found is None:
            with reproducible(self.device):
                found = features_of(self.network.fnet, planes_of(frame.image, self.device))
            frame.features[self._key] = found
        return found

    @torch.inference_mode()
    def read(self, frame: Frame, xy: np.ndarray) -> np.ndarray:
        """The features of points at ``float32 (N, 2)`` pixels of a frame, ``float32 (N, 128)``."""
        features: np.ndarray = sample(self.features_of(frame), self._cells(xy)).cpu().numpy()
        return features

    @torch.inference_mode()
    def track(
        self, frames: Sequence[Frame], xy: np.ndarray, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Track points through a window.

        Args:
            frames: its 8 frames.
            xy: ``float32 (N, 2)`` pixels, places in the first one.
            features: ``float32 (N, 128)`` of the points, from :meth:`read`.

        Returns:
            Places ``float32 (N, 8, 2)`` pixels; probabilities of being visible,
            ``float32 (N, 8)``.
        """
        pyramids = [self.features_of(frame) for frame in frames]
        known = torch.from_numpy(features).to(self.device)
        with reproducible(self.device):
            places, logits = self.network.track(pyramids, self._cells(xy), known, self._iterations)
        found = torch.cat([places * STRIDE, logits.sigmoid()[..., None]], 2).cpu().numpy()
        return found[..., :2], found[..., 2]

    def _cells(self, xy: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(xy)).to(self.device) / STRIDE
