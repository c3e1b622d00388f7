"""When, and at which frame, query points are resampled (SAM-PT, Appendix G).

Points drift and get lost. At a horizon, each object's points are replaced by new ones, sampled
from its predicted mask in a frame that the variant chooses. The choices are those of the authors'
code, without its error: that code restarts from an empty mask where none can be sampled from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import CroppedMask

MINIMUM_AREA = 25
"""Masks of this area in pixels, or less, are not sampled from."""


@dataclass
class MaskWindow:
    """An object since its points were last sampled.

    Attributes:
        start: index of that frame.
        masks: in the frames ``start``, ``start + 1``, ...; never empty when a choice is made.
        informed: index of the first frame whose mask knows of all that was clicked.
        first: whether the object was started in ``start``.
    """

    start: int
    masks: list[CroppedMask] = field(default_factory=list)
    informed: int = -1
    first: bool = False

    @property
    def newest(self) -> int:
        """Index of the last frame that it has a mask of."""
        return self.start + len(self.masks) - 1

    @property
    def areas(self) -> list[int]:
        """Pixels of each mask."""
        return [mask.area for mask in self.masks]

    def record(self, index: int, mask: CroppedMask) -> None:
        """Append the mask of a frame; frames in between that failed count as empty."""
        while self.newest < index - 1:
            self.masks.append(CroppedMask.empty(mask.image_size))
        self.masks.append(mask)

    def mask_at(self, index: int) -> CroppedMask:
        """The mask in a frame of the window."""
        return self.masks[index - self.start]

    def since(self, index: int) -> MaskWindow:
        """Its part from a frame on; empty if it does not reach there yet."""
        return MaskWindow(index, self.masks[index - self.start :], self.informed)

    def usable_areas(self, horizon: int) -> dict[int, int]:
        """Areas, by index of the frame, of the masks that points may be sampled from.

        Neither the first frame, nor the first quarter of the horizon, nor a mask of
        ``MINIMUM_AREA`` pixels or fewer.
        """
        first = 1 + horizon // 4
        areas = enumerate(self.areas[:horizon])
        return {self.start + i: area for i, area in areas if i >= first and area > MINIMUM_AREA}

    def candidates(self, horizon: int) -> dict[int, int]:
        """The same without the masks that do not know of something that was clicked."""
        usable = self.usable_areas(horizon)
        return {index: area for index, area in usable.items() if index >= self.informed}


class Reinitialization(ABC):
    """Chooses the frames to restart at."""

    def __init__(self, horizon: int) -> None:
        if horizon < 2:
            raise UserError(f"the reinitialization horizon must be at least 2, got {horizon}")
        self.horizon = horizon

    def choose(self, windows: Mapping[int, MaskWindow]) -> dict[int, int | None]:
        """The objects whose window ends now, with the index of the frame to restart at.

        None instead of an index begins a new window at the newest frame with the old points:
        there was no mask to sample from.

        Args:
            windows: of all objects, by object id, up to the newest frame.
        """
        groups: dict[int, dict[int, MaskWindow]] = {}
        for key, window in windows.items():
            groups.setdefault(window.start, {})[key] = window
        choices: dict[int, int | None] = {}
        for start, group in groups.items():
            newest = max(window.newest for window in group.values())
            later = [w.start for w in windows.values() if w.first and start < w.start <= newest]
            joined = min(later, default=None)
            full = {k: w for k, w in group.items() if self.ends(w, joined)}
            if full:
                choices.update(self.choose_together(full, joined))
        return choices

    def ends(self, window: MaskWindow, joined: int | None) -> bool:
        """Whether a window ends now; ``joined`` is as for ``choose_together``."""
        return self.full(window)

    @abstractmethod
    def choose_together(
        self, group: Mapping[int, MaskWindow], joined: int | None
    ) -> dict[int, int | None]:
        """The same for windows that begin in the same frame and end now.

        Args:
            group: by object id.
            joined: the first frame after it in which another object was started, or None.
        """

    def full(self, window: MaskWindow) -> bool:
        """Whether the window has as many frames as the horizon."""
        return window.newest - window.start >= self.horizon - 1

    def lost(self, window: MaskWindow) -> bool:
        """Whether the window is full and holds no mask that points may be sampled from."""
        return self.full(window) and not window.usable_areas(self.horizon)


class ReinitializeAtHorizon(Reinitialization):
    """Variant A: all objects together, at the last frame of the window.

    If another object is started within the window, it ends there, so that all go on together. An
    object whose mask there is too small keeps its points.
    """

    def ends(self, window: MaskWindow, joined: int | None) -> bool:
        return self.full(window) or joined is not None

    def choose_together(
        self, group: Mapping[int, MaskWindow], joined: int | None
    ) -> dict[int, int | None]:
        choices: dict[int, int | None] = {}
        for key, window in group.items():
            last = window.start + self.horizon - 1
            index = max(last if joined is None else min(last, joined), window.informed)
            usable = index <= window.newest and window.mask_at(index).area > MINIMUM_AREA
            choices[key] = index if usable else None
        return choices


class _EachByItself(Reinitialization):
    """Objects restart each in a frame of its own."""

    def choose_together(
        self, group: Mapping[int, MaskWindow], joined: int | None
    ) -> dict[int, int | None]:
        usable = {key: window.candidates(self.horizon) for key, window in group.items()}
        return {
            key: self.best(group[key], areas) if areas else None for key, areas in usable.items()
        }

    @abstractmethod
    def best(self, window: MaskWindow, usable: Mapping[int, int]) -> int:
        """The frame to restart at, of those whose masks can be sampled from (their areas)."""


class ReinitializeAtMedianArea(_EachByItself):
    """Variant B: each object by itself, where its area is the median; the lower of two."""

    def best(self, window: MaskWindow, usable: Mapping[int, int]) -> int:
        median = _lower_median(usable)
        # Of equal ones the newest: it has the fewest frames to catch up with.
        return max(index for index, area in usable.items() if area == median)


class ReinitializeAtSimilarArea(_EachByItself):
    """Variant C: each object by itself, where its area is nearest to that where it started."""

    def best(self, window: MaskWindow, usable: Mapping[int, int]) -> int:
        target = _target(window, usable)
        return min(usable, key=lambda index: abs(usable[index] - target))


class ReinitializeAtSimilarAreas(Reinitialization):
    """Variant D: like C, but at one frame for all objects whose windows begin together.

    The frame of the least sum of relative differences; one in which another object was
    started is preferred. An object without a usable mask there keeps its points.
    """

    UNUSABLE = 720.0
    """What a mask costs that cannot be sampled from."""
    TOGETHER = 36.0
    """By how much it is cheaper to go on together with other objects."""

    def choose_together(
        self, group: Mapping[int, MaskWindow], joined: int | None
    ) -> dict[int, int | None]:
        usable = {key: window.candidates(self.horizon) for key, window in group.items()}
        candidates = sorted({index for areas in usable.values() for index in areas})
        if not candidates:
            return dict.fromkeys(group)
        targets = {key: _target(group[key], areas) for key, areas in usable.items() if areas}

        def cost(index: int) -> float:
            differences = (
                abs(areas[index] - targets[key]) / targets[key]
                if index in areas
                else self.UNUSABLE
                for key, areas in usable.items()
            )
            return sum(differences) - (self.TOGETHER if index == joined else 0.0)

        chosen = min(candidates, key=cost)
        return {key: chosen if chosen in areas else None for key, areas in usable.items()}


def _lower_median(areas: Mapping[int, int]) -> int:
    return sorted(areas.values())[(len(areas) - 1) // 2]


def _target(window: MaskWindow, usable: Mapping[int, int]) -> int:
    """The area to compare with: that of the window's start, or, if it is empty, the usual one."""
    return window.masks[0].area or _lower_median(usable)


_VARIANTS: dict[str, type[Reinitialization]] = {
    "A": ReinitializeAtHorizon,
    "B": ReinitializeAtMedianArea,
    "C": ReinitializeAtSimilarArea,
    "D": ReinitializeAtSimilarAreas,
}
NO_REINITIALIZATION = "none"
VARIANTS: Sequence[str] = (NO_REINITIALIZATION, *_VARIANTS)
"""Names of the variants."""


def create_reinitialization(variant: str, horizon: int) -> Reinitialization | None:
    """The variant of that name, or None for ``none``; UserError if there is no such one."""
    if variant == NO_REINITIALIZATION:
        return None
    if variant not in _VARIANTS:
        raise UserError(f"unknown reinitialization '{variant}'; available: {', '.join(VARIANTS)}")
    return _VARIANTS[variant](horizon)
