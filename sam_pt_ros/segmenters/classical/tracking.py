"""Tracking one object into the next frame: expectation, evidence, and the new state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.base import SAMPLED, Prompt
from sam_pt_ros.segmenters.classical import views
from sam_pt_ros.segmenters.classical.colour import Bins, Histograms, to_lab
from sam_pt_ros.segmenters.classical.common_fate import CommonFate, Hypothesis
from sam_pt_ros.segmenters.classical.cut import contrast_weights, cut
from sam_pt_ros.segmenters.classical.evidence import CERTAIN, NOTHING
from sam_pt_ros.segmenters.classical.identity import examine
from sam_pt_ros.segmenters.classical.motion import Motion
from sam_pt_ros.segmenters.classical.options import ClassicalOptions
from sam_pt_ros.segmenters.classical.point_evidence import point_evidence, spacing, spread_belief
from sam_pt_ros.segmenters.classical.regions import bounding_box, centre, connected
from sam_pt_ros.segmenters.classical.search import search
from sam_pt_ros.segmenters.classical.seeding import Seed
from sam_pt_ros.segmenters.classical.state import MAX_DOUBTS, State
from sam_pt_ros.segmenters.classical.views import Sighting, View
from sam_pt_ros.segmenters.classical.window import Window

_FLOW_PRESET = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
_EVIDENCE_LIMIT = 3.0
_MARGIN = 0.35  # margin of the window around the object, relative to its longer side
_MAX_SCALE = 1.5  # working pixels per image pixel
_VELOCITY_RATE = 0.4
_SAMPLED = 8  # number of positive points from which they are assumed to cover the object
_SPREAD_WEIGHT = 0.3
_SPREAD_REACH = 1.0
_MEMORY_BLUR = 1.2  # uncertainty of the warped mask, working pixels
_RIVAL_WEIGHT = 2.0
_PLAUSIBLE = (0.5, 1.8)  # area relative to the usual area between which the models are updated
_AREA_RATE = 0.05
_LEARNING_PERIOD = 2  # frames; an update of the histograms takes a tenth of a frame's time
_WARY_AREA_RATE = 0.01
_WHOLLY_SEEN = 0.8  # agreement above which no part of the object is hidden
_MIN_AREA = 16  # image pixels
_LOST_AREA = 0.06  # area relative to the usual area below which the object counts as hidden
_MAX_SHARE = 0.9  # largest area of an object, relative to the image, ...
_GROWTH = 1.2  # ... unless it was nearly as large: relative to the previous area
_SHRUNK = 0.7  # area relative to the usual area below which remembered views are searched
_STRANGE_SPEED = 0.4  # change of the velocity, relative to it, ...
_STRANGE_SHIFT = 0.02  # ... or in object sizes per frame, above which motion is strange
_TRUSTED_POINTS = 3  # number of positive points whose simultaneous loss raises a doubt
_CONTINUED = 0.6  # share of the expected mask that a view must cover
_DOUBTFUL = 0.1  # probability of the evidence below which an object may be hidden, ...
_PATIENCE = 40  # frames in which a mask that is not believed is followed all the same
_LEARNABLE = 0.4  # probability from which the models are updated
_IMPOSSIBLE = 1e-5  # ... and below which it is
_CONVINCING = 0.5  # probability from which a hidden object counts as found
_SURE = 0.5  # probability from which other signs are no doubts
_SWOLLEN = 2.5  # area relative to the usual area from which a mask may be that of something else
_VIEW_WEIGHT = 1.5  # weight of a view that was found, relative to that of the motion
_VIEW_PERIOD = 8  # frames between remembered views
_WHOLE = 0.8  # area relative to the usual area from which a view is remembered
_RIGID_INLIERS = 10
_REAPPEARED = 0.2  # area relative to the usual area from which a hidden object counts as found


@dataclass(frozen=True, eq=False)
class Expectation:
    """The expectation for a frame, before its colours are evaluated.

    Attributes:
        window: window of the object.
        carried: ``float32 (h, w)``, expected probability of the object.
        cue: ``float32 (h, w)``, evidence from the motion or from a remembered view.
        centre: ``(2,)``, centre of the object, working pixels.
        size: size of the whole object, working pixels.
        velocity: ``(2,)``, image pixels per frame.
    """

    window: Window
    carried: np.ndarray
    cue: np.ndarray
    centre: np.ndarray
    size: float
    velocity: np.ndarray


def start(found: Seed, frame: Frame, prompt: Prompt, obeyed: int) -> State:
    """The state of an object in its first frame.

    Args:
        found: its mask.
        frame: the frame.
        prompt: its prompt there.
        obeyed: number of the newest gesture from which the mask was made.
    """
    box, area = found.window.extent(found.probability)
    assert box is not None
    size = float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
    shown = Hypothesis(found.window, found.probability, 0.0)
    watched = found.hypotheses
    return State(
        frame=frame,
        window=found.window,
        probability=found.probability,
        box=box,
        area=area,
        usual_area=area,
        velocity=np.zeros(2),
        appearance=found.appearance,
        points=prompt.points[prompt.labels == 1],
        obeyed=obeyed,
        evidence=CERTAIN.at(frame.index),
        first_certainty=found.certainty,
        index=frame.index,
        views=(View.of(frame, found.window, found.probability, size),),
        fate=CommonFate.begin(frame, prompt, shown, watched) if watched else None,
    )


def track(
    before: State,
    frame: Frame,
    prompt: Prompt,
    rivals: Sequence[State],
    options: ClassicalOptions,
) -> State:
    """Track an object into the next frame.

    Args:
        before: state of the object before the frame.
        frame: the frame.
        prompt: the object's prompt in it.
        rivals: states of the other objects before the frame.
        options: options of the segmenter.

    Returns:
        The state after the frame.
    """
    if before.hidden:
        return _look_for(before, frame, prompt, rivals, options)
    if before.doubted and before.unsure % 2:
        turn = (before.unsure + 1) // 2
        found = _look_for(replace(before, hidden=turn), frame, prompt, rivals, options)
        if not found.hidden:
            return found
    expectation = _follow(before, frame, prompt, options)
    sighting: Sighting | None = None
    expected_area = expectation.window.extent(expectation.carried)[1]
    shrunk = min(expected_area, before.area) < _SHRUNK * before.usual_area
    suspicious = before.rigid and (shrunk or before.recovering or before.doubts > 0)
    if suspicious:
        sighting = views.find(before.views, frame, _grown(before.box, 0.5 * before.size))
        if sighting is not None and not _covers(sighting, expectation):
            sighting = None  # another one that looks the same
        if sighting is not None:
            expectation = _with_sighting(expectation, sighting)
    probability, bins, lab = _decide(before, frame, prompt, rivals, options, expectation)
    box, area = expectation.window.extent(probability)
    if box is None or not _is_object(area, before, frame):
        return _hide(before, frame)
    state = _seen(before, frame, prompt, expectation, probability, box, area)
    evidence = examine(state, frame, lab, before.evidence, before.usual_area)
    sure = evidence.probability
    missed = sighting is None and suspicious and _moves_strangely(before, expectation)
    trusted = len(before.points) >= _TRUSTED_POINTS or before.unsure > 0
    vanished = trusted and not (prompt.labels == 1).any()
    swollen = area > _SWOLLEN * before.usual_area
    unlikely = sure < _DOUBTFUL or (sure < _SURE and sighting is None and (vanished or swollen))
    doubts = before.doubts + 1 if missed else 0
    unsure = before.unsure + 1 if unlikely else 0
    if doubts > MAX_DOUBTS or unsure > _PATIENCE or sure < _IMPOSSIBLE:
        return _hide(before, frame)
    state = replace(state, evidence=evidence, unsure=unsure)
    if sighting is not None and sighting.agreement > _WHOLLY_SEEN:
        whole = sighting.window.extent(sighting.whole)[1]
        recovering = state.recovering and area < _WHOLE * whole
        state = replace(state, usual_area=whole, recovering=recovering)
    elif sighting is None and doubts == 0 and sure > _LEARNABLE:
        state = _learn(state, bins)
        if not shrunk:
            velocity = before.velocity + _VELOCITY_RATE * (expectation.velocity - before.velocity)
            state = replace(state, velocity=velocity)
    return _remember_view(replace(state, doubts=doubts))


def _follow(before: State, frame: Frame, prompt: Prompt, options: ClassicalOptions) -> Expectation:
    """Expect the previous mask, warped by the motion of its pixels."""
    shift = _expected_shift(before, prompt.points[prompt.labels == 1])
    window = _next_window(before, shift, frame.size, options.object_size)
    old = window.moved(-float(shift[0]), -float(shift[1]))
    motion = Motion.between(
        cv2.cvtColor(old.crop(before.frame), cv2.COLOR_RGB2GRAY),
        cv2.cvtColor(window.crop(frame), cv2.COLOR_RGB2GRAY),
        _FLOW_PRESET,
    )
    carried = motion.carry(old.resample(before.probability, before.window))
    return Expectation(
        window,
        carried,
        motion.evidence(carried),
        centre(carried),
        before.size * window.scale,
        shift + motion.median(carried) / window.scale,
    )


def _look_for(
    before: State,
    frame: Frame,
    prompt: Prompt,
    rivals: Sequence[State],
    options: ClassicalOptions,
) -> State:
    """Search a hidden object."""
    sighting = search(before, frame)
    if sighting is None:
        return replace(before, hidden=before.hidden + 1, index=frame.index)
    expectation = _from_sighting(sighting, before, frame, options)
    probability, _, lab = _decide(before, frame, prompt, rivals, options, expectation)
    found, area = expectation.window.extent(probability)
    if (
        found is None
        or not _is_object(area, before, frame)
        or area < _REAPPEARED * before.usual_area
    ):
        return replace(before, hidden=before.hidden + 1, index=frame.index)
    seen = _seen(before, frame, prompt, expectation, probability, found, area)
    evidence = examine(seen, frame, lab, NOTHING, before.usual_area)
    if evidence.probability < _CONVINCING:
        return replace(before, hidden=before.hidden + 1, index=frame.index)
    return replace(seen, evidence=evidence, recovering=True)


def _moves_strangely(before: State, expected: Expectation) -> bool:
    """Whether the motion of a mask changes suddenly, for example to that of an occluder."""
    apart = float(np.linalg.norm(expected.velocity - before.velocity))
    usual = float(np.linalg.norm(before.velocity))
    return apart > max(_STRANGE_SPEED * usual, _STRANGE_SHIFT * before.size)


def _decide(
    before: State,
    frame: Frame,
    prompt: Prompt,
    rivals: Sequence[State],
    options: ClassicalOptions,
    expected: Expectation,
) -> tuple[np.ndarray, Bins, np.ndarray]:
    """Combine the expectation, colours, motion and points.

    Returns:
        The object's probability, ``float32 (h, w)``; the histogram bins of the window; and its
        crop in Lab, ``uint8 (h, w, 3)``.
    """
    window, carried = expected.window, expected.carried
    lab = to_lab(window.crop(frame))
    bins = Bins.of(lab, expected.centre, expected.size)
    whole, local = before.appearance.evidence(bins, window.shape)
    points = window.to_working(prompt.points)
    positives = points[prompt.labels == 1]
    known = 2 * cv2.GaussianBlur(carried, (0, 0), _MEMORY_BLUR) - 1
    evidence = (
        options.colour_weight * np.clip(whole, -_EVIDENCE_LIMIT, _EVIDENCE_LIMIT)
        + options.place_weight * np.clip(local, -_EVIDENCE_LIMIT, _EVIDENCE_LIMIT)
        + options.memory_weight * known
        + options.motion_weight * expected.cue
        + point_evidence(
            points,
            prompt.labels,
            lab,
            expected.size,
            carried,
            options.point_weight,
            prompt.gestures != SAMPLED,
        )
    )
    if len(positives) >= _SAMPLED:
        reach = _SPREAD_REACH * spacing(positives)
        evidence += _SPREAD_WEIGHT * spread_belief(positives, reach, window.shape)
    for rival in rivals:
        evidence -= _RIVAL_WEIGHT * window.resample(rival.probability, rival.window)
    weights = contrast_weights(lab.astype(np.float32))
    probability = cut(evidence, weights, options.smoothness, carried, options.iterations)
    return connected(probability, carried, points, prompt.labels), bins, lab


def _seen(
    before: State,
    frame: Frame,
    prompt: Prompt,
    expected: Expectation,
    probability: np.ndarray,
    box: tuple[float, float, float, float],
    area: float,
) -> State:
    """The state of an object that was seen, before its appearance is updated."""
    return replace(
        before,
        frame=frame,
        window=expected.window,
        probability=probability,
        box=box,
        area=area,
        points=prompt.points[prompt.labels == 1],
        hidden=0,
        doubts=0,
        unsure=0,
        index=frame.index,
    )


def _learn(state: State, bins: Bins) -> State:
    """Update the models by the newest frame, slowly if its area is implausible."""
    usual, area = state.usual_area, state.area
    if not _PLAUSIBLE[0] < area / usual < _PLAUSIBLE[1]:
        return replace(state, usual_area=usual + _WARY_AREA_RATE * (area - usual))
    state = replace(state, usual_area=usual + _AREA_RATE * (area - usual))
    if state.index % _LEARNING_PERIOD:
        return state
    seen = Histograms.of(bins, state.probability)
    return replace(state, appearance=state.appearance.learned(seen))


def _hide(before: State, frame: Frame) -> State:
    """The state of an object that is hidden from this frame on."""
    return replace(before, hidden=1, doubts=0, unsure=0, index=frame.index, fate=None)


def _is_object(area: float, before: State, frame: Frame) -> bool:
    """Whether a mask's area is plausible for the object."""
    least = max(_MIN_AREA, _LOST_AREA * before.usual_area)
    # What comes near may fill the image, but not at once: that would be the background.
    most = max(_MAX_SHARE * frame.height * frame.width, _GROWTH * before.area)
    return least <= area <= most


