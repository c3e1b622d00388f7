"""Runs the node: creates it, starts it and runs its callbacks until it is told to stop."""

from __future__ import annotations

import gc
import threading
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from sam_pt_ros.ros.node import TrackNode

_STOP_TIMEOUT = 1.5  # seconds for the pipeline to finish its frame
_OK = TransitionCallbackReturn.SUCCESS


class Execution:
    """Runs the node in the thread that calls :meth:`run`; another thread ends it."""

    def __init__(self) -> None:
        self._node: TrackNode | None = None
        self._executor: SingleThreadedExecutor | None = None
        self._stopping = threading.Event()

    def run(self, arguments: list[str] | None) -> int:
        """Create the node, start it and run its callbacks; the exit code.

        It returns 0 when it is told to stop, 2 if the node cannot be started, and 1 if it fails.

        Args:
            arguments: of the command line; None: those of the process.

        Raises:
            UserError: a parameter is wrong.
        """
        # rclpy's own handlers would shut the context down while callbacks run.
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        self._node = node = TrackNode()
        # rclpy's MultiThreadedExecutor submits callbacks that have not begun again and again, and
        # takes the GIL from the pipeline. Callbacks only hand over, so one thread is enough.
        self._executor = executor = SingleThreadedExecutor()
        executor.add_node(node)
        if node.get_parameter("autostart").value and not (
            node.trigger_configure() == _OK and node.trigger_activate() == _OK
        ):
            return 2
        try:
            while not self._stopping.is_set():
                executor.spin_once()
        except ExternalShutdownException:
            return 1
        except Exception:  # of a callback
            traceback.print_exc()
            return 1
        return 0

    def stop(self) -> bool:
        """Have :meth:`run` return after the callback in hand.

        It stops the pipeline first, because callbacks may wait for it. False if that does not
        finish its frame in time.
        """
        self._stopping.set()
        if self._node is not None and not self._node.stop_pipeline(_STOP_TIMEOUT):
            return False
        if self._executor is not None:
            self._executor.create_task(lambda: None)  # wakes it up
        return True

    def close(self) -> None:
        """Free everything and leave the ROS graph, once :meth:`run` has returned."""
        if self._executor is not None:
            self._executor.shutdown()
        if self._node is not None:
            self._node.release()
        rclpy.try_shutdown()
        if self._node is not None:
            self._node.destroy_node()
        self._executor = self._node = None
        # rclpy's lifecycle nodes are reference cycles. Other nodes see this one until its DDS
        # participant is collected with it.
        gc.collect()
