"""Topics that the node offers: their quality of service, and who asks for more than that."""

from __future__ import annotations

from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSPolicyKind, QoSProfile, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

QOS_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
"""What users may override, topic by topic."""

_DEPTH = 10  # results that are kept for who is slower than the node
_REPORT_DELAY = 0.5  # seconds
_STEADY = ClockType.STEADY_TIME


def create_output(node: LifecycleNode, kind: Any, topic: str) -> Any:
    """A lifecycle publisher; whoever asks for a better quality of service is named in the log.

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
            _report(node, publisher, node.resolve_topic_name(topic), policy)

        # Who it is becomes known a little later. Not in ROS time, which may stand still.
        timer = node.create_timer(_REPORT_DELAY, report, clock=Clock(clock_type=_STEADY))

    publisher = node.create_lifecycle_publisher(
        kind,
        topic,
        QoSProfile(depth=_DEPTH),
        qos_overriding_options=QoSOverridingOptions(QOS_POLICIES),
        event_callbacks=PublisherEventCallbacks(incompatible_qos=on_incompatible),
    )
    return publisher


def _report(node: LifecycleNode, publisher: Any, topic: str, policy: str) -> None:
    """Warn of subscriptions that receive nothing because of a policy of their QoS."""

    def value(profile: QoSProfile) -> str:
        found = getattr(profile, policy)
        return str(getattr(found, "name", found)).lower()

    offered = value(publisher.qos_profile)
    asked = [
        f"{other.node_name} asks for {wanted}"
        for other in node.get_subscriptions_info_by_topic(topic)
        if (wanted := value(other.qos_profile)) != offered
    ]
    node.get_logger().warning(
        f"nothing goes to a subscription of {topic}: its {policy} is {offered}, but "
        f"{', '.join(asked) or 'more was asked for'}; to offer that, set "
        f"qos_overrides.{topic}.publisher.{policy}"
    )


def destroy_output(node: LifecycleNode, publisher: Any) -> None:
    """Offer it no more."""
    # rclpy's destroy_lifecycle_publisher, which not all distributions have.
    node._managed_entities.discard(publisher)
    node.destroy_publisher(publisher)
