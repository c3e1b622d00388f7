"""The outputs' quality of service: what is offered, and who asks for more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from sam_pt_ros.msg import TrackedObjectArray, TrackedPointArray

from support.rig import Rig

_KEPT = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_outputs_are_offered_as_overridden_and_who_asks_for_more_is_named(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(
        "mode:=every_frame", "qos_overrides./sam_pt/objects.publisher.durability:=transient_local"
    )
    rig.play(0, 2)
    heard: list[Any] = []
    for kind, topic in ((TrackedObjectArray, "objects"), (TrackedPointArray, "tracked_points")):
        rig.listener.create_subscription(kind, f"/sam_pt/{topic}", heard.append, _KEPT)
    rig.log(
        "QoS mismatch on /sam_pt/tracked_points: requested TRANSIENT_LOCAL by listener, offered "
        "VOLATILE; the subscription receives nothing. To match it, set "
        "qos_overrides./sam_pt/tracked_points.publisher.durability"
    )
    # Those before it may come, too: the reader's queue may be emptied between two of them.
    newest = rig.header(2).stamp
    rig.wait(
        lambda: heard and heard[-1].header.stamp == newest,
        "the result that came before it was asked for",
    )
    assert not rig.logs("QoS mismatch on /sam_pt/objects")
