"""The canvas as messages, as RViz shows it, and clicked on over DDS."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.canvas import CanvasMessages, canvas_mesh
from sam_pt_ros.interchange.messages import ResultMessages, stamp_of
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.points import PointTracks
from sam_pt_ros.ros.canvas_publisher import CanvasPublisher
from sam_pt_ros.ros.message_classes import make_rclpy_message
from support.rig import TIMEOUT, Rig
from support.scene import OCCLUDER, THING, overlap

SIZE = HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
MADE = ResultMessages(make_rclpy_message)
PINHOLE = CameraModel(K, np.zeros(5), False, SIZE)
DISTORTED = CameraModel(K, np.array([-0.3, 0.1, 0.0, 0.0, 0.0]), False, SIZE)


def header(index: int) -> Header:
    return Header(frame_id="eye", stamp=Time(sec=index, nanosec=5))


def picture(index: int = 0) -> np.ndarray:
    """Smooth, and different at all its corners."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([4 * x, 5 * y, np.full(SIZE, 40 * index)], -1).astype(np.uint8)


def result(index: int, *ids: int) -> TrackResult:
    """Objects, each seen in a square of its own."""
    objects = tuple(
        ObjectResult(
            object_id,
            "",
            ObjectState.TRACKING,
            1.0,
            CroppedMask(np.ones((4, 4), np.bool_), (6 * object_id + index, 5), SIZE),
            PointTracks.empty(index),
            np.zeros(0, np.int32),
            index,
            0,
        )
        for object_id in ids
    )
    stamp = stamp_of(header(index))
    return TrackResult(index, stamp, np.zeros(SIZE, np.uint16), objects, {})


