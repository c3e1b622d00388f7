"""What the page says, and how it is understood."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.picker import page_messages
from sam_pt_ros.picker.page_messages import Command, Drawn, ProtocolError, parse
from sam_pt_ros.picker.tracker_interface import ObjectView, PickerClick, Picture

CLICK = {"stamp": [1_700_000_000, 40], "x": 3, "y": 4.5}


def test_every_command_is_understood() -> None:
    click = PickerClick((1_700_000_000, 40), 3.0, 4.5)
    for said, meant in [
        ({"type": "drawn"}, Drawn()),
        ({"type": "add_object", "request": 1, **CLICK}, Command(1, "add_object", click)),
        (
            {"type": "add_point", "request": 2, **CLICK, "object": 7, "positive": False},
            Command(2, "add_point", click, 7, False),
        ),
        ({"type": "remove", "request": 3, "object": 7}, Command(3, "remove", None, 7)),
        ({"type": "reset", "request": 4}, Command(4, "reset")),
        ({"type": "enable", "request": 5, "on": False}, Command(5, "enable", None, 0, False)),
    ]:
        assert parse(json.dumps(said)) == meant


MALFORMED = {
    "nothing": "",
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": "[]",
    "no type": "{}",
    "an unknown type": '{"type": "shutdown", "request": 1}',
    "a type that is a list": '{"type": [], "request": 1}',
    "no request": '{"type": "reset"}',
    "request true": '{"type": "reset", "request": true}',
    "a large request": '{"type": "reset", "request": 1e400}',
    "no stamp": '{"type": "add_object", "request": 1, "x": 1, "y": 1}',
    "half a stamp": '{"type": "add_object", "request": 1, "x": 1, "y": 1, "stamp": [1]}',
    "a stamp of text": '{"type": "add_object", "request": 1, "x": 1, "y": 1, "stamp": ["1", 2]}',
    "late stamp": '{"type": "add_object", "request": 1, "x": 1, "y": 1, "stamp": [2147483648, 0]}',
    "x NaN": '{"type": "add_object", "request": 1, "x": NaN, "y": 1, "stamp": [1, 2]}',
    "x Infinity": '{"type": "add_object", "request": 1, "x": Infinity, "y": 1, "stamp": [1, 2]}',
    "x far out": '{"type": "add_object", "request": 1, "x": 1e9, "y": 1, "stamp": [1, 2]}',
    "y left out": '{"type": "add_object", "request": 1, "x": 1, "stamp": [1, 2]}',
    "y true": '{"type": "add_object", "request": 1, "x": 1, "y": true, "stamp": [1, 2]}',
    "object 0": '{"type": "remove", "request": 1, "object": 0}',
    "object 65536": '{"type": "remove", "request": 1, "object": 65536}',
    "on 1": '{"type": "enable", "request": 1, "on": 1}',
    "no sign": '{"type": "add_point", "request": 1, "object": 1, "x": 1, "y": 1, "stamp": [1, 2]}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError):
        parse(MALFORMED[name])


_JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.integers() | st.none(), max_size=3)
)


@given(
    st.sampled_from(["drawn", "add_object", "add_point", "remove", "reset", "enable"]),
    st.dictionaries(
        st.sampled_from(["request", "stamp", "x", "y", "object", "positive", "on"]), _JSON
    ),
)
def test_nothing_that_a_page_may_say_is_more_than_an_error(kind: str, rest: Any) -> None:
    with contextlib.suppress(ProtocolError):
        parse(json.dumps({**rest, "type": kind}))


def test_a_picture_carries_its_stamp_and_its_age() -> None:
    message = page_messages.picture_message(Picture((1_700_000_000, 999_999_999), 0.25, b"JPEG"))
    assert page_messages.PICTURE_HEADER.unpack(message[:16]) == (1_700_000_000, 999_999_999, 0.25)
    assert message[16:] == b"JPEG"


def test_objects_have_the_colours_that_they_have_in_the_picture() -> None:
    item = ObjectView(1, "ball", "tracking", float("nan"), 3, 4, 1.5)
    (described,) = json.loads(page_messages.objects_message([item]))["objects"]
    assert described == {
        "id": 1,
        "label": "ball",
        "state": "tracking",
        "score": 0.0,
        "points": [3, 4],
        "distance": 1.5,
        "colour": "#e69f00",
    }
