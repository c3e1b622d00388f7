"""The pipeline over stand-ins: what it promises whatever tracker and segmenter are used."""

from __future__ import annotations

import json
import tracemalloc
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sam_pt_ros.errors import FrameUnavailableError, UnknownObjectError, UserError
from sam_pt_ros.objects import ObjectPrompt, ObjectResult, ObjectState, PromptRequest, TrackResult
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.pipeline.prompting import inside_border
from support.doubles import (
    ColourSegmenter,
    ConstantSegmenter,
    DelayedTracker,
    RaisingSegmenter,
    StillTracker,
)
from support.examples import examples
from support.pipeline_run import SCENE, Run, click, digest, make, on
from support.scene import OCCLUDER, THING, Scene, inner_point, overlap

GOLDEN = Path(__file__).parents[1] / "golden"


def same(first: ObjectResult, second: ObjectResult) -> bool:
    """Whether two results of an object are equal in everything but the points' ids."""
    return (
        (first.object_id, first.label, first.state, first.score, first.age)
        == (second.object_id, second.label, second.state, second.score, second.age)
        and first.frames_since_seen == second.frames_since_seen
        and np.array_equal(first.mask.full(), second.mask.full())
        and np.array_equal(first.points.xy, second.points.xy)
        and np.array_equal(first.points.visible, second.points.visible)
        and np.array_equal(first.point_labels, second.point_labels)
    )


# --- starting -----------------------------------------------------------------------------


def started_from(prompt: ObjectPrompt) -> float:
    """Overlap with the truth two frames after an object was started in frame 3."""
    run = make()
    run.to(3)
    object_id = run.pipeline.add_object(prompt)
    return overlap(run.to(5).object(object_id).mask.full(), SCENE.frame(5).mask(THING))


def test_an_object_starts_from_one_click() -> None:
    assert started_from(click(on(THING, 3))) > 0.85


def test_an_object_starts_from_points() -> None:
    x, y = on(THING, 3)
    prompt = click((x, y), (x - 2, y), (x, y + 2), beside=[(x + 25, y)])
    assert started_from(prompt) > 0.85


def test_an_object_starts_from_a_box() -> None:
    rows, columns = np.nonzero(SCENE.frame(3).mask(THING))
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
    assert started_from(ObjectPrompt(box=box)) > 0.85


def test_an_object_starts_from_a_mask() -> None:
    assert started_from(ObjectPrompt(mask=SCENE.frame(3).mask(THING))) > 0.85


def test_a_click_becomes_as_many_points_as_are_set_and_keeps_the_clicked_one() -> None:
    run = make(positive_points=12, negative_points=3)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    labels = run.to(1).object(1).point_labels
    assert labels.tolist() == [1] * 12 + [0] * 3
    first = run.segmenter.prompts_of(1)[0]
    assert first.points[0].tolist() == list(on(THING, 0))


def test_without_expansion_just_the_given_points_are_tracked() -> None:
    run = make(click_expansion=False, reinitialization="none")
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0), beside=[(90, 60)]))
    item = run.to(1).object(1)
    assert item.point_labels.tolist() == [1, 0]
    assert (item.positives_visible, item.positives_total) == (1, 1)


def test_the_user_s_box_and_mask_are_shown_to_the_segmenter_in_the_first_frame_only() -> None:
    run = make()
    run.to(3)
    mask = SCENE.frame(3).mask(THING)
    run.pipeline.add_object(ObjectPrompt(mask=mask, box=np.array([1, 2, 30, 40])))
    run.to(5)
    prompts = run.segmenter.prompts_of(1)
    assert np.array_equal(prompts[3].mask, mask) and prompts[3].box.tolist() == [1, 2, 30, 40]
    assert prompts[4].mask is None and prompts[4].box is None


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (ObjectPrompt(), "needs a positive point, a box or a mask"),
        (click(beside=[(5, 5)]), "needs a positive point, a box or a mask"),
        (click((200, 5)), r"\(200, 5\) is not in the image of 96x72"),
        (click((5, -0.6)), "not in the image"),
        (ObjectPrompt(box=np.array([96, 0, 120, 10])), "lies outside of the image"),
        (ObjectPrompt(mask=np.ones((10, 10))), "the mask is 10x10, the image is 96x72"),
        (ObjectPrompt(mask=np.zeros((72, 96))), "the mask is empty"),
    ],
)
def test_a_prompt_that_cannot_start_an_object_says_why(prompt: ObjectPrompt, says: str) -> None:
    run = make()
    run.to(0)
    with pytest.raises(UserError, match=says):
        run.pipeline.add_object(prompt)
    assert run.pipeline.object_ids == [] and run.tracker.tracked == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"points": [[np.nan, 1]], "labels": [1]}, "finite"),
        ({"points": [[np.inf, 1]], "labels": [1]}, "finite"),
        ({"points": [[1, 2, 3]], "labels": [1]}, "shape"),
        ({"points": [[1, 2]], "labels": [1, 1]}, "labels"),
        ({"points": [[1, 2]], "labels": [2]}, "labels must be 1"),
        ({"box": [5, 5, 4, 6]}, "x min"),
        ({"box": [5, 5, np.nan, 6]}, "x min"),
        ({"mask": np.zeros((2, 2, 3))}, "shape"),
    ],
)
def test_a_malformed_prompt_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ObjectPrompt(**arguments)


