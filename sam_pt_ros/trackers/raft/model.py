"""RAFT (Teed and Deng, ECCV 2020; torchvision's network) with its weights on a device."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models import optical_flow

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.trackers.feature_maps import planes_of
from sam_pt_ros.trackers.raft.chain import Field
from sam_pt_ros.trackers.raft.names import torchvision_names
from sam_pt_ros.trackers.raft.options import PUBLISHED_WEIGHTS, RaftOptions
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import choose_device, load_weights, pseudo_random, reproducible

MULTIPLE = 8
"""The sides of the network's images are multiples of this."""
SMALLEST = 128
"""Shortest side that torchvision's network takes, pixels: its coarsest correlations are 2 x 2."""

_LARGEST_FACTOR = 4.0
_BILINEAR: dict[str, Any] = {"mode": "bilinear", "align_corners": False}
_SERIAL = itertools.count()


@dataclass(frozen=True)
class Fitting:
    """How an image is made to fit the network.

    Larger images are reduced to the working size. Smaller ones than the network takes are
    enlarged, up to four times and to the working size, so that little of what it sees is
    repetition. Then the border is repeated up to the next multiple of 8 and at least 128, one half
    (rounded down) left and above, as published.

    Attributes:
        height: height after scaling, pixels.
        width: width after scaling, pixels.
        left: columns added on the left.
        right: columns added on the right.
        top: rows added above.
        bottom: rows added below.
    """

    height: int
    width: int
    left: int
    right: int
    top: int
    bottom: int

    @classmethod
    def of(cls, size: tuple[int, int], working_size: int) -> Fitting:
        """The fitting of images of this height and width; ``working_size`` 0: not reduced."""
        largest = working_size / max(size) if working_size else _LARGEST_FACTOR
        factor = min(max(1.0, SMALLEST / min(size)), _LARGEST_FACTOR, largest)
        height, width = (max(1, round(side * factor)) for side in size)
        rows, columns = (
            max(SMALLEST, -(-side // MULTIPLE) * MULTIPLE) - side for side in (height, width)
        )
        left, top = columns // 2, rows // 2
        return cls(height, width, left, columns - left, top, rows - top)

    def prepare(self, image: np.ndarray, device: torch.device) -> Tensor:
        """Convert an RGB image ``uint8 (H, W, 3)`` to ``float32 (1, 3, h, w)``, -1 to 1."""
        planes = planes_of(image, device)
        if image.shape[:2] != (self.height, self.width):
            reduced = self.height < image.shape[0]
            planes = F.interpolate(
                planes, (self.height, self.width), antialias=reduced, **_BILINEAR
            )
        planes = planes.mul(2 / 255).sub_(1)
        border = (self.left, self.right, self.top, self.bottom)
        return F.pad(planes, border, mode="replicate")

    def cut(self, flow: Tensor) -> Tensor:
        """The flow without the added border: ``(B, 2, h, w)`` to ``(B, 2, height, width)``."""
        return flow[..., self.top :, self.left :][..., : self.height, : self.width]


class RaftModel:
    """The network with its weights, and the flow between frames.

    Args:
        options: network, checkpoint, device, updates and working size.

    Raises:
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    def __init__(self, options: RaftOptions) -> None:
        self.options = options
        self.device = choose_device(options.device)
        build = optical_flow.raft_large if options.network == "large" else optical_flow.raft_small
        network = build(weights=None)
        if options.checkpoint == RANDOM:
            network.load_state_dict(random_raft_weights(network.state_dict()))
        else:
            asked = options.checkpoint or PUBLISHED_WEIGHTS[options.network]
            path = find_checkpoint(asked, options.checkpoint_sha256)
            state = torchvision_names(read_state_dict(path))
            model = f"RAFT ({options.network}; see the option 'network')"
            load_weights(network, state, path, model)
        self.network = network.requires_grad_(False).eval().to(self.device)
        # Frames cache the flows of every model, so each model needs its own key.
        self._key = f"raft {next(_SERIAL)}"

    def fields(self, before: Frame, after: Frame, both: bool) -> tuple[Field, Field | None]:
        """The flow from a frame to a later one and, with ``both``, back.

        They are cached in the later frame.
        """
        known: dict[int, list[Field]] = after.features.setdefault(self._key, {})
        found = known.get(before.index, [])
        if len(found) < 1 + both:
            pairs = [(before, after), (after, before)][len(found) : 1 + both]
            found = [*found, *self._flows(pairs)]
            known[before.index] = found
        return found[0], found[1] if both else None

    @torch.inference_mode()
    def _flows(self, pairs: list[tuple[Frame, Frame]]) -> list[Field]:
        """The flow from the first to the second frame of each pair."""
        size = pairs[0][0].size
        fitting = Fitting.of(size, self.options.working_size)
        images = {frame.index: fitting.prepare(frame.image, self.device) for frame in pairs[0]}
        first, second = (
            torch.cat([images[pair[side].index] for pair in pairs]) for side in (0, 1)
        )
        with reproducible(self.device):
            flows = self.network(first, second, num_flow_updates=self.options.updates)[-1]
        cut = fitting.cut(flows).cpu().numpy()
        if not np.isfinite(cut).all():
            raise UserError("tracker 'raft': the network's flow is not finite")
        scale = np.array([fitting.width / size[1], fitting.height / size[0]])
        return [Field(np.ascontiguousarray(flow), scale) for flow in cut]


def random_raft_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for tests, the same in every run; points move little, and not with the image.

    Args:
        state: state dict of the network, for names and shapes.
    """
    made = {}
    for name, value in state.items():
        if not value.is_floating_point():
            made[name] = value
            continue
        drawn = pseudo_random(name, value)
        if name.endswith("running_var"):
            made[name] = 1 + 0.1 * drawn.abs()
        elif value.ndim > 1:
            spread = float(np.prod(value.shape[1:])) ** -0.5
            made[name] = drawn * spread * (0.1 if "flow_head.conv2" in name else 1.0)
        else:
            # Of a norm, the weight is about 1.
            norm = ".1.weight" in name
            made[name] = 0.02 * drawn + (1.0 if norm else 0.0)
    return made
