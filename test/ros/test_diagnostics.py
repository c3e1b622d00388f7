"""What the node says of itself on /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rig import Rig
from scene import OCCLUDER


@pytest.fixture
def listening(make_rig: Callable[..., Rig]) -> Iterator[tuple[Rig, list[Any]]]:
    rig = make_rig("mode:=latest", "reinitialization:=A", "reinitialization_horizon:=4")
    heard: list[Any] = []
    topic = rig.listener.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    yield rig, heard
    rig.destroy(topic)


def wait_for(heard: list[Any], condition: Callable[[dict[str, str]], bool]) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for message in list(heard):
            if condition(values_of(message)):
                return message
        time.sleep(0.05)
    pytest.fail(f"not said in {len(heard)} messages: {heard[-1:]}")


def values_of(message: Any) -> dict[str, str]:
    """All that the statuses of a message say."""
    return {each.key: each.value for status in message.status for each in status.values}


def test_counters_are_published_whether_images_come_or_not(
    listening: tuple[Rig, list[Any]],
) -> None:
    rig, heard = listening
    message = wait_for(heard, lambda values: "topic" in values)
    images, tracking, times = message.status
    assert [s.name for s in message.status] == [
        "sam_pt: images",
        "sam_pt: tracking",
        "sam_pt: time",
    ]
    assert {s.hardware_id for s in message.status} == {"/sam_pt"}
    assert tracking.level == DiagnosticStatus.OK and times.level == DiagnosticStatus.OK
    assert message.header.stamp.sec > 0
    assert {each.key: each.value for each in images.values}["topic"] == "/image"
    values = {each.key: each.value for each in tracking.values}
    assert values == {
        "tracker": "lucas_kanade",
        "segmenter": "classical",
        "objects": "0",
        "objects tracking": "0",
        "objects occluded": "0",
        "objects lost": "0",
        "points sampled anew": "0",
        "points sampled anew over budget": "0",
        "times lost": "0",
        "failed": "0",
        "last_error": "",
    }
    rig.play(0)
    rig.points(rig.on(OCCLUDER, 0), index=0)
    for index in range(1, 8):
        rig.play(index)
    wait_for(heard, lambda v: v["objects"] == "1" and int(v["points sampled anew"]) >= 1)
    first, second = heard[-2:]
    seconds = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in (first, second)]
    assert 0.5 < seconds[1] - seconds[0] < 2.0
