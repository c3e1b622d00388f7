"""Time of each tracker per frame, by number of points, beside the authors' programs.

All trackers track the same points through the same film, in turns in one process, again and
again. Those that answer frame by frame are shown eight frames in a turn, after 16 that are not
counted; those that answer at the end of a clip are shown a clip of 16 frames. Networks have
pseudo-random weights, which change nothing in the time; a program of the authors has the same
ones. It is measured where it can be imported: `cotracker` (facebookresearch/co-tracker),
`src.lite_tracker` (ImFusionGmbH/lite-tracker) and `tapnet` (google-deepmind/tapnet). PYTHONPATH
may name checkouts of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pipeline import read_clip
from benchmarks.tracker_references import REFERENCES, WINDOW, Contestant, Reference
from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import FrameHistory
from sam_pt_ros.trackers import create_tracker

TURN = 8
HISTORY = WINDOW + TURN
SEED = 0


@dataclass(frozen=True)
class Entry:
    """One of our trackers.

    Attributes:
        tracker: its name in the registry.
        options: its options.
        stages: attributes that are timed, as paths from the tracker, by the name of the stage.
        weights: whether it has a network whose weights are random here.
        scaled: whether images are scaled to an option ``model_resolution``.
    """

    tracker: str
    options: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    weights: bool = True
    scaled: bool = False


_COTRACKER = {
    "features": "_model.features_of",
    "correlation": "_model.network.embed",
    "transformer": "_model.network.update",
}
_TAPIR = {
    "features": "_model.grids_of",
    "first estimate": "_model.network.first_estimate",
    "correlation": "_model.network._tokens",
}

_PIPS = {"features": "_model.features_of"}

ENTRIES: dict[str, Entry] = {
    "lucas_kanade": Entry("lucas_kanade", weights=False),
    "cotracker": Entry("cotracker", {"mode": "streaming"}, _COTRACKER, scaled=True),
    "cotracker windowed": Entry("cotracker", {"mode": "windowed"}, _COTRACKER, scaled=True),
    "tapir": Entry("tapir", stages={**_TAPIR, "mixer": "_model.network.torch_pips_mixer.step"}),
    "tapir offline": Entry(
        "tapir",
        {"mode": "offline"},
        {**_TAPIR, "mixer": "_model.network.torch_pips_mixer.forward"},
        scaled=True,
    ),
    "tapnet": Entry(
        "tapnet",
        stages={"features": "_network.features", "matching": "_network.match"},
        scaled=True,
    ),
    "pips": Entry(
        "pips", {"mode": "streaming"}, {**_PIPS, "windows with features": "_model.track"}
    ),
    "pips offline": Entry(
        "pips", {"mode": "offline"}, {**_PIPS, "windows with features": "_model.track"}
    ),
    "pips_plus_plus": Entry(
        "pips_plus_plus", stages={**_PIPS, "windows with features": "_model._follow"}
    ),
    "raft large": Entry("raft", {"network": "large"}, {"flow": "_model.fields"}),
    "raft small": Entry("raft", {"network": "small"}, {"flow": "_model.fields"}),
    "matching xfeat": Entry(
        "matching",
        {"matcher": "xfeat", "device": "cpu"},
        {"features": "_matcher._features", "matching with features": "_matcher.find"},
        weights=False,  # it has trained ones
    ),
}
"""Our trackers by the name under which they are reported."""


class Ours(Contestant):
    """One of our trackers. Its stages are timed in a turn of their own, with waits between."""

    def __init__(self, name: str, device: Any, given: dict[str, Any]) -> None:
        entry = ENTRIES[name]
        self.name = name
        self.device = device
        options = dict(entry.options)
        if entry.weights:
            options |= {"device": str(device), "max_points": 100_000, **given}
        self.tracker: Any = create_tracker(entry.tracker, **options)
        self.at_end = self.tracker.lag(self.tracker.options) > WINDOW
        self.stages: dict[str, float] = defaultdict(float)
        self.timing = False
        for stage, path in entry.stages.items():
            *owners, last = path.split(".")
            owner = self.tracker
            for part in owners:
                owner = getattr(owner, part)
            setattr(owner, last, self._timed(stage, getattr(owner, last)))

    def start(self, points: np.ndarray) -> None:
        self.points = points
        self.history = FrameHistory(HISTORY)
        self.tracker.reset(self.history)
        self.found: list[np.ndarray] = []
        self.count = 0

    def take(self, images: np.ndarray) -> None:
        for image in images:
            frame = self.history.append(image, self.count)
            answers = self.tracker.advance(frame)
            if self.count == 0:
                ids = self.tracker.add_points(self.points, frame)
                answers = [self.tracker.recall(ids, 0) for _ in answers]
            self.found += [tracks.xy for tracks in answers]
            self.count += 1
        if self.at_end:
            self.found += [tracks.xy for tracks in self.tracker.flush()]

    def tracks(self) -> np.ndarray:
        return np.stack(self.found)

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            if not self.timing:
                return function(*arguments, **named)
            wait_for(self.device)
            begin = time.perf_counter()
            result = function(*arguments, **named)
            wait_for(self.device)
            self.stages[stage] += time.perf_counter() - begin
            return result

        return timed


def wait_for(device: Any) -> None:
    """Until a GPU has done what it was told to."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def random_checkpoint(name: str, folder: Path) -> Path | None:
    """A file with pseudo-random weights for a tracker that an authors' program also reads."""
    import torch

    path = folder / f"{name}.pt"
    if path.exists():
        return path
    if name == "cotracker":
        from sam_pt_ros.trackers.cotracker.model import random_cotracker_weights
        from sam_pt_ros.trackers.cotracker.network import CoTrackerNetwork

        torch.save(random_cotracker_weights(CoTrackerNetwork()), path)
    elif name == "tapir":
        from sam_pt_ros.trackers.tapir.model import random_tapir_weights
        from sam_pt_ros.trackers.tapir.network import TapirNetwork

        torch.save(random_tapir_weights(TapirNetwork()), path)
    else:
        return None
    return path


