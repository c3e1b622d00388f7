"""A pipeline of stand-ins on a scene, fed frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam_pt_ros.objects import ObjectPrompt, TrackResult
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.segmenters.base import Segmenter
from support.doubles import ColourSegmenter, DelayedTracker, OracleTracker
from support.scene import plain_scene

SCENE = plain_scene()


def click(*positives: tuple[float, float], beside: Sequence[tuple[float, float]] = ()) -> Any:
    """A prompt of positive and negative points."""
    return ObjectPrompt(
        np.array([*positives, *beside], np.float32).reshape(-1, 2),
        np.array([1] * len(positives) + [0] * len(beside), np.int32),
    )


def on(owner: int, index: int) -> tuple[float, float]:
    return SCENE.inner_point(owner, index)


@dataclass
class Run:
    """A pipeline with stand-ins, its scene, and what came out so far."""

    pipeline: SamPt
    tracker: OracleTracker
    segmenter: Any
    results: dict[int, TrackResult]

    def feed(self, last: int) -> TrackResult | None:
        """Process frames up to ``last``; the result of the newest answered one."""
        first = self.pipeline.history.newest.index + 1 if len(self.pipeline.history) else 0
        answer = None
        for index in range(first, last + 1):
            frame = SCENE.frame(index)
            for answer in self.pipeline.process(frame.image, frame.stamp):
                self.results[answer.index] = answer
        return answer

    def to(self, last: int) -> TrackResult:
        answer = self.feed(last)
        assert answer is not None and answer.index == last
        return answer


def make(segmenter: Segmenter | None = None, window: int = 0, **options: Any) -> Run:
    tracker = DelayedTracker(SCENE, window) if window else OracleTracker(SCENE)
    segmenter = ColourSegmenter() if segmenter is None else segmenter
    return Run(SamPt(tracker, segmenter, SamPtOptions(**options)), tracker, segmenter, {})


def digest(result: TrackResult) -> tuple[Any, ...]:
    """Everything but the times, to be compared."""
    return (
        result.index,
        result.stamp,
        result.label_image.tobytes(),
        tuple(
            (
                o.object_id,
                o.state,
                o.score,
                o.mask.roi,
                o.mask.pixels.tobytes(),
                o.points.ids.tobytes(),
                o.points.xy.tobytes(),
                o.points.visible.tobytes(),
                o.points.confidence.tobytes(),
                o.age,
                o.frames_since_seen,
            )
            for o in result.objects
        ),
        result.problems,
    )
