"""Where the results of an image go: its topics, the canvas, and what diagnostics say of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from std_msgs.msg import Header

from sam_pt_ros.objects import ObjectState, TrackResult
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.camera_info_input import CameraInfoInput
from sam_pt_ros.ros.canvas_publisher import CanvasPublisher
from sam_pt_ros.ros.health import FrameTimes
from sam_pt_ros.ros.locator import Locator
from sam_pt_ros.ros.published_masks import PublishedMasks
from sam_pt_ros.ros.publishers import Processed, Publishers
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.transforms import Transforms


class ResultOutputs:
    """The node's :class:`~sam_pt_ros.ros.processing.ResultOutput`.

    Methods are called in the thread that processes. Attributes may be read by any thread: each
    is replaced at once.

    Args:
        pipeline: knows which images can still be clicked on.
        publishers: of the results.
        canvas: shows the image.
        masks: remember what was published.
        camera_info: knows the camera.
        transforms: forget what moved when time jumps.
        reporter: logs what fails.

    Attributes:
        shown: stamp of the image whose results were published last; None before the first.
        states: of the objects in that image, by id.
        locator: finds positions; set on activation. None before: nothing is known of positions.
    """

    def __init__(
        self,
        pipeline: SamPt,
        publishers: Publishers,
        canvas: CanvasPublisher,
        masks: PublishedMasks,
        camera_info: CameraInfoInput,
        transforms: Transforms,
        reporter: Reporter,
    ) -> None:
        self._pipeline = pipeline
        self._publishers = publishers
        self._canvas = canvas
        self._masks = masks
        self._camera_info = camera_info
        self._transforms = transforms
        self._reporter = reporter
        self.shown: int | None = None
        self.states: Mapping[int, ObjectState] = {}
        self.locator: Locator | None = None

    def publish(self, result: TrackResult, header: Header, image: np.ndarray) -> None:
        """Publish what is known of an image, RGB ``uint8 (H, W, 3)``, and show it."""
        # First, because who sees the result may click on it at once.
        self._masks.add(result)
        self.shown = result.stamp
        self._camera_info.images_have((image.shape[0], image.shape[1]))
        camera = self._camera_info.camera
        distance = self._canvas.distance
        view = Processed(result, header, image, camera, self.locator, distance)
        self._publishers.publish(view)
        try:
            oldest = self._pipeline.history.oldest.stamp
            self._canvas.show(image, header, camera, oldest, result)
        except Exception as error:  # it must not cost the image its other results
            self._reporter.exception("publishing on '~/canvas' failed", error)

    def published(self, result: TrackResult, header: Header, times: FrameTimes) -> None:
        """Remember what was published, and publish what it took."""
        self.states = {item.object_id: item.state for item in result.objects}
        self._publishers.publish_performance(result, header, times)

    def forget(self) -> None:
        """Nothing is shown any more that could be clicked on."""
        self.shown = None
        self._masks.forget()
        self._canvas.forget()

    def time_jumped(self) -> None:
        """Forget transforms: tf2 would refuse those that come now as too old."""
        self._transforms.clear()
