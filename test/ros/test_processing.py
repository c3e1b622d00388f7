"""What the thread that owns the pipeline survives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.stream import InputFrame, run_stream
from sam_pt_ros.interchange.image_decoder import ImageDecoder
from sam_pt_ros.objects import ObjectPrompt, PromptRequest, TrackResult
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.ros import processing as processing_module
from sam_pt_ros.ros.health import FrameTimes, Health
from sam_pt_ros.ros.held_clicks import HeldClicks, StampedClick
from sam_pt_ros.ros.processing import Arrival, Processing
from sam_pt_ros.ros.worker import Worker
from support import camera_process
from support.doubles import ColourSegmenter, DelayedTracker, OracleSegmenter, OracleTracker
from support.scene import THING, plain_scene

SCENE = plain_scene()
TIMEOUT = 60.0


class Said:
    """What a reporter was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str) -> None:
        self.lines.append(text)

    warning = error

    def exception(self, what: str, error: BaseException) -> None:
        self.lines.append(f"{what}: {error!r}")


@dataclass
class Output:
    """Where results go, to see what comes."""

    publish: Callable[..., Any] = lambda *_: None
    published: Callable[..., Any] = lambda *_: None
    forget: Callable[[], None] = lambda: None
    time_jumped: Callable[[], None] = lambda: None


def made(
    pipeline: SamPt,
    health: Health | None = None,
    said: Said | None = None,
    max_failures: int = 5,
    create: Callable[[], Any] | None = None,
    publish: Callable[..., Any] = lambda *_: None,
    published: Callable[..., Any] = lambda *_: None,
    clicks: HeldClicks | None = None,
) -> Processing:
    """Processing by itself, without a node."""
    node = NodeOptions(max_gap=60.0, max_failures=max_failures)
    configuration: Any = SimpleNamespace(node=node, create=create)
    reporter: Any = said or Said()
    return Processing(
        configuration,
        pipeline,
        health or Health(),
        reporter,
        lambda: 0,
        Output(publish, published),
        clicks or HeldClicks(),
    )


def take(processing: Processing, index: int) -> None:
    """Have a frame of the scene processed."""
    processing.take(Arrival(camera_process.image(SCENE, index, "rgb8", None)), 0)


def others() -> SimpleNamespace:
    """Models to go on with."""
    return SimpleNamespace(tracker=OracleTracker(SCENE), segmenter=ColourSegmenter())


def test_a_result_that_cannot_be_published_ends_nothing() -> None:
    published: list[int] = []
    said = Said()

    def publish(result: TrackResult, header: Header, image: np.ndarray) -> None:
        if result.index == 1:
            raise RuntimeError("no such publisher")

    def done(result: TrackResult, header: Header, times: FrameTimes) -> None:
        published.append(result.index)

    processing = made(
        SamPt(OracleTracker(SCENE), ColourSegmenter()), said=said, publish=publish, published=done
    )
    worker: Worker[Arrival] = Worker(processing.take, 10)
    for index in range(4):
        worker.submit(Arrival(camera_process.image(SCENE, index, "rgb8", None)))
    worker.call(lambda: None).result(TIMEOUT)
    while len(processing._pipeline.history) < 4:  # a call may overtake images
        worker.call(lambda: None).result(TIMEOUT)
    assert worker.stop(TIMEOUT)
    assert published == [0, 2, 3]
    assert said.lines == ["publishing a result failed: RuntimeError('no such publisher')"]


class Leaving(ColourSegmenter):
    """Wants to end the process, as programs do that were not written as libraries."""

    leaves = False

    def set_image(self, *image: Any) -> None:
        if self.leaves:
            sys.exit("no such file")
        super().set_image(*image)


def test_a_model_that_wants_to_end_the_process_costs_an_image() -> None:
    said, health = Said(), Health()
    segmenter = Leaving()
    processing = made(SamPt(OracleTracker(SCENE), segmenter), health=health, said=said)
    take(processing, 0)
    x, y = SCENE.inner_point(THING, 0)
    processing._pipeline.add_object(ObjectPrompt(np.array([[x, y]]), np.array([1])))
    segmenter.leaves = True
    take(processing, 1)
    assert any("SystemExit('no such file')" in line for line in said.lines), said.lines
    assert health.summary().failed == 1


