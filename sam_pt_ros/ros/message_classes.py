"""Makes messages of rclpy's classes."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def rclpy_message_class(kind: str) -> Any:
    """The class of a message type, ``package/msg/Name``."""
    package, _, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def make_rclpy_message(kind: str, **fields: Any) -> Any:
    """A message: the :class:`~sam_pt_ros.interchange.messages.MessageMaker` of the node."""
    data = fields.pop("data", None)
    message = rclpy_message_class(kind)(**fields)
    if data is not None:
        message.data = data  # the constructor would copy it
    return message
