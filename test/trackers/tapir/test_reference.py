"""Beside the authors' program in PyTorch, on clips and points that no golden file has.

PYTHONPATH may name a checkout of google-deepmind/tapnet; it needs dm-tree and einshape.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.trackers import track_video
from support import tapir_golden as golden
from support.golden_files import golden_clip

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

TRACKS = 5e-4  # pixels, as the golden files suggest
SIDE = 96


def program(kind: str, causal: bool) -> Any:
    """The authors' model with the stand-in weights."""
    try:
        module = importlib.import_module("tapnet.torch.tapir_model")
    except ImportError as error:
        pytest.skip(f"the authors' program is not installed ({error})")
    boots = kind == "bootstapir"
    made = module.TAPIR(
        pyramid_level=1 if boots else 0,
        extra_convs=boots,
        use_casual_conv=causal,
        initial_resolution=(SIDE, SIDE),
    )
    made.load_state_dict(golden.state(kind), strict=True)
    return made.eval()


def planes(images: np.ndarray) -> Any:
    """``(1, T, H, W, 3)``, -1 to 1."""
    return torch.from_numpy(images.astype(np.float32))[None] / 255 * 2 - 1


def case(seed: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip and queries ``(7, 3)``: frame, x, y."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(2, SIDE - 3, (7, 2))
    starts = rng.integers(0, frames - 2, 7)
    queries = np.concatenate([starts[:, None], places], 1).astype(np.float32)
    return golden_clip(24, SIDE, SIDE, 100 + seed)[:frames], queries


def corners(queries: np.ndarray) -> Any:
    """The authors' queries ``(1, N, 3)``: frame, y, x from the image's corner."""
    return torch.from_numpy(queries[:, [0, 2, 1]] + np.float32([0, 0.5, 0.5]))[None]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["bootstapir", "tapir"])
@torch.inference_mode()
def test_whole_clips(kind: str, seed: int) -> None:
    theirs = program(kind, causal=False)
    clip, queries = case(seed, 10)
    wanted = theirs(planes(clip), corners(queries), is_training=False)
    made = golden.tracker("offline", checkpoint=str(golden.checkpoint(kind)))
    found = track_video(made, clip, queries)
    later = np.arange(len(clip))[:, None] > queries[:, 0]
    tracks = wanted["tracks"][0].transpose(0, 1).numpy() - 0.5
    assert np.abs(found.xy - tracks)[later].max() <= TRACKS


@pytest.mark.parametrize("seed", [1, 2])
@torch.inference_mode()
def test_frame_by_frame(seed: int) -> None:
    theirs = program("bootstapir", causal=True)
    clip, queries = case(seed, 8)
    found = track_video(golden.tracker(), clip, queries)
    for row, query in enumerate(queries):
        start = int(query[0])
        first = planes(clip[start : start + 1])
        features = theirs.get_query_features(
            first,
            is_training=False,
            query_points=corners(query[None] * np.float32([0, 1, 1])),
            feature_grids=theirs.get_feature_grids(first, is_training=False),
        )
        state = theirs.construct_initial_causal_state(1, len(features.resolutions) - 1)
        for index in range(start, len(clip)):
            frame = planes(clip[index : index + 1])
            answer = theirs.estimate_trajectories(
                (SIDE, SIDE),
                is_training=False,
                feature_grids=theirs.get_feature_grids(frame, is_training=False),
                query_features=features,
                query_points_in_video=None,
                query_chunk_size=64,
                causal_context=state,
                get_causal_context=True,
            )
            state = answer["causal_context"]
            if index > start:
                place = answer["tracks"][-1][0, 0, 0].numpy() - 0.5
                assert np.abs(found.xy[index, row] - place).max() <= TRACKS
