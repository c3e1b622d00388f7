"""How the node fares, on /diagnostics (REP 107)."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from sam_pt_ros.objects import ObjectState
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.health import Health, Summary
from sam_pt_ros.ros.image_input import ImageInput
from sam_pt_ros.ros.topics import QOS_POLICIES

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
class Watched:
    """What the diagnostics look at.

    Attributes:
        pipeline: whose counters; they are read only. None before it is there.
        image_input: None while the node is not active.
        states: of the objects in the newest image, by id.
        details: what it runs with, by name.
        depth: images with depth and, although depth comes, without.
        enabled: whether images are processed.
    """

    pipeline: SamPt | None
    image_input: ImageInput | None
    states: Mapping[int, ObjectState]
    details: Mapping[str, str]
    depth: tuple[int, int] = (0, 0)
    enabled: bool = True


class Diagnostics:
    """Publishes three statuses once a second, whether images come or not.

    ``images``: rates, drops and refusals; STALE without images for ``input_timeout``, a warning
    where images come for so long without a result.
    ``tracking``: objects and restarts; ERROR if models failed in the newest image, a warning where
    they did since the message before, or where restarts in the past were over ``catch_up_budget``.
    ``time``: latency from stamp to publication, stages, memory.

    Args:
        node: publishes.
        health: of the stream.
        watched: what there is to look at now.
        input_timeout: seconds without images, or results, that are no cause for alarm; 0: any.
    """

    def __init__(
        self,
        node: Node,
        health: Health,
        watched: Callable[[], Watched],
        input_timeout: float,
    ) -> None:
        self._node = node
        self._health = health
        self._watched = watched
        self._input_timeout = input_timeout
        self._over_budget = self._failed = self._refused = 0
        self._publisher = node.create_publisher(
            DiagnosticArray,
            "/diagnostics",
            QoSProfile(depth=10),
            qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
        )
        # Not the node's clock: a simulator's may stand still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self.publish, clock=clock)

    def destroy(self) -> None:
        """Publish no more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def say(self, message: str) -> None:
        """Publish what takes long, apart from the statuses: to be repeated while it does."""
        self._send([self._status("tracking", _OK, message, {})])

    def publish(self) -> None:
        """Publish all statuses."""
        watched, summary = self._watched(), self._health.summary()
        self._send(
            [
                self._images(watched, summary),
                self._tracking(watched, summary),
                self._time(summary),
            ]
        )

    def _send(self, statuses: list[DiagnosticStatus]) -> None:
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _images(self, watched: Watched, summary: Summary) -> DiagnosticStatus:
        refused, self._refused = summary.refused - self._refused, summary.refused
        level, message = _OK, f"{summary.output_rate:.1f} of {summary.input_rate:.1f} Hz processed"
        values: dict[str, Any] = {}
        if watched.image_input is None:
            message = "not active"
        else:
            publishers = watched.image_input.publishers
            values = {"topic": watched.image_input.topic, "publishers": ", ".join(publishers)}
            age = watched.image_input.age
            silence, owed = min(summary.silence, age), min(summary.owed, age)
            if not watched.enabled:
                message = "images are ignored (~/enable)"
            elif self._input_timeout and silence > self._input_timeout:
                level, message = _STALE, f"no image for {silence:.0f} s"
            elif self._input_timeout and owed > self._input_timeout:
                level, message = _WARN, f"images come, but no result for {owed:.0f} s"
            elif refused:
                level, message = _WARN, f"{refused} images could not be used"
            elif len(publishers) > 1:
                level, message = _WARN, f"{len(publishers)} publish images on one topic"
        values |= {
            "input_rate": f"{summary.input_rate:.2f}",
            "output_rate": f"{summary.output_rate:.2f}",
            "received": summary.received,
            "processed": summary.published,
            "dropped": summary.dropped,
            "refused": summary.refused,
            "last_refusal": summary.last_refusal,
            "with depth": watched.depth[0],
            "without depth": watched.depth[1],
        }
        return self._status("images", level, message, values)

    def _tracking(self, watched: Watched, summary: Summary) -> DiagnosticStatus:
        counters = {} if watched.pipeline is None else asdict(watched.pipeline.counters)
        over_budget = counters.get("over_budget", 0)
        late = over_budget - self._over_budget  # less than none after a reset
        failed, self._failed = summary.failed - self._failed, summary.failed
        self._over_budget = over_budget
        known = [] if watched.pipeline is None else watched.pipeline.object_ids
        # The newest image may have had objects that were forgotten since.
        states = Counter(state for i, state in watched.states.items() if i in known)
        level, message = _OK, f"{len(known)} objects"
        if summary.failed_in_a_row and watched.image_input is not None:
            level, message = _ERROR, summary.last_error
        elif failed:
            level, message = _WARN, f"{failed} images failed: {summary.last_error}"
        elif late > 0:
            level, message = _WARN, f"{late} restarts were over budget"
        values = {
            **watched.details,
            "objects": len(known),
            **{f"objects {state.name.lower()}": states[state] for state in ObjectState},
            **{_COUNTERS.get(name, name): value for name, value in counters.items()},
            "failed": summary.failed,
            **{f"skipped {stage}": count for stage, count in summary.skipped.items()},
            "last_error": summary.last_error,
        }
        return self._status("tracking", level, message, values)

    def _time(self, summary: Summary) -> DiagnosticStatus:
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
            message = "latency is not known: stamps are of another clock, or a minute old"
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
    """Memory of this process in MB, and on the GPU if one is used."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the most that it ever was
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"memory (MB)": f"{resident / 1e6:.0f}"}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        # Not that of the thread, which is the first: models may be on any.
        sizes = [torch.cuda.memory_allocated(i) for i in range(torch.cuda.device_count())]
        used = [torch.cuda.get_device_name(i) for i, size in enumerate(sizes) if size]
        found["device"] = ", ".join(used)
        found["GPU memory (MB)"] = f"{sum(sizes) / 1e6:.0f}"
    return found
