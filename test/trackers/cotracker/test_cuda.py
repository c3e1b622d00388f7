"""On a CUDA GPU: the same tracks, one wait per frame, and half precision."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.trackers import track_video
from support import cotracker_golden as golden
from support.golden_files import golden_arrays

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
if not torch.cuda.is_available():
    pytest.skip("no CUDA GPU", allow_module_level=True)

START = golden.queries()[:, 0]
CASES = {
    "streaming": ("small_litetracker", "", np.where(np.arange(40) <= 20, 5e-3, 2e-2)[:, None]),
    "windowed": ("small_cotracker", "w3_", np.full((40, 1), 2e-3)),
}


@pytest.fixture
def waits_are_noted() -> Iterator[Any]:
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        yield noted
    torch.cuda.set_sync_debug_mode("default")


def apart(mode: str, **options: Any) -> np.ndarray:
    """By how many pixels the golden clip's tracks differ, ``(T, N)``."""
    name, prefix, _ = CASES[mode]
    made = golden.tracker(mode, device="cuda", **options)
    found = track_video(made, golden.clip(), golden.queries()).xy
    wanted = golden_arrays(name)[prefix + "tracks"]
    differences: np.ndarray = np.abs(found - wanted).max(2)
    differences[np.arange(40)[:, None] < START] = 0
    return differences


@pytest.mark.parametrize("mode", list(CASES))
def test_tracks_are_the_golden_ones(mode: str) -> None:
    assert (apart(mode) <= CASES[mode][2]).all()


@pytest.mark.parametrize("mode", list(CASES))
def test_features_in_half_precision_move_no_point_by_half_a_pixel(mode: str) -> None:
    assert apart(mode, precision="mixed").max() < 0.5


@pytest.mark.parametrize("precision", ["float32", "mixed", "float16"])
def test_a_frame_waits_for_the_gpu_once(precision: str, waits_are_noted: Any) -> None:
    stream = golden.Stream(golden.tracker(device="cuda", precision=precision)).to(0)
    stream.add(range(3), 0)
    stream.to(18)
    waits_are_noted.clear()
    stream.to(20)
    waits = [str(w.message) for w in waits_are_noted if "synchroniz" in str(w.message)]
    assert len(waits) <= 2, waits


def test_the_same_twice() -> None:
    runs = [
        track_video(golden.tracker(device="cuda"), golden.clip()[:20], golden.queries()[:9])
        for _ in range(2)
    ]
    assert np.array_equal(runs[0].xy, runs[1].xy)


def test_the_memory_of_the_gpu_stays_flat() -> None:
    stream = golden.Stream(golden.tracker(device="cuda"), capacity=20).to(0)
    ids = stream.add(range(3), 0)
    used = []
    for index in range(1, 400):
        stream.to(index)
        if index % 9 == 0:
            new = stream.add(range(3), index)
            stream.tracker.remove_points(ids)
            ids = new
        if index % 50 == 0:
            used.append(torch.cuda.memory_allocated())
    assert max(used[2:]) <= used[1] * 1.02
