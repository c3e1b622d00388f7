"""What is seen of objects in one frame: prompts from points, masks from prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import CroppedMask, MaskPrediction, resolve_overlaps
from sam_pt_ros.objects import ObjectResult, ObjectState
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.prompting import build_prompt, visible_positives
from sam_pt_ros.pipeline.reinitialization import MINIMUM_AREA
from sam_pt_ros.pipeline.segmentation import Segmentation
from sam_pt_ros.pipeline.stages import Stages
from sam_pt_ros.pipeline.tracked_object import ObjectView, TrackedObject
from sam_pt_ros.segmenters.base import Prompt

Predict = Callable[[Frame, Sequence[Prompt]], list[MaskPrediction | None]]
"""Answers one prediction per prompt, None where it failed."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What was seen in one frame.

    Attributes:
        label_image: ``uint16 (H, W)``: object ids, 0 where there is no object.
        objects: in the order of their views.
    """

    label_image: np.ndarray
    objects: tuple[ObjectResult, ...]


class Observer:
    """Finds the masks of objects in frames.

    Args:
        segmentation: answers for masks.
        options: of the pipeline.
        horizon: number of frames after which points are resampled; None: never.
        stages: measures the stage ``segmenter``.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        options: SamPtOptions,
        horizon: int | None,
        stages: Stages,
    ) -> None:
        self.segmentation = segmentation
        self._options = options
        self._horizon = horizon
        self._stages = stages

    def change(self, options: SamPtOptions) -> None:
        """Go on with other values of the options that may change at run time."""
        self._options = options
        self.segmentation.change(options)

    def prompts(
        self, views: Sequence[ObjectView], frame: Frame, positives: Mapping[int, np.ndarray]
    ) -> list[Prompt]:
        """What the segmenter may be asked, one prompt per view.

        Args:
            views: the objects' points in the frame.
            frame: the frame.
            positives: the visible positive points of all objects in this frame, by id,
                ``float32 (N, 2)`` pixels.
        """
        options = self._options
        others = positives if options.others_as_negatives else {}
        return [
            build_prompt(view, frame, others, options.max_others_negatives, options.seed)
            for view in views
        ]

    def must_segment(
        self, views: Sequence[ObjectView], prompts: Sequence[Prompt], index: int
    ) -> bool:
        """Whether moving masks along will not do in a frame.

        A mask must be segmented where there is none to move, where it does not know of a click,
        and where points may be resampled: errors of moved masks would add up.
        """
        return any(
            self.segmentation.asks(prompt) and self._needs_mask(view.item, index)
            for view, prompt in zip(views, prompts, strict=True)
        )

    def _needs_mask(self, item: TrackedObject, index: int) -> bool:
        window = item.window
        if item.anchor is None or item.anchor.index < window.informed <= index:
            return True
        return self._horizon is not None and index - window.start >= self._horizon - 1

    def observe(
        self,
        frame: Frame,
        views: Sequence[ObjectView],
        prompts: Sequence[Prompt],
        predict: Predict | None,
    ) -> Observation:
        """Find the masks of objects in one frame; the objects remember what was seen.

        Args:
            frame: the frame.
            views: the objects' points in it.
            prompts: one per view.
            predict: the segmenter; None: masks are moved along.
        """
        nothing = MaskPrediction.nothing(frame.size)
        with self._stages.measure("segmenter"):
            answers = (
                self.segmentation.move(frame, views, prompts)
                if predict is None
                else predict(frame, prompts)
            )
        predictions = [
            nothing if answer is None else _unless_lost(view.item, answer)
            for view, answer in zip(views, answers, strict=True)
        ]
        ids = [view.item.object_id for view in views]
        label_image, masks = resolve_overlaps(predictions, ids, frame.size)
        for view, answer, prediction, mask in zip(views, answers, predictions, masks, strict=True):
            view.item.observe(
                frame.index,
                mask,
                None if answer is None else prediction,
                moved=predict is None,
                remember=self._horizon is not None,
            )
            if prediction.revised:
                view.item.inform(frame.index)
        objects = [
            self._result(view, prediction, mask, frame.index)
            for view, prediction, mask in zip(views, predictions, masks, strict=True)
        ]
        return Observation(label_image, tuple(objects))

    def _result(
        self, view: ObjectView, prediction: MaskPrediction, mask: CroppedMask, index: int
    ) -> ObjectResult:
        item = view.item
        unseen = index - item.last_seen
        return ObjectResult(
            item.object_id,
            item.label,
            _state(mask, item.lost or unseen > self._options.lost_after),
            float(prediction.score) if mask.area else 0.0,
            mask,
            view.tracks,
            view.labels,
            age=index - item.start,
            frames_since_seen=unseen,
            revised=prediction.revised,
        )


def positives_by_object(views: Sequence[ObjectView], frame: Frame) -> dict[int, np.ndarray]:
    """The visible positive points of objects, ``float32 (N, 2)`` pixels, by id."""
    return {
        view.item.object_id: visible_positives(view.tracks, view.labels, frame.size)
        for view in views
    }


def _state(mask: CroppedMask, lost: bool) -> ObjectState:
    if mask.area:
        return ObjectState.TRACKING
    return ObjectState.LOST if lost else ObjectState.OCCLUDED


def _unless_lost(item: TrackedObject, prediction: MaskPrediction) -> MaskPrediction:
    """A lost object is seen again only with a mask that can be sampled from."""
    if item.lost and np.count_nonzero(prediction.logits > 0) <= MINIMUM_AREA:
        return MaskPrediction.nothing(prediction.image_size)
    return prediction
