"""When what is pointed at: a schedule of prompts, and the file that it can be written in."""

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
    """Prompts on one frame, which is named by its index or by its stamp.

    Attributes:
        requests: what is asked for.
        frame: index of the frame; None if the stamp says it.
        stamp: nanoseconds: the first frame that is not earlier is meant.
    """

    requests: tuple[PromptRequest, ...]
    frame: int | None = None
    stamp: int | None = None

    def __post_init__(self) -> None:
        if (self.frame is None) == (self.stamp is None):
            raise UserError("a prompt needs the frame or the stamp of its image, and not both")

    def due(self, frame: InputFrame) -> bool:
        """Whether this frame is the one that is meant, or a later one."""
        if self.frame is not None:
            return self.frame <= frame.index
        return self.stamp is not None and self.stamp <= frame.stamp

    @property
    def when(self) -> str:
        """For messages."""
        return f"frame {self.frame}" if self.frame is not None else f"stamp {self.stamp}"


class PromptSchedule:
    """Hands out prompts when their frame comes; a :class:`~.stream.Prompter`.

    Args:
        events: in the order in which prompts on the same frame are to be made.
    """

    def __init__(self, events: Sequence[PromptEvent]) -> None:
        self._waiting = list(events)

    def __call__(self, frame: InputFrame) -> Sequence[PromptRequest]:
        """The requests that refer to ``frame``, those on the same object together."""
        due = [event for event in self._waiting if event.due(frame)]
        self._waiting = [event for event in self._waiting if not event.due(frame)]
        return _joined([request for event in due for request in event.requests])

    @property
    def unused(self) -> list[PromptEvent]:
        """What no frame has come for."""
        return list(self._waiting)


def _joined(requests: Sequence[PromptRequest]) -> list[PromptRequest]:
    """One request per object that is named; new objects stay apart."""
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
    """What clicks on one frame ask for, by object in the order of their first click."""
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

    It is a list of clicks, each with the frame (its index from 0) or the stamp (integer
    nanoseconds) of the image that it is on, the pixel (x, y; the centre of the top-left one is
    0, 0), whether it is on the object (``label``: positive, the default, or negative), the
    object's number (1 if not given) and, if it should have one, its name::

        prompts:
          - {frame: 0, pixel: [320, 180], object: 1, name: cup}
          - {frame: 0, pixel: [20, 40], label: negative, object: 1}
          - {stamp: 1700000000123456789, pixel: [500, 90.5], object: 2}

    Raises:
        UserError: a file that cannot be read or is not of that form.
    """
    content = read_yaml(path)
    entries = content.get("prompts") if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or not entries or set(content) != {"prompts"}:
        raise UserError(f"{path}: must hold 'prompts:' and a list of clicks, and nothing else")
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
    """The click, and the name and value of what says when it was made."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{where}: must be a mapping with a pixel, got {entry!r}")
    for key in entry:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key '{key}'{did_you_mean(str(key), _KEYS)}")
    when = [key for key in ("frame", "stamp") if key in entry]
    if len(when) != 1:
        raise UserError(f"{where}: needs 'frame' or 'stamp', and not both")
    value = entry[when[0]]
    if type(value) is not int or value < 0:
        raise UserError(
            f"{where}: '{when[0]}' must be an integer from 0 on"
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
        raise UserError(f"{where}: 'object' must be a number from 1 on, got {object_id!r}")
    if not isinstance(name, str):
        raise UserError(f"{where}: 'name' must be text, got {name!r}; quote it")
    try:
        click = Click(float(pixel[0]), float(pixel[1]), _LABELS[label], object_id, name)
    except (UserError, OverflowError) as error:
        raise UserError(f"{where}: {error}") from error
    return (when[0], value), click
