"""When the tracker is asked what a click may mean, and what a page may take of the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.picker import candidates
from sam_pt_ros.picker.candidates import PageCandidates, Turns
from sam_pt_ros.picker.tracker_interface import (
    Candidate,
    Gesture,
    PickerClick,
    Suggestion,
    TrackerError,
)
from support.page_site import GestureTracker, disc

SIZE = (90, 120)


def click(x: float) -> PickerClick:
    return PickerClick((1, 2), x, 5.0)


def run(test: Callable[[GestureTracker, list[PageCandidates]], Awaitable[None]]) -> None:
    async def go() -> None:
        tracker, turns = GestureTracker(), Turns()
        await test(tracker, [PageCandidates(tracker, turns) for _ in range(3)])

    asyncio.run(asyncio.wait_for(go(), 60))


def test_all_pages_together_ask_twice_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "PERIOD", 0.15)

    async def test(tracker: GestureTracker, pages: list[PageCandidates]) -> None:
        begin = time.monotonic()
        await asyncio.gather(*(page.suggest(1, click(n), SIZE) for n, page in enumerate(pages)))
        assert len(tracker.told) == 3
        assert time.monotonic() - begin >= 0.3

    run(test)
    monkeypatch.undo()
    assert candidates.PERIOD == 0.5


def test_there_is_one_question_at_a_time_and_of_a_page_the_newest_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "PERIOD", 0.0)

    async def test(tracker: GestureTracker, pages: list[PageCandidates]) -> None:
        tracker.gate = asyncio.Event()
        asked = [asyncio.ensure_future(pages[0].suggest(n, click(n), SIZE)) for n in range(4)]
        asked.append(asyncio.ensure_future(pages[1].suggest(7, click(7), SIZE)))
        asked.append(asyncio.ensure_future(pages[2].suggest(8, click(8), SIZE)))
        await asyncio.sleep(0.01)
        assert [what[1].x for what in tracker.told] == [0]
        pages[2].leave()
        tracker.gate.set()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert [what[1].x for what in tracker.told] == [0, 3, 7]
        assert [isinstance(each, Suggestion) for each in done] == [
            True,
            False,
            False,
            True,
            True,
            False,
        ]

    run(test)


def test_only_the_newest_suggestion_can_be_taken() -> None:
    async def test(tracker: GestureTracker, pages: list[PageCandidates]) -> None:
        page = pages[0]
        with pytest.raises(TrackerError, match="not the newest"):
            await page.take(0, 0)
        await page.suggest(5, click(1), SIZE)
        for request, index in ((4, 0), (5, 3)):
            with pytest.raises(TrackerError):
                await page.take(request, index)
        with pytest.raises(TrackerError):
            await pages[1].take(5, 0)
        assert (await page.take(5, 2)).object_id == 1
        assert tracker.told[-1] == ("take", click(1), 2, None)
        assert "alternative 1 of 3" in await page.another(1, SIZE)  # after the last the first

    run(test)


def test_of_two_quick_clicks_each_takes_the_next_and_the_tracker_is_asked_once() -> None:
    async def test(tracker: GestureTracker, pages: list[PageCandidates]) -> None:
        page = pages[0]
        with pytest.raises(TrackerError, match="not that of your newest click"):
            await page.another(4, SIZE)
        page.note_start(4, click(1))
        tracker.gate = asyncio.Event()
        clicks = [asyncio.ensure_future(page.another(4, SIZE)) for _ in range(2)]
        await asyncio.sleep(0.01)
        tracker.gate.set()
        await asyncio.gather(*clicks)
        assert tracker.told == [
            ("suggest", click(1), SIZE),
            ("take", click(1), 1, 4),
            ("take", click(1), 2, 4),
        ]
        with pytest.raises(TrackerError):
            await page.another(5, SIZE)
        page.forget(5)
        await page.another(4, SIZE)
        page.forget(4)
        with pytest.raises(TrackerError, match="not that of your newest click"):
            await page.another(4, SIZE)
        page.note_start(6, click(1))
        page.forget(None)
        with pytest.raises(TrackerError):
            await page.another(6, SIZE)

    run(test)


def test_what_is_wrong_is_not_constructed() -> None:
    for wrong in (
        {},
        {"points": ((1.0, 2.0),), "box": (1, 1, 2, 2)},
        {"points": ((1.0, 2.0),) * 9},
        {"points": ((1.0, float("nan")),)},
        {"box": (2, 1, 1, 1)},
        {"box": (-1, 1, 1, 1)},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - which one does not matter
            Gesture((1, 2), **wrong)
    with pytest.raises(ValueError, match="at least one"):
        Suggestion(click(1), ())
    with pytest.raises(ValueError, match="finite"):
        Candidate(disc(30, 30, 5, SIZE), float("nan"))
    with pytest.raises(ValueError, match="beyond the image"):
        Candidate(CroppedMask(np.ones((5, 5), np.bool_), (118, 0), SIZE), 0.5)
