"""Which frames are segmented, and how long that may take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median

from sam_pt_ros.segmenters.base import Deadline

_REMEMBERED = 9
"""Number of newest segmented frames whose durations are considered."""


class SegmentationSchedule:
    """Decides for each frame whether to segment it.

    Args:
        every_n: segment every n-th frame.
        budget: seconds that a frame may take; 0: as long as it takes.
        clock: seconds.
    """

    def __init__(self, every_n: int, budget: float, clock: Callable[[], float]) -> None:
        self._every_n = every_n
        self._budget = budget
        self._clock = clock
        self._begin = clock()
        self._segmented = -every_n  # index of the newest frame that was
        # Seconds, each of a segmented frame, that its segmenter could not have left out.
        self._needed: deque[float] = deque(maxlen=_REMEMBERED)
        self._spent = 0.0  # the same, of this frame so far

    def change(self, every_n: int, budget: float) -> None:
        """Use another interval and budget from now on."""
        self._every_n = every_n
        self._budget = budget

    def begin(self) -> None:
        """Start the budget of a frame that has arrived."""
        self._begin = self._clock()

    def deadline(self, number: int) -> Deadline | None:
        """The deadline of the ``number``-th frame answered since ``begin``; None: no budget.

        Each frame has a budget of its own, which starts where that of the frame before ends.
        """
        if not self._budget:
            return None
        return Deadline(self._begin + (number + 1) * self._budget, self._clock)

    def due(self, index: int, deadline: Deadline | None) -> bool:
        """Whether a frame is to be segmented.

        The budget never skips a frame after one that was not segmented, for whatever reason: masks
        would drift.
        """
        since = index - self._segmented
        if since < self._every_n:
            return False
        if deadline is None or since > 1 or not self._needed:
            return True
        return deadline.allows(median(self._needed))

    def spent(self, seconds: float) -> None:
        """Count seconds that the segmenter could not have saved on a frame."""
        self._spent += seconds

    def segmented(self, index: int) -> None:
        """Note that a frame has been segmented."""
        self._segmented = index
        if self._spent:
            self._needed.append(self._spent)
        self._spent = 0.0
