"""A recording of the node's outputs that is interrupted at any moment is a bag all the same."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("rich")
pytest.importorskip("av")
pytest.importorskip("matplotlib")
pytest.importorskip("sam_pt_ros.msg")

from rosbags.rosbag2 import Reader

from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.recordings.rosbag2 import serialized_stamp, typestore
from support.media import write_sequence, write_video

FRAMES = 120


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("recordings")
    film = write_video(folder / "film.mp4", frames=FRAMES)
    frames, annotations = write_sequence(folder / "f", folder / "a", frames=FRAMES)
    bag = make_bag(MakeBagOptions(frames, folder / "disc", annotations)).path
    return {
        "demo": ["demo", "--video", str(film), "--click", "45,60", "--start", "0.2"],
        "replay": ["replay", str(bag)],
    }


@pytest.mark.parametrize("command", ["demo", "replay"])
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
def test_an_interrupted_recording_can_be_read(
    commands: dict[str, list[str]], tmp_path: Path, command: str, seed: int
) -> None:
    number = (signal.SIGINT, signal.SIGTERM)[seed % 2]
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "sam_pt_ros.cli", *commands[command], "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not any(file.stat().st_size > 10_000 for file in (out / "output").glob("*.mcap")):
            assert time.monotonic() < deadline and process.poll() is None, process.stderr
            time.sleep(0.02)
        time.sleep(random.Random(seed).uniform(0, 2))
        assert process.poll() is None, "the recording is over already"
        process.send_signal(number)
        _, error = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait(30)
    assert process.returncode == 128 + number and "Traceback" not in error, error

    stamps: dict[str, list[int]] = {}
    with Reader(out / "output") as bag:
        for connection, _, raw in bag.messages():
            typestore().deserialize_cdr(raw, connection.msgtype)
            if connection.topic != "/sam_pt/markers":
                stamps.setdefault(connection.topic, []).append(serialized_stamp(raw))
    assert {"/sam_pt/objects", "/sam_pt/label_image", "/sam_pt/overlay"} <= set(stamps)
    for topic, found in stamps.items():
        assert found == sorted(set(found)), topic
