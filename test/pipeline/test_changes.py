"""What a person changes: hypotheses of a click, objects that start anew, and undoing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UnknownObjectError, UserError
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import ObjectPrompt, ObjectState, PromptRequest
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.segmenters.base import Prompt
from support.classical_scenes import scene
from support.doubles import OracleSegmenter
from support.pipeline_run import SCENE, Run, click, digest, make, on
from support.scene import OCCLUDER, THING, overlap

CONFIG = Path(__file__).resolve().parents[2] / "config" / "classical.yaml"
DISC = scene(40)
CENTRE = (40.0, 120.0)  # of the disc in frame 0; it moves 5 pixels per frame to the right


def centre(index: int) -> tuple[float, float]:
    return CENTRE[0] + 5 * index, CENTRE[1]


def anew(prompt: ObjectPrompt, object_id: int = 1) -> PromptRequest:
    return PromptRequest(prompt, object_id, anew=True)


class Classical:
    """The classical pipeline on the disc, which it tracks as object 1 from frame 0."""

    def __init__(self, **options: Any) -> None:
        made = load_configuration(CONFIG)
        wanted = replace(made.pipeline_options, **{"catch_up_budget": 0.0, **options})
        models = made.create()
        self.pipeline = SamPt(models.tracker, models.segmenter, wanted)
        self.masks: dict[int, np.ndarray] = {}
        self.next = 0
        self.to(0)
        self.pipeline.add_object(ObjectPrompt(mask=DISC.truth[0]), label="disc")

    def to(self, last: int) -> Any:
        """Process frames up to ``last``; its result of object 1."""
        found = None
        for index in range(self.next, last + 1):
            frame = DISC.frames[index]
            (result,) = self.pipeline.process(frame.image, frame.stamp)
            assert not result.problems, result.problems
            found = result.objects[0] if result.objects else None
            if found is not None:
                self.masks[index] = found.mask.full()
        self.next = last + 1
        return found


# --- undoing ------------------------------------------------------------------------------


def test_an_undone_correction_leaves_the_object_as_it_was() -> None:
    plain, run = Classical(), Classical()
    plain.to(24)
    before = run.to(10)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))  # far from the disc
    wrong = run.to(14)
    assert wrong.mask.full()[60, 330]
    run.pipeline.undo(1)
    after = run.to(15)
    assert not run.masks[15][40:80, 300:].any()
    assert overlap(run.masks[15], plain.masks[15]) > 0.97
    assert overlap(run.to(24).mask.full(), DISC.truth[24]) > 0.9
    assert (after.object_id, after.label) == (before.object_id, "disc")
    assert after.age == before.age + 5
    assert not (np.abs(after.points.xy - (330.0, 60.0)) < 5).all(axis=1).any()
    assert 12 <= len(after.points) <= 17


def test_changes_are_undone_one_by_one_and_the_start_is_not() -> None:
    run = Classical()
    run.to(4)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))
    run.to(6)
    run.pipeline.add_prompts(1, click((330.0, 200.0)))
    assert run.to(8).mask.full()[200, 330]
    run.pipeline.undo(1)
    one = run.to(9).mask.full()
    assert one[60, 330] and not one[200, 330]
    run.pipeline.undo(1)
    assert overlap(run.to(10).mask.full(), DISC.truth[10]) > 0.9
    with pytest.raises(UserError, match="object 1 has not been changed since it was started; rem"):
        run.pipeline.undo(1)
    assert overlap(run.to(12).mask.full(), DISC.truth[12]) > 0.9


def test_a_change_that_is_undone_in_its_own_frame_was_never_made() -> None:
    run, plain = (make(OracleSegmenter(SCENE)) for _ in range(2))
    for each in (run, plain):
        each.to(0)
        each.pipeline.add_object(click(on(THING, 0)))
        each.to(5)
    run.pipeline.add_prompts(1, click(beside=[(5.0, 60.0)]))
    run.pipeline.undo(1)
    assert digest(run.to(6)) == digest(plain.to(6))
    now, then = run.to(14), plain.to(14)  # points were sampled anew meanwhile, under other ids
    assert np.array_equal(now.label_image, then.label_image)
    assert np.array_equal(now.object(1).points.xy, then.object(1).points.xy)


def test_without_a_memory_the_points_come_back_and_nothing_else() -> None:
    run = make(OracleSegmenter(SCENE))
    run.to(0)
    run.pipeline.add_object(click(on(THING, 0)))
    before = run.to(5).object(1)
    shown = len(run.segmenter.shown)
    run.pipeline.apply([anew(click(on(OCCLUDER, 5)))])
    other = run.to(7).object(1)
    assert overlap(other.mask.full(), SCENE.frame(7).mask(OCCLUDER)) > 0.99
    assert len(run.segmenter.shown) > shown
    asked = len(run.segmenter.shown)
    run.pipeline.undo(1)
    assert len(run.segmenter.shown) == asked, "no frame is segmented for it"
    after = run.to(8).object(1)
    assert overlap(after.mask.full(), SCENE.frame(8).mask(THING)) > 0.99
    assert after.age == before.age + 3
    assert sorted(after.points.ids.tolist()) == run.tracker.tracked, "no other point is left"
    assert after.positives_visible >= before.positives_visible - 2


def test_a_correction_after_an_undone_one_is_obeyed() -> None:
    run = Classical()
    run.to(4)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))
    run.to(6)
    run.pipeline.undo(1)
    run.to(8)
    run.pipeline.add_prompts(1, click((330.0, 200.0)))
    found = run.to(9).mask.full()
    assert found[200, 330] and not found[60, 330]


@pytest.mark.parametrize("segmenter", ["oracle", "classical"])
def test_masks_that_are_moved_between_segmentations_do_not_ask_for_old_points(
    segmenter: str,
) -> None:
    if segmenter == "classical":
        run = Classical(segment_every_n=5)
        run.to(7)
        run.pipeline.add_prompts(1, click((330.0, 60.0)))
        run.to(9)
        run.pipeline.undo(1)
        assert overlap(run.to(20).mask.full(), DISC.truth[20]) > 0.8
        return
    other = make(OracleSegmenter(SCENE), segment_every_n=5)
    other.to(0)
    other.pipeline.add_object(click(on(THING, 0)))
    other.to(7)
    other.pipeline.apply([anew(click(on(OCCLUDER, 7)))])
    other.to(9)
    other.pipeline.undo(1)
    for index in range(10, 20):
        result = other.to(index)
        assert not result.problems
        truth = SCENE.frame(index).mask(THING)
        assert overlap(result.object(1).mask.full(), truth) > 0.5 or truth.sum() < 50


def refuse(prompts: Sequence[Prompt]) -> list[MaskPrediction]:
    raise UserError("no")


def test_what_was_not_added_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Classical()
    run.to(4)
    monkeypatch.setattr(run.pipeline.segmenter, "propose", refuse)
    with pytest.raises(UserError, match="no"):
        run.pipeline.apply(
            [PromptRequest(click((330.0, 60.0)), 1), PromptRequest(click((330.0, 200.0)))]
        )
    with pytest.raises(UserError, match="not been changed"):
        run.pipeline.undo(1)


@pytest.mark.parametrize("window", [0, 4])
def test_no_point_is_left_behind(window: int) -> None:
    run = make(OracleSegmenter(SCENE), window=window)
    run.feed(0)
    run.pipeline.add_object(click(on(THING, 0)))
    for last in range(8, 33, 8):
        run.feed(last)
        run.pipeline.add_prompts(1, click(on(THING, last)))
        run.feed(last + 2)
        run.pipeline.undo(1)
    run.feed(35)
    item = run.pipeline._roster._objects[1]
    assert sorted(item.points.ids.tolist()) == run.tracker.tracked
    run.pipeline.remove_object(1)
    assert run.tracker.tracked == []


def test_what_is_older_than_the_history_stays() -> None:
    run = Classical(history_length=12, reinitialization_horizon=8)
    run.to(3)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))
    run.to(14)
    run.pipeline.add_prompts(1, click((330.0, 200.0)))
    run.to(16)
    run.pipeline.undo(1)
    with pytest.raises(UserError, match="older than the 12 frames that are held"):
        run.pipeline.undo(1)
    assert run.to(18).mask.full()[60, 330]


def test_the_oldest_frame_that_is_held_is_enough() -> None:
    run = Classical(history_length=12, reinitialization_horizon=8)
    run.to(3)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))
    run.to(14)  # frames 3 to 14 are held
    run.pipeline.undo(1)
    assert overlap(run.to(15).mask.full(), DISC.truth[15]) > 0.85
    late = Classical(history_length=12, reinitialization_horizon=8)
    late.to(3)
    late.pipeline.add_prompts(1, click((330.0, 60.0)))
    late.to(15)
    with pytest.raises(UserError, match="older than the 12 frames"):
        late.pipeline.undo(1)


def test_what_waits_for_its_frame_is_taken_back_first() -> None:
    run = Classical()
    run.to(5)
    run.pipeline.add_prompts(1, click((330.0, 60.0)), stamp=DISC.frames[6].stamp)
    run.pipeline.undo(1)
    assert overlap(run.to(7).mask.full(), DISC.truth[7]) > 0.9
    with pytest.raises(UserError, match="not been changed"):
        run.pipeline.undo(1)
    with pytest.raises(UnknownObjectError, match="no object 2"):
        run.pipeline.undo(2)


def test_a_removed_object_s_changes_are_not_undone_on_its_successor() -> None:
    run = Classical()
    run.to(2)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))
    run.pipeline.remove_object(1)
    run.pipeline.add_object(click(centre(2)), object_id=1)
    with pytest.raises(UserError, match="not been changed"):
        run.pipeline.undo(1)


# --- starting anew ------------------------------------------------------------------------


def test_an_object_that_starts_anew_keeps_its_id_and_its_label() -> None:
    run = Classical()
    run.to(5)
    mask = np.zeros(DISC.truth[0].shape, np.bool_)
    mask[30:90, 300:360] = True
    assert run.pipeline.apply([anew(ObjectPrompt(mask=mask))]) == [1]
    found = run.to(6)
    assert (found.object_id, found.label, found.age) == (1, "disc", 1)
    assert overlap(found.mask.full(), mask) > 0.7
    assert run.pipeline.object_ids == [1]
    run.pipeline.undo(1)
    back = run.to(7)
    assert back.age == 7 and overlap(back.mask.full(), DISC.truth[7]) > 0.9


def test_a_click_that_starts_an_object_anew_counts_in_its_own_frame() -> None:
    """The segmenter forgets what it knows of the object in that frame."""
    run = Classical()
    run.pipeline.apply([anew(click((330.0, 60.0)))])
    mask = run.to(1).mask.full()
    assert mask[60, 330] and not mask[120, 45]


def test_a_start_that_fails_leaves_the_segmenter_s_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, plain = Classical(), Classical()
    run.to(5)
    plain.to(12)
    with monkeypatch.context() as patch:
        patch.setattr(run.pipeline.segmenter, "propose", refuse)
        with pytest.raises(UserError, match="no"):
            run.pipeline.apply([anew(click((330.0, 60.0)))])
    run.to(12)
    assert np.array_equal(run.masks[12], plain.masks[12])


def test_an_unknown_id_starts_an_object() -> None:
    run = Classical()
    assert run.pipeline.apply([anew(click((330.0, 60.0)), 7)]) == [7]
    assert run.pipeline.object_ids == [1, 7]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (ObjectPrompt(), "object 1, which starts anew, needs a positive point, a box or a mask"),
        (click(beside=[(5.0, 5.0)]), "object 1, which starts anew, needs a positive point"),
        (click((-50.0, 5.0)), "is not in the image"),
    ],
)
def test_a_prompt_that_starts_nothing_changes_nothing(prompt: ObjectPrompt, reason: str) -> None:
    run, plain = Classical(), Classical()
    run.to(5)
    plain.to(12)
    with pytest.raises(UserError, match=reason):
        run.pipeline.apply([anew(prompt)])
    run.to(12)
    assert np.array_equal(run.masks[12], plain.masks[12])


class FailingToPropose(OracleSegmenter):
    """Fails on proposals while it is told to."""

    error: Exception | None = None

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        if self.error is not None:
            raise self.error
        return super().propose(prompts)


def fail(run: Run) -> Callable[[], list[int]]:
    run.segmenter.error = MemoryError("no memory")
    return lambda: run.pipeline.apply([anew(click(on(OCCLUDER, 5)))])


def refuse_the_second(run: Run) -> Callable[[], list[int]]:
    box = ObjectPrompt(box=np.array([1, 1, 4, 4]))
    requests = [anew(click(on(OCCLUDER, 5))), PromptRequest(box)]
    return lambda: run.pipeline.apply(requests)


@pytest.mark.parametrize("spoil", [fail, refuse_the_second])
def test_a_start_that_fails_leaves_the_object_as_it_was(spoil: Any) -> None:
    segmenter = FailingToPropose(SCENE)
    run, plain = make(segmenter), make(OracleSegmenter(SCENE))
    for each in (run, plain):
        each.to(0)
        each.pipeline.add_object(click(on(THING, 0)))
        each.to(5)
    begin = spoil(run)
    with pytest.raises((UserError, MemoryError)):
        begin()
    segmenter.error = None
    now, then = run.to(9), plain.to(9)
    assert np.array_equal(now.label_image, then.label_image)
    assert now.object(1).age == then.object(1).age
    assert sorted(now.object(1).points.ids.tolist()) == run.tracker.tracked


# --- hypotheses ---------------------------------------------------------------------------


def test_what_a_click_may_mean_is_asked_without_consequences() -> None:
    run, plain = Classical(), Classical()
    plain.to(12)
    for index in range(1, 12):
        run.to(index)
        frame, found = run.pipeline.hypotheses(click(centre(index)))
        assert frame.index == index and found
    run.to(12)
    assert np.array_equal(run.masks[12], plain.masks[12])
    assert run.pipeline.object_ids == [1]
    assert run.pipeline.add_object(click(centre(12))) == 2


def test_the_hypotheses_differ_hold_the_click_and_come_in_order() -> None:
    run = Classical()
    run.to(3)
    frame, found = run.pipeline.hypotheses(click(centre(0)), stamp=DISC.frames[0].stamp)
    assert frame.index == 0
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True) and sum(scores) <= 1.001
    masks = [each.mask for each in found]
    assert len(masks) >= 2
    assert all(mask[120, 40] for mask in masks)
    assert max(overlap(mask, DISC.truth[0]) for mask in masks) > 0.85
    assert all(overlap(a, b) < 0.85 for i, a in enumerate(masks) for b in masks[:i])


def test_a_hypothesis_that_was_chosen_is_what_is_tracked() -> None:
    run = Classical()
    _, found = run.pipeline.hypotheses(click(centre(0)))
    chosen = found[-1].mask
    prompt = ObjectPrompt(np.array([centre(0)]), np.array([1]), mask=chosen)
    run.pipeline.apply([anew(prompt)])
    assert overlap(run.to(1).mask.full(), np.roll(chosen, 5, axis=1)) > 0.75


def test_there_is_nothing_to_see_before_the_first_image() -> None:
    pipeline = load_configuration(CONFIG).create()
    with pytest.raises(UserError, match="has not come yet"):
        pipeline.hypotheses(click((1.0, 1.0)))
    run = Classical()
    with pytest.raises(UserError, match="needs a positive point"):
        run.pipeline.hypotheses(ObjectPrompt())
    with pytest.raises(UserError, match="is not in the image"):
        run.pipeline.hypotheses(click((401.0, 5.0)))


def test_a_segmenter_without_alternatives_gives_one() -> None:
    run = make(OracleSegmenter(SCENE))
    run.to(0)
    _, found = run.pipeline.hypotheses(click(on(THING, 0)))
    (only,) = found
    assert overlap(only.mask, SCENE.frame(0).mask(THING)) == 1
    _, nothing = run.pipeline.hypotheses(click((5.0, 60.0)))
    assert nothing == []


def test_states_stay_true_while_an_undone_object_catches_up() -> None:
    run = Classical(catch_up_budget=1e-6)
    run.to(10)
    run.pipeline.add_prompts(1, click((330.0, 60.0)))
    run.to(16)
    run.pipeline.undo(1)
    seen = [run.to(index) for index in range(17, 36)]
    late = [index for index, item in enumerate(seen) if item is None]
    assert 0 < len(late) < 10 and late == list(range(len(late)))
    assert all(item.state is ObjectState.TRACKING for item in seen[len(late) :])
    assert overlap(run.masks[35], DISC.truth[35]) > 0.9


# --- what a sceptic found -----------------------------------------------------------------


def other_that_fails() -> PromptRequest:
    return PromptRequest(ObjectPrompt(box=np.array([0, 60, 3, 63])))


def attempted(run: Run, begin: PromptRequest, attempt: str) -> None:
    """Start object 1 anew: in a batch that is refused as a whole, or to undo it at once."""
    if attempt == "refused":
        with pytest.raises(UserError, match="nothing was found"):
            run.pipeline.apply([begin, other_that_fails()])
    else:
        run.pipeline.apply([begin])
        run.pipeline.undo(1)


@pytest.mark.parametrize("attempt", ["refused", "undone"])
def test_a_hidden_object_keeps_its_points_through_a_start_that_is_taken_back(attempt: str) -> None:
    """In frame 25 the thing is hidden: none of its points is seen there."""
    run, plain = (
        make(
            OracleSegmenter(SCENE),
            positive_points=4,
            reinitialization_horizon=30,
            history_length=60,
        )
        for _ in range(2)
    )
    for each in (run, plain):
        each.to(0)
        each.pipeline.add_object(click(on(THING, 0)))
        each.to(25)
    begin = anew(click(on(OCCLUDER, 25)))
    attempted(run, begin, attempt)
    now, then = run.to(58).object(1), plain.to(58).object(1)
    assert then.state is ObjectState.TRACKING
    assert now.state is ObjectState.TRACKING
    assert overlap(now.mask.full(), then.mask.full()) > 0.9
    item = run.pipeline._roster._objects[1]
    assert sorted(item.points.ids.tolist()) == run.tracker.tracked


@pytest.mark.parametrize("attempt", ["refused", "undone"])
def test_points_that_a_windowed_tracker_has_not_answered_yet_come_back(attempt: str) -> None:
    run = make(OracleSegmenter(SCENE), window=4, positive_points=4)
    run.feed(9)
    run.pipeline.add_object(click(on(THING, 9)))
    begin = anew(click(on(THING, 9)))
    attempted(run, begin, attempt)
    found = run.feed(15)
    assert found is not None and found.object(1).state is ObjectState.TRACKING
    assert sorted(run.pipeline._roster._objects[1].points.ids.tolist()) == run.tracker.tracked


def test_frames_are_not_kept_for_changes_that_cannot_be_undone_any_more() -> None:
    run = Classical(history_length=12, reinitialization_horizon=8)
    run.pipeline.add_object(click((330.0, 60.0)))
    frames = []
    for index in range(1, 31):
        run.to(index)
        frames.append(weakref.ref(run.pipeline.history.newest))
        if index == 3:
            for object_id in (1, 2):
                run.pipeline.add_prompts(object_id, click((335.0, 65.0)))
    gc.collect()
    oldest = run.pipeline.history.oldest.index
    kept = [frame.index for each in frames if (frame := each()) is not None]
    assert [index for index in kept if index < oldest] == []
    assert kept == list(range(oldest, 31))
    with pytest.raises(UserError, match="older than the 12 frames"):
        run.pipeline.undo(1)


def test_no_more_changes_are_kept_than_anybody_takes_back() -> None:
    run = Classical()
    run.to(2)
    for number in range(60):
        run.pipeline.add_prompts(1, click((300.0 + number % 30, 60.0 + number // 30)))
    for _ in range(50):
        run.pipeline.undo(1)
    with pytest.raises(UserError, match="not been changed"):
        run.pipeline.undo(1)


@pytest.mark.parametrize(
    "box",
    [
        (390, 230, 2000, 2000),
        (395, 0, 5000, 239),
        (300, 200, 1e9, 210),
        (-1000, 100, 0, 140),
        (-1000, -1000, 10, 10),
        (-1e4, -1e4, 1e5, 1e5),
    ],
)
def test_a_box_that_reaches_beyond_the_image_is_no_error(box: tuple[float, ...]) -> None:
    run = Classical()
    prompt = ObjectPrompt(box=np.array(box, np.float32))
    with suppress(UserError):  # nothing was found
        run.pipeline.add_object(prompt)
    run.pipeline.hypotheses(prompt)
    run.to(2)


def test_a_segmenter_that_is_asked_twice_about_new_objects_forgets_the_first() -> None:
    segmenter = load_configuration(CONFIG).create().segmenter
    segmenter.set_image(DISC.frames[0])
    first = segmenter.propose([Prompt(1, np.array([centre(0)]), np.ones(1))])[0].mask
    second = segmenter.propose([Prompt(1, np.array([(330.0, 60.0)]), np.ones(1))])[0].mask
    assert first[120, 40] and second[60, 330] and not second[120, 40]
