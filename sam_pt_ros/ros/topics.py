"""Topics of the node: how they are made, and reports of subscriptions whose QoS does not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import (
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from sam_pt_ros.ros.rclpy_internals import parameter_overrides

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

QOS_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
"""What users may override, topic by topic."""

SENSOR_DATA_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)

_DEPTH = 10  # results that are kept for a subscription that is slower than the node
_REPORT_DELAY = 0.5  # seconds


def create_steady_timer(node: Node, seconds: float, callback: Callable[[], None]) -> Any:
    """A timer that does not follow ROS time, which may stand still."""
    return node.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def overridden_policies(node: Node, topic: str) -> list[QoSPolicyKind]:
    """The policies that the user has overridden for subscriptions to a topic, fully named."""
    prefix, given = f"qos_overrides.{topic}.subscription.", parameter_overrides(node)
    return [policy for policy in QOS_POLICIES if prefix + policy.name.lower() in given]


def own_events(on_incompatible: Callable[[Any], None] | None = None) -> Any:
    """Event callbacks of a subscription, instead of rclpy's, which log what does not match."""
    return SubscriptionEventCallbacks(
        incompatible_qos=on_incompatible, use_default_callbacks=False
    )


def create_input(
    node: Node, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile
) -> Any:
    """A subscription whose quality of service users may override.

    Args:
        node: subscribes.
        kind: class of the messages.
        topic: name of the topic, not resolved.
        callback: takes each message, in the executor's thread.
        qos: the default.
    """
    return node.create_subscription(
        kind, topic, callback, qos, qos_overriding_options=QoSOverridingOptions(QOS_POLICIES)
    )


def create_output(node: LifecycleNode, kind: Any, topic: str) -> Any:
    """A lifecycle publisher; a subscription that requests a better QoS is named in the log.

    Args:
        node: publishes.
        kind: class of the messages.
        topic: name of the topic, not resolved.
    """
    publisher: Any = None

    def on_incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()

        def report() -> None:
            node.destroy_timer(timer)
            _report_mismatch(node, publisher, node.resolve_topic_name(topic), policy)

        # Discovery names the subscription a little later.
        timer = create_steady_timer(node, _REPORT_DELAY, report)

    publisher = node.create_lifecycle_publisher(
        kind,
        topic,
        QoSProfile(depth=_DEPTH),
        qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
        event_callbacks=PublisherEventCallbacks(incompatible_qos=on_incompatible),
    )
    return publisher


def policy_text(profile: QoSProfile, policy: str) -> str:
    """The value of a policy of a QoS profile as it is logged: ``RELIABLE``, ``VOLATILE`` ..."""
    value = getattr(profile, policy)
    return str(getattr(value, "name", value))


def _report_mismatch(node: LifecycleNode, publisher: Any, topic: str, policy: str) -> None:
    """Warn of subscriptions that receive nothing because of a policy of their QoS."""
    offered = policy_text(publisher.qos_profile, policy)
    requested = [
        f"{wanted} by {other.node_name}"
        for other in node.get_subscriptions_info_by_topic(topic)
        if (wanted := policy_text(other.qos_profile, policy)) != offered
    ]
    node.get_logger().warning(
        f"QoS mismatch on {topic}: requested {', '.join(requested) or 'a better one'}, offered "
        f"{offered}; the subscription receives nothing. To match it, set "
        f"qos_overrides.{topic}.publisher.{policy}"
    )
