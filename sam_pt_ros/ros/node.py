"""The node: its parameters and its life cycle."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from sam_pt_ros.errors import UserError
from sam_pt_ros.ros.parameters import Parameters
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.tracking_session import TrackingSession
from sam_pt_ros.weights.memory import free_memory

_OK = TransitionCallbackReturn.SUCCESS
_FAILED = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR


class TrackNode(LifecycleNode):
    """Images and clicks in; masks and tracked points out, under the header of the image.

    All callbacks run in the executor's thread; only :meth:`stop_pipeline` is for others.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("sam_pt", **arguments)
        self.parameters = Parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._reporter = Reporter(self)
        self._session: TrackingSession | None = None  # from configuration to cleanup

    @property
    def session(self) -> TrackingSession:
        """What the node runs while it is configured.

        Raises:
            RuntimeError: it is not configured.
        """
        if self._session is None:
            raise RuntimeError("the node is not configured")
        return self._session

    # --- life cycle -----------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, create the pipeline, offer outputs and services."""
        try:
            self._session = TrackingSession(self, self.parameters.read(), self._reporter)
        except UserError as error:
            self.get_logger().error(str(error))
        except Exception as error:  # which rclpy would swallow
            self._reporter.exception("the node cannot be configured", error)
            return _ERROR
        else:
            details = ", ".join(f"{kind} {what}" for kind, what in self.session.details.items())
            self.get_logger().info(f"configured: {details}")
            return _OK
        self.release()
        return _FAILED

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and process what arrives."""
        try:
            result = super().on_activate(state)  # outputs first: no result must get lost
            stream = self.session.activate()
        except Exception as error:  # which rclpy would swallow
            self._reporter.exception("the node cannot be activated", error)
            return _ERROR
        for name in self.parameters.unused_qos:
            self.get_logger().warning(f"'{name}' has no effect: the node has no such topic")
        topic = stream.image_input.topic
        self.get_logger().info(f"active, mode {stream.mode}: waiting for images on {topic}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, and publish what is owed; objects and models are kept."""
        self.session.deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the pipeline."""
        self.release()
        return _OK

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, in any state."""
        self.release()
        return _OK

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to a clean state after a transition that failed."""
        self.release()
        return _OK

    def release(self) -> None:
        """Finish the frame in hand, and free the pipeline and all that was offered."""
        if self._session is not None:
            self._session.close()
        self._session = None
        try:
            free_memory()
        except Exception as error:  # a GPU is out of order; this state is clean all the same
            self._reporter.exception("memory cannot be freed", error)

    def stop_pipeline(self, timeout: float) -> bool:
        """Stop processing; false if a frame is still in hand after ``timeout`` seconds.

        It may be called in any thread. What arrives afterwards is dropped.
        """
        session = self._session
        if session is None or session.stop_worker(timeout):
            return True
        self.get_logger().warning(f"the pipeline did not finish its frame within {timeout:g} s")
        return False

    # --- parameters -----------------------------------------------------------------------

    def _check_parameters(self, changed: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._change_parameters(changed)
        except UserError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change_parameters(self, changed: list[Parameter[Any]]) -> None:
        """Use new values; UserError if one of them cannot be used, and then none of them is."""
        session, values = self._session, {}
        for parameter in changed:
            spec = self.parameters.specs.get(parameter.name)
            if spec is None:
                continue
            if session is not None and not spec.runtime:
                raise UserError(
                    f"'{parameter.name}' is read when the node is configured; deactivate and "
                    "clean up first"
                )
            values[parameter.name] = spec.check(parameter.value, "parameters")
        if session is not None:
            session.change_options(values)
