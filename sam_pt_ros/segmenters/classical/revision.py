"""A first mask, decided anew by what has moved together since."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.base import Prompt
from sam_pt_ros.segmenters.classical.common_fate import CommonFate
from sam_pt_ros.segmenters.classical.options import ClassicalOptions
from sam_pt_ros.segmenters.classical.seeding import Seed, overlap, refine, rough_belief
from sam_pt_ros.segmenters.classical.state import State
from sam_pt_ros.segmenters.classical.tracking import start, track

_BELIEF = 1.9  # log odds of what was meant, before colours and motion are compared
_MOTION_WEIGHT = 4.0
_RIVAL_WEIGHT = 8.0  # more than all that speaks for a pixel
_POINTS = 32  # that help to follow the new mask from the first frame
_TELLING = 0.005  # by which the motion must be explained better
_STEPS = 6  # frames, at most, in which the new mask is followed: the time is bounded
_SAME = 0.9  # intersection over union from which nothing has changed


def revise(
    state: State, frame: Frame, rivals: Sequence[State], options: ClassicalOptions
) -> State:
    """The state after the common motion around the first click was looked at.

    A click may mean a thing, a part of it, or a group. Within half a second it often shows what
    moves together.

    Args:
        state: of the object in the frame.
        frame: the frame, one after that of the click.
        rivals: states of the other objects before the frame.
        options: options of the segmenter.
    """
    fate = state.fate
    if fate is None:
        return state
    if fate.late(frame):
        return replace(state, fate=None)
    fate = fate.advanced(frame)
    if not fate.due(frame):
        return replace(state, fate=fate)
    found = _decided(fate, rivals, options.object_size)
    if found is None or not _is_better(found, fate):
        return replace(state, fate=None)
    revised = _followed(found, fate, state.obeyed, rivals, options)
    if revised.hidden:
        return replace(state, fate=None)
    return replace(revised, revised=frame.index)


def _followed(
    found: Seed,
    fate: CommonFate,
    obeyed: int,
    rivals: Sequence[State],
    options: ClassicalOptions,
) -> State:
    """The state of an object that had this mask in the first frame, in the newest one."""
    state, asked = start(found, fate.first, fate.prompt, obeyed), fate.prompt
    spread = _spread(found)
    points = np.concatenate([spread, asked.points])
    labels = np.concatenate([np.ones(len(spread), np.int32), asked.labels])
    steps = fate.moved(points)
    for frame, places in steps[:: -math.ceil(len(steps) / _STEPS)][::-1]:
        state = track(state, frame, Prompt(asked.object_id, places, labels), rivals, options)
    return state


def _is_better(found: Seed, fate: CommonFate) -> bool:
    """Whether the motion says that another mask is the object, and not just nearly the same."""
    if overlap(found, fate.shown) >= _SAME:
        return False
    shown = fate.gain(fate.shown.window, fate.shown.probability)
    return fate.gain(found.window, found.probability) - shown >= _TELLING


def _spread(found: Seed) -> np.ndarray:
    """Points that cover a mask, ``float32 (N, 2)`` pixels."""
    mask = cv2.erode((found.probability > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8))
    step = max(round(np.sqrt(np.count_nonzero(mask) / _POINTS)), 1)
    rows, columns = np.nonzero(mask[step // 2 :: step, step // 2 :: step])
    places = np.stack([columns, rows], axis=1) * step + step // 2
    return found.window.to_image(places)


def _decided(fate: CommonFate, rivals: Sequence[State], object_size: float) -> Seed | None:
    """The mask in the first frame, by colours, motion, and the likeliest hypothesis.

    What moves together may be several objects. Those that are tracked keep what is theirs.
    """
    rough = rough_belief(fate.first, fate.window, fate.likeliest(), object_size)
    if rough is None:
        return None
    window, size, belief = rough
    belief *= _BELIEF
    for rival in rivals:
        theirs = fate.carried_back(fate.window.resample(rival.probability, rival.window))
        belief -= _RIVAL_WEIGHT * window.resample(theirs, fate.window)
    found, _ = refine(
        fate.first,
        window,
        size,
        fate.prompt,
        belief,
        lambda probability: _MOTION_WEIGHT * fate.evidence(window, probability),
    )
    return found
