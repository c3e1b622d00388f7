"""The node in this process, from state to state; what needs no other process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import camera_process
import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Point
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from scene import THING, plain_scene
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from sam_pt_ros import track_node
from sam_pt_ros.errors import UserError
from sam_pt_ros.messages import KINDS, ResultMessages
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.ros.publishers import Processed, Publishers
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.track_node import TrackNode

OK, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
TIMEOUT = 10.0


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made, domain_id=98)
    yield made
    rclpy.shutdown(context=made)


@pytest.fixture
def node(context: Context) -> Iterator[TrackNode]:
    made = TrackNode(context=context)
    yield made
    made.release()
    made.destroy_node()


def set_parameter(node: TrackNode, name: str, value: Any) -> None:
    (answer,) = node.set_parameters([Parameter(name, value=value)])
    assert answer.successful, answer.reason


def activate(node: TrackNode) -> None:
    assert node.trigger_configure() == OK
    assert node.trigger_activate() == OK


def rest(node: TrackNode) -> None:
    assert node.trigger_deactivate() == OK
    assert node.trigger_cleanup() == OK


# --- configuring again --------------------------------------------------------------------


def test_the_queue_of_images_follows_the_mode(node: TrackNode) -> None:
    def queue() -> int:
        (found,) = [s for s in node.subscriptions if s.topic_name == "/image"]
        return int(found.qos_profile.depth)

    activate(node)
    assert queue() == 5
    rest(node)
    set_parameter(node, "mode", "every_frame")
    set_parameter(node, "queue_size", 500)
    activate(node)
    assert queue() == 500


def test_the_queue_of_images_can_be_overridden(context: Context) -> None:
    prefix = "qos_overrides./image.subscription"
    node = TrackNode(
        context=context,
        parameter_overrides=[
            Parameter(f"{prefix}.depth", value=7),
            Parameter(f"{prefix}.reliability", value="best_effort"),
        ],
    )
    activate(node)
    (found,) = [s for s in node.subscriptions if s.topic_name == "/image"]
    assert found.qos_profile.depth == 7
    assert found.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    node.release()
    node.destroy_node()


def test_a_wrong_configuration_can_be_put_right(node: TrackNode) -> None:
    set_parameter(node, "tracker", "magic")
    assert node.trigger_configure() == FAILURE
    set_parameter(node, "tracker", "lucas_kanade")
    assert node.trigger_configure() == OK


def test_a_node_that_was_disabled_and_cleaned_up_is_enabled_again(node: TrackNode) -> None:
    activate(node)
    node._enable(SetBool.Request(data=False), SetBool.Response())
    rest(node)
    activate(node)
    assert node._enabled.is_set()


def test_nothing_is_left_of_a_node_that_was_cleaned_up(node: TrackNode) -> None:
    def left() -> list[int]:
        kinds = (node.publishers, node.subscriptions, node.services, node.timers)
        return [len(list(kind)) for kind in kinds] + [len(node._managed_entities)]

    before = left()
    for _ in range(2):
        activate(node)
        rest(node)
        assert left() == before


def test_outputs_are_on_before_the_first_image_can_come(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    on: list[bool] = []

    class Input(track_node.ImageInput):
        def __init__(self, *arguments: Any) -> None:
            on.extend(entity.is_activated for entity in node._managed_entities)
            super().__init__(*arguments)

    monkeypatch.setattr(track_node, "ImageInput", Input)
    activate(node)
    assert len(on) >= len(KINDS) and all(on)


# --- services that wait for the pipeline --------------------------------------------------


def test_a_service_whose_turn_does_not_come_is_not_done_later(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_node, "_ANSWER_TIMEOUT", 0.05)
    activate(node)
    go_on, done = threading.Event(), []
    assert node._worker is not None
    node._worker.call(lambda: go_on.wait(TIMEOUT))
    with pytest.raises(UserError, match="busy; nothing was done"):
        node._in_worker(lambda: done.append(1))
    go_on.set()
    assert node._in_worker(lambda: done == [])


def test_a_service_that_takes_long_is_answered_when_it_is_done(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_node, "_ANSWER_TIMEOUT", 0.05)
    activate(node)
    assert node._in_worker(lambda: threading.Event().wait(0.2) or "done") == "done"


# --- outputs ------------------------------------------------------------------------------


class Heard:
    """A publisher that somebody listens to."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def get_subscription_count(self) -> int:
        return 1

    def publish(self, message: Any) -> None:
        self.messages.append(message)


def test_an_output_that_cannot_be_made_costs_no_other(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no such thing")

    node = LifecycleNode("outputs", context=context)
    reporter = Reporter(node)
    errors: list[str] = []
    monkeypatch.setattr(reporter, "error", errors.append)
    outputs = Publishers(node, reporter, "")
    heard = {name: Heard() for name in outputs._publishers}
    monkeypatch.setattr(outputs, "_publishers", heard)
    monkeypatch.setattr(ResultMessages, "objects", fail)
    camera: Any = SimpleNamespace()
    result = TrackResult(0, 1, np.zeros((20, 30), np.uint16), (), {})
    outputs.publish(Processed(result, Header(), np.zeros((20, 30, 3), np.uint8), camera))
    assert {name: len(each.messages) for name, each in heard.items()} == {
        "objects": 0,
        "label_image": 1,
        "masks": 1,
        "tracked_points": 1,
        "overlay": 1,
        "overlay/compressed": 1,
        "object_points": 0,  # without depth
        "markers": 1,
    }
    (error,) = errors
    assert error.startswith("nothing could be published on '~/objects': RuntimeError(")
    node.destroy_node()


# --- late answers -------------------------------------------------------------------------


def test_what_a_windowed_tracker_owes_is_published_on_deactivation(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    given = {
        "tracker": "cotracker",
        "mode": "every_frame",
        "cotracker.mode": "windowed",
        "cotracker.checkpoint": "random",
        "cotracker.allow_random_weights": True,
        "cotracker.device": "cpu",
        "cotracker.iterations": 1,
        "cotracker.model_resolution": [64, 96],
    }
    node = TrackNode(
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
    )
    published: list[tuple[int, int]] = []
    monkeypatch.setattr(
        Publishers,
        "publish",
        lambda _, view: published.append((view.result.index, len(view.result.objects))),
    )
    activate(node)
    scene = plain_scene()
    worker = node._worker
    assert worker is not None
    for index in range(20):
        node._on_image(camera_process.image(scene, index, "rgb8", None))
        if index == 0:
            x, y = scene.inner_point(THING, 0)
            node._require_clicks()._on_clicked_pixel(Point(x=x, y=y))
    worker.call(lambda: None).result(TIMEOUT)
    while len(node._require_pipeline().history) < 20:
        worker.call(lambda: None).result(TIMEOUT)
    assert [index for index, _ in published] == list(range(8))
    assert node.trigger_deactivate() == OK
    assert [index for index, _ in published] == list(range(20))
    assert published[-1] == (19, 1)
    node.release()
    node.destroy_node()
