"""The interface between the picker's server and a tracker; needs neither ROS nor aiohttp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sam_pt_ros.masks import CroppedMask

MAX_POINTS = 8
"""Largest number of points of a gesture."""

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
class Gesture:
    """What a person drew on an image: a line or a box.

    Attributes:
        stamp: of the displayed image.
        points: x, y of pixels along the line; empty for a box.
        box: left, top, right, bottom: the pixels at the edges, which belong to the box.
    """

    stamp: Stamp
    points: tuple[tuple[float, float], ...] = ()
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if bool(self.points) == (self.box is not None):
            raise ValueError("a gesture is either a line or a box")
        if len(self.points) > MAX_POINTS:
            raise ValueError(f"a line has at most {MAX_POINTS} points, got {len(self.points)}")
        if not all(math.isfinite(value) for point in self.points for value in point):
            raise ValueError("points must be finite")
        if self.box is not None:
            left, top, right, bottom = self.box
            if not (0 <= left <= right and 0 <= top <= bottom):
                raise ValueError(f"a box is left, top, right, bottom; got {self.box}")


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a click may mean, and how likely that is compared with the other candidates."""

    mask: CroppedMask
    score: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.score):
            raise ValueError(f"a score must be finite, got {self.score}")
        x, y, width, height = self.mask.roi
        rows, columns = self.mask.image_size
        if x < 0 or y < 0 or x + width > columns or y + height > rows:
            raise ValueError(f"the mask extends beyond the image of {columns}x{rows}")


@dataclass(frozen=True, eq=False)
class Suggestion:
    """What a click may mean.

    Attributes:
        click: the pixel, and the stamp of the image of the masks.
        candidates: at least one; the likeliest first.
    """

    click: PickerClick
    candidates: tuple[Candidate, ...]

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("a suggestion has at least one candidate")


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

    async def start_object(self, gesture: Gesture) -> Started:
        """Start an object from a line on it, or from a box around it."""

    async def add_line(self, object_id: int, line: Gesture, positive: bool) -> str:
        """Add the points of a line on an object, or beside it, all at once."""

    async def suggest(self, click: PickerClick, image_size: tuple[int, int]) -> Suggestion:
        """What a new object's pixel may mean; nothing is started.

        Args:
            click: the pixel.
            image_size: height, width of the image.
        """

    async def take(
        self, suggestion: Suggestion, index: int, object_id: int | None = None
    ) -> Started:
        """Start an object from a candidate.

        Args:
            suggestion: what was suggested.
            index: which of its candidates.
            object_id: an object that starts anew from it; None: a new object.
        """

    async def undo(self, object_id: int) -> str:
        """Take back the newest change of an object."""

    async def remove_object(self, object_id: int) -> str:
        """Stop tracking an object."""

    async def reset(self) -> str:
        """Remove all objects."""

    async def enable(self, enabled: bool) -> str:
        """Process images, or ignore them."""
