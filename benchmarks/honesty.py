"""Whether states and scores tell the truth: scenarios over photographs with exact truth.

Things cut out of photographs move over other photographs: they turn, come nearer, are hidden,
leave and return (`test/support/photo_scenes.py`). Each is started from its true mask. A frame
lies if its state is TRACKING with an IoU under 0.3, or while nothing of the thing is seen. With
`--root`, sequences of DAVIS 2016 are added, started from their first mask. The reliability
diagram shows how often the mask overlaps the thing by at least half, by score.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.davis import open_davis2016
from sam_pt_ros.evaluation.sequences import VideoSequence
from sam_pt_ros.objects import ObjectState

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test"))

from support.photo_scenes import (  # noqa: E402
    LENGTH,
    SCENARIOS,
    THINGS,
    PhotoScene,
    Picture,
    follow,
)

DAVIS = "DAVIS 2016"
LIE = 0.3
"""IoU under which a mask that is TRACKING is a lie."""
FOUND = 0.5
"""IoU from which a thing that has returned counts as found."""
SOON = 30
"""Frames within which it should be."""
PART = 0.25
"""Share of the thing that must be seen for a frame to count as one in view."""
BINS = 10


@dataclass(frozen=True, eq=False)
class Run:
    """One thing in one scenario or sequence; arrays over the frames after the first.

    Attributes:
        scenario: its name.
        tracking: ``bool (N,)``, whether the state is TRACKING.
        score: ``float (N,)``, 0 to 1.
        iou: ``float (N,)``, 0 where nothing of the thing is seen.
        seen: ``float (N,)``, how much of it is seen, 0 to 1.
    """

    scenario: str
    tracking: np.ndarray
    score: np.ndarray
    iou: np.ndarray
    seen: np.ndarray

    @property
    def in_view(self) -> np.ndarray:
        """Frames in which enough of it is seen to be found."""
        return self.seen >= PART

    @property
    def hidden(self) -> np.ndarray:
        """Frames in which nothing of it is seen."""
        return self.seen == 0

    @property
    def lies(self) -> np.ndarray:
        """Frames that lie."""
        return self.tracking & (self.hidden | (self.in_view & (self.iou < LIE)))

    @property
    def judged(self) -> np.ndarray:
        """Frames that are in view or hidden, not in between."""
        return self.in_view | self.hidden

    def returns(self) -> Iterator[int | None]:
        """Frames until it is found, for each time it comes into view; None: not while in view."""
        away, last = self.hidden, len(self.seen)
        for index in range(1, last):
            if not (self.in_view[index] and not self.in_view[index - 1]):
                continue
            before = np.flatnonzero(~(self.seen[:index] < PART))
            begin = int(before[-1]) + 1 if len(before) else 0
            if not away[begin:index].any():
                continue
            gone = np.flatnonzero(~self.in_view[index:])
            end = index + int(gone[0]) if len(gone) else last
            found = np.flatnonzero(self.iou[index:end] >= FOUND)
            yield int(found[0]) if len(found) else None


def judge(config: Path, name: str, pictures: Iterable[Picture]) -> Run:
    """Follow a thing from its true mask through pictures, and note what is said of it."""
    cv2.setNumThreads(1)
    rows = [
        (found.state is ObjectState.TRACKING, found.score, iou, picture.share)
        for picture, found, iou in follow(config, pictures)
    ]
    tracking, score, iou, seen = (np.array(column) for column in zip(*rows, strict=True))
    return Run(name, tracking, score, np.where(seen > 0, iou, 0.0), seen)


def scenario(config: Path, job: tuple[str, int]) -> Run:
    """One thing in one scenario."""
    scene = PhotoScene(*job)
    return judge(config, job[0], (scene.at(index) for index in range(LENGTH)))


def annotated(config: Path, video: VideoSequence) -> Run:
    """A sequence of DAVIS 2016; how much of the object is hidden is not known."""

    def pictures() -> Iterator[Picture]:
        for index in range(len(video.images)):
            labels = video.truth(index)
            if labels is not None:
                mask = labels == 1
                yield Picture(video.image(index), mask, float(mask.any()))

    return judge(config, DAVIS, pictures())


def row(name: str, runs: Sequence[Run]) -> str:
    """A line of the table."""
    ious = [float(run.iou[run.in_view].mean()) for run in runs if run.in_view.any()]
    seen = sum(int((run.lies & run.in_view).sum()) for run in runs)
    hidden = sum(int((run.lies & run.hidden).sum()) for run in runs)
    in_view = sum(int(run.in_view.sum()) for run in runs)
    away = sum(int(run.hidden.sum()) for run in runs)
    silent = sum(int((run.in_view & ~run.tracking).sum()) for run in runs)
    back = [found for run in runs for found in run.returns()]
    soon = sum(found is not None and found < SOON for found in back)
    returned = f"{soon}/{len(back)}" if back else "-"
    return (
        f"{name:32s} {np.mean(ious):.2f} ({min(ious):.2f} to {max(ious):.2f})  "
        f"{seen:3d}/{in_view:<4d} {hidden:3d}/{away:<4d} {silent:4d}  {returned}"
    )


def calibration(runs: Sequence[Run]) -> tuple[list[tuple[float, float, int]], float]:
    """The reliability diagram of frames that are TRACKING, and its expected calibration error.

    Returns:
        For each bin of the score that is not empty: mean score, share of masks that overlap the
        thing by at least half, frames. The error is the mean distance of both, by frames.
    """
    score = np.concatenate([run.score[run.tracking & run.judged] for run in runs])
    right = np.concatenate([run.iou[run.tracking & run.judged] >= 0.5 for run in runs])
    number = np.minimum((score * BINS).astype(int), BINS - 1)
    bins = [
        (float(score[number == k].mean()), float(right[number == k].mean()), int(n))
        for k in range(BINS)
        if (n := np.count_nonzero(number == k))
    ]
    error = sum(abs(mean - share) * n for mean, share, n in bins) / max(len(score), 1)
    return bins, error


def draw(path: Path, bins: Sequence[tuple[float, float, int]], error: float) -> None:
    """Draw the reliability diagram."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1))
    axes.plot([0, 1], [0, 1], ":", color="0.6", label="perfectly calibrated")
    mean, share, _ = zip(*bins, strict=True)
    axes.plot(mean, share, "-o", label=f"expected calibration error {error:.3f}")
    for x, y, n in bins:
        axes.annotate(str(n), (x, y), textcoords="offset points", xytext=(6, -12), fontsize=8)
    axes.set_xlabel("Score")
    axes.set_ylabel("Share of masks with an IoU of at least 0.5")
    axes.legend()
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.honesty", description=__doc__)
    default = ROOT / "config" / "classical.yaml"
    parser.add_argument("--config", type=Path, default=default, help="configuration file")
    parser.add_argument("--scenarios", help="comma-separated; default: all")
    parser.add_argument("--root", type=Path, help="folder of DAVIS 2016")
    parser.add_argument("--plot", type=Path, help="draw the reliability diagram into this file")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args(arguments)
    names = options.scenarios.split(",") if options.scenarios else list(SCENARIOS)
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        known = ", ".join(SCENARIOS)
        print(
            f"benchmarks.honesty: no scenario '{unknown[0]}'; there are {known}", file=sys.stderr
        )
        return 2
    jobs = [(name, thing) for name in names for thing in range(THINGS)]
    try:
        with ProcessPoolExecutor(options.workers) as pool:
            runs = list(pool.map(partial(scenario, options.config), jobs))
            if options.root is not None:
                videos = open_davis2016(options.root, "val", None).sequences
                runs += pool.map(partial(annotated, options.config), videos)
    except (UserError, OSError) as error:
        print(f"benchmarks.honesty: {error}", file=sys.stderr)
        return 2
    print(f"{'scenario':32s} {'IoU in view':20s}  lies     hidden   silent found soon")
    for name in dict.fromkeys(run.scenario for run in runs):
        print(row(name, [run for run in runs if run.scenario == name]))
    bins, error = calibration(runs)
    if options.plot is not None:
        draw(options.plot, bins, error)
    made = [run for run in runs if run.scenario != DAVIS]
    judged = sum(int(run.judged.sum()) for run in made)
    back = [found for run in made for found in run.returns()]
    summary = {
        "lies": sum(int(run.lies.sum()) for run in made) / judged,
        "davis_lies": sum(int(run.lies.sum()) for run in runs if run.scenario == DAVIS),
        "returns": len(back),
        "found_soon": sum(found is not None and found < SOON for found in back),
        "expected_calibration_error": error,
        "bins": bins,
        "mean_iou": {
            name: float(np.mean([r.iou[r.in_view].mean() for r in made if r.scenario == name]))
            for name in names
        },
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
