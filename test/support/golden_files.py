"""Golden files (test/golden), and the programs that made their clips and weights."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


@functools.cache
def golden_module(name: str) -> ModuleType:
    """A module beside the golden files, such as ``trackers/tapir_weights``."""
    spec = importlib.util.spec_from_file_location(
        f"golden_{name.replace('/', '_')}", GOLDEN / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a golden file by key, such as those of ``trackers/tapir_small``."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


@functools.cache
def golden_clip(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A golden video, ``uint8 (T, H, W, 3)``, read-only."""
    made: np.ndarray = golden_module("video").make_video(frames, height, width, seed)
    made.setflags(write=False)
    return made


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sam_pt_ros_test_")


def temporary_path(name: str) -> Path:
    """A path that is gone when the tests end."""
    return Path(_folder().name) / name


def saved_checkpoint(name: str, content: Any) -> Path:
    """A checkpoint file with this content, written once; it is gone when the tests end."""
    import torch

    path = temporary_path(name)
    if not path.exists():
        torch.save(content, path)
    return path
