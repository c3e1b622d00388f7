"""Objects in space: where the pixels and points of one image are, in metres. No ROS here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sam_pt_ros.errors import UserError


@dataclass(frozen=True, eq=False)
class Extent:
    """Where an object is: the side of it that the camera sees.

    Attributes:
        centroid: ``float64 (3,)`` metres, mean of its surface.
        box_min: ``float64 (3,)`` metres, lowest corner of the smallest box along the axes.
        box_max: ``float64 (3,)`` metres, highest corner of it.
    """

    centroid: np.ndarray
    box_min: np.ndarray
    box_max: np.ndarray


@dataclass(frozen=True, eq=False)
class ObjectInSpace:
    """What depth says of one object.

    Attributes:
        points: ``float64 (N, 3)`` metres, its query points, in the order of the result's; NaN
            for those that are not visible or have no depth.
        cloud: ``float32 (M, 3)`` metres, the surface below its mask; no row without depth. It is
            kept by column: the transpose of a contiguous array.
    """

    points: np.ndarray
    cloud: np.ndarray

    @property
    def extent(self) -> Extent | None:
        """None without depth."""
        if len(self.cloud) == 0:
            return None
        return Extent(
            self.cloud.mean(0, np.float64),
            self.cloud.min(0).astype(np.float64),
            self.cloud.max(0).astype(np.float64),
        )


@dataclass(frozen=True, eq=False)
class SpatialResult:
    """All objects of one image in space.

    Attributes:
        frame_id: the frame of all coordinates (REP 103, REP 105).
        objects: by object id; those of the image that are missing have no depth.
    """

    frame_id: str
    objects: Mapping[int, ObjectInSpace] = field(default_factory=dict)

    def transformed(self, transform: np.ndarray, frame_id: str) -> SpatialResult:
        """The same in another frame.

        Args:
            transform: ``float64 (4, 4)``, from this frame's coordinates to the other's.
            frame_id: the other frame.

        Raises:
            UserError: a transform that is not finite.
        """
        transform = np.asarray(transform, np.float64)
        if transform.shape != (4, 4) or not np.isfinite(transform).all():
            raise UserError(f"the transform to '{frame_id}' must be 4x4 and finite")
        rotation, translation = transform[:3, :3], transform[:3, 3:]
        moved = {
            object_id: ObjectInSpace(
                (rotation @ item.points.T + translation).T,
                (rotation @ item.cloud.T + translation).astype(np.float32).T,
            )
            for object_id, item in self.objects.items()
        }
        return SpatialResult(frame_id, moved)


@dataclass(frozen=True)
class Located:
    """Where the things of an image are, in two frames.

    Attributes:
        space: in the image's frame; None without depth.
        target: in the target frame; None without a target frame. It holds nothing where depth
            or the transform is missing.
        transformed: whether depth and transform were there.
    """

    space: SpatialResult | None = None
    target: SpatialResult | None = None
    transformed: bool = False
