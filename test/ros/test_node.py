"""The node over real DDS: node, camera and listener are three processes."""

from __future__ import annotations

import math
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sam_pt_ros.msg import ObjectPrompt, PointPrompt, PointPromptArray, TrackedObject
from sam_pt_ros.srv import AddObjects, RemoveObject
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sam_pt_ros.interchange import images
from sam_pt_ros.interchange.compressed_images import decode_compressed
from support import packages
from support.rig import (
    TIMEOUT,
    NodeProcess,
    Rig,
    free_domain,
    node_command,
    run_node,
)
from support.scene import OCCLUDER, THING, overlap, passing_scene

TRACKING, OCCLUDED = TrackedObject.TRACKING, TrackedObject.OCCLUDED


def quality(rig: Rig, object_id: int, owner: int, index: int) -> float:
    """Overlap of an object's mask with the truth."""
    return overlap(rig.mask(object_id, index), rig.scene.frame(index).mask(owner))


def negative(x: float, y: float, **fields: Any) -> PointPrompt:
    return PointPrompt(x=float(x), y=float(y), label=PointPrompt.NEGATIVE, **fields)


# --- the promise of the issue -------------------------------------------------------------


def test_a_thing_is_followed_until_it_is_hidden_and_found_again(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    last = rig.scene.length - 1
    rig.play(1, last)
    hidden = rig.scene.hidden(THING)
    visible = [rig.scene.frame(i).visible[THING] for i in range(last + 1)]

    before = {i: quality(rig, 1, THING, i) for i in range(1, hidden.start) if visible[i] > 0.9}
    assert min(before.values()) > 0.8, before
    assert all(rig.objects(i)[1].state == TRACKING for i in before)
    assert [rig.objects(i)[1].state for i in hidden] == [OCCLUDED] * len(hidden)
    again = {i: quality(rig, 1, THING, i) for i in range(hidden.stop, last + 1)}
    assert max(again[i] for i in range(hidden.stop, hidden.stop + 10)) > 0.7, again
    after = {i: again[i] for i in again if i >= hidden.stop + 10 and visible[i] > 0.9}
    assert min(after.values()) > 0.7, after


def test_two_objects_have_two_ids_and_share_no_pixel(rig: Rig) -> None:
    rig.play(0)
    rig.points(
        rig.on(THING, 0, object_label="ball"), rig.on(OCCLUDER, 0, object_label="door"), index=0
    )
    rig.play(1, 12)
    assert {i: o.label for i, o in rig.objects(12).items()} == {1: "ball", 2: "door"}
    assert quality(rig, 1, THING, 12) > 0.8
    assert quality(rig, 2, OCCLUDER, 12) > 0.8
    for item in rig.objects(12).values():
        assert item.area == np.count_nonzero(rig.mask(item.id, 12))


def test_objects_go_on_from_their_masks_when_the_image_size_changes(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0, object_label="ball"), index=0)
    rig.play(1, 5)
    assert quality(rig, 1, THING, 5) > 0.8
    rig.order = {"width": 160}
    rig.play(6, 12)
    rig.log("image size changed from 320x240 to 160x120: objects start again from their masks")
    small = passing_scene(160)
    for index in range(6, 13):
        (item,) = rig.objects(index).values()
        assert (item.id, item.label, item.state) == (1, "ball", TRACKING)
        assert overlap(rig.mask(1, index), small.frame(index).mask(THING)) > 0.7


# --- the ways to add ----------------------------------------------------------------------


def test_a_pixel_click_starts_an_object(rig: Rig) -> None:
    rig.play(0)
    x, y = rig.scene.inner_point(THING, 0)
    rig.click("clicked_pixel", Point(x=x, y=y))
    rig.play(1, 5)
    assert quality(rig, 1, THING, 5) > 0.8


def test_a_point_in_the_camera_s_frame_starts_an_object(rig: Rig) -> None:
    rig.play(0)
    rig.click("clicked_point", point_on_thing(rig, 0, Time()))
    rig.play(1, 5)
    assert quality(rig, 1, THING, 5) > 0.8


def point_on_thing(rig: Rig, index: int, stamp: Time) -> PointStamped:
    """What RViz sends: a point 2 m in front of the camera."""
    x, y = rig.scene.inner_point(THING, index)
    depth, focal_length = 2.0, 300.0
    message = PointStamped(header=Header(frame_id="camera_optical_frame", stamp=stamp))
    message.point.x = (x - rig.scene.width / 2) / focal_length * depth
    message.point.y = (y - rig.scene.height / 2) / focal_length * depth
    message.point.z = depth
    return message


