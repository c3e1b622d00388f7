"""The classical segmenter. It keeps one state per object and works in a crop around each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction, distinct
from sam_pt_ros.segmenters.base import SAMPLED, Prompt, Segmenter
from sam_pt_ros.segmenters.classical.corrections import new_gestures, obey, with_clicks
from sam_pt_ros.segmenters.classical.options import ClassicalOptions
from sam_pt_ros.segmenters.classical.revision import revise
from sam_pt_ros.segmenters.classical.seeding import hypotheses, seed
from sam_pt_ros.segmenters.classical.state import Memory, State
from sam_pt_ros.segmenters.classical.tracking import start, track

_LOGIT = 4.0  # logit of a certain pixel
_DECISIVE = 4.0  # by which the ratings of hypotheses tell them apart


class ClassicalSegmenter(Segmenter):
    """Propagates each object's mask and corrects it by colours, motion and points."""

    Options = ClassicalOptions
    has_memory = True

    def __init__(self, options: ClassicalOptions) -> None:
        super().__init__(options)
        self._memories: dict[int, Memory] = {}
        self._frame: Frame | None = None

    def set_image(self, frame: Frame) -> None:
        self._frame = frame

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        for prompt in prompts:
            self.forget(prompt.object_id)
        return self.predict(prompts)

    def hypotheses(self, prompt: Prompt) -> list[MaskPrediction]:
        frame = self._frame
        if frame is None:
            raise UserError("call set_image before hypotheses")
        found = hypotheses(frame, prompt, self.options.object_size)
        votes = np.exp([_DECISIVE * each.rating for each in found])
        made = []
        for each, vote in zip(found, votes.tolist(), strict=True):
            logits, origin = each.window.enlarge(2 * each.probability - 1, frame.size)
            score = vote / float(votes.sum())
            made.append(MaskPrediction(_LOGIT * logits, origin, frame.size, score))
        return distinct(made)

    def memory(self, object_id: int) -> Memory | None:
        return self._memories.get(object_id)

    def restore(self, object_id: int, memory: Memory | None) -> None:
        self.forget(object_id)
        if memory is not None:
            self._memories[object_id] = memory

    def forget(self, object_id: int) -> None:
        self._memories.pop(object_id, None)

    def reset(self) -> None:
        self._memories.clear()
        self._frame = None

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        frame = self._frame
        if frame is None:
            raise UserError("call set_image before predict")
        earlier = {
            object_id: memory.before if memory.now.index == frame.index else memory.now
            for object_id, memory in self._memories.items()
        }
        return [self._predict_one(prompt, frame, earlier) for prompt in prompts]

    def _predict_one(
        self, prompt: Prompt, frame: Frame, earlier: dict[int, State | None]
    ) -> MaskPrediction:
        """Predict one object's mask; ``earlier`` holds all objects' states before this frame."""
        before = earlier.get(prompt.object_id)
        if before is None or prompt.mask is not None:
            state = self._started(prompt, frame)
        else:
            rivals = [
                other
                for object_id, other in earlier.items()
                if object_id != prompt.object_id
                and other is not None
                and not (other.hidden or other.doubted)
            ]
            known = prompt.where(prompt.gestures <= before.obeyed)
            state = track(before, frame, known, rivals, self.options)
            state = revise(state, frame, rivals, self.options)
        if state is None:
            return MaskPrediction.nothing(frame.size)
        for gesture in new_gestures(state, prompt):
            state = self._obeying(state, frame, prompt, gesture)
        self._memories[prompt.object_id] = Memory(before, state)
        return _prediction(state, frame, prompt)

    def _started(self, prompt: Prompt, frame: Frame) -> State | None:
        """The state in the object's first frame, from its first gesture; None: nothing is found.

        An object that has started in this frame is not started again by the points that were
        sampled from its mask, but by the loss of a gesture, which was undone.
        """
        newest = int(prompt.gestures.max(initial=SAMPLED))
        memory = self._memories.get(prompt.object_id)
        if (
            memory is not None
            and memory.before is None
            and memory.now.index == frame.index
            and memory.now.obeyed <= newest
            and prompt.mask is None
        ):
            return memory.now
        positives = prompt.gestures[(prompt.gestures != SAMPLED) & (prompt.labels == 1)]
        first = int(positives.min(initial=newest))
        return self._seeded(prompt.where(prompt.gestures <= first), frame, first)

    def _seeded(self, prompt: Prompt, frame: Frame, gesture: int) -> State | None:
        """The state of an object that starts from a prompt, which ends with this gesture."""
        size = self.options.object_size
        first = _first_of_two(prompt)
        found = seed(frame, first, size)
        if found is None:
            return None
        if first is prompt:
            return start(found, frame, prompt, gesture)
        together = replace(prompt, gestures=np.full(len(prompt.points), gesture))
        return obey(start(found, frame, first, gesture - 1), frame, together, gesture, size)

    def _obeying(self, state: State, frame: Frame, prompt: Prompt, gesture: int) -> State:
        """The state after one more gesture."""
        if not state.hidden:
            return obey(state, frame, prompt, gesture, self.options.object_size)
        # The object is not where it was expected. A click on it says where it is.
        found = self._seeded(prompt.where(prompt.gestures == gesture), frame, gesture)
        if found is None:
            return replace(state, obeyed=gesture)
        appearance = state.appearance.corrected(found.appearance.first)
        return replace(found, appearance=appearance)


def _first_of_two(prompt: Prompt) -> Prompt:
    """The prompt with only the first of its positive points, if it has two and nothing else.

    Two points span too little of an object to tell its extent. People click its middle first, and
    the second point, obeyed as a correction of that, says more.
    """
    positives = np.flatnonzero(prompt.labels == 1)
    if prompt.box is not None or prompt.mask is not None or len(positives) != 2:
        return prompt
    return prompt.where(np.arange(len(prompt.points)) == positives[0])


def _prediction(state: State, frame: Frame, prompt: Prompt) -> MaskPrediction:
    """The mask at image resolution, with every click on its side."""
    if state.hidden or state.doubted:
        return MaskPrediction.nothing(frame.size)
    logits, origin = state.window.enlarge(_LOGIT * (2 * state.probability - 1), frame.size)
    score = state.evidence.probability * state.first_certainty
    revised = state.revised == frame.index
    prediction = MaskPrediction(np.maximum(logits, -_LOGIT), origin, frame.size, score, revised)
    return with_clicks(prediction, prompt)
