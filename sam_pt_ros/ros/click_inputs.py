"""Three topics for clicks, and one path behind them.

=================  =======================================  =============================
topic              message                                  who sends it
=================  =======================================  =============================
``points``         pixels with labels and ids of objects    programs that know the image
``clicked_point``  a point in space, in any frame           RViz, Foxglove
``clicked_pixel``  a bare pixel of the newest result        rqt_image_view
=================  =======================================  =============================

Each click becomes a job for the thread that processes. One that cannot be used changes nothing,
and one warning says why: ``click on 'TOPIC' refused:`` and the reason; see
:mod:`sam_pt_ros.ros.click_reader`.

``clicked_point`` and ``clicked_pixel`` do what the parameters ``click_mode``, ``selected_object``
and ``click_selects`` say when they arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.interchange.messages import prompt_stamp
from sam_pt_ros.msg import PointPromptArray
from sam_pt_ros.ros.click_reader import ClickMode, ClickReader, ClickRequest
from sam_pt_ros.ros.held_clicks import HeldClicks, StampedClick
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.topics import create_input
from sam_pt_ros.ros.worker import Worker

CLICK_KINDS = {
    "points": PointPromptArray,
    "clicked_pixel": Point,
    "clicked_point": PointStamped,
}
"""Classes of the messages, by topic."""

_MAX_WAITING = 100  # requests that wait for the pipeline
_QOS = QoSProfile(depth=100)


@dataclass(frozen=True)
class ClickJob:
    """A click that waits for the pipeline; called in the thread that processes.

    It reads the click, applies it, and logs what came of it. It raises nothing.

    Attributes:
        topic: where it was received, as it is logged.
        read: what it asks for; raises UserError if the click is refused.
        reader: applies it.
        node: logs.
        reporter: logs failures.
    """

    topic: str
    read: Callable[[], ClickRequest]
    reader: ClickReader
    node: Node
    reporter: Reporter

    def __call__(self) -> None:
        try:
            click = self.read()
            before = set(self.reader.object_ids)
            ids = self.reader.apply_click(click)
        except UserError as error:
            text = f"click on '{self.topic}' refused: {error}"
            if isinstance(error, FrameUnavailableError):  # it may have overtaken its image
                text += "; if the next image begins a new stream, it counts in that"
            self.node.get_logger().warning(text)
        except (Exception, SystemExit) as error:  # of a backend; it must not end the thread
            self.reporter.exception(f"click on '{self.topic}' failed", error)
        else:
            waiting = set(self.reader.waiting_ids)
            new = [i for i in ids if i not in before]
            done = [
                words.format(", ".join(map(str, which)))
                for words, which in (
                    ("started object {}", [i for i in new if i not in waiting]),
                    ("object {} starts once its image comes", [i for i in new if i in waiting]),
                    ("point for object {}", [i for i in ids if i in before]),
                )
                if which
            ]
            if click.selected is not None:
                why = "a click beside it has just started" if click.repeats else "it lies on"
                done.append(f"which {why}; to start another there, set click_selects to false")
            self.node.get_logger().info(f"click on '{self.topic}': {', '.join(done)}")


class ClickInputs:
    """The subscriptions to clicks, from when it is made until it is destroyed.

    The executor's thread receives, and does no more than to hand a job to the worker.

    Args:
        node: subscribes and logs; its parameters ``click_mode``, ``selected_object`` and
            ``click_selects`` count when a click arrives.
        worker: runs the jobs.
        reader: reads and applies the clicks.
        shown: the stamp of the image whose results were published last; None before the first.
        held: applies the clicks, as soon as it is clear which stream they belong to.
        reporter: logs what repeats.
    """

    def __init__(
        self,
        node: Node,
        worker: Worker[Any],
        reader: ClickReader,
        shown: Callable[[], int | None],
        held: HeldClicks,
        reporter: Reporter,
    ) -> None:
        self._node = node
        self._worker = worker
        self._reader = reader
        self._shown = shown
        self._held = held
        self._reporter = reporter
        with ExitStack() as made:
            for topic, callback in (
                ("points", self._on_points),
                ("clicked_pixel", self._on_clicked_pixel),
                ("clicked_point", self._on_clicked_point),
            ):
                subscription = create_input(node, CLICK_KINDS[topic], topic, callback, _QOS)
                made.callback(node.destroy_subscription, subscription)
            self._subscriptions = made.pop_all()

    def destroy(self) -> None:
        """Stop listening."""
        self._subscriptions.close()

    def _on_points(self, message: PointPromptArray) -> None:
        stamp = prompt_stamp(message.header)
        self._submit("points", lambda: self._reader.read_points(message), stamp)

    def _on_clicked_pixel(self, message: Point) -> None:
        pixel, mode, shown = np.array([message.x, message.y]), self._mode(), self._shown()
        self._submit("clicked_pixel", lambda: self._reader.read_pixel(pixel, shown, mode), shown)

    def _on_clicked_point(self, message: PointStamped) -> None:
        mode, stamp = self._mode(), prompt_stamp(message.header)
        self._submit(
            "clicked_point", lambda: self._reader.read_point_in_space(message, mode), stamp
        )

    def _mode(self) -> ClickMode:
        names = ["click_mode", "selected_object", "click_selects"]
        return ClickMode(*(parameter.value for parameter in self._node.get_parameters(names)))

    def _submit(self, topic: str, read: Callable[[], ClickRequest], stamp: int | None) -> None:
        if self._worker.waiting >= _MAX_WAITING:
            self._reporter.warning(
                f"click on '{topic}' refused: {_MAX_WAITING} requests wait for the pipeline"
            )
            return
        job = ClickJob(topic, read, self._reader, self._node, self._reporter)
        click = StampedClick(job, stamp)
        self._worker.call(lambda: self._held.take(click))
