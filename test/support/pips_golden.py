"""Golden clips and stand-in weights for PIPS and PIPS++, and trackers that run with them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers import PointTracker, create_tracker
from support.golden_files import golden_clip, golden_module, saved_checkpoint

CHECKSUMS = {"pips": "9bf70d63", "pips_plus_plus": "c66a6732"}


@functools.cache
def stand_in_state(name: str) -> dict[str, Any]:
    """The state dict that the golden files of a tracker were made with; not to be changed."""
    weights = golden_module("trackers/pips_weights")
    state: dict[str, Any] = weights.fill_state_dict(weights.load_shapes(f"{name}_keys.json"))
    assert weights.checksum(state) == CHECKSUMS[name]
    return state


@functools.cache
def checkpoint(name: str) -> Path:
    """A file with the stand-in weights, wrapped as the published ones are."""
    import torch

    torch.set_num_threads(1)  # on a busy machine more are slower by far
    content = {"model_state_dict": stand_in_state(name), "optimizer_state_dict": {"state": {}}}
    return saved_checkpoint(f"{name}_stand_in.pth", content)


def tracker(name: str, **options: Any) -> PointTracker:
    """A tracker with the stand-in weights."""
    return create_tracker(
        name, **{"device": "cpu", "checkpoint": str(checkpoint(name)), **options}
    )


def frames_of(*shape: int) -> list[Frame]:
    """The frames of a golden clip: number, height, width. Their caches live as long as they."""
    return [Frame(image, index, index) for index, image in enumerate(golden_clip(*shape))]


class FakePips:
    """In place of PIPS's network: tracks that are a rule, and cost nothing.

    A point moves by a step that depends on its features and on the frames, and is seen or hidden
    by turns, so that windows start at all distances.
    """

    smallest = 64
    device = "none"

    def __init__(self, *_: Any) -> None:
        self.windows: list[tuple[int, int]] = []  # first frame, number of points
        self.read_in: list[int] = []
        self.fails = False

    def read(self, frame: Frame, xy: np.ndarray) -> np.ndarray:
        self._may_fail()
        self.read_in.append(frame.index)
        return np.column_stack([xy, np.full(len(xy), float(frame.image[0, 0, 0]))]).astype(
            np.float32
        )

    def track(
        self, frames: Sequence[Frame], xy: np.ndarray, features: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self._may_fail()
        self.windows.append((frames[0].index, len(xy)))
        seen = np.array([frame.image.mean() for frame in frames], np.float32)
        angle = features.sum(1, keepdims=True) + 7 * seen + np.arange(8, dtype=np.float32)
        steps = np.stack([np.sin(angle), np.cos(angle)], 2).cumsum(1)
        places = (xy[:, None] + steps).astype(np.float32)
        places[:, 0] = xy
        probabilities = (0.5 + 0.48 * np.sin(3 * angle)).astype(np.float32)
        return places, probabilities

    def _may_fail(self) -> None:
        if self.fails:
            raise RuntimeError("no memory")


class Stream:
    """A tracker that is shown a clip, frame by frame."""

    def __init__(self, made: PointTracker, clip: np.ndarray, capacity: int = 60) -> None:
        self.tracker = made
        self.clip = clip
        self.history = FrameHistory(capacity)
        made.reset(self.history)
        self.answers: dict[int, PointTracks] = {}

    @property
    def newest(self) -> int:
        return self.history.newest.index if len(self.history) else -1

    def to(self, index: int) -> Stream:
        """Show the frames up to this one."""
        while self.newest < index:
            number = self.newest + 1
            frame = self.history.append(self.clip[number % len(self.clip)], number)
            self._store(self.tracker.advance(frame))
        return self

    def end(self) -> Stream:
        self._store(self.tracker.flush())
        return self

    def _store(self, answers: list[PointTracks]) -> None:
        for tracks in answers:
            assert tracks.index not in self.answers
            self.answers[tracks.index] = tracks

    def add(self, xy: Any, index: int, *, late: bool = False) -> np.ndarray:
        add = self.tracker.add_late_points if late else self.tracker.add_points
        return add(np.array(xy, np.float32).reshape(-1, 2), self.history.at(index))
