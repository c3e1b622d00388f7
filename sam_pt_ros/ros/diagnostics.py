"""The state of the node, on /diagnostics (REP 107)."""

from __future__ import annotations

import resource
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from sam_pt_ros.errors import counted
from sam_pt_ros.objects import ObjectState
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.health import Health, HealthSummary
from sam_pt_ros.ros.image_input import ImageInput
from sam_pt_ros.ros.topics import QOS_POLICIES, create_steady_timer

PERIOD = 1.0
"""Seconds between two messages."""

_COUNTERS = {
    "restarts": "points sampled anew",
    "over_budget": "points sampled anew over budget",
    "lost": "times lost",
}
_OK, _WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
_ERROR, _STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@dataclass(frozen=True)
class NodeSnapshot:
    """What diagnostics report of the node, apart from its health.

    Attributes:
        pipeline: its counters and objects are read only. None before it is created.
        image_input: None while the node is not active.
        states: of the objects in the newest image, by id.
        details: what it runs with, by name.
        depth: number of images with depth, and of images without although depth arrives.
        enabled: whether images are processed.
    """

    pipeline: SamPt | None
    image_input: ImageInput | None
    states: Mapping[int, ObjectState]
    details: Mapping[str, str]
    depth: tuple[int, int] = (0, 0)
    enabled: bool = True


