"""The whole demo, over DDS."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("rich")
pytest.importorskip("sam_pt_ros.msg")

import cv2
from rosbags.rosbag2 import Writer

from sam_pt_ros.cli import main
from sam_pt_ros.demo.node_process import NodeFailedError
from sam_pt_ros.demo.session import play_and_record
from sam_pt_ros.paths import classical_configuration_file
from sam_pt_ros.recordings.clicks import Click
from sam_pt_ros.recordings.cutting import cut_bag
from sam_pt_ros.recordings.rosbag2 import open_bag, serialized_stamp
from sam_pt_ros.recordings.sources import BagSource, VideoSource
from support.media import count_frames, read, recording, write_video

LABEL_IMAGE = "/sam_pt/label_image"
CLICKS = ["--click", "45,60", "--click", "52,70", "--click", "120,100,-", "--start", "0.2"]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", frames=30)


def stamps(bag, topic):
    with open_bag(bag) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        return [serialized_stamp(raw) for _, _, raw in reader.messages(connections)]


def check_every_frame(out, frames, first):
    """All label images, in order, under the images' stamps, with objects from the first on."""
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames_in"], summary["frames_out"]) == (frames, frames)
    assert summary["frames_dropped"] == 0 and summary["stamps_in_order"]
    sent = stamps(out / "input", "/image")
    assert stamps(out / "output", LABEL_IMAGE) == sent
    assert stamps(out / "output", "/sam_pt/overlay") == sent
    labels = [m.data for m in read(out / "output", LABEL_IMAGE)]
    assert not np.concatenate(labels[:first]).any()
    assert labels[first].any()
    assert count_frames(out / "overlay.mp4") == frames
    return summary, labels


def test_every_frame_is_answered_and_twice_the_same(film, tmp_path):
    runs = []
    for name in ("one", "two"):
        arguments = ["demo", "--video", str(film), *CLICKS, "--every-frame"]
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
        summary, labels = check_every_frame(tmp_path / name, frames=30, first=5)
        assert summary["mode"] == "every_frame" and summary["latency_from"] == "sending"
        assert summary["objects"]["1"]["frames"] == 25
        runs.append([label.tobytes() for label in labels])
    assert runs[0] == runs[1]


def test_real_time(film, tmp_path, capsys):
    assert main(["demo", "--video", str(film), *CLICKS, "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["mode"] == "latest" and summary["frames_in"] == 30
    assert summary["frames_out"] + summary["frames_dropped"] == 30
    assert summary["frames_out"] > 1 and summary["stamps_in_order"]
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"]
    assert summary["output_hz"] > 0
    assert summary["objects"]["1"]["tracked"] > 0.5
    assert summary["seconds"]["play"] > 29 / 25  # never faster than real time
    assert count_frames(tmp_path / "overlay.mp4") == 30
    assert cv2.imread(str(tmp_path / "filmstrip.png")) is not None
    out = capsys.readouterr().out
    assert "output rate with objects" in out and "p50, p95" in out and "object 1" in out


def test_a_node_that_dies_is_shown(film, tmp_path):
    bag = cut_bag(tmp_path / "input", VideoSource(film), [Click(45, 60)])
    bad = tmp_path / "bad.yaml"
    bad.write_text("/**:\n  ros__parameters:\n    tracker: magic\n")
    with pytest.raises(NodeFailedError, match="magic"):
        play_and_record(bag, bad, False, tmp_path / "output", tmp_path / "node.log")


def test_a_disk_that_fills_up_while_outputs_are_recorded_is_said(
    film, tmp_path, monkeypatch, capsys
):
    write = Writer.write

    def write_until_full(bag, connection, stamp, data):
        if connection.topic == LABEL_IMAGE:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(bag, connection, stamp, data)

    monkeypatch.setattr(Writer, "write", write_until_full)
    arguments = ["demo", "--video", str(film), *CLICKS, "--every-frame", "--out", str(tmp_path)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error


def test_interrupted_it_leaves_no_node_behind(film, tmp_path):
    configuration = tmp_path / "of_this_test.yaml"
    configuration.write_text(classical_configuration_file().read_text())
    # Not by -m: CPython then ends with -2 instead of 130 where code that is compiled from a text,
    # such as that of a dataclass, was interrupted.
    program = "import sys; from sam_pt_ros.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "demo", "--video", str(film), *CLICKS]
    command += ["--config", str(configuration), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 300
        while not (found := nodes_of(configuration)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=300)
    finally:
        process.terminate()  # not killed, so that it can take the node along
        process.wait(300)
    assert "interrupted" in error
    assert process.returncode == 130
    assert not nodes_of(configuration)


def nodes_of(configuration):
    """Process ids of nodes with this configuration."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
        except OSError:
            continue
        if b"sam_pt_ros.track_node" in arguments and str(configuration).encode() in arguments:
            found.append(int(entry))
    return found


@pytest.mark.slow
def test_the_clip_every_frame_twice_the_same(tmp_path):
    runs = []
    for name in ("one", "two"):
        assert main(["demo", "--every-frame", "--out", str(tmp_path / name)]) == 0
        _, labels = check_every_frame(tmp_path / name, frames=132, first=50)
        runs.append([label.tobytes() for label in labels])
        for label in labels[50:]:
            assert {1, 2} <= set(np.unique(label))
    assert runs[0] == runs[1]


@pytest.mark.slow
def test_a_bag_that_the_demo_made_is_an_input(tmp_path):
    assert main(["demo", "--duration", "2.4", "--out", str(tmp_path)]) == 0
    again = ["demo", "--bag", str(tmp_path / "input"), "--every-frame", "--out", str(tmp_path)]
    assert main(again) == 0
    assert BagSource(recording(tmp_path / "input")).size == (640, 360)
    check_every_frame(tmp_path, frames=60, first=50)