# --- ids ----------------------------------------------------------------------------------


def test_ids_count_from_one_and_are_not_used_twice_until_a_reset() -> None:
    run = make()
    run.to(0)
    assert run.pipeline.add_object(click(on(THING, 0))) == 1
    run.pipeline.remove_object(1)
    assert run.pipeline.add_object(click(on(THING, 0))) == 2
    run.pipeline.reset()
    run.pipeline.process(SCENE.frame(0).image, 1)
    assert run.pipeline.add_object(click(on(THING, 0))) == 1


def test_given_ids_are_kept_and_avoided() -> None:
    run = make()
    run.to(0)
    assert run.pipeline.add_object(click(on(THING, 0)), object_id=2) == 2
    assert run.pipeline.add_object(click(on(OCCLUDER, 0)), object_id=65535) == 65535
    assert [run.pipeline.add_object(click((2, 2))) for _ in range(2)] == [1, 3]
    assert run.pipeline.object_ids == [1, 2, 3, 65535]


@pytest.mark.parametrize("object_id", [0, -1, 65536])
def test_an_id_out_of_range_is_refused(object_id: int) -> None:
    run = make()
    run.to(0)
    with pytest.raises(UserError, match="1 to 65535"):
        run.pipeline.add_object(click(on(THING, 0)), object_id=object_id)


def test_an_id_in_use_is_refused() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    with pytest.raises(UserError, match="exists already"):
        run.pipeline.add_object(click(on(OCCLUDER, 0)), object_id=1)


def test_requests_are_done_all_or_not_at_all() -> None:
    run = make()
    run.to(0)
    good, bad = PromptRequest(click(on(THING, 0))), PromptRequest(click((500, 500)))
    with pytest.raises(UserError, match="not in the image"):
        run.pipeline.apply([good, bad])
    assert run.pipeline.object_ids == [] and run.tracker.tracked == []


def test_requests_are_done_all_or_not_at_all_when_the_segmenter_refuses_one() -> None:
    def second(index: int, prompts: Sequence[Any]) -> bool:
        return any(prompt.object_id == 2 for prompt in prompts)

    run = make(RaisingSegmenter(second, UserError("no such thing")))
    run.to(0)
    requests = [PromptRequest(click(on(THING, 0))), PromptRequest(click(on(OCCLUDER, 0)))]
    with pytest.raises(UserError, match="no such thing"):
        run.pipeline.apply(requests)
    assert run.pipeline.object_ids == [] and run.tracker.tracked == []


# --- points of objects that exist ---------------------------------------------------------


def test_points_are_added_to_an_object_positives_first() -> None:
    run = make(reinitialization="none", negative_points=1)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    before = run.to(1).object(1).positives_total
    run.pipeline.add_prompts(1, click(on(THING, 1), beside=[(90, 5), (90, 10)]))
    item = run.to(2).object(1)
    assert item.positives_total == before + 1
    assert item.point_labels.tolist() == [1] * (before + 1) + [0] * 3


def test_a_box_cannot_be_added_to_an_object() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    with pytest.raises(UserError, match="only points"):
        run.pipeline.add_prompts(1, ObjectPrompt(box=np.array([0, 0, 5, 5])))


def test_points_are_not_added_before_the_object_s_first_frame() -> None:
    run = make()
    run.to(3)
    run.pipeline.add_object(click(on(THING, 3)))
    with pytest.raises(UserError, match="starts later"):
        run.pipeline.add_prompts(1, click(on(THING, 1)), stamp=SCENE.stamp(1))


def test_clicked_negatives_outlive_a_restart_and_sampled_points_do_not() -> None:
    run = make(reinitialization_horizon=4, negative_points=0)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0), beside=[(90, 60)]))
    before = run.to(1).object(1).points
    after = run.to(8).object(1)
    clicked = before.ids[-1]
    assert after.points.ids[-1] == clicked and after.point_labels[-1] == 0
    assert not np.isin(before.ids[:-1], after.points.ids).any()


def test_a_clicked_negative_that_the_mask_covers_is_dropped_at_the_restart() -> None:
    run = make(reinitialization_horizon=4, negative_points=0)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(1)
    logits = np.full(SCENE.size, 5.0, np.float32)
    run.pipeline.segmenter = ConstantSegmenter({1: logits})
    run.pipeline.add_prompts(1, click(beside=[(90, 60)]))
    assert 0 not in run.to(6).object(1).point_labels


def test_unknown_objects_are_named_with_those_that_are_known() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    for act in (
        lambda: run.pipeline.remove_object(7),
        lambda: run.pipeline.add_prompts(7, click((1, 1))),
    ):
        with pytest.raises(UnknownObjectError, match="no object 7; tracked objects: 1"):
            act()


# --- removing and resetting ---------------------------------------------------------------


def test_a_removed_object_leaves_no_trace() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(1)
    run.pipeline.remove_object(1)
    result = run.to(2)
    assert [o.object_id for o in result.objects] == [2]
    assert set(np.unique(result.label_image)) == {0, 2}
    assert run.segmenter.forgotten == [1]
    assert run.tracker.tracked == result.object(2).points.ids.tolist()
    assert 1 not in [prompt.object_id for prompt in run.segmenter.calls[-1][1]]


