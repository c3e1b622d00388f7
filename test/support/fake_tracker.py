"""A tracker that tracks nothing: it writes down what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

from sam_pt_ros.picker.tracker_interface import PickerClick, Started, TrackerError


class FakeTracker:
    """A test double of the bridge; ``failure`` is what it refuses with, if anything."""

    name = "/sam_pt"

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.wanted: list[bool] = []
        self.failure = ""
        self.gate: asyncio.Event | None = None
        self._ids = 0

    def want_pictures(self, wanted: bool) -> None:
        self.wanted.append(wanted)

    async def _do(self, *what: Any) -> str:
        self.told.append(what)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure:
            raise TrackerError(self.failure)
        return f"did {what[0]}"

    async def add_object(self, click: PickerClick) -> Started:
        said = await self._do("add_object", click)
        self._ids += 1
        return Started(self._ids, said)

    async def add_point(self, object_id: int, click: PickerClick, positive: bool) -> str:
        return await self._do("add_point", object_id, click, positive)

    async def remove_object(self, object_id: int) -> str:
        return await self._do("remove", object_id)

    async def reset(self) -> str:
        return await self._do("reset")

    async def enable(self, enabled: bool) -> str:
        return await self._do("enable", enabled)
