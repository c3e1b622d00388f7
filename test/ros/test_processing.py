"""What the thread that owns the pipeline survives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import camera_process
import numpy as np
from doubles import ColourSegmenter, OracleTracker
from scene import plain_scene
from std_msgs.msg import Header

from sam_pt_ros.health import FrameTimes, Health
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.processing import Arrival, Processing
from sam_pt_ros.worker import Worker

SCENE = plain_scene()
TIMEOUT = 10.0


class Said:
    """What a reporter was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str) -> None:
        self.lines.append(text)

    warning = error

    def exception(self, what: str, error: BaseException) -> None:
        self.lines.append(f"{what}: {error!r}")


def test_a_result_that_cannot_be_published_ends_nothing() -> None:
    published: list[int] = []
    said = Said()

    def publish(result: TrackResult, header: Header, image: np.ndarray) -> None:
        if result.index == 1:
            raise RuntimeError("no such publisher")

    def done(result: TrackResult, header: Header, times: FrameTimes) -> None:
        published.append(result.index)

    configuration: Any = SimpleNamespace(node=SimpleNamespace(max_gap=60.0, max_failures=5))
    processing = Processing(
        configuration,
        SamPt(OracleTracker(SCENE), ColourSegmenter()),
        Health(),
        said,  # type: ignore[arg-type]
        lambda: 0,
        publish,
        done,
        lambda: None,
    )
    worker: Worker[Arrival] = Worker(processing.take, 10)
    for index in range(4):
        worker.submit(Arrival(camera_process.image(SCENE, index, "rgb8", None)))
    worker.call(lambda: None).result(TIMEOUT)
    while processing._pipeline.history.newest.index < 3:
        worker.call(lambda: None).result(TIMEOUT)
    assert worker.stop(TIMEOUT)
    assert published == [0, 2, 3]
    assert said.lines == ["a result could not be published: RuntimeError('no such publisher')"]


def test_what_was_dropped_before_a_refused_image_counts_for_the_next() -> None:
    seen: list[tuple[int, int]] = []
    configuration: Any = SimpleNamespace(node=SimpleNamespace(max_gap=60.0, max_failures=5))
    processing = Processing(
        configuration,
        SamPt(OracleTracker(SCENE), ColourSegmenter()),
        Health(),
        Said(),  # type: ignore[arg-type]
        lambda: 0,
        lambda *_: None,
        lambda result, header, times: seen.append((SCENE.index(result.stamp), times.dropped)),
        lambda: None,
    )
    for index, broken, dropped in ((0, None, 0), (3, "no data", 2), (5, None, 1), (6, None, 0)):
        image = camera_process.image(SCENE, index, "rgb8", broken)
        processing.take(Arrival(image), dropped)
    assert seen == [(0, 0), (5, 3), (6, 0)]
