"""The pipeline skips work: it segments some frames only, and keeps to a budget of time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import ObjectState
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.pipeline.moved_masks import Anchor, displacement, shifted
from sam_pt_ros.pipeline.tracked_object import TrackedObject
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Deadline, Prompt, Segmenter, TimedPredictions
from support.doubles import (
    ColourSegmenter,
    DelayedTracker,
    OracleSegmenter,
    OracleTracker,
    RaisingSegmenter,
    SlowSegmenter,
    SlowTracker,
    StoppedClock,
)
from support.pipeline_run import SCENE, Run, click, digest, on
from support.pipeline_run import make as make_slowly
from support.scene import OCCLUDER, THING, overlap

HIDDEN = SCENE.hidden(THING)
MOVED, UNREFINED = ("segmentation",), ("refinement",)


def make(segmenter: Segmenter | None = None, **options: Any) -> Run:
    """With few pixels to choose points from, which takes less time."""
    return make_slowly(segmenter, clustered_pixels=64, **options)


def segmented(run: Run) -> list[int]:
    """The frames in which the segmenter was asked for masks, each once."""
    return sorted({index for index, _ in run.segmenter.calls})


def item_of(run: Run, object_id: int = 1) -> TrackedObject:
    return run.pipeline._roster._objects[object_id]


def by_frame(run: Run) -> dict[int, tuple[str, ...]]:
    return {index: result.skipped for index, result in run.results.items()}


# --- every n-th frame -----------------------------------------------------------------------


def test_masks_between_are_moved_along_with_their_points() -> None:
    run = make(segment_every_n=3, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(13)  # then it begins to pass behind the other
    assert segmented(run) == [0, 1, 4, 7, 10, 13]
    stale = {}
    for index in range(1, 14):
        result = run.results[index]
        thing, other = (result.object(i).mask.full() for i in (1, 2))
        truth = SCENE.frame(index).mask(THING)
        assert overlap(thing, truth) > 0.9, index
        assert not (thing & other).any()
        assert np.array_equal(result.label_image == 1, thing)
        assert result.object(1).state == ObjectState.TRACKING
        assert result.object(1).score == np.float64(0.9)
        assert result.object(1).frames_since_seen == 0
        assert result.skipped == (() if index in segmented(run) else MOVED)
        if (index - 1) % 3 == 2:
            last = run.results[index - 2].object(1).mask.full()
            stale[index] = overlap(thing, truth) - overlap(last, truth)
    assert min(stale.values()) > 0.05, "the mask of two frames before would not do"


def test_segmenting_every_frame_skips_nothing() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(20)
    assert segmented(run) == list(range(21))
    assert set(by_frame(run).values()) == {()}


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
def test_points_are_not_sampled_from_masks_that_were_moved(variant: str) -> None:
    """Windows end with a frame that is segmented, so that there is one to sample from."""
    run = make(segment_every_n=5, reinitialization=variant, reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    starts = []
    for index in range(1, 25):
        run.to(index)
        start = item_of(run).window.start
        if start != ([0, *starts])[-1]:
            starts.append(start)
            assert run.results[start].skipped == ()
    assert len(starts) == run.pipeline.counters.restarts >= 3
    assert by_frame(run)[7] == (), "where the first window ends"
    assert MOVED in by_frame(run).values()
    assert overlap(run.to(25).object(1).mask.full(), SCENE.frame(25).mask(THING)) > 0.8


def test_an_object_keeps_its_points_if_another_joins_where_its_mask_was_moved() -> None:
    run = make(segment_every_n=4, reinitialization="A", reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    points = item_of(run).points.ids.tolist()
    run.to(3)
    assert run.results[3].skipped == MOVED
    run.pipeline.add_object(click(on(OCCLUDER, 3)))
    run.to(4)
    assert item_of(run).points.ids.tolist() == points
    assert item_of(run).window.start == 4
    assert run.pipeline.counters.restarts == 0


@pytest.mark.parametrize("variant", ["none", "A"])
def test_what_is_clicked_on_is_segmented_in_the_next_frame(variant: str) -> None:
    run = make(segment_every_n=10, reinitialization=variant, reinitialization_horizon=20)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(3)
    run.pipeline.add_prompts(1, click(beside=[(2.0, 2.0)]))
    run.to(5)
    run.pipeline.add_prompts(1, click(beside=[(3.0, 2.0)]), stamp=SCENE.stamp(4))
    run.to(8)
    with pytest.raises(UserError):
        run.pipeline.add_prompts(1, click((-9.0, 2.0)))
    run.to(9)
    assert segmented(run) == [0, 1, 4, 6]


def test_an_object_that_waited_for_its_frame_is_segmented_in_it() -> None:
    run = make(segment_every_n=10, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.pipeline.add_object(click(on(THING, 6)), stamp=SCENE.stamp(6))
    run.to(9)
    assert segmented(run) == [0, 1, 6]
    assert run.results[6].object(2).state == ObjectState.TRACKING


def test_an_object_that_is_hidden_between_is_not_seen_and_segmented_when_it_is_again() -> None:
    run = make(segment_every_n=50, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(SCENE.length - 1)
    first, last = HIDDEN[0], HIDDEN[-1]
    for index in HIDDEN:
        found = run.results[index].object(1)
        assert (found.state, found.score, found.mask.area) == (ObjectState.OCCLUDED, 0.0, 0)
        assert run.results[index].skipped == (), "nothing was left out: it is not seen"
    found = run.results[last].object(1)
    assert found.frames_since_seen >= len(HIDDEN)
    again = [index for index in segmented(run) if index > 1]
    assert again[0] > last and all(index > first for index in again)
    assert run.results[again[0]].object(1).state == ObjectState.TRACKING
    assert len(again) == 1, "once it is seen its mask is moved along again"
    truth = SCENE.frame(again[0] + 2).mask(THING)
    assert run.results[again[0] + 2].skipped == MOVED
    assert run.results[again[0] + 2].object(1).mask.area > 0
    assert truth.any()


def test_a_hidden_object_has_no_mask_while_another_s_is_moved() -> None:
    run = make(segment_every_n=50, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(HIDDEN[0] + 2)
    for index in HIDDEN[:3]:
        result = run.results[index]
        assert result.skipped == MOVED
        assert result.object(1).state == ObjectState.OCCLUDED
        assert result.object(1).mask.area == 0
        assert result.object(2).state == ObjectState.TRACKING


def test_points_that_were_hidden_say_nothing_of_the_way() -> None:
    """Three of five positives were hidden when the object was segmented, and are elsewhere."""
    run = make(segment_every_n=50, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(*(((on(THING, 0)),) * 5)))
    before = run.to(1).object(1).mask.full()
    recalled = run.tracker.recall

    def some(ids: np.ndarray, index: int) -> PointTracks:
        found = recalled(ids, index)
        hidden = np.arange(len(ids)) < 0.6 * len(ids)
        xy = np.where(hidden[:, None], 40.0, found.xy)
        return PointTracks(index, found.ids, xy, ~hidden, found.confidence)

    run.tracker.recall = some  # type: ignore[method-assign]
    result = run.to(4)
    assert result.skipped == MOVED
    assert np.array_equal(result.object(1).mask.full()[:, 4:], before[:, :-4])


def test_without_points_a_mask_stays_where_it_was_if_none_is_required() -> None:
    run = make(
        OracleSegmenter(SCENE),
        segment_every_n=50,
        reinitialization="none",
        require_positive=False,
    )
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    before = run.to(4).object(1)
    run.tracker.fails = True
    now = run.to(5)
    assert now.skipped == MOVED
    assert now.object(1).state == ObjectState.TRACKING
    assert np.array_equal(now.object(1).mask.full(), before.mask.full())


def test_what_the_segmenter_failed_on_is_segmented_in_the_next_frame() -> None:
    failing = RaisingSegmenter(
        lambda index, prompts: index == 4 and prompts[0].object_id == 1, RuntimeError("no")
    )
    run = make(failing, segment_every_n=3, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(9)
    assert run.results[4].object(1).state == ObjectState.OCCLUDED
    assert run.results[4].problems
    assert segmented(run) == [0, 1, 4, 5, 8]
    assert run.results[5].object(1).state == ObjectState.TRACKING


def test_what_the_tracker_failed_on_is_segmented_in_the_next_frame() -> None:
    run = make(segment_every_n=9, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(3)
    run.tracker.fails = True
    assert run.to(4).object(1).state == ObjectState.OCCLUDED
    run.tracker.fails = False
    assert run.to(5).object(1).state == ObjectState.TRACKING
    run.to(9)
    assert segmented(run) == [0, 1, 5]


def test_catching_up_does_not_segment_what_was_skipped() -> None:
    run = make(segment_every_n=3, reinitialization="C", reinitialization_horizon=12)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    for index in range(1, 25):
        run.segmenter.calls.clear()
        run.to(index)
        start = item_of(run).window.start
        again = sorted(frame for frame, _ in run.segmenter.calls if frame < index)
        if again:
            skipped = by_frame(run)
            kept = [i for i in range(start, index) if skipped[i] == ()]
            assert again == kept and len(kept) < index - start
            break
    else:
        pytest.fail("there was no restart in the past")


def test_a_late_click_catches_up_in_the_frames_that_were_segmented() -> None:
    run = make(segment_every_n=4, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(11)
    run.segmenter.calls.clear()
    run.pipeline.add_object(click(on(THING, 3)), stamp=SCENE.stamp(3))
    assert segmented(run) == [3, 5, 9]
    found = run.to(12).object(2).mask.full()
    assert overlap(found, SCENE.frame(12).mask(THING)) > 0.9


def test_catching_up_after_a_click_is_of_no_frame_s_time() -> None:
    class Sleeping(ColourSegmenter):
        def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
            time.sleep(0.005)
            return super().predict(prompts)

    run = make(Sleeping(), reinitialization="none")
    run.to(9)
    run.pipeline.add_object(click(on(THING, 2)), stamp=SCENE.stamp(2))
    begin = time.perf_counter()
    timings = run.to(10).timings
    assert 5 <= sum(timings.values()) <= (time.perf_counter() - begin) * 1e3


def test_a_windowed_tracker_skips_the_same_frames() -> None:
    def run_of(window: int) -> Run:
        run = make(window=window, segment_every_n=3, reinitialization_horizon=8)
        run.pipeline.add_object(click(on(THING, 0)), stamp=SCENE.stamp(0))
        run.feed(23)
        return run

    streaming, windowed = run_of(0), run_of(4)
    assert by_frame(streaming) == by_frame(windowed)
    for index, result in windowed.results.items():
        ours = streaming.results[index].object(1).mask.full()
        assert overlap(result.object(1).mask.full(), ours) > 0.9, index


def test_two_runs_that_skip_are_byte_identical() -> None:
    def results() -> list[Any]:
        run = make(segment_every_n=3, reinitialization="B")
        run.to(2)
        run.pipeline.add_object(click(on(THING, 2)))
        run.pipeline.add_object(click(on(OCCLUDER, 2)))
        run.to(30)
        return [digest(result) for result in run.results.values()]

    assert results() == results()


def test_the_history_must_reach_back_to_the_last_segmented_frame() -> None:
    with pytest.raises(UserError, match=r"at least 30: 'segment_every_n'.*got 20"):
        make(segment_every_n=30, history_length=20)
    run = make(segment_every_n=9, history_length=9, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(20)
    assert segmented(run) == [0, 1, 10, 19]


def test_objects_start_again_from_their_masks_when_a_moved_frame_s_size_changes() -> None:
    run = make(segment_every_n=20, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(9)
    assert run.results[9].skipped == MOVED
    image = SCENE.frame(9).image.repeat(2, axis=0).repeat(2, axis=1)
    run.pipeline.tracker = OracleTracker(SCENE)  # knows nothing of what follows
    (result,) = run.pipeline.restart(image, SCENE.stamp(10))
    assert result.skipped == ()
    expected = SCENE.frame(9).mask(THING).repeat(2, axis=0).repeat(2, axis=1)
    assert overlap(result.object(1).mask.full(), expected) > 0.85


# --- moving ---------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 1000),
    origin=st.tuples(st.integers(0, 12), st.integers(0, 8)),
    size=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    shift=st.tuples(st.integers(-25, 25), st.integers(-25, 25)),
)
def test_a_mask_is_moved_and_cut_off_at_the_border(
    seed: int, origin: tuple[int, int], size: tuple[int, int], shift: tuple[int, int]
) -> None:
    logits = np.random.default_rng(seed).normal(0, 1, size).astype(np.float32)
    prediction = MaskPrediction(logits, origin, (16, 20), 0.7)
    moved = shifted(prediction, shift).mask
    expected = np.zeros((16, 20), np.bool_)
    for y, x in np.argwhere(prediction.mask):
        row, column = y + shift[1], x + shift[0]
        if 0 <= row < 16 and 0 <= column < 20:
            expected[row, column] = True
    assert np.array_equal(moved, expected)
    assert np.array_equal(Anchor(0, prediction, shift).moved.mask, expected)


def test_the_displacement_is_the_median_in_whole_pixels() -> None:
    before = np.array([[0, 0], [5, 5], [9, 1]], np.float32)
    now = before + np.array([[2.4, -3.6], [2.4, -3.6], [80, 90]], np.float32)
    assert displacement(before, now) == (2, -4)
    assert displacement(before[:0], now[:0]) is None


# --- the budget -----------------------------------------------------------------------------


def timed(
    segmenter: SlowSegmenter, tracking: float = 0.01, window: int = 0, **options: Any
) -> Run:
    tracker: OracleTracker = SlowTracker(SCENE, segmenter.clock, tracking)
    if window:
        tracker = DelayedTracker(SCENE, window)
    options = {"reinitialization": "none", "clustered_pixels": 64, **options}
    pipeline = SamPt(tracker, segmenter, SamPtOptions(**options), segmenter.clock)
    return Run(pipeline, tracker, segmenter, {})


def durations(run: Run, frames: Sequence[int]) -> list[float]:
    """Seconds of each frame's processing."""
    clock, found = run.segmenter.clock, []
    for index in frames:
        begin = clock.now
        run.to(index)
        found.append(clock.now - begin)
    return found


