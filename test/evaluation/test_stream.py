"""One stream through the pipeline, with threads before and after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.stream import BEHIND, READ_AHEAD, InputFrame, read_ahead, run_stream
from sam_pt_ros.objects import ObjectPrompt, PromptRequest, TrackResult
from sam_pt_ros.pipeline import SamPt
from support.doubles import DelayedTracker, OracleSegmenter, OracleTracker
from support.scene import THING, Scene, overlap, passing_scene

FRAMES = 12


@pytest.fixture(scope="module")
def scene() -> Scene:
    return passing_scene()


class Collector:
    """A sink that keeps everything, and fails where it is told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.taken: list[tuple[InputFrame, TrackResult]] = []
        self.closed = 0
        self.fails_at = fails_at

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        if frame.index == self.fails_at:
            raise OSError("the disk is full")
        self.taken.append((frame, result))

    def close(self) -> None:
        self.closed += 1


def frames(scene: Scene, count: int = FRAMES) -> Iterator[InputFrame]:
    for index in range(count):
        yield InputFrame(index, scene.stamp(index), scene.frame(index).image)


def pipeline(scene: Scene) -> SamPt:
    return SamPt(OracleTracker(scene), OracleSegmenter(scene))


class PointAt:
    """Points at an object in one frame, by its mask or by a pixel."""

    def __init__(self, scene: Scene, at: int = 0, pixel: tuple[float, float] | None = None):
        self.scene, self.at, self.pixel = scene, at, pixel

    def __call__(self, frame: InputFrame) -> list[PromptRequest]:
        if frame.index != self.at:
            return []
        if self.pixel is not None:
            return [PromptRequest(ObjectPrompt(np.array([self.pixel]), np.array([1])), THING)]
        mask = self.scene.frame(self.at).mask(THING)
        return [PromptRequest(ObjectPrompt(mask=mask), THING)]


@pytest.mark.parametrize("at", [0, 4])
def test_every_frame_has_its_result_and_objects_start_in_their_frame(
    scene: Scene, at: int
) -> None:
    sink = Collector()
    outcome = run_stream(pipeline(scene), frames(scene), PointAt(scene, at), [sink])
    assert [frame.index for frame, _ in sink.taken] == list(range(FRAMES))
    for frame, result in sink.taken:
        assert (result.index, result.stamp) == (frame.index, frame.stamp)
        assert [item.object_id for item in result.objects] == (
            [THING] if frame.index >= at else []
        )
        if result.objects:
            found, truth = result.objects[0].mask.full(), scene.frame(frame.index).mask(THING)
            assert overlap(found, truth) > 0.95
    assert (outcome.broken, outcome.problems, sink.closed) == (None, (), 1)
    assert [row.frame for row in outcome.timings] == list(range(FRAMES))
    assert all(0 < row.tracker + row.segmenter <= row.total for row in outcome.timings)


def test_results_that_come_late_come_with_their_frames(scene: Scene) -> None:
    windowed = SamPt(DelayedTracker(scene, 4), OracleSegmenter(scene))
    late, streamed = Collector(), Collector()
    run_stream(windowed, frames(scene), PointAt(scene), [late])
    run_stream(pipeline(scene), frames(scene), PointAt(scene), [streamed])
    assert [f.index for f, _ in late.taken] == list(range(FRAMES))
    for (frame, result), (_, wanted) in zip(late.taken, streamed.taken):
        assert frame.index == result.index
        np.testing.assert_array_equal(result.label_image, wanted.label_image)


def test_a_prompt_that_cannot_be_used_is_a_problem_and_ends_nothing(scene: Scene) -> None:
    sink = Collector()
    outside = PointAt(scene, 3, (-50.0, 0.0))
    outcome = run_stream(pipeline(scene), frames(scene), outside, [sink])
    assert len(sink.taken) == FRAMES and outcome.broken is None
    assert not any(result.objects for _, result in sink.taken)
    (problem,) = outcome.problems
    assert problem.startswith("frame 3: click refused") and "not in the image" in problem


def test_a_frame_that_cannot_be_read_ends_it_and_what_was_before_stands(scene: Scene) -> None:
    def broken() -> Iterator[InputFrame]:
        yield from frames(scene, 7)
        raise UserError("image 7 is broken")

    for tracker in (OracleTracker(scene), DelayedTracker(scene, 4)):
        sink = Collector()
        outcome = run_stream(
            SamPt(tracker, OracleSegmenter(scene)), broken(), PointAt(scene), [sink]
        )
        assert outcome.broken == "image 7 is broken"
        assert [frame.index for frame, _ in sink.taken] == list(range(7)) and sink.closed == 1


def test_a_frame_that_the_pipeline_refuses_ends_it(scene: Scene) -> None:
    def resized() -> Iterator[InputFrame]:
        yield from frames(scene, 3)
        yield InputFrame(3, scene.stamp(3), np.zeros((20, 20, 3), np.uint8))

    sink = Collector()
    outcome = run_stream(pipeline(scene), resized(), PointAt(scene), [sink])
    assert outcome.broken is not None and "size changed" in outcome.broken
    assert len(sink.taken) == 3


def test_what_a_sink_raises_is_raised_and_all_are_closed(scene: Scene) -> None:
    bad, good = Collector(fails_at=2), Collector()
    many = [InputFrame(i, scene.stamp(i), scene.frame(0).image) for i in range(3 * BEHIND)]
    with pytest.raises(OSError, match="disk is full"):
        run_stream(pipeline(scene), iter(many), PointAt(scene), [bad, good])
    assert (bad.closed, good.closed) == (1, 1)
    assert [frame.index for frame, _ in good.taken] == [0, 1]


def test_reading_ahead_is_bounded_in_order_and_leaves_no_thread() -> None:
    read = []

    def source() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    before = threading.active_count()
    ahead = read_ahead(source(), READ_AHEAD)
    assert next(ahead) == 0
    deadline = time.monotonic() + 60
    while len(read) < READ_AHEAD + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    # One was taken, so many wait, and one is in the reader's hand.
    assert len(read) == READ_AHEAD + 2
    assert [next(ahead) for _ in range(5)] == [1, 2, 3, 4, 5]
    ahead.close()
    assert threading.active_count() == before
    assert list(read_ahead(iter(range(50)), 3)) == list(range(50))
    assert list(read_ahead(iter(()), 3)) == []
