"""The segmenters of the SAM family."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction, distinct
from sam_pt_ros.segmenters.base import Deadline, Prompt, Segmenter, TimedPredictions
from sam_pt_ros.segmenters.sam.models import MODELS, check_packages
from sam_pt_ros.segmenters.sam.options import SamOptions

if TYPE_CHECKING:
    from sam_pt_ros.segmenters.sam.decoder import ImageEmbedding
    from sam_pt_ros.segmenters.sam.passes import Passes

_DRAWN = 32.0  # logit of a mask drawn by the user
_SERIAL = itertools.count()


class SamSegmenter(Segmenter):
    """SAM (arXiv 2304.02643) or a model derived from it, prompted as in SAM-PT.

    It has no memory. A frame is encoded once, on its first prompt, and its embedding (4 MB, or
    12 MB for HQ-SAM) is cached in the frame.

    Raises:
        UserError: a package is not installed, the device is not available, or the checkpoint is
            missing or another model's.
    """

    Options = SamOptions
    model: ClassVar[str]
    """Name of the model, a key of ``MODELS``."""

    def __init__(self, options: SamOptions) -> None:
        super().__init__(options)
        check_packages(MODELS[self.model])
        from sam_pt_ros.segmenters.sam.network import SamNetwork

        self.network = SamNetwork(MODELS[self.model], options)
        self._frame: Frame | None = None
        # Frames cache the embeddings of every model, so each model needs its own key.
        self._key = f"{self.model} {next(_SERIAL)}"

    @property
    def details(self) -> str:
        options = self.options
        return f"{options.weights_text}, {self.network.device}, {options.precision}"

    def set_image(self, frame: Frame) -> None:
        self._frame = frame

    def reset(self) -> None:
        self._frame = None
        self.network.forget()

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        return self._ask(prompts).masks

    def predict_until(self, prompts: Sequence[Prompt], deadline: Deadline) -> TimedPredictions:
        """Like ``predict``, with as many refining passes as fit before the deadline."""
        return self._ask(prompts, deadline=deadline)

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        return self._ask(prompts, candidates=True).masks

    def hypotheses(self, prompt: Prompt) -> list[MaskPrediction]:
        import torch

        frame = self._checked_frame([prompt])
        if prompt.mask is not None:
            return [_drawn(prompt.mask)]
        with torch.inference_mode():
            return distinct(self._passes(frame).hypotheses(prompt))

    def _ask(
        self,
        prompts: Sequence[Prompt],
        candidates: bool = False,
        deadline: Deadline | None = None,
    ) -> TimedPredictions:
        """Predict masks: for new objects with ``candidates``, else for tracked ones."""
        import torch

        frame = self._checked_frame(prompts)
        begin = deadline.clock() if deadline is not None else 0.0
        needed, shortened = None, False
        open_ = [prompt for prompt in prompts if prompt.mask is None]
        found: list[MaskPrediction] = []
        if open_:
            with torch.inference_mode():
                passes = self._passes(frame, deadline)
                found = (passes.propose if candidates else passes.predict)(open_)
            shortened = passes.shortened
            if passes.refining_from is not None:
                needed = passes.refining_from - begin
        answers = iter(found)
        masks = [next(answers) if p.mask is None else _drawn(p.mask) for p in prompts]
        return TimedPredictions(masks, needed, shortened)

    def _checked_frame(self, prompts: Sequence[Prompt]) -> Frame:
        """The frame that was set; UserError without one, or if a mask does not fit it."""
        frame = self._frame
        if frame is None:
            raise UserError("call set_image before predict")
        for prompt in prompts:
            if prompt.mask is not None and prompt.mask.shape != frame.size:
                raise UserError(
                    f"object {prompt.object_id}: the mask has the size {prompt.mask.shape}, but "
                    f"the image has {frame.size} (height, width)"
                )
        return frame

    def _passes(self, frame: Frame, deadline: Deadline | None = None) -> Passes:
        from sam_pt_ros.segmenters.sam.passes import Passes

        return Passes(self.network, self._embedding(frame), frame.size, self.options, deadline)

    def _embedding(self, frame: Frame) -> ImageEmbedding:
        """The embedding of a frame, cached in the frame."""
        found: ImageEmbedding | None = frame.features.get(self._key)
        if found is None:
            found = self.network.embed(frame.image)
            frame.features[self._key] = found
        return found


def _drawn(mask: np.ndarray) -> MaskPrediction:
    """The prediction for a mask drawn by the user, ``bool (H, W)``: the mask itself."""
    logits = np.where(mask, np.float32(_DRAWN), np.float32(-_DRAWN))
    return MaskPrediction(logits, (0, 0), mask.shape[:2], 1.0)


class MobileSam(SamSegmenter):
    """MobileSAM (arXiv 2306.14289)."""

    model = "mobile_sam"


class SamVitH(SamSegmenter):
    """SAM with its huge encoder."""

    model = "sam_vit_h"


class SamVitL(SamSegmenter):
    """SAM with its large encoder."""

    model = "sam_vit_l"


class SamVitB(SamSegmenter):
    """SAM with its base encoder."""

    model = "sam_vit_b"


class HqSamVitH(SamSegmenter):
    """HQ-SAM (arXiv 2306.01567) with SAM's huge encoder."""

    model = "hq_sam_vit_h"


class HqSamVitL(SamSegmenter):
    """HQ-SAM with SAM's large encoder."""

    model = "hq_sam_vit_l"


class HqSamVitB(SamSegmenter):
    """HQ-SAM with SAM's base encoder."""

    model = "hq_sam_vit_b"


class HqSamVitTiny(SamSegmenter):
    """HQ-SAM with MobileSAM's encoder."""

    model = "hq_sam_vit_tiny"
