"""Runs a stream of frames through the pipeline.

One thread reads frames ahead, and another hands the results on, in order; the pipeline runs in
the caller's thread. Results do not depend on the speed of any of them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import TimingRow
from sam_pt_ros.objects import PromptRequest, TrackResult
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.pipeline.image_feed import ImageFeed

READ_AHEAD = 8
"""Largest number of frames that are read ahead."""

BEHIND = 16
"""Largest number of results that wait to be handed on."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class InputFrame:
    """A frame to evaluate.

    Attributes:
        index: from 0, without gaps.
        stamp: nanoseconds.
        image: RGB, ``uint8 (H, W, 3)``.
        truth: label image, ``uint16 (H, W)``; None if the frame is not annotated.
        frame_id: of the camera (REP 103); may be empty.
        recorded: when it was recorded, nanoseconds; its stamp if that is unknown.
        encoding: of its message; frames of one encoding show the same thing equally bright.
    """

    index: int
    stamp: int
    image: np.ndarray
    truth: np.ndarray | None = None
    frame_id: str = ""
    recorded: int = -1
    encoding: str = ""

    def __post_init__(self) -> None:
        if self.recorded < 0:
            object.__setattr__(self, "recorded", self.stamp)


class Prompter(Protocol):
    """Provides the prompts."""

    def __call__(self, frame: InputFrame) -> Sequence[PromptRequest]:
        """The prompts on a frame, which is the next one for the pipeline."""
        ...


class Sink(Protocol):
    """Receives results, in one thread and in the order of the frames."""

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """Handle the result of a frame."""
        ...

    def close(self) -> None:
        """Finish; called after the last result, and also after an error."""
        ...


@dataclass(frozen=True)
class StreamOutcome:
    """How a stream went.

    Attributes:
        timings: of the frames that the pipeline processed, in order.
        problems: what went wrong without ending the stream, a sentence each.
        broken: why the stream ended early; None if it did not.
    """

    timings: tuple[TimingRow, ...]
    problems: tuple[str, ...]
    broken: str | None


def run_stream(
    pipeline: SamPt,
    frames: Iterable[InputFrame],
    prompter: Prompter,
    sinks: Sequence[Sink],
    on_frame: Callable[[], None] = lambda: None,
) -> StreamOutcome:
    """Pass all frames to a pipeline, and its results to all sinks.

    A prompt that cannot be used is reported as a problem and has no other effect. Where the
    encoding changes, objects start again from their masks, as in the node. A frame that cannot be
    read or used, or that has another size, ends the stream; the results before it are valid.

    Args:
        pipeline: one that has not processed a frame.
        frames: in order.
        prompter: called before each frame.
        sinks: closed here, also after an error.
        on_frame: called after each frame.

    Raises:
        Exception: a sink failed.
    """
    timings: list[TimingRow] = []
    problems: list[str] = []
    waiting: dict[int, InputFrame] = {}  # by stamp
    broken: str | None = None

    with _Consumer(sinks) as consumer:

        def hand_over(results: Iterable[TrackResult]) -> None:
            for result in results:
                frame = waiting.pop(result.stamp)
                problems.extend(f"frame {frame.index}: {text}" for text in result.problems)
                # The pipeline counts anew where objects start again.
                consumer.put(frame, replace(result, index=frame.index))

        feed = ImageFeed(pipeline, lambda _, owed: hand_over(owed))
        try:
            for frame in read_ahead(frames, READ_AHEAD):
                _check_size(frame, pipeline)
                waiting[frame.stamp] = frame
                _prompt(pipeline, frame, prompter(frame), problems)
                begin = time.perf_counter()
                results = feed.take(frame.image, frame.stamp, frame.encoding)
                total = (time.perf_counter() - begin) * 1e3
                timings.append(_timing(frame, results, total))
                hand_over(results)
                on_frame()
        except UserError as error:
            broken = str(error)
        if len(pipeline.history):
            hand_over(pipeline.flush())
    return StreamOutcome(tuple(timings), tuple(problems), broken)


def _check_size(frame: InputFrame, pipeline: SamPt) -> None:
    """UserError if a frame has another size than the one before."""
    if len(pipeline.history) and frame.image.shape != pipeline.history.newest.image.shape:
        height, width = frame.image.shape[:2]
        before = pipeline.history.newest.size
        raise UserError(
            f"frame {frame.index}: the image size changed from {before[1]}x{before[0]} to "
            f"{width}x{height}; use frames of one size"
        )


def _prompt(
    pipeline: SamPt,
    frame: InputFrame,
    requests: Sequence[PromptRequest],
    problems: list[str],
) -> None:
    """Apply prompts to the next frame of the pipeline."""
    if not requests:
        return
    try:
        pipeline.apply(requests, stamp=frame.stamp)
    except UserError as error:
        problems.append(f"frame {frame.index}: the prompt was refused: {error}")


def _timing(frame: InputFrame, results: Sequence[TrackResult], total: float) -> TimingRow:
    """The times of a frame; stages are summed over the results that it completed."""
    stages = {
        name: sum(result.timings.get(name, 0.0) for result in results)
        for name in ("tracker", "segmenter", "reinitialization")
    }
    return TimingRow(frame.index, frame.stamp, **stages, total=total)


class _Consumer:
    """A thread that hands results to sinks; a context manager that waits for all of them."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._queue: queue.Queue[tuple[InputFrame, TrackResult] | None] = queue.Queue(BEHIND)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)

    def put(self, frame: InputFrame, result: TrackResult) -> None:
        """Hand over a result; raises the error of a sink that has failed."""
        if self._failure is not None:
            raise self._failure
        self._queue.put((frame, result))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failure is not None:
                continue  # empty the queue, so that `put` does not block
            try:
                for sink in self._sinks:
                    sink.take(*item)
            except BaseException as error:  # raised again in the caller's thread
                self._failure = error

    def __enter__(self) -> _Consumer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                self._failure = self._failure or error
        if self._failure is not None and kind is None:
            raise self._failure


def read_ahead(items: Iterable[_Item], depth: int) -> Generator[_Item, None, None]:
    """Yield items that another thread reads, at most ``depth`` ahead; its errors are raised."""
    ready: queue.Queue[tuple[_Item | None, BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: _Item | None, error: BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=read, name="reader", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