def test_the_service_starts_objects_from_points_a_box_and_a_mask(rig: Rig) -> None:
    rig.play(0)
    truth = rig.scene.frame(0).mask(THING)
    rows, columns = np.nonzero(truth)
    box = RegionOfInterest(
        x_offset=int(columns.min()),
        y_offset=int(rows.min()),
        width=int(np.ptp(columns)) + 1,
        height=int(np.ptp(rows)) + 1,
    )
    height, width = truth.shape
    mask = Image(height=height, width=width, step=width, encoding="mono8")
    mask.data = (truth * 255).astype(np.uint8).tobytes()
    for prompt in (
        ObjectPrompt(label="points", points=[rig.on(THING, 0)]),
        ObjectPrompt(label="box", box=box),
        ObjectPrompt(label="mask", mask=mask),
    ):
        rig.reset()
        rig.play(0)
        response = rig.call(
            "add_objects", AddObjects.Request(header=rig.header(0), objects=[prompt])
        )
        assert response.success and list(response.object_ids) == [1], response.message
        rig.play(1, 5)
        assert quality(rig, 1, THING, 5) > 0.8, prompt.label
        assert rig.objects(5)[1].label == prompt.label


def test_the_service_adds_all_or_none(rig: Rig) -> None:
    rig.play(0)
    bad = ObjectPrompt(points=[PointPrompt(x=1e6, y=1.0, label=PointPrompt.POSITIVE)])
    good = ObjectPrompt(points=[rig.on(THING, 0)])
    response = rig.call("add_objects", AddObjects.Request(objects=[good, bad]))
    assert not response.success and list(response.object_ids) == []
    assert "not in the image" in response.message
    rig.play(1)
    assert rig.objects(1) == {}


def test_a_negative_point_takes_away(rig: Rig) -> None:
    """The two things lie side by side and are both clicked as one; one is then taken away."""
    rig.play(0)
    x, y = rig.scene.inner_point(OCCLUDER, 0)
    rig.points(rig.on(THING, 0), negative(x, y), negative(x, y - 30), index=0)
    rig.play(1, 5)
    points = [p for p in rig.output("tracked_points", 5).points if p.object_id == 1]
    assert sum(p.label == PointPrompt.NEGATIVE for p in points) >= 2
    assert quality(rig, 1, THING, 5) > 0.8
    assert not rig.mask(1, 5)[rig.scene.frame(5).mask(OCCLUDER)].any()


def test_clicks_with_the_id_of_an_object_are_added_to_it(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0, object_id=7), index=0)
    rig.play(1)
    x, y = rig.scene.inner_point(OCCLUDER, 1)
    before = {p.id for p in rig.output("tracked_points", 1).points}
    rig.points(negative(x, y, object_id=7), index=1)
    rig.play(2)
    added = [p for p in rig.output("tracked_points", 2).points if p.id not in before]
    assert [(p.object_id, p.label) for p in added] == [(7, PointPrompt.NEGATIVE)]
    assert list(rig.objects(2)) == [7]


# --- the time of a click ------------------------------------------------------------------


def test_a_click_in_the_past_catches_up(rig: Rig) -> None:
    rig.play(0, 14)
    rig.points(rig.on(THING, 2), index=2)
    rig.play(15, 16)
    assert rig.objects(15)[1].age == 13
    assert quality(rig, 1, THING, 16) > 0.8


def test_a_request_in_the_past_catches_up(rig: Rig) -> None:
    rig.play(0, 14)
    request = AddObjects.Request(header=rig.header(2))
    request.objects = [ObjectPrompt(label="ball", points=[rig.on(THING, 2)])]
    response = rig.call("add_objects", request)
    assert response.success, response.message
    rig.play(15, 16)
    assert (rig.objects(15)[1].age, rig.objects(15)[1].label) == (13, "ball")
    assert quality(rig, 1, THING, 16) > 0.8


def test_a_point_in_the_camera_s_frame_has_a_time_too(rig: Rig) -> None:
    rig.play(0, 14)
    rig.click("clicked_point", point_on_thing(rig, 2, rig.header(2).stamp))
    rig.play(15)
    assert rig.objects(15)[1].age == 13
    assert rig.call("remove_object", RemoveObject.Request(object_id=1)).success
    # RViz stamps with its own clock: the newest frame is what its user has seen.
    rig.click("clicked_point", point_on_thing(rig, 15, Time(sec=2_000_000_000)))
    rig.play(16)
    assert rig.objects(16)[2].age == 1


def test_a_click_on_the_next_frame_waits_for_it(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 3), index=3)
    rig.play(1, 5)
    assert [list(rig.objects(i)) for i in range(1, 6)] == [[], [], [1], [1], [1]]
    assert rig.objects(3)[1].age == 0
    assert quality(rig, 1, THING, 5) > 0.8


