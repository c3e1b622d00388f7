"""Corrections: what a person clicked is on its side of the mask, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.segmenters.base import SAMPLED, Prompt
from sam_pt_ros.segmenters.classical.click_region import CORE, click_region
from sam_pt_ros.segmenters.classical.colour import Appearance, Bins, Histograms, to_lab
from sam_pt_ros.segmenters.classical.regions import centre
from sam_pt_ros.segmenters.classical.state import State
from sam_pt_ros.segmenters.classical.window import Window

_STILL_WRONG = 0.7  # factor on the probability that the first mask is wrong, per correction
_DOT = 2  # radius around a click that is on its side, image pixels
_DOT_LOGIT = 8.0  # more than any pixel of another object


def new_gestures(state: State, prompt: Prompt) -> list[int]:
    """The gestures of a prompt that the state does not know yet, in order."""
    return sorted({int(g) for g in prompt.gestures if g > state.obeyed})


def obey(state: State, frame: Frame, prompt: Prompt, gesture: int, object_size: int) -> State:
    """The state after a gesture in a frame in which the object is seen.

    Each point of the gesture that is on the wrong side of the mask takes the region around it
    to the other side. What other clicks hold stays. The colours and the views that were learned
    from the wrong mask are replaced.

    Args:
        state: of the object in the frame.
        frame: the frame.
        prompt: the object's prompt in it.
        gesture: number of the gesture.
        object_size: size to which the object is scaled, working pixels.
    """
    known = (prompt.gestures != SAMPLED) & (prompt.gestures <= gesture)
    given = prompt.points[prompt.gestures == gesture]
    window, size = _window(state, given, object_size, frame.size)
    lab = to_lab(window.crop(frame))
    probability = window.resample(state.probability, state.window)
    clicks = _Clicks(window, prompt.points[known], prompt.labels[known])
    before = probability > 0.5
    for place, label in _Clicks(window, given, prompt.labels[prompt.gestures == gesture]).places:
        probability = _corrected(probability, place, label, clicks, lab)
    state = replace(state, obeyed=gesture, fate=None)
    unchanged = np.array_equal(before, probability > 0.5)
    if (unchanged and not state.doubted) or not (probability > 0.5).any():
        return state
    seen = Histograms.of(Bins.of(lab, centre(probability), size), probability)
    began = state.views[0].index == frame.index
    return state.anew(
        frame,
        window,
        probability,
        Appearance(seen, seen) if began else state.appearance.corrected(seen),
        1 - (1 - state.first_certainty) * _STILL_WRONG,
    )


class _Clicks:
    """All clicks that must be obeyed, in working pixels."""

    def __init__(self, window: Window, points: np.ndarray, labels: np.ndarray) -> None:
        self.shape = window.shape
        height, width = window.shape
        working = np.rint(window.to_working(points)).astype(np.int64)
        rows = working[:, 1].clip(0, height - 1).tolist()
        columns = working[:, 0].clip(0, width - 1).tolist()
        self.places = list(
            zip(zip(rows, columns, strict=True), map(bool, labels.tolist()), strict=True)
        )

    def holding(self, label: bool) -> np.ndarray:
        """Pixels with a click of this label, ``bool (h, w)``."""
        held = np.zeros(self.shape, np.bool_)
        for place, own in self.places:
            if own == label:
                held[place] = True
        return held


def _corrected(
    probability: np.ndarray, place: tuple[int, int], label: bool, clicks: _Clicks, lab: np.ndarray
) -> np.ndarray:
    """The probability after one click, ``float32 (h, w)``."""
    mask = probability > 0.5
    if mask[place] == label:
        return probability
    domain = ~mask if label else mask
    region = click_region(
        place,
        domain,
        clicks.holding(not label),
        lab,
        max(float(np.sqrt(np.count_nonzero(mask))), CORE),
    )
    return np.where(region, np.float32(label), probability)


def _window(
    state: State, points: np.ndarray, object_size: int, image_size: tuple[int, int]
) -> tuple[Window, float]:
    """A window around the object and its clicks; the object's size in it, working pixels.

    It stays if the clicks are in it: resampling would shift the outline elsewhere.
    """
    window = state.window
    inner = window.to_working(points)
    if (inner >= 0).all() and (inner <= (window.width - 1, window.height - 1)).all():
        return window, state.size * window.scale
    x0, y0 = np.minimum(state.box[:2], points.min(axis=0) - 0.5).tolist()
    x1, y1 = np.maximum(state.box[2:], points.max(axis=0) + 0.5).tolist()
    return Window.of_object((x0, y0, x1, y1), object_size, image_size)


def with_clicks(prediction: MaskPrediction, prompt: Prompt) -> MaskPrediction:
    """The prediction with every clicked pixel on its side.

    A working pixel may span several pixels of the image, and a point that was clicked earlier may
    have been tracked across the outline.
    """
    clicked = prompt.gestures != SAMPLED
    height, width = prediction.image_size
    places = np.rint(prompt.points[clicked]).astype(np.int64)
    places = places.clip(0, (width - 1, height - 1))
    if len(places) == 0:
        return prediction
    order = np.argsort(prompt.gestures[clicked], kind="stable")
    labels = prompt.labels[clicked]
    logits, (left, top) = _extended(prediction, places[labels == 1])
    signs = (2 * labels[order] - 1).tolist()
    inner = (places[order] - (left, top)).tolist()
    for radius in (_DOT, 0):  # of two clicks side by side each has its own pixel
        for place, sign in zip(inner, signs, strict=True):
            cv2.circle(logits, place, radius, _DOT_LOGIT * sign, cv2.FILLED)
    return replace(prediction, logits=logits, origin=(left, top))


def _extended(
    prediction: MaskPrediction, places: np.ndarray
) -> tuple[np.ndarray, tuple[int, int]]:
    """The logits and their origin, extended to cover pixels ``int64 (N, 2)`` and those around."""
    height, width = prediction.image_size
    x, y = prediction.origin
    h, w = prediction.logits.shape
    corners = np.concatenate([[(x, y), (x + w, y + h)], places - _DOT, places + _DOT + 1])
    left, top = corners.min(axis=0).clip(0).tolist()
    right, bottom = np.minimum(corners.max(axis=0), (width, height)).tolist()
    logits = np.full((bottom - top, right - left), -_DOT_LOGIT, np.float32)
    logits[y - top : y - top + h, x - left : x - left + w] = prediction.logits
    return logits, (left, top)
