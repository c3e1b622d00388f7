"""The masks of a frame: the segmenter is asked, or the last masks are moved along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import POSITIVE
from sam_pt_ros.pipeline.moved_masks import displacement
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.pipeline.prompting import shown
from sam_pt_ros.pipeline.schedule import SegmentationSchedule
from sam_pt_ros.pipeline.tracked_object import ObjectView
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Deadline, Prompt, Segmenter
from sam_pt_ros.weights.memory import free_memory, is_out_of_memory


class Segmentation:
    """Makes the masks of one stream, within the time budget.

    Args:
        segmenter: makes masks.
        options: of the pipeline.
        clock: gives seconds.
        recall: where points (their ids) were in a frame of the past (its index).
        note: takes what failed, in words, and the error; None: the attempt succeeded in the end.

    Attributes:
        segmenter: the same.
        schedule: which frames are segmented.
        shortened: whether the time budget kept masks of the newest frame from being refined.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        options: SamPtOptions,
        clock: Callable[[], float],
        recall: Callable[[np.ndarray, int], PointTracks],
        note: Callable[[str, Exception | None], None],
    ) -> None:
        self.segmenter = segmenter
        self._options = options
        self._clock = clock
        self._recall = recall
        self._note = note
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self.segmenter.reset()
        self.schedule = SegmentationSchedule(
            self._options.segment_every_n, self._options.frame_budget, self._clock
        )
        self.shortened = False

    def change(self, options: SamPtOptions) -> None:
        """Go on with other options."""
        self._options = options
        self.schedule.change(options.segment_every_n, options.frame_budget)

    def asks(self, prompt: Prompt) -> bool:
        """Whether the segmenter is asked; else the object is not seen."""
        return (
            not self._options.require_positive
            or prompt.mask is not None
            or bool((prompt.labels == POSITIVE).any())
        )

    def predict(
        self, frame: Frame, prompts: Sequence[Prompt], deadline: Deadline | None = None
    ) -> list[MaskPrediction | None]:
        """The segmenter's answers; None for objects that it is not asked for."""
        self.shortened = False
        asked = [prompt for prompt in prompts if self.asks(prompt)]
        if not asked:
            return [None for _ in prompts]
        begin = self._clock()
        self.segmenter.set_image(frame)
        if deadline is None:
            found = _checked(self.segmenter.predict(asked), asked, frame)
        else:
            prompted = self._clock()
            timed = self.segmenter.predict_until(asked, deadline)
            found, self.shortened = _checked(timed.masks, asked, frame), timed.shortened
            end = self._clock() if timed.needed is None else prompted + timed.needed
            self.schedule.spent(end - begin)
        answers = {
            prompt.object_id: prediction for prompt, prediction in zip(asked, found, strict=True)
        }
        return [answers.get(prompt.object_id) for prompt in prompts]

    def predict_each(
        self, frame: Frame, prompts: Sequence[Prompt], deadline: Deadline | None = None
    ) -> list[MaskPrediction | None]:
        """Like ``predict``, but None for an object that the segmenter fails on.

        If it fails on several objects together, or runs out of memory, it is asked once more for
        each object alone, with emptied caches if memory ran out.
        """
        try:
            return self.predict(frame, prompts, deadline)
        except Exception as error:
            failure = error.with_traceback(None)  # which would keep what the model has allocated
        if is_out_of_memory(failure):
            free_memory()
        elif len(prompts) == 1:
            self._note(f"object {prompts[0].object_id} cannot be segmented", failure)
            return [None]
        answers, shortened = [], False
        for prompt in prompts:
            answers.append(self._predict_one(frame, prompt, deadline))
            shortened = shortened or self.shortened
        self.shortened = shortened
        asked = [prompt.object_id for prompt in prompts if self.asks(prompt)]
        if len(asked) == sum(answer is not None for answer in answers):
            what = (
                f"{len(asked)} objects could not be segmented together and were segmented one by "
                "one"
                if len(asked) > 1
                else f"object {asked[0]} was segmented only at the second attempt"
            )
            self._note(f"{what}: {failure!r}", None)
        return answers

    def _predict_one(
        self, frame: Frame, prompt: Prompt, deadline: Deadline | None
    ) -> MaskPrediction | None:
        try:
            return self.predict(frame, [prompt], deadline)[0]
        except Exception as error:
            failure = error.with_traceback(None)
        if is_out_of_memory(failure):
            free_memory()
        self._note(f"object {prompt.object_id} cannot be segmented", failure)
        return None

    def propose(self, frame: Frame, prompt: Prompt) -> MaskPrediction:
        """The mask of a new object."""
        self.segmenter.set_image(frame)
        return _checked(self.segmenter.propose([prompt]), [prompt], frame)[0]

    def hypotheses(self, frame: Frame, prompt: Prompt) -> list[MaskPrediction]:
        """What a new object's prompt may mean, the likeliest first."""
        self.segmenter.set_image(frame)
        found = self.segmenter.hypotheses(prompt)
        return _checked(found, [prompt] * len(found), frame)

    def move(
        self, frame: Frame, views: Sequence[ObjectView], prompts: Sequence[Prompt]
    ) -> list[MaskPrediction | None]:
        """The last masks, moved; None for objects that the segmenter would not be asked for.

        None, too, where the tracker does not say how: the segmenter is asked in the next frame.
        """
        answers = []
        for view, prompt in zip(views, prompts, strict=True):
            moved = None
            if self.asks(prompt):
                try:
                    moved = self._move(view, frame)
                except Exception as error:
                    self._note(f"the mask of object {prompt.object_id} cannot be moved", error)
            answers.append(moved)
        return answers

    def _move(self, view: ObjectView, frame: Frame) -> MaskPrediction:
        """An object's last mask, moved as its positive points have since.

        As long as none of them is seen in both frames it stays where it was moved last.
        """
        anchor = view.item.anchor
        if anchor is None:
            return MaskPrediction.nothing(frame.size)
        points = view.item.points.until(anchor.index)
        known = (points.labels == POSITIVE) & np.isin(points.ids, view.tracks.ids)
        now = view.tracks.select(points.ids[known])
        then = self._recall(now.ids, anchor.index)
        both = shown(then, frame.size) & shown(now, frame.size)
        shift = displacement(then.xy[both], now.xy[both])
        return anchor.moved if shift is None else view.item.move_anchor(shift)


def _checked(
    found: Sequence[MaskPrediction], asked: Sequence[Prompt], frame: Frame
) -> list[MaskPrediction]:
    """The answers of a segmenter; ValueError if they are not what it was asked for."""
    if len(found) != len(asked):
        raise ValueError(f"the segmenter was asked for {len(asked)} masks, and gave {len(found)}")
    for each in found:
        if tuple(each.image_size) != frame.size:
            raise ValueError(
                f"the segmenter gave a mask for {each.image_size[1]}x{each.image_size[0]} pixels "
                f"in an image of {frame.width}x{frame.height}"
            )
        # The least number is NaN if any is: one pass, and no array for it.
        if np.isnan(each.logits.min(initial=0.0)) or not np.isfinite(each.score):
            raise ValueError("the segmenter gave a mask whose logits or score are no numbers")
    return list(found)
