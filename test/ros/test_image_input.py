"""Subscriptions to images: whose publishers count, and what is said where none is heard."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.image_input import ImageInput
from support.spinning import Logged, spin_until

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def make_input(context: Context, monkeypatch: pytest.MonkeyPatch) -> Any:
    made: list[tuple[Node, ImageInput]] = []

    def make(*remappings: str, **options: Any) -> tuple[Node, ImageInput, Logged]:
        arguments = [each for remapping in remappings for each in ("-r", remapping)]
        node = Node("sam_pt", context=context, cli_args=["--ros-args", *arguments])
        logged = Logged()
        monkeypatch.setattr(node, "get_logger", lambda: logged)
        image_input = ImageInput(node, NodeOptions(**options), lambda message: None)
        made.append((node, image_input))
        return node, image_input, logged

    yield make
    for node, image_input in made:
        image_input.destroy()
        node.destroy_node()


def test_publishers_of_other_types_count_for_nothing(
    make_input: Any, make_other: Callable[[str], Node]
) -> None:
    node, images, logged = make_input(input_timeout=0.3)
    for name in ("one", "two"):
        make_other(name).create_publisher(CompressedImage, "/image", BEST_EFFORT)
    spin_until(node, lambda: "/one, /two, but 'image' takes" in images.misfit, "both")
    assert images.publishers == [] and not images.has_publishers
    spin_until(node, lambda: images._silent, "the timeout")
    assert logged.warnings == [] and logged.infos == []
    assert images._reliability == ReliabilityPolicy.RELIABLE
    make_other("camera").create_publisher(Image, "/image", BEST_EFFORT)
    spin_until(node, lambda: logged.infos, "the camera")
    assert logged.infos == ["requesting BEST_EFFORT images on /image, as they are offered"]
    spin_until(node, lambda: images.publishers == ["/camera"], "its name")
    assert images.misfit == ""
    assert logged.warnings == []


@pytest.mark.parametrize("named", [True, False])
def test_a_mismatch_is_reported_once_discovery_has_named_the_publisher_or_never_will(
    make_input: Any, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    node, images, logged = make_input(input_timeout=0.0)
    monkeypatch.setattr(images, "_overridden", [QoSPolicyKind.RELIABILITY])
    now = [1000.0]
    monkeypatch.setattr("sam_pt_ros.ros.image_input.time.monotonic", lambda: now[0])
    camera = SimpleNamespace(
        topic_type="sensor_msgs/msg/Image",
        node_name="_NODE_NAME_UNKNOWN_",
        node_namespace="/",
        qos_profile=BEST_EFFORT,
    )
    monkeypatch.setattr(node, "get_publishers_info_by_topic", lambda topic: [camera])
    images._on_incompatible(None)
    now[0] += 2.9
    images._check()
    assert logged.warnings == []
    camera.node_name = "camera" if named else camera.node_name
    now[0] += 0.0 if named else 0.2
    for _ in range(2):
        images._check()
    (warning,) = logged.warnings
    assert warning.startswith(
        f"QoS mismatch on /image: requested RELIABLE, offered BEST_EFFORT by {camera.node_name}; "
    )


@pytest.mark.parametrize("on_arrival", [False, True])
def test_images_get_the_time_of_their_arrival_where_that_is_wanted(
    make_input: Any, make_other: Callable[[str], Node], on_arrival: bool
) -> None:
    node, images, _ = make_input(stamp_on_arrival=on_arrival)
    heard: list[Image] = []
    images._callback = heard.append
    publisher = make_other("camera").create_publisher(Image, "/image", 10)
    sent = Image(encoding="mono8")
    sent.header.frame_id = "camera"
    begin = node.get_clock().now().nanoseconds

    def enough() -> bool:
        publisher.publish(sent)
        return len(heard) >= 2

    spin_until(node, enough, "two images")
    end = node.get_clock().now().nanoseconds
    stamps = [m.header.stamp.sec * 1_000_000_000 + m.header.stamp.nanosec for m in heard]
    assert {m.header.frame_id for m in heard} == {"camera"}
    if on_arrival:
        assert begin < stamps[0] < stamps[1] <= end
    else:
        assert stamps[:2] == [0, 0]


@pytest.mark.parametrize(
    ("transport", "remapping", "says"),
    [
        ("raw", "other:=/elsewhere", ""),
        ("compressed", "other:=/elsewhere", ""),
        ("raw", "image:=/camera/image_raw", ""),
        ("raw", "image/compressed:=/camera/c", "raw remap 'image', not 'image/compressed'"),
        ("compressed", "image:=/camera/c", "compressed remap 'image/compressed', not 'image'"),
    ],
)
def test_a_remapping_of_the_topic_of_the_other_transport_is_noticed(
    make_input: Any, transport: str, remapping: str, says: str
) -> None:
    node, images, logged = make_input(remapping, image_transport=transport, input_timeout=0.1)
    spin_until(node, lambda: logged.warnings, "the timeout")
    (warning,) = logged.warnings
    assert warning.startswith(f"no image on {images.topic} for ")
    hint = f". With image_transport {says}" if says else ""
    assert warning.endswith(f" s; it has no publisher{hint}")


@pytest.mark.parametrize(
    ("options", "published", "kind", "words"),
    [
        (
            {},
            "/image/compressed",
            CompressedImage,
            "it has no publisher, but /image/compressed has: set the parameter image_transport to "
            "compressed (track.launch.py: image_transport:=compressed)",
        ),
        (
            {"image_transport": "compressed"},
            "/image",
            Image,
            "it has no publisher, but /image has: set the parameter image_transport to raw "
            "(track.launch.py: image_transport:=raw)",
        ),
    ],
)
def test_images_of_the_other_transport_are_named(
    make_input: Any,
    make_other: Callable[[str], Node],
    options: dict[str, Any],
    published: str,
    kind: Any,
    words: str,
) -> None:
    node, images, logged = make_input(input_timeout=0.0, **options)
    make_other("camera").create_publisher(kind, published, BEST_EFFORT)
    spin_until(node, lambda: "has: set" in images._who_publishes(), "the camera")
    assert images._who_publishes() == words
    images.timeout = 0.01
    spin_until(node, lambda: logged.warnings, "the timeout")
    assert logged.warnings[0].endswith(words)
