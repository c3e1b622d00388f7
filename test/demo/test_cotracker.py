"""The demo with CoTracker on a real film, with pseudo-random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("rich")
pytest.importorskip("sam_pt_ros.msg")

from sam_pt_ros.cli import main
from sam_pt_ros.paths import configuration_file
from support.media import film, read

CONFIG = Path(__file__).resolve().parents[2] / "config" / "cotracker.yaml"


def test_a_configuration_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration_file(Path("cotracker")).samefile(CONFIG)
    assert configuration_file(Path("nothing")) == Path("nothing")
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "cotracker"
    own.touch()
    assert configuration_file(Path("cotracker")).samefile(own)


def test_clicks_that_come_with_a_film_need_its_first_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film()
    assert main(["demo", "--duration", "1", "--out", str(tmp_path)]) == 2
    assert "its clicks need a --duration of more than 2" in capsys.readouterr().err


def run(out: Path, seconds: float, **changes: Any) -> tuple[dict[str, Any], list[Any]]:
    """The demo with the configuration that we ship, but for the weights."""
    content = yaml.safe_load(CONFIG.read_text())
    content["/**"]["ros__parameters"]["cotracker"].update(
        checkpoint="random", allow_random_weights=True, device="cpu", **changes
    )
    config = out / "random.yaml"
    config.write_text(yaml.safe_dump(content))
    asked = ["--video", str(film()), "--click", "700,300", "--click", "300,500,+,2"]
    asked += ["--config", str(config), "--every-frame", "--duration", str(seconds)]
    assert main(["demo", *asked, "--out", str(out / "demo")]) == 0
    summary = json.loads((out / "demo" / "summary.json").read_text())
    return summary, read(out / "demo" / "output", "/sam_pt/tracked_points")


def check(summary: dict[str, Any], points: list[Any]) -> None:
    assert summary["frames_in"] == summary["frames_out"] == len(points) >= 6
    assert summary["stamps_in_order"]
    assert {len(message.points) for message in points[1:]} == {34}
    assert {p.object_id for p in points[-1].points} == {1, 2}


def test_a_real_film_goes_through_the_node(tmp_path: Path) -> None:
    check(*run(tmp_path, 0.4, model_resolution=[96, 128]))


def test_a_tracker_that_answers_late_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "windowed.yaml"
    content = yaml.safe_load(CONFIG.read_text())
    content["/**"]["ros__parameters"]["cotracker"]["mode"] = "windowed"
    config.write_text(yaml.safe_dump(content))
    assert main(["demo", "--config", str(config), "--out", str(tmp_path / "demo")]) == 2
    assert "answers up to 16 frames late, but the demo waits" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_film_goes_through_the_node_at_full_resolution(tmp_path: Path) -> None:
    check(*run(tmp_path, 1.0))
