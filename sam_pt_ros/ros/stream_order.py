"""Tells by stamps whether an image continues the stream. No ROS here."""

from __future__ import annotations

from sam_pt_ros.errors import UserError

LATE = 1_000_000_000
"""Nanoseconds by which an image may be late; older ones are of another time."""

_ROUND = 2  # late images in order, after which one that goes back again is of a next round
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

    A recording that loops may be shorter than images may be late. So a late image counts as one of
    another time if it is not later than the stream's first, or if late images before it were in
    order and it goes back behind them: then it is of a next round.

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
        self._first: int | None = None  # stamp of the first image of the stream
        self._late: int | None = None  # stamp of the last image, if that was late
        self._lates = 0  # in order, up to that one

    def reset(self) -> None:
        """The next image may have any stamp."""
        self._stray = self._late = None
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
            self._first, self._resumed = stamp, False
            return False
        ahead = stamp - newest
        if ahead > 0 and (self._resumed or ahead <= self._max_gap):
            self._resumed = False
            far_stray = self._stray is not None and abs(self._stray - newest) >= LATE
            if far_stray or (ahead > LATE and self._goes_on(stamp, self._left)):
                self._mixed, self._in_order = True, 0
            self._stray = self._late = None
            self._in_order += 1
            if self._in_order >= _STEADY * self._needed:
                self._needed, self._mixed = _MIN_CONFIRMED, False
            return False
        if -LATE < ahead <= 0 and not self._may_begin(stamp, newest):
            self._note_late(stamp)
            raise UserError(
                "it is older than the image before"
                if ahead
                else "its stamp is that of the image before"
            )
        stray, self._stray, self._late = self._stray, stamp, None
        self._strays = self._strays + 1 if self._goes_on(stamp, stray) else 1
        if self._strays >= self._needed:
            self._stray, self._in_order, self._left = None, 0, newest
            self._first, self._resumed = stray, False
            if self._mixed:
                self._needed = min(2 * self._needed, _MAX_CONFIRMED)
            return True
        left = self._needed - self._strays
        raise StrayError(
            f"its stamp is {seconds_text(ahead)} {'after' if ahead > 0 else 'before'} that of the "
            f"image before; if the next {'one goes' if left == 1 else f'{left} go'} on from "
            "there, it begins a new stream, and all objects are forgotten"
        )

    def _may_begin(self, stamp: int, newest: int) -> bool:
        """Whether a late image may begin a stream, or go on from a stray that does."""
        if self._stray is not None and 0 < stamp - self._stray < LATE:
            return True
        if stamp == newest:
            return False
        if self._first is not None and stamp <= self._first:
            return True
        return self._late is not None and self._lates >= _ROUND and stamp < self._late

    def _note_late(self, stamp: int) -> None:
        in_order = self._late is not None and stamp > self._late
        self._lates = self._lates + 1 if in_order else 1
        self._late = stamp

    def _goes_on(self, stamp: int, before: int | None) -> bool:
        return before is not None and 0 < stamp - before <= self._max_gap


def seconds_text(nanoseconds: int) -> str:
    """The length of a time, whatever its sign: whole seconds, or two digits of a shorter one."""
    seconds = abs(nanoseconds) * 1e-9
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