def test_refinement_is_skipped_before_segmentation() -> None:
    """Of 10 ms of tracking, 20 ms for masks and 4 passes of 20 ms, 75 ms have room for two."""
    run = timed(SlowSegmenter(StoppedClock(), 0.02, passes=4), frame_budget=0.075)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    taken = durations(run, range(1, 20))
    assert max(taken) <= 0.075
    assert set(run.segmenter.done.values()) == {2}
    assert {s for i, s in by_frame(run).items() if i} == {UNREFINED}


def test_segmentation_is_skipped_when_there_is_no_time_for_masks_at_all() -> None:
    """But in every second frame at most. The first time nobody knows how long they take."""
    run = timed(SlowSegmenter(StoppedClock(), 0.04, passes=4), frame_budget=0.03)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    taken = durations(run, range(1, 13))
    assert [by_frame(run)[i] for i in range(1, 13)] == [UNREFINED, MOVED] * 6
    assert taken == pytest.approx([0.05, 0.01] * 6)
    assert set(run.segmenter.done.values()) == {0}
    for index in range(1, 13):
        found = run.results[index].object(1).mask.full()
        assert overlap(found, SCENE.frame(index).mask(THING)) > 0.9, index


def test_refinement_that_was_skipped_is_told_where_objects_were_segmented_one_by_one() -> None:
    """Of the second one nothing was left out."""

    class Scarce(SlowSegmenter):
        def predict_until(self, prompts: Sequence[Prompt], deadline: Deadline) -> TimedPredictions:
            if len(prompts) > 1:
                raise MemoryError
            found = super().predict_until(prompts, deadline)
            return found if prompts[0].object_id == 1 else replace(found, shortened=False)

    run = timed(Scarce(StoppedClock(), 0.02, passes=4), frame_budget=0.05)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    result = run.to(1)
    assert "one by one" in result.problems[0]
    assert result.skipped == UNREFINED


