"""Images that are no good in some way, as broken drivers and bad networks send them.

Camera and test make the same plan of the same seed: the one publishes it, the other knows by it
which stamps may be answered.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import Any

SECOND = 1_000_000_000
STEP = 1_000_000
"""Nanoseconds between the stamps of two images."""

GOOD = ("good", "empty frame_id", "long data")
"""What is to be answered."""

_WRONG_STAMPS = ("stamp of 0", "far future", "backwards", "late", "repeated")
_WRONG_PIXELS = ("step", "short data", "no data", "no size", "huge size", "encoding")
KINDS = GOOD + _WRONG_STAMPS + _WRONG_PIXELS

_UINT32 = 2**32 - 1
_ENCODINGS = ("", "rgb9", "RGB8", "rgb8 ", "8UC2", "64FC1", "\u00fcber", "x" * 1000, "rgb8\n")


@dataclass(frozen=True)
class Planned:
    """One image of a plan.

    Attributes:
        kind: one of KINDS.
        stamp: nanoseconds.
        choice: seed of what else is random about it.
    """

    kind: str
    stamp: int
    choice: int

    @property
    def good(self) -> bool:
        return self.kind in GOOD


def plan(seed: int, count: int, first: int) -> list[Planned]:
    """Images of all kinds, by chance; the stamps of the good ones ascend from ``first``.

    Those that are late or repeated have stamps of good ones: a node that has dropped these may
    take them.
    """
    rng = random.Random(seed)
    made: list[Planned] = []
    good = [first - STEP]  # stamps
    for number in range(count):
        kind, now = rng.choice(KINDS), first + number * STEP
        if kind == "stamp of 0":
            stamp = 0
        elif kind == "far future":
            stamp = now + rng.randrange(100, 4 * 10**8) * SECOND
        elif kind == "backwards":
            stamp = now - rng.randrange(20, 10**9) * SECOND
        elif kind in ("late", "repeated"):
            # As late as an image of the same stream may be.
            recent = [stamp for stamp in good[-500:] if stamp > now - SECOND]
            stamp = good[-1] if kind == "repeated" else rng.choice(recent or good[-1:])
        else:
            stamp = now
        made.append(Planned(kind, stamp, rng.randrange(2**32)))
        if made[-1].good:
            good.append(stamp)
    return made


def mutate(image: Any, planned: Planned) -> Any:
    """A copy of a good rgb8 image, spoilt as planned."""
    rng = random.Random(planned.choice)
    message = copy.copy(image)
    message.header = copy.deepcopy(image.header)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(planned.stamp, SECOND)
    size = len(image.data)
    if planned.kind == "empty frame_id":
        message.header.frame_id = ""
    elif planned.kind == "long data":
        message.data = image.data + image.data[: rng.randrange(1, 1000)]
    elif planned.kind == "step":
        message.step = rng.choice((0, 1, image.step - 1, image.step + 1, _UINT32))
        # One byte more for each row but the last is good again where the data has room for it.
        message.data = image.data[: size - rng.randrange(1, 100)]
    elif planned.kind == "short data":
        message.data = image.data[: rng.randrange(1, size)]
    elif planned.kind == "no data":
        message.data = image.data[:0]
    elif planned.kind == "no size":
        for side in rng.choice((("height",), ("width",), ("height", "width"))):
            setattr(message, side, 0)
    elif planned.kind == "huge size":
        for side in rng.choice((("height",), ("width",), ("height", "width", "step"))):
            setattr(message, side, rng.choice((16385, 2**16, 2**31, _UINT32)))
    elif planned.kind == "encoding":
        message.encoding = rng.choice(_ENCODINGS)
    return message
