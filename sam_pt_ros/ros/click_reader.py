"""What clicks ask for: from messages to requests for the pipeline.

A click that cannot be used raises UserError. The reasons of ``clicked_point`` are, in the order
in which they are checked:

- ``no camera_info has arrived yet``, or why it cannot be used
- ``the point has no frame_id``, or ``the camera_info has no frame_id``
- ``the point [x, y, z] is not finite``
- ``no transform from 'FRAME' to 'CAMERA': ...`` in tf2's words, where it is not known at the stamp
  of the image that was clicked on: no longer, or not within ``transform_timeout``; without tf2_ros
  ``the transform from 'FRAME' to 'CAMERA' needs tf2_ros``, and what to install
- ``the camera_info is for images of WxH pixels, but they have WxH``
- those of :meth:`sam_pt_ros.geometry.camera.CameraModel.project`: behind the camera, outside of
  the image, beyond what the lens model covers

To add a point to an object that does not exist is refused with ``there is no object``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from geometry_msgs.msg import PointStamped
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.messages import prompt_stamp, requests_from_points, stamp_of
from sam_pt_ros.msg import PointPromptArray
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt, PromptRequest
from sam_pt_ros.options.node import NEGATIVE_POINT, NEW_OBJECT
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.camera_info_input import CameraInfoInput
from sam_pt_ros.ros.published_masks import PublishedMasks
from sam_pt_ros.ros.transforms import Transforms


@dataclass(frozen=True)
class ClickRequest:
    """What a click asks for.

    Attributes:
        requests: for :meth:`sam_pt_ros.pipeline.SamPt.apply`.
        stamp: nanoseconds, of the image that was clicked on; None: the newest.
        selected: the object that was clicked on and gets a point, where another would have been
            started on top of it; None: there is none.
        repeats: whether that object was started by a click near this one, and not seen since.
    """

    requests: Sequence[PromptRequest]
    stamp: int | None
    selected: int | None = None
    repeats: bool = False


@dataclass(frozen=True)
class ClickMode:
    """What a click on a bare pixel or point does.

    Attributes:
        mode: value of ``click_mode``.
        selected: value of ``selected_object``.
        selects: value of ``click_selects``.
    """

    mode: str
    selected: int
    selects: bool


class Canvas(Protocol):
    """The image that can be clicked on in RViz."""

    @property
    def shown(self) -> int | None:
        """The stamp of the image that is shown, nanoseconds; None: none is."""

    def holds(self, point: np.ndarray) -> bool:
        """Whether a point, ``float64 (3,)`` metres in the camera's frame, lies on it."""


