"""Stages measure their own time, and what is ignored belongs to no frame."""

from __future__ import annotations

import pytest

from sam_pt_ros.pipeline import stages as module
from sam_pt_ros.pipeline.stages import Stages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that ``perf_counter`` gives, one after the other."""
    times: list[float] = []
    monkeypatch.setattr(module.time, "perf_counter", lambda: times.pop(0))
    return times


def test_times_of_a_stage_add_up_until_they_are_taken(clock: list[float]) -> None:
    clock += [1.0, 1.5, 2.0, 2.25]
    stages = Stages()
    for _ in range(2):
        with stages.measure("tracker"):
            pass
    assert stages.take() == {"tracker": 750.0}
    assert stages.take() == {}


def test_a_stage_within_another_counts_as_the_outer_one(clock: list[float]) -> None:
    clock += [1.0, 2.0]
    stages = Stages()
    with stages.measure("reinitialization"), stages.measure("segmenter"):
        pass
    assert stages.take() == {"reinitialization": 1000.0}


def test_a_stage_that_raises_is_measured_and_ends(clock: list[float]) -> None:
    clock += [1.0, 2.0, 3.0, 3.5]
    stages = Stages()
    with pytest.raises(RuntimeError), stages.measure("tracker"):
        raise RuntimeError
    with stages.measure("segmenter"):
        pass
    assert stages.take() == {"tracker": 1000.0, "segmenter": 500.0}


def test_what_is_ignored_costs_no_frame(clock: list[float]) -> None:
    clock += [1.0, 2.0, 3.0, 9.0]
    stages = Stages()
    with stages.measure("tracker"):
        pass
    with stages.ignore(), stages.measure("segmenter"):
        pass
    assert stages.take() == {"tracker": 1000.0}
