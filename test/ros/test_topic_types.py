"""Topics that are published as another type than their input takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point, PointStamped
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sam_pt_ros.msg import PointPromptArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from sam_pt_ros.ros.topic_types import TypeWatch, other_types, publishers_of, type_name
from support.listening import Listening
from support.rig import TIMEOUT, Camera, Rig
from support.spinning import Logged, spin_until

KINDS = {
    "image": Image,
    "image/compressed": CompressedImage,
    "depth": Image,
    "camera_info": CameraInfo,
    "points": PointPromptArray,
    "clicked_point": PointStamped,
    "clicked_pixel": Point,
}
JPEG = "sensor_msgs/msg/CompressedImage"


def test_a_type_has_the_name_that_ros_gives_it() -> None:
    assert [type_name(kind) for kind in (Image, CompressedImage, PointPromptArray)] == [
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/CompressedImage",
        "sam_pt_ros/msg/PointPromptArray",
    ]


REPUBLISH = "or have image_transport's republish make them"


@pytest.mark.parametrize(
    ("name", "topic", "kind", "advice"),
    [
        (
            "image",
            "/camera/image_raw/compressed",
            CompressedImage,
            "set the parameter image_transport to compressed, and remap 'image/compressed' "
            "instead of 'image' (track.launch.py: image_transport:=compressed "
            "image:=/camera/image_raw)",
        ),
        (
            "image",
            "/jpeg",
            CompressedImage,
            "set the parameter image_transport to compressed, and remap 'image/compressed' "
            "instead of 'image'",
        ),
        (
            "image",
            "/camera/depth/image_raw/compressedDepth",
            CompressedImage,
            f"remap 'image' to the raw images, {REPUBLISH}",
        ),
        (
            "image/compressed",
            "/camera/image_raw",
            Image,
            "set the parameter image_transport to raw, and remap 'image' instead of "
            "'image/compressed' (track.launch.py: image_transport:=raw image:=/camera/image_raw)",
        ),
        (
            "depth",
            "/camera/depth/image_raw/compressedDepth",
            CompressedImage,
            f"remap 'depth' to the raw images, {REPUBLISH}",
        ),
        (
            "depth",
            "/camera/depth/points",
            PointCloud2,
            "remap 'depth' to a topic of type sensor_msgs/msg/Image",
        ),
        (
            "camera_info",
            "/camera/image_raw",
            Image,
            "remap 'camera_info' to a topic of type sensor_msgs/msg/CameraInfo",
        ),
        (
            "points",
            "/lidar/points",
            PointCloud2,
            "remap 'points' to a topic of type sam_pt_ros/msg/PointPromptArray",
        ),
        (
            "clicked_point",
            "/mouse_left",
            Point,
            "remap 'clicked_pixel' instead of 'clicked_point'",
        ),
        (
            "clicked_pixel",
            "/clicked",
            PointStamped,
            "remap 'clicked_point' instead of 'clicked_pixel'",
        ),
    ],
)
def test_the_type_is_named_once_and_what_takes_it(
    context: Context,
    make_other: Callable[[str], Node],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    topic: str,
    kind: Any,
    advice: str,
) -> None:
    remapping = ["--ros-args", "-r", f"{name}:={topic}"]
    node = Node("sam_pt", context=context, cli_args=remapping)
    logged = Logged()
    monkeypatch.setattr(node, "get_logger", lambda: logged)
    watch = TypeWatch(node, {name: KINDS[name]})
    other = make_other("other")
    other.create_publisher(kind, topic, 1)
    spin_until(node, lambda: logged.warnings, "a warning")
    assert logged.warnings == [
        f"{topic} is published as {type_name(kind)} by /other, but '{name}' takes "
        f"{type_name(KINDS[name])}: {advice}"
    ]
    for _ in range(3):
        watch._check()
    assert len(logged.warnings) == 1
    watch.destroy()
    node.destroy_node()


def test_what_changes_while_nodes_are_discovered_is_not_said(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node("sam_pt", context=context)
    logged = Logged()
    monkeypatch.setattr(node, "get_logger", lambda: logged)
    watch = TypeWatch(node, {"image": Image})
    unknown, known = endpoint(JPEG, "_NODE_NAME_UNKNOWN_"), endpoint(JPEG, "camera")
    for endpoints, lines in (
        ([unknown], 0),
        ([known], 0),
        ([known], 1),
        ([known], 1),
        ([], 1),
        ([known], 1),  # it was there before, and lost for a moment only
        ([known], 1),
        ([], 1),
        ([], 1),
        ([known], 1),
        ([known], 2),
    ):
        monkeypatch.setattr(node, "get_publishers_info_by_topic", lambda _, e=endpoints: e)
        watch._check()
        assert len(logged.warnings) == lines
    assert "by /robot/camera, but" in logged.warnings[0] == logged.warnings[1]
    node.destroy_node()


def endpoint(kind: str, node: str) -> SimpleNamespace:
    return SimpleNamespace(topic_type=kind, node_namespace="/robot", node_name=node)


def double(*endpoints: SimpleNamespace) -> Any:
    """A node that knows of publishers."""
    return SimpleNamespace(
        resolve_topic_name=lambda name: f"/{name}",
        get_publishers_info_by_topic=lambda topic: endpoints,
    )


@pytest.mark.parametrize(
    "kind", ["ffmpeg_image_transport_msgs/msg/FFMPEGPacket", "theora_image_transport/msg/Packet"]
)
@pytest.mark.parametrize("name", ["image", "image/compressed", "depth"])
def test_videos_are_to_be_republished(name: str, kind: str) -> None:
    text = other_types(double(endpoint(kind, "camera")), name, KINDS[name])
    assert text == (
        f"/{name} is published as {kind} by /robot/camera, but '{name}' takes "
        f"{type_name(KINDS[name])}: remap '{name}' to the raw images, {REPUBLISH}"
    )


def test_each_publisher_of_the_other_type_is_named_and_those_of_the_right_one_are_not() -> None:
    right = endpoint("sensor_msgs/msg/Image", "right")
    node = double(endpoint(JPEG, "b"), right, endpoint(JPEG, "a"), endpoint(JPEG, "a"))
    assert publishers_of(node, "/image", Image) == [right]
    assert f"as {JPEG} by /robot/a, /robot/b, but" in other_types(node, "image", Image)
    assert other_types(double(right), "image", Image) == ""
    assert other_types(double(), "image", Image) == ""


WRONG = {
    "image": CompressedImage,
    "depth": CompressedImage,
    "camera_info": Image,
    "points": PointCloud2,
    "clicked_point": Point,
    "clicked_pixel": PointStamped,
}


def test_every_input_of_the_node_says_so_and_hears_the_right_type_afterwards(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig("mode:=every_frame", "input_timeout:=1.0", connect=False)
    rig.camera.end()
    diagnostics = Listening(rig, DiagnosticArray, "/diagnostics")
    wrong = make_wrong(rig)
    for name, kind in WRONG.items():
        rig.log(
            f"^/{name} is published as {re.escape(type_name(kind))} by /wrong, but '{name}' takes "
            f"{re.escape(type_name(KINDS[name]))}: "
        )
    said = rig.log("^/image is published as")
    stale = diagnostics.wait(
        lambda m: m.status[0] if m.status[0].message == said else None, "the status of the images"
    )
    assert stale.level == DiagnosticStatus.STALE
    assert {v.key: v.value for v in stale.values}["publishers"] == ""
    assert not rig.logs("no image on|nodes publish images|requesting BEST_EFFORT")
    wrong()
    rig.camera = Camera(rig.domain, "reliable")
    index = rig.connect()
    rig.points(rig.on(2, index), index=index)
    rig.play(index + 1)
    assert list(rig.objects(index + 1)) == [1]
    assert len(rig.logs("is published as")) == len(WRONG)


def make_wrong(rig: Rig) -> Callable[[], None]:
    """Another process, as far as the node knows, with a publisher of each; call it to end it.

    The publishers are made once the node has answered. Fast DDS asks for a type that it does not
    know when it discovers the first publisher of it, and does not ask again: where the answer is
    lost because discovery is not done, the node never hears of the publishers of that type.
    """
    context = Context()
    context.init(domain_id=rig.domain)
    node = Node("wrong", context=context)
    client = node.create_client(GetParameters, "/sam_pt/get_parameters")
    assert client.wait_for_service(TIMEOUT)
    executor = SingleThreadedExecutor(context=context)
    answer = client.call_async(GetParameters.Request(names=["tracker"]))
    executor.add_node(node)
    executor.spin_until_future_complete(answer, TIMEOUT)
    assert answer.done()
    executor.shutdown()
    for name, kind in WRONG.items():
        node.create_publisher(kind, f"/{name}", 1)

    def end() -> None:
        node.destroy_node()
        context.try_shutdown()

    return end
