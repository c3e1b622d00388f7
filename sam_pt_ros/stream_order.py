"""Whether an image goes on where the one before was, by its stamp. No ROS here."""

from __future__ import annotations

from sam_pt_ros.errors import UserError

LATE = 1_000_000_000
"""Nanoseconds that an image may be late; those that are older come from another time."""


class StreamOrder:
    """Tells the next image from one that is late, twice there, or of another time.

    A single image of another time, as broken drivers send, changes nothing. A second one that goes
    on from it begins a new stream: a recording that loops, a clock that was set.

    Args:
        max_gap: nanoseconds without images beyond which a stream is another one.
    """

    def __init__(self, max_gap: int) -> None:
        self._max_gap = max_gap
        self._stray: int | None = None  # stamp of the last image that was of another time

    def reset(self) -> None:
        """The next image may have any stamp."""
        self._stray = None

    def begins_stream(self, stamp: int, newest: int | None) -> bool:
        """Whether an image is of another time than those before it, and they are over.

        Args:
            stamp: the image's, nanoseconds.
            newest: that of the image before; None if there is none.

        Raises:
            UserError: the image is no image of this stream, or of a new one; leave it out.
        """
        if newest is None:
            return False
        ahead = stamp - newest
        if 0 < ahead <= self._max_gap:
            self._stray = None
            return False
        if ahead == 0:
            raise UserError("its stamp is that of the image before; are there two cameras?")
        if -LATE < ahead < 0:
            raise UserError("it is older than the image before; are there two cameras?")
        stray, self._stray = self._stray, stamp
        if stray is not None and 0 < stamp - stray <= self._max_gap:
            self._stray = None
            return True
        raise UserError(
            f"its stamp is {abs(ahead) * 1e-9:.0f} s {'after' if ahead > 0 else 'before'} that of "
            "the image before; if the next one goes on from there, all objects are forgotten"
        )