def test_what_was_dropped_before_a_refused_image_counts_for_the_next() -> None:
    seen: list[tuple[int, int]] = []
    processing = made(
        SamPt(OracleTracker(SCENE), ColourSegmenter()),
        published=lambda result, header, times: seen.append(
            (SCENE.index(result.stamp), times.dropped)
        ),
    )
    for index, broken, dropped in ((0, None, 0), (3, "no data", 2), (5, None, 1), (6, None, 0)):
        image = camera_process.image(SCENE, index, "rgb8", broken)
        processing.take(Arrival(image), dropped)
    assert seen == [(0, 0), (5, 3), (6, 0)]


def test_what_is_owed_is_published_even_if_a_part_of_it_cannot_be() -> None:
    said, published = Said(), []

    def publish(result: TrackResult, header: Header, image: np.ndarray) -> None:
        if result.index == 1:
            raise RuntimeError("no such publisher")
        published.append(result.index)

    processing = made(
        SamPt(DelayedTracker(SCENE, 8), ColourSegmenter()), said=said, publish=publish
    )
    for index in range(4):
        take(processing, index)
    assert published == []
    processing.flush()
    assert published == [0, 2, 3]
    assert said.lines == ["publishing a result failed: RuntimeError('no such publisher')"]


def test_a_gpu_that_is_out_of_order_does_not_end_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(processing_module, "free_memory", fail)
    said, health = Said(), Health()
    tracker = OracleTracker(SCENE)
    processing = made(
        SamPt(tracker, ColourSegmenter()),
        health=health,
        said=said,
        max_failures=2,
        create=others,
    )
    tracker.fails = True
    for index in range(4):
        take(processing, index)
    assert health.summary().published == 4 and health.summary().failed == 2
    assert any("cannot be reloaded: RuntimeError('an illegal" in line for line in said.lines)


def test_models_that_are_replaced_owe_nothing() -> None:
    published: list[int] = []
    processing = made(
        SamPt(DelayedTracker(SCENE, 8), ColourSegmenter()),
        max_failures=2,
        create=others,
        publish=lambda result, *_: published.append(result.index),
    )
    for index in range(3):
        take(processing, index)
    assert published == []
    for _ in range(2):
        processing._fail("failed on purpose", RuntimeError())
    assert published == [0, 1, 2]


def test_objects_outlive_the_time_in_which_models_are_loaded() -> None:
    results: list[TrackResult] = []
    tracker = OracleTracker(SCENE)
    processing = made(
        SamPt(tracker, ColourSegmenter()),
        max_failures=1,
        create=others,
        publish=lambda result, *_: results.append(result),
    )
    take(processing, 0)
    x, y = SCENE.inner_point(THING, 0)
    processing._pipeline.add_object(ObjectPrompt(np.array([[x, y]]), np.array([1])))
    take(processing, 1)
    tracker.fails = True
    take(processing, 2)
    later = camera_process.image(SCENE, 5000, "rgb8", None, content=3)
    processing.take(Arrival(later), 0)
    assert [len(result.objects) for result in results] == [0, 1, 1, 1]


# --- images of another kind ---------------------------------------------------------------


def thermal(index: int) -> Image:
    """A 16-bit image. Values are others from the fifth on; the decoder follows in the seventh."""
    grey = SCENE.frame(index).image.max(2).astype("<u2")
    values = grey + (3000 if index < 4 else 9000)
    message = Image(header=camera_process.header(SCENE, index), encoding="mono16")
    message.height, message.width = values.shape
    message.step = 2 * message.width
    message.data = values.tobytes()
    return message


