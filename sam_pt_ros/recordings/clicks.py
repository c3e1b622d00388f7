"""Clicks, as they are given on the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import MAX_OBJECT_ID
from sam_pt_ros.objects import NEGATIVE, POSITIVE

SYNTAX = "x,y[,+|-[,OBJECT]], for example --click 320,180 --click 20,40,- --click 500,90,+,2"

_LABELS = {"+": POSITIVE, "-": NEGATIVE}


@dataclass(frozen=True)
class Click:
    """A pixel on an object, or beside it.

    Attributes:
        x: pixels to the right; the centre of the top-left pixel is (0, 0).
        y: pixels down.
        label: POSITIVE or NEGATIVE.
        object_id: 1 to 65535.
        name: of the object; may be empty.
    """

    x: float
    y: float
    label: int = POSITIVE
    object_id: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise UserError(
                f"the coordinates of a click must be finite, got ({self.x:g}, {self.y:g})"
            )
        if self.label not in (NEGATIVE, POSITIVE):
            raise UserError(f"the label of a click must be 0 or 1, got {self.label}")
        if not 1 <= self.object_id <= MAX_OBJECT_ID:
            raise UserError(
                f"the object of a click must be 1 to {MAX_OBJECT_ID}, got {self.object_id}"
            )

    def scaled(self, factor_x: float, factor_y: float) -> Click:
        """The same place in an image scaled by these factors."""
        return replace(self, x=(self.x + 0.5) * factor_x - 0.5, y=(self.y + 0.5) * factor_y - 0.5)


@dataclass(frozen=True)
class ClickEvent:
    """Clicks on the first image with this stamp (nanoseconds) or a later one."""

    stamp: int
    clicks: tuple[Click, ...]


def parse_click(text: str) -> Click:
    """Parse ``x,y[,label[,object]]``; UserError if the text has another form."""
    parts = [part.strip() for part in text.split(",")]
    try:
        if not 2 <= len(parts) <= 4:
            raise ValueError
        x, y = float(parts[0]), float(parts[1])
        label = _LABELS[parts[2]] if len(parts) > 2 else POSITIVE
        object_id = int(parts[3]) if len(parts) > 3 else 1
    except (ValueError, KeyError):
        raise UserError(f"--click '{text}' is not a click; write {SYNTAX}") from None
    return Click(x, y, label, object_id)


def check_clicks(clicks: Sequence[Click], width: int, height: int) -> None:
    """UserError if a click is outside the image, or an object has negative clicks only."""
    for click in clicks:
        if not (-0.5 <= click.x <= width - 0.5 and -0.5 <= click.y <= height - 0.5):
            raise UserError(
                f"the click ({click.x:g}, {click.y:g}) is outside the image of "
                f"{width}x{height} pixels; x must be 0 to {width - 1} and y 0 to {height - 1}"
            )
    started = {click.object_id for click in clicks if click.label == POSITIVE}
    for click in clicks:
        if click.object_id not in started:
            raise UserError(f"object {click.object_id} has no positive click; add a click on it")
