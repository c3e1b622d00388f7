"""Notices drivers that do not stamp what they publish. No ROS here."""

from __future__ import annotations

_SECOND = 1_000_000_000
_ENOUGH = 5  # images with the stamp of the one before; fewer may be repetitions


class StampWatch:
    """Looks at the stamps of one topic, also of what is not used; any thread may ask.

    Args:
        what: is stamped, in the plural, for the text.

    Attributes:
        problem: what is wrong and what to do, as long as the newest stamps do not tell images
            apart; empty otherwise.
        repeats: whether the newest stamp is that of the image before.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._last: int | None = None
        self._shared = 0  # stamps that were that of the image before, since one was a good one
        self.problem = ""
        self.repeats = False

    def see(self, stamp: int) -> None:
        """Take the stamp of the next image, nanoseconds."""
        self.repeats = stamp == self._last
        if self.repeats:
            self._shared += 1
        elif stamp % _SECOND:  # whole seconds may change and still be shared
            self._shared = 0
        self._last = stamp
        self.problem = self._text(stamp) if self._shared >= _ENOUGH else ""

    def _text(self, stamp: int) -> str:
        seconds, nanoseconds = divmod(stamp, _SECOND)
        if stamp == 0:
            how = f"the {self._what} carry no stamp (it is 0)"
        elif nanoseconds == 0:
            how = f"the {self._what} share stamps of whole seconds (their nanosec is 0)"
        else:
            how = f"the {self._what} all carry the stamp {seconds}.{nanoseconds:09d}"
        return (
            f"{how}, and only the first of each stamp is used: have their driver stamp each with "
            "the time when it was taken, or set the parameter stamp_on_arrival to true"
        )
