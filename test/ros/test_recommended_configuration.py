"""Which configuration is taken when none is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.ros import recommended_configuration as module
from sam_pt_ros.trackers.tapir.options import PUBLISHED
from sam_pt_ros.weights.checkpoints import CHECKPOINTS

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    return tmp_path


def test_without_checkpoints_it_is_the_classical_one(folder: Path) -> None:
    assert module.recommended_configuration() == "classical"
    (folder / CHECKPOINTS["mobile_sam"].file).touch()
    assert module.recommended_configuration() == "classical"


@pytest.mark.parametrize(
    ("checkpoints", "wanted"),
    [
        (["cotracker3_online"], "classical"),
        (["cotracker3_online", "mobile_sam"], "cotracker_mobile_sam"),
        (["bootstapir_online", "mobile_sam"], "tapir_mobile_sam"),
        (["bootstapir_online", "cotracker3_online", "mobile_sam"], "cotracker_mobile_sam"),
        (["bootstapir", "mobile_sam"], "classical"),
    ],
)
def test_it_is_the_first_whose_checkpoints_are_there(
    checkpoints: list[str], wanted: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in checkpoints:
        (folder / CHECKPOINTS[name].file).touch()
    assert module.recommended_configuration() == wanted
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "torch" else object())
    assert module.recommended_configuration() == "classical"


@pytest.mark.parametrize("name", ["classical", *module.WITH_MODELS])
def test_they_are_there_and_use_what_they_are_chosen_for(name: str) -> None:
    read = load_configuration(CONFIG / f"{name}.yaml")
    assert (read.backends.segmenter == "mobile_sam") == (name != "classical")
    if name != "classical":
        asked = read.tracker.checkpoint or PUBLISHED[read.tracker.mode]
        assert (asked, read.backends.segmenter) == module.WITH_MODELS[name]
