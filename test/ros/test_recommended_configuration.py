"""Which configuration is taken when none is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.ros import recommended_configuration as module
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


def test_with_both_checkpoints_it_is_the_one_that_needs_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mobile_sam", "cotracker3_online"):
        (folder / CHECKPOINTS[name].file).touch()
    assert module.recommended_configuration() == "cotracker_mobile_sam"
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "torch" else object())
    assert module.recommended_configuration() == "classical"


@pytest.mark.parametrize("name", ["classical", "cotracker_mobile_sam"])
def test_both_are_there_and_use_what_they_are_chosen_for(name: str) -> None:
    read = load_configuration(CONFIG / f"{name}.yaml")
    assert (read.backends.segmenter == "mobile_sam") == (name != "classical")
