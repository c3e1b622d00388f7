"""Golden videos and stand-in weights for TAP-Net."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from support.golden_files import golden_module, temporary_path

RESOLUTION = (96, 96)
"""The model's resolution in the small golden file."""


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """The stand-in weights under their JAX names; not to be changed."""
    weights = golden_module("trackers/tapnet_weights")
    filled: dict[str, np.ndarray] = weights.fill()
    assert weights.checksum(filled) == "9d31ab55"
    return filled


@functools.cache
def checkpoint() -> Path:
    """A pickled file of the published kind; it is gone when the tests end."""
    params, state = golden_module("trackers/tapnet_weights").to_haiku(arrays())
    path = temporary_path("tapnet.npy")
    np.save(path, np.array({"params": params, "state": state}, dtype=object), allow_pickle=True)
    return path


def network() -> Any:
    """The network with the stand-in weights."""
    import torch

    from sam_pt_ros.trackers.tapnet.checkpoint import read_tapnet
    from sam_pt_ros.trackers.tapnet.network import TapNetNetwork

    torch.set_num_threads(1)  # on a busy machine more are slower by far
    made = TapNetNetwork()
    made.load_state_dict(read_tapnet(checkpoint()), strict=False)
    return made.requires_grad_(False).eval()


def tracker(**options: Any) -> Any:
    """A tracker with the stand-in weights, at the small resolution."""
    import torch

    from sam_pt_ros.trackers import create_tracker

    torch.set_num_threads(1)
    given = {"device": "cpu", "checkpoint": str(checkpoint()), "model_resolution": RESOLUTION}
    return create_tracker("tapnet", **{**given, **options})
