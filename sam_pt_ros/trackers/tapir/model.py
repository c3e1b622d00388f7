"""TAPIR with its weights on a device, ready to track."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.trackers.feature_maps import to_planes
from sam_pt_ros.trackers.tapir.features import COARSE, FINE, Grids, resize
from sam_pt_ros.trackers.tapir.network import (
    NEIGHBOURS,
    Resolution,
    TapirNetwork,
    refinement_resolutions,
)
from sam_pt_ros.trackers.tapir.options import PUBLISHED, TapirOptions
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import (
    PRECISIONS,
    choose_device,
    load_weights,
    random_weights,
    reproducible,
)

_SERIAL = itertools.count()


class TapirModel:
    """The network with its weights, and the preparation of its inputs.

    Args:
        options: checkpoint, device, precision and resolution.

    Raises:
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    def __init__(self, options: TapirOptions) -> None:
        self.device = choose_device(options.device)
        self.options = options
        self.network = _loaded(options).requires_grad_(False).eval().to(self.device)
        self._kept_as, computed_as = PRECISIONS[options.precision]
        self.network.to(computed_as)
        if self.device.type == "cpu" and computed_as == torch.float32:
            self.network.prepare()
        # Frames cache the features of every model, so each model needs its own key.
        self._key = f"tapir {next(_SERIAL)}"

    @property
    def details(self) -> str:
        """Mode, weights, device and precision, as shown to people."""
        options = self.options
        return f"{options.mode}, {options.weights_text}, {self.device}, {options.precision}"

    def resolutions(self, frame: Frame) -> list[Resolution]:
        """Those at which tracks are refined; the first is the model's."""
        first = self.options.model_resolution
        if not self.options.refine_at_image_size:
            return [first]
        # Features need multiples of 8.
        height, width = (8 * max(side // 8, 2) for side in frame.size)
        return refinement_resolutions(first, (height, width))

    def grids_of(self, frame: Frame) -> tuple[Grids, ...]:
        """The feature maps of a frame by resolution, cached in the frame."""
        found: tuple[Grids, ...] | None = frame.features.get(self._key)
        if found is None:
            planes = to_planes(frame.image, self.device)
            with reproducible(self.device):
                found = tuple(
                    self.network.grids(resize(planes, resolution), self._kept_as)
                    for resolution in self.resolutions(frame)
                )
            frame.features[self._key] = found
        return found

    def to_model(self, xy: np.ndarray, frame: Frame) -> Tensor:
        """Image pixels ``(N, 2)`` as positions of the model, ``float32 (N, 2)``, on the device.

        The model counts from the corner of the image, not from the centre of its first pixel.
        """
        places = (np.asarray(xy, np.float32) + 0.5) * self._scale(frame)
        return torch.from_numpy(places.astype(np.float32)).to(self.device)

    def to_image(self, xy: Tensor, frame: Frame) -> Tensor:
        """Positions of the model ``(..., 2)`` as image pixels."""
        return xy / torch.from_numpy(self._scale(frame)).to(xy.device) - 0.5

    def seen(self, logits: Tensor) -> Tensor:
        """``(..., 2)`` to ``(...)``: the probability of being neither hidden nor far off."""
        return (-logits).sigmoid().prod(-1)

    def _scale(self, frame: Frame) -> np.ndarray:
        """Pixels of the model per pixel of the image in x and y, ``float32 (2,)``."""
        height, width = self.options.model_resolution
        return np.array([width / frame.width, height / frame.height], np.float32)


def _loaded(options: TapirOptions) -> TapirNetwork:
    """The network, with levels and extra blocks as the weights have them."""
    make = partial(TapirNetwork, iterations=options.iterations, temperature=options.temperature)
    if options.checkpoint == RANDOM:
        network = make()
        network.load_state_dict(random_tapir_weights(network))
        return network
    asked = options.checkpoint or PUBLISHED[options.mode]
    path = find_checkpoint(asked, options.checkpoint_sha256)
    state = read_state_dict(path)
    network = make(_levels(state), any(name.startswith("extra_convs.") for name in state))
    load_weights(network, state, path, "TAPIR or BootsTAPIR")
    return network


def random_tapir_weights(network: TapirNetwork) -> dict[str, Tensor]:
    """Weights for tests, the same in every run. Points go anywhere."""
    return random_weights(network, heads=("linear_1", "hid2"))


def _levels(state: Mapping[str, Tensor]) -> int:
    """Number of correlated feature maps, by the width of the mixer's first layer; 2 or 3."""
    first = state.get("torch_pips_mixer.linear.weight")
    if first is None or first.ndim != 2:
        return 3
    return min(max((first.shape[1] - 4 - FINE - COARSE) // NEIGHBOURS, 2), 3)
