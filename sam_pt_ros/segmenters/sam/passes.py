"""Prompting SAM for an object's mask in several passes, each with the previous result.

This is section 3.4 of SAM-PT (arXiv 2307.01197) as implemented by its authors, with one exception:
their box is in pixels of the image although the points are in pixels of the network's input; here
both are in the network's. All objects of a frame go through each pass together, and those with
prompts of the same form are decoded in one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.segmenters.base import Deadline, Prompt
from sam_pt_ros.segmenters.sam.decoder import ImageEmbedding
from sam_pt_ros.segmenters.sam.network import Network, PromptBatch, input_size
from sam_pt_ros.segmenters.sam.options import SamOptions

_SMALLEST = 2
"""Masks with fewer pixels are not refined."""


@dataclass(eq=False)
class _Query:
    """The state of an object between passes.

    Attributes:
        points: ``float32 (N, 2)``, pixels of the network's input, on the host.
        labels: ``int32 (N,)``: 1 on the object, 0 not on it.
        positives_first: whether the first pass uses only the positive points.
        box: ``float32 (4,)``, box of the next pass, pixels of the network's input; or None.
        low: ``float32 (1, 256, 256)``, logits of the last pass; None before the first.
        iou: predicted IoU of the last pass.
        logits: ``float32 (H, W)``, the logits at the image's size; None until they are needed.
        bounds: bounds of the mask.
    """

    points: np.ndarray
    labels: np.ndarray
    positives_first: bool
    box: np.ndarray | None
    low: Tensor | None = None
    iou: float = 0.0
    logits: Tensor | None = None
    bounds: MaskBounds | None = None


@dataclass(frozen=True)
class MaskBounds:
    """Area of a mask, and its bounding box in inclusive pixel indices; all 0 if it is empty."""

    area: int
    x_min: int
    y_min: int
    x_max: int
    y_max: int

    @property
    def box(self) -> np.ndarray:
        """Bounding box, ``float64 (4,)``: x min, y min, x max, y max."""
        return np.array([self.x_min, self.y_min, self.x_max, self.y_max], np.float64)


def mask_bounds(masks: Tensor) -> list[MaskBounds]:
    """Bounds of masks ``bool (B, H, W)``, with a single transfer to the host."""
    rows, columns = masks.any(dim=2), masks.any(dim=1)
    height, width = masks.shape[1:]
    found = torch.stack(
        [
            rows.int().argmax(dim=1),
            columns.int().argmax(dim=1),
            height - 1 - rows.flip(1).int().argmax(dim=1),
            width - 1 - columns.flip(1).int().argmax(dim=1),
            masks.sum(dim=(1, 2)),
        ],
        dim=1,
    )
    return [
        MaskBounds(area, x_min, y_min, x_max, y_max) if area else MaskBounds(0, 0, 0, 0, 0)
        for y_min, x_min, y_max, x_max, area in found.tolist()
    ]


class Passes:
    """The passes for the objects of one image.

    Args:
        network: network that decodes.
        image: the encoded image.
        image_size: height, width of the image.
        options: number of passes, and when to stop.
        deadline: a refining pass is skipped if it would end later, judging by the previous pass.

    Attributes:
        refining_from: time on the deadline's clock at which the mandatory passes were done; None
            if there was nothing to refine, or without a deadline.
        shortened: whether refining stopped because of the deadline.
    """

    def __init__(
        self,
        network: Network,
        image: ImageEmbedding,
        image_size: tuple[int, int],
        options: SamOptions,
        deadline: Deadline | None = None,
    ) -> None:
        self._deadline = deadline
        self.refining_from: float | None = None
        self.shortened = False
        self._network = network
        self._image = image
        self._size = image_size
        self._options = options
        height, width = input_size(image_size, network.input_side)
        self._scale: np.ndarray = np.array([width / image_size[1], height / image_size[0]])

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Predict the masks of tracked objects; a prompt without points and box has no mask."""
        queries = [self._query(prompt) for prompt in prompts]
        active = [each for each in queries if len(each.points) or each.box is not None]
        self._pass((e for e in active if e.positives_first), positives_only=True)
        begin = self._now()
        self._pass(active)
        for _ in range(self._options.refinement_iterations):
            self._measure(active)
            active = [each for each in active if self._box_last_mask(each)]
            if not active or not self._time_for_another(begin):
                break
            before = [each.logits for each in active]
            begin = self._now()
            self._pass(active)
            active = self._unsettled(active, before)
        self._measure(each for each in queries if each.low is not None)
        return [self._prediction(each) for each in queries]

    def _now(self) -> float:
        """Time on the clock of the deadline; 0 without a deadline."""
        return 0.0 if self._deadline is None else self._deadline.clock()

    def _time_for_another(self, begin: float) -> bool:
        """Whether another pass would finish in time; the last one started at ``begin``."""
        if self._deadline is None:
            return True
        now = self._now()
        if self.refining_from is None:
            self.refining_from = now
        self.shortened = not self._deadline.allows(now - begin)
        return not self.shortened

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Predict the masks of new objects; for a single click, the best of three candidates."""
        queries = [self._query(prompt) for prompt in prompts]
        active = [each for each in queries if len(each.points) or each.box is not None]
        self._pass((e for e in active if _ambiguous(e)), candidates=True)
        self._pass(e for e in active if not _ambiguous(e))
        self._measure(active)
        return [self._prediction(each, threshold=0.0) for each in queries]

    def hypotheses(self, prompt: Prompt) -> list[MaskPrediction]:
        """Predict what a new object's prompt may mean: three candidates for a single click."""
        asked = self._query(prompt)
        if not _ambiguous(asked):
            return self.propose([prompt])
        batch = self._batch([(asked, asked.points, asked.labels)])
        low, ious = self._network.decode(self._image, batch, True)
        queries = [self._query(prompt) for _ in ious[0]]
        for number, (each, iou) in enumerate(zip(queries, ious[0].tolist(), strict=True)):
            each.low, each.iou = low[0, number : number + 1], iou
        self._measure(queries)
        return [self._prediction(each, threshold=0.0) for each in queries]

    def _query(self, prompt: Prompt) -> _Query:
        """The state of an object before its first pass."""
        points = (prompt.points.astype(np.float64) * self._scale).astype(np.float32)
        box = None if prompt.box is None else self._scaled_box(prompt.box)
        return _Query(points, prompt.labels, prompt.positives_first, box)

    def _scaled_box(self, box: np.ndarray) -> np.ndarray:
        """A box ``(4,)`` in image pixels as ``float32 (4,)`` in pixels of the network's input."""
        corners = box.astype(np.float64).reshape(2, 2) * self._scale
        return corners.reshape(4).astype(np.float32)

    def _box_last_mask(self, query: _Query) -> bool:
        """Set the box of the next pass to the last mask's; false if the mask is too small."""
        if query.bounds is None or query.bounds.area < _SMALLEST:
            return False
        query.box = self._scaled_box(query.bounds.box)
        return True

    def _pass(
        self, objects: Iterable[_Query], positives_only: bool = False, candidates: bool = False
    ) -> None:
        """Decode once for every object, and store the results."""
        forms: dict[tuple[int, bool, bool], list[tuple[_Query, np.ndarray, np.ndarray]]] = {}
        for each in objects:
            chosen = each.labels == 1 if positives_only else slice(None)
            points, labels = each.points[chosen], each.labels[chosen]
            form = (len(points), each.box is None, each.low is None)
            forms.setdefault(form, []).append((each, points, labels))
        for group in forms.values():
            low, ious = self._network.decode(self._image, self._batch(group), candidates)
            if candidates:
                best = ious.argmax(dim=1, keepdim=True)
                ious = ious.gather(1, best)
                low = low[torch.arange(len(low), device=low.device)[:, None], best]
            for (each, _, _), its_low, iou in zip(group, low, ious[:, 0].tolist(), strict=True):
                each.low, each.iou, each.logits = its_low, iou, None

    def _batch(self, group: Sequence[tuple[_Query, np.ndarray, np.ndarray]]) -> PromptBatch:
        """The prompts of objects with the same form, on the device."""

        def sent(arrays: Iterable[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(list(arrays))).to(self._network.device)

        boxes = [each.box for each, _, _ in group if each.box is not None]
        lows = [each.low for each, _, _ in group if each.low is not None]
        return PromptBatch(
            sent(points for _, points, _ in group),
            sent(labels for _, _, labels in group),
            sent(boxes) if boxes else None,
            torch.stack(lows) if lows else None,
        )

    def _measure(self, objects: Iterable[_Query]) -> None:
        """Enlarge the last logits, and find the bounds of their masks."""
        objects = [each for each in objects if each.logits is None]
        if not objects:
            return
        low = torch.stack([each.low for each in objects if each.low is not None])
        logits = self._network.enlarge(low, self._size)[:, 0]
        for each, its_logits, bounds in zip(objects, logits, mask_bounds(logits > 0), strict=True):
            each.logits, each.bounds = its_logits, bounds

    def _unsettled(
        self, objects: Sequence[_Query], before: Sequence[Tensor | None]
    ) -> list[_Query]:
        """The objects whose masks still change by more than the tolerance."""
        if self._options.refinement_tolerance == 0:
            return list(objects)
        self._measure(objects)
        now = torch.stack([each.logits for each in objects if each.logits is not None]) > 0
        then = torch.stack([logits for logits in before if logits is not None]) > 0
        common, either = (now & then).sum(dim=(1, 2)), (now | then).sum(dim=(1, 2))
        changed = common < (1 - self._options.refinement_tolerance) * either
        return [each for each, yes in zip(objects, changed.tolist(), strict=True) if yes]

    def _prediction(self, query: _Query, threshold: float | None = None) -> MaskPrediction:
        """The last mask of an object; nothing if its predicted IoU is below the threshold."""
        limit = self._options.iou_threshold if threshold is None else threshold
        bounds = query.bounds
        rejected = np.float32(query.iou) < np.float32(limit)
        if query.logits is None or bounds is None or bounds.area == 0 or rejected:
            return MaskPrediction.nothing(self._size)
        cut = query.logits[bounds.y_min : bounds.y_max + 1, bounds.x_min : bounds.x_max + 1]
        return MaskPrediction(
            np.ascontiguousarray(cut.cpu().numpy()),
            (bounds.x_min, bounds.y_min),
            self._size,
            min(max(query.iou, 0.0), 1.0),
        )


def _ambiguous(query: _Query) -> bool:
    """Whether a prompt is a single point, which may mean an object or a part of it."""
    return len(query.points) == 1 and query.box is None
