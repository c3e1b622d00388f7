"""Depth beside the images: how it is found, and over real DDS what comes of it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sam_pt_ros.msg import Extent, TrackedObject
from sam_pt_ros.srv import RemoveObject
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from sam_pt_ros.interchange.messages import ResultMessages
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros import depth_input
from sam_pt_ros.ros.depth_input import DepthInput
from sam_pt_ros.ros.message_classes import make_rclpy_message
from support.rig import TIMEOUT, Rig
from support.robot import DOUBLES, Robot
from support.scene import BACKGROUND, OCCLUDER, THING

MESSAGES = ResultMessages(make_rclpy_message)
FRAME_ID = "camera_optical_frame"
F = 300.0
DISTANCE = {BACKGROUND: 3.0, THING: 1.2, OCCLUDER: 0.9}
MS = 1_000_000
LONG = 600.0  # seconds, more than may be configured
LONGEST = 10.0  # that may be


def header(stamp: int) -> Header:
    made = Header(frame_id=FRAME_ID)
    made.stamp.sec, made.stamp.nanosec = divmod(stamp, 1_000_000_000)
    return made


# --- found by stamp -----------------------------------------------------------------------


class SubscriptionDouble:
    """Stands in for a subscription: the test says what arrives, and who publishes."""

    def __init__(
        self,
        node: Any,
        kind: Any,
        topic: str,
        depth: int,
        callback: Any,
        timeout: float,
        stamp_on_arrival: bool,
    ) -> None:
        assert (kind, topic, timeout) == (Image, "depth", 0)
        self.stamp_on_arrival = stamp_on_arrival
        self.timeout = timeout
        self.is_remapped = False
        self.callback = callback
        self.has_publishers = True
        self.destroyed = False

    def destroy(self) -> None:
        self.destroyed = True


@pytest.fixture
def make_input(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[DepthInput, Any]]:
    monkeypatch.setattr(depth_input, "ImageSubscription", SubscriptionDouble)
    monkeypatch.setattr(depth_input, "_ALIVE", 10 * LONG)  # it alone must not end the waiting

    def make(depth_timeout: float, **others: Any) -> tuple[DepthInput, Any]:
        options = NodeOptions(**others)
        object.__setattr__(options, "depth_timeout", depth_timeout)
        made = DepthInput(None, options)  # type: ignore[arg-type]
        return made, made._subscription

    return make


Make = Callable[..., tuple[DepthInput, Any]]


def small(stamp: int, data: bytes = b"") -> Image:
    return Image(header=header(stamp), data=data)


def test_it_says_why_an_image_has_no_depth(
    make_input: Callable[..., tuple[DepthInput, Any]],
) -> None:
    made, subscription = make_input(depth_timeout=0.0, input_timeout=3.0)
    assert made.missing(100) == ""  # nobody expects any
    subscription.callback(small(1_000_000_000))
    assert subscription.timeout == 3.0  # and it is missed from now on
    assert made.find(1_000_000_000 + 20_000_000) is None
    assert made.missing(1_000_000_000 + 20_000_000) == "none arrived within depth_timeout (0 s)"
    subscription.callback(small(1_000_000_000 + 40_000_000))
    assert made.find(1_000_000_000 + 20_000_000) is None
    assert made.missing(1_000_000_000 + 20_000_000) == (
        "the nearest is 20 ms from the image's stamp, more than depth_tolerance (10 ms)"
    )


def test_depth_without_stamps_is_named(make_input: Make) -> None:
    depth, subscription = make_input(depth_timeout=0.0)
    assert subscription.stamp_on_arrival is False
    for _ in range(6):
        assert depth.missing(100 * MS) in (
            "",
            "none arrived within depth_timeout (0 s)",
        )
        subscription.callback(small(0))
    assert depth.missing(100 * MS).startswith(
        "the depth images carry no stamp (it is 0), and only"
    )
    subscription.callback(small(40 * MS))
    assert depth.missing(100 * MS) == "none arrived within depth_timeout (0 s)"
    _, subscription = make_input(depth_timeout=0.0, stamp_on_arrival=True)
    assert subscription.stamp_on_arrival is True


def stamps(found: Image | None) -> int | None:
    """The stamp of what was found."""
    if found is None:
        return None
    return found.header.stamp.sec * 1_000_000_000 + found.header.stamp.nanosec


def test_the_nearest_depth_within_the_tolerance_is_found(make_input: Make) -> None:
    depth, subscription = make_input(depth_tolerance=0.01, depth_timeout=0.0)
    for stamp in (90, 104, 111, 140):
        subscription.callback(small(stamp * MS))
    assert stamps(depth.find(101 * MS)) == 104 * MS
    assert stamps(depth.find(108 * MS)) == 111 * MS
    assert stamps(depth.find(121 * MS)) == 111 * MS
    assert depth.find(122 * MS) is None
    assert stamps(depth.find(140 * MS)) == 140 * MS


def test_depth_that_comes_in_time_is_waited_for_and_no_longer(make_input: Make) -> None:
    depth, subscription = make_input(depth_timeout=LONG)
    subscription.callback(small(100 * MS))
    begin = time.monotonic()
    threading.Timer(0.1, lambda: subscription.callback(small(140 * MS))).start()
    assert stamps(depth.find(140 * MS)) == 140 * MS
    assert 0.09 < time.monotonic() - begin < LONG / 2


def test_newer_depth_ends_the_waiting_for_what_was_lost(make_input: Make) -> None:
    depth, subscription = make_input(depth_timeout=LONG)
    subscription.callback(small(100 * MS))
    threading.Timer(0.05, lambda: subscription.callback(small(180 * MS))).start()
    begin = time.monotonic()
    assert depth.find(140 * MS) is None
    assert time.monotonic() - begin < LONG / 2


def test_the_timeout_ends_the_waiting(make_input: Make) -> None:
    depth, subscription = make_input(depth_timeout=0.1)
    subscription.callback(small(100 * MS))
    begin = time.monotonic()
    assert depth.find(140 * MS) is None
    assert 0.09 < time.monotonic() - begin < LONG / 2


def at_once(depth: DepthInput, stamp: int) -> Image | None:
    begin = time.monotonic()
    found = depth.find(stamp)
    assert time.monotonic() - begin < LONG / 2
    return found


def test_nothing_is_waited_for_that_is_not_coming(
    make_input: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth, subscription = make_input(depth_timeout=LONG)
    assert at_once(depth, 100 * MS) is None  # no depth ever
    subscription.callback(small(100 * MS))
    assert at_once(depth, 50 * MS) is None  # the newest is newer
    subscription.has_publishers = False
    assert at_once(depth, 140 * MS) is None
    subscription.has_publishers = True
    monkeypatch.setattr(depth_input, "_ALIVE", 0.05)
    time.sleep(0.1)
    assert at_once(depth, 140 * MS) is None  # none of late


def test_the_end_of_listening_ends_the_waiting_but_keeps_what_arrived(make_input: Make) -> None:
    depth, subscription = make_input(depth_timeout=LONG)
    subscription.callback(small(100 * MS))
    threading.Timer(0.05, depth.destroy).start()
    assert at_once(depth, 140 * MS) is None
    assert subscription.destroyed
    subscription.callback(small(140 * MS))
    assert stamps(at_once(depth, 140 * MS)) == 140 * MS
    assert at_once(depth, 180 * MS) is None


def test_a_recording_that_begins_again_is_not_mixed_with_its_end(make_input: Make) -> None:
    depth, subscription = make_input(depth_timeout=0.0, depth_tolerance=0.01)
    for stamp in (1000, 1040, 3000):
        subscription.callback(small(stamp * MS, b"old"))
    subscription.callback(small(960 * MS, b"new"))
    assert bytes(at_once(depth, 960 * MS).data) == b"new"  # type: ignore[union-attr]
    assert at_once(depth, 1040 * MS) is None
    subscription.callback(small(1040 * MS, b"new"))
    subscription.callback(small(1000 * MS, b"late"))  # the network changed their order
    assert bytes(at_once(depth, 1000 * MS).data) == b"late"  # type: ignore[union-attr]
    assert bytes(at_once(depth, 1040 * MS).data) == b"new"  # type: ignore[union-attr]


def test_memory_is_bounded_whether_depth_is_asked_for_or_not(
    make_input: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth_input, "_MOST_BYTES", 1000)
    depth, subscription = make_input(depth_timeout=0.0)
    for index in range(100):
        subscription.callback(small(index * 40 * MS, bytes(300)))
    assert [stamp // (40 * MS) for stamp, _ in depth._kept] == [97, 98, 99]
    assert at_once(depth, 96 * 40 * MS) is None
    assert stamps(at_once(depth, 98 * 40 * MS)) == 98 * 40 * MS
    assert [stamp // (40 * MS) for stamp, _ in depth._kept] == [98, 99]
    subscription.callback(small(100 * 40 * MS, bytes(5000)))
    assert stamps(at_once(depth, 100 * 40 * MS)) == 100 * 40 * MS


# --- over DDS -----------------------------------------------------------------------------


class DepthCamera:
    """Publishes the depth of the rig's scene, in which each layer has one distance."""

    def __init__(self, rig: Rig, reliability: ReliabilityPolicy) -> None:
        self.rig = rig
        self._publisher = rig.listener.create_publisher(
            Image, "depth", QoSProfile(depth=10, reliability=reliability)
        )
        self._clouds = [
            rig.listener.create_subscription(
                PointCloud2,
                f"/sam_pt/{topic}",
                lambda message, topic=topic: rig._hear(topic, message),
                QoSProfile(depth=100),
            )
            for topic in ("object_points", "target_object_points")
        ]

    def publish(self, index: int, **fields: Any) -> None:
        """Have the depth of a frame arrive; see ``_message`` for its fields."""
        self._publisher.publish(self._message(index, **fields))
        self.arrive()

    def _message(
        self,
        index: int,
        *,
        half: bool = False,
        encoding: str = "32FC1",
        broken: bool = False,
        frame_id: str = FRAME_ID,
    ) -> Image:
        owners = self.rig.scene.frame(index).owners
        metres = np.vectorize(DISTANCE.get, otypes=[np.float32])(
            owners[::2, ::2] if half else owners
        )
        pixels = metres if encoding == "32FC1" else np.rint(metres * 1000).astype(np.uint16)
        message = MESSAGES.image(pixels, encoding, header(self.rig.scene.stamp(index)))
        message.header.frame_id = frame_id
        if broken:
            message.step //= 2
        return message

    def arrive(self) -> None:
        """Wait until the node has taken what was published, if that is to be relied on."""
        assert self._publisher.wait_for_all_acked(Duration(seconds=TIMEOUT))
        self.rig.take_turn()

    @contextmanager
    def going_on(self, index: int) -> Iterator[None]:
        """Publish the depth of a frame again and again, as what is on its way is waited for."""
        message = self._message(index)
        done = threading.Event()

        def go_on() -> None:
            while not done.wait(0.1):
                self._publisher.publish(message)

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(TIMEOUT)

    def track(self) -> int:
        """Click on the thing, and play until it has metres; the number of the next frame."""
        deadline = time.monotonic() + TIMEOUT
        while self._publisher.get_subscription_count() == 0:
            assert time.monotonic() < deadline, "the node does not listen to depth"
            time.sleep(0.01)
        self.rig.play(0)
        self.rig.points(self.rig.on(THING, 0), index=0)
        for index in range(1, 16):
            self.publish(index)
            self.rig.play(index)
            if math.isfinite(self.rig.objects(index)[1].extent.centroid.z):
                return index + 1
        raise AssertionError("no depth gets through")

    def close(self) -> None:
        # Tests share a node and the scene's stamps; long ago was another recording.
        # As large as an image is: the middleware does not acknowledge what is small at once.
        long_ago = self.rig.scene.stamp(0) - 100_000 * MS
        self._publisher.publish(small(long_ago, bytes(4 * 320 * 240)))
        self.arrive()
        self.rig.destroy(self._publisher)
        for subscription in self._clouds:
            self.rig.destroy(subscription)


