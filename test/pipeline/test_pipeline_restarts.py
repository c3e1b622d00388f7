"""The pipeline samples points anew, catches up with them, and loses and finds objects."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import ObjectPrompt, ObjectState, PromptRequest
from sam_pt_ros.options import NoOptions
from sam_pt_ros.pipeline import Counters, SamPt, SamPtOptions
from sam_pt_ros.pipeline.reinitialization import MINIMUM_AREA
from sam_pt_ros.pipeline.tracked_object import TrackedObject
from sam_pt_ros.segmenters.base import Prompt, Segmenter
from sam_pt_ros.trackers import create_tracker
from sam_pt_ros.trackers.base import PointTracker
from support import cotracker_golden
from support.doubles import (
    ColourSegmenter,
    ConstantSegmenter,
    OracleSegmenter,
    OracleTracker,
    StoppedClock,
)
from support.pipeline_run import SCENE, Run, click, digest, make, on
from support.scene import OCCLUDER, THING, Scene, overlap

PAST = ("B", "C", "D")  # variants that restart in a frame of the past


def item_of(pipeline: SamPt, object_id: int) -> TrackedObject:
    return pipeline._roster._objects[object_id]


def restarted(
    pipeline: SamPt, images: list[np.ndarray], first: int = 0
) -> tuple[int, int, TrackedObject]:
    """Go on until the first restart in the past: its frame, that of the restart, the object."""
    before = item_of(pipeline, 1).window.start
    for index in range(first, len(images)):
        pipeline.process(images[index], index)
        item = item_of(pipeline, 1)
        if item.window.start != before:
            assert item.window.start < index, "in the newest frame"
            return index, item.window.start, item
    pytest.fail("there was no restart")


def waving(image_size: tuple[int, int], frames: int) -> list[np.ndarray]:
    """A textured square that goes to and fro and grows and shrinks: no two areas are equal."""
    height, width = image_size
    rng = np.random.default_rng(0)
    background = rng.integers(60, 100, (height, width, 1), np.uint8).repeat(3, axis=2)
    texture = rng.integers(150, 255, (height, width, 1), np.uint8) * np.array([1, 0, 0], np.uint8)
    made = []
    for index in range(frames):
        image = background.copy()
        side = 24 + round(8 * np.sin(index / 2))
        x, y = 20 + index, 20
        image[y : y + side, x : x + side] = texture[:side, :side]
        made.append(image)
    return made


class RedSegmenter(ColourSegmenter):
    """All that is red, if a positive point lies on it; it has no memory."""

    def predict(self, prompts: Any) -> list[MaskPrediction]:
        assert self.frame is not None
        image = self.frame.image.astype(np.int32)
        logits = (image[..., 0] - 2.0 * image[..., 1] - 50.0).astype(np.float32)
        return [MaskPrediction(logits, (0, 0), self.frame.size, 0.9) for _ in prompts]


def trackers() -> list[Any]:
    return ["lucas_kanade", pytest.param("cotracker", id="cotracker")]


def a_tracker(name: str) -> PointTracker:
    if name == "cotracker":
        pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
        return cotracker_golden.tracker()
    return create_tracker(name)


@pytest.mark.parametrize("variant", PAST)
@pytest.mark.parametrize("name", trackers())
def test_after_catching_up_points_are_where_a_run_from_that_frame_has_them(
    name: str, variant: str
) -> None:
    """Published results stay; from now on all is as if the points had been there in time."""
    images = waving((96, 128), 30)
    options = SamPtOptions(
        reinitialization=variant, reinitialization_horizon=10, history_length=20
    )
    pipeline = SamPt(a_tracker(name), RedSegmenter(), options)
    pipeline.process(images[0], 0)
    pipeline.add_object(click((30, 30)))
    newest, start, item = restarted(pipeline, images, 1)
    ids = item.points.ids
    queries = pipeline.tracker.recall(ids, start).xy
    found = {i: pipeline.tracker.recall(ids, i) for i in range(start, newest + 1)}
    following = pipeline.process(images[newest + 1], newest + 1)[0].object(1).points

    other = a_tracker(name)
    history = FrameHistory(20)
    other.reset(history)
    for index in range(start, newest + 2):
        frame = history.append(images[index], index)
        tracks = other.step(frame)
        if index == start:
            own = other.add_points(queries, frame)
            tracks = other.recall(own, 0)
        ours = found.get(index, following)
        if index <= newest:
            assert np.allclose(ours.xy, tracks.xy, atol=2e-4), index
            assert np.array_equal(ours.visible, tracks.visible)
    assert np.allclose(following.xy, tracks.select(own).xy, atol=2e-4)
    assert len(queries) == 17
    assert np.array_equal(queries, np.rint(queries)), "whole pixels of the mask"


@pytest.mark.parametrize("variant", PAST)
def test_a_restart_goes_through_the_frames_again_with_the_new_points(variant: str) -> None:
    segmenter = OracleSegmenter(SCENE)
    run = make(segmenter, reinitialization=variant, reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(7)
    item = item_of(run.pipeline, 1)
    start = item.window.start
    assert 1 + 8 // 4 <= start < 8
    assert item.window.newest == 7
    # Every frame once; those from the restart on once more, and none of them for a result.
    again = list(range(start, 8)) if start < 7 else []
    # First to propose, and then to catch up with the frame that was clicked on.
    assert segmenter.shown == [0, 0, *range(1, 8), *again]
    assert sorted(run.results) == list(range(8))
    assert run.pipeline.counters == Counters(restarts=1)


def test_a_segmenter_with_a_memory_is_shown_no_frame_twice() -> None:
    class Remembering(OracleSegmenter):
        has_memory = True

    segmenter = Remembering(SCENE)
    run = make(segmenter, reinitialization="D", reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(20)
    assert run.pipeline.counters.restarts >= 2
    assert segmenter.shown[2:] == list(range(1, 21))
    item = item_of(run.pipeline, 1)
    assert item.window.newest == 20
    assert all(area > MINIMUM_AREA for area in item.window.areas)


@pytest.mark.parametrize("variant", ["A", "D"])
def test_objects_go_on_together(variant: str) -> None:
    run = make(OracleSegmenter(SCENE), reinitialization=variant, reinitialization_horizon=6)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(3)
    run.pipeline.add_object(click(on(OCCLUDER, 3)))
    run.to(15)
    first, second = (item_of(run.pipeline, i) for i in (1, 2))
    assert first.window.start == second.window.start > 3


@pytest.mark.parametrize("budget", [0.0, 1e-6])
def test_who_joins_ends_the_others_windows_once(budget: float) -> None:
    """Also where objects are hidden, and where catching up takes too long."""

    class Hiding(OracleSegmenter):
        def predict(self, prompts: Any) -> list[MaskPrediction]:
            found = super().predict(prompts)
            nothing = MaskPrediction.nothing(SCENE.size)
            return [
                nothing if prompt.object_id != 1 and self.frame.index > 6 else each
                for prompt, each in zip(prompts, found)
            ]

    run = make(
        Hiding(SCENE),
        reinitialization="A",
        reinitialization_horizon=40,
        catch_up_budget=budget,
        positive_points=2,
    )
    run.to(0)
    run.pipeline.apply([request_for(i, click(on(OCCLUDER, 0))) for i in (1, 2)])
    run.pipeline._restarts._catch_up_seconds = 1.0
    run.to(6)
    run.pipeline.add_object(click(on(THING, 6)))
    for index in range(7, 38):
        run.to(index)
        assert not item_of(run.pipeline, 2).lost, "its horizon is not over"
    assert run.pipeline.counters.restarts <= 2
    assert item_of(run.pipeline, 1).window.start in (6, 7)


def test_points_that_cannot_catch_up_keep_the_masks_that_there_were() -> None:
    run = make(OracleSegmenter(SCENE), reinitialization="C", reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(6)
    original, failed = run.tracker.recall, []

    def fail_once(ids: Any, index: int) -> Any:
        if not failed and index == 5 and run.pipeline.history.newest.index == 7:
            failed.append(index)
            raise RuntimeError("no memory")
        return original(ids, index)

    run.tracker.recall = fail_once  # type: ignore[method-assign]
    result = run.to(7)
    assert failed and result.problems == ("points cannot catch up: RuntimeError('no memory')",)
    item = item_of(run.pipeline, 1)
    assert all(area > 0 for area in item.window.areas) and item.window.newest == 7
    assert run.to(8).object(1).state == ObjectState.TRACKING


def test_objects_restart_each_by_itself() -> None:
    run = make(OracleSegmenter(SCENE), reinitialization="B", reinitialization_horizon=6)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(3)
    run.pipeline.add_object(click(on(OCCLUDER, 3)))
    run.to(6)
    assert item_of(run.pipeline, 2).window.start == 3
    assert item_of(run.pipeline, 1).window.start > 0


def test_catching_up_uses_the_others_points_as_they_were() -> None:
    segmenter = ColourSegmenter()
    run = make(segmenter, reinitialization="C", reinitialization_horizon=8)
    run.to(0)
    run.pipeline.apply([request(click(on(THING, 0))), request(click(on(OCCLUDER, 0)))], stamp=None)
    run.to(6)
    segmenter.calls.clear()
    run.to(7)
    again = [(index, prompt) for index, prompts in segmenter.calls[1:] for prompt in prompts]
    assert again, "nothing was caught up with"
    assert all((prompt.labels == 0).sum() >= 10 for _, prompt in again)


def request(prompt: ObjectPrompt) -> Any:
    from sam_pt_ros.objects import PromptRequest

    return PromptRequest(prompt)


def test_a_late_click_catches_up_through_restarts_in_the_past() -> None:
    in_time, late = (make(OracleSegmenter(SCENE), reinitialization="B") for _ in range(2))
    for run in (in_time, late):
        run.to(2)
    in_time.pipeline.add_object(click(on(THING, 2)))
    in_time.to(20)
    late.to(20)
    late.pipeline.add_object(click(on(THING, 2)), stamp=SCENE.stamp(2))
    assert late.pipeline.counters.restarts == in_time.pipeline.counters.restarts >= 2
    first, second = in_time.to(21).object(1), late.to(21).object(1)
    assert np.array_equal(first.points.xy, second.points.xy)
    assert np.array_equal(first.mask.full(), second.mask.full())


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
def test_what_was_clicked_is_not_forgotten_by_a_restart_before_it(variant: str) -> None:
    """Points are sampled only from masks that know of the click."""
    run = make(OracleSegmenter(SCENE), reinitialization=variant, reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(6)
    run.pipeline.add_prompts(1, click(on(OCCLUDER, 6), beside=[(5.0, 60.0)]))
    run.to(7)
    assert run.pipeline.counters.restarts == 1
    assert item_of(run.pipeline, 1).window.start == 7, "the only mask that knows of it"
    kept = run.to(8).object(1)
    assert len(kept.points) == 18 and [5.0, 60.0] in kept.points.xy.tolist()


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
def test_who_clicks_all_the_time_does_not_keep_points_from_being_sampled_anew(
    variant: str,
) -> None:
    run = make(OracleSegmenter(SCENE), reinitialization=variant, reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    for index in range(5, 55, 5):
        run.to(index)
        run.pipeline.add_prompts(1, click(on(OCCLUDER, index)))
        assert len(run.results[index].object(1).points) <= 17 + 2
    assert run.pipeline.counters.restarts >= 6


def test_one_object_s_failure_does_not_cost_the_others_their_points() -> None:
    run = make(OracleSegmenter(SCENE), reinitialization="B", reinitialization_horizon=6)
    run.to(0)
    run.pipeline.apply([request(click(on(THING, 0))), request(click(on(OCCLUDER, 0)))])
    original = run.pipeline._restarts.sample

    def fail_for_the_thing(mask: Any, frame: Frame, rng: Any) -> Any:
        if mask[tuple(int(v) for v in reversed(on(THING, frame.index)))]:
            raise RuntimeError("no memory")
        return original(mask, frame, rng)

    run.pipeline._restarts.sample = fail_for_the_thing  # type: ignore[method-assign]
    run.to(13)
    assert item_of(run.pipeline, 2).window.start > 5
    assert run.pipeline.counters.restarts >= 2
    assert len(run.results[13].object(1).points) == 17


def test_points_are_sampled_anew_however_many_may_be_tracked() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    images = waving((96, 128), 14)
    options = SamPtOptions(reinitialization="A", reinitialization_horizon=4, history_length=20)
    pipeline = SamPt(cotracker_golden.tracker(max_points=17), RedSegmenter(), options)
    pipeline.process(images[0], 0)
    pipeline.add_object(click((30, 30)))
    for index in range(1, 14):
        (result,) = pipeline.process(images[index], index)
        assert not result.problems
        assert len(result.object(1).points) == 17
    assert pipeline.counters.restarts == 4
    with pytest.raises(UserError, match="exceed 'max_points', which is 17"):
        pipeline.add_prompts(1, click((32, 32)))


@pytest.mark.parametrize("window", [3, 8])
@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
def test_a_tracker_that_answers_late_restarts_in_the_same_frames(
    variant: str, window: int
) -> None:
    def results(late: int) -> list[Any]:
        run = make(OracleSegmenter(SCENE), window=late, reinitialization=variant)
        run.feed(0)
        run.pipeline.add_object(click(on(THING, 0)))
        run.feed(23)
        assert run.pipeline.counters.restarts >= 2
        return [digest(run.results[i]) for i in range(1, 24)]

    assert results(window) == results(0)


def test_a_segmenter_that_fails_while_points_catch_up_costs_that_frame_alone() -> None:
    class Failing(OracleSegmenter):
        fails_at = -1

        def predict(self, prompts: Any) -> list[MaskPrediction]:
            assert self.frame is not None
            if self.shown.count(self.frame.index) > 1 and self.frame.index == self.fails_at:
                raise RuntimeError("no memory")
            return super().predict(prompts)

    segmenter = Failing(SCENE)
    run = make(segmenter, reinitialization="C", reinitialization_horizon=8)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    segmenter.fails_at = 5
    run.to(7)
    item = item_of(run.pipeline, 1)
    assert item.window.start < 5
    areas = dict(enumerate(item.window.areas, start=item.window.start))
    assert [index for index, area in areas.items() if area == 0] == [5]
    assert item.mask is not None and item.mask.area > 0
    said = ("object 1 cannot be segmented: RuntimeError('no memory')",)
    assert run.results[7].problems == said
    assert run.to(8).object(1).state == ObjectState.TRACKING


def test_a_restart_that_fails_is_put_off_and_the_old_points_go_on() -> None:
    run = make(OracleSegmenter(SCENE), reinitialization="C", reinitialization_horizon=6)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(4)
    original = run.tracker.add_points

    def refuse(xy: Any, frame: Any) -> Any:
        raise UserError("too many points")

    run.tracker.add_points = refuse  # type: ignore[method-assign]
    for index in range(5, 9):
        item = run.to(index).object(1)
        assert item.state == ObjectState.TRACKING and len(item.points) == 17
    run.tracker.add_points = original  # type: ignore[method-assign]
    problems = {i: r.problems for i, r in run.results.items() if r.problems}
    said = ("object 1: points cannot be resampled: too many points",)
    assert problems == {5: said}, "said once"
    run.to(10)
    assert run.pipeline.counters.restarts == 1


# --- the budget -----------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["C", "D"])
def test_over_budget_points_are_sampled_in_the_newest_frame(variant: str) -> None:
    """The first time nobody knows how long it takes."""
    run = make(
        OracleSegmenter(SCENE),
        reinitialization=variant,
        reinitialization_horizon=8,
        catch_up_budget=1e-9,
    )
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(7)
    assert item_of(run.pipeline, 1).window.start == 3
    assert run.pipeline.counters == Counters(restarts=1)
    run.to(10)
    assert item_of(run.pipeline, 1).window.start == 10
    assert run.pipeline.counters == Counters(restarts=2, over_budget=1)
    assert run.to(12).object(1).positives_visible == 16


def test_after_a_slow_time_catching_up_is_tried_again() -> None:
    run = make(
        OracleSegmenter(SCENE),
        reinitialization="C",
        reinitialization_horizon=6,
        catch_up_budget=0.05,
    )
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.pipeline._restarts._catch_up_seconds = 0.1
    run.to(55)
    counters = run.pipeline.counters
    assert 0 < counters.over_budget < counters.restarts
    assert run.pipeline._restarts._catch_up_seconds < 0.05


def test_a_budget_that_is_enough_changes_nothing() -> None:
    def results(budget: float) -> list[Any]:
        run = make(OracleSegmenter(SCENE), reinitialization="C", catch_up_budget=budget)
        run.to(0)
        run.pipeline.add_object(click(on(THING, 0)))
        run.to(40)
        assert run.pipeline.counters.over_budget == 0
        return [digest(result) for result in run.results.values()]

    assert results(0.0) == results(3600.0)


def test_the_history_must_reach_back_to_where_points_may_be_sampled() -> None:
    with pytest.raises(UserError, match=r"'history_length' must be at least 24.*got 23"):
        make(reinitialization="B", reinitialization_horizon=24, history_length=23)
    make(reinitialization="B", reinitialization_horizon=24, history_length=24)
    options = SamPtOptions(reinitialization="none", history_length=16)
    with pytest.raises(UserError, match="16 frames by which the tracker may answer late"):
        SamPt(Late(SCENE), ColourSegmenter(), options)


class Late(OracleTracker):
    @classmethod
    def lag(cls, options: Any) -> int:
        return 16


# --- losing and finding ---------------------------------------------------------------------


def states(run: Run, last: int) -> list[ObjectState]:
    run.to(last)
    return [run.results[i].object(1).state for i in sorted(run.results) if i > 0]


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
def test_an_object_that_vanishes_and_returns_is_occluded_lost_and_tracked_again(
    variant: str,
) -> None:
    """Its old points wait for it: they are the only ones that know what it looked like."""
    hidden = SCENE.hidden(THING)
    horizon = 4
    assert len(hidden) > horizon + 1
    run = make(OracleSegmenter(SCENE), reinitialization=variant, reinitialization_horizon=horizon)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    found = states(run, 59)
    gone = found.index(ObjectState.OCCLUDED)
    back = len(found) - 1 - found[::-1].index(ObjectState.LOST)
    assert set(found[:gone]) == {ObjectState.TRACKING}
    assert set(found[gone : back + 1]) == {ObjectState.OCCLUDED, ObjectState.LOST}
    lost = found.index(ObjectState.LOST)
    assert set(found[lost : back + 1]) == {ObjectState.LOST}, "lost is lost until it is seen"
    assert gone < lost <= gone + 2 * horizon
    assert set(found[back + 1 :]) == {ObjectState.TRACKING}
    for index, result in run.results.items():
        if index == 0:
            continue
        item = result.object(1)
        assert (item.state == ObjectState.TRACKING) == (item.mask.area > 0)
        assert (item.score > 0) == (item.mask.area > 0)
    truth = SCENE.frame(59).mask(THING)
    assert overlap(run.results[59].object(1).mask.full(), truth) > 0.95
    assert run.pipeline.counters.lost == 1


def test_without_reinitialization_an_object_is_lost_after_the_set_number_of_frames() -> None:
    run = make(OracleSegmenter(SCENE), reinitialization="none", lost_after=3)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    found = states(run, 40)
    gone = found.index(ObjectState.OCCLUDED)
    assert found[gone : gone + 4] == [ObjectState.OCCLUDED] * 3 + [ObjectState.LOST]


class Shrinking(Segmenter):
    """A square whose side the test sets."""

    def __init__(self, side: int) -> None:
        super().__init__(NoOptions())
        self.side = side
        self.frame: Frame | None = None

    def set_image(self, frame: Frame) -> None:
        self.frame = frame

    def predict(self, prompts: Any) -> list[MaskPrediction]:
        assert self.frame is not None
        logits = np.full(self.frame.size, -1.0, np.float32)
        logits[10 : 10 + self.side, 10 : 10 + self.side] = 1.0
        return [MaskPrediction(logits, (0, 0), self.frame.size, 0.9) for _ in prompts]


def lost_object() -> tuple[Run, Shrinking]:
    segmenter = Shrinking(12)
    run = make(segmenter, reinitialization="B", reinitialization_horizon=4)
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(1)
    segmenter.side = 5  # 25 pixels: seen, but too few to sample from
    run.to(12)
    assert run.results[12].object(1).state == ObjectState.LOST
    return run, segmenter


def test_a_lost_object_publishes_no_mask_until_there_is_enough_of_it() -> None:
    run, segmenter = lost_object()
    assert run.results[3].object(1).mask.area == 25
    assert run.results[12].object(1).mask.area == 0
    segmenter.side = 6
    item = run.to(13).object(1)
    assert item.state == ObjectState.TRACKING and item.mask.area == 36
    segmenter.side = 5
    assert run.to(14).object(1).mask.area == 25, "once it is found small masks count again"


def test_new_prompts_revive_a_lost_object() -> None:
    run, _ = lost_object()
    run.pipeline.add_prompts(1, click((12, 12)))
    item = run.to(13).object(1)
    assert item.state == ObjectState.TRACKING and item.mask.area == 25


def test_a_refused_prompt_does_not_revive_it() -> None:
    run, _ = lost_object()
    with pytest.raises(UserError):
        run.pipeline.apply([request_for(1, click((12, 12))), request_for(2, click((-90, 0)))])
    assert run.to(13).object(1).state == ObjectState.LOST

    def fail(xy: Any, frame: Any) -> Any:
        raise UserError("no more points")

    original = run.tracker.add_points
    calls = []

    def second_fails(xy: Any, frame: Any) -> Any:
        calls.append(1)
        return original(xy, frame) if len(calls) == 1 else fail(xy, frame)

    run.tracker.add_points = second_fails  # type: ignore[method-assign]
    with pytest.raises(UserError, match="no more points"):
        run.pipeline.apply([request_for(1, click((12, 12))), request_for(2, click((40, 20)))])
    run.tracker.add_points = original  # type: ignore[method-assign]
    assert run.to(14).object(1).state == ObjectState.LOST


def request_for(object_id: int, prompt: ObjectPrompt) -> Any:
    from sam_pt_ros.objects import PromptRequest

    return PromptRequest(prompt, object_id)


# --- starting, prompts, filter --------------------------------------------------------------


def test_a_click_asks_for_what_it_may_mean_and_points_are_sampled_from_that() -> None:
    segmenter = OracleSegmenter(SCENE)
    run = make(segmenter)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    (asked,) = segmenter.proposed
    assert asked.points.tolist() == [list(on(THING, 0))]
    item = run.to(1).object(1)
    assert item.positives_total == 16 and len(item.points) == 17
    sampled = run.tracker.recall(item.points.ids, 0).xy
    assert set(SCENE.owner(sampled[:16], 0)) == {THING}
    assert SCENE.owner(sampled[16:], 0)[0] != THING


def test_a_box_in_which_nothing_is_found_is_refused() -> None:
    run = make(OracleSegmenter(SCENE))
    run.to(0)
    with pytest.raises(UserError, match="nothing was found in the box"):
        run.pipeline.add_object(ObjectPrompt(box=np.array([2, 2, 9, 9], np.float32)))
    assert run.pipeline.object_ids == [] and run.tracker.tracked == []


def test_a_mask_is_published_as_it_was_drawn_wherever_it_lies() -> None:
    """All its points are at the image's edge, where they do not prompt."""

    class Drawing(OracleSegmenter):
        def predict(self, prompts: Any) -> list[MaskPrediction]:
            logits = [np.where(prompt.mask, 1.0, -1.0).astype(np.float32) for prompt in prompts]
            return [MaskPrediction(each, (0, 0), SCENE.size, 1.0) for each in logits]

    run = make(Drawing(SCENE), reinitialization="none")
    drawn = np.zeros(SCENE.size, bool)
    drawn[0, 0] = True
    run.pipeline.add_object(ObjectPrompt(mask=drawn))
    assert run.to(0).object(1).mask.area == 1