def decoded(texture: CompressedImage) -> np.ndarray:
    bgr = cv2.imdecode(np.frombuffer(texture.data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(bgr[..., ::-1])


class FakeRviz:
    """What RViz does with a MarkerArray of textured triangles, and what its renderer keeps."""

    def __init__(self) -> None:
        self.markers: dict[tuple[str, int], list[np.ndarray]] = {}  # texture layers
        self.others: dict[tuple[str, int], Marker] = {}  # that have no texture
        self.textures: dict[str, np.ndarray] = {}  # of the texture manager, which only it frees
        self._names: dict[tuple[str, int], str] = {}
        self._made = 0

    def take(self, message: MarkerArray) -> None:
        keys = [(marker.ns, marker.id) for marker in message.markers]
        assert len(set(keys)) == len(keys), "Multiple Markers had the same ns and id"
        for key, marker in zip(keys, message.markers, strict=True):
            if marker.action == Marker.DELETEALL:
                for kept in (self.markers, self.others):
                    for old in [old for old in kept if marker.ns in ("", old[0])]:
                        del kept[old]
            elif marker.type != Marker.TRIANGLE_LIST:
                assert marker.action == Marker.ADD
                self.others[key] = marker
            elif marker.action == Marker.DELETE:
                self.markers.pop(key, None)
            else:
                self._add(key, marker)

    def _add(self, key: tuple[str, int], marker: Marker) -> None:
        assert marker.type == Marker.TRIANGLE_LIST
        assert len(marker.points) % 3 == 0
        assert len(marker.points) == len(marker.uv_coordinates) > 0
        assert marker.texture_resource.startswith("embedded://")
        assert marker.texture.format in ("jpeg", "jpg", "png")
        assert marker.scale.x * marker.scale.y * marker.scale.z != 0
        assert (marker.color.r, marker.color.g, marker.color.b, marker.color.a) == (1, 1, 1, 1)
        if key not in self.markers:
            self.markers[key] = []
            self._names[key] = f"{self._made}{marker.texture_resource}"
            self._made += 1
        image = decoded(marker.texture)
        self.textures[self._names[key]] = image
        self.markers[key].append(image)


# --- the messages -------------------------------------------------------------------------


@pytest.mark.parametrize("camera", [PINHOLE, DISTORTED], ids=["pinhole", "distorted"])
def test_vertices_and_uv_are_what_the_mesh_says_to_the_byte(camera: CameraModel) -> None:
    message = CanvasMessages(make_rclpy_message, 2.0).show(picture(), header(7), camera)
    vertices, uv = canvas_mesh(camera, SIZE, 2.0)
    data = serialize_message(message)
    count = struct.pack("<I", len(vertices))
    points = data.index(vertices.astype("<f8").tobytes())
    assert count in (data[points - 4 : points], data[points - 8 : points - 4])  # aligned to 8
    assert count + uv.astype("<f4").tobytes() in data

    marker = deserialize_message(data, MarkerArray).markers[-1]
    assert [(p.x, p.y, p.z) for p in marker.points] == [tuple(p) for p in vertices.tolist()]
    assert [(t.u, t.v) for t in marker.uv_coordinates] == [tuple(t) for t in uv.tolist()]


def test_the_canvas_of_a_pinhole_reaches_from_the_image_s_edge_to_its_edge() -> None:
    message = CanvasMessages(make_rclpy_message, 2.0).show(picture(), header(7), PINHOLE)
    marker = message.markers[-1]
    x, y = 32 / 60 * 2, 24 / 60 * 2
    corners = [(-x, -y), (-x, y), (x, -y), (x, -y), (-x, y), (x, y)]
    np.testing.assert_allclose(
        [(p.x, p.y, p.z) for p in marker.points], [(*c, 2) for c in corners], rtol=1e-9
    )
    uv = [(t.u, t.v) for t in marker.uv_coordinates]
    assert uv == [(0, 0), (0, 1), (1, 0), (1, 0), (0, 1), (1, 1)]


def test_the_texture_is_the_image_and_the_header_is_the_image_s() -> None:
    message = CanvasMessages(make_rclpy_message, 1.0).show(picture(2), header(7), PINHOLE)
    marker = message.markers[-1]
    assert marker.texture.format == "jpeg"
    assert bytes(marker.texture.data[:3]) == b"\xff\xd8\xff"
    image = decoded(marker.texture)
    assert image.shape == (*SIZE, 3)
    assert np.abs(image.astype(int) - picture(2)).mean() < 3
    assert marker.texture_resource == "embedded://canvas"
    assert [m.header for m in message.markers] == [header(7)] * 2
    assert marker.texture.header == header(7)
    assert not marker.frame_locked
    assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 0)
    assert marker.pose.orientation.w == 1.0


def test_what_was_shown_is_deleted_before_the_new_is_added() -> None:
    made = CanvasMessages(make_rclpy_message, 1.0)
    messages = [made.show(picture(i), header(i), PINHOLE) for i in range(3)]
    done = [[(m.action, m.ns, m.id) for m in message.markers] for message in messages]
    add, delete = Marker.ADD, Marker.DELETEALL
    assert done == [
        [(delete, "canvas", 2), (add, "canvas", 0)],
        [(add, "canvas", 0), (delete, "canvas", 2), (add, "canvas", 1)],
        [(add, "canvas", 1), (delete, "canvas", 2), (add, "canvas", 0)],
    ]
    assert [m.header for m in messages[1].markers] == [header(0), header(1), header(1)]


def test_rviz_shows_the_newest_image_once_and_keeps_no_other() -> None:
    made, rviz = CanvasMessages(make_rclpy_message, 1.0), FakeRviz()
    cameras = [PINHOLE, PINHOLE, DISTORTED, PINHOLE, PINHOLE]
    for index, camera in enumerate(cameras):
        rviz.take(made.show(picture(index), header(index), camera))
        ((image,),) = rviz.markers.values()
        assert np.abs(image.astype(int) - picture(index)).mean() < 3
        kept = [texture for texture in rviz.textures.values() if texture.size > 3]
        assert len(kept) == 1
        assert kept[0] is image


def test_rviz_recovers_from_a_message_that_it_did_not_get() -> None:
    made, rviz = CanvasMessages(make_rclpy_message, 1.0), FakeRviz()
    for index in range(6):
        message = made.show(picture(index), header(index), PINHOLE)
        if index not in (0, 2, 3):
            rviz.take(message)
            ((image,),) = rviz.markers.values()
            assert np.abs(image.astype(int) - picture(index)).mean() < 3


def outlines(index: int, *ids: int, distance: float = 1.0) -> list[Marker]:
    found = MADE.outlines(result(index, *ids), header(index), PINHOLE, distance)
    assert len(found) == 2 * len(ids)
    return found


def test_outlines_come_with_their_image_and_before_it() -> None:
    made = CanvasMessages(make_rclpy_message, 1.0)
    messages = [
        made.show(picture(i), header(i), PINHOLE, outlines(i, *ids))
        for i, ids in enumerate([(), (1, 2), (2,), ()])
    ]
    done = [[(m.action, m.ns, m.id) for m in message.markers] for message in messages]
    add, delete = Marker.ADD, Marker.DELETEALL
    first, second = [[(add, ns, i) for ns in ("outline", "caption")] for i in (1, 2)]
    gone = [(delete, "canvas", 2), (delete, "caption", 0), (delete, "outline", 0)]
    assert done == [
        [(delete, "canvas", 2), (add, "canvas", 0)],
        [(add, "canvas", 0), (delete, "canvas", 2), *first, *second, (add, "canvas", 1)],
        [(add, "canvas", 1), *gone, *second, (add, "canvas", 0)],
        [(add, "canvas", 0), *gone, (add, "canvas", 1)],
    ]
    stamps = {m.header.stamp.sec for m in messages[2].markers[1:]}
    assert stamps == {2}


def test_rviz_shows_the_outlines_of_the_image_on_the_canvas_even_if_it_missed_some() -> None:
    made, rviz = CanvasMessages(make_rclpy_message, 1.0), FakeRviz()
    shown = [(), (1, 2), (2,), (3,), (1,), ()]
    for index, ids in enumerate(shown):
        message = made.show(picture(index), header(index), PINHOLE, outlines(index, *ids))
        if index == 3:
            continue
        rviz.take(message)
        ((image,),) = rviz.markers.values()
        assert np.abs(image.astype(int) - picture(index)).mean() < 3
        assert {key[1] for key in rviz.others} == set(ids)
        assert {marker.header.stamp.sec for marker in rviz.others.values()} <= {index}


def test_a_calibration_for_another_size_is_refused() -> None:
    made = CanvasMessages(make_rclpy_message, 1.0)
    camera = CameraModel(K, np.zeros(5), False, (480, 640))
    with pytest.raises(UserError, match="640x480 pixels, but they have 64x48"):
        made.show(picture(), header(0), camera)


def test_a_lens_model_that_reaches_nothing_is_refused() -> None:
    aside = K + np.array([[0, 0, -2000.0], [0, 0, 0], [0, 0, 0]])
    camera = CameraModel(aside, np.zeros(4), True, SIZE)
    with pytest.raises(UserError, match="reaches no part of the image"):
        CanvasMessages(make_rclpy_message, 1.0).show(picture(), header(0), camera)


# --- when it is published -----------------------------------------------------------------


class FakeNode:
    """As much of a node as a canvas needs: a publisher with as many listeners as told."""

    def __init__(self) -> None:
        self.listeners = 0
        self.published: list[MarkerArray] = []
        self.warnings: list[str] = []
        self.topics: list[str] = []
        self._managed_entities: set[Any] = set()

    def create_lifecycle_publisher(self, kind: Any, topic: str, qos: Any, **options: Any) -> Any:
        self.topics.append(topic)
        return self

    def destroy_publisher(self, publisher: Any) -> None:
        self.topics.clear()

    def get_subscription_count(self) -> int:
        return self.listeners

    def publish(self, message: MarkerArray) -> None:
        self.published.append(message)

    def get_logger(self) -> FakeNode:
        return self

    def warning(self, text: str, throttle_duration_sec: float) -> None:
        self.warnings.append(text)


class Shown:
    """A canvas on a fake node, under a clock that stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.node = FakeNode()
        self.now = 1000.0
        monkeypatch.setattr("sam_pt_ros.ros.canvas_publisher.time.monotonic", lambda: self.now)
        self.canvas = CanvasPublisher(self.node, NodeOptions(**options))

    def show(
        self,
        index: int,
        camera: CameraModel | str = PINHOLE,
        oldest: int = 0,
        ids: tuple[int, ...] = (),
    ) -> None:
        known = stamp_of(header(oldest))
        self.canvas.show(picture(), header(index), camera, known, result(index, *ids))

    def stamp_at(self, x: float, y: float, z: float) -> int | None:
        """The stamp of the image that a click there refers to; None: of none that is shown."""
        return self.canvas.shown if self.canvas.holds(np.array([x, y, z])) else None

    @property
    def published(self) -> list[int]:
        return [message.markers[-1].header.stamp.sec for message in self.node.published]


@pytest.fixture
def make_shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shown]:
    return lambda **options: Shown(monkeypatch, **options)


def test_without_a_listener_nothing_is_made(
    make_shown: Callable[..., Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = make_shown()
    monkeypatch.delattr(CanvasMessages, "show")
    for index in range(3):
        shown.show(index)
    shown.show(3, "no camera_info has arrived yet")
    assert shown.published == []
    assert shown.node.warnings == []


def test_who_comes_sees_the_next_image_and_then_the_canvas_keeps_its_rate(
    make_shown: Callable[..., Shown],
) -> None:
    shown = make_shown(canvas_rate=2.0)
    shown.node.listeners = 1
    for index in range(31):  # 30 images a second
        shown.now = 1000 + index / 30
        shown.show(index)
    assert shown.published == [0, 15, 30]
    shown.node.listeners = 2
    shown.show(31)
    assert shown.published == [0, 15, 30, 31]


def test_images_that_come_unevenly_at_the_canvas_s_rate_are_all_shown(
    make_shown: Callable[..., Shown],
) -> None:
    shown = make_shown(canvas_rate=10.0)
    shown.node.listeners = 1
    for index in range(20):
        shown.now = 1000 + index / 10 + (0.03 if index % 2 == 0 else 0.0)
        shown.show(index)
    assert len(shown.published) >= 19


def test_the_canvas_says_what_it_needs(make_shown: Callable[..., Shown]) -> None:
    shown = make_shown()
    shown.node.listeners = 1
    shown.show(0, "no camera_info has arrived yet")
    shown.show(1, CameraModel(K, np.zeros(5), False, (480, 640)))
    needs_info, other_size = shown.node.warnings
    assert needs_info == "no canvas: no camera_info has arrived yet"
    assert "640x480" in other_size
    assert shown.published == []
    shown.now += 2
    shown.show(2)
    assert shown.published == [2]


def test_a_point_on_the_canvas_has_the_stamp_of_the_image_that_is_seen(
    make_shown: Callable[..., Shown],
) -> None:
    shown = make_shown(canvas_distance=2.0)
    point = (0.3, -0.2, 2.0)
    assert shown.stamp_at(*point) is None
    shown.node.listeners = 1
    shown.show(4)
    shown.show(5)  # not shown: it is too soon
    assert shown.stamp_at(*point) == stamp_of(header(4))
    assert shown.stamp_at(0.0, 0.0, 2.019) == stamp_of(header(4))
    assert shown.stamp_at(0.0, 0.0, 2.021) is None
    assert shown.stamp_at(0.0, 0.0, 1.979) is None
    shown.node.listeners = 0
    shown.show(6)
    assert shown.stamp_at(*point) is None


@pytest.mark.parametrize(
    ("distance", "thickness"), [(0.2, 0.015), (1.0, 0.015), (1.5, 0.015), (2.0, 0.02), (10.0, 0.1)]
)
def test_a_click_is_on_the_canvas_if_rviz_s_depth_says_so_to_within_its_error(
    make_shown: Callable[..., Shown], distance: float, thickness: float
) -> None:
    shown = make_shown(canvas_distance=distance)
    shown.node.listeners = 1
    shown.show(4)

    def hit(z: float) -> bool:
        return shown.stamp_at(0.1, 0.0, z) == stamp_of(header(4))

    step = 0.006  # metres, of RViz's depth
    for drawn in (distance, 0.995 * distance):  # the canvas, and outlines on it
        assert hit(drawn) and hit(drawn - step) and hit(drawn + step)
    for side in (-1, 1):
        assert hit(distance + side * (thickness - 1e-6))
        assert not hit(distance + side * (thickness + 1e-6))


def test_what_is_shown_has_the_outlines_of_its_own_objects_at_the_canvas(
    make_shown: Callable[..., Shown],
) -> None:
    shown = make_shown(canvas_distance=0.2)
    shown.node.listeners = 1
    shown.show(3, ids=(1, 2))
    (message,) = shown.node.published
    assert message.markers[1:-1] == outlines(3, 1, 2, distance=0.2)
    assert {p.z for p in message.markers[1].points} == {0.995 * 0.2}


def test_when_an_object_starts_or_ends_the_canvas_is_renewed_at_once(
    make_shown: Callable[..., Shown],
) -> None:
    shown = make_shown(canvas_rate=0.001)
    shown.node.listeners = 1
    for index, ids in enumerate([(), (), (1,), (1,), (1, 2), (1, 2), (2,), (3,), (3,), ()]):
        shown.show(index, ids=ids)
    assert shown.published == [0, 2, 4, 6, 7, 9]


def test_an_image_is_replaced_before_it_leaves_the_history(
    make_shown: Callable[..., Shown],
) -> None:
    """Of 10 images, at a rate at which nothing is due."""
    shown = make_shown(canvas_rate=0.001)
    shown.node.listeners = 1
    for index in range(40):
        oldest = max(0, index - 9)
        shown.show(index, oldest=oldest)
        assert shown.stamp_at(0.0, 0.0, 1.0) >= stamp_of(header(oldest))
    assert shown.published == [0, 10, 15, 20, 25, 30, 35]


def test_of_what_was_forgotten_nothing_is_shown_and_the_next_image_is(
    make_shown: Callable[..., Shown],
) -> None:
    shown = make_shown()
    shown.node.listeners = 1
    point = (0.0, 0.0, 1.0)
    shown.show(4)
    shown.canvas.forget()
    assert shown.stamp_at(*point) is None
    shown.show(2, oldest=2)  # at the same time: it is not due yet
    assert shown.published == [4, 2]
    assert shown.stamp_at(*point) == stamp_of(header(2))


def test_rate_0_means_that_there_is_no_canvas(make_shown: Callable[..., Shown]) -> None:
    shown = make_shown(canvas_rate=0.0)
    shown.node.listeners = 1
    shown.show(0)
    assert shown.node.topics == []
    assert shown.published == []
    assert shown.stamp_at(0.0, 0.0, 1.0) is None
    shown.canvas.destroy()


def test_a_canvas_that_is_destroyed_is_not_offered(make_shown: Callable[..., Shown]) -> None:
    shown = make_shown()
    assert shown.node.topics == ["~/canvas"]
    shown.canvas.destroy()
    assert shown.node.topics == []
    shown.show(0)
    assert shown.published == []


# --- over DDS -----------------------------------------------------------------------------


class Listener:
    """Subscribes to a rig's canvas, as RViz does."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._heard: list[MarkerArray] = []
        self._changed = threading.Condition()
        self._subscription = rig.listener.create_subscription(
            MarkerArray, "/sam_pt/canvas", self._hear, 10
        )

    def __enter__(self) -> Listener:
        deadline = time.monotonic() + TIMEOUT
        while not self._rig.listener.count_publishers("/sam_pt/canvas"):
            assert time.monotonic() < deadline, "the node has no canvas"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._rig.destroy(self._subscription)

    def _hear(self, message: MarkerArray) -> None:
        with self._changed:
            self._heard.append(message)
            self._changed.notify_all()

    @property
    def heard(self) -> list[MarkerArray]:
        with self._changed:
            return list(self._heard)

    def wait(self, count: int, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self._heard) >= count, seconds)


