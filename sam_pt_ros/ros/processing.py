"""What happens to an image, in the thread that owns the pipeline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam_pt_ros.configuration import Configuration
from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.interchange import messages
from sam_pt_ros.interchange.image_decoder import ImageDecoder
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.pipeline.image_feed import ImageFeed
from sam_pt_ros.ros.cv_bridge import CvBridge
from sam_pt_ros.ros.health import FrameTimes, Health
from sam_pt_ros.ros.held_clicks import HeldClicks, Stray
from sam_pt_ros.ros.reporter import Reporter
from sam_pt_ros.ros.stamp_watch import StampWatch
from sam_pt_ros.ros.stream_order import StrayError, StreamOrder, seconds_text
from sam_pt_ros.weights.memory import free_memory

_ANOTHER_CLOCK = 60e3  # milliseconds of latency beyond which stamps are of another clock


@dataclass(frozen=True)
class Arrival:
    """An image that has arrived.

    Attributes:
        message: as received.
        at: when it arrived, seconds of a clock that never goes back.
    """

    message: Image | CompressedImage
    at: float = field(default_factory=time.perf_counter)


@dataclass
class _Pending:
    """An image in the pipeline that has no result yet."""

    header: Header
    times: dict[str, float]
    waited: float
    dropped: int


@dataclass(frozen=True, eq=False)
class _Taken:
    """An image on its way into the pipeline.

    Attributes:
        image: RGB ``uint8 (H, W, 3)``.
        encoding: of its message.
        at: when it arrived, seconds.
        pending: what its result needs.
    """

    image: np.ndarray
    encoding: str
    at: float
    pending: _Pending

    @property
    def stamp(self) -> int:
        """Nanoseconds."""
        return messages.stamp_of(self.pending.header)


class _SharedStampError(UserError):
    """An image is one of many with the same stamp, which has been said."""


class ResultOutput(Protocol):
    """Where results go. All of it is called in the thread that processes."""

    def publish(self, result: TrackResult, header: Header, image: np.ndarray) -> None:
        """Publish a result.

        Args:
            result: of an image.
            header: the image's.
            image: RGB ``uint8 (H, W, 3)``.
        """

    def published(self, result: TrackResult, header: Header, times: FrameTimes) -> None:
        """A result was published, and this is what it took."""

    def forget(self) -> None:
        """All objects and images are forgotten: what is shown can no longer be clicked on."""

    def time_jumped(self) -> None:
        """What comes now is of another time than all before it."""


class Processing:
    """Takes images through the pipeline; whatever fails costs that image only.

    All of it is called in the worker's thread.

    Args:
        configuration: creates new backends when these fail again and again.
        pipeline: tracks.
        health: counts frames.
        reporter: logs what cannot be used and what fails.
        now: the time of the clock that stamps come from, nanoseconds.
        output: takes the results.
        clicks: are told which stream is current.
    """

    def __init__(
        self,
        configuration: Configuration,
        pipeline: SamPt,
        health: Health,
        reporter: Reporter,
        now: Callable[[], int],
        output: ResultOutput,
        clicks: HeldClicks,
    ) -> None:
        self._configuration = configuration
        self._pipeline = pipeline
        self._health = health
        self._reporter = reporter
        self._now = now
        self._output = output
        self._clicks = clicks
        self._decoder = ImageDecoder(configuration.node.stretch_16_bit, CvBridge.if_installed())
        self._order = StreamOrder(round(configuration.node.max_gap * 1e9))
        self._stamps = StampWatch("images")
        self._stray: _Taken | None = None  # the newest image of another time
        self._pending: dict[int, _Pending] = {}  # by stamp
        self._feed = ImageFeed(pipeline, self._before_restart)
        self._dropped = 0  # since the last image that was taken into the pipeline
        self._failures = 0  # in a row
        self._reason = ""  # of the newest of them
        self._unseen = 0  # images without masks, because the models had to be replaced

    def reset(self) -> None:
        """Forget all frames and objects, because a user wants it."""
        self._clicks.goes_on(time.perf_counter())  # whose answers must not get lost
        self._forget()

    def _forget(self) -> None:
        self._pipeline.reset()
        self._pending.clear()
        self._order.reset()
        self._stamps = StampWatch("images")
        self._health.stamps_seen("")
        self._stray = None
        self._failures = 0
        self._output.forget()

    def resume(self) -> None:
        """Go on after a pause of the node's own making: objects outlive it, however long it was.

        Once the images stop, and before they begin again, any one thread may call it.
        """
        self._order.resume()

    def take(self, arrival: Arrival, dropped: int) -> None:
        """Process an image, and publish what is known by then.

        Args:
            arrival: the image.
            dropped: images that were dropped between the one before and it.
        """
        begin = time.perf_counter()
        self._dropped += dropped
        try:
            results = self._step(self._decode(arrival, begin))
        except UserError as error:
            self._health.frame_refused(str(error))
            if isinstance(error, _SharedStampError):
                return
            self._reporter.error(f"image refused: {error}")
            return
        except (Exception, SystemExit) as error:  # of a backend; it must not end the thread
            self._fail("processing an image failed", error)
            return
        self._dropped = 0
        self._publish_all(results)
        if self._failures >= self._configuration.node.max_failures:
            self._replace_backends()

    def flush(self) -> None:
        """Publish the results that a windowed tracker still owes."""
        self._publish_all(self._pipeline.flush())

    def _decode(self, arrival: Arrival, begin: float) -> _Taken:
        """The image that has arrived; ``begin`` is when the pipeline turned to it, seconds."""
        image = self._decoder.decode(arrival.message)
        times = {"decode": (time.perf_counter() - begin) * 1e3}
        header, waited = arrival.message.header, (begin - arrival.at) * 1e3
        pending = _Pending(header, times, waited, self._dropped)
        return _Taken(image.pixels, image.encoding, arrival.at, pending)

    def _step(self, taken: _Taken) -> list[TrackResult]:
        self._look_at_stamp(taken.stamp)
        history = self._pipeline.history
        newest = history.newest.stamp if len(history) else None
        try:
            begins = self._order.begins_stream(taken.stamp, newest)
        except UserError as error:
            if isinstance(error, StrayError):
                assert newest is not None
                self._stray = taken
                self._clicks.stray(Stray(taken.stamp, taken.at, newest))
            if self._stamps.problem and self._stamps.repeats:
                raise _SharedStampError(str(error)) from error
            raise
        if begins:
            assert newest is not None
            self._begin_stream(taken, newest)
        else:
            self._stray = None
            self._clicks.goes_on(taken.at)
        return self._advance(taken)

    def _look_at_stamp(self, stamp: int) -> None:
        """Say once that stamps do not tell images apart."""
        said = bool(self._stamps.problem)
        self._stamps.see(stamp)
        problem = self._stamps.problem
        self._health.stamps_seen(problem)
        if problem and not said:
            self._reporter.warning(problem)

    def _begin_stream(self, taken: _Taken, newest: int) -> None:
        """Forget the stream up to ``newest``; the stray and its clicks begin another."""
        stray = self._stray
        jump = (taken if stray is None else stray).stamp - newest
        outcome = "all objects are forgotten; click again"
        if kept := len(self._clicks.kept):
            what = counted(kept, "click")
            outcome = f"all objects are forgotten; it begins with {what} on its images"
        sign = "-" if jump < 0 else "+"
        self._reporter.warning(f"time jumped by {sign}{seconds_text(jump)}: {outcome}")
        self._forget()
        self._output.time_jumped()
        self._clicks.begins()  # they wait for the first image
        if stray is not None:
            taken.pending.dropped -= stray.pending.dropped
            self._publish_all(self._advance(stray))

    def _advance(self, taken: _Taken) -> list[TrackResult]:
        """Take an image into the pipeline; what results from it."""
        self._pending[taken.stamp] = taken.pending
        if not len(self._pipeline.history):
            self._unseen = 0  # there is nothing that could start again
        return self._feed.take(taken.image, taken.stamp, taken.encoding, self._unseen)

    def _before_restart(self, reason: str, owed: list[TrackResult]) -> None:
        """Say why objects start again, and publish what is known of the images before."""
        if reason:
            self._reporter.warning(reason)
        self._publish_all(owed)
        self._unseen = 0

    def _publish_all(self, results: list[TrackResult]) -> None:
        for result in results:
            try:
                self._publish(result)
            except Exception as error:  # it must not cost the other results, or the thread
                self._reporter.exception("publishing a result failed", error)

    def _publish(self, result: TrackResult) -> None:
        for problem in result.problems:
            self._reporter.error(problem)
        self._failures = self._failures + 1 if result.failed else 0
        if result.failed:
            self._reason = result.problems[-1]
        pending = self._pending[result.stamp]
        self._pending = {s: p for s, p in self._pending.items() if s > result.stamp}
        image = self._pipeline.history.at(result.index).image
        begin = time.perf_counter()
        self._output.publish(result, pending.header, image)
        end = time.perf_counter()
        latency = (self._now() - result.stamp) * 1e-6
        times = FrameTimes(
            result.stamp,
            latency if abs(latency) < _ANOTHER_CLOCK else math.nan,
            pending.waited,
            {**pending.times, **result.timings, "publish": (end - begin) * 1e3},
            result.skipped,
            pending.dropped,
        )
        self._health.frame_published(times, result.problems if result.failed else ())
        self._output.published(result, pending.header, times)

    def _fail(self, what: str, error: BaseException) -> None:
        self._failures += 1
        self._reason = f"{what}: {error!r}"
        self._reporter.exception(what, error)
        self._health.frame_failed(self._reason)
        if len(self._pipeline.history):  # images that it no longer holds get no result
            oldest = self._pipeline.history.oldest.stamp
            self._pending = {s: p for s, p in self._pending.items() if s >= oldest}
        if self._failures >= self._configuration.node.max_failures:
            self._replace_backends()

    def _replace_backends(self) -> None:
        """Reload the models; objects start again from their last masks."""
        count = self._failures
        try:
            self.flush()  # results that the old ones still owe
            self._failures = 0
            created = self._configuration.create()
            self._pipeline.replace_backends(created.tracker, created.segmenter)
            self._unseen = count
            self._order.resume()  # loading took its time
            free_memory()  # of the old ones; on a GPU that is out of order this fails, too
        except (Exception, SystemExit) as error:  # the next failures try again
            self._reporter.exception("the models cannot be reloaded", error)
            return
        self._reporter.error(
            f"{counted(count, 'image')} in a row failed: the models were reloaded, and objects "
            f"start again from their masks; the last failure was: {self._reason}"
        )
