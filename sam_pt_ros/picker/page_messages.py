"""The messages between page and server. They are JSON, except for pictures, which are binary.

From the page, each with a ``type``: ``drawn`` (a picture has been drawn) and commands. Commands
have a number ``request`` that the answer repeats:

- ``add_object`` (``stamp``, ``x``, ``y``), ``add_box`` (``stamp``, ``box``) and ``add_line``
  (``stamp``, ``points``) start an object.
- ``add_point`` (``stamp``, ``x``, ``y``) and ``add_points`` (``stamp``, ``points``) change one,
  with ``object`` and ``positive``.
- ``suggest`` (``stamp``, ``x``, ``y``, ``width``, ``height``: of the picture) asks what a click
  may mean, and ``take`` (``suggestion``: the number of that request, ``candidate``: from 0)
  starts an object from what was answered.
- ``another`` (``object``, ``width``, ``height``) takes the next candidate for an object that a
  click of this page has started.
- ``undo`` (``object``), ``remove`` (``object``), ``reset`` and ``enable`` (``on``).

To the page: ``answer`` (``request``, ``ok``, ``message``, ``object`` if one was started, and
``candidates`` if some were asked for: ``score``, and ``outline``, which are polygons),
``objects``, ``status``, ``notice`` (``level``, ``text``), ``error`` (``message``: what is wrong
with a message from the page); and pictures: the header below, then the JPEG.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sam_pt_ros.interchange.visualization import object_colour
from sam_pt_ros.masks import MAX_OBJECT_ID
from sam_pt_ros.picker.outlines import outline
from sam_pt_ros.picker.tracker_interface import (
    MAX_POINTS,
    Candidate,
    Gesture,
    ObjectView,
    PickerClick,
    Picture,
    Stamp,
)

PICTURE_HEADER = struct.Struct("<iId")
"""The stamp in seconds and nanoseconds, and its age in seconds."""

MAX_MESSAGE = 4096
"""Largest size of a message from the page, bytes."""

_MAX_SIDE = 65536
_MAX_AREA = 2**26  # pixels of a picture: a mask of that size may have to be made
_MAX_CANDIDATE = 255
_MAX_REQUEST = 2**53 - 1  # JavaScript's largest integer

_CLICK, _LINE, _SIZE = {"stamp", "x", "y"}, {"stamp", "points"}, {"width", "height"}
_FIELDS: dict[str, set[str]] = {
    "add_object": _CLICK,
    "add_box": {"stamp", "box"},
    "add_line": _LINE,
    "add_point": _CLICK | {"object", "positive"},
    "add_points": _LINE | {"object", "positive"},
    "suggest": _CLICK | _SIZE,
    "take": {"suggestion", "candidate"},
    "another": {"object"} | _SIZE,
    "undo": {"object"},
    "remove": {"object"},
    "reset": set(),
    "enable": {"on"},
}
"""The fields of each command, besides ``type`` and ``request``."""


class ProtocolError(ValueError):
    """A message from a page is not valid."""


@dataclass(frozen=True)
class Drawn:
    """The page has drawn a picture and can take another."""


@dataclass(frozen=True)
class Command:
    """A command from a page.

    Attributes:
        request: number that the answer repeats.
        action: its ``type``.
        click: for ``add_object``, ``add_point`` and ``suggest``.
        object_id: of the object that is changed or removed.
        on: whether points are positive, or images are processed (``enable``).
        gesture: for ``add_box``, ``add_line`` and ``add_points``.
        image_size: height, width of the picture, for ``suggest`` and ``another``.
        suggestion: number of the request that ``take`` refers to.
        candidate: which of its candidates.
    """

    request: int
    action: str
    click: PickerClick | None = None
    object_id: int = 0
    on: bool = True
    gesture: Gesture | None = None
    image_size: tuple[int, int] = (0, 0)
    suggestion: int = 0
    candidate: int = 0


def parse(text: str) -> Drawn | Command:
    """Parse a message from a page; ProtocolError if it is not valid."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("not JSON") from None
    if not isinstance(content, dict):
        raise ProtocolError("not a JSON object")
    action = content.get("type")
    if action == "drawn":
        _refuse_others(content, {"type"})
        return Drawn()
    if not isinstance(action, str) or action not in _FIELDS:
        raise ProtocolError("unknown type")
    fields = _FIELDS[action]
    _refuse_others(content, fields | {"type", "request"})
    return Command(
        _integer(content, "request", 0, _MAX_REQUEST),
        action,
        _click(content) if fields >= _CLICK else None,
        _integer(content, "object", 1, MAX_OBJECT_ID) if "object" in fields else 0,
        all(_truth(content, name) for name in ("positive", "on") if name in fields),
        _gesture(content) if fields & {"points", "box"} else None,
        _size(content) if fields >= _SIZE else (0, 0),
        _integer(content, "suggestion", 0, _MAX_REQUEST) if "suggestion" in fields else 0,
        _integer(content, "candidate", 0, _MAX_CANDIDATE) if "candidate" in fields else 0,
    )


