"""Weights of PIPS and PIPS++: from a checkpoint, or random ones for tests."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TypeVar

import torch
from torch import Tensor, nn

from sam_pt_ros.options.network import RANDOM, NetworkOptions
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import load_weights, pseudo_random

_Network = TypeVar("_Network", bound=nn.Module)


def with_weights(
    network: _Network,
    options: NetworkOptions,
    device: torch.device,
    model: str,
    last_layer: str,
    unused: Collection[str] = (),
) -> _Network:
    """Load the weights of a network, and move it to its device, ready to run.

    Args:
        network: the network.
        options: where its weights come from.
        device: where it will run.
        model: name of the model, for error messages.
        last_layer: name of the layer that moves points, whose random weights are small.
        unused: prefixes of names in the checkpoint that the network does not use.

    Raises:
        UserError: the checkpoint is missing or another model's.
    """
    if options.checkpoint == RANDOM:
        network.load_state_dict(_random_weights(network, last_layer))
    else:
        path = find_checkpoint(options.checkpoint, options.checkpoint_sha256)
        load_weights(network, read_state_dict(path), path, model, unused)
    return network.requires_grad_(False).eval().to(device)


def _random_weights(network: nn.Module, last_layer: str) -> dict[str, Tensor]:
    """Weights for tests, the same in every run. Points move little, and not with the image."""
    state = {}
    for name, value in network.state_dict().items():
        drawn = pseudo_random(name, value)
        spread = math.prod(value.shape[1:]) ** -0.5 if value.ndim > 1 else 0.02
        state[name] = drawn * spread * (0.01 if name.startswith(last_layer) else 1.0)
        if value.ndim == 1 and name.endswith("weight"):  # of a norm
            state[name] += 1
    return state
