"""The messages between page and server. They are JSON, except for pictures, which are binary.

From the page, each with a ``type``: ``drawn`` (a picture has been drawn) and commands. Commands
have a number ``request`` that the answer repeats: ``add_object`` (``stamp``, ``x``, ``y``),
``add_point`` (these, ``object`` and ``positive``), ``remove`` (``object``), ``reset`` and
``enable`` (``on``).

To the page: ``answer`` (``request``, ``ok``, ``message``, and ``object`` if one was started),
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
from sam_pt_ros.picker.tracker_interface import ObjectView, PickerClick, Picture

PICTURE_HEADER = struct.Struct("<iId")
"""The stamp in seconds and nanoseconds, and its age in seconds."""

MAX_MESSAGE = 4096
"""Largest size of a message from the page, bytes."""

_MAX_PIXEL = 65535.0
_MAX_REQUEST = 2**53 - 1  # JavaScript's largest integer


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
        action: ``add_object``, ``add_point``, ``remove``, ``reset`` or ``enable``.
        click: for ``add_object`` and ``add_point``.
        object_id: for ``add_point`` and ``remove``.
        on: whether a point is positive (``add_point``), or images are processed (``enable``).
    """

    request: int
    action: str
    click: PickerClick | None = None
    object_id: int = 0
    on: bool = True


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
        return Drawn()
    if action not in ("add_object", "add_point", "remove", "reset", "enable"):
        raise ProtocolError("unknown type")
    request = _integer(content, "request", 0, _MAX_REQUEST)
    click, object_id, on = None, 0, True
    if action in ("add_object", "add_point"):
        click = _click(content)
    if action in ("add_point", "remove"):
        object_id = _integer(content, "object", 1, MAX_OBJECT_ID)
    if action in ("add_point", "enable"):
        on = _truth(content, "positive" if action == "add_point" else "on")
    return Command(request, action, click, object_id, on)


def _click(content: dict[str, Any]) -> PickerClick:
    stamp = content.get("stamp")
    if not (isinstance(stamp, list) and len(stamp) == 2):
        raise ProtocolError("'stamp' must be [seconds, nanoseconds]")
    parts = dict(zip(("seconds", "nanoseconds"), stamp))
    seconds = _integer(parts, "seconds", 0, 2**31 - 1)
    nanoseconds = _integer(parts, "nanoseconds", 0, 999_999_999)
    x, y = (_pixel(content, name) for name in ("x", "y"))
    return PickerClick((seconds, nanoseconds), x, y)


def _integer(content: dict[str, Any], name: str, low: int, high: int) -> int:
    value = content.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(f"'{name}' must be an integer from {low} to {high}")
    return value


def _pixel(content: dict[str, Any], name: str) -> float:
    value: Any = content.get(name)
    # JSON's integers have no limit, and Python reads NaN and Infinity.
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (numeric and -0.5 <= value <= _MAX_PIXEL):
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


def answer_message(request: int, ok: bool, message: str, object_id: int | None = None) -> str:
    """The answer to a command."""
    answer = {"request": request, "ok": ok, "message": message, "object": object_id}
    return json.dumps({"type": "answer", **answer})


def notice_message(level: str, text: str) -> str:
    """The message of a notice to show."""
    return json.dumps({"type": "notice", "level": level, "text": text})


def error_message(message: str) -> str:
    """The message of an error in a message from the page."""
    return json.dumps({"type": "error", "message": message})
