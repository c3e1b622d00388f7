"""How the node fares, on /diagnostics (REP 107)."""

from __future__ import annotations

from dataclasses import asdict

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from sam_pt_ros.pipeline import SamPt

PERIOD = 1.0
"""Seconds between two messages."""


class Diagnostics:
    """Publishes the pipeline's counters once a second, whether images come or not.

    A warning where restarts in the past were given up since the message before: catching up
    would have taken longer than ``catch_up_budget``.

    Args:
        node: publishes.
        pipeline: whose counters; they are read only.
        details: what it runs with, by name.
    """

    def __init__(self, node: Node, pipeline: SamPt, details: dict[str, str]) -> None:
        self._node = node
        self._pipeline = pipeline
        self._details = details
        self._over_budget = 0
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Not the node's clock: a simulator's may stand still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self._publish, clock=clock)

    def destroy(self) -> None:
        """Publish no more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        counters = asdict(self._pipeline.counters)
        late = counters["over_budget"] - self._over_budget  # less than none after a reset
        self._over_budget = counters["over_budget"]
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if late > 0 else DiagnosticStatus.OK,
            name=f"{self._node.get_fully_qualified_name()[1:]}: tracking",
            message=f"{late} restarts were over budget" if late > 0 else "OK",
            hardware_id=self._node.get_fully_qualified_name(),
        )
        known = {**self._details, "objects": len(self._pipeline.object_ids), **counters}
        status.values = [KeyValue(key=key, value=str(value)) for key, value in known.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
