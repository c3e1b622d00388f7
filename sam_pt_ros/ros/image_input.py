"""Subscriptions to images, whose reliability follows that of the publishers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.topic_types import full_name, is_named, other_types, publishers_of
from sam_pt_ros.ros.topics import create_steady_timer, overridden_policies, own_events, policy_text

_LATEST_DEPTH = 5  # images that may wait for the executor; only the newest is processed
_COMPRESSED = "/compressed"  # what image_transport appends to a topic
_GRAPH_PERIOD = 0.25  # seconds between checks of the publishers
_MOST_NAMELESS = 3.0  # seconds that a report waits for the name of a publisher


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
        stamp_on_arrival: whether messages get the time of their arrival as stamp.

    Attributes:
        name: name of the topic, not resolved.
        kind: class of the messages.
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
        stamp_on_arrival: bool,
    ) -> None:
        self._node = node
        self._callback = callback
        self.timeout = timeout
        self._stamp_on_arrival = stamp_on_arrival
        self._begin = self._last = time.monotonic()
        self._silent = False
        self._mismatch: float | None = None  # since when one is to be reported
        self.kind = kind
        self._depth = depth
        self.name = topic
        self.topic: str = node.resolve_topic_name(topic)
        # A declared override cannot change any more, and would freeze what follows the
        # publishers and the mode. So only those are declared that the user has given.
        self._overridden = overridden_policies(node, self.topic)
        # Reliable first: a player of recordings waits for a match, a camera driver does not.
        self._reliability = ReliabilityPolicy.RELIABLE
        self._subscription = self._subscribe()
        self._follow_publishers()
        self._timer = create_steady_timer(node, _GRAPH_PERIOD, self._check)

    @property
    def has_publishers(self) -> bool:
        """Whether there is a publisher, as far as is known."""
        return bool(self._publishers())

    @property
    def publishers(self) -> list[str]:
        """Full names of the nodes that publish what can be heard, as far as is known."""
        return sorted(map(full_name, self._publishers()))

    @property
    def misfit(self) -> str:
        """That the topic is published, but only as another type, and what to do; or empty."""
        return "" if self.has_publishers else other_types(self._node, self.name, self.kind)

    def _publishers(self) -> list[Any]:
        return publishers_of(self._node, self.topic, self.kind)

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    @property
    def _reliability_is_overridden(self) -> bool:
        return QoSPolicyKind.RELIABILITY in self._overridden

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            self.kind,
            self.topic,
            self._receive,
            QoSProfile(depth=self._depth, reliability=self._reliability),
            qos_overriding_options=QoSOverridingOptions(self._overridden),
            event_callbacks=own_events(self._on_incompatible),
        )

    def _on_incompatible(self, event: Any) -> None:
        if self._reliability_is_overridden:  # otherwise _follow_publishers settles it
            self._mismatch = time.monotonic()

    def _report_mismatch(self, age: float) -> None:
        """Report a mismatch that is some seconds old, unless its publisher is to be named yet."""
        publishers = self._publishers()
        named = publishers and all(map(is_named, publishers))
        if not named and age < _MOST_NAMELESS:
            return
        self._mismatch = None
        policy = "reliability"
        requested = policy_text(self._subscription.qos_profile, policy)
        offered = [
            f"{what} by {publisher.node_name}"
            for publisher in publishers
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
        return _is_remapped(self._node, self.name)

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
        if self._stamp_on_arrival:
            message.header.stamp = self._node.get_clock().now().to_msg()
        self._callback(message)

    def _check(self) -> None:
        self._follow_publishers()
        now = time.monotonic()
        if self._mismatch is not None:
            self._report_mismatch(now - self._mismatch)
        if self.timeout and not self._silent and now - self._last > self.timeout:
            self._silent = True
            if not self.misfit:  # that is said by TypeWatch
                self._node.get_logger().warning(
                    f"no image on {self.topic} for {self._silence(now)}; {self._who_publishes()}"
                )

    def _who_publishes(self) -> str:
        publishers = ", ".join(self.publishers)
        return f"published by {publishers}" if publishers else "it has no publisher"

    def _silence(self, now: float) -> str:
        return f"{now - self._last:.1f} s"

    def _follow_publishers(self) -> None:
        """Request RELIABLE unless a publisher offers BEST_EFFORT only.

        BEST_EFFORT, the default for sensors, would match any publisher, but large images then
        get lost without a warning: one of 640x360 has more fragments than fit into the default
        shared memory of Fast DDS.
        """
        publishers = self._publishers()
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


def _is_remapped(node: Node, name: str) -> bool:
    return node.resolve_topic_name(name) != f"{node.get_namespace().rstrip('/')}/{name}"


class ImageInput(ImageSubscription):
    """The subscription to the camera's images; it warns if there are several publishers.

    Args:
        node: subscribes.
        options: transport, mode, ``input_timeout`` and ``stamp_on_arrival``.
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
            options.stamp_on_arrival,
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

    def _who_publishes(self) -> str:
        return super()._who_publishes() + ("" if self.has_publishers else self._hint())

    def _hint(self) -> str:
        """What to do if the images are there, but with the other transport."""
        raw = self.kind is Image
        other, transport = ("image/compressed", "raw") if raw else ("image", "compressed")
        if _is_remapped(self._node, other):
            return f". With image_transport {transport} remap '{self.name}', not '{other}'"
        beside = self.topic + _COMPRESSED if raw else self.topic.removesuffix(_COMPRESSED)
        wanted = "compressed" if raw else "raw"
        if not publishers_of(self._node, beside, CompressedImage if raw else Image):
            return ""
        return (
            f", but {beside} has: set the parameter image_transport to {wanted} (track.launch.py: "
            f"image_transport:={wanted})"
        )
