"""Clicks on images of another time: held back, applied to the stream that is theirs, bounded."""

from __future__ import annotations

import pytest

from sam_pt_ros.ros.held_clicks import HeldClicks, StampedClick, Stray


class Clicks:
    """Clicks by name, and which were applied."""

    def __init__(self) -> None:
        self.held = HeldClicks()
        self.applied: list[str] = []

    def take(self, name: str, stamp: int | None, at: float) -> None:
        self.held.take(StampedClick(lambda: self.applied.append(name), stamp, at))

    def now(self) -> list[str]:
        """What was applied since the last time."""
        found, self.applied = self.applied, []
        return found


@pytest.fixture
def clicks() -> Clicks:
    return Clicks()


STRAY = Stray(stamp=100, at=5.0, newest=200)


def test_without_a_stray_every_click_is_applied_at_once(clicks: Clicks) -> None:
    for name, stamp in (("one", 100), ("two", None), ("three", 900)):
        clicks.take(name, stamp, 1.0)
    assert clicks.now() == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("stamp", "at", "held"),
    [
        (100, 6.0, True),
        (149, 6.0, True),
        (150, 6.0, False),  # as near to the stream that there is
        (200, 6.0, False),
        (40, 6.0, True),
        (None, 5.0, True),  # the newest image is the stray
        (None, 4.9, False),  # it was another
    ],
)
def test_a_click_waits_if_it_refers_to_the_stray(
    clicks: Clicks, stamp: int | None, at: float, held: bool
) -> None:
    clicks.held.stray(STRAY)
    clicks.take("it", stamp, at)
    assert clicks.now() == ([] if held else ["it"])
    clicks.held.begins()
    assert clicks.now() == (["it"] if held else [])


def test_clicks_that_came_before_the_stray_they_refer_to_are_applied_once_more(
    clicks: Clicks,
) -> None:
    for name, stamp, at in (("old", 190, 3.0), ("early", 100, 4.0), ("newest", None, 4.0)):
        clicks.take(name, stamp, at)
    clicks.take("newest, but late", None, 5.5)
    assert clicks.now() == ["old", "early", "newest", "newest, but late"]
    clicks.held.stray(STRAY)
    clicks.take("held", 101, 6.0)
    assert clicks.now() == []
    clicks.held.begins()
    assert clicks.now() == ["early", "newest, but late", "held"]
    clicks.held.stray(STRAY)
    clicks.held.begins()
    assert clicks.now() == []


def test_where_the_stream_goes_on_clicks_are_applied_to_it(clicks: Clicks) -> None:
    clicks.held.stray(STRAY)
    clicks.take("one", 100, 6.0)
    clicks.take("two", None, 6.0)
    clicks.held.goes_on(7.0)
    assert clicks.now() == ["one", "two"]
    clicks.take("three", 100, 8.0)
    assert clicks.now() == ["three"]


def test_a_click_is_early_until_an_image_that_came_after_it_goes_on(clicks: Clicks) -> None:
    """Clicks overtake images that wait to be processed."""
    clicks.take("one", 100, 4.0)
    clicks.held.goes_on(4.0)
    clicks.take("two", 101, 4.2)
    clicks.held.goes_on(4.1)  # an image that has waited since before the second click
    clicks.now()
    clicks.held.stray(STRAY)
    clicks.held.begins()
    assert clicks.now() == ["two"]


def test_with_another_stray_clicks_wait_for_that_or_are_applied(clicks: Clicks) -> None:
    clicks.held.stray(STRAY)
    clicks.take("one", 100, 6.0)
    clicks.take("two", 160, 6.0)
    assert clicks.now() == ["two"]
    clicks.held.stray(Stray(stamp=300, at=7.0, newest=201))
    assert clicks.now() == ["one"]
    clicks.take("three", 299, 8.0)
    clicks.held.begins()
    assert clicks.now() == ["three"]


def test_a_click_without_a_stamp_waits_while_strays_go_on_from_each_other(clicks: Clicks) -> None:
    """A stream may need more images than two to begin."""
    clicks.held.stray(STRAY)
    clicks.take("it", None, 5.1)
    for number in range(1, 4):
        clicks.held.stray(Stray(stamp=100 + number, at=5.0 + number, newest=200))
    assert clicks.now() == []
    clicks.held.begins()
    assert clicks.now() == ["it"]


def test_a_stray_of_a_third_time_is_no_image_that_such_a_click_means(clicks: Clicks) -> None:
    clicks.held.stray(STRAY)
    clicks.take("it", None, 5.1)
    clicks.held.stray(Stray(stamp=20, at=6.0, newest=200))
    assert clicks.now() == ["it"]


def test_no_more_than_100_clicks_are_held_or_remembered(clicks: Clicks) -> None:
    for number in range(150):
        clicks.take(f"early {number}", 100, 4.0)
    clicks.now()
    clicks.held.stray(STRAY)
    for number in range(150):
        clicks.take(f"held {number}", 100, 6.0)
    assert clicks.now() == [f"held {number}" for number in range(100, 150)]
    clicks.held.begins()
    early = [f"early {number}" for number in range(100, 150)]
    refused = [f"held {number}" for number in range(100, 150)]
    assert clicks.now() == [*early, *refused, *(f"held {number}" for number in range(100))]
