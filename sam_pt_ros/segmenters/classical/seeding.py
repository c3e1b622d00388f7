"""The first mask of an object, from points, a box or a mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.base import Prompt
from sam_pt_ros.segmenters.classical.colour import Appearance, Bins, Histograms, to_lab
from sam_pt_ros.segmenters.classical.common_fate import Hypothesis
from sam_pt_ros.segmenters.classical.cut import contrast_weights, cut
from sam_pt_ros.segmenters.classical.grab_cut import grab_cut
from sam_pt_ros.segmenters.classical.point_evidence import point_evidence, spacing, spread_belief
from sam_pt_ros.segmenters.classical.regions import bounding_box, connected
from sam_pt_ros.segmenters.classical.window import Window

_ROUNDS = 3
_ITERATIONS = 60
_SMOOTHNESS = 3.0
_POINT_STRENGTH = 1.5
_GLOBAL_WEIGHT = 0.8
_LOCAL_WEIGHT = 0.2
_ROUGH_WEIGHT = 2.5
_ROUGH_BLUR = 1.5  # working pixels
_BOX_WEIGHT = 2.0
_BOX_BLUR = 2.0  # working pixels
_SAMPLED = 12  # number of positive points from which they are assumed to cover the object
# Shares of first masks of DAVIS 2016 with an IoU of at least 0.5.
_CLICKED = 0.72  # from one click or a box
_COVERED = 0.95  # from points that cover the object
_CLICKED_SIZE = 70.0  # size to which an object with only a few clicks is scaled, working pixels
_REACHES = (0.03, 0.06, 0.12, 0.2)  # radii tried around a few clicks, in image diagonals


@dataclass(frozen=True, eq=False)
class Seed:
    """The first mask of an object.

    Attributes:
        window: window of the object.
        probability: ``float32 (h, w)``, probability of the object in the window.
        appearance: colour model.
        certainty: probability that the mask overlaps the object by at least half.
        hypotheses: what the prompt may mean, one of which the mask shows; empty if it is plain.
    """

    window: Window
    probability: np.ndarray
    appearance: Appearance
    certainty: float
    hypotheses: tuple[Hypothesis, ...] = ()


def seed(frame: Frame, prompt: Prompt, object_size: float) -> Seed | None:
    """Segment an object in the frame of its first prompt; None if nothing is found.

    Args:
        frame: the frame.
        prompt: the prompt.
        object_size: size to which the object is scaled, working pixels.
    """
    if prompt.mask is not None and prompt.mask.any():
        return _from_mask(frame, prompt.mask, object_size)
    positives = prompt.points[prompt.labels == 1]
    if prompt.box is not None:
        x0, y0, x1, y1 = (float(v) for v in prompt.box)
        edges = np.clip(
            (x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5),
            -0.5,
            (frame.width - 0.5, frame.height - 0.5) * 2,
        )
        left, top, right, bottom = edges.tolist()
        return _from_box(frame, prompt, (left, top, right, bottom), object_size)
    if len(positives) == 0:
        return None
    if len(positives) >= _SAMPLED:
        return _from_points(frame, prompt, spacing(positives), object_size)[0]
    # The extent of the object is only estimated here, for which a coarser scale is good enough.
    tried = _extents(frame, prompt, min(object_size, _CLICKED_SIZE))
    if not tried:
        return None
    found = _finer(frame, prompt, max(tried, key=lambda each: each.rating), object_size)
    if found is None or len(prompt.points) > 1:  # a second point says what is meant
        return found
    return replace(found, hypotheses=tuple(tried))


def hypotheses(frame: Frame, prompt: Prompt, object_size: float) -> list[Hypothesis]:
    """What a new object's prompt may mean.

    Args:
        frame: the frame.
        prompt: the prompt.
        object_size: size to which the object is scaled, working pixels.
    """
    positives = prompt.points[prompt.labels == 1]
    plain = prompt.box is not None or prompt.mask is not None
    if not plain and 0 < len(positives) < _SAMPLED:
        return _extents(frame, prompt, min(object_size, _CLICKED_SIZE))
    found = seed(frame, prompt, object_size)
    return [] if found is None else [Hypothesis(found.window, found.probability, 0.0)]


def overlap(one: Hypothesis | Seed, other: Hypothesis | Seed) -> float:
    """Intersection over union of two masks, 0 to 1."""
    first = one.probability > 0.5
    second = one.window.resample(other.probability, other.window) > 0.5
    shared = np.count_nonzero(first & second) / one.window.scale**2
    areas = [each.window.extent(each.probability)[1] for each in (one, other)]
    return shared / max(sum(areas) - shared, 1e-9)


def _extents(frame: Frame, prompt: Prompt, object_size: float) -> list[Hypothesis]:
    """Masks of different extents around a few clicks; those that are not empty."""
    diagonal = float(np.hypot(*frame.size))
    tried = [_from_points(frame, prompt, r * diagonal, object_size) for r in _REACHES]
    return [
        Hypothesis(found.window, found.probability, rating)
        for found, rating in tried
        if found is not None
    ]


def _from_mask(frame: Frame, mask: np.ndarray, object_size: float) -> Seed:
    """A seed from a mask drawn by the user, ``bool (H, W)``."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    box = (x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5)
    window, size = Window.of_object(box, object_size, frame.size)
    whole = Window(-0.5, -0.5, frame.width, frame.height, 1.0)
    smooth = cv2.blur(mask.astype(np.float32), (1 + 2 * int(0.25 / window.scale),) * 2)
    probability = window.resample(smooth, whole)
    lab = to_lab(window.crop(frame))
    centre = window.to_working(np.array([[(x + w / 2), (y + h / 2)]]))[0]
    seen = Histograms.of(Bins.of(lab, centre, size), probability)
    return Seed(window, probability, Appearance(seen, seen), 1.0)


