"""From the depth of an image to where its objects are, in the camera's frame and in another."""

from __future__ import annotations

from std_msgs.msg import Header

from sam_pt_ros.camera import CameraModel
from sam_pt_ros.depth import decode_depth, locate
from sam_pt_ros.errors import UserError
from sam_pt_ros.messages import stamp_of
from sam_pt_ros.node_options import NodeOptions
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.ros.depth_input import DepthInput
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.transforms import Transforms
from sam_pt_ros.space import Located, SpatialResult


class Locator:
    """Finds the depth of an image, and its objects in it.

    To be used in the thread that processes: it waits for depth and transforms that are on
    their way. What cannot be used is reported, and costs the image its metres only.

    Args:
        depth: images of depth.
        transforms: for ``target_frame``.
        options: tolerances, times and ``target_frame``.
        reporter: hears what cannot be used.
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

    def locate(self, result: TrackResult, header: Header, camera: CameraModel | None) -> Located:
        """Where the objects of an image are.

        Args:
            result: of the image.
            header: the image's.
            camera: its calibration, if that is known.
        """
        frame = self._options.target_frame
        space = self._in_image_frame(result, header, camera)
        if not frame:
            return Located(space, None)
        if space is not None:
            try:
                transform = self._transforms.lookup(
                    frame,
                    header.frame_id,
                    stamp_of(header),
                    timeout=self._options.transform_timeout,
                )
                return Located(space, space.transformed(transform, frame), True)
            except UserError as error:
                self._reporter.warning(f"no positions in target_frame '{frame}': {error}")
        return Located(space, SpatialResult(frame))

    def _in_image_frame(
        self, result: TrackResult, header: Header, camera: CameraModel | None
    ) -> SpatialResult | None:
        if not result.objects:
            return None
        message = self._depth.find(stamp_of(header))
        if message is None:
            return None
        if camera is None:
            self._reporter.warning(
                "depth needs a camera_info of the image, and none has arrived: no positions"
            )
            return None
        frame = message.header.frame_id
        if frame not in ("", header.frame_id):
            self._reporter.warning(
                f"depth is in frame '{frame}', and the image in '{header.frame_id}': it must be "
                "registered to the image"
            )
        try:
            return locate(result, decode_depth(message), camera, header.frame_id)
        except UserError as error:
            self._reporter.error(f"depth image refused: {error}")
            return None
