"""Outlines of masks as polygons, for the page to draw."""

from __future__ import annotations

import cv2
import numpy as np

from sam_pt_ros.masks import CroppedMask

MAX_VERTICES = 400
"""Largest number of vertices of a mask's polygons, all together."""

_TOLERANCE = 0.9  # pixels by which a polygon may be off


def outline(mask: CroppedMask) -> list[list[list[int]]]:
    """Polygons around a mask: of its parts and of its holes, the largest first.

    Pixels belong to the mask if they lie inside of an odd number of polygons. Polygons are off
    by one pixel at most, except for one that alone would have too many vertices. If there are
    too many all together, the smallest are left out.

    Returns:
        For each polygon its vertices: x, y of pixels that belong to the mask.
    """
    if not mask.area:
        return []
    contours, _ = cv2.findContours(
        mask.pixels.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=mask.origin
    )
    first, *others = sorted(contours, key=cv2.contourArea, reverse=True)
    polygons = [_fitted(first)]
    left = MAX_VERTICES - len(polygons[0])
    for contour in others:
        polygon = cv2.approxPolyDP(contour, _TOLERANCE, True)
        left -= len(polygon)
        if left < 0:
            break
        polygons.append(polygon)
    return [polygon.reshape(-1, 2).tolist() for polygon in polygons]


def _fitted(contour: np.ndarray) -> np.ndarray:
    """A polygon that does not have too many vertices."""
    tolerance = _TOLERANCE
    while len(polygon := cv2.approxPolyDP(contour, tolerance, True)) > MAX_VERTICES:
        tolerance *= 1.5
    return np.asarray(polygon)
