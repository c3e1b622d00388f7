"""The node: parameters, topics and services around the pipeline; nothing of the method."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam_pt_ros.configuration import Configuration, describe_backend
from sam_pt_ros.errors import UserError
from sam_pt_ros.objects import ObjectState, PromptRequest, TrackResult
from sam_pt_ros.options import specs
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.pipeline.warm_up import warm_up
from sam_pt_ros.ros.canvas_publisher import Canvas
from sam_pt_ros.ros.click_inputs import Click, Clicks
from sam_pt_ros.ros.depth_input import DepthInput
from sam_pt_ros.ros.diagnostics import PERIOD, Diagnostics, Watched
from sam_pt_ros.ros.health import FrameTimes, Health
from sam_pt_ros.ros.image_input import ImageInput
from sam_pt_ros.ros.locator import Locator
from sam_pt_ros.ros.parameters import Parameters
from sam_pt_ros.ros.processing import Arrival, Processing
from sam_pt_ros.ros.publishers import Processed, Publishers
from sam_pt_ros.ros.reporter import REPETITION, Reporter
from sam_pt_ros.ros.services import Services, listed
from sam_pt_ros.ros.topics import destroy_output
from sam_pt_ros.ros.transforms import Transforms, create_transforms
from sam_pt_ros.ros.worker import Worker
from sam_pt_ros.weights.memory import free_memory

_MOST_CLICKS = 100  # that wait for the pipeline
_PIPELINE_OPTIONS = {spec.name for spec in specs(SamPtOptions)}

_OK = TransitionCallbackReturn.SUCCESS
_FAILED = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR


class TrackNode(LifecycleNode):
    """Images and clicks in; masks and tracked points out, under the header of the image."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("sam_pt", **arguments)
        self.parameters = Parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._reporter = Reporter(self)
        self._configuration: Configuration | None = None
        self._pipeline: SamPt | None = None
        self._worker: Worker[Arrival] | None = None
        self._image_input: ImageInput | None = None
        self._transforms: Transforms | None = None
        self._clicks: Clicks | None = None
        self._depth: DepthInput | None = None
        self._locator: Locator | None = None
        self._canvas: Canvas | None = None
        self._outputs: Publishers | None = None
        self._diagnostics: Diagnostics | None = None
        self._offered: Services | None = None
        self._health = Health()
        self._processing: Processing | None = None
        self._details: dict[str, str] = {}
        self._states: dict[int, ObjectState] = {}  # in the newest image
        self._shown: int | None = None  # stamp of the newest image that has results
        self._enabled = threading.Event()

    # --- life cycle -----------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, make the pipeline, offer outputs and services."""
        try:
            configuration = self.parameters.read()
            options = configuration.node
            self._health = Health()
            self._diagnostics = Diagnostics(
                self, self._health, self._watched, options.input_timeout
            )
            self._transforms = create_transforms(self, options.use_tf)
            if options.target_frame:
                self._transforms.check()
            self._pipeline = pipeline = self._load(configuration)
            self._outputs = Publishers(self, self._reporter, options.target_frame)
            self._canvas = Canvas(self, options)
            self._clicks = Clicks(
                self,
                pipeline,
                self._transforms,
                options.rectified,
                self._click,
                lambda: self._shown,
                self._canvas.stamp_of,
            )
            self._processing = Processing(
                configuration,
                pipeline,
                self._health,
                self._reporter,
                lambda: int(self.get_clock().now().nanoseconds),
                self._publish,
                self._published,
                self._on_other_time,
            )
            self._offered = Services(self, self._reporter, self)
        except UserError as error:
            self.get_logger().error(str(error))
            self.release()
            return _FAILED
        except Exception as error:  # of which rclpy would say nothing
            self._reporter.exception("the node cannot be configured", error)
            return _ERROR
        self._configuration = configuration
        self._enabled.set()
        said = ", ".join(f"{kind} {what}" for kind, what in self._details.items())
        self.get_logger().info(f"configured: {said}")
        return _OK

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and process what comes."""
        assert self._configuration is not None and self._clicks is not None
        assert self._transforms is not None
        options = self._configuration.node
        try:
            done = super().on_activate(state)  # outputs first: no result must get lost
            capacity = options.queue_size if options.mode == "every_frame" else 1
            assert self._processing is not None
            self._worker = Worker(self._processing.take, capacity)
            self._clicks.listen()
            self._depth = DepthInput(self, options)
            self._locator = Locator(self._depth, self._transforms, options, self._reporter)
            self._image_input = ImageInput(self, options, self._on_image)
        except Exception as error:  # of which rclpy would say nothing
            self._reporter.exception("the node cannot be activated", error)
            return _ERROR
        for name in self.parameters.unused_qos:
            self.get_logger().warning(f"'{name}' changes nothing: no topic of this node takes it")
        self.get_logger().info(
            f"active, mode {options.mode}: waiting for images on {self._image_input.topic}"
        )
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, once the frame in hand is done; objects and models are kept.

        What a windowed tracker owes is published first.
        """
        self._stop_listening()
        if self._worker is not None:
            assert self._processing is not None
            owed = self._worker.call(self._processing.flush)
            owed.add_done_callback(lambda future: self._report_failure(future, "flushing"))
            done = threading.Event()  # unlike wait(), it hears of it if that is cancelled
            owed.add_done_callback(lambda _: done.set())
            with self._saying("finishing the image in hand"):
                done.wait()
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the pipeline."""
        self.release()
        return _OK

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.release()
        return _OK

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to a clean state after a transition that failed."""
        self.release()
        return _OK

    def _stop(self, timeout: float | None = None) -> bool:
        """Stop listening and processing; false if a frame is still in hand after the timeout."""
        self._stop_listening()
        if not self.stop_pipeline(timeout):
            return False  # it stays: no other thread may use the pipeline as long as it runs
        self._worker = None
        return True

    def stop_pipeline(self, timeout: float | None = None) -> bool:
        """Stop processing; false if a frame is still in hand after the timeout.

        What arrives from now on comes to nothing.
        """
        if self._worker is not None and not self._worker.stop(timeout):
            self.get_logger().warning("the pipeline did not finish its frame in time")
            return False
        return True

    def _stop_listening(self) -> None:
        if self._clicks is not None:
            self._clicks.stop()
        if self._image_input is not None:
            self._image_input.destroy()
        self._image_input = None
        if self._depth is not None:
            self._depth.destroy()
        self._depth = None

    def release(self, timeout: float | None = None) -> bool:
        """Stop, and free the pipeline and all that was offered.

        False, and nothing is freed, if the pipeline does not finish its frame within the timeout.
        """
        if not self._stop(timeout):
            return False
        if self._diagnostics is not None:
            self._diagnostics.destroy()
        if self._outputs is not None:
            self._outputs.destroy()
        if self._canvas is not None:
            self._canvas.destroy()
        for output in list(self._managed_entities):  # made before another one could not be
            destroy_output(self, output)
        if self._transforms is not None:
            self._transforms.destroy()
        if self._offered is not None:
            self._offered.destroy()
        self._outputs = self._diagnostics = self._offered = None
        self._transforms = self._clicks = self._canvas = self._locator = None
        self._pipeline = self._configuration = self._processing = None
        self._shown = None
        self._states.clear()
        try:
            free_memory()
        except Exception as error:  # a GPU is out of order; this state is clean all the same
            self._reporter.exception("memory cannot be freed", error)
        return True

    def _check_parameters(self, changed: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._change_parameters(changed)
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change_parameters(self, changed: list[Parameter[Any]]) -> None:
        """Use new values; UserError, and none of them is used, if one of them cannot be."""
        configuration, pipeline, worker = self._configuration, self._pipeline, self._worker
        values = {}
        for parameter in changed:
            spec = self.parameters.specs.get(parameter.name)
            if spec is None:
                continue
            if configuration is not None and not spec.runtime:
                raise UserError(
                    f"'{parameter.name}' is read when the node is configured; deactivate and "
                    "clean up first"
                )
            values[parameter.name] = spec.check(parameter.value, "parameters")
        if configuration is None or pipeline is None:
            return
        values = {name: value for name, value in values.items() if name in _PIPELINE_OPTIONS}
        wanted = replace(configuration.pipeline, **values)
        configuration = replace(configuration, pipeline=wanted)
        options = configuration.pipeline_options
        pipeline.check(options)
        self._configuration = configuration
        if worker is None:
            pipeline.change(options)
        else:  # between two images
            worker.call(lambda: pipeline.change(options))

    # --- receiving: hand over, never compute ----------------------------------------------

    def _on_image(self, message: Image | CompressedImage) -> None:
        worker = self._worker
        if worker is not None and self._enabled.is_set():
            self._health.frame_received()
            worker.submit(Arrival(message))

    def _click(self, topic: str, read: Callable[[], Click]) -> None:
        worker = self._worker
        if worker is None:
            return
        if worker.waiting >= _MOST_CLICKS:
            self._reporter.warning(f"click on '{topic}' refused: too many others wait")
            return

        def use() -> None:
            try:
                click = read()
                before = self._require_pipeline().object_ids
                ids = self._require_clicks().apply(click.requests, click.stamp)
            except UserError as error:
                self.get_logger().warning(f"click on '{topic}' refused: {error}")
            else:
                started = [i for i in ids if i not in before]
                added = [i for i in ids if i in before]
                done = [
                    f"{what} object {listed(which)}"
                    for what, which in (("started", started), ("point for", added))
                    if which
                ]
                self.get_logger().info(f"click on '{topic}': {', '.join(done)}")

        worker.call(use).add_done_callback(lambda f: self._report_failure(f, "a click"))

    def _report_failure(self, future: Any, what: str) -> None:
        if not future.cancelled() and future.exception() is not None:
            self._reporter.exception(f"{what} failed", future.exception())

    # --- what services ask for: the first two in the executor's thread --------------------

    @property
    def worker(self) -> Worker[Arrival] | None:
        """What runs the pipeline; None while the node is not active."""
        return self._worker

    def enable(self, enabled: bool) -> None:
        """Process images, or ignore them."""
        if enabled:
            self._enabled.set()
            return
        self._enabled.clear()
        if self._worker is not None:
            self._worker.clear()

    def add_objects(self, requests: Sequence[PromptRequest], stamp: int | None) -> list[int]:
        """Start objects; see :meth:`sam_pt_ros.ros.click_inputs.Clicks.apply`."""
        return self._require_clicks().apply(requests, stamp)

    @property
    def sees(self) -> bool:
        """Whether there has been an image."""
        return len(self._require_pipeline().history) > 0

    def remove_object(self, object_id: int) -> None:
        """Stop tracking an object; UserError if there is none."""
        self._require_pipeline().remove_object(object_id)

    def forget(self) -> None:
        """Forget all objects and images."""
        assert self._processing is not None
        self._processing.forget()
        self._nothing_shown()

    # --- in the worker's thread -----------------------------------------------------------

    def _require_pipeline(self) -> SamPt:
        assert self._pipeline is not None
        return self._pipeline

    def _require_clicks(self) -> Clicks:
        assert self._clicks is not None
        return self._clicks

    def _nothing_shown(self) -> None:
        assert self._canvas is not None
        self._shown = None
        self._canvas.forget()

    def _on_other_time(self) -> None:
        assert self._transforms is not None
        self._transforms.clear()
        self._nothing_shown()

    def _publish(self, result: TrackResult, header: Header, image: np.ndarray) -> None:
        assert self._outputs is not None and self._canvas is not None
        camera = self._require_clicks().camera
        self._outputs.publish(Processed(result, header, image, camera, self._locator))
        try:
            self._canvas.show(image, header, camera, self._require_pipeline().history.oldest.stamp)
        except Exception as error:  # it must not cost the image its other results
            self._reporter.exception("nothing could be published on '~/canvas'", error)

    def _published(self, result: TrackResult, header: Header, times: FrameTimes) -> None:
        self._shown = result.stamp
        self._states = {item.object_id: item.state for item in result.objects}
        assert self._outputs is not None
        self._outputs.publish_performance(result, header, times)

    # --- loading --------------------------------------------------------------------------

    def _load(self, configuration: Configuration) -> SamPt:
        """The pipeline, warmed up; what is done is said first, because it may take long."""
        assert self._diagnostics is not None
        backends = configuration.backends
        what = f"loading {backends.tracker} and {backends.segmenter}"
        self.get_logger().info(what)
        with self._saying(what):
            pipeline = configuration.create()
        self._details = {
            "tracker": describe_backend(backends.tracker, pipeline.tracker.details),
            "segmenter": describe_backend(backends.segmenter, pipeline.segmenter.details),
        }
        self.get_logger().info("warming up")
        begin = time.monotonic()
        with self._saying("warming up"):
            warm_up(pipeline)
        self.get_logger().info(f"warmed up in {time.monotonic() - begin:.1f} s")
        return pipeline

    @contextmanager
    def _saying(self, what: str) -> Iterator[None]:
        """Say on /diagnostics, as often as on other occasions, what keeps the executor busy."""
        diagnostics = self._diagnostics
        assert diagnostics is not None
        done = threading.Event()

        def say() -> None:
            diagnostics.say(what)
            while not done.wait(PERIOD):
                diagnostics.say(what)

        thread = threading.Thread(target=say, name="saying", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _warn_of_namesakes(self) -> None:
        own = self.get_name(), self.get_namespace()
        count = self.get_node_names_and_namespaces().count(own)
        if count > 1:
            self._reporter.warning(
                f"{count} nodes are named {self.get_fully_qualified_name()}: each does what is "
                "asked of the other, and their results are mixed; end one, or name it by "
                "-r __node:=NAME (one that was killed still counts for a while)",
                10 * REPETITION,
            )

    def _watched(self) -> Watched:
        self._warn_of_namesakes()
        locator = self._locator
        return Watched(
            self._pipeline,
            self._image_input,
            self._states,
            self._details,
            (0, 0) if locator is None else (locator.with_depth, locator.without_depth),
            self._enabled.is_set(),
        )
