"""Prompts from messages and results to messages, whoever made their classes. No ROS here.

The node makes messages with rclpy's classes, and an offline evaluation with those of rosbags: by
the same functions, so that what is in a bag is what the node would have published.
"""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterable
from typing import Any, Protocol

import cv2
import numpy as np

from sam_pt_ros.camera import CameraModel
from sam_pt_ros.errors import UserError
from sam_pt_ros.images import decode_mask
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import (
    ObjectPrompt,
    ObjectResult,
    ObjectState,
    PromptRequest,
    TrackResult,
)
from sam_pt_ros.visualization import draw_overlay, object_colour

KINDS: dict[str, str] = {
    "objects": "sam_pt_ros/msg/TrackedObjectArray",
    "label_image": "sensor_msgs/msg/Image",
    "masks": "sam_pt_ros/msg/ObjectMaskArray",
    "tracked_points": "sam_pt_ros/msg/TrackedPointArray",
    "overlay": "sensor_msgs/msg/Image",
    "markers": "visualization_msgs/msg/MarkerArray",
}
"""Types of the node's output topics, by their name below ``~/``."""

_OUTLINE_WIDTH = 0.004  # metres, of markers drawn 1 m in front of the camera
_CAPTION_HEIGHT = 0.04
_DELETEALL, _LINE_LIST, _TEXT_VIEW_FACING = 3, 5, 9  # of visualization_msgs/msg/Marker


# --- from messages ------------------------------------------------------------------------


def stamp_of(header: Any) -> int:
    """A header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def prompt_stamp(header: Any) -> int | None:
    """The stamp that a prompt refers to; None, the newest frame, if it is 0."""
    return stamp_of(header) or None


def _points(prompts: Iterable[Any]) -> ObjectPrompt:
    prompts = list(prompts)
    return ObjectPrompt(
        np.array([(p.x, p.y) for p in prompts], np.float32).reshape(-1, 2),
        np.array([p.label for p in prompts], np.int32),
    )


def requests_from_points(prompts: Iterable[Any]) -> list[PromptRequest]:
    """Group the clicks of a PointPromptArray by object; see ``PointPrompt.msg`` for the rules.

    Raises:
        UserError: no clicks, clicks that are not finite, or a wrong label.
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


def request_from_prompt(message: Any) -> PromptRequest:
    """The request that an ``ObjectPrompt.msg`` makes; UserError if its mask is malformed."""
    points = _points(message.points)
    box, mask = message.box, message.mask
    return PromptRequest(
        ObjectPrompt(
            points.points,
            points.labels,
            box=_box(box) if box.width and box.height else None,
            mask=decode_mask(mask) if mask.width and mask.height else None,
        ),
        label=message.label,
    )


def _box(roi: Any) -> np.ndarray:
    corners = (
        roi.x_offset,
        roi.y_offset,
        roi.x_offset + roi.width - 1,
        roi.y_offset + roi.height - 1,
    )
    return np.array(corners, np.float32)


# --- to messages --------------------------------------------------------------------------


class Maker(Protocol):
    """Makes messages."""

    def __call__(self, kind: str, **fields: Any) -> Any:
        """A message of the type ``kind``, ``package/msg/Name``; fields not given are zero."""
        ...


