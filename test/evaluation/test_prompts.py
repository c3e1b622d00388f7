"""Schedules of prompts, and the files that they are written in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.prompts import PromptEvent, PromptSchedule, click_requests, read_prompts
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.recordings.clicks import Click
from support.examples import examples

IMAGE = np.zeros((20, 30, 3), np.uint8)


def frame(index: int, stamp: int | None = None) -> InputFrame:
    return InputFrame(index, 1000 + 10 * index if stamp is None else stamp, IMAGE)


def request(x: float, object_id: int | None = 1, label: int = 1) -> PromptRequest:
    return PromptRequest(ObjectPrompt(np.array([[x, 1]]), np.array([label])), object_id)


def points(requests: list[PromptRequest]) -> list[tuple[int | None, list[float]]]:
    return [(r.object_id, r.prompt.points[:, 0].tolist()) for r in requests]


def test_a_prompt_is_handed_out_once_with_its_frame() -> None:
    schedule = PromptSchedule([PromptEvent((request(5),), frame=2)])
    assert [len(schedule(frame(i))) for i in range(5)] == [0, 0, 1, 0, 0]
    assert schedule.unused == []


@pytest.mark.parametrize(("stamp", "index"), [(0, 0), (1010, 1), (1011, 2), (1020, 2)])
def test_a_stamp_means_the_first_frame_that_is_not_earlier(stamp: int, index: int) -> None:
    schedule = PromptSchedule([PromptEvent((request(5),), stamp=stamp)])
    assert [i for i in range(4) if schedule(frame(i))] == [index]


def test_what_no_frame_comes_for_is_known() -> None:
    late = PromptEvent((request(5),), stamp=5000)
    schedule = PromptSchedule([late, PromptEvent((request(5),), frame=9)])
    schedule(frame(0))
    assert [event.when for event in schedule.unused] == ["stamp 5000", "frame 9"]


def test_prompts_on_one_object_in_one_frame_are_one_request() -> None:
    events = [
        PromptEvent((request(1), request(2, 7)), frame=0),
        PromptEvent((request(3, None), request(4, None)), stamp=0),
        PromptEvent((request(5, 1, label=0),), stamp=1000),
    ]
    made = list(PromptSchedule(events)(frame(0)))
    assert points(made) == [(1, [1, 5]), (7, [2]), (None, [3]), (None, [4])]
    assert made[0].prompt.labels.tolist() == [1, 0]


def test_an_event_is_at_a_frame_or_at_a_stamp() -> None:
    for when in ({}, {"frame": 1, "stamp": 2}):
        with pytest.raises(UserError, match="not both"):
            PromptEvent((), **when)


def test_clicks_are_grouped_by_object_with_the_first_name() -> None:
    made = click_requests([Click(1, 2, object_id=3), Click(4, 5), Click(6, 7, 0, 3, "cup")])
    assert [(r.object_id, r.label) for r in made] == [(3, "cup"), (1, "")]
    assert made[0].prompt.labels.tolist() == [1, 0]


GOOD = """
prompts:
  - {frame: 0, pixel: [320, 180], object: 1, name: cup}
  - {frame: 0, pixel: [20, 40.5], label: negative, object: 1}
  - {stamp: 1700000000123456789, pixel: [5, 6], label: 1, object: 2}
  - {frame: 3, pixel: [7, 8]}
