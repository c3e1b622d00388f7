"""Positions of objects by depth, in the camera's frame and in the target frame."""

from __future__ import annotations

from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.depth import locate
from sam_pt_ros.geometry.space import Located, SpatialResult
from sam_pt_ros.interchange.images import decode_depth
from sam_pt_ros.interchange.messages import stamp_of
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.depth_input import DepthInput
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.transforms import Transforms, frame_name

_REPETITION = 20.0  # seconds between warnings that depth is missing


class Locator:
    """Finds the depth of an image, and the objects in it.

    It is used in the thread that processes, and waits there for depth and transforms that are on
    their way. What cannot be used is logged, and costs the image its positions only.

    Args:
        depth: depth images.
        transforms: for ``target_frame``.
        options: tolerances, timeouts and ``target_frame``.
        reporter: logs what cannot be used.

    Attributes:
        with_depth: number of images with depth.
        without_depth: number of images without, although depth arrives.
    """

    def __init__(
        self,
        depth: DepthInput,
        transforms: Transforms,
        options: NodeOptions,
        reporter: Reporter,
    ) -> None:
        self._depth = depth
        self._transforms = transforms
        self._options = options
        self._reporter = reporter
        self.with_depth = self.without_depth = 0

    def locate(self, result: TrackResult, header: Header, camera: CameraModel | str) -> Located:
        """Where the objects of an image are.

        Args:
            result: of the image.
            header: the image's.
            camera: its model, or why it is not known.
        """
        frame = frame_name(self._options.target_frame)
        space = self._in_image_frame(result, header, camera)
        if not frame:
            return Located(space, None)
        if space is not None:
            try:
                transform = self._transforms.lookup(
                    frame,
                    header.frame_id,
                    stamp_of(header),
                    self._options.transform_timeout,
                )
                return Located(space, space.transformed(transform, frame), True)
            except UserError as error:
                self._reporter.warning(f"no positions in target_frame '{frame}': {error}")
        return Located(space, SpatialResult(frame))

    def _in_image_frame(
        self, result: TrackResult, header: Header, camera: CameraModel | str
    ) -> SpatialResult | None:
        message = self._depth.find(stamp_of(header))
        if message is None:
            why = self._depth.missing(stamp_of(header))
            if why:
                self.without_depth += 1
                self._reporter.warning(f"an image has no depth: {why}", _REPETITION)
            return None
        self.with_depth += 1
        if not result.objects:
            return SpatialResult(header.frame_id)
        if isinstance(camera, str):
            self._reporter.warning(f"no positions: {camera}")
            return None
        frame = message.header.frame_id
        try:
            if frame_name(frame) not in ("", frame_name(header.frame_id)):
                raise UserError(
                    f"it is in frame '{frame}', but the image is in '{header.frame_id}'; register "
                    "depth to the image, as depth_image_proc does"
                )
            camera.check_size(result.label_image.shape[:2])
            return locate(result, decode_depth(message), camera, header.frame_id)
        except UserError as error:
            self._reporter.error(f"depth image refused: {error}")
            return None
