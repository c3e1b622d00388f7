"""Images in order, late, twice, and of another time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.ros.stream_order import StreamOrder

SECOND = 1_000_000_000


@pytest.fixture
def order() -> StreamOrder:
    return StreamOrder(60 * SECOND)


def test_any_image_may_be_the_first(order: StreamOrder) -> None:
    assert order.begins_stream(0, None) is False
    assert order.begins_stream(2**62, None) is False


def test_the_next_image_goes_on(order: StreamOrder) -> None:
    assert order.begins_stream(101 * SECOND, 100 * SECOND) is False
    assert order.begins_stream(160 * SECOND, 100 * SECOND) is False  # a camera that stood still


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        (100.0, "its stamp is that of the image before$"),
        (99.9, "it is older than the image before$"),
        (99.0, r"its stamp is 1 s before that of"),
        (0.0, r"its stamp is 100 s before that of"),
        (161.0, r"its stamp is 61 s after that of"),
    ],
)
def test_others_are_refused_and_change_nothing(
    order: StreamOrder, stamp: float, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        order.begins_stream(round(stamp * SECOND), 100 * SECOND)
    assert order.begins_stream(101 * SECOND, 100 * SECOND) is False


@pytest.mark.parametrize("start", [0, 30, 500])
def test_the_second_image_of_another_time_begins_a_stream(order: StreamOrder, start: int) -> None:
    newest = 100 * SECOND
    with pytest.raises(UserError):
        order.begins_stream(start * SECOND, newest)
    assert order.begins_stream(start * SECOND + 1, newest) is True
    assert order.begins_stream(start * SECOND + 2, start * SECOND + 1) is False


def test_images_of_another_time_that_do_not_go_on_from_each_other_begin_none(
    order: StreamOrder,
) -> None:
    newest = 1000 * SECOND
    for stamp in (10, 10, 5, 900, 2000, 3000, 3000, 1):
        with pytest.raises(UserError):
            order.begins_stream(stamp * SECOND, newest)


def test_a_stray_is_forgotten_with_the_next_good_image(order: StreamOrder) -> None:
    with pytest.raises(UserError):
        order.begins_stream(10 * SECOND, 100 * SECOND)
    assert order.begins_stream(101 * SECOND, 100 * SECOND) is False
    with pytest.raises(UserError):
        order.begins_stream(11 * SECOND, 101 * SECOND)


def test_after_a_reset_a_stray_is_none_any_more(order: StreamOrder) -> None:
    with pytest.raises(UserError):
        order.begins_stream(10 * SECOND, 100 * SECOND)
    order.reset()
    with pytest.raises(UserError):
        order.begins_stream(11 * SECOND, 100 * SECOND)


def test_after_a_pause_of_the_node_s_own_making_the_next_image_may_come_any_time_later(
    order: StreamOrder,
) -> None:
    order.resume()
    assert order.begins_stream(10_000 * SECOND, 100 * SECOND) is False
    with pytest.raises(UserError, match="its stamp is 61 s after"):  # the one after it may not
        order.begins_stream(10_061 * SECOND, 10_000 * SECOND)


def test_after_a_pause_time_that_goes_back_begins_a_stream_all_the_same(
    order: StreamOrder,
) -> None:
    order.resume()
    for stamp, words in ((100, "that of the image before"), (99.5, "older"), (90, "10 s before")):
        with pytest.raises(UserError, match=words):
            order.begins_stream(round(stamp * SECOND), 100 * SECOND)
    assert order.begins_stream(91 * SECOND, 100 * SECOND) is True
    with pytest.raises(UserError, match="its stamp is 109 s after"):  # the pause is over
        order.begins_stream(200 * SECOND, 91 * SECOND)


def test_a_pause_ends_with_the_first_image_of_all(order: StreamOrder) -> None:
    order.resume()
    assert order.begins_stream(100 * SECOND, None) is False
    with pytest.raises(UserError, match="its stamp is 61 s after"):
        order.begins_stream(161 * SECOND, 100 * SECOND)


def test_a_pause_outlasts_images_that_are_left_out_and_ends_with_a_reset(
    order: StreamOrder,
) -> None:
    order.resume()
    with pytest.raises(UserError):
        order.begins_stream(10 * SECOND, 100 * SECOND)
    assert order.begins_stream(300 * SECOND, 100 * SECOND) is False
    order.resume()
    order.reset()
    with pytest.raises(UserError, match="its stamp is 400 s after"):
        order.begins_stream(700 * SECOND, 300 * SECOND)


@given(st.lists(st.integers(0, 2**31 * SECOND), max_size=30))
def test_what_is_taken_is_always_later_unless_a_stream_begins(stamps: list[int]) -> None:
    order, newest = StreamOrder(60 * SECOND), None
    for stamp in stamps:
        try:
            begins = order.begins_stream(stamp, newest)
        except UserError:
            continue
        assert begins or newest is None or stamp > newest
        newest = stamp


def restarts(order: StreamOrder, stamps: list[int]) -> list[int]:
    """Numbers of the images that begin a stream."""
    newest, found = None, []
    for number, stamp in enumerate(stamps):
        try:
            begins = order.begins_stream(stamp, newest)
        except UserError:
            continue
        if begins:
            found.append(number)
            order.reset()  # as who is told forgets the images before
        newest = stamp
    return found


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("apart", [-10, 10, 995])
@pytest.mark.parametrize("rate", [10, 30, 60])
def test_of_two_cameras_with_clocks_of_their_own_one_is_settled_on(
    order: StreamOrder, rate: int, apart: int, share: float
) -> None:
    """Images of both, all of them or what is left over where others are dropped at random."""
    rng = random.Random(rate)
    cameras = [((20 + apart) * SECOND, 30), (20 * SECOND, rate)]
    arrivals = sorted(
        (number / each + rng.uniform(0, 0.02), begin + number * SECOND // each)
        for begin, each in cameras
        for number in range(200 * each)
    )
    kept = [stamp for _, stamp in arrivals if rng.random() < share]
    found = restarts(order, kept)
    late = [number for number in found if number > len(kept) / 2]
    assert len(found) <= 7 and len(late) <= 1, found


@pytest.mark.parametrize("length", [3, 5, 15, 100])
def test_a_recording_that_loops_begins_anew_with_the_second_image_of_each_round(
    order: StreamOrder, length: int
) -> None:
    stamps = [(100 + number) * SECOND for number in range(length)] * 20
    found = restarts(order, stamps)
    assert found == [length * number + 1 for number in range(1, 20)]


@pytest.mark.parametrize("rate", [10, 30, 60])
@pytest.mark.parametrize("length", [2, 3, 5, 9, 15, 30, 31, 40])
def test_so_does_one_of_any_length(order: StreamOrder, length: int, rate: int) -> None:
    """Also of a second or less, by which images may be late."""
    stamps = [100 * SECOND + number * SECOND // rate for number in range(length)] * 20
    found = restarts(order, stamps)
    assert found == [length * number + 1 for number in range(1, 20)]


@pytest.mark.parametrize("every", [3, 4, 7])
@pytest.mark.parametrize("length", [20, 29, 37])
def test_a_short_recording_of_which_images_are_dropped_begins_anew_every_few_rounds(
    order: StreamOrder, length: int, every: int
) -> None:
    stamps = [100 * SECOND + number * SECOND // 30 for number in range(length)] * 40
    found = restarts(order, stamps[::every])
    assert len(found) >= 5, found


def test_images_that_are_late_together_begin_no_stream(order: StreamOrder) -> None:
    numbers = [*range(50), 53, 50, 51, 52, *range(54, 80), 85, 81, 82, 82, 83, *range(86, 100)]
    assert restarts(order, [100 * SECOND + number * SECOND // 30 for number in numbers]) == []


def test_a_clock_that_is_set_back_by_less_than_a_second_is_waited_for(order: StreamOrder) -> None:
    numbers = [*range(100), *range(85, 200)]
    stamps = [100 * SECOND + number * SECOND // 30 for number in numbers]
    assert restarts(order, stamps) == []


def test_a_late_image_right_after_the_first_is_dropped_alone(order: StreamOrder) -> None:
    assert order.begins_stream(100 * SECOND, None) is False
    with pytest.raises(UserError, match=r"its stamp is 0\.1 s before .*; if the next"):
        order.begins_stream(100 * SECOND - SECOND // 10, 100 * SECOND)
    assert order.begins_stream(101 * SECOND, 100 * SECOND) is False
    first = [1000, 5, 1001, 6, 7]  # it does not count as of another camera
    assert restarts(order, [each * SECOND for each in first]) == [4]


def test_after_a_while_without_strays_two_images_begin_a_stream_again(order: StreamOrder) -> None:
    first = [1000, 5, 1001, 6, 7]  # of two cameras, of which the second is settled on
    alone = list(range(8, 50))
    later = [200, 201]
    stamps = [each * SECOND for each in (*first, *alone, *later)]
    assert restarts(order, stamps) == [4, len(stamps) - 1]
