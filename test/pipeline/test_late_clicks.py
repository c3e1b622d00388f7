"""Clicks on older frames: objects catch up within the budget, over as many frames as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Prompt
from support.doubles import (
    DelayedTracker,
    OracleTracker,
    SlowSegmenter,
    StoppedClock,
)
from support.pipeline_run import SCENE, Run, click, digest, on
from support.scene import OCCLUDER, THING, overlap


class Failing(SlowSegmenter):
    """Fails on one frame; takes 0.04 seconds for any other."""

    def __init__(self, index: int) -> None:
        super().__init__(StoppedClock(), 0.04)
        self.index = index

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        assert self.frame is not None
        if self.frame.index == self.index:
            raise RuntimeError("no")
        return super().predict(prompts)


def make(
    needed: float = 0.04,
    budget: float = 0.1,
    segmenter: Any = None,
    window: int = 0,
    tracker: OracleTracker | None = None,
    **more: Any,
) -> Run:
    """A segmenter takes ``needed`` seconds for a frame, and nothing else takes any time."""
    segmenter = segmenter or SlowSegmenter(StoppedClock(), needed)
    clock = segmenter.clock
    options = {"reinitialization": "none", "click_expansion": False, **more}
    if tracker is None:
        tracker = DelayedTracker(SCENE, window) if window else OracleTracker(SCENE)
    made = SamPt(tracker, segmenter, SamPtOptions(catch_up_budget=budget, **options), clock)
    return Run(made, tracker, segmenter, {})


def seconds(run: Run) -> float:
    """Of the clock so far."""
    return float(run.segmenter.clock.now)


def click_late(run: Run, owner: int = OCCLUDER, index: int = 0, **more: Any) -> float:
    """Click on a frame of the past; what that took, seconds."""
    begin = seconds(run)
    run.pipeline.add_object(click(on(owner, index)), stamp=SCENE.stamp(index), **more)
    return seconds(run) - begin


def arrival(run: Run, object_id: int = 1, most: int = 60) -> int:
    """The first frame that has a result of the object."""
    first = run.pipeline.history.newest.index + 1
    for index in range(first, first + most):
        if any(item.object_id == object_id for item in run.to(index).objects):
            return index
    raise AssertionError(f"the object has not arrived by frame {index}")


def test_without_a_budget_an_object_catches_up_at_once() -> None:
    run = make(budget=0.0)
    run.to(20)
    assert click_late(run) == pytest.approx(21 * 0.04)
    assert arrival(run) == 21


def test_within_a_budget_it_catches_up_over_several_frames() -> None:
    """Two frames in each, while another one comes: of 19 that are left, one is made up for."""
    run = make()
    run.to(20)
    assert click_late(run) == pytest.approx(2 * 0.04)
    for index in range(21, 38):
        begin = seconds(run)
        assert run.to(index).objects == ()
        assert seconds(run) - begin == pytest.approx(2 * 0.04), index
        assert run.pipeline.object_ids == [1]
    (item,) = run.to(38).objects
    assert item.age == 38
    assert overlap(item.mask.full(), SCENE.frame(38).mask(OCCLUDER)) > 0.9
    begin = seconds(run)
    run.to(39)
    assert seconds(run) - begin == pytest.approx(0.04)


def test_as_many_frames_as_fit_into_the_budget_are_made_up_for() -> None:
    run = make(needed=0.01, budget=0.105)
    run.to(40)
    assert click_late(run) == pytest.approx(10 * 0.01)
    assert arrival(run) == 44  # 41 frames and 3 more, ten at a time
    assert seconds(run) == pytest.approx(100 + (44 + 1) * 0.01)


def test_however_little_time_there_is_it_arrives_before_its_frames_are_forgotten() -> None:
    run = make(needed=5.0, budget=0.001, history_length=8)
    run.to(7)
    assert click_late(run, index=0) == pytest.approx(10.0)
    # Frames 2 to 7 are left, and one more comes in the time of two.
    assert arrival(run) == 12
    assert all(not result.problems for result in run.results.values())


@pytest.mark.parametrize("variant", ["none", "A", "B"])
@pytest.mark.parametrize("age", [0, 1, 25])
def test_a_budget_that_is_enough_changes_nothing(variant: str, age: int) -> None:
    def results(budget: float) -> list[Any]:
        run = make(budget=budget, reinitialization=variant, clustered_pixels=64)
        run.to(30)
        click_late(run, index=30 - age)
        run.to(45)
        return [digest(result) for result in run.results.values()]

    assert results(0.0) == results(3600.0)


def test_who_catches_up_has_what_it_would_have_had_in_time() -> None:
    """Also through restarts in the frames of the past."""
    late, in_time = (
        make(budget=budget, reinitialization="A", clustered_pixels=64) for budget in (0.1, 0.0)
    )
    for run in (late, in_time):
        run.to(12)
        click_late(run)
    index = arrival(late)
    assert index > 20
    one, other = late.results[index].object(1), in_time.to(index).object(1)
    assert np.array_equal(one.mask.full(), other.mask.full())
    assert np.array_equal(one.points.xy, other.points.xy)
    assert one.age == other.age and one.frames_since_seen == other.frames_since_seen


def test_others_are_tracked_meanwhile_as_if_there_were_no_click() -> None:
    runs = [make() for _ in range(2)]
    for run in runs:
        run.to(0)
        run.pipeline.add_object(click(on(OCCLUDER, 0)))
        run.to(10)
    click_late(runs[0], THING)
    index = arrival(runs[0], 2)
    runs[1].to(index)
    for before in range(11, index):
        assert digest(runs[0].results[before]) == digest(runs[1].results[before])


def test_objects_that_are_late_together_share_the_time() -> None:
    run = make(needed=0.01, budget=0.105)
    run.to(40)
    begin = seconds(run)
    for index in (0, 5):
        click_late(run, index=index)
    # Ten frames, and the two that every object has.
    assert seconds(run) - begin == pytest.approx(12 * 0.01)
    begin = seconds(run)
    run.to(41)
    assert seconds(run) - begin == pytest.approx(12 * 0.01)
    assert arrival(run, 1) < arrival(run, 2)
    assert [item.object_id for item in run.to(75).objects] == [1, 2]


def test_it_may_be_removed_and_its_id_used_again_meanwhile() -> None:
    run = make()
    run.to(20)
    click_late(run, object_id=3)
    run.to(21)
    run.pipeline.remove_object(3)
    assert run.pipeline.object_ids == []
    begin = seconds(run)
    run.to(22)
    assert seconds(run) == begin
    run.pipeline.add_object(click(on(OCCLUDER, 22)), object_id=3)
    assert run.to(23).object(3).age == 1
    click_late(run, index=3, object_id=4)
    run.pipeline.reset()
    assert run.pipeline.object_ids == []
    run.pipeline.add_object(click(on(OCCLUDER, 24)))
    run.to(24)


def test_points_may_be_added_to_it_meanwhile() -> None:
    run = make()
    run.to(20)
    click_late(run)
    run.to(21)
    run.pipeline.add_prompts(1, click(beside=[(2.0, 2.0)]), stamp=SCENE.stamp(10))
    index = arrival(run)
    item = run.results[index].object(1)
    assert sorted(item.point_labels.tolist())[:1] == [0]
    assert overlap(item.mask.full(), SCENE.frame(index).mask(OCCLUDER)) > 0.9


def test_a_budget_that_is_lifted_meanwhile_lets_it_arrive_at_once() -> None:
    run = make()
    run.to(20)
    click_late(run)
    options = SamPtOptions(reinitialization="none", click_expansion=False, catch_up_budget=0.0)
    run.pipeline.change(options)
    assert arrival(run) == 21


def test_a_tracker_that_answers_late_is_caught_up_with() -> None:
    run = make(window=4)
    run.feed(20)
    click_late(run)
    run.feed(70)
    first = min(index for index, result in run.results.items() if result.objects)
    assert first > 20
    assert all(run.results[index].objects for index in range(first, 68))
    assert (
        overlap(run.results[first].object(1).mask.full(), SCENE.frame(first).mask(OCCLUDER)) > 0.9
    )


def test_a_segmenter_that_fails_meanwhile_costs_that_frame_alone() -> None:
    run = make(segmenter=Failing(3))
    run.to(20)
    click_late(run)
    assert run.to(21).problems == ("object 1 cannot be segmented: RuntimeError('no')",)
    assert run.results[21].failed
    index = arrival(run)
    assert all(not run.results[i].problems for i in range(22, index + 1))


def test_what_cannot_catch_up_is_dropped_and_that_is_said() -> None:
    run = make(budget=1e-9)
    run.to(20)
    click_late(run)
    original = run.tracker.recall

    def fail(ids: np.ndarray, index: int) -> Any:
        if index == 4:
            raise RuntimeError("no such frame")
        return original(ids, index)

    run.tracker.recall = fail  # type: ignore[method-assign]
    assert run.to(21).problems == ()
    assert run.to(22).problems == (
        "object 1 cannot catch up, and was dropped: RuntimeError('no such frame')",
    )
    assert run.pipeline.object_ids == []
    assert run.to(23).problems == ()


def test_what_fails_at_the_click_refuses_it_and_leaves_nothing() -> None:
    run = make(segmenter=Failing(1))
    run.to(20)
    with pytest.raises(RuntimeError, match="no"):
        click_late(run)
    assert run.pipeline.object_ids == []
    assert run.to(21).problems == ()
    with pytest.raises(UserError):
        run.pipeline.add_object(click((-9.0, 2.0)), stamp=SCENE.stamp(5))


def test_others_do_not_restart_further_back_than_there_is_time_for() -> None:
    """In variant A they would go on together from where the late object was started."""
    run = make(reinitialization="A", reinitialization_horizon=40, clustered_pixels=64)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(8)
    click_late(run, THING, index=1)
    begin = seconds(run)
    for index in range(9, 17):
        run.to(index)
        assert seconds(run) - begin < 0.17, index
        begin = seconds(run)
    assert [item.object_id for item in run.results[16].objects] == [1, 2]
    assert run.pipeline.counters.over_budget == 1


def late_beside_another() -> Run:
    """At frame 20, where object 1 is tracked, and object 2 has not caught up."""
    run = make(budget=1e-9)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(20)
    click_late(run, THING)
    return run


def restarted(run: Run, index: int) -> Any:
    """The result of a frame that objects restart in."""
    frame = SCENE.frame(index)
    (result,) = run.pipeline.restart(frame.image, frame.stamp)
    return result


def test_where_it_was_in_the_past_is_no_mask_to_restart_from() -> None:
    run = late_beside_another()
    run.to(25)
    result = restarted(run, 26)
    assert [item.object_id for item in result.objects] == [1]
    (problem,) = result.problems
    assert problem.startswith("object 2 had no mask when objects restarted from their masks")


def test_other_models_are_not_asked_about_the_past() -> None:
    run = late_beside_another()
    run.pipeline.replace_backends(OracleTracker(SCENE), SlowSegmenter(StoppedClock(), 0.04))
    assert run.pipeline.flush() == []
    result = restarted(run, 21)
    assert [item.object_id for item in result.objects] == [1] and not result.failed
    (problem,) = result.problems
    assert problem.startswith("object 2 had no mask when objects restarted from their masks")


class Missing(OracleTracker):
    """Fails in frame 13, of which it has tracks only once the next one has come."""

    missed = False

    def step(self, frame: Frame) -> PointTracks:
        self.missed = frame.index == 13
        if self.missed:
            raise RuntimeError("no memory")
        return super().step(frame)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        if self.missed and index == 13:
            raise KeyError("frame 13 is no longer held")
        return super().recall(ids, index)


def test_a_tracker_that_fails_once_does_not_cost_a_late_object() -> None:
    run = make(budget=1e-9, tracker=Missing(SCENE))
    run.to(12)
    click_late(run, index=8)  # of which frames 8 and 9 are made up for at once
    assert run.to(13).failed
    index = arrival(run)
    assert all(not run.results[i].problems for i in range(14, index + 1))


def test_a_network_is_not_run_for_more_frames_than_there_is_time_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even to track the points: on a CPU that would take seconds, or a minute."""
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    from sam_pt_ros.trackers.cotracker.streaming import StreamingEngine
    from support.cotracker_golden import light_tracker

    tracker = light_tracker("streaming", iterations=1)
    segmenter = SlowSegmenter(StoppedClock(), 0.0)
    options = SamPtOptions(catch_up_budget=0.5, reinitialization="none", click_expansion=False)
    made = SamPt(tracker, segmenter, options, segmenter.clock)
    run = Run(made, tracker, segmenter, {})  # type: ignore[arg-type]
    compute = StreamingEngine._compute

    def in_a_second(engine: StreamingEngine, frame: int) -> None:
        segmenter.clock.now += 1.0
        compute(engine, frame)

    monkeypatch.setattr(StreamingEngine, "_compute", in_a_second)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(12)
    assert click_late(run) == 2
    for index in range(13, 22):  # two frames are made up for while another one comes
        begin = seconds(run)
        assert [item.object_id for item in run.to(index).objects] == [1]
        assert seconds(run) - begin == 3, index
    begin = seconds(run)
    assert arrival(run, 2) == 22
    run.to(23)
    assert seconds(run) - begin == 3 + 1
