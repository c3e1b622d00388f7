"""Sampling of feature maps, against PyTorch's and against sums by hand."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from sam_pt_ros.trackers.sampling import correlate, sample, soft_argmax  # noqa: E402

PLACES = [(0.0, 0.0), (3.25, 1.5), (5.0, 4.0), (2.0, 3.999), (0.5, 0.0)]
OUTSIDE = [(-0.4, 2.0), (-7.0, 9.0), (5.3, 4.7), (1e9, -1e9), (6.5, 1.0), (2.5, -1.5)]


@pytest.fixture
def grid() -> Any:
    torch.manual_seed(0)
    return torch.randn(5, 6, 8)


def sampled(grid: Any, places: Any, padding: str) -> Any:
    """PyTorch's bilinear sampling at ``(N, 2)`` cells: ``(N, C)``."""
    height, width = grid.shape[:2]
    normal = 2 * places / torch.tensor([width - 1, height - 1]) - 1
    planes = grid.permute(2, 0, 1)[None]
    found = torch.nn.functional.grid_sample(
        planes, normal[None, None], align_corners=True, padding_mode=padding
    )
    return found[0, :, 0].T


@pytest.mark.parametrize("places", [PLACES, OUTSIDE])
def test_the_border_is_repeated(grid: Any, places: Any) -> None:
    xy = torch.tensor(places)
    assert torch.allclose(sample(grid, xy), sampled(grid, xy, "border"), atol=1e-5)


def test_maps_of_one_row_or_cell_are_sampled(grid: Any) -> None:
    xy = torch.tensor([(0.0, 0.0), (3.7, 2.0)])
    assert torch.allclose(sample(grid[:1], xy)[1], 0.3 * grid[0, 3] + 0.7 * grid[0, 4], atol=1e-6)
    assert torch.allclose(sample(grid[:1, :1], xy), grid[0, 0].expand(2, -1))


@pytest.mark.parametrize("radius", [0, 2])
@pytest.mark.parametrize("places", [PLACES, OUTSIDE])
def test_correlations_are_dot_products_row_by_row(grid: Any, places: Any, radius: int) -> None:
    xy = torch.tensor(places)
    vectors = torch.randn(len(places), 8)
    found = correlate(grid, xy, vectors, radius)
    steps = range(-radius, radius + 1)
    wanted = [
        (sampled(grid, xy + torch.tensor([x, y]), "zeros") * vectors).sum(1)
        for y in steps
        for x in steps
    ]
    assert torch.allclose(found, torch.stack(wanted, 1), atol=1e-5)


def test_without_points_there_is_nothing_to_sample(grid: Any) -> None:
    none = torch.zeros(0, 2)
    assert sample(grid, none).shape == (0, 8)
    assert correlate(grid, none, torch.zeros(0, 8), 1).shape == (0, 9)


def test_the_soft_argmax_is_the_mean_near_the_best_cell() -> None:
    heat = torch.full((2, 9, 12), -20.0)
    heat[0, 4, 3] = heat[0, 4, 5] = 0.0  # as good as each other
    heat[0, 4, 8] = -0.01  # 5 cells from the first: it does not count
    heat[1, 0, 11] = 1.0
    found = soft_argmax(heat, 10.0)
    assert torch.allclose(found, torch.tensor([[4.5, 4.5], [11.5, 0.5]]), atol=1e-4)


def test_cells_within_five_count() -> None:
    heat = torch.full((1, 9, 12), -20.0)
    heat[0, 4, 3] = 0.0
    heat[0, 0, 5] = -1e-6  # sqrt(20) cells away
    heat[0, 8, 6] = -1e-6  # exactly 5
    found = soft_argmax(heat, 1.0)
    assert torch.allclose(found, torch.tensor([[4.5, 2.5]]), atol=1e-3)
