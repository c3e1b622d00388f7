"""Proposes masks of all objects in an image, with SAM's mask generator.

A grid of points prompts the network. Masks that are confident, stable and no duplicates are kept
(Kirillov et al., "Segment Anything", arXiv 2304.02643, appendix B). SAM-PT tracks at most 100 of
the first frame's masks through a video (arXiv 2307.01197, on UVO).
"""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.segmenters.base import Segmenter

LIMIT = 100
"""The largest number of proposals per image, as in SAM-PT."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """A mask that may be an object.

    Attributes:
        mask: ``bool (H, W)``; it may overlap other masks.
        score: the IoU that the network predicts; about 0 to 1.
    """

    mask: np.ndarray
    score: float


@dataclass(frozen=True)
class GeneratorOptions:
    """Options of the SAM authors' generator, by their names there; the values are SAM-PT's.

    Attributes:
        points_per_side: points per side of the grid.
        points_per_batch: points that are decoded at a time.
        pred_iou_thresh: smallest predicted IoU of a mask.
        stability_score_thresh: smallest IoU of a mask's versions at a lower and at a higher
            threshold of its logits.
        box_nms_thresh: IoU of two masks' boxes above which the less confident is a duplicate.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7

    def __post_init__(self) -> None:
        for name in ("points_per_side", "points_per_batch"):
            if getattr(self, name) < 1:
                raise UserError(f"proposals: {name} must be 1 or more, got {getattr(self, name)}")
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"proposals: {name} must be 0 to 1, got {getattr(self, name)}")


DEFAULTS = GeneratorOptions()


def propose_masks(
    segmenter: Segmenter,
    image: np.ndarray,
    limit: int = LIMIT,
    options: GeneratorOptions = DEFAULTS,
) -> list[Proposal]:
    """Propose masks for an image, the most confident first.

    Args:
        segmenter: one of the SAM family; its network is used, and its state is not changed.
        image: RGB ``uint8 (H, W, 3)``.
        limit: largest number of proposals.
        options: of the generator.

    Raises:
        UserError: the segmenter has no such network, or computes in half precision, which the
            authors' generator does not support.
    """
    if limit < 1:
        raise UserError(f"proposals: the limit must be 1 or more, got {limit}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(
            f"proposals: the image must be RGB uint8 (H, W, 3), got {image.dtype} {image.shape}"
        )
    network, package = _network(segmenter)
    generator = importlib.import_module(package).SamAutomaticMaskGenerator
    from sam_pt_ros.weights.networks import reproducible

    with reproducible(network.device):
        records = generator(network, **asdict(options)).generate(np.ascontiguousarray(image))
    records.sort(key=lambda record: -record["predicted_iou"])
    return [
        Proposal(np.asarray(record["segmentation"], np.bool_), float(record["predicted_iou"]))
        for record in records[:limit]
    ]


def _network(segmenter: Segmenter) -> tuple[Any, str]:
    """The authors' network of a segmenter, and the package that defines it."""
    from sam_pt_ros.segmenters.sam import SamSegmenter
    from sam_pt_ros.segmenters.sam.models import MODELS

    if not isinstance(segmenter, SamSegmenter):
        raise UserError(
            f"proposals: {type(segmenter).__name__} cannot propose masks; choose one of the "
            f"segmenters {', '.join(sorted(MODELS))}"
        )
    if segmenter.options.precision != "float32":
        raise UserError(
            f"proposals: SAM's mask generator does not support {segmenter.options.precision}; set "
            "the segmenter's 'precision: float32'"
        )
    return segmenter.network.sam, MODELS[segmenter.model].module