def point_of(message: MarkerArray, scene: Any, pixel: tuple[float, float]) -> PointStamped:
    """What RViz sends, now by its clock, of a click on a pixel: on the triangle that has it."""
    marker = message.markers[-1]
    corners = np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 3, 3)
    uv = np.array([(t.u, t.v) for t in marker.uv_coordinates], np.float64).reshape(-1, 3, 2)
    place = np.array([(pixel[0] + 0.5) / scene.width, (pixel[1] + 0.5) / scene.height])
    sides = np.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], -1)
    two = np.linalg.solve(sides, (place - uv[:, 0])[..., None])[..., 0]
    shares = np.concatenate([1 - two.sum(1, keepdims=True), two], 1)  # of the corners
    inside = np.flatnonzero((shares >= -1e-6).all(1))
    assert len(inside), f"the pixel {pixel} is not on the canvas"
    x, y, z = shares[inside[0]] @ corners[inside[0]]
    point = PointStamped(header=Header(frame_id=marker.header.frame_id, stamp=Time(sec=2**30)))
    point.point.x, point.point.y, point.point.z = x, y, z
    return point


def test_a_click_on_the_canvas_means_the_image_that_it_showed(
    make_rig: Callable[..., Rig],
) -> None:
    """The canvas of this node is renewed for who comes only, in the time of a test."""
    rig = make_rig("mode:=every_frame", "canvas_rate:=0.01", "canvas_distance:=2.0")
    with Listener(rig) as listener:
        message, first = come(listener, rig)
        assert listener.heard == [message]
        assert [marker.action for marker in message.markers] == [Marker.DELETEALL, Marker.ADD]
        shown = message.markers[-1]
        seen = rig.scene.index(stamp_of(shown.header))
        assert shown.header.frame_id == "camera_optical_frame"
        image = decoded(shown.texture)
        assert np.abs(image.astype(int) - rig.scene.frame(seen).image).mean() < 5

        newest = first + 12
        rig.play(first, newest)
        assert listener.heard == [message]  # it still shows what it showed
        pixel = rig.scene.inner_point(THING, seen)
        said = rig.click("clicked_point", point_of(message, rig.scene, pixel))
        assert "refused" not in said
        # Half as far away, as on something that is really there: the newest image is meant.
        beside = point_of(message, rig.scene, rig.scene.inner_point(OCCLUDER, newest))
        for axis in "xyz":
            setattr(beside.point, axis, getattr(beside.point, axis) / 2)
        assert "refused" not in rig.click("clicked_point", beside)

        rig.play(newest + 1)
        on_it, beside_it = rig.objects(newest + 1).values()
        assert on_it.age == newest + 1 - seen
        assert beside_it.age == 1
        truth = rig.scene.frame(newest + 1).mask(THING)
        assert overlap(rig.mask(on_it.id, newest + 1), truth) > 0.8

        assert listener.wait(2, TIMEOUT)  # not due, but there are objects that were not shown
        renewed = listener.heard[-1].markers[1:]
        assert [(m.ns, m.id) for m in renewed] == [
            ("canvas", 2),
            *[(ns, i) for i in (on_it.id, beside_it.id) for ns in ("outline", "caption")],
            ("canvas", 1),
        ]
        assert {stamp_of(m.header) for m in renewed} == {rig.scene.stamp(newest + 1)}
        newest_outlines = rig.output("markers", newest + 1).markers[1:]
        assert renewed[1:-1] == newest_outlines
        assert {p.z for p in newest_outlines[0].points} == {0.995 * 2.0}