def test_a_waiting_object_can_be_removed() -> None:
    run = make()
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.remove_object(1)
    result = run.to(0)
    assert result.objects == () and result.problems == ()


def test_a_reset_forgets_frames_and_objects() -> None:
    run = make()
    run.to(2)
    run.pipeline.add_object(click(on(THING, 2)))
    run.pipeline.add_object(click(on(THING, 2)), stamp=SCENE.stamp(50))
    run.pipeline.reset()
    assert run.pipeline.object_ids == [] and len(run.pipeline.history) == 0
    assert run.tracker.tracked == []
    (result,) = run.pipeline.process(np.zeros((20, 30, 3), np.uint8), 1)
    assert result.index == 0 and result.objects == ()


# --- waiting ------------------------------------------------------------------------------


def test_a_click_before_the_first_frame_starts_in_it() -> None:
    run = make()
    run.pipeline.add_object(click(on(THING, 0)), label="cup")
    item = run.to(0).object(1)
    assert item.age == 0 and item.label == "cup" and item.state is ObjectState.TRACKING


def test_a_click_on_a_future_frame_waits_for_it() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 2)), stamp=SCENE.stamp(2))
    assert run.pipeline.object_ids == [1]
    assert run.to(1).objects == ()
    assert run.to(2).object(1).age == 0


def test_waiting_and_clicking_in_time_give_the_same() -> None:
    waited, clicked = make(), make()
    waited.to(0)
    waited.pipeline.add_object(click(on(THING, 2)), stamp=SCENE.stamp(2))
    clicked.to(2)
    clicked.pipeline.add_object(click(on(THING, 2)))
    waited.to(20)
    clicked.to(20)
    for index in range(3, 21):
        assert same(waited.results[index].object(1), clicked.results[index].object(1)), index


def test_a_waiting_click_that_does_not_fit_is_reported_with_its_frame() -> None:
    run = make()
    run.pipeline.add_object(click((5000, 5)))
    result = run.to(0)
    assert result.objects == ()
    (problem,) = result.problems
    assert problem.startswith("click refused: object 1: the point (5000, 5) is not in the image")
    assert run.pipeline.object_ids == [] and run.to(1).problems == ()


def test_a_windowed_tracker_does_not_swallow_the_problems_of_waiting_clicks() -> None:
    run = make(window=4)
    run.pipeline.add_object(click((5000, 5)))
    run.feed(7)
    assert len([p for result in run.results.values() for p in result.problems]) == 1


def test_points_added_to_a_waiting_object_do_not_start_it_early() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 4)), stamp=SCENE.stamp(4), label="door")
    run.pipeline.add_prompts(1, click(on(OCCLUDER, 1)))
    assert [len(run.to(index).objects) for index in (1, 2, 3)] == [0, 0, 0]
    item = run.to(4).object(1)
    assert item.age == 0 and item.label == "door"


def test_a_negative_added_to_a_waiting_object_does_not_start_it() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(OCCLUDER, 4)), stamp=SCENE.stamp(4))
    run.pipeline.add_prompts(1, click(beside=[(1, 1)]))
    assert run.to(1).objects == ()
    assert run.to(4).object(1).state is ObjectState.TRACKING


def test_a_click_far_in_the_future_is_refused() -> None:
    run = make()
    run.to(0)
    with pytest.raises(UserError, match="ahead of the newest frame"):
        run.pipeline.add_object(click((5, 5)), stamp=SCENE.stamp(0) + 11_000_000_000)


@pytest.mark.parametrize(
    ("seconds", "says"), [(1e9, "ahead of the newest frame"), (-1e4, "older than the first frame")]
)
def test_a_click_of_another_clock_before_the_first_frame_is_refused_with_it(
    seconds: float, says: str
) -> None:
    run = make()
    run.pipeline.add_object(click((5, 5)), stamp=SCENE.stamp(0) + round(seconds * 1e9))
    run.pipeline.add_object(click(on(THING, 1)), stamp=SCENE.stamp(1))
    (problem,) = run.to(0).problems
    assert problem.startswith("click refused: object 1: ") and says in problem
    assert run.pipeline.object_ids == [2]
    assert [o.object_id for o in run.to(1).objects] == [2]


def test_a_click_older_than_the_history_is_refused() -> None:
    run = make(history_length=5, reinitialization_horizon=5)
    run.to(9)
    with pytest.raises(FrameUnavailableError, match="history_length"):
        run.pipeline.add_object(click(on(THING, 4)), stamp=SCENE.stamp(4))
    assert run.pipeline.add_object(click(on(THING, 5)), stamp=SCENE.stamp(5)) == 1


