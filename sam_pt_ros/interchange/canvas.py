"""The canvas: the image shown in front of the camera, to click on in RViz. No ROS here.

RViz publishes clicks on geometry only, not on pixels. So the image is the texture of a flat mesh
across the rays of its pixels: a point on the mesh projects to the pixel that is drawn there, lens
distortion included.

The messages follow from the sources of RViz 11.2 (Humble), 14.1 (Jazzy) and 14.3, which are named
below (rviz_default_plugins unless noted otherwise), and of its renderer, Ogre 1.12:

- triangle_list_marker.cpp: points come in threes; a texture counts only if there is one uv per
  point, and one texture_resource ``embedded://NAME``. Its format is the name of an Ogre codec,
  ``jpeg``, ``jpg`` or ``png``: CompressedImage's longer names are an uncaught exception.
  A scale of 0 flattens the mesh.
- uv (0, 0) is the image's top left corner: Ogre uploads rows from the top.
- Neither side is culled, but textured meshes are always lit, by one directional light along the
  view (rviz_common, visualization_manager.cpp): colour 1 and normals towards the viewer,
  (second - first corner) x (third - first), show the texture as it is.
- Publish Point hits it: the depth of all that is drawn without culling is rendered for picking
  (rviz_common, selection_renderer.cpp).
- An ADD to an existing marker adds a texture layer, and layers multiply: the image gets darker
  each time. So the marker has to be deleted first.
- Deleting it does not free its texture, which Ogre's TextureManager keeps under a name that RViz
  makes unique: megabytes for every image. But an ADD to an existing marker takes its texture out
  of the manager, and the DELETE then frees it. So each marker is given a texture of one pixel
  before it is deleted, and only that pixel leaks.
- marker_common.cpp: the markers of a message are handled in order, before the next frame is drawn;
  two of the same namespace and id are reported as an error. So ids alternate, and DELETEALL, of
  this namespace only, replaces DELETE.
- The display MarkerArray takes arrays only; the display Marker takes them on TOPIC_array.

Outlines of the masks come in the same message as the image that they belong to, since those on
``~/markers`` are newer than the canvas and would lie beside what moves.
"""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.images import encode_jpeg
from sam_pt_ros.interchange.messages import DELETEALL, MessageMaker

CANVAS_KIND = "visualization_msgs/msg/MarkerArray"
"""Type of the messages."""

NAMESPACE = "canvas"

_GRIDS = (1, 4, 8, 16, 24, 32, 48, 64, 96)  # cells in each direction; with 96, 2 MB a message
_WANTED, _WORST = 0.25, 0.5  # pixels by which a cell should be off at most, and may be
_REACHED = 0.05  # pixels by which the lens model may miss a pixel that it reaches
_STEEPEST = np.tan(np.radians(80.0))  # steeper rays would meet the mesh far out
_SAMPLES = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [2 / 3, 2 / 3, 2 / 3]]) / 2
_TRIANGLE_LIST, _ADD = 11, 0  # of visualization_msgs/msg/Marker
_DELETING_ID = 2  # the canvas has 0 and 1 in turn
_NO_OBJECT = 0  # an id that no outline has


