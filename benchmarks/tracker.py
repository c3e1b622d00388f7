"""Time of CoTracker per frame, by mode and number of points, beside the reference programs.

All of them track the same points through the same film with the same weights, in turns in one
process: eight frames each, again and again. The first 16 frames are not counted. The references
are measured where they can be imported: `cotracker` (facebookresearch/co-tracker) and
`src.lite_tracker` (ImFusionGmbH/lite-tracker); PYTHONPATH may name checkouts of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pipeline import read_clip
from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import FrameHistory
from sam_pt_ros.trackers import create_tracker

WINDOW, TURN = 16, 8
HISTORY = WINDOW + TURN
SEED = 0


class Contestant(ABC):
    """A tracker that is shown the film, eight frames at a time."""

    name: str
    device: Any  # a torch.device

    @abstractmethod
    def start(self, points: np.ndarray) -> None:
        """Begin anew with ``(N, 2)`` points of the first frame."""

    @abstractmethod
    def take(self, images: np.ndarray) -> None:
        """Track through the next frames, ``uint8 (T, H, W, 3)``."""

    @abstractmethod
    def tracks(self) -> np.ndarray:
        """Where the points were in the frames answered for so far, ``(T, N, 2)``."""


class Ours(Contestant):
    """One of our modes. Its stages are timed in a turn of their own, with waits between them."""

    def __init__(self, mode: str, options: argparse.Namespace, checkpoint: Path) -> None:
        self.name = mode
        self.tracker: Any = create_tracker(
            "cotracker",
            mode=mode,
            checkpoint=str(checkpoint),
            device=options.device,
            precision=options.precision,
            model_resolution=tuple(options.resolution),
            max_points=100_000,
        )
        model = self.tracker._model
        self.device = model.device
        self.stages: dict[str, float] = defaultdict(float)
        self.timing = False
        for stage, owner, name in (
            ("features", model, "features_of"),
            ("correlation", model.network, "embed"),
            ("transformer", model.network, "update"),
        ):
            setattr(owner, name, self._timed(stage, getattr(owner, name)))

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


class Predictor(Contestant):
    """The authors' CoTrackerOnlinePredictor, given 16 frames for every 8 new ones."""

    name = "cotracker_predictor"

    def __init__(self, options: argparse.Namespace, checkpoint: Path) -> None:
        import torch

        module = importlib.import_module("cotracker.predictor")
        self.device = torch.device(options.device)
        self.model = module.CoTrackerOnlinePredictor(checkpoint=str(checkpoint)).to(self.device)
        if tuple(options.resolution) != tuple(self.model.interp_shape):
            raise UserError("the authors' predictor is made for 384x512 only")

    def start(self, points: np.ndarray) -> None:
        self.seen: np.ndarray = np.zeros(0)
        self.queries = _queries(points, self.device)

    def take(self, images: np.ndarray) -> None:
        if len(self.seen) == 0:
            self.model(_video(images, self.device), is_first_step=True, queries=self.queries)
            self.seen = images
        else:
            self.seen = np.concatenate([self.seen, images])[-WINDOW:]
        self.found, _ = self.model(_video(self.seen, self.device))

    def tracks(self) -> np.ndarray:
        found: np.ndarray = self.found[0].cpu().numpy()
        return found


class LiteTracker(Contestant):
    """The authors' LiteTracker, frame by frame."""

    name = "litetracker"

    def __init__(self, options: argparse.Namespace, checkpoint: Path) -> None:
        import torch

        module = importlib.import_module("src.lite_tracker")
        self.device = torch.device(options.device)
        self.model = module.LiteTracker(model_resolution=tuple(options.resolution))
        self.model.load_state_dict(torch.load(checkpoint, weights_only=True))
        self.model.eval().to(self.device)

    def start(self, points: np.ndarray) -> None:
        self.model.reset()
        self.queries = _queries(points, self.device)
        self.found: list[np.ndarray] = []

    def take(self, images: np.ndarray) -> None:
        for image in images:
            tracks = self.model(_video(image[None], self.device)[:, 0], self.queries)[0]
            self.found.append(tracks.reshape(-1, 2).cpu().numpy())

    def tracks(self) -> np.ndarray:
        return np.stack(self.found)


def _video(images: np.ndarray, device: Any) -> Any:
    import torch

    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2)[None].float()


def _queries(points: np.ndarray, device: Any) -> Any:
    import torch

    rows = np.concatenate([np.zeros((len(points), 1), np.float32), points], 1)
    return torch.from_numpy(rows)[None].to(device)