# --- clicks in the past -------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["click", "mask"])
@pytest.mark.parametrize(("start", "late"), [(2, 4), (2, 30), (20, 45), (5, 6)])
def test_a_late_click_gives_what_a_click_in_time_gives(prompt: str, start: int, late: int) -> None:
    """Also across restarts of the points (every 8 frames) and the occlusion (24 to 35)."""
    what = click(on(THING, start), beside=[(90, 60)])
    if prompt == "mask":
        what = ObjectPrompt(mask=SCENE.frame(start).mask(THING))
    in_time, afterwards = make(), make()
    in_time.to(start)
    in_time.pipeline.add_object(what)
    in_time.to(59)
    afterwards.to(late)
    afterwards.pipeline.add_object(what, stamp=SCENE.stamp(start))
    afterwards.to(59)
    for index in range(late + 1, 60):
        first, second = (run.results[index].object(1) for run in (in_time, afterwards))
        assert same(first, second), index


def test_a_late_click_means_the_frame_with_the_nearest_stamp() -> None:
    run = make()
    run.to(10)
    run.pipeline.add_object(click(on(THING, 4)), stamp=SCENE.stamp(4) + 19_000_000)
    assert run.to(11).object(1).age == 7


def test_a_late_object_does_not_lose_its_points_where_it_was_hidden_at_a_restart() -> None:
    """The other object's window ends while the late one is hidden: it has nothing to sample."""
    in_time, afterwards = make(), make()
    for run in (in_time, afterwards):
        run.to(0)
        run.pipeline.add_object(click(on(OCCLUDER, 0)))
        run.to(20)
    assert SCENE.frame(28).visible[THING] == 0
    in_time.pipeline.add_object(click(on(THING, 20)))
    in_time.to(31)
    afterwards.to(31)
    afterwards.pipeline.add_object(click(on(THING, 20)), stamp=SCENE.stamp(20))
    first, second = in_time.to(32).object(2), afterwards.to(32).object(2)
    assert second.positives_total == first.positives_total == 16
    assert same(first, second)


def test_results_that_were_published_stay_as_they_are_after_a_late_click() -> None:
    run = make()
    run.to(10)
    before = digest(run.results[10])
    run.pipeline.add_object(click(on(THING, 4)), stamp=SCENE.stamp(4))
    run.to(11)
    assert digest(run.results[10]) == before


# --- several objects ----------------------------------------------------------------------


def test_the_visible_positives_of_others_are_negatives() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    result = run.to(10)
    prompt = run.segmenter.prompts_of(1)[10]
    others = result.object(2)
    shown = others.points.xy[others.points.visible & (others.point_labels == 1)]
    shown = shown[inside_border(shown, SCENE.size)]
    assert len(shown) > 0
    assert np.array_equal(prompt.points[-len(shown) :], shown)
    assert not prompt.labels[-len(shown) :].any()


def test_others_positives_can_be_left_out() -> None:
    run = make(others_as_negatives=False, negative_points=0)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.pipeline.add_object(click(on(OCCLUDER, 0)))
    run.to(10)
    assert run.segmenter.prompts_of(1)[10].labels.all()


def test_a_pixel_belongs_to_the_object_with_the_higher_logit() -> None:
    first, second = np.full((2, *SCENE.size), -1.0, np.float32)
    first[:, :60], second[:, 40:] = 1.0, 2.0
    second[:10] = 1.0  # equal: the earlier object keeps them
    run = make(ConstantSegmenter({1: first, 2: second}), require_positive=False)
    run.to(0)
    run.pipeline.apply([PromptRequest(click((20, 30))), PromptRequest(click((70, 30)))])
    result = run.to(1)
    expected = np.full(SCENE.size, 2)
    expected[:, :40] = expected[:10, :60] = 1
    assert np.array_equal(result.label_image, expected)
    for item in result.objects:
        assert np.array_equal(item.mask.full(), expected == item.object_id)


def test_the_order_of_adding_does_not_matter() -> None:
    forward, backward = make(), make()
    for run, order in ((forward, (1, 2)), (backward, (2, 1))):
        run.to(0)
        for object_id in order:
            run.pipeline.add_object(click(on(object_id, 0)), object_id=object_id)
    for index in range(1, 40):
        first, second = forward.to(index), backward.to(index)
        assert np.array_equal(first.label_image, second.label_image)
        assert all(map(same, first.objects, second.objects)), index


# --- visibility and states ----------------------------------------------------------------


def golden_scenes() -> list[Any]:
    scenes: list[Any] = json.loads((GOLDEN / "sam_pt_prompts.json").read_text())["scenes"]
    return scenes


@pytest.mark.parametrize("scene", golden_scenes(), ids=lambda scene: scene["name"])
def test_the_border_rule_equals_the_authors(scene: dict[str, Any]) -> None:
    xy = np.array(scene["trajectories"], np.float32)
    visible = np.array(scene["tracker_visible"]) == 1
    size = (scene["height"], scene["width"])
    inside = inside_border(xy.reshape(-1, 2), size).reshape(visible.shape)
    assert np.array_equal(visible & inside, np.array(scene["visibility_codes"]) == 1)


def test_points_at_the_border_prompt_only_in_the_frame_they_were_clicked_in() -> None:
    run = make(click_expansion=False)
    run.to(0)
    run.pipeline.add_object(click((0.5, 30)))
    item = run.to(1).object(1)
    assert item.state is ObjectState.OCCLUDED and item.mask.area == 0
    assert [index for index, _ in run.segmenter.calls] == [0]


