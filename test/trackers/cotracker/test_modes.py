"""Both modes against the outputs of the authors' programs (test/golden/README.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sam_pt_ros.trackers import track_video
from support import cotracker_golden as golden
from support.golden_files import golden_arrays

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

START = golden.queries()[:, 0].astype(int)
FLAGS_APART = 0.6
"""Of visibility times confidence; the golden files have no value within 0.0009 of it."""


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def active(frames: int) -> np.ndarray:
    """``bool (frames, 12)``: from its query on."""
    return np.asarray(np.arange(frames)[:, None] >= START)


def same(found: np.ndarray, wanted: np.ndarray, where: np.ndarray, tolerance: float) -> None:
    apart = np.abs(found - wanted)[where].max()
    assert apart <= tolerance, f"{apart} > {tolerance}"


# --- windowed -----------------------------------------------------------------------------


def compare_windows(name: str, images: np.ndarray, resolution: tuple[int, int]) -> None:
    """Every array of every window, the frames before a query and before new windows included."""
    wanted = golden_arrays(name)
    shape = images.shape[:3]
    queries = golden.queries(*shape[1:])
    made = golden.tracker("windowed", model_resolution=resolution)
    stream = golden.Stream(made)
    made.foresee(queries)
    scale = (np.array(shape[:0:-1]) - 1) / (np.array(resolution[::-1]) - 1) * 4
    for window in range((len(images) - 8) // 8):
        last = 8 * window + 15
        while stream.newest < last:
            number = stream.newest + 1
            made.advance(stream.history.append(images[number], number))
            new = np.flatnonzero(number == START)
            if len(new):
                made.add_points(queries[new, 1:], stream.frame(number))
        # All points that are in the window; those that come later have no tracks yet.
        here = np.flatnonzero(last >= START)
        first = 8 * window if window else 0
        tracks = np.stack([golden.tracks_in(made, i) for i in range(first, last + 1)])
        known = slice(first, last + 1), here
        everywhere = np.ones(tracks.shape[:2], np.bool_)
        prefix = f"w{window}_"
        same(tracks[..., :2] * scale, wanted[prefix + "tracks"][known], everywhere, 2e-3)
        for column, kind in ((2, "vis"), (3, "conf")):
            logits = tracks[..., column]
            same(logits, wanted[f"{prefix}{kind}_logit"][known], everywhere, 1e-3)
            same(sigmoid(logits), wanted[prefix + kind][known], everywhere, 1e-3)
        seen = sigmoid(tracks[..., 2]) * sigmoid(tracks[..., 3]) > FLAGS_APART
        assert np.array_equal(seen, wanted[prefix + "visible"][known])


@pytest.mark.parametrize("frames", [24, pytest.param(40, marks=pytest.mark.slow)])
def test_windows_are_those_of_the_authors(frames: int) -> None:
    compare_windows("small_cotracker", golden.clip()[:frames], golden.SMALL)


@pytest.mark.slow
def test_windows_are_those_of_the_authors_at_full_resolution() -> None:
    compare_windows("full_cotracker", golden.clip(24, 240, 320), golden.FULL)


def compare_clip(
    mode: str,
    name: str,
    images: np.ndarray,
    queries: np.ndarray,
    prefix: str = "",
    *,
    pixels: Any = 2e-3,
    **options: Any,
) -> None:
    """All that ``track_video`` says of a clip, from the queries on."""
    wanted = golden_arrays(name)
    found = track_video(golden.tracker(mode, **options), images, queries)
    count, rows = len(images), slice(len(queries))
    where = active(count)[:, rows]
    tolerance = np.broadcast_to(pixels, count)[:, None]
    apart = np.abs(found.xy - wanted[prefix + "tracks"][:count, rows]).max(2)
    assert (apart <= tolerance)[where].all(), apart
    same(found.confidence, wanted[prefix + "conf"][:count, rows], where, 2e-3)
    visible = wanted[prefix + "visible"][:count, rows]
    assert np.array_equal(found.visible[where], visible[where])


@pytest.mark.slow  # every window, and a shorter clip, are compared in any run
def test_a_clip_in_windows() -> None:
    compare_clip("windowed", "small_cotracker", golden.clip(), golden.queries(), "w3_")


def test_a_clip_whose_last_window_is_not_full() -> None:
    clip = golden.clip()[:21]
    compare_clip("windowed", "small_cotracker_partial", clip, golden.queries(), "w1_")


@pytest.mark.slow
def test_a_clip_in_windows_at_full_resolution() -> None:
    clip, queries = golden.clip(24, 240, 320), golden.queries(240, 320)
    resolution = {"model_resolution": golden.FULL}
    compare_clip("windowed", "full_cotracker", clip, queries, "w1_", **resolution)


# --- streaming ----------------------------------------------------------------------------

GROWING = np.where(np.arange(40) <= 20, 5e-3, 2e-2)
"""Differences grow from frame to frame; the tolerances are those of the golden files' page."""