def test_a_slow_tracker_leaves_less_time() -> None:
    run = timed(SlowSegmenter(StoppedClock(), 0.02, passes=4), 0.0, frame_budget=0.105)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    tracker: Any = run.tracker
    done = []
    for index, seconds in enumerate((0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.0), start=1):
        tracker.seconds = seconds
        run.to(index)
        done.append(run.segmenter.done.get(index))
    assert done == [4, 3, 2, 1, 0, None, 0, 4]
    skipped = [by_frame(run)[index] for index in range(1, 9)]
    assert skipped == [(), *[UNREFINED] * 4, MOVED, UNREFINED, ()]


def test_frames_that_must_be_segmented_are_over_budget_too() -> None:
    run = timed(SlowSegmenter(StoppedClock(), 0.04), frame_budget=0.03)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(3)
    run.pipeline.add_object(click(on(OCCLUDER, 4)), stamp=SCENE.stamp(4))
    run.to(6)
    assert [by_frame(run)[i] for i in range(1, 7)] == [(), MOVED, (), (), MOVED, ()]


def test_a_segmenter_that_cannot_do_less_is_skipped() -> None:
    clock = StoppedClock()

    class Plain(ColourSegmenter):
        def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
            clock.take(0.05)
            return super().predict(prompts)

    pipeline = SamPt(
        OracleTracker(SCENE),
        Plain(),
        SamPtOptions(frame_budget=0.04, reinitialization="none"),
        clock,
    )
    run = Run(pipeline, pipeline.tracker, pipeline.segmenter, {})  # type: ignore[arg-type]
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(6)
    assert [by_frame(run)[i] for i in range(1, 7)] == [(), MOVED] * 3