def test_states_go_from_tracking_to_occluded_to_lost_and_back() -> None:
    run = make(lost_after=5, reinitialization_horizon=50)
    run.to(10)
    run.pipeline.add_object(click(on(THING, 10)))
    run.to(59)
    hidden = [i for i in range(11, 60) if run.results[i].object(1).mask.area == 0]
    first, last = hidden[0], hidden[-1]
    assert hidden == list(range(first, last + 1)) and set(SCENE.hidden(THING)) <= set(hidden)
    states = [run.results[i].object(1).state for i in range(11, 60)]
    expected = (
        [ObjectState.TRACKING] * (first - 11)
        + [ObjectState.OCCLUDED] * 5
        + [ObjectState.LOST] * (len(hidden) - 5)
        + [ObjectState.TRACKING] * (59 - last)
    )
    assert states == expected
    assert [run.results[i].object(1).frames_since_seen for i in hidden] == list(
        range(1, len(hidden) + 1)
    )
    assert all(run.results[i].object(1).score == 0 for i in hidden)
    assert run.results[last + 1].object(1).frames_since_seen == 0


def test_an_object_that_was_never_seen_counts_its_frames_from_one() -> None:
    nothing = np.full((SCENE.height, SCENE.width), -1.0, np.float32)
    run = make(ConstantSegmenter({1: nothing}), click_expansion=False)
    run.to(0)
    run.pipeline.add_object(click((0.5, 30)))
    for index in (1, 2):
        item = run.to(index).object(1)
        assert item.state is ObjectState.OCCLUDED and item.frames_since_seen == item.age + 1


def test_an_object_survives_hidden_windows_with_its_points() -> None:
    run = make(reinitialization_horizon=4)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(50)
    truth = SCENE.frame(50).mask(THING)
    assert overlap(run.results[50].object(1).mask.full(), truth) > 0.85


def test_every_processed_frame_has_a_result_also_without_objects() -> None:
    run = make()
    run.to(3)
    assert [run.results[i].stamp for i in range(4)] == [SCENE.stamp(i) for i in range(4)]
    assert not run.results[3].label_image.any() and run.results[3].objects == ()


# --- images -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "stamp", "says"),
    [
        (np.zeros((72, 96), np.uint8), 10**18 * 2, "RGB"),
        (np.zeros((72, 96, 3), np.float32), 10**18 * 2, "uint8"),
        (np.zeros((0, 96, 3), np.uint8), 10**18 * 2, "empty"),
        (np.zeros((50, 60, 3), np.uint8), 10**18 * 2, "size changed from 96x72 to 60x50"),
        (np.zeros((72, 96, 3), np.uint8), 0, "not later"),
    ],
)
def test_a_bad_image_changes_nothing(image: np.ndarray, stamp: int, says: str) -> None:
    run, other = make(), make()
    for each in (run, other):
        each.to(1)
        each.pipeline.add_object(click(on(THING, 1)))
    with pytest.raises(UserError, match=says):
        run.pipeline.process(image, stamp)
    assert digest(run.to(12)) == digest(other.to(12))


# --- failures -----------------------------------------------------------------------------


def test_a_failing_segmenter_does_not_shift_the_masks_that_points_are_sampled_from() -> None:
    failing = RaisingSegmenter(lambda index, _: index == 3, RuntimeError("out of memory"))
    run = make(failing, reinitialization_horizon=6)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    run.to(2)
    result = run.to(3)
    assert result.problems == ("object 1 cannot be segmented: RuntimeError('out of memory')",)
    assert result.object(1).state is ObjectState.OCCLUDED
    for index in range(4, 13):  # until the occluder is reached
        item = run.to(index).object(1)
        assert item.state is ObjectState.TRACKING and run.results[index].problems == ()
        positives = item.points.xy[item.point_labels == 1]
        assert (SCENE.owner(positives, index) == THING).all(), index


def test_an_object_that_the_segmenter_fails_on_costs_the_others_nothing() -> None:
    def second(index: int, prompts: Sequence[Any]) -> bool:
        return index > 1 and any(prompt.object_id == 2 for prompt in prompts)

    run, other = make(RaisingSegmenter(second, MemoryError("no room"))), make()
    for each in (run, other):
        each.to(0)
        each.pipeline.add_object(click(on(THING, 0)))
        each.pipeline.add_object(click(on(OCCLUDER, 0)))
        each.to(7)
    for index in range(2, 8):
        first, second_one = run.results[index].objects
        assert same(first, other.results[index].object(1)), index
        assert second_one.state is ObjectState.OCCLUDED
        (problem,) = run.results[index].problems
        assert problem == "object 2 cannot be segmented: MemoryError('no room')"


def test_an_object_that_the_segmenter_always_fails_on_is_lost() -> None:
    run = make(RaisingSegmenter(lambda index, _: index > 1, RuntimeError("bad")), lost_after=3)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    states = [run.to(index).object(1).state for index in range(1, 7)]
    assert states == [ObjectState.TRACKING, *[ObjectState.OCCLUDED] * 3, *[ObjectState.LOST] * 2]


