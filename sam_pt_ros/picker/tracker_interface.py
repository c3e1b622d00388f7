"""The interface between the picker's server and a tracker; needs neither ROS nor aiohttp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Stamp = tuple[int, int]
"""Stamp of an image: seconds and nanoseconds."""


class TrackerError(Exception):
    """A command failed; the message tells the user why."""


@dataclass(frozen=True)
class Picture:
    """An image with the tracked objects drawn on it.

    Attributes:
        stamp: of the image.
        age: seconds from the stamp to now, by the tracker's clock.
        jpeg: the image as JPEG.
    """

    stamp: Stamp
    age: float
    jpeg: bytes


@dataclass(frozen=True)
class ObjectView:
    """An object in the list.

    Attributes:
        object_id: its id, 1 or more.
        label: its name; may be empty.
        state: ``tracking``, ``occluded`` or ``lost``.
        score: quality of its mask, 0 to 1; 0 without a mask.
        points_visible: number of visible positive points.
        points_total: number of positive points.
        distance: metres from the camera; None if unknown.
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
        stamp: of the displayed image.
        x: column; the centre of the top-left pixel is (0, 0).
        y: row.
    """

    stamp: Stamp
    x: float
    y: float


@dataclass(frozen=True)
class Started:
    """An object that was started: its id, and a message for the user."""

    object_id: int
    message: str


class Listener(Protocol):
    """Receives what is tracked, in the thread of the server's event loop."""

    def on_picture(self, picture: Picture) -> None:
        """Receive a processed image; only while pictures are wanted."""

    def on_objects(self, objects: Sequence[ObjectView]) -> None:
        """Receive all objects of an image."""

    def on_presence(self, present: bool, active: bool) -> None:
        """Receive whether the tracker is present, and whether it takes images and clicks."""

    def on_notice(self, level: str, text: str) -> None:
        """Receive a message for the user; level ``warning`` or ``error``."""


class Tracker(Protocol):
    """Tracks objects on command; all methods are called in the thread of the event loop.

    A command that fails raises TrackerError. Returned strings are messages for the user.
    """

    name: str

    def want_pictures(self, wanted: bool) -> None:
        """Set whether pictures are wanted."""

    async def add_object(self, click: PickerClick) -> Started:
        """Start an object from a pixel on it."""

    async def add_point(self, object_id: int, click: PickerClick, positive: bool) -> str:
        """Add a pixel on an object, or beside it."""

    async def remove_object(self, object_id: int) -> str:
        """Stop tracking an object."""

    async def reset(self) -> str:
        """Remove all objects."""

    async def enable(self, enabled: bool) -> str:
        """Process images, or ignore them."""
