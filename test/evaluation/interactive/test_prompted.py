"""One object's masks out of points that come and go: kept masks equal those made from nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.evaluation.interactive.annotator import PlacedPoint
from sam_pt_ros.evaluation.interactive.prompted import Footage, PromptedObject
from sam_pt_ros.pipeline.prompting import inside_border
from sam_pt_ros.segmenters.base import Prompt
from sam_pt_ros.trackers import create_tracker
from sam_pt_ros.trackers.video import track_video
from support.cotracker_golden import clip
from support.examples import examples
from support.oracle import BIG, SIZE, SMALL, SPILL, Film, SteadyTracker, blocks, small_film

IMAGES = [np.zeros((*SIZE, 3), np.uint8)] * 4


def moving_film(frames: int = 4) -> Film:
    """The large block is there in the first frame only, and points move to the right."""
    truths = [blocks(SIZE, BIG, SMALL), *[blocks(SIZE, SMALL)] * (frames - 1)]
    return Film(tuple(truths), tuple(blocks(SIZE, SPILL) for _ in truths), 8, step=(4.0, 0.0))


def test_a_point_is_followed_from_its_frame_to_the_last() -> None:
    tracker = SteadyTracker((4.0, 1.0))
    footage = Footage(IMAGES, tracker)
    assert tracker.stepped == [0, 1, 2, 3]
    places, visible = footage.follow(1, 3.0, 2.0)
    assert places.tolist() == [[3, 2], [7, 3], [11, 4]]
    assert visible.tolist() == [True, True, True]
    assert tracker.tracked == []


def test_a_tracked_point_at_the_edge_is_not_seen_but_a_clicked_one_is() -> None:
    footage = Footage(IMAGES, SteadyTracker((8.0, 0.0)))
    _, visible = footage.follow(0, 0.0, 0.0)
    assert visible.tolist() == [True, False, False, False]  # row 0 is within 1 % of the edge
    _, visible = footage.follow(0, 0.0, 3.0)
    assert visible.tolist() == [True, True, False, False]  # then x is 8, 16 and 24


def test_points_are_followed_as_through_a_clip() -> None:
    frames = clip(8)
    footage = Footage(frames, create_tracker("lucas_kanade"))
    for index, x, y in ((0, 80, 60), (3, 70, 50), (7, 40, 40)):
        places, visible = footage.follow(index, x, y)
        query = np.array([[index, x, y]], np.float32)
        alone = track_video(create_tracker("lucas_kanade"), frames, query)
        assert np.array_equal(places, alone.xy[index:, 0])
        inside = inside_border(places, frames.shape[1:3])
        assert np.array_equal(visible, alone.visible[index:, 0] & inside)
        assert visible[0]


def test_footage_without_frames_or_tracker_is_refused() -> None:
    with pytest.raises(UserError, match="has no frames"):
        Footage([], None)
    footage = Footage(IMAGES[:1], None)
    assert len(footage) == 1 and footage.frame(0).size == SIZE
    with pytest.raises(FrameUnavailableError):
        footage.frame(1)
    with pytest.raises(UserError, match="has no tracker"):
        footage.follow(0, 1, 1)
    with pytest.raises(UserError, match="has no tracker"):
        PromptedObject(footage, small_film().oracle(), tracked=True)


@pytest.mark.parametrize("memory", [False, True])
def test_points_are_tracked_on_and_removed_from_a_frame_on(memory: bool) -> None:
    prompted = small_film().prompted(tracked=True, memory=memory)
    assert not prompted.mask(0).any() and not prompted.mask(1).any()
    number = prompted.add(0, 5, 3, 1)
    for index in (0, 1):
        assert prompted.points_in(index) == [PlacedPoint(number, 5.0, 3.0, 1)]
        assert np.array_equal(prompted.mask(index), blocks(SIZE, BIG, SPILL))
    first = prompted.mask(0)
    prompted.remove(1, number)
    assert prompted.points_in(1) == [] and not prompted.mask(1).any()
    assert prompted.mask(0) is first
    with pytest.raises(UserError, match="frame 1 has no point 0"):
        prompted.remove(1, number)


@pytest.mark.parametrize("memory", [False, True])
def test_without_tracking_a_point_tells_about_its_own_frame(memory: bool) -> None:
    prompted = small_film().prompted(tracked=False, memory=memory)
    prompted.add(1, 10, 4, 1)
    assert prompted.points_in(0) == [] and not prompted.mask(0).any()
    assert np.array_equal(prompted.mask(1), blocks(SIZE, SMALL))
    prompted.add(0, 5, 3, 1)  # an earlier frame after a later one: nobody remembers
    assert np.array_equal(prompted.mask(0), blocks(SIZE, BIG, SPILL))


def test_negatives_alone_are_not_asked_about_and_numbers_are_not_used_again() -> None:
    film = small_film()
    oracle = film.oracle()
    prompted = PromptedObject(film.footage(), oracle, tracked=True)
    empty = prompted.checkpoint()
    first = prompted.add(0, 1, 6, 0)
    assert not prompted.mask(0).any() and oracle.asked == []
    prompted.add(0, 5, 3, 1)
    assert np.array_equal(prompted.mask(1), blocks(SIZE, BIG))
    prompted.restore(empty)
    assert not prompted.mask(1).any()
    assert prompted.add(0, 5, 3, 1) == first + 2
    assert np.array_equal(prompted.mask(1), blocks(SIZE, BIG, SPILL))


def test_frames_whose_points_did_not_change_are_not_asked_about_again() -> None:
    film = small_film()
    oracle = film.oracle()
    prompted = PromptedObject(film.footage(), oracle, tracked=True)
    prompted.add(0, 5, 3, 1)
    for _ in range(2):
        prompted.mask(0), prompted.mask(1)
    prompted.add(1, 10, 4, 1)
    prompted.mask(0), prompted.mask(1)
    assert oracle.asked == [0, 1, 1]


def test_a_segmenter_that_needs_no_point_is_asked_from_the_first_click_on() -> None:
    film = moving_film()
    oracle = film.oracle()
    prompted = PromptedObject(film.footage(), oracle, tracked=True, require_positive=False)
    masks = [prompted.mask(index) for index in range(4)]
    assert oracle.asked == [] and not any(mask.any() for mask in masks)
    prompted.add(1, 10, 4, 1)  # goes to x 14, then out of the image
    for index in range(4):
        prompted.mask(index)
    assert oracle.asked == [1, 2, 3]


def test_prompts_hold_positives_first() -> None:
    film = small_film()
    oracle = film.oracle()
    prompts: list[Prompt] = []
    predict = oracle.predict
    oracle.predict = lambda asked: (prompts.extend(asked), predict(asked))[1]  # type: ignore
    prompted = PromptedObject(film.footage(), oracle, tracked=True, object_id=4)
    for x, y, label in ((5, 3, 1), (1, 6, 0), (10, 4, 1)):
        prompted.add(0, x, y, label)
    prompted.mask(0)
    (prompt,) = prompts
    assert prompt.object_id == 4 and prompt.positives_first
    assert prompt.points.tolist() == [[5, 3], [10, 4], [1, 6]]
    assert prompt.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("x", "y", "label", "message"),
    [
        (16.0, 3.0, 1, "outside the image of 16x8"),
        (float("nan"), 3.0, 1, "outside the image"),
        (3.0, -0.6, 1, "outside the image"),
        (3.0, 3.0, 2, "a label must be 1"),
    ],
)
@pytest.mark.parametrize("tracked", [False, True])
def test_points_that_cannot_be_are_refused(
    x: float, y: float, label: int, message: str, tracked: bool
) -> None:
    prompted = small_film().prompted(tracked=tracked)
    with pytest.raises(UserError, match=message):
        prompted.add(0, x, y, label)
    assert prompted.points_in(0) == []


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "look", "keep", "back"]),
        st.integers(0, 3),
        st.integers(0, 15),
        st.integers(0, 7),
        st.integers(0, 1),
    ),
    max_size=10,
)


@examples(100)
@given(steps, st.booleans(), st.booleans(), st.booleans())
def test_kept_masks_equal_those_made_from_nothing(
    actions: list[tuple[str, int, int, int, int]], tracked: bool, memory: bool, need: bool
) -> None:
    film = moving_film()

    def fresh(with_memory: bool) -> PromptedObject:
        oracle = film.oracle(memory=with_memory)
        return PromptedObject(film.footage(), oracle, tracked=tracked, require_positive=need)

    used, kept = fresh(memory), fresh(memory).checkpoint()
    for action, index, x, y, label in actions:
        if action == "add":
            used.add(index, x, y, label)
        elif action == "remove" and used.points_in(index):
            used.remove(index, used.points_in(index)[0].number)
        elif action == "keep":
            kept = used.checkpoint()
        elif action == "back":
            used.restore(kept)
        else:
            used.mask(index)
        other = fresh(False)
        other.restore(used.checkpoint())
        looked = range(4) if action == "look" else (index,)
        for each in looked:
            assert np.array_equal(used.mask(each), other.mask(each))