"""


def test_a_file_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.yaml"
    path.write_text(GOOD)
    events = read_prompts(path)
    assert [(e.frame, e.stamp) for e in events] == [
        (0, None),
        (None, 1700000000123456789),
        (3, None),
    ]
    (cup,) = events[0].requests
    assert (cup.object_id, cup.label) == (1, "cup")
    assert cup.prompt.points.tolist() == [[320, 180], [20, 40.5]]
    assert cup.prompt.labels.tolist() == [1, 0]
    assert events[1].requests[0].object_id == 2
    assert events[2].requests[0].prompt.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "must hold a list of clicks under 'prompts:'"),
        ("prompts: []", "must hold a list of clicks under 'prompts:'"),
        ("prompts: [1]\nmore: 2", "nothing else"),
        ("prompts: [3]", "prompt 1: must be a mapping"),
        ("prompts: [{frame: 0, pixl: [1, 2]}]", "unknown key 'pixl'; did you mean 'pixel'"),
        ("prompts: [{pixel: [1, 2]}]", "needs 'frame' or 'stamp'"),
        ("prompts: [{frame: 0, stamp: 1, pixel: [1, 2]}]", "not both"),
        ("prompts: [{frame: -1, pixel: [1, 2]}]", "an integer, 0 or more, got -1"),
        ("prompts: [{stamp: 1.5, pixel: [1, 2]}]", r"integer, 0 or more \(nanoseconds\)"),
        ("prompts: [{frame: true, pixel: [1, 2]}]", "an integer, 0 or more, got True"),
        ("prompts: [{frame: 0, pixel: 3}]", r"'pixel' must be \[x, y\]"),
        ("prompts: [{frame: 0, pixel: [1, 2, 3]}]", r"'pixel' must be \[x, y\]"),
        ("prompts: [{frame: 0, pixel: [.nan, 2]}]", "must be finite"),
        ("prompts: [{frame: 0, pixel: [1, 2], label: maybe}]", "positive or negative"),
        (
            "prompts: [{frame: 0, pixel: [1, 2], object: cup}]",
            "'object' must be an integer, 1 or more",
        ),
        ("prompts: [{frame: 0, pixel: [1, 2], object: 0}]", "must be 1 to 65535"),
        ("prompts: [{frame: 0, pixel: [1, 2], name: 3}]", "'name' must be text"),
        ("prompts: [{frame: 0, frame: 1, pixel: [1, 2]}]", "given twice"),
        ("prompts: [{frame: 0, pixel: [1, 2], label: !!set {positive}}]", "positive or negative"),
        ("prompts: [{frame: 0, pixel: [1" + 400 * "0" + ", 2]}]", "int too large"),
        ("prompts: [{frame: 0, pixel: [1.0e+300, 2]}]", "must be finite"),
        ("prompts: [{frame: !!bool maybe, pixel: [1, 2]}]", "does not match its YAML tag"),
        ("prompts: [{frame: !!int '', pixel: [1, 2]}]", "does not match its YAML tag"),
        ("prompts: [{frame: !!timestamp x, pixel: [1, 2]}]", "does not match its YAML tag"),
        (3000 * "[", "nested too deeply"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_prompts(path)
    assert str(path) in str(caught.value)


_FIELDS = {"frame": "0", "pixel": "[1, 2]", "label": "1", "object": "2", "name": "x"}
_TAGS = ["", "!!int ", "!!float ", "!!bool ", "!!binary ", "!!timestamp ", "!!str ", "&b "]
_VALUES = [
    *(
        "0",
        "1",
        "-1",
        "1.5",
        ".nan",
        "1.0e+300",
        "9" * 400,
        "''",
        "x",
        "~",
        "yes",
        "*a",
        "positive",
    ),
    *("[1, 2]", "[x]", "{x: 1}", "!!set {x}", "!!omap [x: 1]", "2001-01-01", "\ud7ff", "[", "\0"),
]


@examples(
    300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it is written anew each time
)
@given(
    st.dictionaries(
        st.sampled_from([*_FIELDS, "stamp", "<<"]),
        st.builds(str.__add__, st.sampled_from(_TAGS), st.sampled_from(_VALUES)),
        max_size=2,
    )
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_mutated_file_is_read_or_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    fields = ", ".join(f"{key}: {value}" for key, value in {**_FIELDS, **changes}.items())
    path = tmp_path / "prompts.yaml"
    path.write_text(f"prompts: [&a {{frame: 0, pixel: [3, 4]}}, {{{fields}}}]")
    try:
        events = read_prompts(path)
    except UserError as error:
        refusal = str(error)
    else:
        assert all(event.requests for event in events)
        return
    assert str(path) in refusal