@pytest.fixture(scope="module")
def slow_rig(make_shared_rig: Callable[..., Rig]) -> Rig:
    """Its canvas is renewed for who comes only, and as its short history wants it."""
    return make_shared_rig(
        "mode:=every_frame",
        "canvas_rate:=0.01",
        "click_expansion:=false",
        "click_selects:=false",
        "positive_points:=1",
        "negative_points:=0",
        "reinitialization_horizon:=12",
        "history_length:=12",
    )


@pytest.fixture
def slow(slow_rig: Rig) -> Iterator[Rig]:
    slow_rig.order = {}
    slow_rig.reset()
    yield slow_rig
    assert slow_rig.node.alive, slow_rig.node.log.read_text()


def come(listener: Listener, rig: Rig, first: int = 0) -> tuple[MarkerArray, int]:
    """Play from a frame on until the canvas is seen; it, and the number of the next frame."""
    index = first
    while not listener.wait(1, 0.2):  # while the ends of the topic find each other
        rig.play(index)
        index += 1
    return listener.heard[-1], index


def test_pixels_clicked_on_the_canvas_of_a_distorting_lens_are_those_pixels(slow: Rig) -> None:
    """Nothing moves, so that a point is in the next frame where it was in the one clicked on."""
    lens = {"distortion_model": "plumb_bob", "d": [-0.35, 0.15, 0.004, -0.003, -0.02]}
    slow.order = {"content": 0, "info": lens}
    slow.play(0)
    slow.reset()
    with Listener(slow) as listener:
        message, index = come(listener, slow)
        assert len(message.markers[-1].points) > 6  # a lens that bends
        rng = np.random.default_rng(0)
        corners = [(0.0, 0.0), (319.0, 0.0), (0.0, 239.0), (319.0, 239.0)]
        inner = rng.uniform((0, 0), (319, 239), (16, 2)).round(2).tolist()
        for pixel in (pixels := [*corners, *map(tuple, inner)]):
            said = slow.click("clicked_point", point_of(message, slow.scene, pixel))
            assert "refused" not in said, (pixel, said)
        assert listener.heard == [message]
        slow.play(index)
    points = slow.output("tracked_points", index).points
    assert [p.object_id for p in points] == list(range(1, 21))
    found = np.array([(p.x, p.y) for p in points])
    off = np.linalg.norm(found - np.array(pixels), axis=1)
    assert off.max() < 0.5, off


