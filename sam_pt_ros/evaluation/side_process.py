"""Scores, draws and stores results in another process, so that the pipeline has its own.

This takes about as long per frame as the fastest pipelines do. In a thread it would hold Python's
global lock for much of that time. The process reads the recording again, because sending images
would cost more than reading them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from sam_pt_ros.evaluation.bag_input import BagInput
from sam_pt_ros.evaluation.result_writer import ResultWriter, Strip
from sam_pt_ros.evaluation.scoring import Scorer, ScoringProtocol
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.objects import TrackResult

_Answer = TypeVar("_Answer")

_NO_LABELS = np.zeros((0, 0), np.uint16)


@dataclass(frozen=True)
class SideJob:
    """The work of the other process.

    Attributes:
        bag: the recording.
        truth: a folder of label images; None: the recording's own ground truth.
        protocol: which frames are scored.
        output: folder of the bag to write; None: no bag.
        film: file of the film to write; None: no film.
        camera: of the images; None: no markers.
    """

    bag: BagInput
    truth: Path | None
    protocol: ScoringProtocol
    output: Path | None
    film: Path | None
    camera: CameraModel | None


class SideProcess:
    """Scores, draws and writes results; a :class:`~.stream.Sink`.

    Attributes:
        scorer: holds the scores once this is closed.
        strip: holds the film strip once this is closed.
    """

    def __init__(self, job: SideJob) -> None:
        self.scorer = Scorer(job.protocol)
        self.strip = Strip()
        # Not a fork of this process: its threads and its GPU must not be copied.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        """Send a result.

        Raises:
            Exception: an earlier result could not be handled.
        """
        # The label image is most of the data, and follows from the masks.
        self._do(lambda: self._connection.send(replace(result, label_image=_NO_LABELS)))

    def close(self) -> None:
        """Wait until all results are handled; raises what the process raised."""
        try:
            self._do(lambda: self._connection.send(None))
            self.scorer, self.strip = self._do(self._answer)
        finally:
            self._connection.close()
            self._process.join()

    def _answer(self) -> tuple[Scorer, Strip]:
        answer = self._connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _do(self, step: Callable[[], _Answer]) -> _Answer:
        try:
            return step()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            with suppress(EOFError, ConnectionResetError):
                self._answer()  # the reason why it stopped, if it could send one
            raise RuntimeError(
                "the process that writes the results died (killed, or out of memory)"
            ) from None


def _work(connection: Connection, job: SideJob) -> None:
    """The other process: ends when it is told to, or when its parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    os.nice(10)  # the pipeline has priority
    cv2.setNumThreads(1)
    with connection, suppress(EOFError, BrokenPipeError):
        try:
            connection.send(_take_all(connection, job))
        except EOFError:
            raise
        except Exception as error:
            connection.send(error)


def _take_all(connection: Connection, job: SideJob) -> tuple[Scorer, Strip]:
    scorer = Scorer(job.protocol)
    writer = ResultWriter(job.output, job.film, job.camera)
    try:
        with job.bag.open_truth(job.truth) as truth:
            frames = iter(job.bag.images(truth))
            while (result := connection.recv()) is not None:
                frame = next(frame for frame in frames if frame.index == result.index)
                whole = replace(result, label_image=_labels(result, frame))
                scorer.take(frame, whole)
                writer.take(frame, whole)
        scorer.close()
    finally:
        writer.close()
    return scorer, writer.strip


def _labels(result: TrackResult, frame: InputFrame) -> np.ndarray:
    """The label image, ``uint16 (H, W)``, of the objects' masks, which do not overlap."""
    labels = np.zeros(frame.image.shape[:2], np.uint16)
    for item in result.objects:
        x, y, width, height = item.mask.roi
        labels[y : y + height, x : x + width][item.mask.pixels] = item.object_id
    return labels
