"""Devices, reproducibility and state dicts, shared by all backends with a trained network."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from sam_pt_ros.errors import UserError
from sam_pt_ros.weights.memory import keep_freed_memory

PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "mixed": (torch.float16, torch.float32),
    "float16": (torch.float16, torch.float16),
}
"""By precision: type in which features are kept, type in which the network computes."""

_SHOWN = 3  # largest number of names in a message


def choose_device(name: str) -> torch.device:
    """The device of that name, prepared for use; UserError if it is not available.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """
    device = _device(name)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device '{name}'; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"the device '{name}' is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UserError(
                f"the device '{name}' is not available: PyTorch {torch.__version__} sees {count} "
                "CUDA devices; use 'device: auto' or 'device: cpu'"
            )
    return device


def reproducible(device: torch.device) -> AbstractContextManager[None]:
    """Make convolutions deterministic and exclude TF32, which is as coarse as float16."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    path: Path,
    model: str,
    unused: Collection[str] = (),
) -> None:
    """Load a state dict into its network.

    Args:
        network: the network.
        state: tensors by name.
        path: file that holds them, for error messages.
        model: name of the model, for error messages.
        unused: prefixes of names that may be missing or superfluous, because the network does
            not use them.

    Raises:
        UserError: names or shapes do not match, or a value is not finite.
    """
    wanted = network.state_dict()
    loaded = dict(state)
    for name in {*wanted, *loaded}:
        if name.startswith(tuple(unused)):
            loaded.pop(name, None)
            wanted.pop(name, None)
    missing = sorted(wanted.keys() - loaded.keys())
    unexpected = sorted(loaded.keys() - wanted.keys())
    if missing or unexpected:
        raise UserError(
            f"{path}: not a checkpoint of {model}: {_listed('missing', missing)}; "
            f"{_listed('unexpected', unexpected)}"
        )
    for name, value in loaded.items():
        if value.shape != wanted[name].shape:
            raise UserError(
                f"{path}: '{name}' has the shape {tuple(value.shape)}, expected "
                f"{tuple(wanted[name].shape)}"
            )
        kind = wanted[name].dtype
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise UserError(f"{path}: '{name}' is not a plain tensor")
        if value.is_floating_point() != kind.is_floating_point or value.is_complex():
            raise UserError(f"{path}: '{name}' has the type {value.dtype}, expected {kind}")
        if not torch.isfinite(value.to(kind)).all():
            raise UserError(f"{path}: '{name}' holds values that are not finite")
    network.load_state_dict(loaded, strict=False)


def pseudo_random(name: str, value: Tensor) -> Tensor:
    """Standard normal values, ``float32`` of the shape of ``value``, seeded by the name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(value.shape, generator=generator)


def random_weights(
    network: nn.Module, heads: Sequence[str], factor: float = 0.005
) -> dict[str, Tensor]:
    """Weights for tests, the same in every run. Points move little, and not with the image.

    Args:
        network: the network that they are for.
        heads: parts of the names of output layers, whose weights are small.
        factor: what theirs are multiplied by.
    """
    state = {}
    for name, value in network.state_dict().items():
        spread = math.prod(value.shape[1:]) ** -0.5 if value.ndim > 1 else 0.02
        small = factor if any(head in name for head in heads) else 1.0
        state[name] = pseudo_random(name, value) * spread * small
        if value.ndim == 1 and name.endswith("weight"):  # of a norm
            state[name] += 1
    return state


def _listed(what: str, names: list[str]) -> str:
    """A count of names and the first few of them, for an error message."""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")
