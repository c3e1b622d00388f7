"""Beside the authors' programs, where they are installed, on videos that no golden file has.

`cotracker` is https://github.com/facebookresearch/co-tracker, `src.lite_tracker` is
https://github.com/ImFusionGmbH/lite-tracker; both may be checkouts on PYTHONPATH.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.trackers import track_video
from support import cotracker_golden as golden

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

SIZE = (120, 160)
FRAMES = 29
SEEDS = [11, 12]


def imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"the authors' program is not installed ({error})")


def fresh(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A video and queries: frame, x, y."""
    clip = golden.video.make_video(FRAMES, *SIZE, seed=seed)
    rng = np.random.default_rng(seed)
    starts = np.array([0, 0, 0, 5, 8, 15, 16, 20, 23, 27])
    places = rng.uniform((10, 10), (SIZE[1] - 10, SIZE[0] - 10), (len(starts), 2))
    return clip, np.column_stack([starts, places]).astype(np.float32)


def as_video(clip: np.ndarray) -> Any:
    return torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float()


def active(queries: np.ndarray, frames: int) -> np.ndarray:
    return np.asarray(np.arange(frames)[:, None] >= queries[:, 0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("support_grid", [False, True])
def test_windows_are_those_of_the_authors_predictor(seed: int, support_grid: bool) -> None:
    predictors = imported("cotracker.predictor")
    models = importlib.import_module("cotracker.models.core.cotracker.cotracker3_online")
    predictor = predictors.CoTrackerOnlinePredictor(checkpoint=None)
    predictor.model = models.CoTrackerThreeOnline(
        stride=4, corr_radius=3, window_len=16, model_resolution=golden.SMALL
    )
    predictor.model.load_state_dict(golden.stand_in_state())
    predictor.model.eval()
    predictor.interp_shape = golden.SMALL

    clip, queries = fresh(seed)
    video, asked = as_video(clip), torch.from_numpy(queries)[None]
    with torch.no_grad():
        predictor(video[:, :16], is_first_step=True, queries=asked, add_support_grid=support_grid)
        for begin in range(0, FRAMES - 8, 8):
            chunk = video[:, begin : begin + 16]
            tracks, visible = predictor(chunk, add_support_grid=support_grid)
    found = track_video(golden.tracker("windowed", support_grid=support_grid), clip, queries)
    where = active(queries, FRAMES)
    assert np.abs(found.xy - tracks[0].numpy())[where].max() < 2e-3
    assert np.array_equal(found.visible[where], visible[0].numpy()[where])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("first", [0, 5])
def test_frames_are_those_of_litetracker(seed: int, first: int) -> None:
    """From the frame of the first query on: before it LiteTracker averages what is masked."""
    module = imported("src.lite_tracker")
    model = module.LiteTracker(model_resolution=golden.SMALL)
    model.load_state_dict(golden.stand_in_state())
    model.eval()

    clip, queries = fresh(seed)
    queries[:3, 0] = first
    asked = torch.from_numpy(queries - np.float32([first, 0, 0]))[None]
    video = as_video(clip)
    rows = []
    with torch.no_grad():
        for index in range(first, FRAMES):
            xy, visible, confidence = model(video[:, index], asked)[:3]
            rows.append([np.squeeze(each.numpy()) for each in (xy, visible, confidence)])
    found = track_video(golden.tracker(), clip, queries)
    where = active(queries, FRAMES)[first:]
    xy, visible, confidence = (np.stack(each) for each in zip(*rows))
    tolerance = np.where(np.arange(FRAMES - first) <= 20, 5e-3, 2e-2)[:, None]
    assert (np.abs(found.xy[first:] - xy).max(2) <= tolerance)[where].all()
    assert np.abs(found.confidence[first:] - confidence)[where].max() < 2e-3
    # A flag may fall either way where it is decided by less than rounding makes.
    assert (found.visible[first:] != visible)[where].mean() < 0.01
