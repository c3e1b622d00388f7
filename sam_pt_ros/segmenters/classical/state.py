"""What is remembered of one object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.classical.colour import Appearance
from sam_pt_ros.segmenters.classical.views import View
from sam_pt_ros.segmenters.classical.window import Window


@dataclass(frozen=True, eq=False)
class State:
    """An object after one frame; never changed, so that a frame can be done again.

    Attributes:
        frame: where it was seen last.
        window: the crop of that frame.
        probability: ``float32 (h, w)`` of the object in the crop.
        box: of the object, edges x min, y min, x max, y max in image pixels.
        area: of the object, image pixels.
        usual_area: slowly following the area, image pixels.
        velocity: image pixels per frame.
        appearance: colours.
        points: ``float32 (N, 2)``, positives that were given with that frame, image pixels.
        negatives: likewise, those not on it.
        most_points: positives and negatives that were ever given at once.
        index: of the newest frame it was looked for in.
        hidden: frames since ``frame`` in which it was not seen.
        doubts: frames in a row in which there was reason to think it hidden.
        recovering: since it was found again it was not yet seen as a whole.
        views: remembered views, the first one and the latest ones.
        rigid: whether the last view could be found again by the one before.
    """

    frame: Frame
    window: Window
    probability: np.ndarray
    box: tuple[float, float, float, float]
    area: float
    usual_area: float
    velocity: np.ndarray
    appearance: Appearance
    points: np.ndarray
    negatives: np.ndarray
    most_points: tuple[int, int]
    index: int
    hidden: int = 0
    doubts: int = 0
    recovering: bool = False
    views: tuple[View, ...] = ()
    rigid: bool = False

    @property
    def size(self) -> float:
        """Of the whole object: geometric mean of its box's sides, image pixels.

        A box that is smaller only because a part is hidden counts as the whole.
        """
        x0, y0, x1, y1 = self.box
        hidden_part = min(max(self.usual_area / max(self.area, 1.0), 1.0), 6.0)
        return float(np.sqrt((x1 - x0) * (y1 - y0) * hidden_part))


@dataclass(frozen=True, eq=False)
class Memory:
    """An object before and after the newest frame, so that the frame can be done again."""

    before: State | None
    now: State