def test_a_click_before_the_camera_starts_waits_for_it(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("mode:=every_frame", connect=False)
    answer = rig.points(rig.on(THING, 0), rig.on(THING, 2))
    assert "object 1" in answer  # and no image has been published yet
    index = rig.connect()
    assert list(rig.objects(index)) == [1]
    assert quality(rig, 1, THING, index) > 0.8


# --- removing, resetting, switching off ---------------------------------------------------


def test_a_removed_object_is_gone_from_every_output(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0, object_id=1), rig.on(OCCLUDER, 0, object_id=2), index=0)
    rig.play(1)
    response = rig.call("remove_object", RemoveObject.Request(object_id=1))
    assert response.success, response.message
    rig.play(2)
    assert list(rig.objects(2)) == [2]
    assert set(np.unique(rig.labels(2))) == {0, 2}
    assert {p.object_id for p in rig.output("tracked_points", 2).points} == {2}
    assert {m.object_id for m in rig.output("masks", 2).masks} == {2}


def test_a_reset_begins_at_id_one_again(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1)
    assert list(rig.objects(1)) == [1]
    assert rig.call("reset", Trigger.Request()).success
    rig.play(2)
    assert rig.objects(2) == {} and not rig.labels(2).any()
    rig.points(rig.on(OCCLUDER, 2), index=2)
    rig.play(3)
    assert list(rig.objects(3)) == [1]


def test_a_disabled_node_ignores_images_and_keeps_objects(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1)
    assert rig.call("enable", SetBool.Request(data=False)).success
    rig.camera.publish(range(2, 4))
    assert rig.call("enable", SetBool.Request(data=True)).success
    rig.play(4, 6)
    stamps = [rig.scene.stamp(i) for i in (0, 1, 4, 5, 6)]
    assert [s for s in rig.stamps("objects") if s in stamps] == stamps
    assert quality(rig, 1, THING, 6) > 0.8


# --- headers and outputs ------------------------------------------------------------------


def test_every_output_has_the_header_of_its_image(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1, 4)
    expected = rig.header(4).stamp
    for topic in ("objects", "label_image", "masks", "tracked_points", "overlay", "markers"):
        message = rig.output(topic, 4)
        headers = [m.header for m in message.markers] if topic == "markers" else [message.header]
        if topic == "masks":
            headers += [m.mask.header for m in message.masks]
        for header in headers:
            assert (header.stamp, header.frame_id) == (expected, "camera_optical_frame"), topic


def test_the_outputs_agree_with_each_other(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1, 4)
    mask = rig.mask(1, 4)
    rows, columns = np.nonzero(mask)
    item = rig.objects(4)[1]
    assert item.area == len(rows) and 0 < item.score <= 1
    assert (item.roi.x_offset, item.roi.y_offset) == (columns.min(), rows.min())
    assert (item.roi.width, item.roi.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert (item.centroid_x, item.centroid_y) == pytest.approx((columns.mean(), rows.mean()))
    (cut,) = rig.output("masks", 4).masks
    pixels = np.frombuffer(cut.mask.data, np.uint8).reshape(cut.mask.height, cut.mask.width)
    assert cut.roi == item.roi and set(np.unique(pixels)) <= {0, 255}
    x, y = cut.roi.x_offset, cut.roi.y_offset
    whole = mask[y : y + cut.roi.height, x : x + cut.roi.width]
    assert np.array_equal(pixels > 0, whole)
    points = rig.output("tracked_points", 4).points
    positives = [p for p in points if p.label == PointPrompt.POSITIVE]
    assert item.points_total == len(positives) == 16
    assert item.points_visible == sum(p.visible for p in positives)
    overlay = rig.output("overlay", 4)
    assert (overlay.encoding, overlay.width, overlay.height) == ("rgb8", 320, 240)


def test_the_overlay_comes_as_jpeg_too_for_who_asks(rig: Rig) -> None:
    heard: list[CompressedImage] = []
    listening = rig.listener.create_subscription(
        CompressedImage, "/sam_pt/overlay/compressed", heard.append, 10
    )
    try:
        rig.play(0)
        rig.points(rig.on(THING, 0), index=0)
        index = 0
        while not heard and index < rig.scene.length - 1:  # until it is known
            index += 1
            rig.play(index)
            time.sleep(0.05)
        stamp = heard[0].header.stamp
        index = next(i for i in range(index + 1) if rig.header(i).stamp == stamp)
        raw = rig.output("overlay", index)
        assert heard[0].header == raw.header
        expected = images.decode_image(raw)
        jpeg = decode_compressed(heard[0])
        assert jpeg.shape == expected.shape
        assert np.abs(jpeg.astype(int) - expected).mean() < 6
    finally:
        rig.destroy(listening)


def test_every_image_is_answered_once_and_in_order(rig: Rig) -> None:
    rig.play(0, 20)
    expected = [rig.scene.stamp(i) for i in range(21)]
    for topic in ("objects", "label_image", "masks", "tracked_points", "overlay"):
        rig.output(topic, 20)
        assert rig.stamps(topic) == expected, topic


def test_an_id_above_255_makes_the_label_image_16_bits_wide(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0, object_id=300), index=0)
    rig.play(1)
    assert rig.output("label_image", 1).encoding == "mono16"
    assert set(np.unique(rig.labels(1))) == {0, 300}


