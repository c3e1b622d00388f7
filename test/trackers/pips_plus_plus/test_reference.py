"""Beside the authors' program, where it is installed, on videos that no golden file has.

`nets.pips2` is https://github.com/aharley/pips2, which may be a checkout on PYTHONPATH.
"""

from __future__ import annotations

import importlib
from typing import Any
from unittest import mock

import numpy as np
import pytest

from sam_pt_ros.frames import Frame
from support import pips_golden as golden
from support.golden_files import golden_clip

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")


def authors_network() -> Any:
    try:
        module = importlib.import_module("nets.pips2")
    except ImportError as error:
        pytest.skip(f"the authors' program is not installed ({error})")
    made = module.Pips(stride=8)
    made.load_state_dict(golden.stand_in_state("pips_plus_plus"))
    return made.eval()


@pytest.mark.parametrize(
    ("seed", "size", "frames", "updates", "tolerance"),
    [
        (11, (150, 131), 9, 16, 1e-2),
        # The shorter a window, the more do its norms multiply rounding, in every update.
        (12, (128, 128), 5, 5, 1e-2),
        (13, (141, 165), 4, 3, 1e-2),
    ],
)
def test_a_window_is_that_of_the_authors(
    seed: int, size: tuple[int, int], frames: int, updates: int, tolerance: float
) -> None:
    """Image sizes that leave odd rows and columns, and points in the corners."""
    network = authors_network()
    clip, (height, width) = golden_clip(frames, *size, seed), size
    drawn = np.random.default_rng(seed).uniform((0, 0), (width - 1, height - 1), (6, 2))
    corners = [(0, 0), (width - 1, height - 1), (-0.5, height - 0.5)]
    xy = np.concatenate([drawn, corners]).astype(np.float32)
    video = torch.tensor(clip).permute(0, 3, 1, 2)[None].float()
    still = torch.from_numpy(xy)[None, None].repeat(1, frames, 1, 1)
    with torch.no_grad(), mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
        tracks = network(still, video, iters=updates)[0][-1][0].numpy()

    made: Any = golden.tracker("pips_plus_plus", iterations=updates)
    found = made._model.follow([Frame(image, i, i) for i, image in enumerate(clip)], xy)
    assert np.abs(found - tracks).max() < tolerance
    assert np.abs(tracks[-1] - xy).max() > 0.1
