"""The classical segmenter: one memory per object, one crop per object and frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.base import MaskPrediction, Prompt, Segmenter
from sam_pt_ros.segmenters.classical.colour import Bins, Histograms, to_lab
from sam_pt_ros.segmenters.classical.cut import contrast_weights, cut
from sam_pt_ros.segmenters.classical.memory import Memory, State
from sam_pt_ros.segmenters.classical.motion import Motion
from sam_pt_ros.segmenters.classical.options import ClassicalOptions
from sam_pt_ros.segmenters.classical.points import (
    point_evidence,
    spacing,
    spread_belief,
)
from sam_pt_ros.segmenters.classical.regions import bounding_box, connected
from sam_pt_ros.segmenters.classical.seeding import Seed, seed
from sam_pt_ros.segmenters.classical.window import Window

_FLOW_PRESET = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
_EVIDENCE_LIMIT = 3.0
_MARGIN = 0.35  # of the crop around the object, in its longer sides
_MAX_SCALE = 1.5  # working pixels per image pixel
_DAMPING = 0.8
_SAMPLED = 8  # positives from which they are taken to be spread over the object
_SPREAD_WEIGHT = 0.3
_SPREAD_REACH = 0.8
_MEMORY_BLUR = 1.2
_PLAUSIBLE = (0.5, 1.8)  # area over usual area, within which the models learn
_LOST_AREA = 0.06  # area over usual area below which the object counts as hidden
_MIN_AREA = 16  # image pixels
_MAX_SHARE = 0.9  # of the image


class ClassicalSegmenter(Segmenter):
    """Carries each object's mask along and corrects it by colours, motion and points."""

    Options = ClassicalOptions

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
            raise UserError("set_image must be called before predict")
        return [self._predict_one(prompt, frame) for prompt in prompts]

    def _predict_one(self, prompt: Prompt, frame: Frame) -> MaskPrediction:
        memory = self._memories.get(prompt.object_id)
        before = None if memory is None else (
            memory.before if memory.now.index == frame.index else memory.now
        )
        if before is None or prompt.mask is not None:
            found = seed(frame, prompt, self.options.object_size)
            if found is None:
                return MaskPrediction.nothing(frame.size)
            state = _seeded(found, frame, prompt)
        else:
            state = self._track(before, frame, prompt)
        self._memories[prompt.object_id] = Memory(before, state)
        return _prediction(state, frame)

    def _track(self, before: State, frame: Frame, prompt: Prompt) -> State:
        options = self.options
        positives = prompt.points[prompt.labels == 1]
        shift = _expected_shift(before, positives)
        window, size = _next_window(before, shift, frame.size, options.object_size)
        old = window.moved(-float(shift[0]), -float(shift[1]))
        rgb = window.crop(frame)
        lab = to_lab(rgb)
        motion = Motion.between(
            cv2.cvtColor(old.crop(before.frame), cv2.COLOR_RGB2GRAY),
            cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
            _FLOW_PRESET,
        )
        carried = motion.carry(old.resample(before.probability, before.window))
        box = bounding_box(carried)
        centre = (
            np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
            if box is not None
            else np.array([window.width, window.height]) / 2
        )
        bins = Bins.of(lab, centre, size)
        whole, local = before.appearance.evidence(bins, window.shape)
        points = window.to_working(prompt.points)
        evidence = (
            options.colour_weight * np.clip(whole, -_EVIDENCE_LIMIT, _EVIDENCE_LIMIT)
            + options.place_weight * np.clip(local, -_EVIDENCE_LIMIT, _EVIDENCE_LIMIT)
            + options.memory_weight * (2 * cv2.GaussianBlur(carried, (0, 0), _MEMORY_BLUR) - 1)
            + options.motion_weight * motion.evidence(carried)
            + point_evidence(
                points, prompt.labels, lab, size, carried, options.point_weight
            )
        )
        on = points[prompt.labels == 1]
        if len(on) >= _SAMPLED:
            evidence += _SPREAD_WEIGHT * spread_belief(
                on, _SPREAD_REACH * spacing(on), window.shape
            )
        weights = contrast_weights(lab.astype(np.float32))
        probability = cut(
            evidence, weights, options.smoothness, carried, options.iterations
        )
        probability = connected(probability, carried, points[prompt.labels == 1])
        found = bounding_box(probability)
        area = float(np.count_nonzero(probability > 0.5)) / window.scale**2
        if (
            found is None
            or area < max(_MIN_AREA, _LOST_AREA * before.usual_area)
            or area > _MAX_SHARE * frame.height * frame.width
        ):
            return _hidden(before, frame)
        ratio = area / before.usual_area
        plausible = _PLAUSIBLE[0] < ratio < _PLAUSIBLE[1]
        appearance = before.appearance
        if plausible:
            appearance = appearance.learned(Histograms.of(bins, probability))
        corners = window.to_image(np.array([found[:2], found[2:]]))
        moved = shift + motion.median(carried) / window.scale
        return State(
            frame=frame,
            window=window,
            probability=probability,
            box=(*corners[0].tolist(), *corners[1].tolist()),
            area=area,
            usual_area=0.95 * before.usual_area + 0.05 * area,
            velocity=moved,
            appearance=appearance,
            points=positives,
            hidden=0,
            index=frame.index,
        )


def _seeded(found: Seed, frame: Frame, prompt: Prompt) -> State:
    box = bounding_box(found.probability)
    assert box is not None
    corners = found.window.to_image(np.array([box[:2], box[2:]]))
    area = float(np.count_nonzero(found.probability > 0.5)) / found.window.scale**2
    return State(
        frame=frame,
        window=found.window,
        probability=found.probability,
        box=(*corners[0].tolist(), *corners[1].tolist()),
        area=area,
        usual_area=area,
        velocity=np.zeros(2),
        appearance=found.appearance,
        points=prompt.points[prompt.labels == 1],
        hidden=0,
        index=frame.index,
    )


def _hidden(before: State, frame: Frame) -> State:
    from dataclasses import replace

    return replace(before, hidden=before.hidden + 1, index=frame.index)


def _expected_shift(before: State, positives: np.ndarray) -> np.ndarray:
    """How far the object has probably moved, image pixels."""
    if len(positives) >= 3 and len(positives) == len(before.points):
        moved = positives - before.points
        middle = np.median(moved, axis=0)
        if float(np.median(np.abs(moved - middle))) < 0.1 * before.size:
            return middle.astype(np.float64)
    return _DAMPING * before.velocity


def _next_window(
    before: State, shift: np.ndarray, image_size: tuple[int, int], object_size: float
) -> tuple[Window, float]:
    x0, y0, x1, y1 = before.box
    margin = _MARGIN * max(x1 - x0, y1 - y0)
    scale = min(object_size / max(before.size, 4.0), _MAX_SCALE)
    dx, dy = float(shift[0]), float(shift[1])
    around = (x0 - margin + dx, y0 - margin + dy, x1 + margin + dx, y1 + margin + dy)
    return Window.around(around, scale, image_size), before.size * scale


def _prediction(state: State, frame: Frame) -> MaskPrediction:
    if state.hidden:
        return MaskPrediction.nothing(frame.size)
    logits, origin = state.window.enlarge(8 * state.probability - 4, frame.size)
    return MaskPrediction(logits, origin, frame.size, 0.8)