def _from_box(
    frame: Frame, prompt: Prompt, box: tuple[float, float, float, float], object_size: float
) -> Seed | None:
    """A seed from a box (edges, image pixels)."""
    window, size = Window.of_object(box, object_size, frame.size)
    corners = window.to_working(np.array([box[:2], box[2:]]))
    (left, top), (right, bottom) = corners
    x = (np.arange(window.width) - (left + right) / 2) / max((right - left) / 2, 1)
    y = (np.arange(window.height) - (top + bottom) / 2) / max((bottom - top) / 2, 1)
    radius = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
    inside = (np.abs(x)[None, :] <= 1) & (np.abs(y)[:, None] <= 1)
    filled = grab_cut(window.crop(frame), inside, radius)
    likely = (
        np.clip(2.5 * (1.0 - radius), -0.5, 2)
        if filled is None
        else _BOX_WEIGHT * cv2.GaussianBlur(2 * filled - 1, (0, 0), _BOX_BLUR)
    )
    belief = np.where(inside, likely, -6).astype(np.float32)
    return refine(frame, window, size, prompt, belief)[0]


def _finer(frame: Frame, prompt: Prompt, rough: Hypothesis, object_size: float) -> Seed | None:
    """A seed that was found at a coarse scale, refined."""
    found = rough_belief(frame, rough.window, rough.probability, object_size)
    assert found is not None
    window, size, belief = found
    return refine(frame, window, size, prompt, _ROUGH_WEIGHT * belief)[0]


def rough_belief(
    frame: Frame, source: Window, probability: np.ndarray, object_size: float
) -> tuple[Window, float, np.ndarray] | None:
    """What a rough mask says about the object; None if it is empty.

    Args:
        frame: the frame.
        source: window of the mask.
        probability: ``float32 (h, w)`` in it, above 0.5 on the object.
        object_size: size to which the object is scaled, working pixels.

    Returns:
        A window around the object, its size there in working pixels, and ``float32 (h, w)``, from
        1 on the object to -1 beside it.
    """
    box, _ = source.extent(probability)
    if box is None:
        return None
    window, size = Window.of_object(box, object_size, frame.size)
    belief = 2 * window.resample(probability, source) - 1
    return window, size, cv2.GaussianBlur(belief, (0, 0), _ROUGH_BLUR)


