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

from sam_pt_ros.trackers.feature_maps import Pyramid, planes_of  # noqa: E402
from sam_pt_ros.trackers.pips.features import correlate, features_of, sample  # noqa: E402
from sam_pt_ros.trackers.pips.network import PipsNetwork, motion  # noqa: E402

FEATURES, TOKENS, WAVES, CHANGES, PIXELS, LOGITS = 5e-4, 5e-4, 5e-2, 1e-4, 1e-3, 1e-3
"""Tolerances that the golden files suggest. The waves multiply rounding by up to 969."""
PLAIN = 324
"""Columns of the tokens before the waves: feature and correlation."""

CASES = [
    pytest.param("pips_small", (24, 96, 128), id="small"),
    pytest.param("pips_large", (10, 250, 318), id="large", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def network() -> Any:
    made = PipsNetwork()
    made.load_state_dict(golden.stand_in_state("pips"), strict=True)
    return made.requires_grad_(False).eval()


def close(found: Any, wanted: np.ndarray, tolerance: float) -> None:
    assert tuple(found.shape) == wanted.shape
    apart = np.abs(found.numpy() - wanted).max()
    assert apart <= tolerance, f"{apart} > {tolerance}"


def test_the_state_dict_is_the_published_one() -> None:
    wanted = {name: tuple(v.shape) for name, v in golden.stand_in_state("pips").items()}
    found = {name: tuple(v.shape) for name, v in PipsNetwork().state_dict().items()}
    assert found == wanted
    assert sum(np.prod(shape, dtype=int) for shape in found.values()) == 28_677_713


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_stages_of_the_feature_network(
    network: Any, name: str, shape: tuple[int, ...]
) -> None:
    wanted, frame = golden_arrays(f"trackers/{name}"), golden.frames_of(*shape)[0]
    stages: dict[str, Any] = {}
    hooks = [
        getattr(network.fnet, f"layer{n}").register_forward_hook(
            lambda _module, _input, output, n=n: stages.update({f"inner_layer{n}": output[0]})
        )
        for n in range(1, 5)
    ]
    finest = features_of(network.fnet, planes_of(frame.image, torch.device("cpu"))).levels[0]
    for hook in hooks:
        hook.remove()
    for key, stage in stages.items():
        close(stage[::32], wanted[key], FEATURES)
    channels = finest.permute(2, 0, 1)
    close(channels[:: 128 // len(wanted["inner_fmap"])], wanted["inner_fmap"], FEATURES)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_all_updates_of_a_window(network: Any, name: str, shape: tuple[int, ...]) -> None:
    wanted = golden_arrays(f"trackers/{name}")
    look = [
        features_of(network.fnet, planes_of(frame.image, torch.device("cpu")))
        for frame in golden.frames_of(*shape)[:8]
    ]
    places = torch.from_numpy(wanted["queries"][:, 1:])[:, None].repeat(1, 8, 1) / 4
    query = sample(look[0], places[:, 0])
    close(query, wanted["win_feat_init"], FEATURES)
    features = query[:, None].repeat(1, 8, 1)
    for update in range(6):
        tokens = network.tokens(look, places, features)
        change = network.delta_block(tokens)
        if f"inner_tokens_iter{update}" in wanted:
            seen, known = tokens[:3], wanted[f"inner_tokens_iter{update}"]
            close(seen[..., 128:PLAIN], wanted[f"inner_corr_iter{update}"], FEATURES)
            close(seen[..., :PLAIN], known[..., :PLAIN], TOKENS)
            close(seen[..., PLAIN:], known[..., PLAIN:], WAVES)
            close(change, wanted[f"inner_delta_iter{update}"], CHANGES)
        places, features = network.updated(places, features, change)
        close(places.swapaxes(0, 1) * 4, wanted["win_tracks"][update], PIXELS)
    close(features[:3].swapaxes(0, 1), wanted["inner_feats_last"], FEATURES)
    found, logits = network.track(look, places[:, 0], query, 6)
    close(found.swapaxes(0, 1) * 4, wanted["win_tracks"][-1], PIXELS)
    close(logits.T, wanted["win_vis_logit"], LOGITS)


def random_pyramid() -> Pyramid:
    return Pyramid.of(torch.randn(24, 33, 128, generator=torch.Generator().manual_seed(4)))


def read_by_pytorch(cells: Any, x: Any, y: Any, padding: str) -> Any:
    """The map ``(h, w, 128)`` at all pairs of x and y, x in the outer loop: ``(128, X * Y)``."""
    height, width = cells.shape[:2]
    grid = torch.stack(torch.meshgrid(x / (width - 1), y / (height - 1), indexing="ij"), -1)
    return torch.nn.functional.grid_sample(
        cells.permute(2, 0, 1)[None].double(),
        grid[None].double() * 2 - 1,
        padding_mode=padding,
        align_corners=True,
    )[0].flatten(1)


PLACES = [(0.0, 0.0), (-2.5, 3.2), (32.0, 23.0), (34.75, 25.5), (12.25, 7.5), (500.0, -90.0)]


@pytest.mark.parametrize("xy", PLACES)
def test_beyond_the_border_correlation_is_zero(xy: tuple[float, float]) -> None:
    pyramid = random_pyramid()
    features = torch.randn(1, 2, 128, generator=torch.Generator().manual_seed(5))
    found = correlate(pyramid, torch.tensor([xy]), features).unflatten(2, (4, 49))
    steps = torch.arange(-3, 4.0)
    for level, cells in enumerate(pyramid.levels):
        x, y = (torch.tensor(v) / 2**level + steps for v in xy)
        values = read_by_pytorch(cells, x, y, "zeros")
        wanted = features[0].double() @ values / 128**0.5
        close(found[0, :, level], wanted.numpy(), 1e-4)


@pytest.mark.parametrize("xy", PLACES)
def test_the_feature_of_a_point_is_read_with_the_border_repeated(xy: tuple[float, float]) -> None:
    pyramid = random_pyramid()
    x, y = (torch.tensor([v]) for v in xy)
    wanted = read_by_pytorch(pyramid.levels[0], x, y, "border")[:, 0]
    close(sample(pyramid, torch.tensor([xy]))[0], wanted.numpy(), 1e-4)


def test_motion_and_time_as_the_network_was_trained() -> None:
    places = torch.zeros(1, 8, 2)
    places[0, :, 0] = 5
    places[0, 3] = torch.tensor([5.5, -0.125])
    found = motion(places)[0].double().numpy()
    t = 3 * 8 / 7
    for number, value in enumerate([0.5, -0.125, t]):
        for k in (0, 1, 7):
            column = 64 * number + 2 * k
            assert found[3, column] == pytest.approx(np.sin(31.25 * k * value), abs=1e-3)
            assert found[3, column + 1] == pytest.approx(np.cos(31.25 * k * value), abs=1e-3)
        assert found[3, 192 + number] == pytest.approx(value, abs=1e-5)
    assert found[[0, 7], 194].tolist() == [0, 8]


def test_points_do_not_influence_each_other(network: Any) -> None:
    look = [random_pyramid()] * 8
    xy = torch.tensor([[5.0, 6.0], [20.0, 11.0], [30.5, 2.25]])
    query = sample(look[0], xy)
    together = network.track(look, xy, query, 2)
    alone = network.track(look, xy[1:2], query[1:2], 2)
    for one, other in zip(together, alone, strict=True):
        close(one[1:2], other.numpy(), 1e-3)
