"""The node in this process, from state to state; what needs no other process."""

from __future__ import annotations

import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam_pt_ros.configuration import Configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.messages import KINDS, ResultMessages, stamp_of
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.ros import diagnostics, live_stream, services, tracking_session
from sam_pt_ros.ros import node as node_module
from sam_pt_ros.ros.canvas_publisher import CanvasPublisher
from sam_pt_ros.ros.diagnostics import Diagnostics
from sam_pt_ros.ros.live_stream import LiveStream
from sam_pt_ros.ros.namesakes import warn_of_namesakes
from sam_pt_ros.ros.node import TrackNode
from sam_pt_ros.ros.publishers import Processed, Publishers
from sam_pt_ros.ros.reporter import Reporter
from support import camera_process
from support.scene import THING, plain_scene

OK, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
TIMEOUT = 60.0


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


def running(node: TrackNode) -> LiveStream:
    """What an active node runs."""
    stream = node.session.stream
    assert stream is not None
    return stream


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


def test_the_quality_of_service_of_every_topic_can_be_overridden(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = ("/parameter_events",)
    made = TrackNode(context=context)
    activate(made)
    ours = [("subscription", t) for t in made.subscriptions]
    ours += [("publisher", t) for t in made.publishers if t.topic_name not in fixed]
    names = [f"{topic.topic_name}.{kind}" for kind, topic in ours]
    made.release()
    made.destroy_node()
    assert "/depth.subscription" in names and "/sam_pt/canvas.publisher" in names, names

    given = {
        f"qos_overrides.{name}.{policy}": value
        for name in names
        for policy, value in (("depth", 7), ("reliability", "best_effort"))
    }
    made = TrackNode(
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
    )
    warnings: list[str] = []
    monkeypatch.setattr(made.get_logger(), "warning", warnings.append)
    activate(made)
    for topic in (*made.publishers, *made.subscriptions):
        if topic.topic_name not in fixed:
            profile = topic.qos_profile
            found = profile.depth, profile.reliability
            assert found == (7, ReliabilityPolicy.BEST_EFFORT), topic.topic_name
    assert not [line for line in warnings if "qos_overrides" in line]
    made.release()
    made.destroy_node()


def test_an_override_for_a_topic_that_is_not_there_is_named(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "qos_overrides./imgae.subscription.reliability"
    node = TrackNode(context=context, parameter_overrides=[Parameter(name, value="best_effort")])
    warnings: list[str] = []
    monkeypatch.setattr(node.get_logger(), "warning", warnings.append)
    activate(node)
    assert f"'{name}' has no effect: the node has no such topic" in warnings
    node.release()
    node.destroy_node()


def test_a_wrong_configuration_can_be_put_right(node: TrackNode) -> None:
    set_parameter(node, "tracker", "magic")
    assert node.trigger_configure() == FAILURE
    set_parameter(node, "tracker", "lucas_kanade")
    assert node.trigger_configure() == OK


def test_a_node_that_was_disabled_and_cleaned_up_is_enabled_again(node: TrackNode) -> None:
    activate(node)
    node.session.enable(False)
    rest(node)
    activate(node)
    assert node.session.enabled.is_set()


def test_nothing_is_left_of_a_node_that_was_cleaned_up(node: TrackNode) -> None:
    def left() -> list[int]:
        kinds = (node.publishers, node.subscriptions, node.services, node.timers)
        return [len(list(kind)) for kind in kinds] + [len(node._managed_entities)]

    before = left()
    for _ in range(2):
        activate(node)
        rest(node)
        assert left() == before


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target_frame": "map"}, "'target_frame' needs tf2_ros, which cannot be used"),
        ({"tracker": "cotracker"}, "checkpoint|PyTorch"),
        ({"segmenter": "magic"}, "magic"),
        ({"tracker": "tapnet"}, "'tapnet' answers at the end of a clip and is for recordings"),
    ],
    ids=["without tf2_ros", "checkpoint", "segmenter", "recordings only"],
)
def test_nothing_is_left_of_a_configuration_that_failed(
    context: Context, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], says: str
) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)  # as if it were not installed
    checkpoint = Parameter("cotracker.checkpoint", value="nowhere")
    node = TrackNode(context=context, parameter_overrides=[checkpoint])
    errors: list[str] = []
    monkeypatch.setattr(node.get_logger(), "error", errors.append)
    good = {name: node.get_parameter(name).value for name in wrong}

    def offered() -> list[list[str]]:
        return [
            sorted(topic.topic_name for topic in (*node.publishers, *node.subscriptions)),
            sorted(service.srv_name for service in node.services),
            [str(timer.timer_period_ns) for timer in node.timers],
            ["entity"] * len(node._managed_entities),
        ]

    before = offered()
    assert node.trigger_configure() == OK
    configured = offered()
    assert node.trigger_cleanup() == OK
    assert offered() == before
    for name, value in wrong.items():
        set_parameter(node, name, value)
    for _ in range(2):
        assert node.trigger_configure() == FAILURE
        assert offered() == before
    assert len(errors) == 2 and all(re.search(says, error) for error in errors), errors
    for name, value in good.items():
        set_parameter(node, name, value)
    assert node.trigger_configure() == OK
    assert offered() == configured
    assert node.trigger_activate() == OK
    node.release()
    node.destroy_node()


