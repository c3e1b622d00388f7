"""Tracked points in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame


@dataclass(frozen=True, eq=False)
class PointTracks:
    """Positions and visibility of points in one frame.

    Attributes:
        index: the frame's index.
        ids: ``int64 (N,)``, as returned by ``add_points``.
        xy: ``float32 (N, 2)`` pixels, x right, y down; (0, 0) is the centre of the top-left
            pixel.
        visible: ``bool (N,)``.
        confidence: ``float32 (N,)``, 0 to 1.
    """

    index: int
    ids: np.ndarray
    xy: np.ndarray
    visible: np.ndarray
    confidence: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        count = len(self.ids)
        if self.xy.shape != (count, 2) or not (
            self.ids.shape == self.visible.shape == self.confidence.shape == (count,)
        ):
            raise ValueError(
                f"tracks of {count} points need xy ({count}, 2), visible and confidence "
                f"({count},); got {self.xy.shape}, {self.visible.shape}, {self.confidence.shape}"
            )
        if not (np.isfinite(self.xy).all() and np.isfinite(self.confidence).all()):
            raise ValueError("positions and confidences of points must be finite numbers")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, index: int) -> PointTracks:
        """Tracks of no points in the frame with this index."""
        return cls(index, np.zeros(0), np.zeros((0, 2)), np.zeros(0), np.zeros(0))

    def select(self, ids: np.ndarray) -> PointTracks:
        """The tracks of ``ids (N,)``, in that order; KeyError if one is missing."""
        row = {int(point): i for i, point in enumerate(self.ids)}
        rows = np.array([row[int(point)] for point in ids], np.int64)
        return PointTracks(
            self.index, self.ids[rows], self.xy[rows], self.visible[rows], self.confidence[rows]
        )

    def joined(self, other: PointTracks) -> PointTracks:
        """These tracks, followed by those of other points in the same frame."""
        return PointTracks(
            self.index,
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in ("ids", "xy", "visible", "confidence")
            ),
        )


_DTYPES: dict[str, type] = {
    "ids": np.int64,
    "xy": np.float32,
    "visible": np.bool_,
    "confidence": np.float32,
}


def check_query_points(xy: np.ndarray, frame: Frame) -> np.ndarray:
    """Check that points lie in a frame.

    The image spans -0.5 to width - 0.5 and -0.5 to height - 0.5: pixel centres are integers.

    Args:
        xy: ``(N, 2)`` pixels.
        frame: the frame that they must lie in.

    Returns:
        The points as ``float32 (N, 2)``.

    Raises:
        UserError: the shape is wrong, or a point is outside the image or NaN.
    """
    points = np.asarray(xy, np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"points must have shape (N, 2), got {points.shape}")
    for x, y in points.tolist():
        inside = -0.5 <= x <= frame.width - 0.5 and -0.5 <= y <= frame.height - 0.5
        if not inside:  # also catches NaN
            raise UserError(
                f"the point ({x:g}, {y:g}) is not in the image of "
                f"{frame.width}x{frame.height} pixels"
            )
    return points