@pytest.fixture(scope="module")
def patient_rig(make_shared_rig: Callable[..., Rig]) -> Rig:
    """Its node waits for depth for longer than the test's processes ever pause."""
    return make_shared_rig("mode:=every_frame", f"depth_timeout:={LONGEST}")


@pytest.fixture
def camera(patient_rig: Rig, request: pytest.FixtureRequest) -> Iterator[DepthCamera]:
    patient_rig.reset()
    made = DepthCamera(patient_rig, getattr(request, "param", ReliabilityPolicy.RELIABLE))
    yield made
    made.close()
    assert patient_rig.node.alive, patient_rig.node.log.read_text()


@pytest.fixture(scope="module")
def moving_rig(make_shared_rig: Callable[..., Rig]) -> Rig:
    """Its node wants positions in the map, and waits for transforms for long, too."""
    return make_shared_rig(
        "mode:=every_frame",
        f"depth_timeout:={LONGEST}",
        f"transform_timeout:={LONGEST}",
        "target_frame:=map",
        packages=DOUBLES,
    )


@pytest.fixture
def moving_camera(moving_rig: Rig) -> Iterator[DepthCamera]:
    moving_rig.reset()
    made = DepthCamera(moving_rig, ReliabilityPolicy.RELIABLE)
    yield made
    made.close()
    assert moving_rig.node.alive, moving_rig.node.log.read_text()