def wait_for(device: Any) -> None:
    """Until a GPU has done what it was told to."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def random_checkpoint(folder: Path) -> Path:
    """A file with pseudo-random weights."""
    import torch

    from sam_pt_ros.trackers.cotracker.model import random_cotracker_weights
    from sam_pt_ros.trackers.cotracker.network import CoTrackerNetwork

    path = folder / "random.pth"
    torch.save(random_cotracker_weights(CoTrackerNetwork()), path)
    return path


def contestants(options: argparse.Namespace, checkpoint: Path) -> list[Contestant]:
    """Our modes, and those of the references that can be imported."""
    found: list[Contestant] = [Ours(mode, options, checkpoint) for mode in options.modes]
    for kind in (Predictor, LiteTracker):
        try:
            found.append(kind(options, checkpoint))
        except (ImportError, UserError) as error:
            print(f"skipped: {kind.name} ({error})")
    return found


def measure(
    found: list[Contestant], film: np.ndarray, points: np.ndarray, turns: int
) -> dict[str, list[float]]:
    """Milliseconds per frame of every turn, by contestant; they take turns."""
    times: dict[str, list[float]] = {each.name: [] for each in found}
    for each in found:
        each.start(points)
        each.take(film[:WINDOW])
    for turn in range(turns):
        begin = WINDOW + turn * TURN
        for each in found:
            wait_for(each.device)
            start = time.perf_counter()
            each.take(film[begin : begin + TURN])
            wait_for(each.device)
            times[each.name].append((time.perf_counter() - start) / TURN * 1e3)
    return times


def shares(each: Ours, film: np.ndarray) -> dict[str, float]:
    """The part that each stage takes of a turn more."""
    each.stages.clear()
    each.timing = True
    start = time.perf_counter()
    each.take(film[-TURN:])
    spent = time.perf_counter() - start
    each.timing = False
    return {stage: seconds / spent for stage, seconds in each.stages.items()}


def apart(found: list[Contestant], one: str, other: str) -> float | None:
    """By how many pixels two contestants differ at most, where both have answered."""
    by_name = {each.name: each for each in found}
    if one not in by_name or other not in by_name:
        return None
    a, b = by_name[one].tracks(), by_name[other].tracks()
    common = min(len(a), len(b))
    return float(np.abs(a[:common] - b[:common]).max())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracker", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument(
        "--points", type=_counts, default=[16, 64, 256], help="numbers of points, e.g. 16,64"
    )
    parser.add_argument("--modes", default="streaming,windowed", help="of ours")
    parser.add_argument(
        "--turns", type=_count, default=3, help="of 8 frames, counted (default: 3)"
    )
    parser.add_argument("--precision", default="float32", help="float32 (default), mixed, float16")
    parser.add_argument(
        "--resolution", type=int, nargs=2, default=[384, 512], metavar=("H", "W"), help="model's"
    )
    parser.add_argument("--checkpoint", type=Path, help="weights (default: pseudo-random)")
    options = parser.parse_args(arguments)
    options.modes = options.modes.split(",")
    try:
        import torch

        torch.set_num_threads(options.threads)
        film = np.stack(read_clip()[: WINDOW + TURN * (options.turns + 1)])
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            checkpoint = options.checkpoint or random_checkpoint(Path(folder))
            found = contestants(options, checkpoint)
            summary = run(found, film, options.points, options)
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


def run(
    found: list[Contestant], film: np.ndarray, counts: list[int], options: argparse.Namespace
) -> dict[str, Any]:
    """Measure with each number of points, print a table, and sum up."""
    import torch

    height, width = film.shape[1:3]
    per_frame: dict[str, dict[str, float]] = defaultdict(dict)
    stages: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    speedup: dict[str, dict[str, float]] = defaultdict(dict)
    difference: dict[str, dict[str, float]] = defaultdict(dict)
    rng = np.random.default_rng(SEED)
    print(f"{'points':>6}  {'':<22}{'ms per frame':>12}   share of its stages")
    for count in counts:
        points = rng.uniform((20, 20), (width - 20, height - 20), (count, 2)).astype(np.float32)
        times = measure(found, film, points, options.turns)
        for each in found:
            per_frame[each.name][str(count)] = float(np.median(times[each.name]))
            parts = shares(each, film) if isinstance(each, Ours) else {}
            if parts:
                stages[each.name][str(count)] = parts
            told = ", ".join(f"{stage} {share:.0%}" for stage, share in parts.items())
            print(f"{count:>6}  {each.name:<22}{per_frame[each.name][str(count)]:>12.1f}   {told}")
        for ours, theirs in (("windowed", "cotracker_predictor"), ("streaming", "litetracker")):
            pixels = apart(found, ours, theirs)
            if pixels is not None:
                ratios = np.array(times[theirs]) / np.array(times[ours])
                speedup[ours][str(count)] = float(np.median(ratios))
                difference[ours][str(count)] = pixels
                print(
                    f"{count:>6}  {ours} is {speedup[ours][str(count)]:.2f} times as fast as "
                    f"{theirs}; the tracks differ by {pixels:.1e} px at most"
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
        "weights": "random" if options.checkpoint is None else options.checkpoint.name,
        "turns": options.turns,
        "ms_per_frame": per_frame,
        "stages": stages,
        "speedup": speedup,
        "difference_px": difference,
    }


if __name__ == "__main__":
    sys.exit(main())
