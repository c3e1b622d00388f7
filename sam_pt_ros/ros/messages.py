"""Results to messages, and prompts from messages."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from geometry_msgs.msg import Point
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.msg import (
    ObjectMask,
    ObjectMaskArray,
    PointPrompt,
    TrackedObject,
    TrackedObjectArray,
    TrackedPoint,
    TrackedPointArray,
)
from sam_pt_ros.msg import ObjectPrompt as ObjectPromptMessage
from sam_pt_ros.objects import (
    ObjectPrompt,
    ObjectResult,
    ObjectState,
    PromptRequest,
    TrackResult,
)
from sam_pt_ros.ros.camera import CameraModel
from sam_pt_ros.ros.images import decode_mask, encode_image
from sam_pt_ros.visualization import object_colour

_OUTLINE_WIDTH = 0.004  # metres, of markers drawn 1 m in front of the camera
_CAPTION_HEIGHT = 0.04


def stamp_of(header: Header) -> int:
    """A header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def prompt_stamp(header: Header) -> int | None:
    """The stamp that a prompt refers to; None, the newest frame, if it is 0."""
    return stamp_of(header) or None


# --- from messages ------------------------------------------------------------------------


def _points(prompts: Iterable[PointPrompt]) -> ObjectPrompt:
    prompts = list(prompts)
    return ObjectPrompt(
        np.array([(p.x, p.y) for p in prompts], np.float32).reshape(-1, 2),
        np.array([p.label for p in prompts], np.int32),
    )


def requests_from_points(prompts: Iterable[PointPrompt]) -> list[PromptRequest]:
    """Group the clicks of one array by object; see ``PointPrompt.msg`` for the rules.

    Raises:
        UserError: no clicks, clicks that are not finite, or a wrong label.
    """
    groups: dict[tuple[int, str], list[PointPrompt]] = {}
    for prompt in prompts:
        label = "" if prompt.object_id else prompt.object_label
        groups.setdefault((prompt.object_id, label), []).append(prompt)
    if not groups:
        raise UserError("the message holds no points")
    return [
        PromptRequest(_points(group), object_id or None, group[0].object_label)
        for (object_id, _), group in groups.items()
    ]


def request_from_prompt(message: ObjectPromptMessage) -> PromptRequest:
    """The request to start an object; UserError if its mask is malformed."""
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


def _box(roi: RegionOfInterest) -> np.ndarray:
    corners = (
        roi.x_offset,
        roi.y_offset,
        roi.x_offset + roi.width - 1,
        roi.y_offset + roi.height - 1,
    )
    return np.array(corners, np.float32)


# --- to messages --------------------------------------------------------------------------


def _roi(mask: CroppedMask) -> RegionOfInterest:
    x, y, width, height = mask.roi
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


def objects_message(result: TrackResult, header: Header) -> TrackedObjectArray:
    """Id, state, score, box, area and centroid of every object."""
    return TrackedObjectArray(header=header, objects=[_object(o) for o in result.objects])


def _object(item: ObjectResult) -> TrackedObject:
    centroid = item.mask.centroid or (math.nan, math.nan)
    return TrackedObject(
        id=item.object_id,
        label=item.label,
        state=int(item.state),
        score=item.score,
        roi=_roi(item.mask),
        area=item.mask.area,
        centroid_x=centroid[0],
        centroid_y=centroid[1],
        points_visible=item.positives_visible,
        points_total=item.positives_total,
        age=item.age,
        frames_since_seen=item.frames_since_seen,
    )


def label_image_message(result: TrackResult, header: Header) -> Image:
    """Object ids by pixel: mono8, or mono16 once there is an id above 255."""
    if any(item.object_id > 255 for item in result.objects):
        return encode_image(result.label_image, "mono16", header)
    return encode_image(result.label_image.astype(np.uint8), "mono8", header)


def masks_message(result: TrackResult, header: Header) -> ObjectMaskArray:
    """The cut-out masks of the objects that are seen."""
    return ObjectMaskArray(
        header=header,
        masks=[
            ObjectMask(
                object_id=item.object_id,
                score=item.score,
                roi=_roi(item.mask),
                mask=encode_image(item.mask.pixels.astype(np.uint8) * 255, "mono8", header),
            )
            for item in result.objects
            if item.state is ObjectState.TRACKING
        ],
    )


def points_message(result: TrackResult, header: Header) -> TrackedPointArray:
    """All query points."""
    points = []
    for item in result.objects:
        tracks = item.points
        for row in range(len(tracks)):
            points.append(
                TrackedPoint(
                    id=int(tracks.ids[row]),
                    object_id=item.object_id,
                    label=int(item.point_labels[row]),
                    x=float(tracks.xy[row, 0]),
                    y=float(tracks.xy[row, 1]),
                    visible=bool(tracks.visible[row]),
                    confidence=float(tracks.confidence[row]),
                )
            )
    return TrackedPointArray(header=header, points=points)


def markers_message(result: TrackResult, header: Header, camera: CameraModel) -> MarkerArray:
    """Outlines and captions, 1 m in front of the camera on the rays through the masks.

    The first marker deletes those of the frame before.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for item in result.objects:
        if item.state is ObjectState.TRACKING:
            markers += _markers(item, header, camera)
    return MarkerArray(markers=markers)


def _markers(item: ObjectResult, header: Header, camera: CameraModel) -> list[Marker]:
    red, green, blue = (channel / 255 for channel in object_colour(item.object_id))
    colour = ColorRGBA(r=red, g=green, b=blue, a=1.0)

    def marker(namespace: str, kind: int) -> Marker:
        made = Marker(header=header, ns=namespace, id=item.object_id, type=kind, color=colour)
        made.pose.orientation.w = 1.0
        return made

    outline = marker("outline", Marker.LINE_LIST)
    outline.scale.x = _OUTLINE_WIDTH
    contours, _ = cv2.findContours(
        item.mask.pixels.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    for contour in contours:
        ends = camera.rays(contour.reshape(-1, 2) + np.array(item.mask.origin))
        corners = [Point(x=x, y=y, z=z) for x, y, z in ends.tolist()]
        for begin, end in zip(corners, corners[1:] + corners[:1], strict=True):
            outline.points += [begin, end]

    caption = marker("caption", Marker.TEXT_VIEW_FACING)
    caption.scale.z = _CAPTION_HEIGHT
    caption.text = f"{item.object_id} {item.label}".strip()
    x, y, width, _ = item.mask.roi
    ((cx, cy, cz),) = camera.rays(np.array([[x + width / 2, y]])).tolist()
    caption.pose.position = Point(x=cx, y=cy - _CAPTION_HEIGHT, z=cz)
    return [outline, caption]
