"""PIPS++ with its weights on a device, ready to track."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.feature_maps import Pyramid, planes_of
from sam_pt_ros.trackers.pips.features import features_of, sample
from sam_pt_ros.trackers.pips.weights import with_weights
from sam_pt_ros.trackers.pips_plus_plus.chunks import chunks
from sam_pt_ros.trackers.pips_plus_plus.network import (
    ITERATIONS,
    STRIDE,
    TEMPLATES,
    PipsPlusPlusNetwork,
)
from sam_pt_ros.trackers.pips_plus_plus.options import PipsPlusPlusOptions
from sam_pt_ros.weights.networks import choose_device, reproducible

_SERIAL = itertools.count()
_TOGETHER = 128  # points tracked at a time, which limits memory


class PipsPlusPlusModel:
    """The network with its weights. Places are in pixels of the frames, arrays on the host.

    Args:
        options: checkpoint, device, size of images, frames of a chunk and number of updates.

    Raises:
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    def __init__(self, options: PipsPlusPlusOptions) -> None:
        self.device = choose_device(options.device)
        self._options = options
        self._iterations = options.iterations or ITERATIONS
        self.network = with_weights(
            PipsPlusPlusNetwork(),
            options,
            self.device,
            "PIPS++",
            "delta_block.dense",
            unused=("norm.",),
        )
        # Frames cache the features of every model, so each model needs its own key.
        self._key = f"pips_plus_plus {next(_SERIAL)}"

    def input_size(self, frame: Frame) -> tuple[int, int]:
        """Height and width to which a frame is scaled for the network."""
        asked: tuple[int, int] = self._options.image_size
        return asked if any(asked) else frame.size

    @torch.inference_mode()
    def features_of(self, frame: Frame) -> Pyramid:
        """The features of a frame, cached in the frame."""
        found: Pyramid | None = frame.features.get(self._key)
        if found is None:
            planes, size = planes_of(frame.image, self.device), self.input_size(frame)
            if size != frame.size:
                planes = F.interpolate(planes, size, mode="bilinear", align_corners=False)
            with reproducible(self.device):
                found = features_of(self.network.fnet, planes)
            frame.features[self._key] = found
        return found

    @torch.inference_mode()
    def follow(self, frames: Sequence[Frame], xy: np.ndarray) -> np.ndarray:
        """Track points from the first to the last of these frames, in chunks.

        Args:
            frames: T frames, in the order in which they are passed through.
            xy: ``float32 (N, 2)`` pixels in the first frame.

        Returns:
            ``float32 (T, N, 2)`` pixels.
        """
        height, width = self.input_size(frames[0])
        pixels = np.array([frames[0].width, frames[0].height], np.float32)
        scale = np.array([width, height], np.float32) / pixels / STRIDE
        parts = [
            self._follow(frames, torch.from_numpy(each * scale).to(self.device)).cpu().numpy()
            for each in np.split(xy, range(_TOGETHER, len(xy), _TOGETHER))
        ]
        places: np.ndarray = np.concatenate(parts).swapaxes(0, 1) / scale
        return places

    def _follow(self, frames: Sequence[Frame], xy: Tensor) -> Tensor:
        """As :meth:`follow`, in cells: ``(N, 2)`` to ``(N, T, 2)``."""
        places = xy[:, None].repeat(1, len(frames), 1)
        query = sample(self.features_of(frames[0]), xy)[:, None, None]
        templates = query.expand(-1, self._options.chunk, TEMPLATES, -1)
        for first, end in chunks(len(frames), self._options.chunk):
            pyramids = [self.features_of(frame) for frame in frames[first:end]]
            with reproducible(self.device):
                # Templates are handed on by the place in the chunk, as published.
                places[:, first:end], templates = self.network.track(
                    pyramids,
                    places[:, first:end],
                    templates[:, : end - first],
                    self._iterations,
                )
            places[:, end:] = places[:, end - 1 : end]
        return places
