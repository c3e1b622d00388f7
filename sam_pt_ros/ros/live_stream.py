"""What exists while the node is active: its inputs, and the worker that runs the pipeline."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.camera_info_input import CameraInfoInput
from sam_pt_ros.ros.click_inputs import CLICK_KINDS, ClickInputs
from sam_pt_ros.ros.click_reader import ClickReader
from sam_pt_ros.ros.depth_input import DepthInput
from sam_pt_ros.ros.health import Health
from sam_pt_ros.ros.held_clicks import HeldClicks
from sam_pt_ros.ros.image_input import ImageInput
from sam_pt_ros.ros.locator import Locator
from sam_pt_ros.ros.processing import Arrival, Processing
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.result_outputs import ResultOutputs
from sam_pt_ros.ros.topic_types import TypeWatch
from sam_pt_ros.ros.transforms import Transforms
from sam_pt_ros.ros.worker import Worker


class LiveStream:
    """Images and clicks on their way to the pipeline.

    It is made completely or not at all, in the executor's thread, which also receives: inputs
    only hand over, and the worker's thread computes.

    Args:
        node: subscribes.
        options: how to receive.
        processing: takes the images, in the worker's thread.
        outputs: takes the results; is given what finds positions.
        camera_info: listens from now on.
        click_reader: reads and applies clicks, in the worker's thread.
        held_clicks: holds those back of which it is not clear yet what stream they belong to.
        transforms: for positions.
        health: is told of each image that arrives.
        enabled: while it is not set, images are ignored.
        reporter: logs what repeats.

    Attributes:
        mode: value of the parameter.
        worker: owns the pipeline.
        image_input: the subscription to the camera's images.
        clicks: the subscriptions to clicks.
    """

    def __init__(
        self,
        node: Node,
        options: NodeOptions,
        processing: Processing,
        outputs: ResultOutputs,
        camera_info: CameraInfoInput,
        click_reader: ClickReader,
        held_clicks: HeldClicks,
        transforms: Transforms,
        health: Health,
        enabled: threading.Event,
        reporter: Reporter,
    ) -> None:
        self._processing = processing
        self._health = health
        self._enabled = enabled
        self._reporter = reporter
        self.mode = options.mode
        capacity = options.queue_size if options.mode == "every_frame" else 1
        with ExitStack() as undo:
            self.worker: Worker[Arrival] = Worker(processing.take, capacity)
            undo.callback(self.worker.stop)
            self._inputs = inputs = undo.enter_context(ExitStack())
            inputs.callback(camera_info.subscribe().destroy)
            self.clicks = ClickInputs(
                node, self.worker, click_reader, lambda: outputs.shown, held_clicks, reporter
            )
            inputs.callback(self.clicks.destroy)
            depth = DepthInput(node, options)
            inputs.callback(depth.destroy)
            outputs.locator = Locator(depth, transforms, options, reporter)
            self.image_input = ImageInput(node, options, self.receive)
            inputs.callback(self.image_input.destroy)
            kinds = {self.image_input.name: self.image_input.kind, "depth": Image}
            watch = TypeWatch(node, kinds | {"camera_info": CameraInfo} | CLICK_KINDS)
            inputs.callback(watch.destroy)
            undo.pop_all()

    def receive(self, message: Image | CompressedImage) -> None:
        """Hand an image to the worker, in the executor's thread; returns at once."""
        if self._enabled.is_set():
            self._health.frame_received()
            self.worker.submit(Arrival(message))

    def finish(self) -> None:
        """Stop listening, and publish the results of the images that were taken.

        Images that still wait are dropped by :meth:`close`. If another thread stops the worker,
        this ends, too.
        """
        self._inputs.close()
        flushed = self.worker.call(self._processing.flush)
        done = threading.Event()  # unlike concurrent.futures.wait(), it is told of cancellation
        flushed.add_done_callback(lambda _: done.set())
        done.wait()
        if not flushed.cancelled():
            error = flushed.exception()
            if error is not None:
                self._reporter.exception("publishing the last results failed", error)

    def close(self) -> None:
        """Stop listening, and end the worker after the frame in hand; what waits is dropped."""
        self._inputs.close()
        self.worker.stop()