class ClickReader:
    """Reads clicks and applies them to the pipeline; all of it in the thread that processes.

    Args:
        pipeline: tracks what is clicked on.
        transforms: for points in other frames than the camera's.
        camera_info: knows the camera.
        canvas: knows which points are on it.
        masks: what can be selected by a click.
        transform_timeout: seconds that a click waits at most for the transform to the camera.
    """

    def __init__(
        self,
        pipeline: SamPt,
        transforms: Transforms,
        camera_info: CameraInfoInput,
        canvas: Canvas,
        masks: PublishedMasks,
        transform_timeout: float,
    ) -> None:
        self._pipeline = pipeline
        self._transforms = transforms
        self._camera_info = camera_info
        self._canvas = canvas
        self._masks = masks
        self._transform_timeout = transform_timeout
        self._chosen: list[int] = []  # ids, in the order in which they were started or selected

    @property
    def object_ids(self) -> Sequence[int]:
        """Objects that are tracked."""
        return self._pipeline.object_ids

    @property
    def waiting_ids(self) -> Sequence[int]:
        """Objects that are to start in an image that has not come yet."""
        return self._pipeline.waiting_ids

    def apply(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """As :meth:`sam_pt_ros.pipeline.SamPt.apply`, and remember which objects it starts.

        Whatever starts objects uses this: ``selected_object`` 0 is the one started, or selected
        by :meth:`apply_click`, last.
        """
        before = set(self._pipeline.object_ids)
        ids = self._pipeline.apply(requests, stamp=stamp)
        self._chosen = [i for i in self._chosen if i in before]
        self._chosen += [i for i in ids if i not in before]
        return ids

    def apply_click(self, click: ClickRequest) -> list[int]:
        """Apply what a click asks for; see :meth:`apply`."""
        before = set(self._pipeline.object_ids)
        ids = self.apply(click.requests, click.stamp)
        for object_id, request in zip(ids, click.requests, strict=True):
            if object_id not in before:
                for pixel in request.prompt.points[request.prompt.labels == POSITIVE]:
                    self._masks.add_start(object_id, pixel, click.stamp)
        if click.selected is not None:
            self._chosen = [i for i in self._chosen if i != click.selected] + [click.selected]
        return ids

    def read_points(self, message: PointPromptArray) -> ClickRequest:
        """Clicks with labels and ids of objects."""
        return ClickRequest(requests_from_points(message.prompts), prompt_stamp(message.header))

    def read_pixel(self, pixel: np.ndarray, shown: int | None, mode: ClickMode) -> ClickRequest:
        """A bare pixel.

        Args:
            pixel: column and row, ``float64 (2,)``.
            shown: stamp of the image whose results were published last when it was clicked;
                None before the first.
            mode: as it was then.

        Raises:
            UserError: that image is no longer held.
        """
        stamp = self._stamp_in_history(shown)
        if shown is not None and stamp is None:
            raise UserError(
                "the image that was clicked on is no longer held: another stream has begun, or it "
                "is older than 'history_length'; click again"
            )
        return self._request(self._on_edge_to_within(pixel), stamp, mode)

    def read_point_in_space(self, message: PointStamped, mode: ClickMode) -> ClickRequest:
        """A point in space, in any frame that tf2 knows.

        Its pixel is that in the image that was clicked on. The camera may have turned since, so
        the transform is that at the image's stamp. Before the first image it is the newest.
        """
        calibration = self._camera_info.require()
        point, stamp = self._clicked(message, calibration.frame_id)
        self._check_size(calibration.camera)
        return self._request(calibration.camera.project(point), stamp, mode)

    def _clicked(self, message: PointStamped, frame_id: str) -> tuple[np.ndarray, int | None]:
        """The point in the camera's frame, ``float64 (3,)``, and the stamp of the image."""
        shown = self._canvas.shown
        if shown is not None:
            point = self._in_camera_frame(message, frame_id, shown)
            if self._canvas.holds(point):
                return point, shown
        stamp = self._clicked_stamp(message.header)
        return self._in_camera_frame(message, frame_id, stamp), stamp

    def _in_camera_frame(
        self, message: PointStamped, frame_id: str, stamp: int | None
    ) -> np.ndarray:
        """The point, ``float64 (3,)``, in the camera's frame at a time; None: the newest."""
        source, point = message.header.frame_id, message.point
        for what, name in (("point", source), ("camera_info", frame_id)):
            if not name:
                raise UserError(f"the {what} has no frame_id, so its place is unknown")
        xyz = np.array([point.x, point.y, point.z])
        if not np.isfinite(xyz).all():
            raise UserError(f"the point {xyz.tolist()} is not finite")
        transform = self._transforms.lookup(frame_id, source, stamp, self._transform_timeout)
        return np.asarray(transform[:3, :3] @ xyz + transform[:3, 3])

    def _check_size(self, camera: CameraModel) -> None:
        if len(self._pipeline.history):
            camera.check_size(self._pipeline.history.newest.size)

    def _clicked_stamp(self, header: Header) -> int | None:
        """The stamp of the image that was clicked on beside the canvas; None before the first.

        RViz stamps points with its own time, which need not be the camera's: it counts only if
        the history covers it. Otherwise the newest image is meant.
        """
        history = self._pipeline.history
        if not len(history):
            return None
        stamp = self._stamp_in_history(stamp_of(header))
        return (history.newest if stamp is None else history.nearest(stamp)).stamp

    def _stamp_in_history(self, stamp: int | None) -> int | None:
        """The stamp if the history covers it; None, the newest image, otherwise."""
        history = self._pipeline.history
        if stamp is None or not len(history):
            return None
        return stamp if history.oldest.stamp <= stamp <= history.newest.stamp else None

    def _on_edge_to_within(self, pixel: np.ndarray) -> np.ndarray:
        """A pixel, moved into the image if it is on the right or lower edge.

        rqt_image_view counts from the image's upper left corner to its width and height.
        """
        if not len(self._pipeline.history):
            return pixel
        height, width = self._pipeline.history.newest.size
        on_edge = (pixel > (width - 0.5, height - 0.5)) & (pixel <= (width, height))
        return np.where(on_edge, (width - 0.5, height - 0.5), pixel)

    def _request(self, pixel: np.ndarray, stamp: int | None, mode: ClickMode) -> ClickRequest:
        label = NEGATIVE if mode.mode == NEGATIVE_POINT else POSITIVE
        prompt = ObjectPrompt(pixel.reshape(1, 2), np.array([label]))
        if mode.mode != NEW_OBJECT:
            return ClickRequest([PromptRequest(prompt, self._selected(mode.selected))], stamp)
        if not mode.selects:
            return ClickRequest([PromptRequest(prompt)], stamp)
        known = self._pipeline.object_ids
        under = self._masks.object_at(pixel, stamp)
        if under in known:
            return ClickRequest([PromptRequest(prompt, under)], stamp, under)
        begun = self._masks.started_near(pixel, stamp)
        if begun in known:
            return ClickRequest([PromptRequest(prompt, begun)], stamp, begun, repeats=True)
        return ClickRequest([PromptRequest(prompt)], stamp)

    def _selected(self, selected: int) -> int:
        """The object that a point is to be added to."""
        known = self._pipeline.object_ids
        if selected == 0:
            chosen = [i for i in self._chosen if i in known]
            if not chosen:
                raise UserError(
                    "there is no object to add a point to; start one first, with click_mode "
                    "new_object"
                )
            return chosen[-1]
        if selected not in known:
            tracked = ", ".join(map(str, known)) or "none"
            raise UserError(
                f"there is no object {selected}; set selected_object to 0 or to an object that "
                f"is tracked: {tracked}"
            )
        return selected
