"""Notices other nodes that have this node's name."""

from __future__ import annotations

from rclpy.node import Node

from sam_pt_ros.ros.reporter import REPETITION, Reporter


def warn_of_namesakes(node: Node, reporter: Reporter) -> None:
    """Warn if another node has the same full name, as far as is known."""
    own = node.get_name(), node.get_namespace()
    count = node.get_node_names_and_namespaces().count(own)
    if count > 1:
        reporter.warning(
            f"{count} nodes are named {node.get_fully_qualified_name()}: each obeys the other's "
            "requests, and their results are mixed; stop one, or rename it with "
            "-r __node:=NAME (a node that was killed still counts for a while)",
            10 * REPETITION,
        )
