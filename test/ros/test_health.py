"""Rates, latencies and counts of a stream."""

from __future__ import annotations

import math

import pytest

from sam_pt_ros.ros.health import WINDOW, FrameTimes, Health


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_before_the_first_frame_nothing_is_known(clock: HandClock) -> None:
    summary = Health(clock).summary()
    assert (summary.input_rate, summary.output_rate, summary.received) == (0, 0, 0)
    assert math.isinf(summary.silence) and summary.latency == {} and summary.last_error == ""


def test_rates_are_those_of_the_last_seconds(clock: HandClock) -> None:
    health = Health(clock)
    for index in range(900):  # 30 Hz for 30 s, of which every second one is answered
        clock.now += 1 / 30
        health.frame_received()
        if index % 2:
            health.frame_published(FrameTimes(index, latency=40.0, dropped=1))
    summary = health.summary()
    assert summary.input_rate == pytest.approx(30, abs=0.2)
    assert summary.output_rate == pytest.approx(15, abs=0.2)
    assert (summary.received, summary.published, summary.dropped) == (900, 450, 450)
    clock.now += 2 * WINDOW
    summary = health.summary()
    assert (summary.input_rate, summary.output_rate) == (0, 0)
    assert summary.silence == pytest.approx(2 * WINDOW)
    assert summary.received == 900


def test_rates_are_right_from_the_beginning(clock: HandClock) -> None:
    health = Health(clock)
    for _ in range(60):
        clock.now += 1 / 30
        health.frame_received()
    assert health.summary().input_rate == pytest.approx(30, abs=0.1)


def half_answered(health: Health, clock: HandClock, count: int, rate: float) -> None:
    """Have frames arrive, of which every second one is answered."""
    for index in range(count):
        clock.now += 1 / rate
        health.frame_received()
        if index % 2:
            health.frame_published(FrameTimes(index))


@pytest.mark.parametrize("pause", [2 * WINDOW, 100 * WINDOW])
def test_rates_are_right_after_a_pause(clock: HandClock, pause: float) -> None:
    """Before the first frame, while models are loaded, and between two."""
    health = Health(clock)
    for _ in range(2):
        clock.now += pause
        half_answered(health, clock, 60, 30)
        summary = health.summary()
        assert summary.input_rate == pytest.approx(30, abs=0.1)
        assert summary.output_rate == pytest.approx(15, abs=0.3)


def test_latencies_have_percentiles_and_stages_have_means(clock: HandClock) -> None:
    health = Health(clock)
    for latency in range(1, 101):
        stages = {"tracker": 2.0, "segmenter": float(latency)} if latency % 2 else {"tracker": 4.0}
        health.frame_published(FrameTimes(latency, float(latency), stages=stages))
    health.frame_published(FrameTimes(101))  # whose clock is not known
    summary = health.summary()
    assert summary.latency == {50: 50.5, 95: pytest.approx(95.05), 100: 100}
    assert summary.stages["tracker"] == pytest.approx((50 * 2 + 50 * 4) / 101)
    assert summary.stages["segmenter"] == pytest.approx(sum(range(1, 101, 2)) / 101)


def test_failures_are_counted_and_those_in_a_row_end_with_a_good_frame(clock: HandClock) -> None:
    health = Health(clock)
    for index in range(3):
        health.frame_published(FrameTimes(index), ["masks failed", "points failed"])
    assert health.summary().failed_in_a_row == 3
    assert health.summary().last_error == "points failed"
    health.frame_published(FrameTimes(3))
    health.frame_refused("an image of 0 pixels")
    summary = health.summary()
    assert (summary.failed, summary.failed_in_a_row, summary.refused) == (3, 0, 1)
    assert summary.last_refusal == "an image of 0 pixels"
    assert summary.last_error == "points failed"


def test_what_was_skipped_is_counted_by_stage(clock: HandClock) -> None:
    health = Health(clock)
    health.frame_published(FrameTimes(0, skipped=("refinement",)))
    health.frame_published(FrameTimes(1, skipped=("refinement", "segmentation")))
    assert health.summary().skipped == {"refinement": 2, "segmentation": 1}


def test_memory_does_not_grow_with_the_stream(clock: HandClock) -> None:
    health = Health(clock)
    for index in range(10_000):
        health.frame_received()
        health.frame_published(FrameTimes(index))
    assert len(health._arrivals) == len(health._frames) == 2000


def test_rates_beyond_what_is_kept_are_right(clock: HandClock) -> None:
    health = Health(clock)
    half_answered(health, clock, 9000, 300)
    summary = health.summary()
    assert summary.input_rate == pytest.approx(300, abs=0.5)
    assert summary.output_rate == pytest.approx(150, abs=0.5)
    clock.now += WINDOW / 2
    assert health.summary().input_rate == pytest.approx(150, abs=0.5)


@pytest.mark.parametrize("outcome", ["published", "refused", "failed"])
def test_frames_that_come_to_nothing_are_owed(clock: HandClock, outcome: str) -> None:
    health = Health(clock)
    assert health.summary().owed == 0
    for _ in range(7 * 30):
        health.frame_received()
        clock.now += 1 / 30
    assert health.summary().owed == pytest.approx(7)
    if outcome == "published":
        health.frame_published(FrameTimes(0))
    else:
        getattr(health, f"frame_{outcome}")("why")
    assert health.summary().owed == 0
    health.frame_received()
    clock.now += 2
    assert health.summary().owed == pytest.approx(2)


def test_nothing_is_owed_of_what_was_before_a_pause(clock: HandClock) -> None:
    health = Health(clock)
    health.frame_received()
    clock.now += 2 * WINDOW
    health.frame_received()
    clock.now += 0.1
    assert health.summary().owed == pytest.approx(0.1)
