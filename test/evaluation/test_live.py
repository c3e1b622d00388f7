"""A recording played to the real node, over DDS, in real time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")
pytest.importorskip("sam_pt_ros.msg")

from sam_pt_ros.cli import main
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.evaluation.results import ObjectRow, ScoreRow, read_rows
from support.media import count_frames, read, write_sequence

FRAMES = 25


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    frames, annotations = write_sequence(folder / "f", folder / "a", frames=FRAMES)
    return make_bag(MakeBagOptions(frames, folder / "disc", annotations)).path


def check(out: Path) -> None:
    live = json.loads((out / "summary.json").read_text())["live"]
    assert live["frames_in"] == FRAMES
    assert live["frames_out"] + live["dropped"] == FRAMES and live["frames_out"] >= FRAMES // 3
    assert 0 < live["latency_ms_p50"] <= live["latency_ms_p95"] < 5000
    rows = read_rows(out / "results.csv", ObjectRow)
    labels = read(out / "output", "/sam_pt/label_image")
    assert len(labels) == live["frames_out"]
    assert 0 < len(rows) <= live["frames_out"]
    frames = [row.frame for row in rows]
    assert frames == sorted(set(frames)) and frames[-1] < FRAMES
    (score,) = read_rows(out / "scores.csv", ScoreRow)
    assert score.scored == sum(not math.isnan(row.j) for row in rows) > 0
    assert score.j_mean > 0.85 and score.f_mean > 0.8
    assert count_frames(out / "overlay.mp4") == FRAMES
    report = (out / "report.html").read_text()
    assert "from the camera's stamp to the mask" in report and "Dropped" in report


def test_a_replay_says_what_was_dropped_and_how_late_it_was(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 0
    check(tmp_path / "out")
    assert "dropped; latency from stamp to mask" in " ".join(capsys.readouterr().out.split())


def test_an_evaluation_may_be_live_with_prompts_of_a_file(bag: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("prompts: [{frame: 2, pixel: [46, 60]}, {frame: 2, pixel: [54, 70]}]")
    out = tmp_path / "out"
    arguments = ["evaluate", str(bag), "--live", "--prompts", str(prompts), "--out", str(out)]
    assert main(arguments) == 0
    check(out)
    assert read_rows(out / "results.csv", ObjectRow)[0].frame >= 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            ["--prompts", "PROMPTS"],
            "a prompt names frame 99, but the recording has frames 0 to 24",
        ),
        (["--image-topic", "/camera"], "no messages on the topic '/camera'"),
    ],
)
def test_bad_input_is_found_before_the_node_is_started(
    bag: Path, tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("prompts: [{frame: 99, pixel: [46, 60]}]")
    more = [str(prompts) if text == "PROMPTS" else text for text in more]
    assert main(["replay", str(bag), "--out", str(tmp_path / "out"), *more]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out/node.log").exists()
