"""What the node says of itself on /diagnostics."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock

from sam_pt_ros.objects import ObjectState
from sam_pt_ros.pipeline import Counters
from sam_pt_ros.ros.diagnostics import PERIOD, Diagnostics, NodeSnapshot, memory
from sam_pt_ros.ros.health import FrameTimes, Health
from support.rig import TIMEOUT, Rig
from support.scene import OCCLUDER


@pytest.fixture
def listening(make_rig: Callable[..., Rig]) -> Iterator[tuple[Rig, list[Any]]]:
    rig = make_rig("mode:=latest", "reinitialization:=A", "reinitialization_horizon:=4")
    heard: list[Any] = []
    topic = rig.listener.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    yield rig, heard
    rig.destroy(topic)


def wait_for(heard: list[Any], condition: Callable[[dict[str, str]], bool]) -> Any:
    deadline = time.monotonic() + TIMEOUT
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
    seconds = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in heard]
    # A busy machine may take longer, and the one after that comes sooner.
    assert PERIOD == 1.0 and (seconds[-1] - seconds[0]) / (len(seconds) - 1) > 0.5


# --- every number, of a stream that is made up ------------------------------------------------


class HeardNode:
    """Stands in for a node, and keeps what it publishes."""

    def __init__(self) -> None:
        self.messages: list[DiagnosticArray] = []

    def get_fully_qualified_name(self) -> str:
        return "/sam_pt"

    def create_publisher(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(publish=self.messages.append)

    def create_timer(self, *_: Any, **__: Any) -> None:
        """Time is told by hand."""

    def get_clock(self) -> Clock:
        return Clock()


class Camera:
    topic = "/image"
    publishers = ("/camera",)
    misfit = ""
    age = 100.0


class Said:
    """Diagnostics of a stream whose clock is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.health = Health(lambda: self.now)
        self.watched = NodeSnapshot(None, Camera(), {}, {})  # type: ignore[arg-type]
        self.node = HeardNode()
        self._diagnostics = Diagnostics(
            self.node,  # type: ignore[arg-type]
            self.health,
            lambda: self.watched,
            input_timeout=5.0,
        )

    def __call__(self, name: str) -> tuple[Any, str, dict[str, str]]:
        """Level, message and values of a status now."""
        self._diagnostics.publish()
        (status,) = (s for s in self.node.messages[-1].status if s.name.endswith(f": {name}"))
        return status.level, status.message, {each.key: each.value for each in status.values}


@pytest.fixture
def said() -> Said:
    return Said()


def test_every_number_is_that_of_the_stream(said: Said) -> None:
    """25 Hz for 20 s, of which every second image is processed and one in ten is refused."""
    latencies, tracker = [], []
    for index in range(500):
        said.now += 0.04
        said.health.frame_received()
        if index % 10 == 1:
            said.health.frame_refused(f"number {index}")
        elif index % 2 == 0:
            latency, skipped = 20.0 + index % 50, ("refinement",) if index % 4 else ()
            problems = [f"broken in {index}"] if index in (100, 102) else []
            stages = {"tracker": float(index)} if index % 3 else {}
            times = FrameTimes(index, latency, stages=stages, skipped=skipped, dropped=1)
            said.health.frame_published(times, problems)
            if index >= 250:
                latencies.append(latency)
                tracker.append(stages.get("tracker", 0.0))
    assert said("images")[:2] == (DiagnosticStatus.WARN, "50 images could not be used")
    level, message, values = said("images")
    assert (level, message) == (DiagnosticStatus.OK, "12.5 of 25.0 Hz processed")
    assert (values["input_rate"], values["output_rate"]) == ("25.00", "12.50")
    assert [int(values[k]) for k in ("received", "processed", "dropped", "refused")] == [
        500,
        250,
        250,
        50,
    ]
    assert values["last_refusal"] == "number 491"
    level, _, values = said("tracking")
    assert (values["failed"], values["last_error"]) == ("2", "broken in 102")
    assert values["skipped refinement"] == "125"
    level, message, values = said("time")
    ordered = sorted(latencies)
    middle = (ordered[61] + ordered[62]) / 2 if len(ordered) % 2 == 0 else ordered[62]
    assert len(ordered) == 125
    assert values["latency p50 (ms)"] == f"{middle:.1f}"
    assert values["latency max (ms)"] == f"{ordered[-1]:.1f}"
    place = 0.95 * 124
    low = ordered[int(place)]
    p95 = low + (place - int(place)) * (ordered[int(place) + 1] - low)
    assert values["latency p95 (ms)"] == f"{p95:.1f}"
    assert values["tracker (ms)"] == f"{sum(tracker) / 125:.1f}"
    assert int(values["memory (MB)"]) > 10 and level == DiagnosticStatus.OK


