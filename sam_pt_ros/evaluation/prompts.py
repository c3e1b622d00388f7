"""Schedules of prompts, and the YAML file that describes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt, PromptRequest
from sam_pt_ros.options import did_you_mean
from sam_pt_ros.options.yaml_files import read_yaml
from sam_pt_ros.recordings.clicks import Click

_KEYS = ("frame", "stamp", "pixel", "label", "object", "name")
_LABELS = {"positive": POSITIVE, "negative": NEGATIVE, POSITIVE: POSITIVE, NEGATIVE: NEGATIVE}


@dataclass(frozen=True)
class PromptEvent:
    """Prompts on one frame, given by its index or by its stamp.

    Attributes:
        requests: the prompts.
        frame: index of the frame; None if the stamp is given.
        stamp: nanoseconds; it means the first frame that is not earlier.
    """

    requests: tuple[PromptRequest, ...]
    frame: int | None = None
    stamp: int | None = None

    def __post_init__(self) -> None:
        if (self.frame is None) == (self.stamp is None):
            raise UserError("a prompt needs the frame or the stamp of its image, not both")

    def due(self, frame: InputFrame) -> bool:
        """Whether this is the prompts' frame, or a later one."""
        if self.frame is not None:
            return self.frame <= frame.index
        return self.stamp is not None and self.stamp <= frame.stamp

    @property
    def when(self) -> str:
        """The frame or the stamp, for messages."""
        return f"frame {self.frame}" if self.frame is not None else f"stamp {self.stamp}"


class PromptSchedule:
    """Hands out prompts with their frames; a :class:`~.stream.Prompter`.

    Args:
        events: those on the same frame in the order in which they are applied.
    """

    def __init__(self, events: Sequence[PromptEvent]) -> None:
        self._waiting = list(events)

    def __call__(self, frame: InputFrame) -> Sequence[PromptRequest]:
        """The requests on ``frame``; those on the same object are merged."""
        due = [event for event in self._waiting if event.due(frame)]
        self._waiting = [event for event in self._waiting if not event.due(frame)]
        return _joined([request for event in due for request in event.requests])

    @property
    def unused(self) -> list[PromptEvent]:
        """The events whose frame has not come."""
        return list(self._waiting)


def _joined(requests: Sequence[PromptRequest]) -> list[PromptRequest]:
    """Merge requests on the same object id; requests without an id stay separate."""
    made: list[PromptRequest] = []
    places: dict[int, int] = {}
    for request in requests:
        place = None if request.object_id is None else places.get(request.object_id)
        if place is None:
            if request.object_id is not None:
                places[request.object_id] = len(made)
            made.append(request)
            continue
        first = made[place]
        prompt = ObjectPrompt(
            np.concatenate([first.prompt.points, request.prompt.points]),
            np.concatenate([first.prompt.labels, request.prompt.labels]),
            first.prompt.box,
            first.prompt.mask,
        )
        made[place] = PromptRequest(prompt, first.object_id, first.label)
    return made


def click_requests(clicks: Sequence[Click]) -> tuple[PromptRequest, ...]:
    """Clicks on one frame as one request per object, in order of their first clicks."""
    groups: dict[int, list[Click]] = {}
    for click in clicks:
        groups.setdefault(click.object_id, []).append(click)
    return tuple(
        PromptRequest(
            ObjectPrompt(
                np.array([(c.x, c.y) for c in group]),
                np.array([c.label for c in group], np.int32),
            ),
            object_id,
            next((c.name for c in group if c.name), ""),
        )
        for object_id, group in groups.items()
    )


def read_prompts(path: Path) -> tuple[PromptEvent, ...]:
    """Read a file of prompts.

    The file is a list of clicks. Each has the frame (its index from 0) or the stamp (integer
    nanoseconds) of its image, the pixel (x, y; the centre of the top-left pixel is 0, 0) and,
    optionally, a ``label`` (positive, the default: on the object; or negative: beside it), the
    object's number (default: 1) and its name::

        prompts:
          - {frame: 0, pixel: [320, 180], object: 1, name: cup}
          - {frame: 0, pixel: [20, 40], label: negative, object: 1}
          - {stamp: 1700000000123456789, pixel: [500, 90.5], object: 2}

    Raises:
        UserError: the file cannot be read, or has another form.
    """
    content = read_yaml(path)
    entries = content.get("prompts") if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or not entries or set(content) != {"prompts"}:
        raise UserError(f"{path}: must hold a list of clicks under 'prompts:', and nothing else")
    clicks: dict[tuple[str, int], list[Click]] = {}
    for number, entry in enumerate(entries, start=1):
        key, click = _read_click(entry, f"{path}: prompt {number}")
        clicks.setdefault(key, []).append(click)
    try:
        return tuple(
            PromptEvent(click_requests(group), **{kind: value})
            for (kind, value), group in clicks.items()
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _read_click(entry: Any, where: str) -> tuple[tuple[str, int], Click]:
    """The name and value of the key that says when, and the click."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{where}: must be a mapping with a 'pixel', got {entry!r}")
    for key in entry:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key '{key}'{did_you_mean(str(key), _KEYS)}")
    when = [key for key in ("frame", "stamp") if key in entry]
    if len(when) != 1:
        raise UserError(f"{where}: needs 'frame' or 'stamp', not both")
    value = entry[when[0]]
    if type(value) is not int or value < 0:
        raise UserError(
            f"{where}: '{when[0]}' must be an integer, 0 or more"
            f"{' (nanoseconds)' if when[0] == 'stamp' else ''}, got {value!r}"
        )
    pixel = entry.get("pixel")
    if (
        not isinstance(pixel, list)
        or len(pixel) != 2
        or not all(type(number) in (int, float) for number in pixel)
    ):
        raise UserError(f"{where}: 'pixel' must be [x, y], got {pixel!r}")
    label = entry.get("label", "positive")
    if type(label) not in (int, str) or label not in _LABELS:
        raise UserError(f"{where}: 'label' must be positive or negative, got {label!r}")
    object_id, name = entry.get("object", 1), entry.get("name", "")
    if type(object_id) is not int:
        raise UserError(f"{where}: 'object' must be an integer, 1 or more, got {object_id!r}")
    if not isinstance(name, str):
        raise UserError(f"{where}: 'name' must be text, got {name!r}; put it in quotes")
    try:
        click = Click(float(pixel[0]), float(pixel[1]), _LABELS[label], object_id, name)
    except (UserError, OverflowError) as error:
        raise UserError(f"{where}: {error}") from error
    return (when[0], value), click
