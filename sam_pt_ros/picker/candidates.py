"""What a click may mean: when the tracker is asked, and what a page takes of its answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from sam_pt_ros.picker.tracker_interface import (
    PickerClick,
    Started,
    Suggestion,
    Tracker,
    TrackerError,
)

PERIOD = 0.5
"""Seconds from one question to the next."""


class Turns:
    """Whose turn it is to ask the tracker.

    A suggestion takes time from tracking, whoever asks for it. So all pages together ask one
    question at a time, and two per second.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._next = 0.0

    async def pause(self) -> None:
        """Wait until another question may be asked; to be called with the lock."""
        while (pause := self._next - time.monotonic()) > 0:
            await asyncio.sleep(pause)

    def begin(self) -> None:
        """Note that a question is asked now."""
        self._next = time.monotonic() + PERIOD


@dataclass(frozen=True)
class _Start:
    """The newest object that a click of a page has started.

    Attributes:
        object_id: its id.
        click: what it was started from.
        suggestion: what the click may mean; None until somebody asks.
        index: which of its candidates the object is.
    """

    object_id: int
    click: PickerClick
    suggestion: Suggestion | None = None
    index: int = 0


class PageCandidates:
    """What one page has asked about its clicks, and has taken.

    Args:
        tracker: makes suggestions.
        turns: those of all pages.
    """

    def __init__(self, tracker: Tracker, turns: Turns) -> None:
        self._tracker = tracker
        self._turns = turns
        self._newest: int | None = None
        self._shown: tuple[int, Suggestion] | None = None
        self._start: _Start | None = None
        self._changing = asyncio.Lock()

    def leave(self) -> None:
        """The page is closed: nothing is asked for it any more."""
        self._newest = None

    async def suggest(
        self, request: int, click: PickerClick, image_size: tuple[int, int]
    ) -> Suggestion:
        """What a pixel may mean that a pointer rests on; of a page only the newest one waits."""
        self._newest = request
        async with self._turns.lock:
            if request == self._newest:
                await self._turns.pause()
            if request != self._newest:
                raise TrackerError("the pointer has moved on")
            self._turns.begin()
            suggestion = await self._tracker.suggest(click, image_size)
        self._shown = request, suggestion
        return suggestion

    async def take(self, request: int, index: int) -> Started:
        """Start an object from a candidate of the newest suggestion."""
        if self._shown is None or self._shown[0] != request:
            raise TrackerError("these candidates are not the newest; rest the pointer again")
        suggestion = self._shown[1]
        if index >= len(suggestion.candidates):
            raise TrackerError(f"there are only {len(suggestion.candidates)} candidates")
        started = await self._tracker.take(suggestion, index)
        self._start = _Start(started.object_id, suggestion.click, suggestion, index)
        return started

    def note_start(self, object_id: int, click: PickerClick) -> None:
        """Note that a click has started an object."""
        self._start = _Start(object_id, click)

    def forget(self, object_id: int | None) -> None:
        """An object is gone; None: all are."""
        if self._start is not None and object_id in (None, self._start.object_id):
            self._start = None

    async def another(self, object_id: int, image_size: tuple[int, int]) -> str:
        """Start the object of the newest click anew from the next thing that the click may mean.

        After the last candidate comes the first. Returns a message for the user.
        """
        async with self._changing:  # each of two quick clicks takes the next
            start = self._start
            if start is None or start.object_id != object_id:
                raise TrackerError(f"object {object_id} is not that of your newest click")
            suggestion = start.suggestion
            if suggestion is None:
                self._turns.begin()  # it does not wait, but others wait for it
                suggestion = await self._tracker.suggest(start.click, image_size)
            count = len(suggestion.candidates)
            if count == 1:
                raise TrackerError(
                    f"nothing else was found where object {object_id} was clicked on; remove it, "
                    "and drag a box around the whole object"
                )
            index = (start.index + 1) % count
            await self._tracker.take(suggestion, index, object_id)
            if self._start is start:
                self._start = replace(start, suggestion=suggestion, index=index)
        return (
            f"Took alternative {index + 1} of {count} for object {object_id}; click again for "
            "the next"
        )