def test_the_same_images_twice_give_the_same_bytes(rig: Rig, make_rig: Callable[..., Rig]) -> None:
    def label_images(used: Rig) -> list[bytes]:
        used.play(0)
        used.points(used.on(THING, 0), used.on(OCCLUDER, 0, object_label="door"), index=0)
        used.play(1, 39)
        return [used.labels(i).tobytes() for i in range(40)]

    assert label_images(rig) == label_images(make_rig("mode:=every_frame"))


# --- cameras ------------------------------------------------------------------------------


def label_images(rig: Rig, **order: Any) -> list[bytes]:
    """Of five frames after five clicks on the thing."""
    rig.order = order
    rig.reset()
    rig.play(0)
    x, y = rig.scene.inner_point(THING, 0)
    places = [(0, 0), (-9, 0), (9, 0), (0, -9), (0, 9)]
    clicks = [PointPrompt(x=x + dx, y=y + dy, label=PointPrompt.POSITIVE) for dx, dy in places]
    rig.points(*clicks, index=0)
    rig.play(1, 5)
    return [rig.labels(i).tobytes() for i in range(1, 6)]


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8"])
def test_colour_cameras_give_what_an_rgb_camera_gives(rig: Rig, encoding: str) -> None:
    expected = label_images(rig)
    assert label_images(rig, encoding=encoding) == expected
    assert quality(rig, 1, THING, 5) > 0.8


def test_a_grey_camera_gives_what_a_colour_camera_of_grey_things_gives(rig: Rig) -> None:
    expected = label_images(rig, encoding="gray as rgb8")
    assert label_images(rig, encoding="mono8") == expected
    assert rig.objects(5)[1].state == TRACKING
    assert quality(rig, 1, THING, 5) > 0.8


def test_a_camera_of_the_usual_unreliable_kind_is_heard(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("mode:=latest", reliable=False, connect=False)
    answer = rig.points(rig.on(THING, 0), rig.on(THING, 3))
    assert "object 1" in answer
    index = rig.connect()
    assert quality(rig, 1, THING, index) > 0.8


def test_rows_may_be_padded(rig: Rig) -> None:
    expected = label_images(rig)
    assert label_images(rig, broken="padded") == expected


def test_compressed_images_give_masks(rig: Rig, make_rig: Callable[..., Rig]) -> None:
    expected = label_images(rig)
    compressed = make_rig(
        "mode:=every_frame", "image_transport:=compressed", order={"compressed": "png"}
    )
    assert label_images(compressed, compressed="png") == expected
    label_images(compressed, compressed="jpeg")
    assert quality(compressed, 1, THING, 5) > 0.8
    compressed.camera.publish([6], compressed="jpeg", broken="short")
    compressed.log("image refused: the compressed image .* cannot be decoded")
    compressed.order = {"compressed": "jpeg"}
    compressed.play(7)
    assert quality(compressed, 1, THING, 7) > 0.8


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (math.nan, 5.0, "finite"),
        (5.0, math.inf, "finite"),
        (1e300, 5.0, "finite"),
        (320.5, 5.0, r"\(320.5, 5\) is not in the image of 320x240"),
        (5.0, -3.0, "not in the image"),
    ],
)
@pytest.mark.parametrize("topic", ["points", "clicked_pixel"])
def test_a_bad_click_is_refused_and_the_node_lives(
    rig: Rig, topic: str, x: float, y: float, says: str
) -> None:
    rig.play(0)
    if topic == "points":
        answer = rig.points(PointPrompt(x=x, y=y, label=PointPrompt.POSITIVE))
    else:
        answer = rig.click("clicked_pixel", Point(x=x, y=y))
    assert "refused" in answer and "\n" not in answer
    rig.log(says)
    rig.play(1)
    assert rig.objects(1) == {}


