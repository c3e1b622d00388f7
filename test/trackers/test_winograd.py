"""Fast convolutions, against PyTorch's in double precision."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from sam_pt_ros.trackers.winograd import WinogradConvolution  # noqa: E402


@pytest.mark.parametrize("size", [(32, 32), (12, 20), (13, 7), (5, 30), (4, 4), (1, 1), (2, 9)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_results_are_those_of_a_convolution(size: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(24, 40, 3, padding=1, bias=bias)
    x = torch.randn(*size, 24)
    found = WinogradConvolution(convolution)(x)
    wanted = convolution.double()(x.double().permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert found.shape == (*size, 40) and found.dtype == torch.float32
    assert (found - wanted).abs().max() < 5e-6


@torch.inference_mode()
def test_rounding_errors_are_small_for_many_channels() -> None:
    """With the usual interpolation points they are 4e-5 here."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(256, 64, 3, padding=1)
    x = torch.randn(32, 32, 256)
    found = WinogradConvolution(convolution)(x)
    wanted = convolution.double()(x.double().permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert (found - wanted).abs().max() < 1e-5
