"""Reads results from a bag of the node's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sam_pt_ros.interchange.images import decode_labels
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.points import PointTracks
from sam_pt_ros.recordings.rosbag2 import open_bag, serialized_stamp, typestore

_NEEDED = ("objects", "label_image", "tracked_points")


def read_results(path: Path, node: str, indices: Mapping[int, int]) -> Iterator[TrackResult]:
    """Read the results that a node published, in the order of their images.

    Args:
        path: the bag.
        node: full name of the node.
        indices: of the images that were played, by stamp; other messages are ignored.

    Yields:
        A result for every image whose objects, label image and points were recorded.
    """
    topics = {f"{node}/{name}": name for name in _NEEDED}
    parts: dict[int, dict[str, Any]] = {}
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic in topics]
        for connection, _, raw in bag.messages(connections) if connections else ():
            stamp = serialized_stamp(raw)
            if stamp not in indices:
                continue
            known = parts.setdefault(stamp, {})
            known[topics[connection.topic]] = typestore().deserialize_cdr(raw, connection.msgtype)
            if len(known) == len(_NEEDED):
                yield _result(indices[stamp], stamp, **parts.pop(stamp))


def _result(
    index: int, stamp: int, objects: Any, label_image: Any, tracked_points: Any
) -> TrackResult:
    labels = decode_labels(label_image)
    return TrackResult(
        index,
        stamp,
        labels,
        tuple(_object(item, index, labels, tracked_points.points) for item in objects.objects),
        {},
    )


def _object(item: Any, index: int, labels: np.ndarray, points: list[Any]) -> ObjectResult:
    own = [point for point in points if point.object_id == item.id]
    tracks = PointTracks(
        index,
        np.array([point.id for point in own], np.int64),
        np.array([(point.x, point.y) for point in own], np.float32).reshape(-1, 2),
        np.array([point.visible for point in own], np.bool_),
        np.array([point.confidence for point in own], np.float32),
    )
    return ObjectResult(
        int(item.id),
        item.label,
        ObjectState(item.state),
        float(item.score),
        CroppedMask.cut(labels == item.id, (0, 0), (labels.shape[0], labels.shape[1])),
        tracks,
        np.array([point.label for point in own], np.int32),
        int(item.age),
        int(item.frames_since_seen),
    )
