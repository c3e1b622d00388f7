"""Pictures of results: overlays and film strips. Needs no ROS."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import POSITIVE, ObjectResult, ObjectState, TrackResult

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (0, 158, 115),  # bluish green
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
)
"""The palette of Okabe and Ito, which is safe for colour-blind viewers; RGB."""

TINT = 0.42
"""Opacity of the object's colour over its mask, 0 to 1."""

_WHITE: Colour = (255, 255, 255)
_DARK: Colour = (24, 24, 27)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 4  # OpenCV draws at positions in 1/2**shift of a pixel
_LONGEST_LABEL = 24


def object_colour(object_id: int) -> Colour:
    """The colour of an object, RGB 0 to 255. The same id always has the same colour."""
    return PALETTE[(object_id - 1) % len(PALETTE)]


def draw_overlay(image: np.ndarray, result: TrackResult) -> np.ndarray:
    """Draw masks, query points and captions over an image.

    Args:
        image: RGB ``uint8 (H, W, 3)``; it is not modified.
        result: the result of the image.

    Returns:
        The picture, RGB ``uint8 (H, W, 3)``.
    """
    canvas = image.copy()
    size = _Size(*image.shape[:2])
    for item in result.objects:
        _draw_mask(canvas, item.mask, object_colour(item.object_id), size)
    for item in result.objects:
        _draw_points(canvas, item, size)
    taken: list[_Box] = _draw_unseen(canvas, result.objects, size)
    for item in result.objects:
        if item.mask.area:
            _draw_caption(canvas, item, size, taken)
    return canvas


