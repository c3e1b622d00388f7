"""Tells by stamps whether an image continues the stream. No ROS here."""

from __future__ import annotations

from sam_pt_ros.errors import UserError

LATE = 1_000_000_000
"""Nanoseconds by which an image may be late; older ones are of another time."""

_MIN_CONFIRMED, _MAX_CONFIRMED = 2, 64  # images of another time in a row that begin a stream
_STEADY = 10  # times as many images in order make a stream steady again


class StrayError(UserError):
    """The image is of another time, and may begin a new stream with those that follow."""


class StreamOrder:
    """Tells the next image from one that is late, repeated, or of another time.

    A single image of another time, as broken drivers send, changes nothing. A second one that
    continues it begins a new stream: a recording loops, or a clock was set. If images of two times
    keep alternating, as of two cameras, each new stream takes twice as many images in a row, until
    the stream stays with one camera.

    Args:
        max_gap: largest gap between images of one stream, nanoseconds.
    """

    def __init__(self, max_gap: int) -> None:
        self._max_gap = max_gap
        self._stray: int | None = None  # stamp of the last image that was of another time
        self._strays = 0  # that go on from each other, up to that one
        self._needed = _MIN_CONFIRMED
        self._in_order = 0  # images since the last stray
        self._mixed = False  # whether images of two times alternated, and it is not steady yet
        self._left: int | None = None  # stamp of the last image of the stream before
        self._resumed = False  # whether images were left out on purpose since the one before

    def reset(self) -> None:
        """The next image may have any stamp."""
        self._stray = None
        self._resumed = False

    def resume(self) -> None:
        """Images were left out on purpose: the next one may come after any gap."""
        self._resumed = True

    def begins_stream(self, stamp: int, newest: int | None) -> bool:
        """Whether an image begins a new stream, so that those before it are over.

        Args:
            stamp: the image's, nanoseconds.
            newest: stamp of the image before; None if there is none.

        Raises:
            StrayError: the image belongs to no stream yet.
            UserError: the image belongs to no stream; leave it out.
        """
        if newest is None:
            self._resumed = False
            return False
        ahead = stamp - newest
        if ahead > 0 and (self._resumed or ahead <= self._max_gap):
            self._resumed = False
            if self._stray is not None or (ahead > LATE and self._goes_on(stamp, self._left)):
                self._stray, self._mixed, self._in_order = None, True, 0
            self._in_order += 1
            if self._in_order >= _STEADY * self._needed:
                self._needed, self._mixed = _MIN_CONFIRMED, False
            return False
        if ahead == 0:
            raise UserError("its stamp is that of the image before")
        if -LATE < ahead < 0:
            raise UserError("it is older than the image before")
        stray, self._stray = self._stray, stamp
        self._strays = self._strays + 1 if self._goes_on(stamp, stray) else 1
        if self._strays >= self._needed:
            self._stray, self._in_order, self._left = None, 0, newest
            self._resumed = False
            if self._mixed:
                self._needed = min(2 * self._needed, _MAX_CONFIRMED)
            return True
        left = self._needed - self._strays
        raise StrayError(
            f"its stamp is {abs(ahead) * 1e-9:.0f} s {'after' if ahead > 0 else 'before'} that of "
            f"the image before; if the next {'one goes' if left == 1 else f'{left} go'} on from "
            "there, it begins a new stream, and all objects are forgotten"
        )

    def _goes_on(self, stamp: int, before: int | None) -> bool:
        return before is not None and 0 < stamp - before <= self._max_gap
