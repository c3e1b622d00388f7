"""The benchmarks' output is read by machines: the last line is one JSON object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scene import THING, passing_scene

from benchmarks import davis, tracker

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


@pytest.mark.parametrize("click", [False, True])
def test_davis_scores_what_is_tracked(
    root: Path, click: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--click"] if click else []
    assert davis.main(["--config", str(CONFIG), "--root", str(root), *options]) == 0
    summary = last_line(capsys)
    assert set(summary) >= {"j_and_f_mean", "j_mean", "f_mean", "fps", "sequences"}
    (scores,) = summary["sequences"].values()  # type: ignore[attr-defined]
    assert scores["frames"] == 6 and scores["fps"] > 0
    assert summary["j_and_f_mean"] == pytest.approx((scores["j"] + scores["f"]) / 2)
    assert scores["j"] > 0.8


def test_davis_gives_the_same_twice(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = []
    for _ in range(2):
        davis.main(["--config", str(CONFIG), "--root", str(root)])
        values.append(last_line(capsys)["j_and_f_mean"])
    assert values[0] == values[1]


def test_davis_paints_what_it_found(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "pictures"
    davis.main(["--config", str(CONFIG), "--root", str(root), "--output", str(output)])
    assert len(list((output / "passing").glob("*.png"))) == 6


def test_davis_is_skipped_visibly_without_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert davis.main(["--config", str(CONFIG), "--root", str(tmp_path / "nowhere")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("skipped: no DAVIS 2016 sequences in")
    assert list(json.loads(said[-1])) == ["skipped"]


def test_davis_refuses_what_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--config", str(CONFIG), "--root", str(root)]
    assert davis.main([*common, "--sequences", "other"]) == 2
    assert "no sequence 'other'; there are passing" in capsys.readouterr().err
    assert davis.main(["--config", "nowhere.yaml", "--root", str(root)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_tracker_gives_the_time_of_both_modes_and_their_stages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    threads = torch.get_num_threads()
    try:
        asked = ["--points", "2,5", "--turns", "1", "--resolution", "64", "96"]
        assert tracker.main([*asked, "--threads", "2"]) == 0
    finally:
        torch.set_num_threads(threads)
    summary: Any = last_line(capsys)
    for mode in ("streaming", "windowed"):
        for count in ("2", "5"):
            assert summary["ms_per_frame"][mode][count] > 0
            shares = summary["stages"][mode][count]
            assert set(shares) == {"features", "correlation", "transformer"}
            assert all(share > 0 for share in shares.values()) and sum(shares.values()) < 1.1
    assert (summary["device"], summary["threads"], summary["weights"]) == ("cpu", 2, "random")


def test_tracker_refuses_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    assert tracker.main(["--device", "cuda:99"]) == 2
    assert "benchmarks.tracker: the device 'cuda:99' is not there" in capsys.readouterr().err
    assert tracker.main(["--checkpoint", "nowhere.pth"]) == 2
    assert "nowhere.pth does not exist" in capsys.readouterr().err


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
