"""Types under which topics are published, and reports of those that an input does not take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node

from sam_pt_ros.ros.topics import create_steady_timer

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_PIXEL, _POINT = "geometry_msgs/msg/Point", "geometry_msgs/msg/PointStamped"

_GRAPH_PERIOD = 0.5  # seconds between checks of the publishers


def type_name(kind: Any) -> str:
    """The name of a message class: ``sensor_msgs/msg/Image``."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def publishers_of(node: Node, topic: str, kind: Any) -> list[Any]:
    """What is known of the publishers of a topic, fully named, that publish a message class.

    Others may use the same name for another type; a subscription has nothing to do with them.
    """
    known = node.get_publishers_info_by_topic(topic)
    return [publisher for publisher in known if publisher.topic_type == type_name(kind)]


def is_named(endpoint: Any) -> bool:
    """Whether discovery has told the node that a publisher or a subscription belongs to."""
    return bool(endpoint.node_name != "_NODE_NAME_UNKNOWN_")


def full_name(endpoint: Any) -> str:
    """The full name of the node that a publisher or a subscription belongs to."""
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def other_types(node: Node, name: str, kind: Any) -> str:
    """That an input's topic is published as another type, and what to do; empty if it is not.

    Args:
        node: subscribes.
        name: of the input, before it is remapped.
        kind: class of the messages that it takes.
    """
    topic, wanted = node.resolve_topic_name(name), type_name(kind)
    known = node.get_publishers_info_by_topic(topic)
    others = sorted((p.topic_type, full_name(p)) for p in known if p.topic_type != wanted)
    if not others:
        return ""
    published = others[0][0]
    by = ", ".join(dict.fromkeys(who for what, who in others if what == published))
    return (
        f"{topic} is published as {published} by {by}, but '{name}' takes {wanted}: "
        f"{_advice(name, published, wanted, topic)}"
    )


def _advice(name: str, published: str, wanted: str, topic: str) -> str:
    base, _, transport = topic.rpartition("/")
    if (name, published) == ("image", _COMPRESSED) and transport != "compressedDepth":
        launch = f" (track.launch.py: image_transport:=compressed image:={base})"
        return (
            "set the parameter image_transport to compressed, and remap 'image/compressed' "
            f"instead of 'image'{launch if transport == 'compressed' else ''}"
        )
    if (name, published) == ("image/compressed", _IMAGE):
        return (
            "set the parameter image_transport to raw, and remap 'image' instead of "
            f"'image/compressed' (track.launch.py: image_transport:=raw image:={topic})"
        )
    if published == _COMPRESSED or published.endswith("Packet"):  # ffmpeg's, theora's
        return f"remap '{name}' to the raw images, or have image_transport's republish make them"
    if (name, published) in (("clicked_pixel", _POINT), ("clicked_point", _PIXEL)):
        other = "clicked_point" if name == "clicked_pixel" else "clicked_pixel"
        return f"remap '{other}' instead of '{name}'"
    return f"remap '{name}' to a topic of type {wanted}"


class TypeWatch:
    """Warns, once for each, of topics that are published as a type that their input does not take.

    DDS connects a publisher and a subscription of one topic only if their types are the same, and
    says nothing if they are not.

    Args:
        node: subscribes and logs.
        inputs: class of the messages by name of the input, before it is remapped.
    """

    def __init__(self, node: Node, inputs: Mapping[str, Any]) -> None:
        self._node = node
        self._inputs = inputs
        self._found: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._timer = create_steady_timer(node, _GRAPH_PERIOD, self._check)

    def destroy(self) -> None:
        """Stop watching."""
        self._node.destroy_timer(self._timer)

    def _check(self) -> None:
        for name, kind in self._inputs.items():
            text = other_types(self._node, name, kind)
            # Discovery names the nodes only later, so what has just been found may change.
            if text == self._found.get(name) != self._said.get(name, ""):
                self._said[name] = text
                if text:
                    self._node.get_logger().warning(text)
            self._found[name] = text
