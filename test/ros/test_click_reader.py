"""Which image a point in space refers to, and where it is in it: seen from a camera that moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PointStamped
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.options.node import NEW_OBJECT
from sam_pt_ros.ros.click_reader import ClickMode, ClickReader

SECOND = 10**9
SIZE = 80, 100
MATRIX = np.array([[50.0, 0, 49.5], [0, 50.0, 39.5], [0, 0, 1]])
CAMERA = CameraModel(MATRIX, np.zeros(5), False, SIZE)
SHOWN, NEWEST = 4 * SECOND, 5 * SECOND
PIXEL = np.array([60.0, 30.0])
ON_CANVAS = np.array([0.21, -0.19, 1.0])
"""What PIXEL shows, 1 m away, in the frame of the camera."""


class MovingCamera:
    """Transforms of a camera that goes 1 m forward and 0.2 m to the right in a second."""

    def __init__(self, first: int = 0) -> None:
        self.first = first  # time before which nothing is known

    def lookup(self, target: str, source: str, stamp: int | None) -> np.ndarray:
        transform = np.eye(4)
        if source != target:
            time = NEWEST if stamp is None else stamp
            if time < self.first:
                raise UserError("no transform: it is too long ago")
            transform[:3, 3] = -self.place(time)
        return transform

    @staticmethod
    def place(time: int) -> np.ndarray:
        return time / SECOND * np.array([0.2, 0.0, 1.0])


def reader(shown: int | None = SHOWN, first: int = 0) -> ClickReader:
    def frame(stamp: int) -> Any:
        return SimpleNamespace(stamp=stamp, size=SIZE)

    class History:
        oldest, newest = frame(SECOND), frame(NEWEST)

        def __len__(self) -> int:
            return 5

    pipeline: Any = SimpleNamespace(history=History(), object_ids=())
    camera_info: Any = SimpleNamespace(
        require=lambda: SimpleNamespace(camera=CAMERA, frame_id="eye")
    )
    canvas: Any = SimpleNamespace(shown=shown, holds=lambda point: abs(point[2] - 1) <= 0.015)
    transforms: Any = MovingCamera(first)
    return ClickReader(pipeline, transforms, camera_info, canvas)


def read(clicks: ClickReader, frame: str, point: np.ndarray, stamp: int) -> tuple[Any, list]:
    x, y, z = point.tolist()
    time = Time(sec=stamp // SECOND, nanosec=stamp % SECOND)
    message = PointStamped(header=Header(frame_id=frame, stamp=time), point=Point(x=x, y=y, z=z))
    click = clicks.read_point_in_space(message, ClickMode(NEW_OBJECT, 0))
    (request,) = click.requests
    (pixel,) = request.prompt.points
    return click.stamp, pixel.tolist()


NOW = 1000 * SECOND
"""RViz's time, which is not that of the recording."""


@pytest.mark.parametrize("frame", ["eye", "map"])
def test_a_click_on_the_canvas_means_its_pixel_although_the_camera_has_moved_on(
    frame: str,
) -> None:
    """In the map the canvas hangs where the camera was."""
    place = MovingCamera.place(SHOWN) if frame == "map" else 0.0
    stamp, pixel = read(reader(), frame, ON_CANVAS + place, NOW)
    assert stamp == SHOWN
    np.testing.assert_allclose(pixel, PIXEL, atol=1e-4)


def test_a_point_in_the_map_beside_the_canvas_is_seen_from_where_the_camera_is() -> None:
    there = np.array([0.42, -0.38, 2.0])  # what PIXEL shows, 2 m away
    stamp, pixel = read(reader(), "map", there + MovingCamera.place(NEWEST), NOW)
    assert stamp is None
    np.testing.assert_allclose(pixel, PIXEL, atol=1e-4)


@pytest.mark.parametrize("stamp", [NOW, 2 * SECOND])
def test_without_a_canvas_the_stamp_counts_if_the_history_covers_it(stamp: int) -> None:
    place = MovingCamera.place(NEWEST)
    found, pixel = read(reader(shown=None), "map", ON_CANVAS + place, stamp)
    assert found == (None if stamp == NOW else stamp)
    np.testing.assert_allclose(pixel, PIXEL, atol=1e-4)


def test_where_tf2_has_forgotten_the_canvas_s_time_the_newest_transform_counts() -> None:
    clicks = reader(first=SHOWN + 1)
    stamp, pixel = read(clicks, "map", ON_CANVAS + MovingCamera.place(NEWEST), NOW)
    assert stamp == SHOWN
    np.testing.assert_allclose(pixel, PIXEL, atol=1e-4)


def test_points_without_a_transform_are_refused() -> None:
    with pytest.raises(UserError, match="too long ago"):
        read(reader(first=NEWEST + 1), "map", ON_CANVAS, NOW)
