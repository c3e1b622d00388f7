"""When, and at which frame, query points are sampled anew (SAM-PT, Appendix G).

Points drift and die. At a horizon each object's points are replaced by new ones, sampled from
its predicted mask in a frame that the variant chooses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import CroppedMask

MINIMUM_AREA = 25
"""Masks of so many pixels or fewer are not sampled from."""


@dataclass
class Window:
    """An object since its points were last sampled.

    Attributes:
        start: index of that frame.
        masks: in the frames ``start``, ``start + 1``, ...; never empty when a choice is made.
    """

    start: int
    masks: list[CroppedMask] = field(default_factory=list)

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


class Reinitialization(ABC):
    """Chooses the frames to restart at."""

    synchronised: ClassVar[bool]
    """Whether all objects restart together."""

    def __init__(self, horizon: int) -> None:
        if horizon < 2:
            raise UserError(f"the reinitialization horizon must be at least 2, got {horizon}")
        self.horizon = horizon

    @abstractmethod
    def choose(self, windows: Mapping[int, Window]) -> dict[int, int | None]:
        """The objects whose window ends now, with the index of the frame to restart at.

        None instead of an index begins a new window at the newest frame with the old points:
        there was no mask to sample from.

        Args:
            windows: of all objects, by object id, up to the newest frame.
        """

    @abstractmethod
    def restart_frame(self, window: Window) -> int | None:
        """The frame of a full window to restart at; None if no mask can be sampled from."""

    def due(self, window: Window) -> bool:
        """Whether the window is full."""
        return window.newest - window.start >= self.horizon - 1


class ReinitializeAtHorizon(Reinitialization):
    """Variant A: all objects together, at the last frame of the window.

    An object whose mask there is too small keeps its points.
    """

    synchronised = True

    def choose(self, windows: Mapping[int, Window]) -> dict[int, int | None]:
        if not any(self.due(window) for window in windows.values()):
            return {}
        return {key: self.restart_frame(window) for key, window in windows.items()}

    def restart_frame(self, window: Window) -> int | None:
        return window.newest if window.masks[-1].area > MINIMUM_AREA else None


_VARIANTS: dict[str, type[Reinitialization]] = {"A": ReinitializeAtHorizon}
NO_REINITIALIZATION = "none"
VARIANTS: Sequence[str] = (NO_REINITIALIZATION, *_VARIANTS)
"""Names of the variants."""


def create_reinitialization(variant: str, horizon: int) -> Reinitialization | None:
    """The variant of that name, or None for ``none``; UserError if there is no such one."""
    if variant == NO_REINITIALIZATION:
        return None
    if variant not in _VARIANTS:
        raise UserError(f"unknown reinitialization '{variant}'; known are {', '.join(VARIANTS)}")
    return _VARIANTS[variant](horizon)