def test_a_failing_tracker_costs_no_frame_its_result() -> None:
    run = make(window=4)
    run.feed(3)
    run.pipeline.add_object(click(on(THING, 3)))
    run.feed(5)
    run.tracker.fails = True
    run.feed(6)  # 4 and 5 are still owed
    run.tracker.fails = False
    for index in (4, 5, 6):
        item = run.results[index].object(1)
        assert item.state is ObjectState.OCCLUDED and item.positives_total == 0, index
    assert run.results[4].problems == ("points cannot be tracked: RuntimeError('no memory')",)
    run.feed(12)
    assert list(run.results) == list(range(13))
    assert overlap(run.results[12].object(1).mask.full(), SCENE.frame(12).mask(THING)) > 0.85


def test_points_that_cannot_be_sampled_anew_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(reinitialization_horizon=4)
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    before = run.to(1).object(1).points.ids
    add_points = run.tracker.add_points

    def refuse(*_: Any) -> Any:
        raise RuntimeError("no memory")

    monkeypatch.setattr(run.tracker, "add_points", refuse)
    run.to(5)
    said = "object 1: points cannot be resampled: RuntimeError('no memory')"
    assert said in run.results[3].problems
    assert np.array_equal(run.results[5].object(1).points.ids, before)
    monkeypatch.setattr(run.tracker, "add_points", add_points)
    item = run.to(7).object(1)
    assert item.state is ObjectState.TRACKING and not np.isin(before, item.points.ids).any()


def test_a_failed_start_leaves_no_object_behind() -> None:
    run = make(RaisingSegmenter(lambda *_: True, RuntimeError("out of memory")))
    run.to(0)
    with pytest.raises(RuntimeError, match="out of memory"):
        run.pipeline.add_object(ObjectPrompt(mask=SCENE.frame(0).mask(THING)))
    assert run.pipeline.object_ids == [] and run.tracker.tracked == []


# --- windowed trackers --------------------------------------------------------------------


def test_a_windowed_tracker_answers_late_but_in_order_and_for_every_frame() -> None:
    run = make(window=8)
    seen: list[int] = []
    for index in range(20):
        frame = SCENE.frame(index)
        seen += [result.index for result in run.pipeline.process(frame.image, frame.stamp)]
        assert len(seen) == (index + 1) // 8 * 8
    seen += [result.index for result in run.pipeline.flush()]
    assert seen == list(range(20))
    assert run.pipeline.flush() == []


def test_a_windowed_tracker_gives_what_a_streaming_one_gives() -> None:
    streaming, windowed = make(), make(window=8)
    for run in (streaming, windowed):
        run.pipeline.add_object(click(on(THING, 0)))
        run.pipeline.add_object(click(on(OCCLUDER, 0)))
        run.feed(47)
    assert sorted(windowed.results) == list(range(48))
    for index in range(48):
        first, second = streaming.results[index], windowed.results[index]
        assert np.array_equal(first.label_image, second.label_image), index
        assert all(map(same, first.objects, second.objects)), index


def test_points_may_be_added_while_a_windowed_tracker_owes_answers() -> None:
    run = make(window=8)
    run.pipeline.add_object(click(on(THING, 0)))
    run.feed(9)
    run.pipeline.add_prompts(1, click(beside=[(90, 60)]))
    run.feed(15)
    assert sorted(run.results) == list(range(16))
    before, after = (run.results[i].object(1).points.ids for i in (8, 15))
    assert len(np.setdiff1d(after, before)) >= 1


def test_an_object_may_be_removed_while_a_windowed_tracker_owes_answers() -> None:
    run = make(window=8)
    run.pipeline.add_object(click(on(THING, 0)))
    run.feed(9)
    run.pipeline.remove_object(1)
    run.feed(15)
    assert [len(run.results[i].objects) for i in range(16)] == [1] * 8 + [0] * 8


# --- the same again -----------------------------------------------------------------------


def test_two_runs_are_byte_identical() -> None:
    def results() -> list[tuple[Any, ...]]:
        run = make()
        run.to(2)
        run.pipeline.add_object(click(on(THING, 2)))
        run.to(9)
        run.pipeline.add_object(click(on(OCCLUDER, 4)), stamp=SCENE.stamp(4))
        run.to(59)
        return [digest(result) for result in run.results.values()]

    assert results() == results()


def test_a_run_after_a_reset_is_byte_identical() -> None:
    def results(run: Run) -> list[tuple[Any, ...]]:
        run.pipeline.reset()
        run.results.clear()
        run.to(2)
        run.pipeline.add_object(click(on(THING, 2)))
        run.to(40)
        return [digest(result) for result in run.results.values()]

    run = make()
    assert results(run) == results(run)


def test_the_seed_changes_the_points() -> None:
    runs = [make(seed=seed) for seed in (0, 1)]
    for run in runs:
        run.to(0)
        run.pipeline.add_object(click(on(THING, 0)))
    first, second = (run.to(1).object(1).points.xy for run in runs)
    assert not np.array_equal(first, second)