def test_a_frame_that_is_due_after_others_were_skipped_is_segmented_whatever_it_takes() -> None:
    run = timed(SlowSegmenter(StoppedClock(), 0.04), frame_budget=0.001, segment_every_n=3)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(10)
    assert segmented(run) == [0, 1, 4, 7, 10]


def test_each_frame_of_a_window_has_a_budget() -> None:
    """Four come at once; what one leaves is the next one's."""
    run = timed(SlowSegmenter(StoppedClock(), 0.02, passes=1), window=4, frame_budget=0.031)
    run.pipeline.add_object(click(on(THING, 0)), stamp=SCENE.stamp(0))
    run.feed(7)
    done = [run.segmenter.done[index] for index in range(8)]
    assert done == [0, 1] * 4
    assert MOVED not in by_frame(run).values()


def test_when_the_size_changes_old_times_are_forgotten() -> None:
    run = timed(SlowSegmenter(StoppedClock(), 0.04), frame_budget=0.03)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(1)
    image = SCENE.frame(1).image.repeat(2, axis=0).repeat(2, axis=1)
    (result,) = run.pipeline.restart(image, SCENE.stamp(2))
    assert result.skipped == ()


def test_a_budget_that_is_enough_changes_nothing() -> None:
    def results(budget: float) -> list[Any]:
        clock = StoppedClock()
        run = timed(
            SlowSegmenter(clock, 0.01, passes=3), frame_budget=budget, reinitialization="A"
        )
        run.to(0)
        run.pipeline.add_object(click(on(THING, 0)))
        run.to(40)
        assert set(by_frame(run).values()) == {()}
        return [digest(result) for result in run.results.values()]

    assert results(0.0) == results(0.06)


def test_a_frame_without_a_visible_object_skips_nothing() -> None:
    run = timed(SlowSegmenter(StoppedClock(), 0.04), frame_budget=0.001, segment_every_n=5)
    run.to(3)
    assert set(by_frame(run).values()) == {()}


# --- changes at run time --------------------------------------------------------------------


def test_the_rhythm_may_change_between_two_frames() -> None:
    run = make(segment_every_n=3, reinitialization="none", history_length=10)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(6)
    run.pipeline.change(replace(run.pipeline.options, segment_every_n=1))
    run.to(9)
    assert all(by_frame(run)[index] == () for index in (7, 8, 9))
    run.pipeline.change(replace(run.pipeline.options, segment_every_n=10))
    run.to(13)
    assert all(by_frame(run)[index] == MOVED for index in range(10, 14))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("segment_every_n", 11, "'history_length' must be at least 11"),
        ("positive_points", 3, "'positive_points' cannot change"),
    ],
)
def test_what_cannot_change_changes_nothing(option: str, value: int, words: str) -> None:
    run = make(history_length=10)
    before = run.pipeline.options
    with pytest.raises(UserError, match=words):
        run.pipeline.change(replace(before, lost_after=7, **{option: value}))
    assert run.pipeline.options is before
