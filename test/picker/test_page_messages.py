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
from sam_pt_ros.picker.tracker_interface import Gesture, ObjectView, PickerClick, Picture

STAMP = [1_700_000_000, 40]
CLICK = {"stamp": STAMP, "x": 3, "y": 4.5}
LINE = {"stamp": STAMP, "points": [[0, 0]] * 8}


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
        (
            {"type": "add_box", "request": 8, "stamp": STAMP, "box": [1, 2, 1, 9]},
            Command(8, "add_box", gesture=Gesture(tuple(STAMP), box=(1, 2, 1, 9))),
        ),
        (
            {"type": "add_line", "request": 8, "stamp": STAMP, "points": [[1, 2.5]]},
            Command(8, "add_line", gesture=Gesture(tuple(STAMP), ((1.0, 2.5),))),
        ),
        (
            {"type": "add_points", "request": 8, **LINE, "object": 3, "positive": False},
            Command(8, "add_points", None, 3, False, Gesture(tuple(STAMP), ((0.0, 0.0),) * 8)),
        ),
        (
            {"type": "suggest", "request": 9, **CLICK, "width": 640, "height": 480},
            Command(9, "suggest", click, image_size=(480, 640)),
        ),
        (
            {"type": "take", "request": 9, "suggestion": 8, "candidate": 2},
            Command(9, "take", suggestion=8, candidate=2),
        ),
        (
            {"type": "another", "request": 9, "object": 3, "width": 640, "height": 480},
            Command(9, "another", None, 3, image_size=(480, 640)),
        ),
        ({"type": "undo", "request": 9, "object": 3}, Command(9, "undo", None, 3)),
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
    "a field too many": '{"type": "reset", "request": 1, "more": 1}',
    "a field of another command": '{"type": "undo", "request": 1, "object": 1, "on": true}',
    "more than drawn": '{"type": "drawn", "request": 1}',
    **{
        f"box {box}": f'{{"type": "add_box", "request": 1, "stamp": [1, 2], "box": {box}}}'
        for box in (
            "null",
            "[1, 2, 3]",
            "[1, 2, 3, 4, 5]",
            "[3, 1, 2, 5]",
            "[1, 5, 2, 3]",
            "[-1, 0, 3, 4]",
            "[0.5, 0, 3, 4]",
            "[0, 0, 3, 70000]",
            "[NaN, 0, 3, 4]",
        )
    },
    **{
        f"points {line}": '{"type": "add_line", "request": 1, "stamp": [1, 2], '
        f'"points": {line}}}'
        for line in (
            "null",
            "[]",
            "[1, 2]",
            "[[1]]",
            "[[1, 2, 3]]",
            "[[1, NaN]]",
            "[[1, -2]]",
            "[[1, true]]",
            str([[0, 0]] * 9),
        )
    },
    **{
        f"size {w}x{h}": '{"type": "another", "request": 1, "object": 1, '
        f'"width": {w}, "height": {h}}}'
        for w, h in ((0, 1), (1, 1.5), (70000, 1), (20000, 20000), ("null", 1), ("NaN", 1))
    },
    "candidate -1": '{"type": "take", "request": 1, "suggestion": 1, "candidate": -1}',
    "candidate 256": '{"type": "take", "request": 1, "suggestion": 1, "candidate": 256}',
    "suggestion 1.0": '{"type": "take", "request": 1, "suggestion": 1.0, "candidate": 0}',
    "undo of no object": '{"type": "undo", "request": 1}',
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
    st.sampled_from(["drawn", *page_messages._FIELDS]),
    st.dictionaries(
        st.sampled_from(["request", *sorted(set().union(*page_messages._FIELDS.values()))]), _JSON
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