def test_other_bad_clicks_are_refused(rig: Rig) -> None:
    rig.play(0)
    assert "refused" in rig.points()
    assert "refused" in rig.points(negative(5, 5))
    assert "refused" in rig.points(rig.on(THING, 0, object_id=70000))
    assert "refused" in rig.points(PointPrompt(x=5.0, y=5.0, label=2))
    stamped = PointStamped(header=Header(frame_id="somewhere_else"))
    assert "refused" in rig.click("clicked_point", stamped)
    behind = PointStamped(header=Header(frame_id="camera_optical_frame"))
    behind.point.z = -1.0
    assert "refused" in rig.click("clicked_point", behind)
    rig.play(1)
    assert rig.objects(1) == {}


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("step", "step is 1 bytes"),
        ("short data", "but rgb8 of 320x240 with a step of 960 needs 230400"),
        ("no data", "holds 0 bytes"),
        ("encoding", "encoding 'hsv12' is not supported; use one of"),
        ("no size", "0x0 pixels"),
        ("one row", "320x1 pixels"),
        ("huge", "pixels"),
    ],
)
def test_a_malformed_image_is_refused_and_the_next_one_is_processed(
    rig: Rig, broken: str, says: str
) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.camera.publish([1], broken=broken)
    rig.play(2, 3)
    assert "\n" not in rig.log(f"image refused: .*{says}")
    assert not rig.heard("objects", 1)
    assert quality(rig, 1, THING, 3) > 0.8


def test_unknown_objects_are_refused_by_the_service(rig: Rig) -> None:
    rig.play(0)
    response = rig.call("remove_object", RemoveObject.Request(object_id=9))
    assert not response.success and "no object 9" in response.message


def test_empty_service_requests_are_refused(rig: Rig) -> None:
    rig.play(0)
    response = rig.call("add_objects", AddObjects.Request())
    assert not response.success and response.message
    response = rig.call("add_objects", AddObjects.Request(objects=[ObjectPrompt()]))
    assert not response.success and "positive point" in response.message


def test_when_time_goes_back_the_node_begins_anew_and_says_so(rig: Rig) -> None:
    rig.play(50)
    rig.points(rig.on(THING, 50), index=50)
    rig.play(51)
    rig.camera.publish([0])
    rig.log("image refused: its stamp is 2 s before that of the image before; if the next one")
    rig.play(1)
    rig.log(r"time jumped by -2 s: all objects are forgotten; click again")
    assert rig.objects(0) == {} and rig.objects(1) == {}  # the first image was only held back
    assert rig.stamps("objects") == [rig.scene.stamp(index) for index in (50, 51, 0, 1)]


def test_a_recording_that_loops_keeps_its_clicks(rig: Rig) -> None:
    """Those on the first image of a round arrive while that is still a stray, or even before."""
    clicks = PointPromptArray(header=rig.header(0), prompts=[rig.on(THING, 0, object_id=7)])
    rig.play(0)
    for said in ("started object 7", *["object 7 starts once its image comes"] * 2):
        rig.forget()
        rig._publishers["points"].publish(clicks)
        rig.take_turn()
        rig.play(1)
        rig.log(f"click on 'points': {said}")
        assert rig.objects(1)[7].age == 1
        rig.play(50)
        rig.camera.publish([0])
        rig.take_turn()


def test_a_single_image_of_another_time_costs_no_object(rig: Rig) -> None:
    rig.play(70)
    rig.points(rig.on(THING, 70), index=70)
    for index in range(71, 81):  # as of two cameras of different times on one topic
        rig.camera.publish([0])
        rig.play(index)
    assert rig.objects(80)[1].age == 10
    rig.log(r"image refused: its stamp is 3 s before that of the image before")
    assert not rig.logs("time jumped")


def test_an_image_that_is_late_costs_no_object(rig: Rig) -> None:
    rig.play(0)
    rig.play(2)
    rig.points(rig.on(THING, 2), index=2)
    rig.camera.publish([3, 1])
    rig.play(4)
    rig.log("image refused: it is older than the image before")
    assert not rig.heard("objects", 1)
    assert rig.objects(4)[1].age == 2


def test_the_same_image_twice_is_processed_once(rig: Rig) -> None:
    rig.play(0)
    rig.camera.publish([0])
    rig.log("image refused: its stamp")
    rig.play(1)
    assert rig.stamps("objects") == [rig.scene.stamp(0), rig.scene.stamp(1)]


