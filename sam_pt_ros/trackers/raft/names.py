"""The names of RAFT's weights: those of the authors' files, as torchvision calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_PREFIX = "module."
_ENCODERS = {"fnet": "feature_encoder", "cnet": "context_encoder"}
_INPUTS = {"c": "corr", "f": "flow", "": ""}


def torchvision_names(state: Mapping[str, T]) -> dict[str, T]:
    """The weights under torchvision's names.

    The authors' file holds the norm after a block's shortcut twice; one of them is left out.

    Args:
        state: weights by name, the authors' or torchvision's. Names that are neither are kept.
    """
    bare = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    return {
        _torchvision_name(name): value
        for name, value in bare.items()
        if not _is_second_name(name, bare)
    }


def _is_second_name(name: str, state: Mapping[str, T]) -> bool:
    """Whether a norm belongs to no convolution of its number: it is that of the shortcut."""
    norm = re.fullmatch(r"([fc]net\.layer\d\.\d)\.norm(\d)\.\w+", name)
    return norm is not None and f"{norm[1]}.conv{norm[2]}.weight" not in state


def _torchvision_name(name: str) -> str:
    part, _, rest = name.partition(".")
    if part in _ENCODERS:
        return f"{_ENCODERS[part]}.{_in_encoder(rest)}"
    if part != "update_block":
        return name
    if mask := re.fullmatch(r"mask\.([02])\.(\w+)", rest):
        return f"mask_predictor.{'convrelu.0' if mask[1] == '0' else 'conv'}.{mask[2]}"
    if gru := re.fullmatch(r"gru\.conv([zrq])([12]?)\.(\w+)", rest):
        return f"{part}.recurrent_block.convgru{gru[2] or 1}.conv{gru[1]}.{gru[3]}"
    if encoder := re.fullmatch(r"encoder\.conv([cf]?)([12]?)\.(\w+)", rest):
        kind, number, what = encoder.groups()
        return f"{part}.motion_encoder.conv{_INPUTS[kind]}{number}.0.{what}"
    return name


def _in_encoder(name: str) -> str:
    if first := re.fullmatch(r"(conv|norm)1\.(\w+)", name):
        return f"convnormrelu.{0 if first[1] == 'conv' else 1}.{first[2]}"
    if last := re.fullmatch(r"conv2\.(\w+)", name):
        return f"conv.{last[1]}"
    if block := re.fullmatch(r"(layer\d\.\d)\.(conv|norm)(\d)\.(\w+)", name):
        layer, kind, number, what = block.groups()
        return f"{layer}.convnormrelu{number}.{0 if kind == 'conv' else 1}.{what}"
    return name
