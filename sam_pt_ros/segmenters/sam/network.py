"""A model of the SAM family with its weights: images in, low-resolution logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.segmenters.sam.decoder import ImageEmbedding, MaskDecoder
from sam_pt_ros.segmenters.sam.models import (
    CLASSIFIER,
    SamModel,
    build_network,
    image_transform,
    random_sam_weights,
)
from sam_pt_ros.segmenters.sam.options import SamOptions
from sam_pt_ros.weights.checkpoints import find_checkpoint, read_state_dict
from sam_pt_ros.weights.networks import choose_device, load_weights, reproducible

_DTYPES = {"float32": torch.float32, "float16": torch.float16}
_ON_GPU = 64  # largest batch of prompts
_ON_CPU = 4  # a larger batch does not fit into the caches
_ON_CPU_FINE = 1  # for HQ-SAM


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """A batch of prompts of the same form, in pixels of the network's input.

    Attributes:
        points: ``float32 (B, N, 2)`` x, y; N may be 0.
        labels: ``int32 (B, N)``, 1 or 0.
        boxes: ``float32 (B, 4)`` x min, y min, x max, y max, inclusive; or None.
        masks: ``float32 (B, 1, 256, 256)``, logits of an earlier pass; or None.
    """

    points: Tensor
    labels: Tensor
    boxes: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)

    def part(self, rows: slice) -> PromptBatch:
        """The prompts in these rows."""
        return PromptBatch(
            self.points[rows],
            self.labels[rows],
            None if self.boxes is None else self.boxes[rows],
            None if self.masks is None else self.masks[rows],
        )


class Network(Protocol):
    """The interface of a model that :mod:`~sam_pt_ros.segmenters.sam.passes` uses."""

    device: torch.device
    input_side: int
    """Length in pixels to which the longer side of an image is scaled."""

    def decode(
        self, image: ImageEmbedding, prompts: PromptBatch, candidates: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Decode masks for prompts of one image.

        Returns:
            Logits ``float32 (B, C, 256, 256)`` and predicted IoUs ``float32 (B, C)``; C is 1, or 3
            with ``candidates``.
        """

    def enlarge(self, logits: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Scale logits ``(B, C, 256, 256)`` to the image's (height, width): ``(B, C, H, W)``."""


def input_size(image_size: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width of an image after scaling its longer side to ``side`` pixels."""
    scale = side / max(image_size)
    return int(image_size[0] * scale + 0.5), int(image_size[1] * scale + 0.5)


class SamNetwork:
    """A network with its weights, on its device.

    Args:
        model: the model.
        options: checkpoint, device and precision.

    Raises:
        UserError: a package is missing, the device is not available, or the checkpoint is missing
            or another model's.
    """

    def __init__(self, model: SamModel, options: SamOptions) -> None:
        self.model = model
        self.device = choose_device(options.device)
        path = None  # first, because building a large network takes long
        if options.checkpoint != RANDOM:
            path = find_checkpoint(options.checkpoint or model.name, options.checkpoint_sha256)
        sam = build_network(model)
        if path is None:
            sam.load_state_dict(random_sam_weights(sam))
        else:
            load_weights(sam, read_state_dict(path), path, model.title, unused=CLASSIFIER)
        dtype = _DTYPES[options.precision]
        sam.to(self.device)
        sam.image_encoder.to(dtype)
        sam.mask_decoder.to(dtype)
        # Last, because eval() makes TinyViT compute tables from its weights, on their device.
        self.sam = sam.requires_grad_(False).train().eval()
        self._dtype = dtype
        self.input_side = int(sam.image_encoder.img_size)
        self._transform = image_transform(model)(self.input_side)
        with torch.inference_mode():
            self._decoder = MaskDecoder(sam)
        if self.device.type == "cuda":
            self._at_a_time = _ON_GPU
        else:
            self._at_a_time = _ON_CPU_FINE if model.high_quality else _ON_CPU

    def embed(self, image: np.ndarray) -> ImageEmbedding:
        """Encode an RGB image, ``uint8 (H, W, 3)``."""
        scaled = torch.from_numpy(self._transform.apply_image(image)).to(self.device)
        pixels = self.sam.preprocess(scaled.permute(2, 0, 1)[None].float())
        with reproducible(self.device):
            found = self.sam.image_encoder(pixels.to(self._dtype))
            if self.model.high_quality:
                features, early = found
                return self._decoder.embed(features, early[0])
            return self._decoder.embed(found)

    def forget(self) -> None:
        """Drop everything kept for the last image."""
        self._decoder.forget()

    def decode(
        self, image: ImageEmbedding, prompts: PromptBatch, candidates: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Network`."""
        step = self._at_a_time
        parts: Sequence[tuple[Tensor, Tensor]] = [
            self._decode(image, prompts.part(slice(begin, begin + step)), candidates)
            for begin in range(0, len(prompts), step)
        ]
        return torch.cat([logits for logits, _ in parts]), torch.cat([ious for _, ious in parts])

    def _decode(
        self, image: ImageEmbedding, prompts: PromptBatch, candidates: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode one batch that fits the device; see :class:`Network`."""
        encoder = self.sam.prompt_encoder
        sparse, _ = encoder(
            points=(prompts.points, prompts.labels), boxes=prompts.boxes, masks=None
        )
        masks = None
        with reproducible(self.device):
            if prompts.masks is not None:
                masks = encoder.mask_downscaling[:-1](prompts.masks).flatten(2).transpose(1, 2)
            return self._decoder.decode(image, sparse, masks, candidates)

    def enlarge(self, logits: Tensor, image_size: tuple[int, int]) -> Tensor:
        """See :class:`Network`."""
        inner = input_size(image_size, self.input_side)
        enlarged: Tensor = self.sam.postprocess_masks(logits, inner, image_size)
        return enlarged
