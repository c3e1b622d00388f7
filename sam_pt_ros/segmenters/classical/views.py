"""Remembered views of an object, and the search for them in a new frame.

Keypoints (SIFT, Lowe 2004) of a view are matched with those of a region of the frame, and a
similarity transform is fitted robustly. Pixels in which the transformed view agrees with the frame
belong to the object. This finds rigid, textured objects, rotated and moved. Other objects are not
found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.classical.colour import chroma_histogram, to_lab
from sam_pt_ros.segmenters.classical.window import Window

_SIZE = 90  # size to which an object is scaled in a view, pixels
_MAX_SCALE = 1.5
_MAX_PIXELS = 90_000  # largest searched region, pixels
_CONTRAST = 0.02  # threshold of SIFT; lower gives more keypoints
_RATIO = 0.8  # of Lowe's test
_TOLERANCE = 3.0  # working pixels
MIN_INLIERS = 6
_LEAST_MATCHES = 4  # to count them
_MATCH_MARGIN = 0.15  # around the object, in object sizes
_SCALES = (0.6, 1.7)  # allowed scale of the object relative to the view
_COLOUR_TOLERANCE = 22.0  # distance in 8-bit Lab within which pixels agree
_TEMPLATE_SIZE = 24  # size to which an object is scaled for template matching, pixels
_MIN_TEMPLATE = 5
_SURE = 0.7  # smallest agreement of a template match; wrong places are below 0.5
_MIN_CORRELATION = (
    0.35  # smallest correlation of luminance, so that a plain object is not found on a plain wall
)
_MIN_AGREEMENT = 0.2  # smallest share of the view that must agree


@dataclass(frozen=True, eq=False)
class View:
    """A view of a wholly visible object.

    Attributes:
        window: window of the view.
        rgb: ``uint8 (h, w, 3)``, the crop.
        probability: ``float32 (h, w)``, probability of the object.
        index: index of the frame.
    """

    window: Window
    rgb: np.ndarray
    probability: np.ndarray
    index: int

    @classmethod
    def of(cls, frame: Frame, window: Window, probability: np.ndarray, size: float) -> View:
        """Make a view of an object.

        Args:
            frame: the frame.
            window: window in which the probability is known.
            probability: ``float32 (h, w)``.
            size: size of the object, image pixels.
        """
        scale = min(_SIZE / max(size, 4.0), _MAX_SCALE)
        width = round(window.width / window.scale * scale)
        height = round(window.height / window.scale * scale)
        own = Window(window.x, window.y, max(width, 8), max(height, 8), scale)
        return cls(own, own.crop(frame), own.resample(probability, window), frame.index)

    @cached_property
    def keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints: positions ``float32 (N, 2)`` and descriptors ``float32 (N, 128)``."""
        mask = cv2.erode((self.probability > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
        return _keypoints(self.rgb, mask)

    @cached_property
    def chroma(self) -> np.ndarray:
        """Colours of the object, from :func:`.chroma_histogram`."""
        return chroma_histogram(to_lab(self.rgb), self.probability)


@dataclass(frozen=True, eq=False)
class Sighting:
    """A view that was found in a frame.

    Attributes:
        inliers: number of keypoints that agree with the transform.
        agreement: share of the view that looks the same, 0 to 1.
        window: the searched region.
        probability: ``float32 (h, w)`` in ``window``, for the part that looks the same.
        whole: ``float32 (h, w)`` in ``window``, for the whole view.
    """

    inliers: int
    agreement: float
    window: Window
    probability: np.ndarray
    whole: np.ndarray


def find(
    views: tuple[View, ...],
    frame: Frame,
    box: tuple[float, float, float, float],
    *,
    inliers: int = MIN_INLIERS,
    pixels: int = _MAX_PIXELS,
) -> Sighting | None:
    """Find the best matching view in a box.

    Args:
        views: at least one view.
        frame: the frame.
        box: edges x min, y min, x max, y max, image pixels.
        inliers: number of keypoints that must agree on a transform.
        pixels: to which the box is reduced at most.

    Returns:
        The sighting; None if no view matches.
    """
    scale = views[-1].window.scale
    area = (box[2] - box[0]) * (box[3] - box[1]) * scale**2
    scale *= min(1.0, float(np.sqrt(pixels / max(area, 1.0))))
    window = Window.around(box, scale, frame.size)
    rgb = window.crop(frame)
    places, descriptors = _keypoints(rgb, None)
    if len(places) < MIN_INLIERS:
        return None
    best: Sighting | None = None
    for view in views:
        found = _match(view, window, rgb, places, descriptors)
        if found is None or found.inliers < inliers:
            continue
        if best is None or found.inliers > best.inliers:
            best = found
    return best


def _keypoints(rgb: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """SIFT keypoints of RGB ``uint8 (h, w, 3)``: ``float32 (N, 2)`` and ``float32 (N, 128)``."""
    detector = cv2.SIFT_create(contrastThreshold=_CONTRAST)
    found, descriptors = detector.detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), mask)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    return np.array([point.pt for point in found], np.float32), descriptors


def _match(
    view: View, window: Window, rgb: np.ndarray, places: np.ndarray, descriptors: np.ndarray
) -> Sighting | None:
    """Match a view with the keypoints of a region; None if too few agree on a transform."""
    fitted = _fitted(view, places, descriptors, MIN_INLIERS)
    if fitted is None:
        return None
    transform, inliers = fitted
    zoom = float(np.hypot(transform[0, 0], transform[1, 0]))
    zoom *= view.window.scale / window.scale
    if not _SCALES[0] < zoom < _SCALES[1]:
        return None
    sighting = _sighting(view, window, rgb, transform, inliers)
    return sighting if sighting.agreement >= _MIN_AGREEMENT else None


def _fitted(
    view: View, places: np.ndarray, descriptors: np.ndarray, least: int
) -> tuple[np.ndarray, int] | None:
    """The similarity transform of a view's keypoints to others, and how many agree on it.

    None if fewer than ``least`` agree.
    """
    known, wanted = view.keypoints
    if min(len(known), len(places)) < least:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(wanted, descriptors, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < _RATIO * p[1].distance]
    if len(good) < least:
        return None
    transform, inlier = cv2.estimateAffinePartial2D(
        known[[m.queryIdx for m in good]],
        places[[m.trainIdx for m in good]],
        method=cv2.RANSAC,
        ransacReprojThreshold=_TOLERANCE,
    )
    if transform is None or int(inlier.sum()) < least:
        return None
    return transform, int(inlier.sum())


def _sighting(
    view: View, window: Window, rgb: np.ndarray, transform: np.ndarray, inliers: int
) -> Sighting:
    """Compare a view, moved into the region by ``transform (2, 3)``, with the region."""
    size = (window.width, window.height)
    whole = cv2.warpAffine(view.probability, transform, size)
    moved = cv2.warpAffine(view.rgb, transform, size, borderMode=cv2.BORDER_REPLICATE)
    apart = cv2.GaussianBlur(_lab(moved) - _lab(rgb), (5, 5), 0)
    agree = np.exp(-np.einsum("ijk,ijk->ij", apart, apart) / (2 * _COLOUR_TOLERANCE**2))
    agree = cv2.GaussianBlur(agree, (5, 5), 0)
    agreement = float((agree * whole).sum() / max(float(whole.sum()), 1.0))
    seen = (whole * np.clip(2 * agree - 0.2, 0, 1)).astype(np.float32)
    return Sighting(inliers, agreement, window, seen, whole)


def matching_keypoints(
    view: View, frame: Frame, box: tuple[float, float, float, float], size: float
) -> int:
    """How many keypoints of a view are found again in a box, moved, turned and scaled together.

    Args:
        view: the view.
        frame: the frame.
        box: edges of the object: x min, y min, x max, y max, image pixels.
        size: size of the object, image pixels.
    """
    margin = _MATCH_MARGIN * size
    around = box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin
    window = Window.around(around, min(_SIZE / max(size, 4.0), _MAX_SCALE), frame.size)
    places, descriptors = _keypoints(window.crop(frame), None)
    fitted = _fitted(view, places, descriptors, _LEAST_MATCHES)
    return 0 if fitted is None else fitted[1]


def find_whole(
    view: View, frame: Frame, box: tuple[float, float, float, float], angle: float
) -> Sighting | None:
    """Find a wholly visible view in a box, turned by an angle but of the same size.

    This serves objects without distinctive keypoints, such as stripes. It tries every position at
    low resolution. A match must agree in colours and in structure.

    Args:
        view: the view.
        frame: the frame.
        box: edges x min, y min, x max, y max, image pixels.
        angle: degrees, counter-clockwise.

    Returns:
        The sighting; None if there is no match.
    """
    scale = view.window.scale * _TEMPLATE_SIZE / _SIZE
    window = Window.around(box, scale, frame.size)
    rgb = window.crop(frame)
    height, width = view.probability.shape
    turn = cv2.getRotationMatrix2D(
        (width / 2 - 0.5, height / 2 - 0.5), angle, scale / view.window.scale
    )
    probability = cv2.warpAffine(view.probability, turn, (width, height))
    x, y, w, h = cv2.boundingRect((probability > 0.5).astype(np.uint8))
    if w < _MIN_TEMPLATE or h < _MIN_TEMPLATE or w > window.width or h > window.height:
        return None
    part = slice(y, y + h), slice(x, x + w)
    template = cv2.warpAffine(view.rgb, turn, (width, height))[part]
    mask = (probability[part] > 0.5).astype(np.float32)
    apart = cv2.matchTemplate(rgb, template, cv2.TM_SQDIFF, mask=cv2.merge([mask] * 3))
    place = cv2.minMaxLoc(apart)[2]
    turn[:, 2] += place[0] - x, place[1] - y
    sighting = _sighting(view, window, rgb, turn, 0)
    moved = cv2.warpAffine(view.rgb, turn, (window.width, window.height))
    alike = _correlation(moved, rgb, sighting.whole > 0.5)
    return sighting if sighting.agreement > _SURE and alike > _MIN_CORRELATION else None


def _correlation(first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> float:
    """Correlation of the luminance of two RGB images within a mask, -1 to 1."""
    a, b = (
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[mask].astype(np.float32)
        for image in (first, second)
    )
    if len(a) < 2 or a.std() < 1 or b.std() < 1:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _lab(rgb: np.ndarray) -> np.ndarray:
    """RGB ``uint8 (h, w, 3)`` to 8-bit Lab, ``float32 (h, w, 3)``."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