def test_a_slow_pipeline_whose_models_fail_is_in_error_in_every_message(said: Said) -> None:
    levels = []
    for tick in range(1, 100):
        said.now += 0.1
        said.health.frame_received()
        if tick % 16 == 0:
            said.health.frame_published(FrameTimes(tick), ["broken"])
        if tick % 10 == 0:
            levels.append(said("tracking")[0])
    assert levels == [DiagnosticStatus.OK] + [DiagnosticStatus.ERROR] * 8
    said.watched = replace(said.watched, image_input=None)
    assert said("tracking")[0] == DiagnosticStatus.WARN, "the one since the last message"
    assert said("tracking")[0] == DiagnosticStatus.OK, "nobody asks the models now"
    said.watched = replace(said.watched, image_input=Camera())  # type: ignore[arg-type]
    said.health.frame_published(FrameTimes(100))
    assert said("tracking")[0] == DiagnosticStatus.OK


def test_models_that_failed_since_the_last_message_are_a_warning(said: Said) -> None:
    for problems in (["broken"], []):
        said.health.frame_published(FrameTimes(0), problems)
    assert said("tracking")[:2] == (DiagnosticStatus.WARN, "1 image failed: broken")
    assert said("tracking")[0] == DiagnosticStatus.OK


def test_images_that_come_to_nothing_are_a_warning(said: Said) -> None:
    for _ in range(61):
        said.health.frame_received()
        said.now += 0.1
    assert said("images")[:2] == (DiagnosticStatus.WARN, "images arrive, but no result for 6 s")
    said.health.frame_published(FrameTimes(0))
    assert said("images")[0] == DiagnosticStatus.OK
    said.now += 5.2
    assert said("images")[:2] == (DiagnosticStatus.STALE, "no image for 5 s")


def test_stamps_that_do_not_tell_images_apart_are_a_warning_as_long_as_they_do_not(
    said: Said,
) -> None:
    said.health.frame_received()
    said.health.stamps_seen("the images carry no stamp")
    for _ in range(2):
        said.health.frame_refused("its stamp is that of the image before")
        assert said("images")[:2] == (DiagnosticStatus.WARN, "the images carry no stamp")
        said.health.frame_received()
    assert said("images")[:2] == (DiagnosticStatus.WARN, "the images carry no stamp")
    said.health.stamps_seen("")
    assert said("images")[0] == DiagnosticStatus.OK


def test_a_topic_of_another_type_is_named_where_no_image_comes(said: Said) -> None:
    class Misfit(Camera):
        misfit = "/image is published as another type"

    said.watched = replace(said.watched, image_input=Misfit())  # type: ignore[arg-type]
    assert said("images")[:2] == (DiagnosticStatus.STALE, "/image is published as another type")


def test_objects_that_were_forgotten_are_not_counted_until_the_next_image(said: Said) -> None:
    pipeline: Any = SimpleNamespace(object_ids=[1, 2], counters=Counters(restarts=3))
    states = {1: ObjectState.TRACKING, 2: ObjectState.LOST}
    said.watched = replace(said.watched, pipeline=pipeline, states=states)
    level, message, values = said("tracking")
    assert (level, message, values["objects"]) == (DiagnosticStatus.OK, "2 objects", "2")
    assert (values["objects tracking"], values["objects lost"]) == ("1", "1")
    assert values["points sampled anew"] == "3"
    pipeline.object_ids = []  # by ~/reset
    _, message, values = said("tracking")
    assert (message, values["objects"]) == ("0 objects", "0")
    assert (values["objects tracking"], values["objects lost"]) == ("0", "0")


def test_a_latency_that_is_not_known_is_not_taken_for_no_images(said: Said) -> None:
    assert said("time")[1] == "no images"
    said.health.frame_published(FrameTimes(0, stages={"tracker": 2.0}))
    _, message, values = said("time")
    assert message.startswith("latency unknown: stamps are of another clock")
    assert values["tracker (ms)"] == "2.0" and "latency p50 (ms)" not in values
    said.now += 20
    assert said("time")[1] == "no images"


def test_memory_is_that_of_the_gpu_that_models_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 3,
        memory_allocated=lambda i=0: [0, 70_000_000, 30_000_000][i],
        get_device_name=lambda i=0: f"GPU {i}",
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    found = memory()
    assert (found["device"], found["GPU memory (MB)"]) == ("GPU 1, GPU 2", "100")
