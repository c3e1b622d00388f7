"""The models of the SAM family, built by their authors' packages."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sam_pt_ros.errors import UserError, one_line


@dataclass(frozen=True)
class SamModel:
    """A model and the package that provides it.

    Attributes:
        name: name of the segmenter and of the checkpoint.
        title: the authors' name of the model.
        module: top-level module of the package.
        requirement: name of the package for pip.
        variant: key in the package's ``sam_model_registry``.
        high_quality: whether the decoder is HQ-SAM's.
        imports: packages that it needs without declaring them as dependencies.
    """

    name: str
    title: str
    module: str
    requirement: str
    variant: str
    high_quality: bool = False
    imports: tuple[str, ...] = ("torch", "torchvision", "timm")


def _models() -> dict[str, SamModel]:
    sam = ("segment_anything", "segment-anything")
    hq_sam = ("segment_anything_hq", "segment-anything-hq")
    listed = [
        SamModel("mobile_sam", "MobileSAM", "mobile_sam", "mobilesam-mirror", "vit_t"),
        *(
            SamModel(f"sam_{size}", f"SAM {size}", *sam, size, imports=("torch", "torchvision"))
            for size in _SIZES
        ),
        *(
            SamModel(f"hq_sam_{size}", f"HQ-SAM {size}", *hq_sam, size, high_quality=True)
            for size in (*_SIZES, "vit_tiny")
        ),
    ]
    return {model.name: model for model in listed}


_SIZES = ("vit_h", "vit_l", "vit_b")
MODELS: Mapping[str, SamModel] = _models()
"""The models by name."""

CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")
"""Prefixes of the weights of TinyViT's classifier, which masks do not depend on."""


_IOU_OUTPUT = "mask_decoder.iou_prediction_head.layers.2."


def check_packages(model: SamModel) -> None:
    """Raise UserError if a package that the model needs is not installed."""
    for package in (model.module, *model.imports):
        try:
            found = importlib.util.find_spec(package) is not None
        except ValueError:  # imported already, without a spec
            found = True
        if not found:
            raise UserError(_missing(model, package))


def build_network(model: SamModel) -> Any:
    """Build the network, with the initial weights of its package.

    Raises:
        UserError: a package is not installed, or cannot be imported.
    """
    with warnings.catch_warnings():
        # timm warns of deprecated names that the packages use, and of models registered twice.
        warnings.simplefilter("ignore", (FutureWarning, UserWarning))
        try:
            package: Any = importlib.import_module(model.module)
            builder = package.sam_model_registry[model.variant]
        except ModuleNotFoundError as error:
            raise UserError(_missing(model, error.name or model.module)) from error
        except Exception as error:  # a third-party package may raise anything on import
            reason = one_line(error)
            hint = ""
            if "torchvision" in reason:
                hint = "; install torch and torchvision of the same release and build"
            raise UserError(
                f"the segmenter '{model.name}': {model.module} cannot be imported ({reason}){hint}"
            ) from error
        return builder()


def image_transform(model: SamModel) -> Any:
    """The class of the package that scales images for the network."""
    return importlib.import_module(f"{model.module}.utils.transforms").ResizeLongestSide


def _missing(model: SamModel, package: str) -> str:
    packages = " ".join([model.requirement, *model.imports])
    return (
        f"the segmenter '{model.name}' needs the Python package '{package}', which is not "
        f"installed; run `pip install {packages}`, or `make torch` in the source folder"
    )


def random_sam_weights(network: Any) -> dict[str, Any]:
    """Weights for tests, the same in every run. Masks are meaningless."""
    from sam_pt_ros.weights.networks import pseudo_random

    state = {}
    for name, value in network.state_dict().items():
        if not value.is_floating_point() or name.startswith("pixel_"):
            state[name] = value
            continue
        drawn = pseudo_random(name, value)
        kind = name.rpartition(".")[2]
        if name.endswith("positional_encoding_gaussian_matrix"):
            state[name] = drawn
        elif name.startswith(_IOU_OUTPUT):
            # High predicted IoUs, so that masks are accepted.
            state[name] = 0.02 * drawn + (0.9 if kind == "bias" else 0)
        elif value.ndim > 1:
            state[name] = drawn * (value.numel() / max(value.shape[:2])) ** -0.5
        elif kind == "weight":
            state[name] = 1 + 0.1 * drawn
        elif kind == "running_var":
            state[name] = 1 + 0.1 * drawn.abs()
        else:
            state[name] = 0.02 * drawn
    return state