def test_click_expansion_can_be_left_out() -> None:
    segmenter = OracleSegmenter(SCENE)
    run = make(segmenter, click_expansion=False, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    assert not segmenter.proposed
    assert len(run.to(1).object(1).points) == 1


def test_a_mask_needs_no_proposal_and_a_box_has_one() -> None:
    segmenter = OracleSegmenter(SCENE)
    run = make(segmenter)
    run.to(0)
    run.pipeline.add_object(ObjectPrompt(mask=SCENE.frame(0).mask(THING)))
    assert not segmenter.proposed
    run.pipeline.add_object(ObjectPrompt(box=np.array([40, 20, 60, 50], np.float32)))
    assert segmenter.proposed[0].box is not None


def test_the_others_negatives_can_be_limited_and_are_drawn_the_same_every_time() -> None:
    def prompts(limit: int, seed: int = 0) -> list[np.ndarray]:
        segmenter = ColourSegmenter()
        run = make(segmenter, max_others_negatives=limit, seed=seed, reinitialization="none")
        run.to(0)
        run.pipeline.add_object(click(on(THING, 0)))
        run.pipeline.add_object(click(on(OCCLUDER, 0)))
        run.to(5)
        return [segmenter.prompts_of(1)[i].points for i in range(1, 6)]

    everything, some = prompts(0), prompts(5)
    for full, part in zip(everything, some):
        assert len(full) == len(part) + 16 - 5
        assert {tuple(p) for p in part} <= {tuple(p) for p in full}
    assert all(np.array_equal(a, b) for a, b in zip(some, prompts(5)))
    drawn = [{tuple(p) for p in part[-5:]} for part in some]
    assert any(one != other for one, other in zip(drawn, drawn[1:])), "another draw in each frame"
    assert len(prompts(100)[0]) == len(everything[0])


def test_points_whose_surroundings_change_are_hidden_until_they_are_sampled_anew() -> None:
    """The tracker believes that the points still stand; what is there is another thing."""

    class Standing(OracleTracker):
        def _tracks(self, ids: Any, frame: Frame) -> Any:
            tracks = super()._tracks(ids, frame)
            places = np.array([self._points[point][3] for point in ids]).reshape(-1, 2)
            object.__setattr__(tracks, "xy", places.astype(np.float32))
            object.__setattr__(tracks, "visible", np.ones(len(ids), bool))
            return tracks

    def visible(**options: Any) -> list[int]:
        pipeline = SamPt(
            Standing(SCENE), Shrinking(12), SamPtOptions(reinitialization="none", **options)
        )
        pipeline.process(SCENE.frame(0).image, SCENE.stamp(0))
        pipeline.add_object(ObjectPrompt(mask=SCENE.frame(0).mask(THING)))
        counts = []
        for index in range(1, 30):
            (result,) = pipeline.process(SCENE.frame(index).image, SCENE.stamp(index))
            counts.append(result.object(1).positives_visible)
        return counts

    assert visible() == [16] * 29
    filtered = visible(patch_filter=True)
    assert filtered[0] >= 8 and filtered[-1] == 0
    assert filtered == sorted(filtered, reverse=True), "once rejected they stay so"


# --- memory ---------------------------------------------------------------------------------


class HeavySegmenter(Segmenter):
    """Keeps an embedding of MobileSAM's shape, though not its depth, with every frame."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.frame: Frame | None = None

    def set_image(self, frame: Frame) -> None:
        self.frame = frame
        frame.features.setdefault("heavy", np.zeros((4, 64, 64), np.float32))

    def predict(self, prompts: list[Prompt]) -> list[MaskPrediction]:  # type: ignore[override]
        assert self.frame is not None
        logits = np.full(self.frame.size, -1.0, np.float32)
        logits[5:15, 5:15] = 1.0
        return [MaskPrediction(logits, (0, 0), self.frame.size, 0.9) for _ in prompts]


@pytest.mark.parametrize("variant", ["B", pytest.param("A", marks=pytest.mark.slow)])
def test_nothing_is_kept_per_frame_beyond_the_history(variant: str) -> None:
    from support.doubles import StillTracker

    scene = Scene(32, 24, 1, np.full((24, 33, 3), 40, np.float32), 0.0, (), 0.0, 0)
    image = scene.frame(0).image
    options = SamPtOptions(
        history_length=12,
        positive_points=4,
        reinitialization=variant,
        reinitialization_horizon=8,
        patch_filter=True,
    )
    pipeline = SamPt(StillTracker(scene), HeavySegmenter(), options)
    pipeline.add_object(click((10, 10)))

    def used_after(first: int, last: int) -> int:
        for index in range(first, last):
            pipeline.process(image.copy(), index)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = used_after(0, 400)
        late = used_after(400, 2000)
    finally:
        tracemalloc.stop()
    assert early > 12 * 64 * 64 * 16, "the features of the history are not there"
    assert late < early + 20_000
    assert pipeline.counters.restarts > 200


def test_many_objects_do_not_restart_in_one_frame() -> None:
    """Sampling points takes time; who has waited comes first, and none waits for long."""
    clock = StoppedClock()
    masks = {
        number: np.full((SCENE.height, SCENE.width), -1.0, np.float32) for number in range(1, 6)
    }
    for number, logits in masks.items():
        logits[10:30, 15 * number : 15 * number + 10] = 1.0
    pipeline = SamPt(
        OracleTracker(SCENE),
        ConstantSegmenter(masks),
        SamPtOptions(reinitialization_horizon=8, catch_up_budget=0.1, click_expansion=False),
        clock,
    )
    image = SCENE.frame(0).image
    pipeline.process(image, 0)
    pipeline.apply([PromptRequest(click((15 * n + 5, 20)), n) for n in masks])
    sample = pipeline._restarts.sample

    def slow(*arguments: Any) -> Any:
        clock.take(0.04)
        return sample(*arguments)

    pipeline._restarts.sample = slow  # type: ignore[method-assign]
    restarts = []
    for index in range(1, 10):
        pipeline.process(image, index)
        restarts.append(pipeline.counters.restarts)
    assert restarts == [0, 0, 0, 0, 0, 0, 3, 5, 5]
    assert pipeline.counters.over_budget == 0
    starts = {n: item_of(pipeline, n).window.start for n in masks}
    assert set(starts.values()) == {7}, "from the frame in which all windows ended"


def test_points_sampled_from_a_wrong_mask_go_with_its_correction() -> None:
    wrong, right = (np.full((SCENE.height, SCENE.width), -1.0, np.float32) for _ in range(2))
    wrong[10:40, 20:100] = 1.0
    right[10:40, 20:60] = 1.0
    run = make(ConstantSegmenter({1: wrong}), reinitialization_horizon=20)
    run.to(0)
    run.pipeline.add_object(click((30, 25)))
    before = run.to(3).object(1)
    assert (before.points.xy[before.point_labels == 1][:, 0] > 60).any()
    run.pipeline.add_prompts(1, click(beside=[(80, 25)]))
    run.pipeline.segmenter = ConstantSegmenter({1: right})
    run.to(4)
    item = item_of(run.pipeline, 1)
    assert item.window.start == 4 and run.pipeline.counters.restarts == 1
    after = run.to(5).object(1)
    on = after.points.xy[after.point_labels == 1]
    assert len(on) == 16 and (on[:, 0] < 60).all()
    assert [80.0, 25.0] in after.points.xy[after.point_labels == 0].tolist()
