"""TAP-Net's checkpoint: a pickled dictionary under the names of its JAX program.

Unpickling a file may run any code. Here only arrays, numbers, texts and dictionaries are made of
it; whatever else it names is replaced by a placeholder that does nothing.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.errors import UserError

_SCOPE = "tap_net/~/"
_TRUNK = "tsm_resnet_video/tsm_resnet_"
_HEADS = {
    "cost_volume_regression_1": "regression_1",
    "cost_volume_regression_2": "regression_2",
    "cost_volume_occlusion_1": "occlusion_1",
    "cost_volume_occlusion_2": "occlusion_2",
    "occlusion_out": "occlusion_out",
}
_NORMS = {"offset": "bias", "scale": "weight"}
_AVERAGES = {"~/mean_ema/average": "running_mean", "~/var_ema/average": "running_var"}


class _Nothing:
    """Stands for an object of a class that is not known; keeps what it was given."""

    content: tuple[Any, ...] = ()  # without a call of __init__, as some pickles make objects

    def __init__(self, *content: Any) -> None:
        self.content = content

    def __setstate__(self, state: Any) -> None:
        self.content = (*self.content, state)


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays and plain containers. Nothing is imported and no code of a file is run."""

    def find_class(self, module: str, name: str) -> Any:
        core = np.core if hasattr(np, "core") and not hasattr(np, "_core") else np._core  # type: ignore[attr-defined]
        known = {
            "_reconstruct": core.multiarray._reconstruct,
            "scalar": core.multiarray.scalar,
            "ndarray": np.ndarray,
            "dtype": np.dtype,
        }
        if module.partition(".")[0] == "numpy" and name in known:
            return known[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return _Nothing


def read_tapnet(path: Path) -> dict[str, Tensor]:
    """The state dict of a published ``.npy`` file.

    Args:
        path: an array of one object: a dictionary with ``params`` and ``state``, each by module
            and name.

    Raises:
        UserError: the file cannot be read, or lacks them.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            _, _, kind = read(file)
            if not kind.hasobject:
                raise ValueError("an array of numbers")
            content = _ArrayUnpickler(file).load()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(
            f"{path}: not a checkpoint of TAP-Net, or damaged ({path.stat().st_size:,} bytes)"
        ) from error
    found = content.item() if isinstance(content, np.ndarray) and content.size == 1 else content
    values: dict[str, np.ndarray] = {}
    for part in ("params", "state"):
        modules = _mapping(_mapping(found).get(part))
        for module, arrays in modules.items():
            for name, array in _mapping(arrays).items():
                if isinstance(array, np.ndarray):
                    values[f"{module}/{name}"] = array
    if not values:
        raise UserError(f"{path}: holds no parameters ('params') of TAP-Net")
    try:
        return converted(values)
    except (IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path}: holds arrays that are not those of TAP-Net ({error})") from error


def _mapping(value: Any) -> Mapping[str, Any]:
    """A dictionary, or the one in an object of a class that is not known; empty without one."""
    if isinstance(value, _Nothing):
        value = next((each for each in value.content if isinstance(each, Mapping)), {})
    return value if isinstance(value, Mapping) else {}


def converted(values: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """A state dict of :class:`TapNetNetwork` from arrays under their JAX names.

    Args:
        values: by ``module/name``. Kernels are ``(height, width, inputs, outputs)``; those of the
            heads have one more leading axis of size 1. Unknown names are kept as they are.
    """
    state = {}
    for name, value in values.items():
        renamed = _renamed(name)
        if renamed is None:
            continue
        array = np.asarray(value, np.float32)
        if renamed.endswith(("bias", "weight", "mean", "var")) and "norm" in renamed:
            array = array.reshape(-1)
        elif renamed.endswith("weight"):
            array = array[0] if array.ndim == 5 else array
            array = array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
        state[renamed] = torch.from_numpy(np.ascontiguousarray(array))
    return state


def _renamed(name: str) -> str | None:
    """The name in the state dict; None for running sums that inference does not use."""
    if name.endswith(("/counter", "/hidden")):
        return None
    short = name.removeprefix(_SCOPE)
    head, _, last = short.rpartition("/")
    if head in _HEADS:
        return f"{_HEADS[head]}.{'weight' if last == 'w' else 'bias'}"
    if not short.startswith(_TRUNK):
        return short
    parts = short.removeprefix(_TRUNK).split("/", 3)
    if parts[0] == "stem":
        return "stem.weight"
    unit, block, layer = parts[0].removeprefix("unit_"), parts[1].removeprefix("block_"), parts[2]
    rest = parts[3] if len(parts) > 3 else ""
    place = f"units.{unit}.{block}"
    if layer.startswith("batch_norm"):
        number = layer.removeprefix("batch_norm").removeprefix("_") or "0"
        return f"{place}.norm_{number}.{ {**_NORMS, **_AVERAGES}.get(rest, rest) }"
    return f"{place}.{'shortcut' if layer == 'shortcut_conv' else layer}.weight"
