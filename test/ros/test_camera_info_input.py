"""Calibrations that are latched, repeated, or of no use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.ros.camera_info_input import CameraInfoInput
from support.spinning import Logged, spin_until

KEPT, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED = QoSProfile(depth=1, reliability=RELIABLE, durability=KEPT)
PREFIX = "qos_overrides./camera_info.subscription"


def calibration(focal_length: float, **fields: Any) -> CameraInfo:
    k = [focal_length, 0.0, 320.0, 0.0, focal_length, 240.0, 0.0, 0.0, 1.0]
    message = CameraInfo(k=k, width=640, height=480, distortion_model="plumb_bob", **fields)
    message.header.frame_id = "camera"
    return message


def focal_length(made: CameraInfoInput) -> float | None:
    camera = made.camera
    return None if isinstance(camera, str) else float(camera.matrix[0, 0])


@pytest.fixture
def make_input(context: Context, monkeypatch: pytest.MonkeyPatch) -> Any:
    made: list[Callable[[], None]] = []

    def make(**overrides: str) -> tuple[Node, CameraInfoInput, Logged]:
        given = [Parameter(f"{PREFIX}.{name}", value=value) for name, value in overrides.items()]
        node = Node("sam_pt", context=context, parameter_overrides=given)
        logged = Logged()
        monkeypatch.setattr(node, "get_logger", lambda: logged)
        camera_info = CameraInfoInput(node, False)
        subscription = camera_info.subscribe()
        made.extend((node.destroy_node, subscription.destroy))
        return node, camera_info, logged

    yield make
    for end in reversed(made):
        end()


def listeners(node: Node) -> list[DurabilityPolicy]:
    found = [s for s in node.subscriptions if s.topic_name == "/camera_info"]
    return [each.qos_profile.durability for each in found]


def test_what_was_published_once_before_it_listened_is_heard(
    make_input: Any, make_other: Callable[[str], Node]
) -> None:
    publisher = make_other("camera").create_publisher(CameraInfo, "/camera_info", LATCHED)
    publisher.publish(calibration(500.0))
    node, camera_info, _ = make_input()
    spin_until(node, lambda: focal_length(camera_info) == 500, "the latched calibration")
    publisher.publish(calibration(600.0))
    spin_until(node, lambda: focal_length(camera_info) == 600, "the next one")
    assert camera_info.require().frame_id == "camera"


def test_a_publisher_that_latches_may_come_later_and_go_again(
    make_input: Any, make_other: Callable[[str], Node]
) -> None:
    node, camera_info, _ = make_input()
    assert listeners(node) == [VOLATILE]
    other = make_other("camera")
    publisher = other.create_publisher(CameraInfo, "/camera_info", LATCHED)
    publisher.publish(calibration(500.0))
    spin_until(node, lambda: focal_length(camera_info) == 500, "the calibration")
    spin_until(node, lambda: listeners(node) == [VOLATILE, KEPT], "the second subscription")
    other.destroy_publisher(publisher)
    spin_until(node, lambda: listeners(node) == [VOLATILE], "its end")
    assert focal_length(camera_info) == 500


@pytest.mark.parametrize("latched_too", [False, True])
@pytest.mark.parametrize("reliability", [RELIABLE, BEST_EFFORT])
def test_publishers_that_keep_nothing_are_heard_beside_one_that_does(
    make_input: Any,
    make_other: Callable[[str], Node],
    reliability: ReliabilityPolicy,
    latched_too: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    node, camera_info, _ = make_input()
    if latched_too:
        latched = make_other("other").create_publisher(CameraInfo, "/camera_info", LATCHED)
        latched.publish(calibration(500.0))
        spin_until(node, lambda: focal_length(camera_info) == 500, "the latched calibration")
    live = QoSProfile(depth=1, reliability=reliability)
    publisher = make_other("camera").create_publisher(CameraInfo, "/camera_info", live)

    def heard() -> bool:
        publisher.publish(calibration(700.0))
        return focal_length(camera_info) == 700

    spin_until(node, heard, "the live calibration")
    expected = [VOLATILE, KEPT][: 1 + latched_too]
    spin_until(node, lambda: listeners(node) == expected, f"subscriptions {expected}")
    assert "incompatible QoS" not in capfd.readouterr().err  # of the one that does not match


@pytest.mark.parametrize(
    ("kind", "qos"),
    [
        (Image, LATCHED),
        (CameraInfo, QoSProfile(depth=1, reliability=BEST_EFFORT, durability=KEPT)),
        (CameraInfo, QoSProfile(depth=1, reliability=RELIABLE)),
    ],
)
def test_it_listens_once_where_nothing_of_the_past_would_come(
    make_input: Any, make_other: Callable[[str], Node], kind: Any, qos: QoSProfile
) -> None:
    node, camera_info, _ = make_input()
    make_other("camera").create_publisher(kind, "/camera_info", qos)
    spin_until(node, lambda: node.count_publishers("/camera_info") == 1, "the publisher")
    subscription = camera_info.subscribe()  # looks at once
    assert listeners(node) == [VOLATILE] * 2
    subscription.destroy()
    assert listeners(node) == [VOLATILE]


@pytest.mark.parametrize("policy", ["reliability", "durability"])
def test_who_overrides_the_quality_of_service_has_chosen(
    make_input: Any, make_other: Callable[[str], Node], policy: str
) -> None:
    make_other("camera").create_publisher(CameraInfo, "/camera_info", LATCHED)
    value = {"reliability": "reliable", "durability": "transient_local"}[policy]
    node, _, _ = make_input(**{policy: value})
    spin_until(node, lambda: node.count_publishers("/camera_info") == 1, "the publisher")
    subscription = CameraInfoInput(node, False).subscribe()
    assert listeners(node) == [KEPT if policy == "durability" else VOLATILE] * 2
    subscription.destroy()


def test_why_one_was_refused_is_what_is_said_of_the_camera(make_input: Any) -> None:
    _, camera_info, logged = make_input()
    assert camera_info.camera == "no camera_info has arrived yet"
    camera_info.receive(calibration(0.0))
    why = (
        "the camera is not calibrated: K of its camera_info has focal lengths of 0 and 0 pixels; "
        "calibrate the camera"
    )
    assert camera_info.camera == why and logged.warnings == [f"camera_info refused: {why}"]
    with pytest.raises(UserError) as error:
        camera_info.require()
    assert str(error.value) == why
    camera_info.receive(calibration(500.0, d=[0.1] * 6))
    assert str(camera_info.camera).startswith("the distortion model 'plumb_bob' needs ")
    camera_info.receive(calibration(500.0))
    known = camera_info.camera
    assert isinstance(known, CameraModel)
    camera_info.receive(calibration(0.0))
    camera_info.receive(calibration(500.0))
    assert camera_info.camera is known


def test_one_for_images_of_another_size_does_not_replace_one_that_fits(make_input: Any) -> None:
    _, camera_info, logged = make_input()
    large = calibration(900.0)
    large.width, large.height = 1280, 720
    camera_info.receive(large)
    camera_info.receive(calibration(500.0))
    camera_info.images_have((480, 640))
    known = camera_info.camera
    for _ in range(3):
        camera_info.receive(large)
        assert camera_info.camera is known and focal_length(camera_info) == 500
    assert logged.warnings == [
        "camera_info refused: it is for images of 1280x720 pixels, but they have 640x480; the one "
        "that fits them is kept. Remap 'camera_info' to the topic of the images' camera"
    ]
    camera_info.receive(calibration(510.0))
    assert focal_length(camera_info) == 510
    camera_info.images_have((720, 1280))  # it was latched, and is not sent again
    assert focal_length(camera_info) == 900
    camera_info.images_have((100, 100))
    assert focal_length(camera_info) == 510  # what uses it says that it does not fit
    assert len(logged.warnings) == 1


def test_one_without_a_size_fits_images_of_any(make_input: Any) -> None:
    _, camera_info, logged = make_input()
    camera_info.images_have((480, 640))
    camera_info.receive(calibration(500.0))
    unsized = calibration(600.0)
    unsized.width = unsized.height = 0
    camera_info.receive(unsized)
    assert focal_length(camera_info) == 600 and logged.warnings == []


def test_sizes_are_kept_in_a_bounded_number(make_input: Any) -> None:
    _, camera_info, _ = make_input()
    for number in range(10):
        other = calibration(500.0 + number)
        other.width = 640 + number
        camera_info.receive(other)
    camera_info.images_have((480, 646))
    assert focal_length(camera_info) == 506
    camera_info.images_have((480, 645))
    assert focal_length(camera_info) == 509


@pytest.mark.parametrize(
    ("given", "known"), [("camera", "camera"), ("/camera", "camera"), ("/", ""), ("", "")]
)
def test_its_frame_has_the_name_that_tf2_knows(make_input: Any, given: str, known: str) -> None:
    _, camera_info, _ = make_input()
    message = calibration(500.0)
    message.header.frame_id = given
    camera_info.receive(message)
    assert camera_info.require().frame_id == known