class ResultMessages:
    """What is known of an image, as messages under the header of that image.

    Args:
        make: makes messages. ``header`` arguments are headers of the same classes.
    """

    def __init__(self, make: Maker) -> None:
        self._make = make

    def objects(self, result: TrackResult, header: Any) -> Any:
        """Id, state, score, box, area and centroid of every object: a TrackedObjectArray."""
        return self._make(
            KINDS["objects"], header=header, objects=[self._object(o) for o in result.objects]
        )

    def label_image(self, result: TrackResult, header: Any) -> Any:
        """Object ids by pixel: mono8, or mono16 once there is an id above 255."""
        if any(item.object_id > 255 for item in result.objects):
            return self.image(result.label_image, "mono16", header)
        return self.image(result.label_image.astype(np.uint8), "mono8", header)

    def masks(self, result: TrackResult, header: Any) -> Any:
        """The cut-out masks of the objects that are seen: an ObjectMaskArray."""
        masks = [
            self._make(
                "sam_pt_ros/msg/ObjectMask",
                object_id=item.object_id,
                score=item.score,
                roi=self._roi(item.mask),
                mask=self.image(item.mask.pixels.astype(np.uint8) * 255, "mono8", header),
            )
            for item in result.objects
            if item.state is ObjectState.TRACKING
        ]
        return self._make(KINDS["masks"], header=header, masks=masks)

    def tracked_points(self, result: TrackResult, header: Any) -> Any:
        """All query points: a TrackedPointArray."""
        points = []
        for item in result.objects:
            tracks = item.points
            for row in range(len(tracks)):
                points.append(
                    self._make(
                        "sam_pt_ros/msg/TrackedPoint",
                        id=int(tracks.ids[row]),
                        object_id=item.object_id,
                        label=int(item.point_labels[row]),
                        x=float(tracks.xy[row, 0]),
                        y=float(tracks.xy[row, 1]),
                        visible=bool(tracks.visible[row]),
                        confidence=float(tracks.confidence[row]),
                    )
                )
        return self._make(KINDS["tracked_points"], header=header, points=points)

    def overlay(self, result: TrackResult, header: Any, image: np.ndarray) -> Any:
        """The image, RGB ``uint8 (H, W, 3)``, with all of it drawn."""
        return self.image(draw_overlay(image, result), "rgb8", header)

    def markers(self, result: TrackResult, header: Any, camera: CameraModel) -> Any:
        """Outlines and captions, 1 m in front of the camera on the rays through the masks.

        The first marker deletes those of the frame before.
        """
        first = {"header": header, "pose": self._pose(), "action": _DELETEALL}
        markers = [self._make("visualization_msgs/msg/Marker", **first)]
        for item in result.objects:
            if item.state is ObjectState.TRACKING:
                markers += self._markers_of(item, header, camera)
        return self._make(KINDS["markers"], markers=markers)

    def image(self, pixels: np.ndarray, encoding: str, header: Any) -> Any:
        """An array, ``uint8`` or ``uint16 (H, W)`` or ``(H, W, 3)``, as an image."""
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        data = array.array("B")  # rclpy checks every element of anything else
        data.frombytes(pixels.data.cast("B"))
        return self._make(
            "sensor_msgs/msg/Image",
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=int(sys.byteorder == "big"),
            step=pixels.strides[0],
            data=data,
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

    def _object(self, item: ObjectResult) -> Any:
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
            points_visible=item.positives_visible,
            points_total=item.positives_total,
            age=item.age,
            frames_since_seen=item.frames_since_seen,
        )

    def _markers_of(self, item: ObjectResult, header: Any, camera: CameraModel) -> list[Any]:
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

        lines = []
        contours, _ = cv2.findContours(
            item.mask.pixels.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        for contour in contours:
            ends = camera.rays(contour.reshape(-1, 2) + np.array(item.mask.origin))
            corners = [make("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in ends.tolist()]
            for begin, end in zip(corners, corners[1:] + corners[:1], strict=True):
                lines += [begin, end]
        outline = marker("outline", _LINE_LIST, self._pose(), {"x": _OUTLINE_WIDTH}, points=lines)

        x, y, width, _ = item.mask.roi
        ((cx, cy, cz),) = camera.rays(np.array([[x + width / 2, y]])).tolist()
        caption = marker(
            "caption",
            _TEXT_VIEW_FACING,
            self._pose(cx, cy - _CAPTION_HEIGHT, cz),
            {"z": _CAPTION_HEIGHT},
            text=f"{item.object_id} {item.label}".strip(),
        )
        return [outline, caption]