@pytest.mark.parametrize("frames", [24, pytest.param(40, marks=pytest.mark.slow)])
def test_a_clip_frame_by_frame(frames: int) -> None:
    clip, pixels = golden.clip()[:frames], GROWING[:frames]
    compare_clip("streaming", "small_litetracker", clip, golden.queries(), pixels=pixels)


@pytest.mark.slow  # any run compares one update here, and six in windows
def test_a_clip_frame_by_frame_with_three_updates() -> None:
    clip, queries = golden.clip()[:12], golden.queries()[START < 12]
    updates = {"pixels": 5e-3, "iterations": 3}
    compare_clip("streaming", "small_litetracker", clip, queries, "iters3_", **updates)


@pytest.mark.slow
def test_a_clip_frame_by_frame_at_full_resolution() -> None:
    clip, queries = golden.clip(24, 240, 320)[:20], golden.queries(240, 320)
    options = {"pixels": 5e-3, "model_resolution": golden.FULL}
    compare_clip("streaming", "full_litetracker", clip, queries, **options)


def test_logits_frame_by_frame() -> None:
    wanted = golden_arrays("small_litetracker")
    stream = golden.Stream(golden.tracker())
    for index in range(12):
        stream.to(index)
        for row in np.flatnonzero(index == START):
            stream.add(row)
        tracks = golden.tracks_in(stream.tracker, index)
        for column, kind in ((2, "vis_logit"), (3, "conf_logit")):
            apart = np.abs(tracks[:, column] - wanted[kind][index, : len(tracks)])
            assert apart.max() <= 2e-3


@pytest.mark.parametrize(
    ("mode", "frames"),
    [
        ("streaming", 18),
        pytest.param("windowed", 40, marks=pytest.mark.slow),
        pytest.param("streaming", 40, marks=pytest.mark.slow),
    ],
)
def test_features_in_half_precision_move_no_point_by_half_a_pixel(mode: str, frames: int) -> None:
    """The rounding is the same on every device; what a GPU computes is tested in test_cuda."""
    name, prefix = {
        "streaming": ("small_litetracker", ""),
        "windowed": ("small_cotracker", "w3_"),
    }[mode]
    clip, queries = golden.clip()[:frames], golden.queries()
    found = track_video(golden.tracker(mode, precision="mixed"), clip, queries)
    wanted = golden_arrays(name)[prefix + "tracks"][:frames]
    same(found.xy, wanted, active(frames), 0.5)


@pytest.mark.slow  # half precision is an emulation on most CPUs: a minute
@pytest.mark.parametrize(("mode", "moves"), [("streaming", 5.0), ("windowed", 0.5)])
def test_all_in_half_precision_runs_and_stays_near(mode: str, moves: float) -> None:
    clip, queries = golden.clip()[:18], golden.queries()
    whole, half = (
        track_video(golden.tracker(mode, precision=p), clip, queries)
        for p in ("float32", "float16")
    )
    assert 0 < np.abs(whole.xy - half.xy)[active(18)].max() < moves
