"""Results to messages, and prompts from messages."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Point
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sam_pt_ros.msg import ObjectPrompt, PointPrompt, TrackedObject
from sensor_msgs.msg import Image, PointField, RegionOfInterest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.space import ObjectInSpace, SpatialResult
from sam_pt_ros.interchange import messages
from sam_pt_ros.interchange.compressed_images import decode_compressed
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.recordings import rosbag2
from sam_pt_ros.ros.message_classes import make_rclpy_message
from sam_pt_ros.trackers import PointTracks

HEADER = Header(frame_id="camera")
HEADER.stamp.sec, HEADER.stamp.nanosec = 12, 34
SIZE = (20, 30)
MADE = messages.ResultMessages(make_rclpy_message)
CAMERA = CameraModel(np.array([[10.0, 0, 15], [0, 10, 10], [0, 0, 1]]), np.zeros(5), False)


def seen(object_id: int = 7) -> ObjectResult:
    mask = CroppedMask(np.array([[1, 1, 1], [1, 0, 1]], np.bool_), (4, 6), SIZE)
    points = PointTracks(
        3,
        np.array([5, 6, 9]),
        np.array([[4, 6], [6, 6], [20, 15]]),
        [True, False, True],
        [0.9, 0.0, 0.5],
    )
    labels = np.array([1, 1, 0], np.int32)
    return ObjectResult(object_id, "cup", ObjectState.TRACKING, 0.75, mask, points, labels, 3, 0)


def hidden() -> ObjectResult:
    empty = CroppedMask.empty(SIZE)
    nothing = np.zeros(0, np.int32)
    return ObjectResult(
        8, "", ObjectState.OCCLUDED, 0.0, empty, PointTracks.empty(3), nothing, 3, 2
    )


def result(*objects: ObjectResult) -> TrackResult:
    labels = np.zeros(SIZE, np.uint16)
    for item in objects:
        labels[item.mask.full()] = item.object_id
    return TrackResult(3, messages.stamp_of(HEADER), labels, objects, {})


def test_an_object_that_is_seen() -> None:
    made = MADE.objects(result(seen()), HEADER)
    assert made.header == HEADER
    (item,) = made.objects
    assert (item.id, item.label, item.state) == (7, "cup", TrackedObject.TRACKING)
    assert item.roi == RegionOfInterest(x_offset=4, y_offset=6, width=3, height=2)
    assert item.area == 5
    assert (item.centroid_x, item.centroid_y) == (pytest.approx(5.0), pytest.approx(6.4))
    assert (item.points_visible, item.points_total) == (1, 2)
    assert (item.score, item.age, item.frames_since_seen) == (0.75, 3, 0)
    assert not item.revised
    (item,) = MADE.objects(result(replace(seen(), revised=True)), HEADER).objects
    assert item.revised


def test_an_object_that_is_not_seen_has_no_place() -> None:
    (item,) = MADE.objects(result(hidden()), HEADER).objects
    assert item.state == TrackedObject.OCCLUDED
    assert (item.area, item.score, item.frames_since_seen) == (0, 0.0, 2)
    assert item.roi == RegionOfInterest()
    assert math.isnan(item.centroid_x)
    assert math.isnan(item.centroid_y)


def test_the_states_have_the_numbers_of_the_message() -> None:
    for state in ObjectState:
        assert getattr(TrackedObject, state.name) == state.value


@pytest.mark.parametrize(("object_id", "encoding"), [(255, "mono8"), (256, "mono16")])
def test_the_label_image_is_as_deep_as_its_ids(object_id: int, encoding: str) -> None:
    made = MADE.label_image(result(seen(object_id)), HEADER)
    assert (made.encoding, made.header) == (encoding, HEADER)
    dtype = np.uint8 if encoding == "mono8" else np.uint16
    pixels = np.frombuffer(made.data, dtype).reshape(SIZE)
    assert set(np.unique(pixels)) == {0, object_id}


def test_masks_are_cut_out_and_only_of_what_is_seen() -> None:
    made = MADE.masks(result(seen(), hidden()), HEADER)
    (mask,) = made.masks
    assert mask.object_id == 7
    assert mask.mask.header == HEADER
    assert (mask.roi.width, mask.roi.height) == (mask.mask.width, mask.mask.height) == (3, 2)
    assert list(mask.mask.data) == [255, 255, 255, 255, 0, 255]


def test_points_keep_their_ids_labels_and_visibility() -> None:
    made = MADE.tracked_points(result(seen()), HEADER)
    got = [(p.id, p.object_id, p.label, p.visible) for p in made.points]
    assert got == [(5, 7, 1, True), (6, 7, 1, False), (9, 7, 0, True)]
    assert (made.points[2].x, made.points[2].y, made.points[2].confidence) == (20, 15, 0.5)


def test_markers_delete_the_old_ones_first_and_lie_on_the_rays() -> None:
    made = MADE.markers(result(seen(), hidden()), HEADER, CAMERA).markers
    assert made[0].action == Marker.DELETEALL
    outline, caption = made[1:]
    rays = [(p.x / p.z, p.y / p.z) for p in outline.points]
    seen_at = {(round(x * 10 + 15, 9), round(y * 10 + 10, 9)) for x, y in rays}
    assert seen_at >= {(4.0, 6.0), (6.0, 6.0)}
    assert all(p.z == 0.995 for p in outline.points)  # in front of the canvas
    assert caption.text == "7 cup"
    assert {m.header.frame_id for m in made} == {"camera"}


@pytest.mark.parametrize("distance", [0.2, 1.0, 5.0])
def test_outlines_are_drawn_to_the_scale_of_the_canvas(distance: float) -> None:
    near = MADE.markers(result(seen()), HEADER, CAMERA).markers[1:]
    made = MADE.markers(result(seen()), HEADER, CAMERA, distance).markers[1:]
    assert made == MADE.outlines(result(seen()), HEADER, CAMERA, distance)
    outline, caption = made
    points = [[xyz(p) for p in marker.points] for marker in (near[0], outline)]
    np.testing.assert_allclose(points[1], distance * np.array(points[0]), rtol=1e-12)
    assert {p.z for p in outline.points} == {0.995 * distance}
    assert (outline.scale.x, caption.scale.z) == (0.004 * distance, 0.04 * distance)
    place, there = xyz(near[1].pose.position), xyz(caption.pose.position)
    np.testing.assert_allclose(there, distance * np.array(place), rtol=1e-12)
    assert place[2] == 0.995


# --- in space -----------------------------------------------------------------------------


def space() -> SpatialResult:
    """The object 7 is known, and two of its three points; nothing else."""
    points = np.array([[0.1, 0.2, 1.5], [np.nan] * 3, [0.3, 0.4, 2.5]])
    cloud = np.array([[0, 0, 1], [1, 2, 3], [-1, 1, 2]], np.float32)
    return SpatialResult("camera", {7: ObjectInSpace(points, cloud)})


def test_an_object_with_depth_has_a_place_in_both_frames() -> None:
    turned = np.array([[0, 0, 1, 10], [-1, 0, 0, 20], [0, -1, 0, 30], [0, 0, 0, 1.0]])
    made = MADE.objects(result(seen()), HEADER, space(), space().transformed(turned, "map"))
    (item,) = made.objects
    assert made.target_frame == "map" and made.header == HEADER
    assert xyz(item.extent.centroid) == (0, 1, 2)
    assert xyz(item.extent.box_min) == (-1, 0, 1) and xyz(item.extent.box_max) == (1, 2, 3)
    assert xyz(item.target_extent.centroid) == (12, 20, 29)
    assert xyz(item.target_extent.box_min) == (11, 19, 28)
    assert xyz(item.target_extent.box_max) == (13, 21, 30)


def test_points_with_depth_have_a_place() -> None:
    made = MADE.tracked_points(result(seen()), HEADER, space(), SpatialResult("map"))
    assert made.target_frame == "map"
    assert [xyz(p.position) for p in made.points[::2]] == [(0.1, 0.2, 1.5), (0.3, 0.4, 2.5)]
    assert all(map(math.isnan, xyz(made.points[1].position)))
    assert all(math.isnan(v) for p in made.points for v in xyz(p.target_position))


def test_without_depth_there_are_no_metres_rather_than_zeros() -> None:
    made = MADE.objects(result(seen(), hidden()), HEADER, SpatialResult("camera"))
    assert made.target_frame == ""
    for item in made.objects:
        for extent in (item.extent, item.target_extent):
            for point in (extent.centroid, extent.box_min, extent.box_max):
                assert all(map(math.isnan, xyz(point)))
    for point in MADE.tracked_points(result(seen()), HEADER).points:
        assert all(map(math.isnan, xyz(point.position)))


def xyz(point: Point) -> tuple[float, float, float]:
    return (point.x, point.y, point.z)


def test_a_cloud_has_the_points_of_all_objects_and_their_ids() -> None:
    two = SpatialResult(
        "camera",
        {
            9: ObjectInSpace(np.zeros((0, 3)), np.array([[4, 5, 6]], np.float32)),
            7: space().objects[7],
            8: ObjectInSpace(np.zeros((0, 3)), np.zeros((0, 3), np.float32)),
        },
    )
    made = MADE.cloud(two, HEADER)
    assert made.header == HEADER and (made.height, made.width, made.is_dense) == (1, 4, True)
    assert [(f.name, f.offset, f.datatype, f.count) for f in made.fields] == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
        ("object_id", 12, PointField.UINT32, 1),
    ]
    assert (made.point_step, made.row_step, made.is_bigendian) == (16, 64, False)
    rows = [struct.unpack_from("<fffI", made.data, 16 * i) for i in range(4)]
    assert rows == [(0, 0, 1, 7), (1, 2, 3, 7), (-1, 1, 2, 7), (4, 5, 6, 9)]
    assert MADE.cloud(SpatialResult("camera"), HEADER).width == 0


def test_a_compressed_overlay_is_a_jpeg_of_the_colours() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = (250, 20, 20)
    made = MADE.compressed(image, HEADER)
    assert made.header == HEADER and made.format == "rgb8; jpeg compressed bgr8"
    decoded = decode_compressed(made)
    assert np.abs(decoded.astype(int) - image)[:, [4, 60]].max() < 20


def test_detections_are_what_vision_msgs_asks_for() -> None:
    """Its package is not installed here: its fields are those of vision_msgs 4."""

    class NamespaceMaker:
        def __call__(self, kind: str, **fields: object) -> SimpleNamespace:
            return SimpleNamespace(kind=kind, **fields)

    made = messages.ResultMessages(NamespaceMaker()).detections(result(seen(), hidden()), HEADER)
    assert made.kind == "vision_msgs/msg/Detection2DArray" and made.header is HEADER
    (item,) = made.detections
    assert (item.kind, item.id, item.header) == ("vision_msgs/msg/Detection2D", "7", HEADER)
    (hypothesis,) = item.results
    assert vars(hypothesis.hypothesis) == {
        "kind": "vision_msgs/msg/ObjectHypothesis",
        "class_id": "cup",
        "score": 0.75,
    }
    assert item.bbox.kind == "vision_msgs/msg/BoundingBox2D"
    assert (item.bbox.size_x, item.bbox.size_y) == (3, 2)
    assert (item.bbox.center.position.x, item.bbox.center.position.y) == (5, 6.5)


# --- from messages ------------------------------------------------------------------------


def test_clicks_are_grouped_by_object() -> None:
    clicks = [
        PointPrompt(x=1.0, y=2.0, label=1),
        PointPrompt(x=3.0, y=4.0, label=1, object_label="cup"),
        PointPrompt(x=5.0, y=6.0, label=0),
        PointPrompt(x=7.0, y=8.0, label=0, object_id=3, object_label="first"),
        PointPrompt(x=9.0, y=9.0, label=1, object_id=3, object_label="second"),
    ]
    made = messages.requests_from_points(clicks)
    assert [(r.object_id, r.label) for r in made] == [(None, ""), (None, "cup"), (3, "first")]
    assert made[0].prompt.points.tolist() == [[1, 2], [5, 6]]
    assert made[0].prompt.labels.tolist() == [1, 0]
    assert made[2].prompt.points.tolist() == [[7, 8], [9, 9]]


@pytest.mark.parametrize(
    ("clicks", "words"),
    [
        ([], "no points"),
        ([PointPrompt(x=math.nan, y=1.0, label=1)], "must be finite"),
        ([PointPrompt(x=1.0, y=1.0, label=2)], "labels must be 1"),
    ],
)
def test_clicks_that_mean_nothing_are_refused(clicks: list[PointPrompt], words: str) -> None:
    with pytest.raises(UserError, match=words):
        messages.requests_from_points(clicks)


@given(
    st.lists(
        st.builds(
            PointPrompt,
            object_id=st.integers(0, 2**32 - 1) | st.integers(0, 3),
            object_label=st.text("ab", max_size=1),
            x=st.floats() | st.floats(0, 100),
            y=st.floats() | st.floats(0, 100),
            label=st.integers(0, 255) | st.integers(0, 1),
        ),
        max_size=4,
    )
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_any_clicks_are_taken_as_they_are_or_refused(clicks: list[PointPrompt]) -> None:
    try:
        made = messages.requests_from_points(clicks)
    except UserError:
        with np.errstate(over="ignore"):
            places = np.array([(p.x, p.y) for p in clicks], np.float32)
        assert (
            not clicks
            or not np.isfinite(places).all()
            or any(p.label > 1 for p in clicks)
            or any(p.object_id > 65535 for p in clicks)
        )
        return
    taken = np.concatenate([request.prompt.points for request in made])
    assert sorted(map(tuple, taken)) == sorted((np.float32(p.x), np.float32(p.y)) for p in clicks)


def test_a_mask_that_was_cut_out_lies_where_the_box_is() -> None:
    part = np.zeros((2, 5), np.uint8)
    part[0, :3] = 255
    sent = ObjectPrompt(box=RegionOfInterest(x_offset=4, y_offset=3, width=5, height=2))
    sent.mask = MADE.image(part, "mono8", HEADER)
    made = messages.request_from_prompt(sent, SIZE).prompt
    assert made.box is None and made.mask is not None and made.mask.shape == SIZE
    assert np.argwhere(made.mask).tolist() == [[3, 4], [3, 5], [3, 6]]
    with pytest.raises(UserError, match="needs an image first"):
        messages.request_from_prompt(sent)
    sent.box.x_offset = SIZE[1] - 4
    with pytest.raises(UserError, match=r"5x2 at \(\d+, 3\) extends beyond the image"):
        messages.request_from_prompt(sent, SIZE)


@pytest.mark.parametrize("sides", [(5, 0), (0, 7)])
def test_a_box_with_one_side_of_zero_is_refused(sides: tuple[int, int]) -> None:
    sent = ObjectPrompt(points=[PointPrompt(x=5.0, y=4.0, label=1)])
    sent.box = RegionOfInterest(width=sides[0], height=sides[1])
    with pytest.raises(UserError, match=f"the box is {sides[0]}x{sides[1]}; both sides must be"):
        messages.request_from_prompt(sent)


def test_a_prompt_with_everything() -> None:
    drawn = np.zeros(SIZE, np.uint8)
    drawn[3:5, 4:9] = 1
    sent = ObjectPrompt(label="cup", points=[PointPrompt(x=5.0, y=4.0, label=1)])
    sent.box = RegionOfInterest(x_offset=4, y_offset=3, width=5, height=2)
    sent.mask = MADE.image(drawn, "mono8", HEADER)
    made = messages.request_from_prompt(sent, SIZE)
    assert (made.label, made.object_id) == ("cup", None)
    assert made.prompt.box is not None
    assert made.prompt.box.tolist() == [4, 3, 8, 4]
    np.testing.assert_array_equal(made.prompt.mask, drawn > 0)
    assert not made.anew
    sent.object_id = 7
    made = messages.request_from_prompt(sent)
    assert made.object_id == 7 and made.anew
    bare = messages.request_from_prompt(ObjectPrompt(mask=Image()))
    assert bare.prompt.box is None
    assert bare.prompt.mask is None
    assert not bare.prompt.starts_object


@pytest.mark.parametrize("name", messages.KINDS)
def test_what_goes_into_a_bag_is_what_is_published(name: str) -> None:
    stored = messages.ResultMessages(rosbag2.make_bag_message)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    more = {"overlay": (image,), "markers": (CAMERA,)}.get(name, ())
    shown = result(seen(), hidden())
    published = getattr(MADE, name)(shown, HEADER, *more)
    written = getattr(stored, name)(
        shown, rosbag2.make_bag_header(12_000_000_034, "camera"), *more
    )
    store, kind = rosbag2.typestore(), messages.KINDS[name]
    # Once more through rosbags, because what rclpy leaves between two fields is anything.
    received = store.deserialize_cdr(serialize_message(published), kind)
    assert store.serialize_cdr(written, kind) == store.serialize_cdr(received, kind)


def test_stamp_zero_means_the_newest_frame() -> None:
    assert messages.prompt_stamp(Header()) is None
    assert messages.prompt_stamp(HEADER) == 12_000_000_034
