"""Converts messages to prompts, and results to messages, of any library. No ROS here.

The node makes messages of rclpy's classes, and an offline evaluation of those of rosbags. Both use
the same functions, so that a bag holds what the node would have published.
"""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterable
from typing import Any, Protocol

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.space import Extent, SpatialResult
from sam_pt_ros.interchange.images import MIN_SIDE, decode_mask, encode_jpeg
from sam_pt_ros.interchange.visualization import draw_overlay, object_colour
from sam_pt_ros.masks import CroppedMask, MaskPrediction
from sam_pt_ros.objects import ObjectPrompt, ObjectResult, ObjectState, PromptRequest, TrackResult
from sam_pt_ros.options.node import CANVAS_DISTANCE

KINDS: dict[str, str] = {
    "objects": "sam_pt_ros/msg/TrackedObjectArray",
    "label_image": "sensor_msgs/msg/Image",
    "masks": "sam_pt_ros/msg/ObjectMaskArray",
    "tracked_points": "sam_pt_ros/msg/TrackedPointArray",
    "overlay": "sensor_msgs/msg/Image",
    "markers": "visualization_msgs/msg/MarkerArray",
}
"""Types of the output topics that every image has, by their name below ``~/``."""

CLOUD_KIND = "sensor_msgs/msg/PointCloud2"
COMPRESSED_KIND = "sensor_msgs/msg/CompressedImage"
DETECTIONS_KIND = "vision_msgs/msg/Detection2DArray"

MAX_POINTS = 1000
"""Most points that one object may be given at once. More are a mistake of a program."""

# Shares of the canvas' distance: outlines are a little in front of it.
_OUTLINE_DISTANCE, _OUTLINE_WIDTH, _CAPTION_HEIGHT = 0.995, 0.004, 0.04
_UNKNOWN = np.full(3, np.nan)
_CLOUD_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("object_id", "<u4")])
_CLOUD_FIELDS = {"x": 7, "y": 7, "z": 7, "object_id": 6}  # PointField's FLOAT32 and UINT32

DELETEALL = 3
"""The action of a ``visualization_msgs/msg/Marker`` that deletes the others of its namespace."""

_LINE_LIST, _TEXT_VIEW_FACING = 5, 9  # types of a marker


# --- from messages ------------------------------------------------------------------------


