"""What the picker's server needs of whoever tracks. Neither ROS nor a web library here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Stamp = tuple[int, int]
"""Seconds and nanoseconds of an image."""


class TrackerError(Exception):
    """It was not done; the message says why, in words for the user."""


@dataclass(frozen=True)
class Picture:
    """An image with all that is known of it drawn on it.

    Attributes:
        stamp: the image's.
        age: seconds from the stamp to now, by the clock of the one who tracks.
        jpeg: the file's bytes.
    """

    stamp: Stamp
    age: float
    jpeg: bytes


@dataclass(frozen=True)
class ObjectView:
    """One object, as a list shows it.

    Attributes:
        object_id: its id, from 1 on.
        label: its name; may be empty.
        state: ``tracking``, ``occluded`` or ``lost``.
        score: quality of its mask, 0 to 1; 0 without a mask.
        points_visible: positive points that are seen.
        points_total: positive points in all.
        distance: metres from the camera; None if that is not known.
    """

    object_id: int
    label: str
    state: str
    score: float
    points_visible: int
    points_total: int
    distance: float | None = None


@dataclass(frozen=True)
class PickerClick:
    """A pixel of an image.

    Attributes:
        stamp: of the image that was shown.
        x: column; the centre of the top-left pixel is (0, 0).
        y: row.
    """

    stamp: Stamp
    x: float
    y: float


@dataclass(frozen=True)
class Started:
    """An object that was started: its id, and what is to be said about it."""

    object_id: int
    message: str


class Listener(Protocol):
    """Hears what is tracked, in the thread of the server's event loop."""

    def on_picture(self, picture: Picture) -> None:
        """An image was processed; only while pictures are wanted."""

    def on_objects(self, objects: Sequence[ObjectView]) -> None:
        """All objects of an image."""

    def on_presence(self, present: bool, active: bool) -> None:
        """Whether there is anybody who tracks, and whether they take images and clicks."""

    def on_notice(self, level: str, text: str) -> None:
        """Something to be shown to the user; level ``warning`` or ``error``."""


class Tracker(Protocol):
    """Tracks, and is told what; all methods are called in the thread of the event loop.

    What fails raises TrackerError. The strings returned are to be said to the user.
    """

    name: str

    def want_pictures(self, wanted: bool) -> None:
        """Whether anybody looks."""

    async def add_object(self, click: PickerClick) -> Started:
        """Start an object at a pixel that is on it."""

    async def add_point(self, object_id: int, click: PickerClick, positive: bool) -> str:
        """Add a pixel on, or beside, an object."""

    async def remove_object(self, object_id: int) -> str:
        """Stop tracking an object."""

    async def reset(self) -> str:
        """Forget all objects."""

    async def enable(self, enabled: bool) -> str:
        """Process images, or ignore them."""
