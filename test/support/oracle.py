"""Stand-ins that know the truth: a segmenter that gives what was clicked on, and a tracker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.evaluation.interactive.annotator import FrameTruth
from sam_pt_ros.evaluation.interactive.prompted import Footage, PromptedObject
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.options import NoOptions
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.segmenters.base import Prompt, Segmenter
from sam_pt_ros.trackers.base import PointTracker


class TileOracle(Segmenter):
    """Gives the truth in the tiles that hold a positive point, and what spills over there.

    A negative point in a tile takes away what spills over in it. One that has a ``memory`` insists
    on what segmenters with a memory are promised: no frame twice, and none out of order.

    Args:
        truths: ``bool (H, W)`` per frame.
        spills: likewise; what is not of the object, and is given with it.
        tile: side of a tile, pixels.
        patience: with more points than that it gives nothing.
    """

    def __init__(
        self,
        truths: Sequence[np.ndarray],
        spills: Sequence[np.ndarray],
        tile: int,
        *,
        memory: bool = False,
        patience: int = 10**6,
    ) -> None:
        super().__init__(NoOptions())
        self.has_memory = memory  # type: ignore[misc]
        self.truths = truths
        self.spills = spills
        self.tile = tile
        self.patience = patience
        self.asked: list[int] = []
        self.reset()

    def reset(self) -> None:
        self._frame: Frame | None = None
        self._newest = -1

    def set_image(self, frame: Frame) -> None:
        if self.has_memory:
            assert frame.index > self._newest, "a frame was shown twice, or out of order"
        self._newest = frame.index
        self._frame = frame

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        assert self._frame is not None, "predict before set_image"
        self.asked.append(self._frame.index)
        return [self._predict(prompt, self._frame) for prompt in prompts]

    def _predict(self, prompt: Prompt, frame: Frame) -> MaskPrediction:
        mask = np.zeros(frame.size, np.bool_)
        if len(prompt.points) <= self.patience:
            truth, spill = self.truths[frame.index], self.spills[frame.index]
            for label in (1, 0):
                for x, y in np.rint(prompt.points[prompt.labels == label]).astype(int).tolist():
                    row, column = y - y % self.tile, x - x % self.tile
                    part = np.s_[row : row + self.tile, column : column + self.tile]
                    if label == 1:
                        mask[part] |= truth[part] | spill[part]
                    else:
                        mask[part] &= ~spill[part]
        return MaskPrediction(np.where(mask, 1, -1).astype(np.float32), (0, 0), frame.size, 1.0)


class SteadyTracker(PointTracker):
    """Every point moves by the same ``step`` (x, y pixels) from frame to frame, and is seen."""

    def __init__(self, step: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__(NoOptions())
        self.pace = np.array(step, np.float32)
        self.reset()

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._points: dict[int, tuple[int, np.ndarray]] = {}
        self._next_id = 0
        self.stepped: list[int] = []

    @property
    def tracked(self) -> list[int]:
        """Ids of the points that are tracked now."""
        return sorted(self._points)

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        points = check_query_points(xy, frame)
        assert self.history.at(frame.index) is frame
        ids = np.arange(self._next_id, self._next_id + len(points))
        self._next_id += len(points)
        self._points.update((i, (frame.index, place)) for i, place in zip(ids.tolist(), points))
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        for point in ids.tolist():
            self._points.pop(point, None)

    def step(self, frame: Frame) -> PointTracks:
        self.stepped.append(frame.index)
        return self.recall(np.array(self.tracked, np.int64), frame.index)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        places = np.zeros((len(ids), 2), np.float32)
        for row, point in enumerate(ids.tolist()):
            start, place = self._points[point]
            if start > index:
                raise KeyError(f"point {point} is not tracked yet at frame {index}")
            places[row] = place + (index - start) * self.pace
        seen = np.ones(len(ids), np.bool_)
        return PointTracks(index, ids, places, seen, seen)


@dataclass(frozen=True, eq=False)
class Film:
    """A video of which the oracle knows the truth; what is in its images does not matter.

    Attributes:
        truths: ``bool (H, W)`` per frame, the object.
        spills: likewise, what the segmenter gives with it.
        tile: side of the segmenter's tiles, pixels.
        step: by which points move from frame to frame, x and y pixels.
    """

    truths: tuple[np.ndarray, ...]
    spills: tuple[np.ndarray, ...]
    tile: int
    step: tuple[float, float] = (0.0, 0.0)

    @property
    def annotated(self) -> dict[int, FrameTruth]:
        return {i: FrameTruth(mask, np.zeros_like(mask)) for i, mask in enumerate(self.truths)}

    def oracle(self, *, memory: bool = False, patience: int = 10**6) -> TileOracle:
        return TileOracle(self.truths, self.spills, self.tile, memory=memory, patience=patience)

    def footage(self) -> Footage:
        images = [np.zeros((*mask.shape, 3), np.uint8) for mask in self.truths]
        return Footage(images, SteadyTracker(self.step))

    def prompted(
        self, *, tracked: bool, memory: bool = False, patience: int = 10**6
    ) -> PromptedObject:
        oracle = self.oracle(memory=memory, patience=patience)
        return PromptedObject(self.footage(), oracle, tracked=tracked)


def blocks(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """``bool (H, W)`` with boxes of x min, y min, x max, y max, inclusive."""
    mask = np.zeros(size, np.bool_)
    for left, top, right, bottom in boxes:
        mask[top : bottom + 1, left : right + 1] = True
    return mask


BIG, SMALL, SPILL = (3, 1, 7, 5), (9, 3, 11, 5), (0, 5, 2, 7)
"""25 pixels of the object in the left tile, 9 in the right one, 9 that spill over on the left."""

SIZE = (8, 16)


def small_film() -> Film:
    """Two equal frames of 16 x 8 pixels, two tiles each."""
    truth, spill = blocks(SIZE, BIG, SMALL), blocks(SIZE, SPILL)
    return Film((truth, truth), (spill, spill), tile=8)
