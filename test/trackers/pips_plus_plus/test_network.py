"""The network, part by part, against inner values of the authors'.

See test/golden/trackers/PIPS.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import pips_golden as golden
from support.golden_files import golden_arrays

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from sam_pt_ros.trackers.feature_maps import planes_of  # noqa: E402
from sam_pt_ros.trackers.pips.features import features_of, sample  # noqa: E402
from sam_pt_ros.trackers.pips_plus_plus.network import PipsPlusPlusNetwork, velocity  # noqa: E402

FEATURES, TOKENS, DENSE, CHANGES = 5e-4, 5e-4, 2e-3, 1e-4
"""Tolerances that the golden files suggest."""
PIXELS = [2e-4, *[5e-4] * 3, *[1e-3] * 4, *[3e-3] * 8]
"""By update: differences grow."""

CASES = [
    pytest.param("pips_plus_plus_small", (24, 128, 160), 10, id="small"),
    pytest.param("pips_plus_plus_large", (8, 252, 318), 8, id="large", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def network() -> Any:
    made = PipsPlusPlusNetwork()
    state = golden.stand_in_state("pips_plus_plus")
    made.load_state_dict({n: v for n, v in state.items() if not n.startswith("norm.")})
    return made.requires_grad_(False).eval()


def close(found: Any, wanted: np.ndarray, tolerance: float) -> None:
    assert tuple(found.shape) == wanted.shape
    apart = np.abs(found.numpy() - wanted).max()
    assert apart <= tolerance, f"{apart} > {tolerance}"


def test_the_state_dict_is_the_published_one() -> None:
    """But for a norm of 128 features that is not used."""
    wanted = {n: tuple(v.shape) for n, v in golden.stand_in_state("pips_plus_plus").items()}
    found = {n: tuple(v.shape) for n, v in PipsPlusPlusNetwork().state_dict().items()}
    assert {**found, "norm.weight": (128,), "norm.bias": (128,)} == wanted
    assert sum(np.prod(shape, dtype=int) for shape in wanted.values()) == 17_565_410


@pytest.mark.parametrize(("name", "shape", "length"), CASES)
def test_all_updates_of_a_window(
    network: Any, name: str, shape: tuple[int, ...], length: int
) -> None:
    wanted = golden_arrays(f"trackers/{name}")
    look = [
        features_of(network.fnet, planes_of(frame.image, torch.device("cpu")))
        for frame in golden.frames_of(*shape)[:length]
    ]
    channels = look[0].levels[0].permute(2, 0, 1)
    close(channels[:: 128 // len(wanted["inner_fmap"])], wanted["inner_fmap"], FEATURES)

    start = torch.from_numpy(wanted["queries"][:, 1:])[:, None].repeat(1, length, 1) / 8
    query = sample(look[0], start[:, 0])[:, None, None].expand(-1, length, 3, -1)
    dense: list[Any] = []
    network.delta_block.dense.register_forward_pre_hook(lambda _, given: dense.append(given[0]))
    places, templates = start, query
    for update in range(16):
        if update:
            templates = network.renewed(look, places, templates)
        tokens = network.tokens(look, places, templates)
        change = network.delta_block(tokens)
        if f"inner_tokens_iter{update}" in wanted:
            close(tokens[:2], wanted[f"inner_tokens_iter{update}"], TOKENS)
            close(change, wanted[f"inner_delta_iter{update}"], CHANGES)
        if f"inner_dense_iter{update}" in wanted:
            close(dense[-1][:1], wanted[f"inner_dense_iter{update}"], DENSE)
        moved = places + change
        close(moved.swapaxes(0, 1) * 8, wanted["win_tracks"][update], PIXELS[update])
        places = torch.cat([start[:, :1], moved[:, 1:]], 1)
    close(templates[:3, :1, 0].swapaxes(0, 1), wanted["win_feats1"], FEATURES)
    close(templates[:3, :, 1].swapaxes(0, 1), wanted["win_feats2"], FEATURES)
    close(templates[:3, :, 2].swapaxes(0, 1), wanted["win_feats4"], FEATURES)

    found, last = network.track(look, start, query, 16)
    close(found.swapaxes(0, 1) * 8, wanted["win_tracks"][16], PIXELS[-1])
    close(last, templates.numpy(), FEATURES)


def test_the_velocity_of_the_last_frame_is_the_one_before() -> None:
    places = torch.tensor([[[0.0, 0], [0.5, -2], [3, 0]]])
    found = velocity(places)[0].double().numpy()
    assert found[:, 128:].tolist() == [[0.5, -2], [2.5, 2], [2.5, 2]]
    assert np.array_equal(found[1], found[2])
    rates = 10000.0 ** -(np.arange(32) / 31)
    for number, step in enumerate([0.5, -2.0]):
        waves = found[0, 64 * number :][:64]
        assert waves[:32] == pytest.approx(np.sin(step * rates), abs=1e-6)
        assert waves[32:] == pytest.approx(np.cos(step * rates), abs=1e-6)
