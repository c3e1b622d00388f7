"""One stream of frames through the pipeline, with what is done with the results beside it.

Frames are read ahead in one thread and results are taken care of in another, in order; the
pipeline runs in the caller's. Nothing depends on which of them is the faster.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import TimingRow
from sam_pt_ros.objects import PromptRequest, TrackResult
from sam_pt_ros.pipeline import SamPt

READ_AHEAD = 8
"""Frames that are read before the pipeline asks for them, at most."""

BEHIND = 16
"""Results that wait to be taken care of, at most."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class InputFrame:
    """One frame that is evaluated.

    Attributes:
        index: from 0, without gaps.
        stamp: nanoseconds.
        image: RGB, ``uint8 (H, W, 3)``.
        truth: label image, ``uint16 (H, W)``; None if the frame is not annotated.
        frame_id: of the camera (REP 103); may be empty.
        recorded: when its recording received it, nanoseconds; its stamp if that is not known.
    """

    index: int
    stamp: int
    image: np.ndarray
    truth: np.ndarray | None = None
    frame_id: str = ""
    recorded: int = -1

    def __post_init__(self) -> None:
        if self.recorded < 0:
            object.__setattr__(self, "recorded", self.stamp)


class Prompter(Protocol):
    """Says what is pointed at."""

    def __call__(self, frame: InputFrame) -> Sequence[PromptRequest]:
        """The prompts that refer to a frame, which is the next that the pipeline gets."""
        ...


class Sink(Protocol):
    """Takes care of results; called in one thread, in the order of the frames."""

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """The result of a frame."""
        ...

    def close(self) -> None:
        """There are no more; called whatever happened."""
        ...


@dataclass(frozen=True)
class StreamOutcome:
    """How a stream went.

    Attributes:
        timings: of the frames that the pipeline took, in order.
        problems: what went wrong without ending it, in words for a user.
        broken: why it ended before the frames did; None if it did not.
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
    """Show a pipeline all frames, and its results to all sinks.

    A prompt that cannot be used is a problem and changes nothing else. A frame that cannot be
    read or used ends the stream; the results up to there stand.

    Args:
        pipeline: without frames so far.
        frames: in order.
        prompter: asked before each frame.
        sinks: closed here, also on an error.
        on_frame: called after each frame.

    Raises:
        Exception: what a sink raises.
    """
    timings: list[TimingRow] = []
    problems: list[str] = []
    waiting: dict[int, InputFrame] = {}
    broken: str | None = None

    with _Consumer(sinks) as consumer:

        def hand_over(results: Iterable[TrackResult]) -> None:
            for result in results:
                problems.extend(f"frame {result.index}: {text}" for text in result.problems)
                consumer.put(waiting.pop(result.index), result)

        try:
            for frame in read_ahead(frames, READ_AHEAD):
                waiting[frame.index] = frame
                _prompt(pipeline, frame, prompter(frame), problems)
                begin = time.perf_counter()
                results = pipeline.process(frame.image, frame.stamp)
                total = (time.perf_counter() - begin) * 1e3
                timings.append(_timing(frame, results, total))
                hand_over(results)
                on_frame()
        except UserError as error:
            broken = str(error)
        if len(pipeline.history):
            hand_over(pipeline.flush())
    return StreamOutcome(tuple(timings), tuple(problems), broken)


def _prompt(
    pipeline: SamPt,
    frame: InputFrame,
    requests: Sequence[PromptRequest],
    problems: list[str],
) -> None:
    """Have the pipeline apply prompts in the frame that it is about to get."""
    if not requests:
        return
    try:
        pipeline.apply(requests, stamp=frame.stamp)
    except UserError as error:
        problems.append(f"frame {frame.index}: the prompt was refused: {error}")


def _timing(frame: InputFrame, results: Sequence[TrackResult], total: float) -> TimingRow:
    """What the frame took; the stages are those of the results that it completed."""
    stages = {
        name: sum(result.timings.get(name, 0.0) for result in results)
        for name in ("tracker", "segmenter", "reinitialization")
    }
    return TimingRow(frame.index, frame.stamp, **stages, total=total)


class _Consumer:
    """A thread that hands results to sinks; a context manager that ends when all are done."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._queue: queue.Queue[tuple[InputFrame, TrackResult] | None] = queue.Queue(BEHIND)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)

    def put(self, frame: InputFrame, result: TrackResult) -> None:
        """Hand over a result; raises what a sink raised before."""
        if self._failure is not None:
            raise self._failure
        self._queue.put((frame, result))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failure is not None:
                continue  # whoever puts must not wait for ever
            try:
                for sink in self._sinks:
                    sink.take(*item)
            except BaseException as error:  # raised where somebody can do something about it
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
    """The items, read in a thread of their own and ``depth`` ahead at most; raises as they do."""
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
