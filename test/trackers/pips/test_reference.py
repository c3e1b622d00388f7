"""Beside the authors' program, where it is installed, on videos that no golden file has.

`nets.pips` is https://github.com/aharley/pips, which may be a checkout on PYTHONPATH.
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
        module = importlib.import_module("nets.pips")
    except ImportError as error:
        pytest.skip(f"the authors' program is not installed ({error})")
    made = module.Pips(S=8, stride=4)
    made.load_state_dict(golden.stand_in_state("pips"))
    return made.eval()


@pytest.mark.parametrize(("seed", "size"), [(11, (90, 131)), (12, (64, 64)), (13, (101, 77))])
def test_a_window_is_that_of_the_authors(seed: int, size: tuple[int, int]) -> None:
    """Image sizes that leave odd rows and columns, and points in the corners."""
    network = authors_network()
    clip, (height, width) = golden_clip(8, *size, seed), size
    drawn = np.random.default_rng(seed).uniform((0, 0), (width - 1, height - 1), (6, 2))
    corners = [(0, 0), (width - 1, height - 1), (-0.5, height - 0.5)]
    xy = np.concatenate([drawn, corners]).astype(np.float32)
    video = torch.tensor(clip).permute(0, 3, 1, 2)[None].float()
    with torch.no_grad(), mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
        tracks, _, logits, _ = network(torch.from_numpy(xy)[None], video, iters=6)

    frames = [Frame(image, index, index) for index, image in enumerate(clip)]
    model: Any = golden.tracker("pips")._model  # type: ignore[attr-defined]
    places, probabilities = model.track(frames, xy, model.read(frames[0], xy))
    assert np.abs(places.swapaxes(0, 1) - tracks[-1][0].numpy()).max() < 2e-3
    assert np.abs(probabilities.T - logits[0].sigmoid().numpy()).max() < 1e-3