def test_a_click_on_the_canvas_of_a_time_that_was_forgotten_means_the_newest_image(
    slow: Rig,
) -> None:
    """A recording begins again, and the canvas still shows the end of it."""
    with Listener(slow) as listener:
        message, _ = come(listener, slow, first=30)
        slow.reset()
        pixel = slow.scene.inner_point(THING, 0)
        said = slow.click("clicked_point", point_of(message, slow.scene, pixel))
        assert "refused" not in said
        slow.play(0)
        (item,) = slow.objects(0).values()
        assert item.age == 0
        (point,) = slow.output("tracked_points", 0).points
        assert np.hypot(point.x - pixel[0], point.y - pixel[1]) < 0.5
        assert listener.wait(2, TIMEOUT)  # what it shows now is of the new time
        assert stamp_of(listener.heard[-1].markers[-1].header) == slow.scene.stamp(0)


def test_the_canvas_is_renewed_before_its_image_can_no_longer_be_clicked_on(slow: Rig) -> None:
    with Listener(slow) as listener:
        _, index = come(listener, slow)
        last = index + 30
        slow.play(index, last)
        time.sleep(0.3)  # the canvas of an image comes after its objects
        shown = [slow.scene.index(stamp_of(m.markers[-1].header)) for m in listener.heard]
        assert len(shown) <= 8
        assert np.diff(shown).max() <= 12
        message = listener.heard[-1]
        pixel = slow.scene.inner_point(THING, shown[-1])
        assert "refused" not in slow.click("clicked_point", point_of(message, slow.scene, pixel))
        slow.play(last + 1)
        (item,) = slow.objects(last + 1).values()
        assert item.age == last + 1 - shown[-1]


def test_the_canvas_is_renewed_at_its_rate(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("mode:=every_frame", "canvas_rate:=30.0")
    with Listener(rig) as listener:
        index = 0
        while not listener.wait(4, 0.05):
            rig.play(index)
            index += 1
        ids = [[m.id for m in message.markers] for message in listener.heard[1:4]]
        assert ids in ([[0, 2, 1], [1, 2, 0], [0, 2, 1]], [[1, 2, 0], [0, 2, 1], [1, 2, 0]])
        stamps = [stamp_of(message.markers[-1].header) for message in listener.heard]
        assert stamps == sorted(set(stamps))