def canvas_mesh(
    camera: CameraModel, size: tuple[int, int], distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """A flat mesh that shows each pixel of the image on its ray.

    It is the coarsest grid in which no point is off by more than 0.25 pixels: one cell if there is
    no distortion. Cells are left out if the lens model does not reach them, if they are seen at
    more than 80 degrees, or if they are off by more than 0.5 pixels even in the finest grid.

    Args:
        camera: its model.
        size: (height, width) of the image, which extends from -0.5 to width - 0.5.
        distance: of the mesh in front of the camera, metres.

    Returns:
        Corners of triangles in the optical frame, ``float64 (3 N, 3)`` metres, and their places in
        the image, ``float32 (3 N, 2)``: (0, 0) top left, (1, 1) bottom right. Seen from the
        camera, triangles run counter-clockwise.
    """
    for cells in _GRIDS:
        rays, uv, error = _grid(camera, size, cells)
        if (error < _WANTED).all():
            break
    good = error < _WORST
    return (rays[good] * distance).reshape(-1, 3), uv[good].reshape(-1, 2).astype(np.float32)


def _grid(
    camera: CameraModel, size: tuple[int, int], cells: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grid over the image.

    Returns:
        Corners of the two triangles of each cell at depth 1, ``float64 (cells^2, 2, 3, 3)``; their
        uv, ``(cells^2, 2, 3, 2)``; and the pixels by which a cell is off, ``(cells^2,)``,
        infinite if the lens model does not reach it.
    """
    shape = np.array(size[::-1])
    steps = np.linspace(0.0, 1.0, cells + 1)
    uv = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    rays = camera.rays(uv * shape - 0.5)
    with np.errstate(all="ignore"):  # rays of pixels that are not reached are arbitrary
        reached = np.linalg.norm(camera.pixels(rays) - (uv * shape - 0.5), axis=-1) < _REACHED
        reached &= np.hypot(*rays[:, :2].T) < _STEEPEST

        number = np.arange(len(uv)).reshape(cells + 1, cells + 1)
        top_left, top_right = number[:-1, :-1].ravel(), number[:-1, 1:].ravel()
        low_left, low_right = number[1:, :-1].ravel(), number[1:, 1:].ravel()
        corners = np.stack([top_left, low_left, top_right, top_right, low_left, low_right], -1)
        corners = corners.reshape(-1, 2, 3)

        # Within a triangle the texture is interpolated linearly; a lens is not linear.
        meant = _SAMPLES @ uv[corners] * shape - 0.5
        drawn = camera.pixels(_SAMPLES @ rays[corners]).reshape(meant.shape)
        error = np.linalg.norm(drawn - meant, axis=-1)
    error = np.where(reached[corners].all((1, 2)), error.max((1, 2)), np.inf)
    return rays[corners], uv[corners], error


class CanvasMessages:
    """Makes the messages that show one image after another on the canvas.

    Args:
        make: makes messages.
        distance: of the canvas in front of the camera, metres.
    """

    def __init__(self, make: MessageMaker, distance: float) -> None:
        self._make = make
        self._distance = distance
        self._pixel = encode_jpeg(np.zeros((1, 1, 3), np.uint8))
        self._known: tuple[CameraModel, tuple[int, int]] | None = None
        self._corners: dict[str, list[Any]] = {}
        self._shown: tuple[int, Any] | None = None  # id and header of what is on the canvas
        self._outlined: set[str] = set()  # namespaces of outlines that were ever shown

    def show(
        self, image: np.ndarray, header: Any, camera: CameraModel, outlines: Sequence[Any] = ()
    ) -> Any:
        """The message that replaces what the canvas shows: a MarkerArray.

        Args:
            image: RGB ``uint8 (H, W, 3)``.
            header: the image's.
            camera: its model.
            outlines: markers of that image, with other namespaces and ids above 0.

        Raises:
            UserError: the calibration is for images of another size, or its lens model reaches
                no pixel.
        """
        size = (image.shape[0], image.shape[1])
        camera.check_size(size)
        if self._known != (camera, size):
            self._corners, self._known = self._mesh(camera, size), (camera, size)
        if not self._corners["points"]:
            raise UserError(
                "the lens model of the camera_info reaches no part of the image: the canvas "
                "cannot show it; calibrate the camera"
            )
        markers = []
        last = self._shown
        if last is not None:
            corners = {name: some[:3] for name, some in self._corners.items()}
            markers.append(self._marker(*last, corners, self._pixel))
        marker_id = 1 - last[0] if last is not None else 0
        # Everything is deleted before anything is added: some versions delete all namespaces.
        markers.append(self._deletion(header, NAMESPACE, _DELETING_ID))
        markers += [self._deletion(header, ns, _NO_OBJECT) for ns in sorted(self._outlined)]
        markers += outlines
        markers.append(self._marker(marker_id, header, self._corners, encode_jpeg(image)))
        self._outlined |= {marker.ns for marker in outlines}
        self._shown = marker_id, header
        return self._make(CANVAS_KIND, markers=markers)

    def _deletion(self, header: Any, namespace: str, marker_id: int) -> Any:
        """Deletes all markers of a namespace; its own id must be none of the message's others."""
        return self._make(
            "visualization_msgs/msg/Marker",
            header=header,
            ns=namespace,
            id=marker_id,
            action=DELETEALL,
            pose=self._pose(),
        )

    def _mesh(self, camera: CameraModel, size: tuple[int, int]) -> dict[str, list[Any]]:
        """The mesh as fields of a marker; made once, because it is large and does not change."""
        make = self._make
        vertices, uv = canvas_mesh(camera, size, self._distance)
        return {
            "points": [
                make("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in vertices.tolist()
            ],
            "uv_coordinates": [
                make("visualization_msgs/msg/UVCoordinate", u=u, v=v) for u, v in uv.tolist()
            ],
        }

    def _marker(
        self, marker_id: int, header: Any, corners: dict[str, list[Any]], jpeg: np.ndarray
    ) -> Any:
        make = self._make
        return make(
            "visualization_msgs/msg/Marker",
            header=header,
            ns=NAMESPACE,
            id=marker_id,
            type=_TRIANGLE_LIST,
            action=_ADD,
            pose=self._pose(),
            scale=make("geometry_msgs/msg/Vector3", x=1.0, y=1.0, z=1.0),
            color=make("std_msgs/msg/ColorRGBA", r=1.0, g=1.0, b=1.0, a=1.0),
            texture_resource=f"embedded://{NAMESPACE}",
            texture=make(
                "sensor_msgs/msg/CompressedImage",
                header=header,
                format="jpeg",
                data=array.array("B", jpeg.tobytes()),
            ),
            **corners,
        )

    def _pose(self) -> Any:
        return self._make(
            "geometry_msgs/msg/Pose",
            orientation=self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        )