def xyz(point: Point) -> np.ndarray:
    return np.array([point.x, point.y, point.z])


def unknown(extent: Extent) -> bool:
    corners = (extent.centroid, extent.box_min, extent.box_max)
    return bool(np.isnan([xyz(corner) for corner in corners]).all())


def surface(rig: Rig, index: int) -> np.ndarray:
    """What the camera sees of the thing, ``(M, 3)``."""
    y, x = np.nonzero(rig.scene.frame(index).mask(THING))
    rays = np.stack([(x - rig.scene.width / 2) / F, (y - rig.scene.height / 2) / F, 0 * x + 1], 1)
    return rays * DISTANCE[THING]


def in_place(rig: Rig, index: int) -> None:
    """Assert that the thing is where it is."""
    extent = rig.objects(index)[1].extent
    truth = surface(rig, index)
    np.testing.assert_allclose(xyz(extent.centroid), truth.mean(0), atol=0.02)
    np.testing.assert_allclose(xyz(extent.box_min), truth.min(0), atol=0.04)
    np.testing.assert_allclose(xyz(extent.box_max), truth.max(0), atol=0.04)
    assert extent.box_min.z == pytest.approx(1.2) and extent.box_max.z == pytest.approx(1.2)


def test_with_depth_objects_points_and_cloud_are_in_metres(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    camera.publish(index)
    rig.play(index)
    in_place(rig, index)

    points = rig.output("tracked_points", index)
    seen = [p for p in points.points if p.visible]
    assert len(seen) > 5
    for point in seen:
        z = point.position.z
        assert min(abs(z - distance) for distance in DISTANCE.values()) < 1e-6
        ray = [(point.x - rig.scene.width / 2) / F, (point.y - rig.scene.height / 2) / F, 1]
        np.testing.assert_allclose(xyz(point.position), np.array(ray) * z, atol=1e-5)
    hidden = [p.position for p in points.points if not p.visible]
    assert all(np.isnan(xyz(position)).all() for position in hidden)

    cloud = rig.output("object_points", index)
    assert cloud.header == header(rig.scene.stamp(index)) == rig.output("objects", index).header
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
        ("object_id", 12, PointField.UINT32, 1),
    ]
    rows = np.frombuffer(bytes(cloud.data), [("xyz", "<f4", 3), ("object_id", "<u4")])
    assert len(rows) == cloud.width > 0.7 * len(surface(rig, index))
    assert set(rows["object_id"]) == {1}
    np.testing.assert_allclose(
        rows["xyz"].mean(0, np.float64), xyz(rig.objects(index)[1].extent.centroid), atol=1e-4
    )