def test_memory_stays_flat_over_many_frames() -> None:
    """2,000 frames with restarts, occlusions and clicks."""
    scene = Scene(32, 24, 1, np.full((24, 33, 3), 40, np.float32), 0.0, (), 0.0, 0)
    image = scene.frame(0).image
    square = np.full((24, 32), -1.0, np.float32)
    square[5:15, 5:15] = 1.0
    seen, hidden = ConstantSegmenter({1: square}), ConstantSegmenter({1: -abs(square)})
    pipeline = SamPt(StillTracker(scene), seen, SamPtOptions(history_length=10, positive_points=4))
    pipeline.add_object(click((10, 10)))

    def used_after(first: int, last: int) -> int:
        for index in range(first, last):
            pipeline.segmenter = seen if index // 40 % 2 == 0 else hidden
            pipeline.process(image.copy(), index)
            if index % 50 == 0:
                pipeline.add_prompts(1, click((12, 12)))
        return tracemalloc.get_traced_memory()[0]

    # What a late click must know of past frames does not keep their label images.
    label_image = pipeline.process(image.copy(), -1)[0].label_image
    kept = weakref.ref(label_image)
    del label_image
    assert kept() is None

    tracemalloc.start()
    try:
        early = used_after(0, 400)
        late = used_after(400, 2000)
    finally:
        tracemalloc.stop()
    assert late < early + 20_000


def test_results_say_how_long_each_stage_took() -> None:
    run = make()
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    timings = run.to(1).timings
    assert {"tracker", "segmenter"} <= timings.keys()
    assert all(value >= 0 for value in timings.values())


def test_the_inner_point_of_a_mask_is_inside() -> None:
    mask = SCENE.frame(0).mask(THING)
    x, y = inner_point(mask)
    assert mask[int(y), int(x)]


# --- anything, in any order ---------------------------------------------------------------


class Anything(RuleBasedStateMachine):
    """Users do what they like, models fail: only UserErrors come out, and nothing is left over."""

    @initialize(
        window=st.sampled_from([0, 1, 3, 5]),
        reinitialization=st.sampled_from(["A", "none"]),
        horizon=st.integers(2, 6),
        expansion=st.booleans(),
        history=st.integers(8, 20),
    )
    def begin(
        self, window: int, reinitialization: str, horizon: int, expansion: bool, history: int
    ) -> None:
        self.failing = False
        segmenter = RaisingSegmenter(lambda *_: self.failing, RuntimeError("out of memory"))
        self.run = make(
            segmenter,
            window,
            reinitialization=reinitialization,
            reinitialization_horizon=horizon,
            click_expansion=expansion,
            history_length=history,
            positive_points=4,
            lost_after=3,
        )
        self.next = 0

    @rule(count=st.integers(1, 7))
    def frames(self, count: int) -> None:
        for _ in range(min(count, SCENE.length - self.next)):
            frame = SCENE.frame(self.next)
            self.next += 1
            for result in self.run.pipeline.process(frame.image, frame.stamp):
                self.check(result)

    @rule()
    def a_frame_that_fails(self) -> None:
        self.failing = True
        self.frames(1)
        self.failing = False

    @rule()
    def a_frame_that_the_tracker_fails_on(self) -> None:
        self.run.tracker.fails = True
        self.frames(1)
        self.run.tracker.fails = False

    @rule(
        kind=st.sampled_from(["point", "negative", "box", "mask", "empty"]),
        owner=st.sampled_from([0, THING, OCCLUDER]),
        where=st.tuples(st.floats(-2, 98), st.floats(-2, 74)),
        object_id=st.none() | st.integers(0, 4),
        back=st.none() | st.integers(-3, 25),
        failing=st.booleans(),
    )
    def prompt(
        self,
        kind: str,
        owner: int,
        where: tuple[float, float],
        object_id: int | None,
        back: int | None,
        failing: bool,
    ) -> None:
        newest = max(self.next - 1, 0)
        stamp = None if back is None else SCENE.stamp(newest - back)
        mask = SCENE.frame(newest).mask(owner)
        prompt = {
            "point": lambda: click(inner_point(mask) if owner else where),
            "negative": lambda: click(beside=[where]),
            "box": lambda: ObjectPrompt(box=np.array([*where, where[0] + 9, where[1] + 9])),
            "mask": lambda: ObjectPrompt(mask=mask),
            "empty": ObjectPrompt,
        }[kind]()
        before = self.run.pipeline.object_ids
        tracked = self.run.tracker.tracked
        self.failing = failing
        try:
            self.run.pipeline.apply([PromptRequest(prompt, object_id)], stamp=stamp)
        except (UserError, RuntimeError):
            assert self.run.pipeline.object_ids == before
            assert self.run.tracker.tracked == tracked
        finally:
            self.failing = False

    @rule(object_id=st.integers(1, 4))
    def remove(self, object_id: int) -> None:
        known = object_id in self.run.pipeline.object_ids
        try:
            self.run.pipeline.remove_object(object_id)
        except UnknownObjectError:
            assert not known
        assert object_id not in self.run.pipeline.object_ids

    @rule()
    def reset(self) -> None:
        self.run.pipeline.reset()
        self.next = 0
        assert self.run.tracker.tracked == []

    def check(self, result: TrackResult) -> None:
        ids = [item.object_id for item in result.objects]
        assert ids == sorted(set(ids))
        assert set(np.unique(result.label_image)) <= {0, *ids}
        for item in result.objects:
            mask = item.mask.full()
            assert np.array_equal(mask, result.label_image == item.object_id)
            assert (item.state is ObjectState.TRACKING) == mask.any()
            assert item.points.index == result.index and len(item.points) == len(item.point_labels)
            assert (np.diff(item.point_labels) <= 0).all()  # positives first
            assert item.age >= 0 and item.frames_since_seen >= 0

    @invariant()
    def nothing_is_tracked_for_nobody(self) -> None:
        if not self.run.pipeline.object_ids:
            assert self.run.tracker.tracked == []