class Diagnostics:
    """Publishes three statuses once a second, whether images arrive or not.

    ``images``: rates, drops and refusals; STALE without images for ``input_timeout``, a warning
    if images arrive for that long without a result.
    ``tracking``: objects and restarts; ERROR if a model failed in the newest image, a warning if
    one failed since the last message, or if restarts in the past exceeded ``catch_up_budget``.
    ``time``: latency from stamp to publication, stages, memory.

    The executor's thread publishes.

    Args:
        node: publishes.
        health: of the stream.
        snapshot: what there is to report now.
        input_timeout: seconds without images, or results, before it alarms; 0: never.
    """

    def __init__(
        self,
        node: Node,
        health: Health,
        snapshot: Callable[[], NodeSnapshot],
        input_timeout: float,
    ) -> None:
        self._node = node
        self._health = health
        self._snapshot = snapshot
        self._input_timeout = input_timeout
        self._over_budget = self._failed = self._refused = 0
        self._publisher = node.create_publisher(
            DiagnosticArray,
            "/diagnostics",
            QoSProfile(depth=10),
            qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
        )
        self._timer = create_steady_timer(node, PERIOD, self.publish)

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    @contextmanager
    def activity(self, what: str) -> Iterator[None]:
        """Publish what keeps the executor busy, again and again in a thread of its own."""
        done = threading.Event()

        def publish_until_done() -> None:
            self.publish_activity(what)
            while not done.wait(PERIOD):
                self.publish_activity(what)

        thread = threading.Thread(target=publish_until_done, name="activity", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def publish_activity(self, what: str) -> None:
        """Publish once, instead of the statuses, what the node is doing; in any thread."""
        self._publish([self._status("tracking", _OK, what, {})])

    def publish(self) -> None:
        """Publish all statuses."""
        snapshot, summary = self._snapshot(), self._health.summary()
        self._publish(
            [
                self._images(snapshot, summary),
                self._tracking(snapshot, summary),
                self._time(summary),
            ]
        )

    def _publish(self, statuses: list[DiagnosticStatus]) -> None:
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _images(self, snapshot: NodeSnapshot, summary: HealthSummary) -> DiagnosticStatus:
        refused, self._refused = summary.refused - self._refused, summary.refused
        level, message = _OK, f"{summary.output_rate:.1f} of {summary.input_rate:.1f} Hz processed"
        values: dict[str, Any] = {}
        if snapshot.image_input is None:
            message = "not active"
        else:
            publishers = snapshot.image_input.publishers
            values = {"topic": snapshot.image_input.topic, "publishers": ", ".join(publishers)}
            age = snapshot.image_input.age
            silence, owed = min(summary.silence, age), min(summary.owed, age)
            if not snapshot.enabled:
                message = "images are ignored until ~/enable is called with true"
            elif self._input_timeout and silence > self._input_timeout:
                level = _STALE
                message = snapshot.image_input.misfit or f"no image for {silence:.0f} s"
            elif self._input_timeout and owed > self._input_timeout:
                level, message = _WARN, f"images arrive, but no result for {owed:.0f} s"
            elif summary.stamp_problem:
                level, message = _WARN, summary.stamp_problem
            elif refused:
                level, message = _WARN, f"{counted(refused, 'image')} could not be used"
            elif len(publishers) > 1:
                level, message = _WARN, f"{len(publishers)} nodes publish images on one topic"
        values |= {
            "input_rate": f"{summary.input_rate:.2f}",
            "output_rate": f"{summary.output_rate:.2f}",
            "received": summary.received,
            "processed": summary.published,
            "dropped": summary.dropped,
            "refused": summary.refused,
            "last_refusal": summary.last_refusal,
            "with depth": snapshot.depth[0],
            "without depth": snapshot.depth[1],
        }
        return self._status("images", level, message, values)

    def _tracking(self, snapshot: NodeSnapshot, summary: HealthSummary) -> DiagnosticStatus:
        counters = {} if snapshot.pipeline is None else asdict(snapshot.pipeline.counters)
        over_budget = counters.get("over_budget", 0)
        late = over_budget - self._over_budget  # negative after a reset
        failed, self._failed = summary.failed - self._failed, summary.failed
        self._over_budget = over_budget
        known = [] if snapshot.pipeline is None else snapshot.pipeline.object_ids
        # Objects of the newest image may have been forgotten since.
        states = Counter(state for i, state in snapshot.states.items() if i in known)
        level, message = _OK, counted(len(known), "object")
        if summary.failed_in_a_row and snapshot.image_input is not None:
            level, message = _ERROR, summary.last_error
        elif failed:
            level, message = _WARN, f"{counted(failed, 'image')} failed: {summary.last_error}"
        elif late > 0:
            level, message = _WARN, f"{counted(late, 'restart')} exceeded catch_up_budget"
        values = {
            **snapshot.details,
            "objects": len(known),
            **{f"objects {state.name.lower()}": states[state] for state in ObjectState},
            **{_COUNTERS.get(name, name): value for name, value in counters.items()},
            "failed": summary.failed,
            **{f"skipped {stage}": count for stage, count in summary.skipped.items()},
            "last_error": summary.last_error,
        }
        return self._status("tracking", level, message, values)

    def _time(self, summary: HealthSummary) -> DiagnosticStatus:
        names = {50: "latency p50 (ms)", 95: "latency p95 (ms)", 100: "latency max (ms)"}
        values: dict[str, Any] = {
            names[percentile]: f"{value:.1f}" for percentile, value in summary.latency.items()
        }
        values |= {f"{name} (ms)": f"{value:.1f}" for name, value in summary.stages.items()}
        values |= memory()
        p95 = summary.latency.get(95)
        message = "no images"
        if p95 is not None:
            message = f"latency {p95:.0f} ms (95 %)"
        elif summary.stages:
            message = "latency unknown: stamps are of another clock, or over a minute old"
        return self._status("time", _OK, message, values)

    def _status(
        self, name: str, level: bytes, message: str, values: Mapping[str, Any]
    ) -> DiagnosticStatus:
        own = self._node.get_fully_qualified_name()
        return DiagnosticStatus(
            level=level,
            name=f"{own[1:]}: {name}",
            message=message,
            hardware_id=own,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )


def memory() -> dict[str, str]:
    """Memory of this process in MB, and of its GPU if it uses one."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"memory (MB)": f"{resident / 1e6:.0f}"}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        # Of all devices: the current one need not be the one that the models are on.
        sizes = [torch.cuda.memory_allocated(i) for i in range(torch.cuda.device_count())]
        used = [torch.cuda.get_device_name(i) for i, size in enumerate(sizes) if size]
        found["device"] = ", ".join(used)
        found["GPU memory (MB)"] = f"{sum(sizes) / 1e6:.0f}"
    return found