def test_outputs_are_on_before_the_first_image_can_come(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    on: list[bool] = []

    class Input(live_stream.ImageInput):
        def __init__(self, *arguments: Any) -> None:
            on.extend(entity.is_activated for entity in node._managed_entities)
            super().__init__(*arguments)

    monkeypatch.setattr(live_stream, "ImageInput", Input)
    activate(node)
    assert len(on) >= len(KINDS) and all(on)


FAILING = [("create_lifecycle_publisher", n) for n in (1, 4, 9)] + [
    ("create_subscription", n) for n in (1, 3, 5, 6)
]


def test_nothing_is_left_of_a_transition_that_failed_halfway(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_session, "warm_up", lambda pipeline: None)

    def left() -> list[int]:
        kinds = (node.publishers, node.subscriptions, node.services, node.timers, node.guards)
        return [len(list(kind)) for kind in kinds] + [len(node._managed_entities)]

    before = left()
    for method, number in FAILING:
        made = itertools.count(1)

        def fail(*arguments: Any, **options: Any) -> Any:
            if next(made) == number:  # noqa: B023
                raise RuntimeError("failed on purpose")
            return getattr(LifecycleNode, method)(node, *arguments, **options)  # noqa: B023

        errors: list[str] = []
        with monkeypatch.context() as patched:
            patched.setattr(node, method, fail)
            patched.setattr(node._reporter, "error", errors.append)
            configured = node.trigger_configure() == OK
            assert configured == (method == "create_subscription")
            assert not configured or node.trigger_activate() == ERROR
        what = "activated" if configured else "configured"
        (error,) = errors
        assert re.match(f"the node cannot be {what}: .*failed on purpose", error)
        assert left() == before, (method, number)
        assert "pipeline" not in {thread.name for thread in threading.enumerate()}
    activate(node)
    rest(node)
    assert left() == before


def test_a_gpu_that_is_out_of_order_does_not_keep_the_node_from_a_clean_state(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    errors: list[str] = []
    monkeypatch.setattr(node._reporter, "error", errors.append)
    assert node.trigger_configure() == OK
    with monkeypatch.context() as patched:
        patched.setattr(node_module, "free_memory", fail)
        assert node.trigger_cleanup() == OK
    (error,) = errors
    assert error.startswith("memory cannot be freed: RuntimeError('CUDA error")
    assert node.trigger_configure() == OK


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active"])
def test_the_node_can_be_shut_down_in_any_state(node: TrackNode, state: str) -> None:
    before = [len(list(kind)) for kind in (node.publishers, node.subscriptions, node.timers)]
    if state != "unconfigured":
        assert node.trigger_configure() == OK
    if state == "active":
        assert node.trigger_activate() == OK
    assert node.trigger_shutdown() == OK
    assert node._state_machine.current_state[1] == "finalized"
    left = [len(list(kind)) for kind in (node.publishers, node.subscriptions, node.timers)]
    assert left == before
    assert node._session is None


def test_what_takes_long_is_said_again_and_again(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    again, create = threading.Event(), Configuration.create

    def say(_: Diagnostics, what: str) -> None:
        said.append(what)
        if said.count(what) >= 3:
            again.set()

    def create_slowly(configuration: Configuration) -> Any:
        assert again.wait(TIMEOUT)
        return create(configuration)

    monkeypatch.setattr(diagnostics, "PERIOD", 0.01)
    monkeypatch.setattr(Diagnostics, "publish_activity", say)
    monkeypatch.setattr(Configuration, "create", create_slowly)
    assert node.trigger_configure() == OK
    assert said[:3] == ["loading lucas_kanade and classical"] * 3 and "warming up" in said
    number = len(said)
    threading.Event().wait(0.05)
    assert len(said) == number  # it is done


def test_who_deactivates_does_not_wait_for_a_pipeline_that_is_stopped(node: TrackNode) -> None:
    activate(node)
    worker = running(node).worker
    go_on, held = threading.Event(), threading.Event()
    worker.call(lambda: (held.set(), go_on.wait(TIMEOUT)))
    assert held.wait(TIMEOUT)
    deactivating = threading.Thread(target=node.trigger_deactivate, daemon=True)
    deactivating.start()
    while not worker._calls:
        threading.Event().wait(0.001)
    threading.Event().wait(0.05)  # now it waits
    assert not node.stop_pipeline(0.01)  # as a signal does
    go_on.set()
    deactivating.join(TIMEOUT)
    assert not deactivating.is_alive()


# --- pauses -------------------------------------------------------------------------------


def process(node: TrackNode, *images: Image) -> None:
    """Hand images to an active node one by one, and wait until each has been processed."""
    stream = running(node)
    for image in images:
        done = threading.Event()
        take = stream.worker._process

        def taken(*arguments: Any, take: Any = take, done: threading.Event = done) -> None:
            take(*arguments)
            done.set()

        stream.worker._process = taken
        stream.receive(image)
        assert done.wait(TIMEOUT)
        stream.worker._process = take


def image_at(index: int, content: int) -> Image:
    """An image with the stamp of one frame and the pixels of another."""
    return camera_process.image(plain_scene(), index, "rgb8", None, content)


@pytest.mark.parametrize("pause", ["disabled", "deactivated", "disabled while deactivated"])
def test_objects_outlive_a_pause_of_the_node_s_own_making_however_long(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch, pause: str
) -> None:
    results: list[TrackResult] = []
    monkeypatch.setattr(Publishers, "publish", lambda _, view: results.append(view.result))
    activate(node)
    process(node, image_at(0, 0))
    x, y = plain_scene().inner_point(THING, 0)
    running(node).clicks._on_clicked_pixel(Point(x=x, y=y))
    process(node, image_at(1, 1))
    if pause.startswith("disabled"):
        node.session.enable(False)
    if pause.endswith("deactivated"):
        assert node.trigger_deactivate() == OK
        assert node.trigger_activate() == OK
    if pause.startswith("disabled"):
        running(node).receive(image_at(2, 2))  # which is ignored
        node.session.enable(True)
    process(node, image_at(5000, 2))  # 200 s later, and max_gap is 60 s
    assert [[item.object_id for item in result.objects] for result in results] == [[], [1], [1]]
    assert results[-1].stamp == plain_scene().stamp(5000)
    # The next gap is the camera's.
    process(node, image_at(10_000, 3))
    assert len(results) == 3


def test_who_enables_what_is_enabled_forgives_no_gap(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[TrackResult] = []
    monkeypatch.setattr(Publishers, "publish", lambda _, view: results.append(view.result))
    activate(node)
    process(node, image_at(0, 0))
    node.session.enable(True)
    process(node, image_at(5000, 2))
    assert len(results) == 1


def test_what_is_removed_or_forgotten_cannot_be_clicked_on(node: TrackNode) -> None:
    activate(node)
    x, y = plain_scene().inner_point(THING, 0)
    pixel = np.array([x, y])

    def seen() -> int | None:
        return running(node).worker.call(lambda: masks.object_at(pixel, None)).result(TIMEOUT)

    masks = node.session._masks
    for removes in (True, False):
        process(node, image_at(0, 0))
        running(node).clicks._on_clicked_pixel(Point(x=x, y=y))
        process(node, image_at(1, 0))
        assert seen() is not None
        forget = (lambda: node.session.remove_object(1)) if removes else node.session.forget
        running(node).worker.call(forget).result(TIMEOUT)
        assert seen() is None
        running(node).worker.call(node.session.forget).result(TIMEOUT)


# --- services that wait for the pipeline --------------------------------------------------

_SERVICES = 6  # add_objects, suggest_masks, undo, remove_object, reset and enable


def served(node: TrackNode, function: Callable[[], Any]) -> Any:
    """What a service's callback is given, run as a service is."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    task = executor.create_task(node.session.services.in_worker, function)
    executor.spin_until_future_complete(task, TIMEOUT)
    executor.remove_node(node)
    executor.shutdown()
    return task.result()


def test_a_service_whose_turn_does_not_come_is_not_done_later(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_ANSWER_TIMEOUT", 0.05)
    activate(node)
    go_on, done = threading.Event(), []
    running(node).worker.call(lambda: go_on.wait(TIMEOUT))
    with pytest.raises(UserError, match="busy; nothing was done"):
        served(node, lambda: done.append(1))
    go_on.set()
    assert served(node, lambda: done == [])


def test_a_service_that_takes_long_is_answered_when_it_is_done(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_ANSWER_TIMEOUT", 0.05)
    activate(node)
    assert served(node, lambda: threading.Event().wait(0.2) or "done") == "done"


def test_a_service_that_is_answered_after_the_cleanup_is_offered_no_more(node: TrackNode) -> None:
    """What has woken the executor up may be used up by the time that the answer is given."""
    activate(node)
    offered = node.session.services
    before = len(list(node.services))
    waits = offered.in_worker(lambda: "done")
    waits.send(None)
    running(node).worker.call(lambda: None).result(TIMEOUT)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:  # it finds nothing to be done
        executor.spin_once(timeout_sec=0.05)
    rest(node)
    with pytest.raises(StopIteration):
        waits.send(None)
    deadline = time.monotonic() + TIMEOUT
    while len(list(node.services)) > before - _SERVICES and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(node)
    executor.shutdown()
    assert len(list(node.services)) == before - _SERVICES


def test_two_nodes_of_one_name_are_noticed(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ["--ros-args", "-r", "__node:=twin"]
    node = TrackNode(context=context, cli_args=named)
    warnings: list[str] = []
    monkeypatch.setattr(node._reporter, "warning", lambda text, repetition: warnings.append(text))
    warn_of_namesakes(node, node._reporter)
    assert warnings == []
    other = LifecycleNode("twin", context=context)
    deadline = time.monotonic() + TIMEOUT
    while not warnings and time.monotonic() < deadline:
        time.sleep(0.02)
        warn_of_namesakes(node, node._reporter)
    assert warnings[0].startswith("2 nodes are named /twin: each obeys the other's requests, and")
    for made in (node, other):
        made.destroy_node()


def test_clicks_do_not_pile_up_where_a_model_hangs(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    activate(node)
    monkeypatch.setattr(node._reporter, "warning", warnings.append)
    worker, clicks = running(node).worker, running(node).clicks
    go_on, held = threading.Event(), threading.Event()
    worker.call(lambda: (held.set(), go_on.wait(TIMEOUT)))
    assert held.wait(TIMEOUT)
    for _ in range(150):
        clicks._on_clicked_pixel(Point(x=1.0, y=1.0))
    assert worker.waiting == 100
    refused = "click on 'clicked_pixel' refused: 100 requests wait for the pipeline"
    assert warnings == [refused] * 50
    go_on.set()


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
    camera = CameraModel(np.eye(3), np.zeros(0), False, (20, 30))
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
    assert error.startswith("publishing on '~/objects' failed: RuntimeError(")
    node.destroy_node()


@pytest.mark.parametrize("size", [None, (40, 60)])
def test_markers_without_a_camera_info_that_fits_are_refused_and_that_is_said(
    context: Context, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] | None
) -> None:
    node = LifecycleNode("outputs", context=context)
    reporter = Reporter(node)
    warnings: list[str] = []
    monkeypatch.setattr(reporter, "warning", lambda text, repetition: warnings.append(text))
    outputs = Publishers(node, reporter, "")
    heard = {name: Heard() for name in outputs._publishers}
    monkeypatch.setattr(outputs, "_publishers", heard)
    why = "the camera is not calibrated"
    camera = why if size is None else CameraModel(np.eye(3), np.zeros(0), False, size)
    result = TrackResult(0, 1, np.zeros((20, 30), np.uint16), (), {})
    outputs.publish(Processed(result, Header(), np.zeros((20, 30, 3), np.uint8), camera))
    assert [name for name, each in heard.items() if not each.messages] == [
        "object_points",
        "markers",
    ]
    (warning,) = warnings
    assert warning.startswith("not publishing '~/markers': ")
    assert (why if size is None else "60x40 pixels") in warning
    node.destroy_node()


class Broken(Heard):
    """A publisher that raises."""

    def __init__(self, method: str) -> None:
        super().__init__()
        setattr(self, method, self._raise)

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("broken on purpose")


class BrokenCanvas(CanvasPublisher):
    """Raises when it is to show something."""

    def show(self, *_: Any) -> None:
        raise RuntimeError("broken on purpose")


@pytest.mark.parametrize("broken", ["canvas", "count", "publish", "performance"])
def test_what_raises_while_an_image_is_published_costs_neither_that_nor_the_next(
    node: TrackNode, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "canvas":
        monkeypatch.setattr(tracking_session, "CanvasPublisher", BrokenCanvas)
    activate(node)
    stream, publishers = running(node), node.session.publishers
    errors: list[str] = []
    monkeypatch.setattr(node._reporter, "error", errors.append)
    heard: dict[str, Any] = {name: Heard() for name in publishers._publishers}
    if broken in ("count", "publish"):
        method = {"count": "get_subscription_count", "publish": "publish"}[broken]
        heard["label_image"] = Broken(method)
    if broken == "performance":
        monkeypatch.setattr(publishers, "_performance", Broken("publish"))
    monkeypatch.setattr(publishers, "_publishers", heard)
    scene = plain_scene()
    for index in range(3):
        stream.receive(camera_process.image(scene, index, "rgb8", None))
        while len(node.session.pipeline.history) <= index:
            stream.worker.call(lambda: None).result(TIMEOUT)
        stream.worker.call(lambda: None).result(TIMEOUT)
    stamps = [stamp_of(message.header) for message in heard["objects"].messages]
    assert stamps == [scene.stamp(index) for index in range(3)]
    assert node.session.outputs.shown == scene.stamp(2)  # what comes after it was done as well
    assert len(errors) == 3 and all("broken on purpose" in error for error in errors)


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
    stream = running(node)
    worker = stream.worker
    for index in range(20):
        stream.receive(camera_process.image(scene, index, "rgb8", None))
        if index == 0:
            x, y = scene.inner_point(THING, 0)
            stream.clicks._on_clicked_pixel(Point(x=x, y=y))
    worker.call(lambda: None).result(TIMEOUT)
    while len(node.session.pipeline.history) < 20:
        worker.call(lambda: None).result(TIMEOUT)
    assert [index for index, _ in published] == list(range(8))
    assert node.trigger_deactivate() == OK
    assert [index for index, _ in published] == list(range(20))
    assert published[-1] == (19, 1)
    node.release()
    node.destroy_node()
