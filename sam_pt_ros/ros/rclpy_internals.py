"""Private members of rclpy, which are touched here and nowhere else.

rclpy has no public way to what these functions do, in all distributions from Humble on. Each says
what it stands in for, so that it can be replaced once there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter


def parameter_overrides(node: Node) -> Mapping[str, Parameter[Any]]:
    """The parameters that the node was started with, by name, declared or not.

    rclpy offers an override only once a parameter of that name is declared. Here overrides have
    to be seen before: to refuse unknown ones, and to declare only those that were given.
    """
    return getattr(node, "_parameter_overrides", {})


def destroy_lifecycle_publisher(node: LifecycleNode, publisher: Any) -> None:
    """Destroy a lifecycle publisher, and no longer manage its state.

    ``LifecycleNode.destroy_lifecycle_publisher``, which Humble and Iron do not have.
    """
    node._managed_entities.discard(publisher)
    node.destroy_publisher(publisher)
