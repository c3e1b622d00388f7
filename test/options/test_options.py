"""Options: declared once, checked everywhere."""

from __future__ import annotations

from array import array
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import build_options, check_options, did_you_mean, option, specs


@dataclass(frozen=True)
class Options:
    count: int = option(3, "How many.", minimum=1, maximum=9)
    share: float = option(0.5, "How much.", minimum=0.0, maximum=1.0)
    name: str = option("a", "Which.", choices=("a", "b"))
    on: bool = option(True, "Whether.")

    def __post_init__(self) -> None:
        check_options(self)


def test_a_declaration_says_everything_about_an_option() -> None:
    count, share, name, on = specs(Options)
    assert (count.name, count.type, count.default, count.description) == (
        "count",
        int,
        3,
        "How many.",
    )
    assert (count.minimum, count.maximum, count.choices) == (1, 9, None)
    assert (share.type, name.choices, on.type) == (float, ("a", "b"), bool)
    assert count.range_text() == "at least 1 and at most 9"
    assert name.range_text() == "one of a, b" and on.range_text() == ""


def test_what_is_not_given_keeps_its_default() -> None:
    assert build_options(Options, {"count": 4}, "here") == Options(count=4)


def test_a_whole_number_is_a_float() -> None:
    made = build_options(Options, {"share": 1}, "here")
    assert made.share == 1.0 and type(made.share) is float


def test_a_path_is_text() -> None:
    assert build_options(Options, {"name": Path("b")}, "here").name == "b"
    with pytest.raises(UserError, match="'name' must be one of a, b, got 'c'"):
        build_options(Options, {"name": Path("c")}, "here")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("count", 0, "'count' must be at least 1 and at most 9, got 0"),
        ("count", 10, "at most 9"),
        ("count", 3.0, "type int, got 3.0"),
        ("count", "3", "type int"),
        ("count", True, "type int, got True"),
        ("count", None, "type int"),
        ("count", [3], "type int"),
        ("share", float("nan"), "finite"),
        ("share", float("inf"), "finite"),
        ("share", 1.1, "at most 1"),
        ("share", True, "type float"),
        ("name", "c", "must be one of a, b"),
        ("name", 1, "type str"),
        ("on", 1, "type bool"),
        ("on", "yes", "type bool"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_place(
    name: str, value: Any, says: str
) -> None:
    with pytest.raises(UserError, match=f"^file.yaml: .*{says}"):
        build_options(Options, {name: value}, "file.yaml")
    with pytest.raises(UserError, match=f"^Options: .*{says}"):
        Options(**{name: value})


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(UserError, match="unknown option 'coutn'; did you mean 'count'"):
        build_options(Options, {"coutn": 1}, "here")


def test_remarks_about_unknown_names() -> None:
    assert did_you_mean("lukas", ["lucas", "other"]) == "; did you mean 'lucas'?"
    assert did_you_mean("xyz", ["b", "a"]) == "; available: a, b"
    assert did_you_mean("xyz", []) == "; none is available"


def test_options_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Options().count = 4  # type: ignore[misc]


@given(
    st.dictionaries(
        st.sampled_from(["count", "share", "name", "on", "other"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from(["", "a", "b", "3"]),
    )
)
def test_any_values_are_either_taken_or_refused_in_one_line(values: dict[str, Any]) -> None:
    refusal = ""
    try:
        made = build_options(Options, values, "here")
    except UserError as error:
        refusal = str(error)
    assert "\n" not in refusal
    if not refusal:
        assert 1 <= made.count <= 9 and 0 <= made.share <= 1 and made.name in ("a", "b")
        assert np.isfinite(made.share) and isinstance(made.on, bool)


@dataclass(frozen=True)
class Lists:
    size: tuple[int, int] = option((3, 4), "How large.", minimum=1, maximum=9)

    def __post_init__(self) -> None:
        check_options(self)


@pytest.mark.parametrize("given", [(5, 6), [5, 6], array("q", [5, 6])])
def test_a_list_of_whole_numbers_becomes_a_tuple(given: Any) -> None:
    assert build_options(Lists, {"size": given}, "here").size == (5, 6)
    (spec,) = specs(Lists)
    assert (spec.type, spec.length, spec.type_text, spec.default) == (tuple, 2, "2 int", (3, 4))


@pytest.mark.parametrize("value", [5, None, "56", b"56", [5], [5, 6, 7], {}])
def test_a_list_of_another_length_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="here: 'size' must be a list of 2 whole numbers, got"):
        build_options(Lists, {"size": value}, "here")


@pytest.mark.parametrize(
    ("value", "says"), [([0, 5], "at least 1"), ([5, 5.0], "type int"), ([True, 5], "type int")]
)
def test_every_number_of_a_list_is_checked(value: Any, says: str) -> None:
    with pytest.raises(UserError, match=f"here: 'size' must be .*{says}"):
        build_options(Lists, {"size": value}, "here")