def _refuse_others(content: dict[str, Any], known: set[str]) -> None:
    if content.keys() - known:
        raise ProtocolError(f"unknown field; known ones are {', '.join(sorted(known))}")


def _click(content: dict[str, Any]) -> PickerClick:
    return PickerClick(_stamp(content), *(_pixel(content, name) for name in ("x", "y")))


def _stamp(content: dict[str, Any]) -> Stamp:
    stamp = content.get("stamp")
    if not (isinstance(stamp, list) and len(stamp) == 2):
        raise ProtocolError("'stamp' must be [seconds, nanoseconds]")
    parts = dict(zip(("seconds", "nanoseconds"), stamp))
    seconds = _integer(parts, "seconds", 0, 2**31 - 1)
    nanoseconds = _integer(parts, "nanoseconds", 0, 999_999_999)
    return seconds, nanoseconds


def _gesture(content: dict[str, Any]) -> Gesture:
    stamp = _stamp(content)
    if "box" in content:
        left, top, right, bottom = _numbered(content, "box", 4, 4)
        edges = tuple(
            _integer({"box": v}, "box", 0, _MAX_SIDE) for v in (left, top, right, bottom)
        )
        if edges[2] < edges[0] or edges[3] < edges[1]:
            raise ProtocolError("'box' must be [left, top, right, bottom]")
        return Gesture(stamp, box=(edges[0], edges[1], edges[2], edges[3]))
    points = []
    for point in _numbered(content, "points", 1, MAX_POINTS):
        if not (isinstance(point, list) and len(point) == 2):
            raise ProtocolError("'points' must hold [x, y] each")
        x, y = (_pixel({"points": value}, "points") for value in point)
        points.append((x, y))
    return Gesture(stamp, tuple(points))


def _numbered(content: dict[str, Any], name: str, least: int, most: int) -> list[Any]:
    value = content.get(name)
    if not (isinstance(value, list) and least <= len(value) <= most):
        raise ProtocolError(f"'{name}' must be a list of {least} to {most}")
    return value


def _size(content: dict[str, Any]) -> tuple[int, int]:
    height, width = (_integer(content, name, 1, _MAX_SIDE) for name in ("height", "width"))
    if height * width > _MAX_AREA:
        raise ProtocolError(f"'width' times 'height' must be {_MAX_AREA} at most")
    return height, width


def _integer(content: dict[str, Any], name: str, low: int, high: int) -> int:
    value = content.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(f"'{name}' must be an integer from {low} to {high}")
    return value


def _pixel(content: dict[str, Any], name: str) -> float:
    value: Any = content.get(name)
    # JSON's integers have no limit, and Python reads NaN and Infinity.
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (numeric and -0.5 <= value < _MAX_SIDE):
        raise ProtocolError(f"'{name}' must be a pixel of an image")
    return float(value)


def _truth(content: dict[str, Any], name: str) -> bool:
    value = content.get(name)
    if not isinstance(value, bool):
        raise ProtocolError(f"'{name}' must be true or false")
    return value


def picture_message(picture: Picture) -> bytes:
    """The message of a picture."""
    return PICTURE_HEADER.pack(*picture.stamp, picture.age) + picture.jpeg


def objects_message(objects: Sequence[ObjectView]) -> str:
    """The message of the list of objects, with their colours in the picture."""
    return json.dumps({"type": "objects", "objects": [_described(item) for item in objects]})


def _described(item: ObjectView) -> dict[str, Any]:
    return {
        "id": item.object_id,
        "label": item.label,
        "state": item.state,
        "score": item.score if math.isfinite(item.score) else 0.0,
        "points": [item.points_visible, item.points_total],
        "distance": item.distance,
        "colour": "#{:02x}{:02x}{:02x}".format(*object_colour(item.object_id)),
    }


def status_message(node: str, present: bool, active: bool, paused: bool) -> str:
    """The message of the tracking node's status."""
    status = {"node": node, "present": present, "active": active, "paused": paused}
    return json.dumps({"type": "status", **status})


def answer_message(
    request: int,
    ok: bool,
    message: str,
    object_id: int | None = None,
    candidates: Sequence[Candidate] = (),
) -> str:
    """The answer to a command."""
    answer = {"request": request, "ok": ok, "message": message, "object": object_id}
    shown = [{"score": each.score, "outline": outline(each.mask)} for each in candidates]
    return json.dumps({"type": "answer", **answer, "candidates": shown})


def notice_message(level: str, text: str) -> str:
    """The message of a notice to show."""
    return json.dumps({"type": "notice", "level": level, "text": text})


def error_message(message: str) -> str:
    """The message of an error in a message from the page."""
    return json.dumps({"type": "error", "message": message})
