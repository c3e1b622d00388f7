"""Points moved by optical flow from one frame to the next (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHARE = 0.01
_SLACK = 0.5
"""Of Sundaram et al., equation 5: relative part and constant part in pixels squared."""


@dataclass(frozen=True, eq=False)
class Field:
    """The flow of every pixel from one frame to another.

    Attributes:
        flow: ``float32 (2, h, w)``, x and y shift in the network's pixels.
        scale: ``float64 (2,)``, the network's pixels per image pixel, in x and y.
    """

    flow: np.ndarray
    scale: np.ndarray

    def at(self, xy: np.ndarray) -> np.ndarray:
        """The shifts of points, ``float64 (N, 2)`` image pixels.

        The flow is interpolated bilinearly. Outside the image that of the border is repeated.

        Args:
            xy: ``float64 (N, 2)`` image pixels.
        """
        height, width = self.flow.shape[1:]
        places = (xy + 0.5) * self.scale - 0.5
        corner = np.floor(places)
        x, y = (places - corner).T
        left, top = (np.clip(corner, -1, [width, height]).astype(np.int64)).T
        columns = np.clip([left, left + 1], 0, width - 1)
        rows = np.clip([top, top + 1], 0, height - 1)
        flow = self.flow
        above = flow[:, rows[0], columns[0]] * (1 - x) + flow[:, rows[0], columns[1]] * x
        below = flow[:, rows[1], columns[0]] * (1 - x) + flow[:, rows[1], columns[1]] * x
        found: np.ndarray = (above * (1 - y) + below * y).T / self.scale
        return found


@dataclass(eq=False)
class Chain:
    """N points in a frame; row i of every array belongs to point i.

    Attributes:
        xy: ``float64 (N, 2)`` image pixels.
        visible: ``bool (N,)``.
        confidence: ``float32 (N,)``, 0 to 1.
        lost: ``bool (N,)``, whether the flows disagreed once. Then the point has probably gone
            behind something, moves on with that, and is not shown again.
    """

    xy: np.ndarray
    visible: np.ndarray
    confidence: np.ndarray
    lost: np.ndarray

    @classmethod
    def at(cls, xy: np.ndarray) -> Chain:
        """Points in their query frame, at ``(N, 2)`` pixels."""
        count = len(xy)
        return cls(
            np.asarray(xy, np.float64),
            np.ones(count, np.bool_),
            np.ones(count, np.float32),
            np.zeros(count, np.bool_),
        )

    def rows(self, keep: np.ndarray) -> Chain:
        """The points selected by ``keep``, ``bool (N,)``."""
        return Chain(*(value[keep] for value in vars(self).values()))

    def joined(self, other: Chain) -> Chain:
        """These points, followed by the other ones."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Chain(*(np.concatenate(pair) for pair in pairs))

    def moved(self, there: Field, back: Field | None, size: tuple[int, int]) -> Chain:
        """The points in another frame.

        Args:
            there: flow to that frame.
            back: flow from that frame, to compare with: rule ``checked``; None: ``published``.
            size: height and width of the image.
        """
        shift = there.at(self.xy)
        xy = self.xy + shift
        if back is None:
            visible = inside_as_published(xy, size)
            return Chain(xy, visible, visible.astype(np.float32), self.lost)
        agreement = agreements(shift, back.at(xy))
        lost = self.lost | (agreement <= 0)
        visible = ~lost & inside(xy, size)
        confidence = np.where(visible, agreement, 0).astype(np.float32)
        return Chain(xy, visible, confidence, lost)


def agreements(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """How well two flows agree: 1 if one undoes the other; 0 or less if not.

    The criterion is equation 5 of Sundaram, Brox and Keutzer, "Dense Point Trajectories by
    GPU-accelerated Large Displacement Optical Flow", ECCV 2010: the squared length of the sum must
    be less than a hundredth of the squared lengths, plus half a square pixel.

    Args:
        there: ``(N, 2)`` pixels, flow at the points.
        back: ``(N, 2)`` pixels, flow back at the places they are moved to.

    Returns:
        ``(N,)``, at most 1.
    """
    error = ((there + back) ** 2).sum(1)
    allowed = _SHARE * ((there**2).sum(1) + (back**2).sum(1)) + _SLACK
    found: np.ndarray = 1 - error / allowed
    return found


def inside_as_published(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether points are visible by SAM-PT's rule, ``bool (N,)``.

    Its bounds are not symmetrical: -0.1 is outside, width - 0.1 inside, though the centre of the
    last pixel is at width - 1.
    """
    height, width = size
    x, y = xy.T
    found: np.ndarray = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return found


def inside(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether points are in the image, ``bool (N,)``: from the edge of a pixel to that of another.

    Args:
        xy: ``(N, 2)`` pixels; the centre of the top-left pixel is (0, 0).
        size: height and width.
    """
    height, width = size
    x, y = xy.T
    found: np.ndarray = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return found
