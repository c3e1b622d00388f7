"""Fast 3x3 convolutions on a CPU, by Winograd's minimal filtering.

Lavin and Gray, arXiv 1509.09308: 4x4 outputs from 6x6 inputs need 36 products per pair of channels
instead of 144. The interpolation points are 0, 0.7, -0.7, 1.4, -1.4 and infinity. With the usual
0, 1, -1, 2, -2, rounding errors are five times larger.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn

_OUT, _TAPS = 4, 3
_IN = _OUT + _TAPS - 1
_POINTS = (0.0, 0.7, -0.7, 1.4, -1.4)


class WinogradConvolution:
    """A convolution of maps ``(H, W, C)`` with a 3x3 kernel, stride 1 and zero padding of 1.

    Args:
        convolution: weights ``(O, C, 3, 3)``, and the bias if there is one.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        weight = convolution.weight.detach()
        kernel = torch.from_numpy(np.kron(_transforms()[1], _transforms()[1]))
        products = kernel @ weight.double().flatten(2).permute(2, 1, 0).flatten(1)
        self._weights = products.view(_IN**2, weight.shape[1], weight.shape[0]).to(weight)
        self._bias = convolution.bias

    def __call__(self, x: Tensor) -> Tensor:
        """``float32 (H, W, C)`` to ``float32 (H, W, O)``."""
        height, width, channels = x.shape
        down, across = -(-height // _OUT), -(-width // _OUT)
        # Transform along x, then along y, and bring the values of each product together.
        tiles = _tiling(width, x.dtype) @ x  # (H, 6 across, C)
        tiles = _tiling(height, x.dtype) @ tiles.flatten(1)  # (6 down, 6 across C)
        tiles = tiles.view(_IN, down, _IN, across * channels).transpose(1, 2)
        products = tiles.reshape(_IN**2, down * across, channels) @ self._weights
        back = _output(x.dtype)
        rows = back @ products.view(_IN, -1)  # (4, 6 tiles O)
        cells = back @ rows.view(_OUT, _IN, -1)  # (4, 4, tiles O)
        cells = cells.view(_OUT, _OUT, down, across, -1).permute(2, 0, 3, 1, 4)
        found = cells.reshape(down * _OUT, across * _OUT, -1)[:height, :width]
        return found if self._bias is None else found + self._bias


@functools.cache
def _transforms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of inputs ``(6, 6)``, of kernels ``(6, 3)`` and of outputs ``(4, 6)``, float64."""

    def powers(count: int) -> np.ndarray:
        rows = [[point**power for power in range(count)] for point in _POINTS]
        return np.array([*rows, [0.0] * (count - 1) + [1.0]])

    inputs, kernels, outputs = np.linalg.inv(powers(_IN)).T, powers(_TAPS), powers(_OUT).T
    # Any scale of a product may move from one transform to another. These keep errors small.
    for row in range(_IN):
        first, last = np.abs(inputs[row]).sum(), np.linalg.norm(outputs[:, row])
        inputs[row] /= first
        outputs[:, row] /= last
        kernels[row] *= first * last
    return inputs, kernels, outputs


@functools.cache
def _tiling(length: int, dtype: torch.dtype) -> Tensor:
    """The transform of an axis into tiles: ``(6 tiles, length)``, in tiles within each product."""
    tiles = -(-length // _OUT)
    matrix = np.zeros((_IN, tiles, length + 2 * _IN))
    for tile in range(tiles):
        start = tile * _OUT - 1 + _IN
        matrix[:, tile, start : start + _IN] = _transforms()[0]
    inside = matrix[:, :, _IN : _IN + length]  # beyond the border are zeros
    return torch.from_numpy(inside.reshape(_IN * tiles, length).copy()).to(dtype)


@functools.cache
def _output(dtype: torch.dtype) -> Tensor:
    """The transform of products into outputs, ``(4, 6)``."""
    return torch.from_numpy(_transforms()[2]).to(dtype)
