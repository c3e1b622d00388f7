"""The state of one object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.classical.colour import Appearance
from sam_pt_ros.segmenters.classical.common_fate import CommonFate
from sam_pt_ros.segmenters.classical.evidence import CERTAIN, Evidence
from sam_pt_ros.segmenters.classical.views import View
from sam_pt_ros.segmenters.classical.window import Window

MAX_DOUBTS = 2
"""Frames in a row with signs that an object is hidden after which it counts as hidden."""


@dataclass(frozen=True, eq=False)
class State:
    """The state of an object after one frame; immutable, so that a frame can be repeated.

    Attributes:
        frame: frame in which the object was last seen.
        window: window of the object in that frame.
        probability: ``float32 (h, w)``, probability of the object in the window.
        box: edges of the object: x min, y min, x max, y max, image pixels.
        area: area of the object, image pixels.
        usual_area: slow running average of the area, image pixels.
        velocity: ``float64 (2,)``, image pixels per frame.
        appearance: colour model.
        points: ``float32 (N, 2)``, positive points given with that frame, image pixels.
        obeyed: number of the newest gesture that its mask knows of.
        index: index of the newest frame in which the object was searched.
        hidden: frames since ``frame`` in which it was not seen.
        doubts: consecutive frames with signs that it is hidden.
        unsure: consecutive frames in which the evidence spoke against the mask.
        recovering: whether it was found again but not yet seen as a whole.
        views: remembered views, the first one and the latest ones.
        evidence: what speaks for the mask.
        first_certainty: probability that the first mask was right, 0 to 1.
        rigid: whether the previous view was found again when the last one was remembered.
        fate: how the surroundings of its first click have moved since; None once that is decided.
        revised: index of the frame in which it was decided anew what its first click means; -1
            before.
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
    obeyed: int
    evidence: Evidence
    first_certainty: float
    index: int
    hidden: int = 0
    doubts: int = 0
    unsure: int = 0
    recovering: bool = False
    views: tuple[View, ...] = ()
    rigid: bool = False
    fate: CommonFate | None = None
    revised: int = -1

    def anew(
        self,
        frame: Frame,
        window: Window,
        probability: np.ndarray,
        appearance: Appearance,
        first_certainty: float,
    ) -> State:
        """The state with another mask in a frame; what was learned from earlier ones is dropped.

        Args:
            frame: the frame, in which the object is seen.
            window: window of the mask.
            probability: ``float32 (h, w)`` in it, above 0.5 somewhere.
            appearance: colour model.
            first_certainty: probability that the mask is right, 0 to 1.

        Raises:
            ValueError: the mask is empty.
        """
        box, area = window.extent(probability)
        if box is None:
            raise ValueError("a state needs a mask that is not empty")
        extent = float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
        return replace(
            self,
            frame=frame,
            window=window,
            probability=probability,
            box=box,
            area=area,
            usual_area=area,
            appearance=appearance,
            views=(View.of(frame, window, probability, extent),),
            evidence=CERTAIN.at(frame.index),
            first_certainty=first_certainty,
            rigid=False,
            recovering=False,
            doubts=0,
            unsure=0,
        )

    @property
    def doubted(self) -> bool:
        """Whether its mask is followed, but not believed to show the object any more."""
        return self.unsure > MAX_DOUBTS

    @property
    def size(self) -> float:
        """Size of the whole object: geometric mean of the sides of its box, image pixels.

        If the object is partly hidden, the box is enlarged to the usual area.
        """
        x0, y0, x1, y1 = self.box
        hidden_part = min(max(self.usual_area / max(self.area, 1.0), 1.0), 6.0)
        return float(np.sqrt((x1 - x0) * (y1 - y0) * hidden_part))


@dataclass(frozen=True, eq=False)
class Memory:
    """An object before and after the newest frame, so that the frame can be repeated."""

    before: State | None
    now: State