def stamp_of(header: Any) -> int:
    """A header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def prompt_stamp(header: Any) -> int | None:
    """The stamp that a prompt refers to; None, the newest frame, if it is 0."""
    return stamp_of(header) or None


def _points(prompts: Iterable[Any]) -> ObjectPrompt:
    prompts = list(prompts)
    if len(prompts) > MAX_POINTS:
        raise UserError(
            f"{len(prompts)} points for one object are too many; at most {MAX_POINTS} may be "
            "given at once"
        )
    with np.errstate(over="ignore"):  # overflow gives infinity, which is refused as not finite
        points = np.array([(p.x, p.y) for p in prompts], np.float32).reshape(-1, 2)
    return ObjectPrompt(points, np.array([p.label for p in prompts], np.int32))


def requests_from_points(prompts: Iterable[Any]) -> list[PromptRequest]:
    """Group the clicks of a PointPromptArray by object; see ``PointPrompt.msg`` for the rules.

    Raises:
        UserError: no clicks, too many of them, clicks that are not finite, or a wrong label.
    """
    groups: dict[tuple[int, str], list[Any]] = {}
    for prompt in prompts:
        label = "" if prompt.object_id else prompt.object_label
        groups.setdefault((prompt.object_id, label), []).append(prompt)
    if not groups:
        raise UserError("the message holds no points")
    return [
        PromptRequest(_points(group), object_id or None, group[0].object_label)
        for (object_id, _), group in groups.items()
    ]


def request_from_prompt(message: Any, image_size: tuple[int, int] | None = None) -> PromptRequest:
    """The request that an ``ObjectPrompt.msg`` makes.

    Args:
        message: the prompt.
        image_size: height, width of the images, to place a mask that was cut out; None: unknown.

    Raises:
        UserError: a box with one side of 0, a malformed mask, too many points, or points as in
            ``requests_from_points``.
    """
    points = _points(message.points)
    box, drawn, mask = message.box, message.mask, None
    if bool(box.width) != bool(box.height):
        raise UserError(
            f"the box is {box.width}x{box.height}; both sides must be above 0, or both 0 for no "
            "box"
        )
    if drawn.width and drawn.height:
        cut_out = (drawn.height, drawn.width) == (box.height, box.width) != image_size
        mask = decode_mask(drawn, 1 if cut_out else MIN_SIDE)
        if cut_out:
            mask = _placed(mask, box, image_size)
            box = None
    return PromptRequest(
        ObjectPrompt(
            points.points,
            points.labels,
            box=_box(box) if box is not None and box.width else None,
            mask=mask,
        ),
        message.object_id or None,
        message.label,
        anew=bool(message.object_id),
    )


def _placed(mask: np.ndarray, roi: Any, image_size: tuple[int, int] | None) -> np.ndarray:
    """A mask that was cut out, over the whole image, ``bool (H, W)``."""
    if image_size is None:
        raise UserError("a mask that was cut out needs an image first, whose size is then known")
    height, width = image_size
    x, y = roi.x_offset, roi.y_offset
    if x + roi.width > width or y + roi.height > height:
        raise UserError(
            f"the mask of {roi.width}x{roi.height} at ({x}, {y}) extends beyond the image of "
            f"{width}x{height} pixels"
        )
    whole = np.zeros(image_size, np.bool_)
    whole[y : y + roi.height, x : x + roi.width] = mask
    return whole


def _box(roi: Any) -> np.ndarray:
    corners = (
        roi.x_offset,
        roi.y_offset,
        roi.x_offset + roi.width - 1,
        roi.y_offset + roi.height - 1,
    )
    return np.array(corners, np.float32)


# --- to messages --------------------------------------------------------------------------


def _frame_of(space: SpatialResult | None) -> str:
    return "" if space is None else space.frame_id


def _bytes(pixels: np.ndarray) -> array.array[int]:
    """The bytes of a contiguous array, as message data; rclpy checks other types by element."""
    data = array.array("B")
    data.frombytes(pixels.reshape(-1).view(np.uint8).data)
    return data


class MessageMaker(Protocol):
    """Makes messages of one library."""

    def __call__(self, kind: str, **fields: Any) -> Any:
        """A message of the type ``kind``, ``package/msg/Name``; fields not given are zero."""
        ...


class ResultMessages:
    """The results of an image as messages, under the header of that image.

    Args:
        make: makes messages. ``header`` arguments are of the same library.
    """

    def __init__(self, make: MessageMaker) -> None:
        self._make = make
        self._nowhere = self._extent_of(Extent(_UNKNOWN, _UNKNOWN, _UNKNOWN))

    def objects(
        self,
        result: TrackResult,
        header: Any,
        space: SpatialResult | None = None,
        target: SpatialResult | None = None,
    ) -> Any:
        """All objects, and the stages that were skipped: a TrackedObjectArray.

        Args:
            result: of one image.
            header: that image's.
            space: positions in the image's frame; None: not known.
            target: positions in the target frame; None: not known.
        """
        return self._make(
            KINDS["objects"],
            header=header,
            target_frame=_frame_of(target),
            skipped=list(result.skipped),
            objects=[self._object(o, space, target) for o in result.objects],
        )

    def label_image(self, result: TrackResult, header: Any) -> Any:
        """Object ids by pixel: mono8, or mono16 once there is an id above 255."""
        if any(item.object_id > 255 for item in result.objects):
            return self.image(result.label_image, "mono16", header)
        return self.image(result.label_image.astype(np.uint8), "mono8", header)

    def masks(self, result: TrackResult, header: Any) -> Any:
        """The cropped masks of the objects that are seen: an ObjectMaskArray."""
        masks = [
            self.mask(item.mask, item.object_id, item.score, header)
            for item in result.objects
            if item.state is ObjectState.TRACKING
        ]
        return self._make(KINDS["masks"], header=header, masks=masks)

    def hypotheses(
        self, found: Iterable[MaskPrediction], object_id: int, header: Any
    ) -> list[Any]:
        """What the prompt of a new object may mean, as ObjectMasks in the same order."""
        return [
            self.mask(
                CroppedMask.cut(each.logits > 0, each.origin, each.image_size),
                object_id,
                each.score,
                header,
            )
            for each in found
        ]

    def mask(self, mask: CroppedMask, object_id: int, score: float, header: Any) -> Any:
        """One mask, cut out: an ObjectMask."""
        return self._make(
            "sam_pt_ros/msg/ObjectMask",
            object_id=object_id,
            score=score,
            roi=self._roi(mask),
            mask=self.image(mask.pixels.astype(np.uint8) * 255, "mono8", header),
        )

    def tracked_points(
        self,
        result: TrackResult,
        header: Any,
        space: SpatialResult | None = None,
        target: SpatialResult | None = None,
    ) -> Any:
        """All query points: a TrackedPointArray; for arguments see :meth:`objects`."""
        points = []
        for item in result.objects:
            tracks = item.points
            rows = zip(
                tracks.ids.tolist(),
                item.point_labels.tolist(),
                tracks.xy.tolist(),
                tracks.visible.tolist(),
                self._positions(item, space),
                self._positions(item, target),
                tracks.confidence.tolist(),
                strict=True,
            )
            for point_id, label, (x, y), visible, here, there, confidence in rows:
                points.append(
                    self._make(
                        "sam_pt_ros/msg/TrackedPoint",
                        id=point_id,
                        object_id=item.object_id,
                        label=label,
                        x=x,
                        y=y,
                        visible=visible,
                        position=here,
                        target_position=there,
                        confidence=confidence,
                    )
                )
        return self._make(
            KINDS["tracked_points"],
            header=header,
            target_frame=_frame_of(target),
            points=points,
        )

    def overlay(self, result: TrackResult, header: Any, image: np.ndarray) -> Any:
        """The image, RGB ``uint8 (H, W, 3)``, with the result drawn on it."""
        return self.image(draw_overlay(image, result), "rgb8", header)

    def markers(
        self,
        result: TrackResult,
        header: Any,
        camera: CameraModel,
        canvas_distance: float = CANVAS_DISTANCE,
    ) -> Any:
        """Outlines and captions of the masks: a MarkerArray; for arguments see :meth:`outlines`.

        The first marker deletes those of the frame before.
        """
        first = {"header": header, "pose": self._pose(), "action": DELETEALL}
        markers = [self._make("visualization_msgs/msg/Marker", **first)]
        markers += self.outlines(result, header, camera, canvas_distance)
        return self._make(KINDS["markers"], markers=markers)

    def outlines(
        self, result: TrackResult, header: Any, camera: CameraModel, canvas_distance: float
    ) -> list[Any]:
        """Outlines and captions of the masks, a little in front of the canvas: Markers.

        Args:
            result: of one image.
            header: that image's.
            camera: its model.
            canvas_distance: of the canvas in front of the camera, metres.
        """
        markers = []
        for item in result.objects:
            if item.state is ObjectState.TRACKING:
                markers += self._markers_of(item, header, camera, canvas_distance)
        return markers

    def compressed(self, image: np.ndarray, header: Any) -> Any:
        """An image, RGB ``uint8 (H, W, 3)``, as a JPEG: a CompressedImage."""
        return self._make(
            COMPRESSED_KIND,
            header=header,
            format="rgb8; jpeg compressed bgr8",
            data=_bytes(encode_jpeg(image)),
        )

    def cloud(self, space: SpatialResult, header: Any) -> Any:
        """The surfaces of all objects, fields x, y, z (metres) and object_id: a PointCloud2.

        Args:
            space: positions.
            header: the image's stamp, and the frame of ``space``.
        """
        ids = sorted(space.objects)
        points = np.zeros(sum(len(space.objects[i].cloud) for i in ids), _CLOUD_POINT)
        begin = 0
        for object_id in ids:
            cloud = space.objects[object_id].cloud
            rows = points[begin : begin + len(cloud)]
            rows["x"], rows["y"], rows["z"] = cloud.T
            rows["object_id"] = object_id
            begin += len(cloud)
        fields = [
            self._make(
                "sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=datatype, count=1
            )
            for i, (name, datatype) in enumerate(_CLOUD_FIELDS.items())
        ]
        return self._make(
            CLOUD_KIND,
            header=header,
            height=1,
            width=len(points),
            fields=fields,
            is_bigendian=False,
            point_step=_CLOUD_POINT.itemsize,
            row_step=_CLOUD_POINT.itemsize * len(points),
            data=_bytes(points),
            is_dense=True,
        )

    def detections(self, result: TrackResult, header: Any) -> Any:
        """Boxes and scores of the objects that are seen: a Detection2DArray of vision_msgs."""
        made = []
        for item in result.objects:
            if item.state is not ObjectState.TRACKING:
                continue
            x, y, width, height = item.mask.roi
            centre = self._make(
                "vision_msgs/msg/Pose2D",
                position=self._make(
                    "vision_msgs/msg/Point2D", x=x + (width - 1) / 2, y=y + (height - 1) / 2
                ),
                theta=0.0,
            )
            hypothesis = self._make(
                "vision_msgs/msg/ObjectHypothesis",
                class_id=item.label,
                score=float(item.score),
            )
            made.append(
                self._make(
                    "vision_msgs/msg/Detection2D",
                    header=header,
                    results=[
                        self._make(
                            "vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis
                        )
                    ],
                    bbox=self._make(
                        "vision_msgs/msg/BoundingBox2D",
                        center=centre,
                        size_x=float(width),
                        size_y=float(height),
                    ),
                    id=str(item.object_id),
                )
            )
        return self._make(DETECTIONS_KIND, header=header, detections=made)

    def image(self, pixels: np.ndarray, encoding: str, header: Any) -> Any:
        """An array, ``uint8`` or ``uint16 (H, W)`` or ``(H, W, 3)``, as an image."""
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        return self._make(
            "sensor_msgs/msg/Image",
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=int(sys.byteorder == "big"),
            step=pixels.strides[0],
            data=_bytes(pixels),
        )

    def _pose(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Any:
        return self._make(
            "geometry_msgs/msg/Pose",
            position=self._make("geometry_msgs/msg/Point", x=x, y=y, z=z),
            orientation=self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        )

    def _roi(self, mask: CroppedMask) -> Any:
        x, y, width, height = mask.roi
        return self._make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=x, y_offset=y, width=width, height=height
        )

    def _point(self, xyz: np.ndarray) -> Any:
        x, y, z = map(float, xyz)
        return self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)

    def _positions(self, item: ObjectResult, space: SpatialResult | None) -> list[Any]:
        known = None if space is None else space.objects.get(item.object_id)
        if known is None:
            return [self._nowhere.centroid] * len(item.points)
        return [self._point(point) for point in known.points]

    def _extent(self, item: ObjectResult, space: SpatialResult | None) -> Any:
        known = None if space is None else space.objects.get(item.object_id)
        extent = None if known is None else known.extent
        return self._nowhere if extent is None else self._extent_of(extent)

    def _extent_of(self, extent: Extent) -> Any:
        return self._make(
            "sam_pt_ros/msg/Extent",
            centroid=self._point(extent.centroid),
            box_min=self._point(extent.box_min),
            box_max=self._point(extent.box_max),
        )

    def _object(
        self, item: ObjectResult, space: SpatialResult | None, target: SpatialResult | None
    ) -> Any:
        centroid = item.mask.centroid or (math.nan, math.nan)
        return self._make(
            "sam_pt_ros/msg/TrackedObject",
            id=item.object_id,
            label=item.label,
            state=int(item.state),
            score=item.score,
            roi=self._roi(item.mask),
            area=item.mask.area,
            centroid_x=centroid[0],
            centroid_y=centroid[1],
            extent=self._extent(item, space),
            target_extent=self._extent(item, target),
            points_visible=item.positives_visible,
            points_total=item.positives_total,
            age=item.age,
            frames_since_seen=item.frames_since_seen,
            revised=item.revised,
        )

    def _markers_of(
        self, item: ObjectResult, header: Any, camera: CameraModel, canvas_distance: float
    ) -> list[Any]:
        make = self._make
        red, green, blue = (channel / 255 for channel in object_colour(item.object_id))
        colour = make("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=1.0)

        def marker(
            namespace: str, kind: int, pose: Any, scale: dict[str, float], **more: Any
        ) -> Any:
            return make(
                "visualization_msgs/msg/Marker",
                header=header,
                ns=namespace,
                id=item.object_id,
                type=kind,
                color=colour,
                pose=pose,
                scale=make("geometry_msgs/msg/Vector3", **scale),
                **more,
            )

        distance, lines = _OUTLINE_DISTANCE * canvas_distance, []
        contours, _ = cv2.findContours(
            item.mask.pixels.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        for contour in contours:
            pixels = contour.reshape(-1, 2) + np.array(item.mask.origin)
            ends = distance * camera.rays(pixels)
            corners = [make("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in ends.tolist()]
            for begin, end in zip(corners, corners[1:] + corners[:1], strict=True):
                lines += [begin, end]
        size = {"x": _OUTLINE_WIDTH * canvas_distance}
        outline = marker("outline", _LINE_LIST, self._pose(), size, points=lines)

        x, y, width, _ = item.mask.roi
        height = _CAPTION_HEIGHT * canvas_distance
        ((cx, cy, cz),) = (distance * camera.rays(np.array([[x + width / 2, y]]))).tolist()
        caption = marker(
            "caption",
            _TEXT_VIEW_FACING,
            self._pose(cx, cy - height, cz),
            {"z": height},
            text=f"{item.object_id} {item.label}".strip(),
        )
        return [outline, caption]
