"""Objects in space: positions of the points and pixels of one image, in metres. Needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sam_pt_ros.errors import UserError


@dataclass(frozen=True, eq=False)
class Extent:
    """Position and size of an object, measured on the side that the camera sees.

    Attributes:
        centroid: ``float64 (3,)`` metres, mean of its surface points.
        box_min: ``float64 (3,)`` metres, minimum corner of the axis-aligned bounding box.
        box_max: ``float64 (3,)`` metres, maximum corner of it.
    """

    centroid: np.ndarray
    box_min: np.ndarray
    box_max: np.ndarray


@dataclass(frozen=True, eq=False)
class ObjectInSpace:
    """Position of one object, from depth.

    Attributes:
        points: ``float64 (N, 3)`` metres, its query points, in the same order as in the result;
            NaN for those that are not visible or have no depth.
        cloud: ``float32 (M, 3)`` metres, the surface covered by its mask; empty without depth.
            It is the transpose of a contiguous array, so each coordinate is contiguous.
    """

    points: np.ndarray
    cloud: np.ndarray

    @property
    def extent(self) -> Extent | None:
        """Position and size; None without depth."""
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
        objects: by object id; objects without depth are left out.
    """

    frame_id: str
    objects: Mapping[int, ObjectInSpace] = field(default_factory=dict)

    def transformed(self, transform: np.ndarray, frame_id: str) -> SpatialResult:
        """Transform everything into another frame.

        Args:
            transform: ``float64 (4, 4)``, from coordinates in this frame to the other frame.
            frame_id: the other frame.

        Raises:
            UserError: the transform is not finite, or not 4x4.
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
    """Positions of the objects of one image, in two frames.

    Attributes:
        space: positions in the image's frame; None without depth.
        target: positions in the target frame; None without a target frame, and empty if depth
            or the transform is missing.
        transformed: whether both depth and the transform were available.
    """

    space: SpatialResult | None = None
    target: SpatialResult | None = None
    transformed: bool = False
