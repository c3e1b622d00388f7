"""The node with MobileSAM on a real film: what we ship, but for the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")
pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("rich")
pytest.importorskip("sam_pt_ros.msg")

from sam_pt_ros.cli import main
from support.media import film, read

CONFIG = Path(__file__).resolve().parents[2] / "config"
RANDOM = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}
TRACKING = 1


def run(out: Path, name: str, seconds: float, **changes: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The demo with a configuration that we ship, and pseudo-random weights."""
    content = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    parameters = content["/**"]["ros__parameters"]
    for backend, values in changes.items():
        parameters.setdefault(backend, {}).update(values)
    config = out / "random.yaml"
    config.write_text(yaml.safe_dump(content))
    asked = ["--video", str(film()), "--click", "700,300", "--click", "300,500,+,2"]
    asked += ["--config", str(config), "--every-frame", "--duration", str(seconds)]
    assert main(["demo", *asked, "--out", str(out / "demo")]) == 0
    log = (out / "demo" / "node.log").read_text()
    assert "segmenter mobile_sam (RANDOM WEIGHTS, for tests only, cpu, float32)" in log
    summary = json.loads((out / "demo" / "summary.json").read_text())
    assert summary["backends"]["segmenter"] == "mobile_sam (RANDOM WEIGHTS, for tests only)"
    return summary, read(out / "demo" / "output", "/sam_pt/objects")


def check(summary: dict[str, Any], objects: list[Any]) -> None:
    assert summary["frames_in"] == summary["frames_out"] == len(objects) >= 4
    assert summary["stamps_in_order"]
    for message in objects[1:]:
        assert [item.id for item in message.objects] == [1, 2]
        for item in message.objects:
            assert (item.state == TRACKING) == (item.area > 0)
            assert 0 <= item.score <= 1
    assert any(item.state == TRACKING for item in objects[1].objects)


def test_a_real_film_goes_through_cotracker_and_mobile_sam(tmp_path: Path) -> None:
    cotracker = {**RANDOM, "model_resolution": [96, 128]}
    once = {**RANDOM, "refinement_iterations": 1}
    check(*run(tmp_path, "cotracker_mobile_sam", 0.2, cotracker=cotracker, mobile_sam=once))


def test_a_real_film_goes_through_tapir_and_mobile_sam(tmp_path: Path) -> None:
    tapir = {**RANDOM, "model_resolution": [64, 64], "visible_above": 0.1}
    once = {**RANDOM, "refinement_iterations": 1}
    check(*run(tmp_path, "tapir_mobile_sam", 0.2, tapir=tapir, mobile_sam=once))


@pytest.mark.slow
def test_a_real_film_goes_through_lucas_kanade_and_mobile_sam(tmp_path: Path) -> None:
    check(*run(tmp_path, "lucas_kanade_mobile_sam", 0.2, mobile_sam=RANDOM))


@pytest.mark.slow
def test_a_real_film_goes_through_them_as_we_ship_them(tmp_path: Path) -> None:
    """Restarts in the past included."""
    summary, objects = run(
        tmp_path, "cotracker_mobile_sam", 1.5, cotracker=RANDOM, mobile_sam=RANDOM
    )
    check(summary, objects)
    assert len(objects) > 24