@pytest.mark.parametrize("late", [0, 2])
def test_an_evaluation_starts_objects_again_where_the_node_does(
    late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    restarted: list[int] = []
    restart = SamPt.restart

    def counted(self: SamPt, image: np.ndarray, stamp: int, unseen: int = 0) -> list[TrackResult]:
        restarted.append(SCENE.index(stamp))
        return restart(self, image, stamp, unseen)

    monkeypatch.setattr(SamPt, "restart", counted)

    def pipeline_of_its_own() -> SamPt:
        tracker = DelayedTracker(SCENE, late) if late else OracleTracker(SCENE)
        return SamPt(tracker, OracleSegmenter(SCENE))

    prompt = ObjectPrompt(np.array([SCENE.inner_point(THING, 0)]), np.array([1]))
    messages = [thermal(index) for index in range(10)]

    live: list[TrackResult] = []
    said = Said()
    pipeline = pipeline_of_its_own()
    processing = made(pipeline, said=said, publish=lambda result, *_: live.append(result))
    pipeline.add_object(prompt)
    for message in messages:
        processing.take(Arrival(message), 0)
    processing.flush()
    assert restarted == [6]
    assert said.lines == [
        "the image encoding changed from 'mono16, values 2950 to 3310' to 'mono16, values 8950 to "
        "9310': objects start again from their masks"
    ]

    restarted.clear()
    offline: list[tuple[InputFrame, TrackResult]] = []
    sink: Any = SimpleNamespace(take=lambda *pair: offline.append(pair), close=lambda: None)
    decoder = ImageDecoder()
    frames = []
    for index, message in enumerate(messages):
        image = decoder.decode(message)
        frames.append(InputFrame(index, SCENE.stamp(index), image.pixels, encoding=image.encoding))
    requests = [PromptRequest(prompt)]
    outcome = run_stream(
        pipeline_of_its_own(), frames, lambda frame: requests if frame.index == 0 else [], [sink]
    )
    assert (restarted, outcome.broken, outcome.problems) == ([6], None, ())
    assert [frame.index for frame, _ in offline] == [r.index for _, r in offline] == [*range(10)]
    assert [result.stamp for result in live] == [result.stamp for _, result in offline]
    for one, (_, other) in zip(live, offline, strict=True):
        np.testing.assert_array_equal(one.label_image, other.label_image)
        assert [(item.object_id, item.age) for item in one.objects] == [
            (item.object_id, item.age) for item in other.objects
        ]
    assert offline[-1][1].objects


# --- a recording that loops ---------------------------------------------------------------

LAST = 60  # of each round, more than a second after its first
HOLDS_BACK = "image refused: its stamp is 2 s before that of the image before; if the next one"


class Player:
    """Plays a recording that loops, whose only click is on its first image."""

    def __init__(self, *, click_first: bool = False, stamped: bool = True) -> None:
        self.pipeline = SamPt(
            OracleTracker(SCENE), ColourSegmenter(), SamPtOptions(reinitialization="none")
        )
        self.said, self.clicks = Said(), HeldClicks()
        self.seen: list[tuple[int, list[tuple[int, int]], int]] = []  # frame, objects, dropped
        self.processing = made(
            self.pipeline, said=self.said, published=self._published, clicks=self.clicks
        )
        self._click_first = click_first
        self._stamp = SCENE.stamp(0) if stamped else None

    def _published(self, result: TrackResult, header: Header, times: FrameTimes) -> None:
        objects = [(item.object_id, item.age) for item in result.objects]
        self.seen.append((SCENE.index(result.stamp), objects, times.dropped))

    def click(self) -> None:
        x, y = SCENE.inner_point(THING, 0)
        prompt = ObjectPrompt(np.array([[x, y]]), np.array([1]))

        def apply() -> None:
            try:
                self.pipeline.add_object(prompt, stamp=self._stamp)
            except UserError as error:
                self.said.lines.append(f"refused: {error}")
            else:
                self.said.lines.append("started")

        self.clicks.take(StampedClick(apply, self._stamp))

    def play(self, *indices: int) -> None:
        """Take frames of the recording; the click is before, or after, the first."""
        for index in indices:
            if index == 0 and self._click_first:
                self.click()
            take(self.processing, index)
            if index == 0 and not self._click_first:
                self.click()


@pytest.mark.parametrize("stamped", [True, False])
def test_a_recording_that_loops_keeps_the_first_image_of_a_round_and_its_click(
    stamped: bool,
) -> None:
    player = Player(stamped=stamped)
    player.play(0, LAST)
    assert player.said.lines == ["started"]
    for _ in range(2):
        player.seen.clear()
        player.said.lines.clear()
        player.play(0)
        assert player.seen == []
        player.play(1, 2)
        assert player.seen == [(0, [(1, 0)], 0), (1, [(1, 1)], 0), (2, [(1, 2)], 0)]
        (held, jumped, started) = player.said.lines
        assert held.startswith(HOLDS_BACK)
        assert jumped == (
            "time jumped by -2 s: all objects are forgotten; it begins with 1 click on its images"
        )
        assert started == "started"
        player.play(LAST)


@pytest.mark.parametrize("last", [1, 2, 12, 24])
def test_a_recording_of_less_than_a_second_loops_like_any_other(last: int) -> None:
    player = Player()
    player.play(*range(last + 1))
    for _ in range(3):
        player.seen.clear()
        player.said.lines.clear()
        player.play(*range(last + 1))
        assert player.seen == [(index, [(1, index)], 0) for index in range(last + 1)]
        held, jumped, started = player.said.lines
        assert held.startswith(f"image refused: its stamp is {last / 25:.2g} s before that of")
        assert jumped.startswith(f"time jumped by -{last / 25:.2g} s: all objects are forgotten; ")
        assert started == "started"


def test_where_no_click_is_kept_one_is_to_click_again() -> None:
    player = Player()
    player.play(30, LAST)
    player.said.lines.clear()
    player.play(1, 2)
    assert player.said.lines[-1] == ("time jumped by -2 s: all objects are forgotten; click again")


def test_a_click_that_is_faster_than_the_first_image_of_a_round_is_not_lost() -> None:
    player = Player(click_first=True)
    player.play(0, *range(1, 70))  # the history reaches back to frame 10
    player.said.lines.clear()
    player.seen.clear()
    player.play(0, 1)
    assert player.seen == [(0, [(1, 0)], 0), (1, [(1, 1)], 0)]
    assert "older than the oldest of the 60 frames" in player.said.lines[0]
    assert player.said.lines[1].startswith(HOLDS_BACK.replace("2 s", "3 s"))
    assert player.said.lines[-1] == "started"


def test_a_click_on_an_image_that_was_dropped_starts_with_the_first_that_was_not() -> None:
    player = Player(click_first=True)
    player.play(0, LAST)
    player.seen.clear()
    player.click()
    player.play(3, 4)
    assert player.seen == [(3, [(1, 0)], 0), (4, [(1, 1)], 0)]


def test_a_stray_that_stays_alone_is_dropped_and_its_clicks_are_answered() -> None:
    player = Player()
    player.play(30, LAST)
    player.said.lines.clear()
    player.seen.clear()
    player.play(0)
    assert len(player.said.lines) == 1
    player.play(LAST + 1, LAST + 2)
    assert player.seen == [(LAST + 1, [], 0), (LAST + 2, [], 0)]
    assert player.said.lines[0].startswith(HOLDS_BACK)
    assert player.said.lines[1].startswith("refused: the stamp")
    player.play(0)  # what was held back is gone
    player.processing.reset()
    player.play(1)
    assert player.seen[-1] == (1, [], 0)


def test_a_reset_answers_the_clicks_that_were_held_back() -> None:
    player = Player()
    player.play(30, LAST, 0)
    player.said.lines.clear()
    player.processing.reset()
    assert len(player.said.lines) == 1 and player.said.lines[0].startswith("refused: the stamp")
    assert player.pipeline.object_ids == []


def test_images_that_were_dropped_before_a_stray_count_once() -> None:
    player = Player()
    player.play(LAST)
    player.seen.clear()
    for index, dropped in ((0, 3), (1, 2), (2, 1)):
        player.processing.take(Arrival(camera_process.image(SCENE, index, "rgb8", None)), dropped)
    assert player.seen == [(0, [], 3), (1, [], 2), (2, [], 1)]


def test_images_that_come_to_nothing_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("failed on purpose")

    pipeline = SamPt(OracleTracker(SCENE), ColourSegmenter(), SamPtOptions(history_length=8))
    processing = made(pipeline, max_failures=1000)
    monkeypatch.setattr(pipeline, "_results", fail)
    for index in range(20):
        take(processing, index)
    assert len(processing._pending) == 8


def test_sixteen_bit_images_are_stretched_until_their_values_move() -> None:
    """A thermal camera: its upper 8 bits are one level or two."""
    shown: list[np.ndarray] = []
    said = Said()

    def publish(result: TrackResult, header: Header, image: np.ndarray) -> None:
        shown.append(image)

    processing = made(SamPt(OracleTracker(SCENE), ColourSegmenter()), said=said, publish=publish)

    def take_values(index: int, low: int) -> None:
        message = camera_process.image(SCENE, index, "mono8", None)
        values = np.frombuffer(message.data, np.uint8).astype("<u2") + low
        message.encoding, message.step = "mono16", 2 * message.width
        message.data = values.tobytes()
        processing.take(Arrival(message), 0)

    for index in range(2):
        take_values(index, 3000)
    assert np.ptp(shown[0]) > 60 and np.ptp(shown[1]) == np.ptp(shown[0])
    assert not said.lines
    for index in range(2, 6):
        take_values(index, 9000)
    (line,) = said.lines
    assert "the image encoding changed from 'mono16, values 29" in line
    assert "to 'mono16, values 89" in line and "objects start again from their masks" in line
    assert np.ptp(shown[3]) == 0 and np.ptp(shown[4]) == np.ptp(shown[5]) > 60


def noting_stamps(said: Said, health: Health) -> tuple[Processing, list[int]]:
    """Processing, and the stamps of what it publishes."""
    published: list[int] = []
    processing = made(
        SamPt(OracleTracker(SCENE), ColourSegmenter()),
        health,
        said,
        published=lambda result, header, times: published.append(result.stamp),
    )
    return processing, published


def take_stamped(processing: Processing, stamp: int) -> None:
    message = camera_process.image(SCENE, 0, "rgb8", None)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    processing.take(Arrival(message), 0)


def test_a_driver_that_does_not_stamp_is_named_once_and_no_second_camera_is() -> None:
    said, health = Said(), Health()
    processing, published = noting_stamps(said, health)
    for _ in range(50):
        take_stamped(processing, 0)
    repeated = "image refused: its stamp is that of the image before"
    assert said.lines[:4] == [repeated] * 4 and len(said.lines) == 5
    assert said.lines[4].startswith("the images carry no stamp (it is 0), and only the first")
    summary = health.summary()
    assert summary.stamp_problem == said.lines[4]
    assert (summary.published, summary.refused, summary.failed) == (1, 49, 0)
    assert summary.last_refusal == "its stamp is that of the image before"
    for stamp in (5, 10, 15):  # it has been put right
        take_stamped(processing, stamp)
    assert health.summary().stamp_problem == "" and len(said.lines) == 5
    for _ in range(9):
        take_stamped(processing, 15)
    assert said.lines[5:9] == [repeated] * 4 and len(said.lines) == 10
    assert said.lines[9].startswith("the images all carry the stamp 0.000000015")
    assert published == [0, 5, 10, 15]


def test_stamps_that_stop_in_the_middle_of_a_stream_are_no_other_time() -> None:
    said = Said()
    processing = made(SamPt(OracleTracker(SCENE), ColourSegmenter()), None, said)
    now = 1_700_000_000_500_000_000
    for stamp in [now, now + 1, *[0] * 30, now + 2]:
        take_stamped(processing, stamp)
    assert len(processing._pipeline.history) == 3
    *others, last = said.lines
    assert len(others) == 5 and all("before that of the image before" in line for line in others)
    assert last.startswith("the images carry no stamp (it is 0)")


def test_after_a_reset_any_stamp_is_a_good_one() -> None:
    said, health = Said(), Health()
    processing, published = noting_stamps(said, health)
    for _ in range(10):
        take_stamped(processing, 7_000_000_000)
        processing.reset()
    assert published == [7_000_000_000] * 10 and said.lines == []
    for _ in range(6):
        take_stamped(processing, 7_000_000_000)
    assert health.summary().stamp_problem != ""
    processing.reset()
    assert health.summary().stamp_problem == ""


def test_of_stamps_of_whole_seconds_the_first_image_of_each_is_used() -> None:
    said = Said()
    processing, published = noting_stamps(said, Health())
    for number in range(90):
        take_stamped(processing, (7 + number // 30) * 1_000_000_000)
    assert published == [7_000_000_000, 8_000_000_000, 9_000_000_000]
    assert len([line for line in said.lines if "share stamps of whole seconds" in line]) == 1
    assert len(said.lines) == 5
