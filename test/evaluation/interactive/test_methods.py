"""The three ways of working: by hand, step by step, and against a replay without any memory."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.interactive.annotator import next_edit
from sam_pt_ros.evaluation.interactive.methods import (
    ANNOTATION_METHODS,
    Annotation,
    Budget,
    annotate,
    method_named,
)
from sam_pt_ros.evaluation.interactive.prompted import PromptedObject
from support.examples import examples
from support.oracle import BIG, SIZE, SMALL, SPILL, Film, blocks, small_film

ONE = 25 / 43  # the large block and what spills over, of 34 pixels
TWO = 25 / 34  # the large block alone


def work(
    film: Film, method: str, budget: Budget | None = None, patience: int = 10**6
) -> tuple[Annotation, PromptedObject]:
    chosen = ANNOTATION_METHODS[method]
    prompted = film.prompted(tracked=chosen.tracked, patience=patience)
    return annotate(prompted, film.annotated, chosen, budget or Budget()), prompted


def clicks(found: Annotation) -> list[tuple[int, str, float, float, int]]:
    return [(i.frame, i.action, i.x, i.y, i.label) for i in found.interactions]


def means(found: Annotation) -> list[float]:
    return [each.mean_iou for each in found.interactions]


def test_the_budget_of_the_paper() -> None:
    budget = Budget()
    assert (budget.interactions, budget.per_frame, budget.iou) == (300, 3, 0.95)
    assert (budget.thresholds[0], budget.thresholds[-1]) == (0.10, 0.95)
    assert len(budget.thresholds) == 15
    assert method_named("online").goals(budget) == (0.95,)
    assert method_named("sam_only").goals(budget) == (0.95,)
    assert method_named("offline").goals(budget) == budget.thresholds


def test_online_step_by_step() -> None:
    found, prompted = work(small_film(), "online")
    assert clicks(found) == [
        (0, "add", 5, 3, 1),  # the middle of the large block; 9 pixels spill over
        (0, "add", 1, 6, 0),  # 9 missed and 9 too many: the latter first
        (0, "add", 10, 4, 1),  # the middle of the small block
    ]
    assert found.start_iou == 0.0
    assert [(i.iou_frame_before, i.iou_frame_after) for i in found.interactions] == [
        (0.0, ONE),
        (ONE, TWO),
        (TWO, 1.0),
    ]
    assert means(found) == [ONE, TWO, 1.0]  # the second frame is as good: points are tracked
    assert found.kept_ious.tolist() == [0.0, ONE, TWO, 1.0]
    assert [(i.number, i.pass_number, i.goal) for i in found.interactions] == [
        (1, 1, 0.95),
        (2, 1, 0.95),
        (3, 1, 0.95),
    ]
    assert found.complete and found.frames == 2
    assert np.array_equal(prompted.mask(1), blocks(SIZE, BIG, SMALL))


def test_sam_only_step_by_step() -> None:
    found, _ = work(small_film(), "sam_only")
    own = [("add", 5, 3, 1), ("add", 1, 6, 0), ("add", 10, 4, 1)]
    assert clicks(found) == [(frame, *click) for frame in (0, 1) for click in own]
    assert means(found) == pytest.approx(
        [ONE / 2, TWO / 2, 0.5, (1 + ONE) / 2, (1 + TWO) / 2, 1.0], abs=1e-15
    )
    assert found.complete


def test_offline_step_by_step() -> None:
    found, _ = work(small_film(), "offline")
    assert [(i.pass_number, i.goal, i.frame, i.x, i.y, i.label) for i in found.interactions] == [
        (1, 0.10, 0, 5, 3, 1),  # 0.58 is good enough until 0.60 is asked for
        (6, 0.60, 0, 1, 6, 0),  # 0.74 until 0.75 is
        (9, 0.75, 0, 10, 4, 1),
    ]
    assert means(found) == [ONE, TWO, 1.0]


def test_after_three_interactions_the_next_frame_is_next() -> None:
    found, _ = work(small_film(), "online", Budget(per_frame=2))
    assert [(i.frame, i.x, i.y) for i in found.interactions] == [(0, 5, 3), (0, 1, 6), (1, 10, 4)]
    # The click in the second frame does not help the first one.
    assert means(found) == pytest.approx([ONE, TWO, (TWO + 1) / 2], abs=1e-15)
    assert found.complete


def test_offline_comes_back_to_a_frame_that_was_left() -> None:
    found, _ = work(small_film(), "offline", Budget(per_frame=1, thresholds=(0.5, 0.95)))
    assert [(i.pass_number, i.frame, i.x, i.y) for i in found.interactions] == [
        (1, 0, 5, 3),
        (2, 0, 1, 6),
        (2, 1, 10, 4),
    ]


@pytest.mark.parametrize("method", ANNOTATION_METHODS)
@pytest.mark.parametrize("count", [1, 2])
def test_the_budget_ends_it(method: str, count: int) -> None:
    found, _ = work(small_film(), method, Budget(interactions=count))
    assert len(found.interactions) == count and not found.complete


def test_a_budget_that_was_just_enough_is_complete() -> None:
    found, _ = work(small_film(), "online", Budget(interactions=3))
    assert len(found.interactions) == 3 and found.complete


def test_a_point_that_went_astray_is_removed_before_another_is_added() -> None:
    truths = blocks(SIZE, BIG), blocks(SIZE, SMALL)
    film = Film(truths, (blocks(SIZE), blocks(SIZE)), tile=8)  # the object leaps, points do not
    found, prompted = work(film, "online")
    assert clicks(found) == [
        (0, "add", 5, 3, 1),
        (1, "remove", 5, 3, 1),
        (1, "add", 10, 4, 1),
    ]
    assert means(found) == [0.5, 0.5, 1.0]
    assert len(prompted.points_in(0)) == 1  # removed from the second frame on


def test_the_best_checkpoint_is_kept_and_gone_back_to() -> None:
    budget = Budget(thresholds=(0.5, 0.95))
    found, prompted = work(small_film(), "offline", budget, patience=1)
    assert [i.pass_number for i in found.interactions] == [1, 2, 2, 2, 2, 2, 2]
    assert means(found)[0] == ONE and max(means(found)[1:]) < ONE
    assert found.kept_ious.tolist() == [0.0, *[ONE] * 7]
    assert len(prompted.points_in(1)) == 1
    assert np.array_equal(prompted.mask(1), blocks(SIZE, BIG, SPILL))


def test_online_has_no_checkpoint_to_go_back_to() -> None:
    found, prompted = work(small_film(), "online", patience=1)
    assert found.kept_ious[-1] == means(found)[-1] < ONE
    assert len(prompted.points_in(1)) > 1


def test_frames_without_the_object_want_no_click() -> None:
    nothing = blocks(SIZE)
    film = Film((nothing, blocks(SIZE, BIG)), (nothing, nothing), tile=8)
    for method in ANNOTATION_METHODS:
        found, _ = work(film, method)
        assert found.start_iou == 0.5
        assert clicks(found) == [(1, "add", 5, 3, 1)]
        assert found.kept_ious.tolist() == [0.5, 1.0]


def test_one_frame_of_one_pixel() -> None:
    film = Film((blocks((1, 1), (0, 0, 0, 0)),), (blocks((1, 1)),), tile=8)
    for method in ANNOTATION_METHODS:
        found, _ = work(film, method)
        assert clicks(found) == [(0, "add", 0, 0, 1)] and found.kept_ious[-1] == 1.0


def test_a_segmenter_that_never_answers_costs_the_budget_and_no_more() -> None:
    found, _ = work(small_film(), "offline", Budget(interactions=40), patience=0)
    assert len(found.interactions) == 40 and found.kept_ious.tolist() == [0.0] * 41
    found, _ = work(small_film(), "online", patience=0)
    assert len(found.interactions) == 6 and found.complete


def test_an_object_without_a_truth_is_refused() -> None:
    film = small_film()
    with pytest.raises(UserError, match="object 3 has no annotated frame"):
        annotate(
            film.prompted(tracked=True), {}, ANNOTATION_METHODS["online"], Budget(), object_id=3
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interactions": 0}, "'interactions' must be at least 1, got 0"),
        ({"per_frame": -1}, "'per_frame' must be at least 1, got -1"),
        ({"iou": 0.0}, "'iou' must be above 0 and at most 1, got 0.0"),
        ({"iou": math.nan}, "'iou' must be"),
        ({"thresholds": ()}, "'thresholds' must rise"),
        ({"thresholds": (0.0, 0.5)}, "'thresholds' must rise, lie above 0 and up to 1"),
        ({"thresholds": (0.5, 0.5)}, "'thresholds' must rise"),
        ({"thresholds": (0.5, 1.1)}, "up to 1, and not be empty, got .0.5, 1.1."),
        ({"thresholds": (math.nan,)}, "'thresholds' must"),
    ],
)
def test_budgets_that_cannot_be_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Budget(**changes)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"unknown annotation method 'onlin'.*did you mean 'online'"
    ):
        method_named("onlin")


class Watched(PromptedObject):
    """Notices when a point changes the mask of a frame before its own."""

    frames = 0

    def add(self, index: int, x: float, y: float, label: int) -> int:
        before = [self.mask(i) for i in range(index)]
        number = super().add(index, x, y, label)
        assert all(np.array_equal(self.mask(i), mask) for i, mask in enumerate(before))
        return number

    def remove(self, index: int, number: int) -> None:
        before = [self.mask(i) for i in range(index)]
        super().remove(index, number)
        assert all(np.array_equal(self.mask(i), mask) for i, mask in enumerate(before))


@st.composite
def films(draw: st.DrawFn) -> Film:
    """A few frames of 12 x 8 pixels, of tiles of 4, in which anything may happen."""
    count = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    truths, spills = [], []
    for _ in range(count):
        coarse = rng.random((4, 6)) < draw(st.sampled_from([0.0, 0.3, 0.7]))
        truth = coarse.repeat(2, 0).repeat(2, 1)
        truths.append(truth)
        spills.append(~truth & (rng.random(truth.shape) < draw(st.sampled_from([0.0, 0.3]))))
    step = draw(st.sampled_from([(0.0, 0.0), (1.0, 0.0), (2.0, -1.0)]))
    return Film(tuple(truths), tuple(spills), 4, step)


budgets = st.builds(
    Budget,
    interactions=st.integers(1, 30),
    per_frame=st.integers(1, 4),
    iou=st.sampled_from([0.3, 0.95, 1.0]),
    thresholds=st.sampled_from([(0.1, 0.5, 0.95), (0.95,), Budget().thresholds]),
)


@examples(60)
@given(
    films(),
    st.sampled_from(sorted(ANNOTATION_METHODS)),
    budgets,
    st.booleans(),
    st.sampled_from([3, 99]),
)
def test_any_study_keeps_its_promises(
    film: Film, name: str, budget: Budget, memory: bool, patience: int
) -> None:
    method = ANNOTATION_METHODS[name]
    oracle = film.oracle(memory=memory, patience=patience)
    prompted = Watched(film.footage(), oracle, tracked=method.tracked)
    found = annotate(prompted, film.annotated, method, budget, object_id=7)
    done = found.interactions

    assert [i.number for i in done] == list(range(1, len(done) + 1))
    assert len(done) <= budget.interactions
    visits = Counter((i.pass_number, i.frame) for i in done)
    assert max(visits.values(), default=0) <= budget.per_frame
    # In each pass frames come in order, and passes come in order.
    assert all((a.pass_number, a.frame) <= (b.pass_number, b.frame) for a, b in pairwise(done))
    assert all(i.goal == method.goals(budget)[i.pass_number - 1] for i in done)
    assert all(i.iou_frame_before < i.goal and i.object_id == 7 for i in done)
    for _, visit in groupby(done, key=lambda i: (i.pass_number, i.frame)):
        steps = list(visit)
        assert all(a.iou_frame_after == b.iou_frame_before for a, b in pairwise(steps))
    if not method.several_passes:
        assert [i.kept_iou for i in done] == [i.mean_iou for i in done]
    assert all(i.kept_iou >= i.mean_iou for i in done)
    if not found.complete:
        assert len(done) == budget.interactions
    ious = [truth.iou(prompted.mask(i)) for i, truth in film.annotated.items()]
    assert found.kept_ious[-1] == sum(ious) / len(ious)
    check_replay(film, found, method.tracked, patience)


def check_replay(film: Film, found: Annotation, tracked: bool, patience: int) -> None:
    """The interactions once more, each time with masks that are made from nothing."""
    truths = film.annotated
    points = film.prompted(tracked=tracked, patience=patience).checkpoint()
    for step in found.interactions:
        prompted = film.prompted(tracked=tracked, patience=patience)
        prompted.restore(points)
        prompted._next_number = step.number  # every number is another
        edit = next_edit(
            truths[step.frame], prompted.mask(step.frame), prompted.points_in(step.frame)
        )
        assert edit is not None
        assert (edit.x, edit.y, edit.label) == (step.x, step.y, step.label)
        assert step.action == ("add" if edit.removes is None else "remove")
        if edit.removes is None:
            prompted.add(step.frame, edit.x, edit.y, edit.label)
        else:
            prompted.remove(step.frame, edit.removes)
        ious = [truth.iou(prompted.mask(i)) for i, truth in truths.items()]
        assert step.mean_iou == sum(ious) / len(ious)
        assert step.iou_frame_after == ious[step.frame]
        points = prompted.checkpoint()


@examples(40)
@given(films(), st.sampled_from(sorted(ANNOTATION_METHODS)), st.booleans())
def test_with_enough_interactions_every_curve_reaches_the_goal(
    film: Film, name: str, memory: bool
) -> None:
    method = ANNOTATION_METHODS[name]
    prompted = film.prompted(tracked=method.tracked, memory=memory)
    found = annotate(prompted, film.annotated, method, Budget(per_frame=99))
    assert found.complete and len(found.interactions) <= 300
    assert found.kept_ious[-1] >= 0.95
