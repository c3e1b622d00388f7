"""Where a hidden object is looked for: near where it was, and bit by bit in the whole image.

A frame's share of the search costs about as much as following the object would, however long it
has been hidden and however large the image is.
"""

from __future__ import annotations

import math

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.classical import views
from sam_pt_ros.segmenters.classical.state import State
from sam_pt_ros.segmenters.classical.views import Sighting

Box = tuple[float, float, float, float]
"""Edges x min, y min, x max, y max, image pixels."""

_NEAR = 60_000  # pixels of a near place, at the scale at which views are compared
_TILE = 90_000  # the same of a tile
_TILES = 8  # at most; in a larger image objects are compared at a coarser scale
_OVERLAP = 1.0  # of neighbouring tiles, in object sizes
_MARGIN = 0.8  # around a searched place, in object sizes
_GROWTH = 0.3  # growth of the margin, relative to the distance the object may have moved
_FRAMES = 30  # after which the margin around the last seen place has doubled
_MOST_MARGIN = 1.6  # in object sizes
_ANGLES = (0, -10, 10, -20, 20, -30, 30, -40, 40)  # degrees, of an object without keypoints
_FAR_INLIERS = 10  # keypoints that must agree on a place that the object need not be near


def search(before: State, frame: Frame) -> Sighting | None:
    """Look for a hidden object in the part of the image whose turn it is.

    In turns: near where it was seen last, near where it was heading, in a tile of the whole
    image, near where it was heading. Near places are also compared with the newest view as a
    whole: upright where it was heading, at one of several angles where it was seen last.
    """
    turn, part = divmod(before.hidden - 1, 4)
    if part == 2:
        boxes = tiles(before, frame)
        box = boxes[turn % len(boxes)]
        return views.find(before.views, frame, box, inliers=_FAR_INLIERS, pixels=_TILE)
    box = _nearby(before, frame, heading=part != 0)
    sighting = views.find(before.views, frame, box, pixels=_NEAR)
    if sighting is not None:
        return sighting
    angle = 0 if part else _ANGLES[turn % len(_ANGLES)]
    return views.find_whole(before.views[-1], frame, box, angle)


def tiles(before: State, frame: Frame) -> list[Box]:
    """Boxes that cover the image, at most ``_TILES``, the ones nearest to the last place first."""
    scale = before.views[-1].window.scale
    overlap = _OVERLAP * before.size
    side = max(math.sqrt(_TILE) / scale, 1.5 * overlap)
    while True:
        columns, rows = (
            max(math.ceil((length - overlap) / (side - overlap)), 1)
            for length in (frame.width, frame.height)
        )
        if columns * rows <= _TILES:
            break
        side *= 1.1
    # Evenly spread, so that no tile is a mere strip.
    width = (frame.width + (columns - 1) * overlap) / columns
    height = (frame.height + (rows - 1) * overlap) / rows
    corners = [
        (column * (width - overlap) - 0.5, row * (height - overlap) - 0.5)
        for row in range(rows)
        for column in range(columns)
    ]
    x, y = _middle(before.box)
    boxes = [(left, top, left + width, top + height) for left, top in corners]
    return sorted(boxes, key=lambda box: math.dist(_middle(box), (x, y)))


def _nearby(before: State, frame: Frame, *, heading: bool) -> Box:
    """The box around the place where the object was seen last, or where it was heading."""
    way = before.velocity * before.hidden
    x, y = _middle(before.box)
    margin = _MARGIN * (1 + before.hidden / _FRAMES)
    if heading:
        margin = _MARGIN + _GROWTH * float(np.linalg.norm(way)) / before.size
        x = float(np.clip(x + way[0], 0, frame.width - 1))
        y = float(np.clip(y + way[1], 0, frame.height - 1))
    reach = (0.5 + min(margin, _MOST_MARGIN)) * before.size
    return x - reach, y - reach, x + reach, y + reach


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