def film_strip(
    images: Sequence[np.ndarray], titles: Sequence[str], columns: int, tile_width: int = 480
) -> np.ndarray:
    """Arrange images in rows, each below its title.

    Args:
        images: RGB ``uint8 (H, W, 3)``, at least one; all are scaled to the shape of the first.
        titles: one per image.
        columns: number of images in a row.
        tile_width: largest width of an image in the strip, pixels.

    Returns:
        The strip, RGB ``uint8 (H', W', 3)``.
    """
    height, width = images[0].shape[:2]
    tile_height = max(1, round(height * min(tile_width, width) / width))
    tile_width = min(tile_width, width)
    gap, bar = 8, 26
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    shape = (rows * (tile_height + bar + gap) + gap, columns * (tile_width + gap) + gap, 3)
    strip = np.full(shape, _DARK, np.uint8)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        x = gap + (i % columns) * (tile_width + gap)
        y = gap + (i // columns) * (tile_height + bar + gap)
        cv2.putText(strip, title, (x + 2, y + 17), _FONT, 0.48, _WHITE, 1, cv2.LINE_AA)
        interpolation = cv2.INTER_AREA if tile_width < image.shape[1] else cv2.INTER_LINEAR
        strip[y + bar : y + bar + tile_height, x : x + tile_width] = cv2.resize(
            image, (tile_width, tile_height), interpolation=interpolation
        )
    return strip


_Box = tuple[int, int, int, int]  # x, y, width, height


class _Size:
    """Lengths in pixels, scaled to the size of the image."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        scale = min(height / 360, width / 640)
        self.line = max(1, round(1.7 * scale))
        self.point = max(1.5, 2.6 * scale)
        self.rim = max(0.7, 1.0 * scale)
        self.text = max(0.28, 0.40 * scale)
        self.stroke = max(1, round(1.1 * scale))
        self.pad = max(2, round(4 * scale))
        self.chip = max(4, round(9 * scale))


def _draw_mask(canvas: np.ndarray, mask: CroppedMask, colour: Colour, size: _Size) -> None:
    """Tint the pixels of a mask and draw its outline, in place."""
    if not mask.area:
        return
    x, y, w, h = mask.roi
    pixels = mask.pixels.view(np.uint8)
    window = canvas[y : y + h, x : x + w]
    tint = np.full_like(window, colour)
    cv2.copyTo(cv2.addWeighted(window, 1 - TINT, tint, TINT, 0), pixels, window)
    contours, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x, y))
    cv2.drawContours(canvas, contours, -1, colour, size.line, cv2.LINE_AA)


def _draw_points(canvas: np.ndarray, item: ObjectResult, size: _Size) -> None:
    """Draw visible points: positive ones as discs, negative ones as crosses."""
    colour = object_colour(item.object_id)
    shown = item.points.visible
    for xy, label in zip(item.points.xy[shown], item.point_labels[shown], strict=True):
        if label == POSITIVE:
            _disc(canvas, xy, size.point + size.rim, _WHITE)
            _disc(canvas, xy, size.point, colour)
        else:
            _cross(canvas, xy, size.point * 1.3, size.stroke + 2, _DARK)
            _cross(canvas, xy, size.point * 1.3, size.stroke, colour)


def _disc(canvas: np.ndarray, xy: np.ndarray, radius: float, colour: Colour) -> None:
    """Draw a disc at a position ``(2,)`` in pixels, in place."""
    unit = 1 << _SHIFT
    centre = (round(float(xy[0]) * unit), round(float(xy[1]) * unit))
    cv2.circle(canvas, centre, round(radius * unit), colour, -1, cv2.LINE_AA, _SHIFT)


def _cross(
    canvas: np.ndarray, xy: np.ndarray, reach: float, thickness: int, colour: Colour
) -> None:
    """Draw a diagonal cross at a position ``(2,)`` in pixels, in place."""
    unit = 1 << _SHIFT
    x, y, r = (round(float(v) * unit) for v in (xy[0], xy[1], reach))
    for dy in (-r, r):
        start, end = (x - r, y - dy), (x + r, y + dy)
        cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA, _SHIFT)


def _name(item: ObjectResult) -> str:
    """Id and label, in ASCII, because OpenCV's fonts have no other characters."""
    label = item.label.encode("ascii", "replace").decode()
    if len(label) > _LONGEST_LABEL:
        label = label[: _LONGEST_LABEL - 2] + ".."
    return f"{item.object_id} {label}".strip()


def _draw_caption(canvas: np.ndarray, item: ObjectResult, size: _Size, taken: list[_Box]) -> None:
    """Draw id, label, state and score, above the mask or in the nearest free place."""
    text = f"{_name(item)}  {item.state.name.lower()} {item.score:.2f}"
    w, h, ascent = _plate_size(text, size)
    x, y, mask_width, mask_height = item.mask.roi
    left = min(max(x + (mask_width - w) // 2, 0), max(size.width - w, 0))
    gap = size.pad
    wishes = [y - h - gap, y + mask_height + gap, y + gap]
    wishes += range(0, max(size.height - h, 1), h + 1)
    inside = [top for top in wishes if 0 <= top <= size.height - h] or [0]
    free = [top for top in inside if not any(_overlap((left, top, w, h), b) for b in taken)]
    box = (left, (free or inside)[0], w, h)
    taken.append(box)
    _draw_plate(canvas, text, box, ascent, object_colour(item.object_id), size)


def _draw_unseen(canvas: np.ndarray, items: Sequence[ObjectResult], size: _Size) -> list[_Box]:
    """List the objects without a mask in the top-left corner; return the boxes drawn there."""
    boxes: list[_Box] = []
    top = size.pad
    for item in items:
        if item.state == ObjectState.TRACKING:
            continue
        frames = item.frames_since_seen
        text = f"{_name(item)}  {item.state.name} for {frames} frame{'s' * (frames != 1)}"
        w, h, ascent = _plate_size(text, size)
        box = (size.pad, top, w, h)
        _draw_plate(canvas, text, box, ascent, object_colour(item.object_id), size)
        boxes.append(box)
        top += h + max(1, size.pad // 2)
    return boxes


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _plate_size(text: str, size: _Size) -> tuple[int, int, int]:
    """Width and height of a plate with ``text``, and its baseline measured from the top."""
    (width, ascent), descent = cv2.getTextSize(text, _FONT, size.text, size.stroke)
    pad = size.pad
    height = ascent + descent // 2 + 2 * max(pad - 1, 2)
    return width + size.chip + 3 * pad, height, ascent + max(pad - 1, 2)


def _draw_plate(
    canvas: np.ndarray, text: str, box: _Box, ascent: int, colour: Colour, size: _Size
) -> None:
    """Draw white text on a dark, slightly transparent plate with a chip in the object's colour."""
    x, y, w, h = box
    window = canvas[y : y + h, x : x + w]
    cv2.addWeighted(window, 0.2, np.full_like(window, _DARK), 0.8, 0, dst=window)
    chip_top = y + (h - size.chip) // 2
    canvas[chip_top : chip_top + size.chip, x + size.pad : x + size.pad + size.chip] = colour
    origin = (x + 2 * size.pad + size.chip, y + ascent)
    cv2.putText(canvas, text, origin, _FONT, size.text, _WHITE, size.stroke, cv2.LINE_AA)
