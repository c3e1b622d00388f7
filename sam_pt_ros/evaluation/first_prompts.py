"""The prompts that start the objects of an annotated sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.point_selection import select_points

Start = Literal["points", "click", "box", "mask"]
STARTS: Mapping[Start, str] = {
    "points": "query points sampled from the first mask, as in the paper",
    "click": "one click on the innermost pixel of the first mask",
    "box": "the bounding box of the first mask",
    "mask": "the first mask itself",
}


def first_prompt(
    image: np.ndarray,
    mask: np.ndarray,
    options: SamPtOptions,
    rng: np.random.Generator,
    start: Start = "points",
) -> ObjectPrompt:
    """The prompt that starts an object (SAM-PT, arXiv 2307.01197, section 3.3).

    Args:
        image: RGB ``uint8 (H, W, 3)``, the object's first frame.
        mask: ``bool (H, W)``, its true mask there.
        options: how many points are chosen, and how.
        rng: the source of all randomness.
        start: what is derived from the mask; nothing else of the ground truth is used.

    Raises:
        UserError: the mask is empty.
    """
    if not mask.any():
        raise UserError("the object's first mask is empty; check its annotation")
    if start == "mask":
        return ObjectPrompt(mask=mask)
    if start == "box":
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        return ObjectPrompt(box=np.array([x, y, x + width - 1, y + height - 1]))
    if start == "click":
        return ObjectPrompt(inner_point(mask)[None], np.array([POSITIVE], np.int32))
    on = select_points(
        options.positive_selection,
        options.positive_points,
        image,
        mask,
        rng,
        options.clustered_pixels,
    )
    beside = select_points(
        options.negative_selection,
        options.negative_points,
        image,
        ~mask,
        rng,
        options.clustered_pixels,
    )
    labels = np.array([POSITIVE] * len(on) + [NEGATIVE] * len(beside), np.int32)
    return ObjectPrompt(np.concatenate([on, beside]), labels)


def inner_point(mask: np.ndarray) -> np.ndarray:
    """The pixel (x, y) of a mask, ``bool (H, W)``, farthest from its edge; ``float32 (2,)``."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(distances)), mask.shape)
    return np.array([column, row], np.float32)