SEGMENTERS = '''
import hashlib, os, time
from pathlib import Path
from sam_pt_ros.segmenters.classical import ClassicalSegmenter

class Failing(ClassicalSegmenter):
    """Fails in some frames, as models do that run out of memory."""

    def predict(self, prompts):
        if self._failing:
            raise RuntimeError("out of memory")
        return super().predict(prompts)

    def set_image(self, frame):
        self._failing = frame.index in (3, 4)
        super().set_image(frame)

class Slow(ClassicalSegmenter):
    """Takes as long as there is a file `hold` beside it, and then makes a file `held`."""

    def predict(self, prompts):
        while Path(__file__).with_name("hold").exists():
            Path(__file__).with_name("held").touch()
            time.sleep(0.005)
        return super().predict(prompts)

class Large(ClassicalSegmenter):
    """Takes long to be loaded, by what is not written in Python."""

    def __init__(self, options):
        Path(__file__).with_name("held").touch()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 30_000_000)
        super().__init__(options)

class Missing(ClassicalSegmenter):
    """Lacks its weights."""

    def __init__(self, options):
        raise FileNotFoundError("weights.pt")
'''


NAMES = ("Failing", "Slow", "Large", "Missing")


@pytest.fixture
def more_segmenters(tmp_path: Path) -> Path:
    """A folder with a package of segmenters that are no good."""
    offered = {name.lower(): f"more_segmenters:{name}" for name in NAMES}
    packages.install(tmp_path, "more_segmenters", SEGMENTERS, segmenters=offered)
    return tmp_path


def hold(folder: Path) -> None:
    (folder / "hold").touch()


def wait_until_held(folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not (folder / "held").exists():
        assert time.monotonic() < deadline, "the segmenter is not asked"
        time.sleep(0.005)


def let_go(folder: Path) -> None:
    (folder / "hold").unlink()
    (folder / "held").unlink()


def test_a_failing_model_costs_no_frame_its_result(
    make_rig: Callable[..., Rig], more_segmenters: Path
) -> None:
    rig = make_rig("mode:=every_frame", "segmenter:=failing", packages=more_segmenters)
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1, 12)
    assert "out of memory" in rig.log("object 1 cannot be segmented")
    states = [rig.objects(i)[1].state for i in range(1, 7)]
    assert states == [TRACKING, TRACKING, OCCLUDED, OCCLUDED, TRACKING, TRACKING]
    assert rig.objects(12)[1].age == 12
    assert quality(rig, 1, THING, 12) > 0.8


def test_an_object_of_a_few_pixels_costs_the_others_nothing(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    tiny = ObjectPrompt(box=RegionOfInterest(x_offset=300, y_offset=200, width=2, height=2))
    rig.call("add_objects", AddObjects.Request(header=rig.header(0), objects=[tiny]))
    rig.play(1, 9)
    assert all(quality(rig, 1, THING, i) > 0.8 for i in range(1, 10))


# --- slow models --------------------------------------------------------------------------


def test_a_slow_model_is_never_asked_by_two_threads(
    make_rig: Callable[..., Rig], more_segmenters: Path
) -> None:
    """Deactivating waits for the frame in hand; what is disabled meanwhile is not processed."""
    rig = make_rig("mode:=every_frame", "segmenter:=slow", packages=more_segmenters)
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)

    hold(more_segmenters)
    rig.camera.publish(range(1, 5))
    wait_until_held(more_segmenters)
    assert rig.call("enable", SetBool.Request(data=False)).success
    let_go(more_segmenters)
    rig.output("objects", 1)
    assert rig.call("enable", SetBool.Request(data=True)).success
    rig.play(5)

    hold(more_segmenters)
    rig.camera.publish([6])
    wait_until_held(more_segmenters)
    deactivated = change_later(rig, Transition.TRANSITION_DEACTIVATE)
    assert not deactivated.wait(2)
    let_go(more_segmenters)
    assert deactivated.wait(TIMEOUT)
    assert change(rig, Transition.TRANSITION_ACTIVATE)
    index = rig.connect(7)
    stamps = rig.stamps("objects")
    assert stamps[:5] == [rig.scene.stamp(i) for i in (0, 1, 5, 6, 7)]
    assert quality(rig, 1, THING, index) > 0.8

    hold(more_segmenters)
    rig.camera.publish([index + 1])
    wait_until_held(more_segmenters)
    rig.call_later(AddObjects, "add_objects", AddObjects.Request())
    assert rig.node.end(signal.SIGTERM) == 0  # the model is not waited for
    assert "ERROR" not in rig.node.log.read_text()