def _from_points(
    frame: Frame, prompt: Prompt, reach: float, object_size: float
) -> tuple[Seed | None, float]:
    """A seed that extends ``reach`` image pixels beyond its positive points, and its rating."""
    positives = prompt.points[prompt.labels == 1]
    x0, y0 = positives.min(axis=0) - reach
    x1, y1 = positives.max(axis=0) + reach
    box = (float(x0), float(y0), float(x1), float(y1))
    window, size = Window.of_object(box, object_size, frame.size)
    belief = spread_belief(
        window.to_working(positives),
        reach * window.scale,
        window.shape,
        linked=len(positives) < _SAMPLED,
    )
    return refine(frame, window, size, prompt, belief)


def refine(
    frame: Frame,
    window: Window,
    size: float,
    prompt: Prompt,
    belief: np.ndarray,
    cue: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[Seed | None, float]:
    """Turn a rough belief into a mask, by colours and contrast, and rate it.

    Args:
        frame: the frame.
        window: window of the object.
        size: size of the object, working pixels.
        prompt: the prompt.
        belief: ``float32 (h, w)``, log odds of the object.
        cue: more evidence, ``float32 (h, w)``, given the object's probability of the last round.
    """
    lab = to_lab(window.crop(frame))
    weights = contrast_weights(lab.astype(np.float32))
    points = window.to_working(prompt.points)
    probability = (belief > 0).astype(np.float32)
    from_points = point_evidence(
        points,
        prompt.labels,
        lab,
        size,
        probability,
        _POINT_STRENGTH,
        # Few points are clicks, which are reliable. Many are sampled.
        np.full(len(points), int((prompt.labels == 1).sum()) < _SAMPLED),
    )
    bins: Bins | None = None
    seen: Histograms | None = None
    for _ in range(_ROUNDS):
        box = bounding_box(probability)
        if box is None:
            return None, -np.inf
        centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        bins = Bins.of(lab, centre, size)
        seen = Histograms.of(bins, probability)
        whole, local = Appearance(seen, seen).evidence(bins, window.shape)
        evidence = _GLOBAL_WEIGHT * whole + _LOCAL_WEIGHT * local + belief + from_points
        if cue is not None:
            evidence += cue(probability)
        probability = cut(evidence, weights, _SMOOTHNESS, probability, _ITERATIONS)
        probability = connected(
            probability, (belief > 0).astype(np.float32), points, prompt.labels
        )
    assert bins is not None
    if not (probability > 0.5).any():
        return None, -np.inf
    seen = Histograms.of(bins, probability)
    rating = _rating(probability, weights, seen)
    certainty = _certainty(int((prompt.labels == 1).sum()))
    return Seed(window, probability, Appearance(seen, seen), certainty), rating


def _certainty(positives: int) -> float:
    """How often a first mask overlaps the object by at least half, by the number of clicks."""
    known = min(max(positives - 1, 0) / (_SAMPLED - 1), 1.0)
    return _CLICKED + known * (_COVERED - _CLICKED)


def _rating(probability: np.ndarray, weights: np.ndarray, seen: Histograms) -> float:
    """Rate a mask: contrast along its outline and distinct colours are those of an object.

    Args:
        probability: ``float32 (h, w)``, above 0.5 on the object.
        weights: ``float32 (2, h, w)``, from ``contrast_weights``.
        seen: histograms of the mask.
    """
    mask = probability > 0.5
    crossed = [mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]]
    along = np.concatenate([weights[0, :, :-1][crossed[0]], weights[1, :-1][crossed[1]]])
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    alike = float(np.sqrt(seen.whole[0] * seen.whole[1]).sum())
    contrast = 1 - float(along.mean()) if len(along) else 0.0
    return contrast - alike - float(border.mean())