def contestants(options: argparse.Namespace, folder: Path) -> list[Contestant]:
    """Our trackers that are asked for, each with those of the references that can be imported."""
    import torch

    device = torch.device(options.device)
    found: list[Contestant] = []
    for name in options.trackers:
        entry = ENTRIES[name]
        given: dict[str, Any] = {}
        checkpoint = random_checkpoint(entry.tracker, folder) if entry.weights else None
        if checkpoint is not None:
            given["checkpoint"] = str(checkpoint)
        elif entry.weights:
            given |= {"checkpoint": "random", "allow_random_weights": True}
        if entry.tracker in ("cotracker", "tapir"):
            given["precision"] = options.precision
        if entry.scaled and options.resolution:
            given["model_resolution"] = tuple(options.resolution)
        found.append(Ours(name, device, given))
        for reference in REFERENCES:
            if reference.ours == name and checkpoint is not None and not options.resolution:
                try:
                    found.append(reference(device, checkpoint))
                except ImportError as error:
                    print(f"skipped: {reference.name} ({error})")
    return found


def measure(
    found: Sequence[Contestant], film: np.ndarray, points: np.ndarray, turns: int
) -> dict[str, list[float]]:
    """Milliseconds per frame of every turn, by contestant; they take turns."""
    times: dict[str, list[float]] = {each.name: [] for each in found}
    for each in found:
        each.start(points)
        each.take(film[:WINDOW])
    for turn in range(turns):
        for each in found:
            images = film[:WINDOW]
            if isinstance(each, Ours) and each.at_end:
                each.start(points)
            else:
                images = film[WINDOW + turn * TURN :][:TURN]
            wait_for(each.device)
            start = time.perf_counter()
            each.take(images)
            wait_for(each.device)
            times[each.name].append((time.perf_counter() - start) / len(images) * 1e3)
    return times


