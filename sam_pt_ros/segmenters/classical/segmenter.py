"""The classical segmenter. It keeps one state per object and works in a crop around each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.segmenters.base import Prompt, Segmenter
from sam_pt_ros.segmenters.classical.options import ClassicalOptions
from sam_pt_ros.segmenters.classical.seeding import Seed, seed
from sam_pt_ros.segmenters.classical.state import Memory, State
from sam_pt_ros.segmenters.classical.tracking import start, track

_LOGIT = 4.0  # logit of a certain pixel


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
            found = seed(
                frame, prompt, self.options.object_size, self._earlier_answer(prompt, frame)
            )
            if found is None:
                return MaskPrediction.nothing(frame.size)
            state = start(found, frame, prompt)
        else:
            rivals = [
                other
                for object_id, other in earlier.items()
                if object_id != prompt.object_id and other is not None and not other.hidden
            ]
            state = track(before, frame, prompt, rivals, self.options)
        self._memories[prompt.object_id] = Memory(before, state)
        return _prediction(state, frame)

    def _earlier_answer(self, prompt: Prompt, frame: Frame) -> Seed | None:
        """The result of an earlier prompt for the object's first frame, if this is that frame."""
        memory = self._memories.get(prompt.object_id)
        if memory is None or memory.before is not None or memory.now.index != frame.index:
            return None
        return Seed(memory.now.window, memory.now.probability, memory.now.appearance)


def _prediction(state: State, frame: Frame) -> MaskPrediction:
    """The mask at image resolution."""
    if state.hidden:
        return MaskPrediction.nothing(frame.size)
    logits, origin = state.window.enlarge(_LOGIT * (2 * state.probability - 1), frame.size)
    inside = state.probability > 0.5
    certainty = float(np.abs(2 * state.probability[inside] - 1).mean()) if inside.any() else 0.0
    completeness = min(state.area / state.usual_area, 1.0)
    return MaskPrediction(
        np.maximum(logits, -_LOGIT), origin, frame.size, certainty * np.sqrt(completeness)
    )
