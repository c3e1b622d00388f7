"""Stamps that do not tell images apart, and those that only look odd."""

from __future__ import annotations

import pytest

from sam_pt_ros.ros.stamp_watch import StampWatch

SECOND = 1_000_000_000
ADVICE = (
    ", and only the first of each stamp is used: have their driver stamp each with the time when "
    "it was taken, or set the parameter stamp_on_arrival to true"
)


def problems(stamps: list[int]) -> list[str]:
    """What is said after each stamp."""
    watch, said = StampWatch("images"), []
    for stamp in stamps:
        watch.see(stamp)
        said.append(watch.problem)
    return said


@pytest.mark.parametrize(
    ("stamp", "what"),
    [
        (0, "the images carry no stamp (it is 0)"),
        (7 * SECOND, "the images share stamps of whole seconds (their nanosec is 0)"),
        (7 * SECOND + 5, "the images all carry the stamp 7.000000005"),
    ],
)
def test_a_stamp_that_never_changes_is_a_problem_from_the_sixth_image_on(
    stamp: int, what: str
) -> None:
    assert problems([stamp] * 8) == [""] * 5 + [what + ADVICE] * 3


@pytest.mark.parametrize(("rate", "first"), [(30, 5), (2, 9), (5, 6)])
def test_stamps_of_whole_seconds_are_noticed_at_any_rate(rate: int, first: int) -> None:
    said = problems([(100 + number // rate) * SECOND for number in range(40)])
    what = "the images share stamps of whole seconds (their nanosec is 0)"
    assert said == [""] * first + [what + ADVICE] * (40 - first)


def test_the_problem_ends_with_the_first_good_stamp() -> None:
    said = problems([0] * 6 + [SECOND // 2] + [0] * 6)
    assert [bool(each) for each in said] == [False] * 5 + [True] + [False] * 6 + [True]


@pytest.mark.parametrize(
    "stamps",
    [
        [number * SECOND for number in range(50)],  # one image a second, or a counter
        list(range(1, 50)),
        [number // 2 * 40_000_000 + 1 for number in range(100)],  # each twice
        [number // 5 * 40_000_000 + 1 for number in range(100)],
        [0] * 5 + [40_000_000 * number for number in range(1, 30)],  # of a simulator that waits
        [100 - number for number in range(50)],
    ],
)
def test_odd_stamps_are_left_alone(stamps: list[int]) -> None:
    assert set(problems(stamps)) == {""}


def test_repetitions_are_known() -> None:
    watch = StampWatch("images")
    found = []
    for stamp in (0, 0, 1, 1, 0, 0):
        watch.see(stamp)
        found.append(watch.repeats)
    assert found == [False, True, False, True, False, True]