TestAnything = Anything.TestCase
TestAnything.settings = examples(60, stateful_step_count=25)


# --- images of another size ---------------------------------------------------------------


def squares(scale: float, *places: tuple[int, int, int]) -> np.ndarray:
    """An image of 96x72 pixels, scaled, with squares of 16 pixels: x, y, grey level."""
    image = np.full((72, 96, 3), 20, np.uint8)
    for x, y, level in places:
        image[y : y + 16, x : x + 16] = level
    size = round(96 * scale), round(72 * scale)
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)


BOTH = ((10, 20, 200), (60, 30, 120))


def of_squares(window: int = 0) -> SamPt:
    """A pipeline that tracks two squares, 7 and 9, in its first two frames; 7 is bright."""
    tracker = StillDelayedTracker(window) if window else StillTracker(SCENE)
    pipeline = SamPt(tracker, ColourSegmenter(), SamPtOptions(reinitialization="none"))
    pipeline.process(squares(1, *BOTH), 0)
    pipeline.add_object(click((18, 28)), object_id=7, label="bright")
    pipeline.add_object(click((68, 38)), object_id=9, label="dark")
    pipeline.process(squares(1, *BOTH), 1)
    return pipeline


class StillDelayedTracker(DelayedTracker, StillTracker):
    def __init__(self, window: int) -> None:
        super().__init__(SCENE, window)


@pytest.mark.parametrize("scale", [0.5, 2.0, 1.25])
def test_objects_start_again_from_their_masks_in_images_of_another_size(scale: float) -> None:
    pipeline = of_squares()
    image = squares(scale, *BOTH)
    with pytest.raises(UserError, match="size changed"):
        pipeline.process(image, 2)
    (result,) = pipeline.restart(image, 2)
    assert (result.stamp, result.problems) == (2, ())
    assert [(o.object_id, o.label, o.age) for o in result.objects] == [
        (7, "bright", 0),
        (9, "dark", 0),
    ]
    assert result.label_image.shape == image.shape[:2]
    for item, level in zip(result.objects, (200, 120)):
        assert item.state == ObjectState.TRACKING and item.positives_total == 16
        assert np.array_equal(item.mask.full(), image[..., 0] == level)
    (after,) = pipeline.process(image, 3)
    assert after.object(7).age == 1 and after.object(9).state == ObjectState.TRACKING
    assert pipeline.add_object(click((1, 1))) == 1, "ids in use stay in use"


def test_an_object_that_is_hidden_when_the_size_changes_is_forgotten_with_a_word() -> None:
    pipeline = of_squares()
    (hidden,) = pipeline.process(squares(1, BOTH[1]), 2)
    assert hidden.object(7).state == ObjectState.OCCLUDED
    (result,) = pipeline.restart(squares(2, *BOTH), 3)
    assert [o.object_id for o in result.objects] == [9] == pipeline.object_ids
    (problem,) = result.problems
    assert problem.startswith("object 7 had no mask when objects restarted")
    assert pipeline.add_object(click((40, 60)), object_id=7) == 7


def test_an_object_that_becomes_too_small_is_forgotten_with_a_word() -> None:
    pipeline = of_squares()
    (result,) = pipeline.restart(squares(1, *BOTH)[:2, :2].copy(), 2)
    assert len(result.problems) + len(result.objects) == 2
    assert len(pipeline.object_ids) == len(result.objects)


def test_prompts_that_wait_go_on_waiting_when_the_size_changes() -> None:
    pipeline = of_squares()
    pipeline.add_object(click((130, 70)), object_id=3, stamp=4)
    (result,) = pipeline.restart(squares(2, *BOTH), 2)
    assert [o.object_id for o in result.objects] == [7, 9]
    (result,) = pipeline.process(squares(2, *BOTH), 4)
    assert [o.object_id for o in result.objects] == [3, 7, 9]


def test_what_a_windowed_tracker_owes_is_flushed_before_the_size_changes() -> None:
    pipeline = of_squares(window=3)
    owed = pipeline.flush()
    assert [r.stamp for r in owed] == [0, 1]
    assert pipeline.restart(squares(2, *BOTH), 2) == []
    pipeline.process(squares(2, *BOTH), 3)
    results = pipeline.process(squares(2, *BOTH), 4)
    assert [[o.object_id for o in r.objects] for r in results] == [[7, 9]] * 3


def test_what_is_no_image_changes_nothing() -> None:
    pipeline = of_squares()
    with pytest.raises(UserError):
        pipeline.restart(np.zeros((4, 4), np.uint8), 2)
    assert pipeline.object_ids == [7, 9]
    assert len(pipeline.process(squares(1, *BOTH), 2)[0].objects) == 2
