"""Whether a mask still shows the object: evidence that does not come from the mask itself."""

from __future__ import annotations

import math

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.classical.colour import chroma_histogram
from sam_pt_ros.segmenters.classical.evidence import Evidence
from sam_pt_ros.segmenters.classical.state import State
from sam_pt_ros.segmenters.classical.views import matching_keypoints

_ENOUGH = (8, 40)  # keypoints of the first view: a share of at least so many, at most so many
_NO_CONTRAST = 2.0  # standard deviation of grey levels in which nothing can be seen
_PERIOD = 8  # frames; looking for keypoints takes a quarter of a frame's time
_WORTH_LOOKING = 0.7  # probability below which keypoints are looked for at once


def examine(
    state: State, frame: Frame, lab: np.ndarray, known: Evidence, usual_area: float
) -> Evidence:
    """The evidence for an object's mask in a frame.

    Args:
        state: of the object, as it was segmented in the frame.
        frame: the frame.
        lab: ``uint8 (h, w, 3)``, its crop in the state's window, from :func:`.to_lab`.
        known: the evidence in the previous frame. Keypoints are looked for now and then.
        usual_area: of the object, image pixels.
    """
    first = state.views[0]
    if float(lab[..., 0].std()) < _NO_CONTRAST < float(first.rgb.std()):
        return Evidence(0.0, 0.0, 0.0, known.index)  # a black image
    seen = chroma_histogram(lab, state.probability)
    chroma = float(np.sqrt(seen * first.chroma).sum())
    shrunk = max(math.log(usual_area / max(state.area, 1.0)), 0.0)
    evidence = Evidence(known.keypoints, chroma, shrunk, known.index)
    if (
        frame.index - known.index < _PERIOD
        and min(evidence.probability, known.probability) > _WORTH_LOOKING
    ):
        return evidence
    least, most = _ENOUGH
    wanted = max(min(len(first.keypoints[0]), most), least)
    found = matching_keypoints(first, frame, state.box, state.size)
    return Evidence(min(found / wanted, 1.0), chroma, shrunk, frame.index)
