"""What exists while the node is configured: the pipeline, its outputs and its services."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from rclpy.lifecycle import LifecycleNode

from sam_pt_ros.configuration import Configuration, describe_backend
from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.options import specs
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.pipeline.warm_up import warm_up
from sam_pt_ros.ros.camera_info_input import CameraInfoInput
from sam_pt_ros.ros.canvas_publisher import CanvasPublisher
from sam_pt_ros.ros.click_reader import ClickReader
from sam_pt_ros.ros.diagnostics import Diagnostics, NodeSnapshot
from sam_pt_ros.ros.health import Health
from sam_pt_ros.ros.held_clicks import HeldClicks
from sam_pt_ros.ros.live_stream import LiveStream
from sam_pt_ros.ros.namesakes import warn_of_namesakes
from sam_pt_ros.ros.processing import Arrival, Processing
from sam_pt_ros.ros.published_masks import PublishedMasks
from sam_pt_ros.ros.publishers import Publishers
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.result_outputs import ResultOutputs
from sam_pt_ros.ros.services import Services
from sam_pt_ros.ros.transforms import create_transforms
from sam_pt_ros.ros.worker import Worker

_PIPELINE_OPTIONS = {spec.name for spec in specs(SamPtOptions)}


class TrackingSession:
    """The pipeline of a configuration, with everything that the node offers for it.

    It is made completely or not at all, and lives until it is closed. Methods are called in the
    executor's thread, except where they say otherwise.

    Args:
        node: publishes and offers services.
        configuration: what to create.
        reporter: logs what repeats.

    Raises:
        UserError: a backend or tf2_ros cannot be used.

    Attributes:
        pipeline: owned by the worker's thread while the node is active.
        stream: None while the node is not active.
        details: what it runs with, by name.
        outputs: what was published last.
        publishers: of the results.
        services: what is offered.
        enabled: while it is not set, images are ignored.
    """

    def __init__(
        self, node: LifecycleNode, configuration: Configuration, reporter: Reporter
    ) -> None:
        self._node = node
        self._configuration = configuration
        self._reporter = reporter
        self._health = Health()
        self.stream: LiveStream | None = None
        self.enabled = threading.Event()
        self.enabled.set()
        options = configuration.node
        with ExitStack() as made:
            self._diagnostics = Diagnostics(
                node, self._health, self.snapshot, options.input_timeout
            )
            made.callback(self._diagnostics.destroy)
            self._transforms = create_transforms(node, options.use_tf)
            made.callback(self._transforms.destroy)
            if options.target_frame:
                self._transforms.check()
            self.pipeline = self._load()
            self.details = _details(configuration, self.pipeline)
            self.publishers = Publishers(node, reporter, options.target_frame)
            made.callback(self.publishers.destroy)
            canvas = CanvasPublisher(node, options)
            made.callback(canvas.destroy)
            self._camera_info = CameraInfoInput(node, options.rectified)
            self._masks = PublishedMasks(self.pipeline.options.history_length)
            self._click_reader = ClickReader(
                self.pipeline,
                self._transforms,
                self._camera_info,
                canvas,
                self._masks,
                options.transform_timeout,
            )
            self.outputs = ResultOutputs(
                self.pipeline,
                self.publishers,
                canvas,
                self._masks,
                self._camera_info,
                self._transforms,
                reporter,
            )
            self._held_clicks = HeldClicks()
            self._processing = Processing(
                configuration,
                self.pipeline,
                self._health,
                reporter,
                lambda: int(node.get_clock().now().nanoseconds),
                self.outputs,
                self._held_clicks,
            )
            self.services = Services(node, reporter, self)
            made.callback(self.services.destroy)
            self._resources = made.pop_all()

    # --- life cycle -----------------------------------------------------------------------

    def activate(self) -> LiveStream:
        """Subscribe, and process what arrives."""
        self._processing.resume()
        self.stream = LiveStream(
            self._node,
            self._configuration.node,
            self._processing,
            self.outputs,
            self._camera_info,
            self._click_reader,
            self._held_clicks,
            self._transforms,
            self._health,
            self.enabled,
            self._reporter,
        )
        return self.stream

    def deactivate(self) -> None:
        """Finish the frame in hand, and stop; objects and models are kept.

        Results that a windowed tracker still owes are published first.
        """
        if self.stream is not None:
            with self._diagnostics.activity("finishing the image in hand"):
                self.stream.finish()
            self.stream.close()
        self.stream = None

    def stop_worker(self, timeout: float) -> bool:
        """Stop processing; false if a frame is still in hand after ``timeout`` seconds.

        It may be called in any thread. What arrives afterwards is dropped.
        """
        stream = self.stream
        return stream is None or stream.worker.stop(timeout)

    def close(self) -> None:
        """Finish the frame in hand, and free everything."""
        if self.stream is not None:
            self.stream.close()
        self.stream = None
        self._resources.close()

    # --- changes --------------------------------------------------------------------------

    def change_options(self, values: Mapping[str, Any]) -> None:
        """Use new values of the pipeline's options, between two images; others are left out.

        Raises:
            UserError: the values do not fit together; nothing is changed.
        """
        values = {name: value for name, value in values.items() if name in _PIPELINE_OPTIONS}
        wanted = replace(self._configuration.pipeline, **values)
        configuration = replace(self._configuration, pipeline=wanted)
        options = configuration.pipeline_options
        self.pipeline.check(options)
        self._configuration = configuration
        if self.stream is None:
            self.pipeline.change(options)
        else:
            self.stream.worker.call(lambda: self.pipeline.change(options))

    # --- services -------------------------------------------------------------------------

    @property
    def worker(self) -> Worker[Arrival] | None:
        """What runs the pipeline; None while the node is not active."""
        return None if self.stream is None else self.stream.worker

    def enable(self, enabled: bool) -> None:
        """Process images, or ignore them; objects are kept meanwhile, however long it takes."""
        if enabled and not self.enabled.is_set() and self.stream is not None:
            self.stream.worker.call(self._processing.resume)
        if enabled:
            self.enabled.set()
            return
        self.enabled.clear()
        if self.stream is not None:
            self.stream.worker.clear()

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height, width of the images; None before the first. Asked in the worker's thread."""
        history = self.pipeline.history
        return history.newest.size if len(history) else None

    @property
    def object_ids(self) -> Sequence[int]:
        """Objects that are tracked or wait for their image; asked in the worker's thread."""
        return self.pipeline.object_ids

    @property
    def waiting_ids(self) -> Sequence[int]:
        """Those that wait for their image; asked in the worker's thread."""
        return self.pipeline.waiting_ids

    def add_objects(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """Start objects, in the worker's thread; their ids."""
        return self._click_reader.apply(requests, stamp)

    def hypotheses(
        self, prompt: ObjectPrompt, stamp: int | None
    ) -> tuple[int, list[MaskPrediction]]:
        """What a new object's prompt may mean, in the worker's thread; with the image's stamp."""
        frame, found = self.pipeline.hypotheses(prompt, stamp=stamp)
        return frame.stamp, found

    def undo(self, object_id: int) -> None:
        """Take back the newest change of an object, in the worker's thread."""
        self.pipeline.undo(object_id)

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object, in the worker's thread; UserError if there is none."""
        self.pipeline.remove_object(object_id)
        self._masks.forget_object(object_id)

    def forget(self) -> None:
        """Forget all objects and images, in the worker's thread."""
        self._processing.reset()

    # --- diagnostics ----------------------------------------------------------------------

    def snapshot(self) -> NodeSnapshot:
        """What diagnostics report; namesakes are warned of on this occasion."""
        warn_of_namesakes(self._node, self._reporter)
        locator = self.outputs.locator
        return NodeSnapshot(
            self.pipeline,
            None if self.stream is None else self.stream.image_input,
            self.outputs.states,
            self.details,
            (0, 0) if locator is None else (locator.with_depth, locator.without_depth),
            self.enabled.is_set(),
        )

    # --- loading --------------------------------------------------------------------------

    def _load(self) -> SamPt:
        """The pipeline, warmed up; each step is logged first, because it may take long."""
        logger, backends = self._node.get_logger(), self._configuration.backends
        if self._configuration.longest_clip is not None:
            raise UserError(
                f"the tracker '{backends.tracker}' answers at the end of a clip and is for "
                "recordings; use lucas_kanade, matching, or cotracker, tapir, raft or pips in "
                "mode streaming"
            )
        loading = f"loading {backends.tracker} and {backends.segmenter}"
        logger.info(loading)
        with self._diagnostics.activity(loading):
            pipeline = self._configuration.create()
        logger.info("warming up")
        begin = time.monotonic()
        with self._diagnostics.activity("warming up"):
            warm_up(pipeline)
        logger.info(f"warmed up in {time.monotonic() - begin:.1f} s")
        return pipeline


def _details(configuration: Configuration, pipeline: SamPt) -> dict[str, str]:
    """The backends and how they run, in words, by kind."""
    backends = configuration.backends
    return {
        "tracker": describe_backend(backends.tracker, pipeline.tracker.details),
        "segmenter": describe_backend(backends.segmenter, pipeline.segmenter.details),
    }
