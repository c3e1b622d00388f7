"""The network, part by part, against inner values of the authors' (test/golden/README.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import cotracker_golden as golden
from support.golden_files import golden_arrays

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from sam_pt_ros.trackers.cotracker.correlation import correlate, sample_support  # noqa: E402
from sam_pt_ros.trackers.cotracker.features import prepare  # noqa: E402
from sam_pt_ros.trackers.cotracker.network import (  # noqa: E402
    CoTrackerNetwork,
    motion,
    time_embedding,
)
from sam_pt_ros.trackers.enlarged import EnlargedConvolution  # noqa: E402
from sam_pt_ros.trackers.feature_maps import Pyramid  # noqa: E402

INNER = 1e-4  # the tolerance that the golden files suggest
CASES = [
    pytest.param("small_cotracker", (40, 120, 160), golden.SMALL, id="small"),
    pytest.param("full_cotracker", (24, 240, 320), golden.FULL, id="full", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def network() -> Any:
    made = CoTrackerNetwork()
    made.load_state_dict(golden.stand_in_state(), strict=True)
    made.requires_grad_(False).eval()
    with torch.inference_mode():
        made.prepare()
    return made


def close(found: Any, wanted: np.ndarray, tolerance: float = INNER) -> None:
    assert tuple(found.shape) == wanted.shape
    assert np.abs(found.numpy() - wanted).max() <= tolerance


def test_the_state_dict_is_the_published_one() -> None:
    wanted = {name: tuple(value.shape) for name, value in golden.stand_in_state().items()}
    found = {n: tuple(v.shape) for n, v in CoTrackerNetwork().state_dict().items()}
    assert found == wanted
    assert sum(np.prod(shape, dtype=int) for shape in found.values()) == 25_403_460


def test_the_time_embedding_is_that_of_the_checkpoint() -> None:
    close(time_embedding(), golden.stand_in_state()["time_emb"].numpy(), 1e-6)


@pytest.mark.parametrize(("name", "shape", "resolution"), CASES)
def test_inner_values(
    network: Any, name: str, shape: tuple[int, ...], resolution: tuple[int, int]
) -> None:
    """Features, correlations, tokens, and the first two updates of window 0."""
    wanted = golden_arrays(name)
    images = golden.clip(*shape)
    with torch.inference_mode():
        raw = network.fnet.raw(prepare(images[0], resolution, torch.device("cpu")))[0]
        close(raw[:: 128 // len(wanted["inner_fnet_raw"])], wanted["inner_fnet_raw"])

        look = [
            Pyramid.of(network.fnet(prepare(image, resolution, torch.device("cpu"))))
            for image in images[:16]
        ]
        height, width = shape[1:]
        scale = torch.tensor([resolution[1] - 1, resolution[0] - 1]) / torch.tensor(
            [width - 1, height - 1]
        )
        queries = torch.from_numpy(golden.queries(height, width))
        places = queries[:, 1:] * scale / 4
        support = torch.zeros(12, 4, 49, 128)
        for row, start in enumerate(queries[:, 0].int().tolist()):
            if start < 16:
                support[row] = sample_support(look[start], places[row : row + 1])[0]
        cells = torch.tensor([resolution[1] / 4, resolution[0] / 4])
        tracks = torch.cat([places, torch.zeros(12, 2)], 1)[:, None].repeat(1, 16, 1)
        for update in range(2):
            condensed = [
                network.corr_mlp(correlate(look[i], tracks[:, i, :2], support)) for i in range(16)
            ]
            embedded = torch.stack(
                [network.embed(look[i], tracks[:, i, :2], support) for i in range(16)], 1
            )
            if update == 0:
                by_level = torch.stack(condensed[:2]).unflatten(2, (4, 256)).permute(2, 0, 1, 3)
                close(by_level, wanted["inner_corr_emb_iter0"])
                tokens = torch.cat(
                    [tracks[..., 2:], torch.stack(condensed, 1), motion(tracks[..., :2], cells)],
                    -1,
                )
                close((tokens + network.time_emb)[:3], wanted["inner_tokens_iter0"])
            change = network.update(tracks, embedded, cells)
            close(change, wanted[f"inner_delta_iter{update}"])
            tracks = tracks + change


def test_the_newest_frame_alone_gets_the_same_update(network: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    tracks = torch.randn(5, 9, 4, generator=generator)
    embedded = torch.randn(5, 9, 384, generator=generator)
    active = torch.arange(9) >= torch.tensor([[0], [0], [3], [8], [5]])
    for seen in (None, active):
        with torch.inference_mode():
            cells = torch.tensor([32.0, 24.0])
            whole = network.update(tracks, embedded, cells, seen)
            newest = network.update(tracks, embedded, cells, seen, newest=True)
        assert newest.shape == (5, 1, 4)
        close(newest, whole[:, -1:].numpy(), 1e-5)


def test_an_inactive_token_is_not_seen(network: Any) -> None:
    generator = torch.Generator().manual_seed(2)
    tracks = torch.randn(4, 6, 4, generator=generator)
    embedded = torch.randn(4, 6, 384, generator=generator)
    active = torch.arange(6) >= torch.tensor([[0], [0], [3], [5]])
    other = torch.where(active[..., None], embedded, 100 * torch.randn(4, 6, 384))
    cells = torch.tensor([32.0, 24.0])
    with torch.inference_mode():
        one = network.update(tracks, embedded, cells, active, newest=True)
        two = network.update(tracks, other, cells, active, newest=True)
        embedded[1, 2] = torch.randn(384, generator=generator)
        changed = network.update(tracks, embedded, cells, active, newest=True)
    assert torch.equal(one, two)
    assert (one - changed).abs().amax((1, 2)).min() > 1e-5


@pytest.mark.parametrize(
    ("coarse", "fine"), [((5, 7), (10, 14)), ((3, 4), (12, 13)), ((6, 8), (6, 8))]
)
def test_enlarging_after_the_convolution_is_enlarging_before(
    coarse: tuple[int, int], fine: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(6, 5, 3, 3, generator=generator)
    image = torch.randn(5, *coarse, generator=generator)
    there = torch.randn(6, *fine, generator=generator)
    enlarged = torch.nn.functional.interpolate(
        image[None], fine, mode="bilinear", align_corners=True
    )
    wanted = there + torch.nn.functional.conv2d(enlarged, weight, padding=1)[0]
    found = EnlargedConvolution(weight, coarse, fine).add_to(there.clone(), image)
    close(found, wanted.numpy(), 1e-5)


@pytest.mark.parametrize("xy", [(0.0, 0.0), (-9.5, 3.2), (31.0, 23.0), (1e4, -1e4), (12.25, 7.5)])
def test_support_is_sampled_as_grid_sample_does_with_the_border_repeated(
    xy: tuple[float, float],
) -> None:
    finest = torch.randn(24, 32, 128, generator=torch.Generator().manual_seed(4))
    pyramid = Pyramid.of(finest)
    found = sample_support(pyramid, torch.tensor([xy]))
    assert found.shape == (1, 4, 49, 128)
    steps = torch.arange(-3, 4.0)
    for level, features in enumerate(pyramid.levels):
        height, width = features.shape[:2]
        x, y = (torch.tensor(v) / 2**level + steps for v in xy)
        grid = torch.stack(torch.meshgrid(x / (width - 1), y / (height - 1), indexing="ij"), -1)
        wanted = torch.nn.functional.grid_sample(
            features.permute(2, 0, 1)[None].double(),
            grid[None].double() * 2 - 1,
            padding_mode="border",
            align_corners=True,
        )[0]
        wanted = wanted.flatten(1).T.float()
        close(found[0, level], wanted.numpy(), 2e-3 if abs(xy[0]) > 1e3 else 1e-4)