def test_depth_that_comes_after_its_image_is_waited_for(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    with camera.going_on(index - 1):
        rig.camera.publish([index])
        rig.output("label_image", index)  # which does not wait
        assert not rig.heard("objects", index)
        camera.publish(index)
    in_place(rig, index)
    assert rig.output("object_points", index).width > 0


def test_an_image_without_depth_has_masks_and_no_metres(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    camera.publish(index + 1)
    rig.play(index, index + 1)
    lacking = rig.objects(index)[1]
    assert lacking.state == TrackedObject.TRACKING and unknown(lacking.extent)
    points = rig.output("tracked_points", index).points
    assert np.isnan([xyz(p.position) for p in points]).all()
    in_place(rig, index + 1)
    rig.output("object_points", index + 1)
    assert not rig.heard("object_points", index)


def test_depth_of_another_frame_is_refused(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    camera.publish(index, frame_id="depth_optical_frame")
    rig.play(index)
    line = rig.log("depth image refused")
    assert f"it is in frame 'depth_optical_frame', but the image is in '{FRAME_ID}'" in line
    item = rig.objects(index)[1]
    assert item.state == TrackedObject.TRACKING and unknown(item.extent)
    points = rig.output("tracked_points", index).points
    assert np.isnan([xyz(p.position) for p in points]).all()
    for each, frame_id in ((index + 1, ""), (index + 2, f"/{FRAME_ID}")):  # of some drivers
        camera.publish(each, frame_id=frame_id)
        rig.play(each)
        in_place(rig, each)
    assert not rig.heard("object_points", index)


def test_a_camera_info_of_another_size_costs_no_metres_and_no_markers(
    camera: DepthCamera,
) -> None:
    rig = camera.rig
    index = camera.track()
    rig.order = {"info": {"width": 640}}
    try:
        for each in (index, index + 1):  # the camera_info may be overtaken by its image
            camera.publish(each)
            rig.play(each)
    finally:
        rig.order = {}
    in_place(rig, index + 1)
    rig.output("markers", index + 1)
    rig.output("object_points", index + 1)
    rig.log("camera_info refused: it is for images of 640x240 pixels, but they have 320x240")


def test_the_cloud_is_empty_once_there_is_no_object_any_more(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    camera.publish(index)
    rig.play(index)
    assert rig.output("object_points", index).width > 0
    assert rig.call("remove_object", RemoveObject.Request(object_id=1)).success
    for each in (index + 1, index + 2):
        camera.publish(each)
        rig.play(each)
        cloud = rig.output("object_points", each)
        assert (cloud.width, len(cloud.data), len(cloud.fields)) == (0, 0, 4)
        assert cloud.header == header(rig.scene.stamp(each))


def test_a_service_that_waits_for_an_image_costs_it_no_depth(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    with camera.going_on(index - 1):
        rig.camera.publish([index])
        rig.output("label_image", index)
        assert not rig.heard("objects", index)  # it waits for depth
        answered, answer = rig.call_later(
            RemoveObject, "remove_object", RemoveObject.Request(object_id=99)
        )
        time.sleep(0.1)
        assert not answered.is_set()
        camera.publish(index)
    in_place(rig, index)
    assert answered.wait(TIMEOUT) and not answer.result().success


def test_malformed_depth_costs_an_image_its_metres_only(camera: DepthCamera) -> None:
    rig = camera.rig
    index = camera.track()
    camera.publish(index, broken=True)
    rig.play(index)
    line = rig.log("depth image refused")
    assert "step is 640 bytes" in line and "\n" not in line
    item = rig.objects(index)[1]
    assert item.state == TrackedObject.TRACKING and unknown(item.extent)
    assert rig.mask(1, index).any()
    camera.publish(index + 1)
    rig.play(index + 1)
    in_place(rig, index + 1)
    assert not rig.heard("object_points", index)


@pytest.mark.parametrize("camera", [ReliabilityPolicy.BEST_EFFORT], indirect=True)
def test_depth_of_half_the_size_in_millimetres_from_a_sensor(camera: DepthCamera) -> None:
    """Sensors publish at best effort, and such messages may get lost."""
    rig = camera.rig
    index = camera.track()
    for each in range(index, index + 5):
        camera.publish(each, half=True, encoding="16UC1")
        rig.play(each)
        if not unknown(rig.objects(each)[1].extent):
            in_place(rig, each)
            return
    raise AssertionError("no depth gets through")


def test_nothing_waits_where_nobody_publishes_depth(patient_rig: Rig) -> None:
    rig = patient_rig
    rig.reset()
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    begin = time.monotonic()
    rig.play(1, 4)
    assert time.monotonic() - begin < LONGEST  # less than one timeout
    assert all(unknown(rig.objects(i)[1].extent) for i in range(1, 5))


# --- in another frame ---------------------------------------------------------------------


def cloud_of(message: PointCloud2) -> np.ndarray:
    """``float64 (M, 3)``."""
    rows = np.frombuffer(bytes(message.data), [("xyz", "<f4", 3), ("object_id", "<u4")])
    return np.asarray(rows["xyz"], np.float64)


def be(robot: Robot, rig: Rig, index: int) -> Callable[[Any], np.ndarray]:
    """Have the robot be somewhere else in every image; from the camera's frame to the map."""
    place = 12.0 * index, [0.3 * index, -1.0, 0.1]
    stamp = rig.scene.stamp(index)
    robot.move(stamp - MS, *place)
    return robot.move(stamp + MS, *place)


def test_positions_are_given_in_the_target_frame_once_that_is_known(
    moving_camera: DepthCamera,
) -> None:
    """At the stamp of each image; a frame that nobody has heard of is not waited for."""
    rig = moving_camera.rig
    begin = time.monotonic()
    index = moving_camera.track()
    moving_camera.publish(index)
    rig.play(index)
    assert time.monotonic() - begin < LONGEST  # less than one timeout
    assert "does not exist" in rig.log("no positions in target_frame 'map': no transform from")
    message = rig.output("objects", index)
    assert message.target_frame == "map" and unknown(message.objects[0].target_extent)
    in_place(rig, index)

    robot = Robot(rig)
    for each in (index + 1, index + 2, index + 3):
        to_map = be(robot, rig, each)
        moving_camera.publish(each)
        rig.play(each)
        in_place(rig, each)
        here, there = (
            cloud_of(rig.output(f"{name}object_points", each)) for name in ("", "target_")
        )
        truth = to_map(here)
        assert len(there) > 100
        np.testing.assert_allclose(there, truth, atol=1e-3)
        found = rig.output("target_object_points", each).header
        assert found == Header(stamp=header(rig.scene.stamp(each)).stamp, frame_id="map")
        extent = rig.objects(each)[1].target_extent
        np.testing.assert_allclose(xyz(extent.centroid), truth.mean(0), atol=1e-3)
        np.testing.assert_allclose(xyz(extent.box_min), truth.min(0), atol=1e-3)
        np.testing.assert_allclose(xyz(extent.box_max), truth.max(0), atol=1e-3)
        points = rig.output("tracked_points", each)
        assert points.target_frame == "map"
        positions = np.array([xyz(p.position) for p in points.points])
        targets = np.array([xyz(p.target_position) for p in points.points])
        assert np.isfinite(targets).all(1).sum() > 5
        np.testing.assert_allclose(targets, to_map(positions), atol=1e-3)


def test_a_service_that_waits_for_an_image_costs_it_no_transform(
    moving_camera: DepthCamera,
) -> None:
    rig = moving_camera.rig
    robot = Robot(rig)
    be(robot, rig, 0)
    be(robot, rig, 30)  # known up to there
    index = moving_camera.track()
    assert index < 30
    moving_camera.publish(40)
    rig.camera.publish([40])
    rig.output("label_image", 40)
    assert not rig.heard("objects", 40)  # it waits for a transform
    answered, answer = rig.call_later(
        RemoveObject, "remove_object", RemoveObject.Request(object_id=99)
    )
    time.sleep(0.1)
    assert not answered.is_set()
    to_map = be(robot, rig, 40)
    item = rig.objects(40)[1]
    expected = to_map(xyz(item.extent.centroid))
    np.testing.assert_allclose(xyz(item.target_extent.centroid), expected, atol=1e-3)
    assert answered.wait(TIMEOUT) and not answer.result().success