def shares(each: Ours, film: np.ndarray) -> dict[str, float]:
    """The part that each stage takes of a turn more."""
    each.stages.clear()
    if each.at_end:
        each.start(each.points)
    each.timing = True
    start = time.perf_counter()
    each.take(film[:WINDOW] if each.at_end else film[-TURN:])
    spent = time.perf_counter() - start
    each.timing = False
    return {stage: seconds / spent for stage, seconds in each.stages.items()}


def apart(one: Contestant, other: Contestant) -> float:
    """By how many pixels two contestants differ at most, where both have answered."""
    a, b = one.tracks(), other.tracks()
    common = min(len(a), len(b))
    return float(np.abs(a[:common] - b[:common]).max())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracker", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument(
        "--points", type=_counts, default=[16, 64, 256], help="numbers of points, e.g. 16,64"
    )
    parser.add_argument(
        "--trackers",
        type=_trackers,
        default=list(ENTRIES),
        help=f"some of: {','.join(ENTRIES)} (default: all)",
    )
    parser.add_argument("--turns", type=_count, default=3, help="counted (default: 3)")
    parser.add_argument("--precision", default="float32", help="float32 (default), mixed, float16")
    parser.add_argument(
        "--resolution",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="of the models (default: as published; with others, no authors' programs)",
    )
    options = parser.parse_args(arguments)
    try:
        import torch

        torch.set_num_threads(options.threads)
        film = np.stack(read_clip()[: WINDOW + TURN * (options.turns + 1)])
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            summary = run(contestants(options, Path(folder)), film, options)
    except (UserError, ImportError) as error:
        print(f"benchmarks.tracker: {error}", file=sys.stderr)
        return 2
    print(json.dumps(summary))
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, not '{text}'")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _trackers(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ENTRIES]:
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is none of {', '.join(ENTRIES)}")
    return names


def run(found: list[Contestant], film: np.ndarray, options: argparse.Namespace) -> dict[str, Any]:
    """Measure with each number of points, print a table, and sum up."""
    import torch

    height, width = film.shape[1:3]
    per_frame: dict[str, dict[str, float]] = defaultdict(dict)
    stages: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    speedup: dict[str, dict[str, float]] = defaultdict(dict)
    difference: dict[str, dict[str, float]] = defaultdict(dict)
    rng = np.random.default_rng(SEED)
    by_name = {each.name: each for each in found}
    print(f"{'points':>6}  {'':<24}{'ms per frame':>12}   share of its stages")
    for count in options.points:
        points = rng.uniform((20, 20), (width - 20, height - 20), (count, 2)).astype(np.float32)
        times = measure(found, film, points, options.turns)
        key = str(count)
        for each in found:
            per_frame[each.name][key] = float(np.median(times[each.name]))
            parts = shares(each, film) if isinstance(each, Ours) else {}
            if parts:
                stages[each.name][key] = parts
            told = ", ".join(f"{stage} {share:.0%}" for stage, share in parts.items())
            print(f"{count:>6}  {each.name:<24}{per_frame[each.name][key]:>12.1f}   {told}")
        for theirs in found:
            if not isinstance(theirs, Reference):
                continue
            ours = by_name[theirs.ours]
            ratios = np.array(times[theirs.name]) / np.array(times[ours.name])
            speedup[ours.name][key] = float(np.median(ratios))
            difference[ours.name][key] = apart(ours, theirs)
            print(
                f"{count:>6}  {ours.name} is {speedup[ours.name][key]:.2f} times as fast as "
                f"{theirs.name}; the tracks differ by {difference[ours.name][key]:.1e} px at most"
            )
    cuda = options.device.startswith("cuda")
    return {
        "benchmark": "tracker",
        "device": torch.cuda.get_device_name(options.device) if cuda else "cpu",
        "torch": torch.__version__,
        "threads": options.threads,
        "precision": options.precision,
        "resolution": options.resolution,
        "image": [height, width],
        "weights": "random",
        "turns": options.turns,
        "ms_per_frame": per_frame,
        "stages": stages,
        "speedup": speedup,
        "difference_px": difference,
    }


if __name__ == "__main__":
    sys.exit(main())