def test_a_service_that_waits_for_a_slow_model_keeps_nobody_else_waiting(
    make_rig: Callable[..., Rig], more_segmenters: Path
) -> None:
    given = ("mode:=every_frame", "segmenter:=slow", "input_timeout:=2.0")
    rig = make_rig(*given, packages=more_segmenters)
    heard: list[str] = []
    rig.listener.create_subscription(
        DiagnosticArray,
        "/diagnostics",
        lambda message: heard.extend(status.message for status in message.status),
        10,
    )
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    hold(more_segmenters)
    rig.camera.publish([1])
    wait_until_held(more_segmenters)
    request = RemoveObject.Request(object_id=1)
    removed, first = rig.call_later(RemoveObject, "remove_object", request)
    refused, second = rig.call_later(RemoveObject, "remove_object", request)
    number = len(heard)
    rig.forget()
    for index in range(2, 600):
        rig.camera.publish([index % 19])
        time.sleep(0.1)
        if any("no result for" in message for message in heard[number:]):
            break
    else:
        raise AssertionError(f"diagnostics stand still: {heard}")
    assert state(rig) == State.PRIMARY_STATE_ACTIVE
    assert rig.call("enable", SetBool.Request(data=False)).success
    assert not removed.is_set() and not refused.is_set()
    assert rig.logs("no image on") == []
    let_go(more_segmenters)
    assert removed.wait(TIMEOUT) and first.result().success, first.result()
    assert refused.wait(TIMEOUT) and not second.result().success

    assert rig.call("enable", SetBool.Request(data=True)).success
    assert rig.call("reset", Trigger.Request()).success  # it has found its way to the node
    rig.play(20)
    rig.points(rig.on(THING, 20), index=20)
    hold(more_segmenters)
    rig.camera.publish([21])
    wait_until_held(more_segmenters)
    forgotten, answer = rig.call_later(Trigger, "reset", Trigger.Request())
    # What has not been taken is gone with the service. Nothing tells when that is: requests of
    # two services may overtake each other, though not several round trips.
    for _ in range(5):
        assert rig.call("enable", SetBool.Request(data=True)).success
    shut_down = change_later(rig, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert not shut_down.wait(0.5)
    let_go(more_segmenters)
    assert shut_down.wait(TIMEOUT) and forgotten.wait(TIMEOUT)
    assert not answer.result().success and "stopped first" in answer.result().message
    assert state(rig) == State.PRIMARY_STATE_FINALIZED
    assert rig.node.end() == 0
    assert "ERROR" not in rig.node.log.read_text()


# --- life cycle ---------------------------------------------------------------------------


def state(rig: Rig) -> int:
    answer = rig.call_service(GetState, "get_state", GetState.Request())
    return int(answer.current_state.id)


def change(rig: Rig, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(rig.call_service(ChangeState, "change_state", request).success)


def change_later(rig: Rig, transition: int) -> threading.Event:
    request = ChangeState.Request(transition=Transition(id=transition))
    return rig.call_later(ChangeState, "change_state", request)[0]


def test_the_life_cycle_is_driven_by_its_services(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("mode:=every_frame", "autostart:=false", connect=False)

    assert state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):  # a node that was cleaned up can be used again
        assert change(rig, Transition.TRANSITION_CONFIGURE)
        assert state(rig) == State.PRIMARY_STATE_INACTIVE
        assert change(rig, Transition.TRANSITION_ACTIVATE)
        assert state(rig) == State.PRIMARY_STATE_ACTIVE
        rig.forget()
        index = rig.connect()
        rig.points(rig.on(THING, index), index=index)
        rig.play(index + 1)
        assert change(rig, Transition.TRANSITION_DEACTIVATE)
        assert change(rig, Transition.TRANSITION_ACTIVATE)
        index = rig.connect(index + 2)
        assert quality(rig, 1, THING, index) > 0.8  # objects outlive a pause
        assert change(rig, Transition.TRANSITION_DEACTIVATE)
        assert change(rig, Transition.TRANSITION_CLEANUP)
        assert state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    assert change(rig, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert state(rig) == State.PRIMARY_STATE_FINALIZED


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],  # one handler
    ids=lambda s: s.name,
)
def test_a_signal_ends_the_node_at_once_and_well(
    make_rig: Callable[..., Rig], number: signal.Signals
) -> None:
    rig = make_rig("mode:=every_frame")
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.camera.publish(range(1, 40))  # it is busy
    ending = rig.node.end_measured(number)
    assert ending.busy < 2
    log = rig.node.log.read_text()
    assert ending.code == 0, log
    assert not re.search("Traceback|ERROR|Failed", log), log


@pytest.mark.parametrize(
    ("number", "configured"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, True),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, True, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_node_that_is_not_active(
    make_rig: Callable[..., Rig], number: signal.Signals, configured: bool
) -> None:
    rig = make_rig("autostart:=false", connect=False)
    rig.call_service(GetState, "get_state", GetState.Request())
    if configured:
        assert change(rig, Transition.TRANSITION_CONFIGURE)
    ending = rig.node.end_measured(number)
    assert ending.code == 0 and ending.busy < 2


INTERRUPTED = """
import os, signal, sys
from sam_pt_ros import track_node
from sam_pt_ros.ros import execution, live_stream, node

def interrupted(*arguments):
    os.kill(os.getpid(), signal.{name})
    return original(*arguments)

original, {place} = {place}, interrupted
sys.exit(track_node.main())
"""


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("SIGINT", "execution.TrackNode"),
        ("SIGTERM", "node.Parameters"),
        ("SIGINT", "live_stream.ImageInput"),
        pytest.param("SIGTERM", "execution.TrackNode", marks=pytest.mark.slow),
        pytest.param("SIGINT", "node.Parameters", marks=pytest.mark.slow),
        pytest.param("SIGTERM", "live_stream.ImageInput", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_node_that_is_being_started(name: str, place: str) -> None:
    ended = run_node([sys.executable, "-c", INTERRUPTED.format(name=name, place=place)])
    assert ended.returncode == 0, ended.stderr
    assert not re.search("Traceback|ERROR|terminate", ended.stderr), ended.stderr


def test_a_signal_ends_a_node_that_loads_what_cannot_be_interrupted(
    more_segmenters: Path,
) -> None:
    log = more_segmenters / "log"
    node = NodeProcess(free_domain(), log, "segmenter:=large", packages=more_segmenters)
    wait_until_held(more_segmenters)
    ending = node.end_measured(signal.SIGINT)
    assert ending.code == 0 and ending.busy < 2  # loading takes several times that
    assert not re.search("Traceback|ERROR|terminate", log.read_text()), log.read_text()


def test_the_mode_latest_drops_images_instead_of_falling_behind(
    make_rig: Callable[..., Rig], more_segmenters: Path
) -> None:
    rig = make_rig("mode:=latest", "segmenter:=slow", packages=more_segmenters)
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    hold(more_segmenters)
    rig.camera.publish([1])
    wait_until_held(more_segmenters)
    rig.camera.publish(range(2, 21))  # while it is held by the one before
    rig.take_turn()
    let_go(more_segmenters)
    rig.output("objects", 20)
    stamps = rig.stamps("objects")
    assert stamps == sorted(stamps)
    assert len(stamps) < 6


# --- wrong parameters ---------------------------------------------------------------------


def rare(*values: Any) -> Any:
    """Slow: that it is refused, and how, other tests know without starting a node."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        rare("no_such_option:=1", "no_such_option"),
        ("trakcer:=lucas_kanade", "did you mean 'tracker'"),
        ("tracker:=no_such_tracker", "unknown tracker 'no_such_tracker'"),
        rare("segmenter:=clasical", "did you mean 'classical'"),
        rare("mode:=sometimes", "latest, every_frame"),
        rare("positive_points:=0", "positive_points"),
        ("positive_points:=many", "positive_points"),
        ("lucas_kanade.no_such:=1", "no_such"),
        rare("classical.object_size:=1", "object_size"),
        (
            "qos_overrides./sam_pt/objects.publisher.reliability:=bogus",
            "'qos_overrides./sam_pt/objects.publisher.reliability' must be one of reliable, ",
        ),
        rare("qos_overrides./image.subscription.depth:=deep", "must be a whole number from 1 to"),
    ],
)
def test_a_wrong_parameter_ends_the_node_with_one_line(parameter: str, says: str) -> None:
    ended = run_node(node_command(parameter))
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert says in line and ended.stdout == ""


def test_an_unknown_key_of_the_configuration_file_ends_the_node(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("/**:\n  ros__parameters:\n    horizont: 8\n")
    ended = run_node(node_command(config=config))
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert "horizont" in line


@pytest.mark.parametrize(
    "arguments",
    [["--params-file", "/nonexistent.yaml"], ["--params-file", "{broken}"], ["-r", "a:=:=b"]],
)
def test_a_command_line_that_ros_refuses_ends_the_node_with_one_line(
    arguments: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("/**: [")
    arguments = [argument.format(broken=broken) for argument in arguments]
    ended = run_node([*node_command(config=None), *arguments])
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("track_node: cannot start: ")


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("segmenter:=missing", "configured.*weights.pt"),
    ],
)
def test_what_cannot_be_used_ends_the_node_with_its_reason(
    parameter: str, says: str, more_segmenters: Path
) -> None:
    ended = run_node(node_command(parameter), PYTHONPATH=str(more_segmenters))
    assert ended.returncode == 2
    assert re.search(f"the node cannot be {says}", ended.stderr.strip().splitlines()[-1])