def _remember_view(state: State) -> State:
    """Remember a view of the object from time to time, if it is wholly visible."""
    latest = state.views[-1]
    if (
        state.index - latest.index < _VIEW_PERIOD
        or state.doubts
        or state.evidence.probability < _CONVINCING
        or state.area < _WHOLE * state.usual_area
    ):
        return state
    again = views.find((latest,), state.frame, _grown(state.box, 0.1 * state.size))
    view = View.of(state.frame, state.window, state.probability, state.size)
    kept = (state.views[0], *state.views[1:][-1:], view)
    rigid = again is not None and again.inliers >= _RIGID_INLIERS
    return replace(state, views=kept, rigid=rigid)


def _covers(sighting: Sighting, expected: Expectation) -> bool:
    """Whether a view was found where the object is expected: objects do not jump."""
    carried = expected.carried > 0.5
    whole = expected.window.resample(sighting.whole, sighting.window) > 0.5
    shared = np.count_nonzero(carried & whole)
    return shared >= _CONTINUED * np.count_nonzero(carried)


def _with_sighting(expected: Expectation, sighting: Sighting) -> Expectation:
    """Correct the expectation by a view that was found."""
    window = expected.window
    seen = window.resample(sighting.probability, sighting.window)
    whole = window.resample(sighting.whole, sighting.window)
    return replace(
        expected,
        carried=np.where(whole > 0.5, seen, np.minimum(expected.carried, 0.5)).astype(np.float32),
        cue=_VIEW_WEIGHT * (2 * seen - 1),
        centre=centre(whole),
    )


