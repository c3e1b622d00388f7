"""How far the stamps of prompts may be from the frames of the history."""

from __future__ import annotations

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.frames import Frame

MAX_APART = 10_000_000_000
"""Nanoseconds by which a prompt may be ahead of the newest frame, or before the first. More means
that the clocks disagree."""

_CLOCKS = "synchronise the clocks, or use stamp 0 for the newest frame"


def check_ahead(stamp: int, newest: Frame) -> None:
    """FrameUnavailableError if a stamp is too far ahead of the newest frame."""
    if stamp > newest.stamp + MAX_APART:
        raise FrameUnavailableError(
            f"the stamp {stamp} ns is {(stamp - newest.stamp) * 1e-9:.1f} s ahead of the newest "
            f"frame; {_CLOCKS}"
        )


def check_behind(stamp: int, first: Frame) -> None:
    """UserError if a stamp is too far before the first frame."""
    if stamp < first.stamp - MAX_APART:
        raise UserError(
            f"the stamp {stamp} ns is {(first.stamp - stamp) * 1e-9:.1f} s older than the first "
            f"frame; {_CLOCKS}"
        )


def later(one: int | None, other: int | None) -> int | None:
    """The later of two stamps; None, the next frame, is before all others."""
    return other if one is None else one if other is None else max(one, other)
