"""Depth images, kept until the image that each belongs to is processed."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition

from rclpy.node import Node
from sensor_msgs.msg import Image

from sam_pt_ros.interchange.messages import stamp_of
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros.image_input import ImageSubscription, queue_depth
from sam_pt_ros.ros.stamp_watch import StampWatch
from sam_pt_ros.ros.stream_order import LATE

_MOST_BYTES = 128 * 1024 * 1024  # 7 s of 640x480 in millimetres, or 1 s of 1280x720 in metres
_LOOK_PERIOD = 0.01  # seconds between checks whether it is still coming
_MOST_TIME = 10_000_000_000  # nanoseconds that depth is kept for an image in hand
_ALIVE = 1.0  # seconds after its last message that depth is expected to go on


class DepthInput:
    """The subscription to ``depth``, and its latest messages.

    Messages are kept as received, for as long as a slow model may take, up to 128 MiB. The
    executor's thread receives; the thread that processes asks.

    Args:
        node: subscribes.
        options: tolerance and timeouts.
    """

    def __init__(self, node: Node, options: NodeOptions) -> None:
        self._tolerance = round(options.depth_tolerance * 1e9)
        self._timeout = options.depth_timeout
        self._kept: deque[tuple[int, Image]] = deque()  # with their stamps
        self._bytes = 0
        self._newest: int | None = None  # stamp
        self._stamps = StampWatch("depth images")
        self._arrived = -_ALIVE  # when the last one did, in steady time
        self._changed = Condition()
        self._open = True
        self._input_timeout = options.input_timeout
        self._subscription = ImageSubscription(
            node,
            Image,
            "depth",
            queue_depth(options),
            self._receive,
            0.0,
            options.stamp_on_arrival,
        )
        if self._subscription.is_remapped:
            self._subscription.timeout = self._input_timeout

    def destroy(self) -> None:
        """Stop listening and waiting; what has arrived can still be found."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._subscription.destroy()

    def find(self, stamp: int) -> Image | None:
        """The depth of the image with a stamp; None if there is none.

        It waits up to ``depth_timeout`` for depth that is on its way: as long as the newest is
        older than the image, and depth has arrived within the last second. Call it with
        ascending stamps, because what is older is dropped; and not in the thread that receives.
        """
        deadline = time.monotonic() + self._timeout
        with self._changed:
            found = self._nearest(stamp)
            while found is None and self._is_coming(stamp):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _LOOK_PERIOD))
                found = self._nearest(stamp)
            while self._kept and self._kept[0][0] < stamp - self._tolerance:
                self._drop_oldest()
        return found

    def missing(self, stamp: int) -> str:
        """Why an image has no depth, in words; empty if no depth is expected."""
        with self._changed:
            if self._newest is None or time.monotonic() - self._arrived > _ALIVE:
                return ""
            if self._stamps.problem:
                return self._stamps.problem
            apart = min((abs(other - stamp) for other, _ in self._kept), default=0)
            if self._newest < stamp - self._tolerance:
                return f"none arrived within depth_timeout ({self._timeout:g} s)"
            return (
                f"the nearest is {apart * 1e-6:.0f} ms from the image's stamp, more than "
                f"depth_tolerance ({self._tolerance * 1e-6:.0f} ms)"
            )

    def _receive(self, message: Image) -> None:
        stamp = stamp_of(message.header)
        self._subscription.timeout = self._input_timeout  # from now on it is expected
        with self._changed:
            self._stamps.see(stamp)
            if self._newest is not None and stamp < self._newest - LATE:
                self._kept.clear()
                self._bytes, self._newest = 0, None
            self._kept.append((stamp, message))
            self._bytes += len(message.data)
            self._newest = stamp if self._newest is None else max(stamp, self._newest)
            oldest = self._newest - _MOST_TIME
            while len(self._kept) > 1 and (self._bytes > _MOST_BYTES or self._kept[0][0] < oldest):
                self._drop_oldest()
            self._arrived = time.monotonic()
            self._changed.notify_all()

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._kept.popleft()[1].data)

    def _nearest(self, stamp: int) -> Image | None:
        near = [
            (abs(other - stamp), i)
            for i, (other, _) in enumerate(self._kept)
            if abs(other - stamp) <= self._tolerance
        ]
        return self._kept[min(near)[1]][1] if near else None

    def _is_coming(self, stamp: int) -> bool:
        return (
            self._open
            and self._newest is not None
            and self._newest < stamp
            and time.monotonic() - self._arrived < _ALIVE
            and self._subscription.has_publishers
        )