def _from_sighting(
    sighting: Sighting, before: State, frame: Frame, options: ClassicalOptions
) -> Expectation:
    """The expectation from a view that was found, and nothing else."""
    box = bounding_box(sighting.whole) or (0.0, 0.0, 8.0, 8.0)
    corners = sighting.window.to_image(np.array([box[:2], box[2:]]))
    x0, y0, x1, y1 = corners.ravel().tolist()
    size = float(np.sqrt((x1 - x0) * (y1 - y0)))
    margin = _MARGIN * max(x1 - x0, y1 - y0)
    scale = min(options.object_size / max(size, 4.0), _MAX_SCALE)
    window = Window.around(_grown((x0, y0, x1, y1), margin), scale, frame.size)
    whole = window.resample(sighting.whole, sighting.window)
    seen = window.resample(sighting.probability, sighting.window)
    return Expectation(
        window, seen, _VIEW_WEIGHT * (2 * seen - 1), centre(whole), size * scale, before.velocity
    )


def _expected_shift(before: State, positives: np.ndarray) -> np.ndarray:
    """Probable motion of the object, ``(2,)`` image pixels; ``positives`` is ``(N, 2)``."""
    if len(positives) >= 3 and len(positives) == len(before.points):
        moved = positives - before.points
        middle = np.median(moved, axis=0)
        # If points were replaced, their differences are not a common motion.
        if float(np.median(np.abs(moved - middle))) < 0.1 * before.size:
            return middle.astype(np.float64)
    return before.velocity


def _next_window(
    before: State, shift: np.ndarray, image_size: tuple[int, int], object_size: float
) -> Window:
    """The window around an object that has moved by ``shift (2,)`` image pixels."""
    x0, y0, x1, y1 = before.box
    dx, dy = float(shift[0]), float(shift[1])
    margin = _MARGIN * max(x1 - x0, y1 - y0, before.size)
    scale = min(object_size / max(before.size, 4.0), _MAX_SCALE)
    around = _grown((x0 + dx, y0 + dy, x1 + dx, y1 + dy), margin)
    return Window.around(around, scale, image_size)


def _grown(
    box: tuple[float, float, float, float], margin: float
) -> tuple[float, float, float, float]:
    """A box, grown by a margin on every side."""
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin
