"""The benchmarks' output is read by machines: the last line is one JSON object."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks import evaluation, images, metrics, node, soak, tracker
from benchmarks.stream import Heard
from sam_pt_ros.interchange.images import ENCODINGS
from support.scene import THING, passing_scene

CONFIG = Path(__file__).resolve().parents[1] / "config" / "classical.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder like that of DAVIS 2016, with one short sequence of the generated scene."""
    scene = passing_scene()
    images = tmp_path / "JPEGImages" / "480p" / "passing"
    annotations = tmp_path / "Annotations" / "480p" / "passing"
    for folder in (images, annotations):
        folder.mkdir(parents=True)
    for index in range(6):
        frame = scene.frame(index)
        cv2.imwrite(str(images / f"{index:05d}.jpg"), frame.image[..., ::-1])
        mask = frame.mask(THING).astype(np.uint8) * 255
        cv2.imwrite(str(annotations / f"{index:05d}.png"), mask)
    return tmp_path


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_metrics_are_timed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metrics.main(["--root", str(root)]) == 0
    summary = last_line(capsys)
    for name in ("j_ms_median", "f_ms_median", "both_ms_median"):
        assert 0 < summary[name] < 1000  # type: ignore[operator]
    assert list(summary["sequences"]) == ["passing"]  # type: ignore[call-overload]
    assert metrics.main(["--root", str(root), "--sequences", "other"]) == 2


def test_the_evaluation_is_timed_beside_the_pipeline(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "TURNS", 1)
    assert evaluation.main(["--root", str(root), "--sequence", "passing"]) == 0
    summary = last_line(capsys)
    assert summary["frames"] == 20  # there and back, twice
    assert summary["ratio_median"] == pytest.approx(
        summary["evaluation_ms_per_frame"] / summary["pipeline_ms_per_frame"],  # type: ignore[operator]
        rel=1e-6,
    )
    assert evaluation.main(["--root", str(root), "--sequence", "other"]) == 2


def test_decoding_is_timed_for_every_encoding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SIZES", ((80, 80),))
    assert images.main(["--turns", "2"]) == 0
    found: Any = last_line(capsys)["decode_ms"]
    assert set(found["80x80"]) == {*ENCODINGS, "jpeg", "png"}
    assert all(0 < time["median"] <= time["p95"] for time in found["80x80"].values())


@pytest.mark.parametrize("benchmark", [metrics, evaluation])
def test_without_the_folder_they_are_skipped_visibly(
    tmp_path: Path, benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["--root", str(tmp_path / "nowhere")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("skipped: no DAVIS 2016")
    assert list(json.loads(said[-1])) == ["skipped"]


def test_the_node_is_timed_beside_a_bare_echo(capsys: pytest.CaptureFixture[str]) -> None:
    size = "160x120"
    options = ["--seconds", "1", "--settle", "0.5", "--sizes", size, "--parts", "floor,shell"]
    assert node.main(options) == 0
    summary: Any = last_line(capsys)
    for name in ("floor_ms", "shell_latency_ms"):
        found = summary[name][size]
        assert 0 < found["p50"] <= found["p95"] <= found["p99"] <= found["max"]
    shell = summary["shell"][size]
    assert 5 < shell["output_rate"] < 40 and shell["cpu_ms_per_frame"] > 0
    assert {"decode", "tracker", "segmenter", "publish", "waited"} <= set(shell["stages_ms"])
    assert shell["all_outputs_ms"]["p50"] > 0
    assert summary["classical"] == {}


def test_the_soak_finds_what_is_amiss() -> None:
    heard = [Heard(stamp, 0, 0) for stamp in (1, 2, 2, 5, 4, 6)]
    found = soak.check_stamps(heard, {1, 2, 4, 6})
    assert found == {"received": 6, "without_image": 1, "out_of_order": 2}
    seconds = np.arange(400.0)
    flat, leaking = np.full(400, 1e8), 1e8 + 1e5 * seconds
    assert soak.check_memory(seconds, flat, 120)["most_change"] == 0
    found_memory = soak.check_memory(seconds, leaking, 120)
    assert found_memory["most_change"] > soak.GROWTH
    assert found_memory["mb_per_hour"] == pytest.approx(360)


def test_a_soak_without_outputs_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = {"alive": True, "topics": {"objects": soak.check_stamps([], set())}, "refused": []}
    size = np.full(400, 1e8)
    monkeypatch.setattr(soak, "soak", lambda seconds: (nothing, np.arange(400.0), size))
    assert soak.main(["--plot", str(tmp_path / "soak.png")]) == 1
    checks = last_line(capsys)["checks"]
    assert [name for name, passed in checks.items() if not passed] == ["answered"]


def test_a_short_soak_has_outputs_in_order_and_a_plot(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(soak, "PERIOD", 0.5)
    plot = tmp_path / "soak.png"
    soak.main(["--minutes", "0.05", "--plot", str(plot)])  # too short for memory to settle
    summary: Any = last_line(capsys)
    assert summary["checks"].pop("flat") in (True, False)
    assert summary["checks"] == dict.fromkeys(summary["checks"], True), summary
    assert summary["topics"]["objects"]["received"] > 1  # in order
    assert summary["objects_added"] == summary["objects_removed"] + 2 >= 3
    assert plot.stat().st_size > 1000


@pytest.mark.slow
def test_trackers_are_timed_with_their_stages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    threads = torch.get_num_threads()
    try:
        asked = ["--points", "2,5", "--turns", "1", "--resolution", "64", "96"]
        asked += ["--trackers", ",".join(STAGES)]
        assert tracker.main([*asked, "--threads", "2"]) == 0
    finally:
        torch.set_num_threads(threads)
    summary: Any = last_line(capsys)
    for name, stages in STAGES.items():
        for count in ("2", "5"):
            assert summary["ms_per_frame"][name][count] > 0
            shares = summary["stages"].get(name, {}).get(count, {})
            assert set(shares) == stages
            assert all(share > 0 for share in shares.values()) and sum(shares.values()) < 1.1
    assert (summary["device"], summary["threads"], summary["weights"]) == ("cpu", 2, "random")


STAGES = {
    "lucas_kanade": set(),
    "cotracker": {"features", "correlation", "transformer"},
    "cotracker windowed": {"features", "correlation", "transformer"},
    "tapir": {"features", "first estimate", "correlation", "mixer"},
    "tapir offline": {"features", "first estimate", "correlation", "mixer"},
    "tapnet": {"features", "matching"},
}
"""Stages that are timed by tracker."""


def test_tracker_refuses_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    assert tracker.main(["--device", "cuda:99"]) == 2
    assert "benchmarks.tracker: the device 'cuda:99' is not available" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        tracker.main(["--trackers", "nothing"])
    assert "'nothing' is none of lucas_kanade" in capsys.readouterr().err


@pytest.mark.slow
def test_the_segmenter_is_timed_beside_the_authors_predictor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")
    from benchmarks import segmenter
    from sam_pt_ros.trackers.cotracker import tracker as cotracker

    monkeypatch.setattr(segmenter, "REFINEMENTS", (0, 1))
    monkeypatch.setattr(segmenter, "TOLERANCES", (1.0,))
    monkeypatch.setattr(segmenter, "WARM_UP", 1)
    monkeypatch.setattr(cotracker, "VISIBLE", cotracker.VISIBLE)
    options = ["--objects", "1,2", "--turns", "1", "--threads", "1", "--together", "2"]
    assert segmenter.main(options) == 0
    found: dict[str, Any] = last_line(capsys)
    assert found["encoder_ms"] > 0 and found["device"] == "cpu"
    for name in ("decode_ms", "decode_one_by_one_ms", "batched_speedup"):
        assert set(found[name]) == {"1", "2"} and all(v > 0 for v in found[name].values())
    assert set(found["frame_ms"]) == {"0", "1"}
    # Two passes, and of refinements just the first, after which any mask has settled.
    assert found["frame_ms_by_tolerance"]["1.0"]["passes_per_object"] == 3
    together = found["together"]
    assert together["ms_per_frame"] > 0
    assert 0.5 < sum(together["shares"].values()) <= 1.05
    assert segmenter.main(["--objects", "many"]) == 2
