"""Weights of PIPS and PIPS++: from a checkpoint, or random ones for tests."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import torch
from torch import nn

from sam_pt_ros.options.network import RANDOM, NetworkOptions
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import load_weights, random_weights

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
        network.load_state_dict(random_weights(network, (last_layer,), 0.01))
    else:
        path = find_checkpoint(options.checkpoint, options.checkpoint_sha256)
        load_weights(network, read_state_dict(path), path, model, unused)
    return network.requires_grad_(False).eval().to(device)
