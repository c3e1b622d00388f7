"""Subscriptions to images, whose reliability follows that of the publishers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.rclpy_internals import parameter_overrides
from sam_pt_ros.ros.topics import QOS_POLICIES, policy_text

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_LATEST_DEPTH = 5  # images that may wait for the executor; only the newest is processed
_GRAPH_PERIOD = 0.25  # seconds between checks of the publishers


def queue_depth(options: NodeOptions) -> int:
    """How many images may wait for the executor."""
    return options.queue_size if options.mode == "every_frame" else _LATEST_DEPTH


class ImageSubscription:
    """A subscription to images that follows their publishers until it is destroyed.

    Args:
        node: subscribes.
        kind: class of the messages.
        topic: name of the topic, not resolved.
        depth: how many messages may wait for the executor.
        callback: takes each message, in the executor's thread.
        timeout: seconds without a message after which it warns; 0: never.

    Attributes:
        topic: name of the topic, resolved.
        timeout: as given; it may be changed.
    """

    def __init__(
        self,
        node: Node,
        kind: Any,
        topic: str,
        depth: int,
        callback: Callable[[Any], None],
        timeout: float,
    ) -> None:
        self._node = node
        self._callback = callback
        self.timeout = timeout
        self._begin = self._last = time.monotonic()
        self._silent = self._mismatch = False
        self._kind = kind
        self._depth = depth
        self._name = topic
        self.topic: str = node.resolve_topic_name(topic)
        # A declared override cannot change any more, and would freeze what follows the
        # publishers and the mode. So only those are declared that the user has given.
        prefix = f"qos_overrides.{self.topic}.subscription."
        given = parameter_overrides(node)
        self._overridden = [p for p in QOS_POLICIES if prefix + p.name.lower() in given]
        # Reliable first: a player of recordings waits for a match, a camera driver does not.
        self._reliability = ReliabilityPolicy.RELIABLE
        self._subscription = self._subscribe()
        self._follow_publishers()
        # Not in ROS time, which may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_GRAPH_PERIOD, self._check, clock=steady)

    @property
    def has_publishers(self) -> bool:
        """Whether there is a publisher, as far as is known."""
        return self._node.count_publishers(self.topic) > 0

    @property
    def publishers(self) -> list[str]:
        """Full names of the nodes that publish, as far as is known."""
        known = self._node.get_publishers_info_by_topic(self.topic)
        return sorted(f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in known)

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    @property
    def _reliability_is_overridden(self) -> bool:
        return QoSPolicyKind.RELIABILITY in self._overridden

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            self._kind,
            self.topic,
            self._receive,
            QoSProfile(depth=self._depth, reliability=self._reliability),
            qos_overriding_options=QoSOverridingOptions(self._overridden),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, use_default_callbacks=False
            ),
        )

    def _on_incompatible(self, event: Any) -> None:
        # Otherwise _follow_publishers settles it. Discovery may name the publisher only later.
        self._mismatch = self._reliability_is_overridden

    def _report_mismatch(self) -> None:
        policy = "reliability"
        requested = policy_text(self._subscription.qos_profile, policy)
        offered = [
            f"{what} by {publisher.node_name}"
            for publisher in self._node.get_publishers_info_by_topic(self.topic)
            if (what := policy_text(publisher.qos_profile, policy)) != requested
        ]
        self._node.get_logger().warning(
            f"QoS mismatch on {self.topic}: requested {requested}, offered "
            f"{', '.join(offered) or 'a lower one'}; no images arrive from it. To match it, "
            f"change qos_overrides.{self.topic}.subscription.{policy}"
        )

    @property
    def is_remapped(self) -> bool:
        """Whether the user has remapped the topic."""
        return self.topic != f"{self._node.get_namespace().rstrip('/')}/{self._name}"

    @property
    def age(self) -> float:
        """Seconds since it was created."""
        return time.monotonic() - self._begin

    def _receive(self, message: Any) -> None:
        now = time.monotonic()
        if self._silent:
            self._node.get_logger().info(
                f"images on {self.topic} resumed after {self._silence(now)}"
            )
            self._silent = False
        self._last = now
        self._callback(message)

    def _check(self) -> None:
        self._follow_publishers()
        if self._mismatch:
            self._mismatch = False
            self._report_mismatch()
        now = time.monotonic()
        if self.timeout and not self._silent and now - self._last > self.timeout:
            self._silent = True
            publishers = ", ".join(self.publishers)
            by = f"published by {publishers}" if publishers else "it has no publisher"
            self._node.get_logger().warning(
                f"no image on {self.topic} for {self._silence(now)}; {by}"
            )

    def _silence(self, now: float) -> str:
        return f"{now - self._last:.1f} s"

    def _follow_publishers(self) -> None:
        """Request RELIABLE unless a publisher offers BEST_EFFORT only.

        BEST_EFFORT, the default for sensors, would match any publisher, but large images then
        get lost without a warning: one of 640x360 has more fragments than fit into the default
        shared memory of Fast DDS.
        """
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if self._reliability_is_overridden or not publishers:
            return
        offered = [publisher.qos_profile.reliability for publisher in publishers]
        all_reliable = all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        wanted = ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT
        if wanted != self._reliability:
            self._node.get_logger().info(
                f"requesting {wanted.name} images on {self.topic}, as they are offered"
            )
            self._reliability = wanted
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()


class ImageInput(ImageSubscription):
    """The subscription to the camera's images; it warns if there are several publishers.

    Args:
        node: subscribes.
        options: transport, mode and ``input_timeout``.
        callback: takes each image, in the executor's thread.
    """

    def __init__(
        self, node: Node, options: NodeOptions, callback: Callable[[Image | CompressedImage], None]
    ) -> None:
        compressed = options.image_transport == "compressed"
        self._warned_of: list[str] = []
        super().__init__(
            node,
            CompressedImage if compressed else Image,
            "image/compressed" if compressed else "image",
            queue_depth(options),
            callback,
            options.input_timeout,
        )

    def _check(self) -> None:
        super()._check()
        publishers = self.publishers
        if len(publishers) > 1 and publishers != self._warned_of:
            self._node.get_logger().warning(
                f"{len(publishers)} nodes publish images on {self.topic}: "
                f"{', '.join(publishers)}; stop all but one, or remap their topics"
            )
        self._warned_of = publishers
