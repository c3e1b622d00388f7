"""Golden videos and stand-in weights for CoTracker, and what tests do with them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.points import PointTracks
from sam_pt_ros.trackers import create_tracker
from sam_pt_ros.trackers.cotracker import CoTracker
from sam_pt_ros.trackers.cotracker.options import CoTrackerOptions
from support.golden_files import golden_module, saved_checkpoint

SMALL, FULL = (96, 128), (384, 512)
"""Resolutions of the model in the golden files."""


video = golden_module("video")


@functools.cache
def stand_in_state() -> dict[str, Any]:
    """The state dict that the golden files were made with; not to be changed."""
    weights = golden_module("weights")
    state: dict[str, Any] = weights.fill_state_dict(weights.cotracker3_online_shapes())
    assert weights.checksum(state) == "b692fb7d"
    return state


@functools.cache
def checkpoint() -> Path:
    """A file with the stand-in weights; it is gone when the tests end."""
    import torch

    torch.set_num_threads(1)  # on a busy machine more are slower by far
    return saved_checkpoint("stand_in.pth", stand_in_state())


def tracker(mode: str = "streaming", **options: Any) -> CoTracker:
    """A tracker with the stand-in weights, at the small resolution."""
    given = {"device": "cpu", "checkpoint": str(checkpoint()), "model_resolution": SMALL}
    made = create_tracker("cotracker", mode=mode, **{**given, **options})
    assert isinstance(made, CoTracker)
    return made


@functools.cache
def _features(resolution: tuple[int, int], precision: str) -> dict[bytes, Any]:
    """Those that are known so far, by image."""
    return {}


@functools.cache
def _light_model(model: type, options: CoTrackerOptions, known: bool) -> Any:
    """A model of one round, which computes the features of an image once if ``known``.

    A round is all that points need to hear of each other; three take three times as long.
    """
    from sam_pt_ros.trackers.cotracker import transformer

    class LightModel(model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(options)
            self._known = _features(options.model_resolution, options.precision)
            updates = self.network.updateformer
            forward = updates.forward

            def one_round(*arguments: Any, **named: Any) -> Any:
                with mock.patch.object(transformer, "_ROUNDS", 1):
                    return forward(*arguments, **named)

            updates.forward = one_round

        def features_of(self, frame: Frame) -> Any:
            if known and self._key not in frame.features:
                image = frame.image.tobytes()
                if image not in self._known:
                    self._known[image] = super().features_of(frame)
                frame.features[self._key] = self._known[image]
            return super().features_of(frame)

    return LightModel()


def light_tracker(mode: str, *, known: bool = True, **options: Any) -> CoTracker:
    """As :func:`tracker`, in a fraction of the time; its tracks are not the golden ones.

    For tests of what is done with the network's answers, and not of the network. The features of
    images that any test has shown are ``known``.
    """
    from sam_pt_ros.trackers.cotracker import model

    light = functools.partial(_light_model, model.CoTrackerModel, known=known)
    with mock.patch.object(model, "CoTrackerModel", light):
        return tracker(mode, **options)


@functools.cache
def clip(frames: int = 40, height: int = 120, width: int = 160) -> np.ndarray:
    """A golden video, ``uint8 (T, H, W, 3)``."""
    made: np.ndarray = video.make_video(frames, height, width)
    made.setflags(write=False)
    return made


@functools.cache
def queries(height: int = 120, width: int = 160) -> np.ndarray:
    """The golden queries, ``(12, 3)``: frame, x, y."""
    made: np.ndarray = video.make_queries(height, width)
    return made


class Stream:
    """A tracker that is shown the small golden video, frame by frame."""

    def __init__(self, made: CoTracker, capacity: int = 60) -> None:
        self.tracker = made
        self.history = FrameHistory(capacity)
        made.reset(self.history)
        self.answers: dict[int, PointTracks] = {}

    @property
    def newest(self) -> int:
        return self.history.newest.index if len(self.history) else -1

    def to(self, index: int) -> Stream:
        """Show the frames up to this one."""
        images = clip()
        while self.newest < index:
            number = self.newest + 1
            frame = self.history.append(images[number % len(images)], number)
            for tracks in self.tracker.advance(frame):
                self.answers[tracks.index] = tracks
        return self

    def frame(self, index: int) -> Frame:
        return self.history.at(index)

    def add(self, rows: Any, index: int | None = None) -> np.ndarray:
        """Add golden queries at their frame, or at another one; the ids."""
        chosen = queries()[rows].reshape(-1, 3)
        at = int(chosen[0, 0]) if index is None else index
        return self.tracker.add_points(chosen[:, 1:], self.frame(at))

    def add_late(self, rows: Any, index: int) -> np.ndarray:
        """Add golden queries at a frame of the past, which catch up when asked for; the ids."""
        return self.tracker.add_late_points(
            queries()[rows].reshape(-1, 3)[:, 1:], self.frame(index)
        )

    def places(self, ids: np.ndarray, *indices: int) -> np.ndarray:
        """``(len(indices), N, 2)``."""
        return np.stack([self.tracker.recall(ids, index).xy for index in indices])


def tracks_in(made: CoTracker, index: int) -> np.ndarray:
    """``(N, 4)`` of all points, whether they have begun or not: cells and logits."""
    import torch

    with torch.inference_mode():
        found: np.ndarray = made._main.engine._tracks_in(index).numpy()
    return found


def state_bytes(made: CoTracker) -> int:
    """Bytes of the tensors that a tracker keeps for its points."""
    found = 0
    for value in vars(made._main.engine).values():
        parts = value.values() if isinstance(value, dict) else value
        parts = parts if isinstance(value, (dict, tuple)) else [value]
        found += sum(p.numel() * p.element_size() for p in parts if hasattr(p, "element_size"))
    return found
