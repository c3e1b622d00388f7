"""Region similarity J and boundary accuracy F on sequences of DAVIS 2016, from points alone.

Protocol: 16 positive points (k-medoids) and 1 negative point (mixed) are sampled from the first
ground-truth mask with a seeded generator; nothing else of the truth is shown. The pipeline gets
frame after frame and never looks ahead. The first and the last frame are not scored. Frames per
second count the pipeline's own time, on one core, without reading images.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.davis_metrics import boundary_accuracy, region_similarity
from sam_pt_ros.objects import NEGATIVE, POSITIVE, ObjectPrompt
from sam_pt_ros.point_selection import select_points
from sam_pt_ros.visualization import draw_overlay

RESOLUTION = "480p"
POSITIVES, NEGATIVES = 16, 1
DEFAULT_ROOT = Path(__file__).resolve().parents[2] / "shared" / "data" / "davis2016"


@dataclass(frozen=True)
class Score:
    """Of one sequence: means over the scored frames, and how long all frames took."""

    j: float
    f: float
    frames: int
    seconds: float

    @property
    def j_and_f(self) -> float:
        return (self.j + self.f) / 2

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


def inner_point(mask: np.ndarray) -> np.ndarray:
    """The pixel of a mask that is farthest from its edge, ``float32 (1, 2)``."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(distances)), mask.shape)
    return np.array([[column, row]], np.float32)


def first_prompt(image: np.ndarray, truth: np.ndarray, click: bool, seed: int) -> ObjectPrompt:
    """The points that a sequence starts from."""
    if click:
        return ObjectPrompt(inner_point(truth), np.array([POSITIVE]))
    rng = np.random.default_rng(seed)
    on = select_points("kmedoids", POSITIVES, image, truth, rng)
    beside = select_points("mixed", NEGATIVES, image, ~truth, rng)
    labels = np.array([POSITIVE] * len(on) + [NEGATIVE] * len(beside), np.int32)
    return ObjectPrompt(np.concatenate([on, beside]), labels)


def read(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise UserError(f"{path} cannot be read")
    return np.asarray(image)


def measure(
    root: Path, sequence: str, config: Path, click: bool, output: Path | None, seed: int
) -> Score:
    """Track one sequence from its first mask's points, and compare with the truth."""
    images = sorted((root / "JPEGImages" / RESOLUTION / sequence).glob("*.jpg"))
    if len(images) < 3:
        raise UserError(f"sequence '{sequence}' has {len(images)} images; 3 are needed")
    pipeline = load_configuration(config).create()
    cv2.setNumThreads(1)
    seconds = 0.0
    values = []

    def truth(number: int) -> np.ndarray:
        folder = root / "Annotations" / RESOLUTION / sequence
        path = folder / f"{images[number].stem}.png"
        return read(path, cv2.IMREAD_GRAYSCALE) > 127

    for number, path in enumerate(images):
        image = cv2.cvtColor(read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        prompt = first_prompt(image, truth(0), click, seed) if number == 0 else None
        begin = time.perf_counter()
        results = pipeline.process(image, number)
        if prompt is not None:
            pipeline.add_object(prompt)
        if number == len(images) - 1:
            results += pipeline.flush()
        seconds += time.perf_counter() - begin
        for result in results:
            if output is not None:
                picture = draw_overlay(pipeline.history.at(result.index).image, result)
                save(output / sequence / f"{images[result.index].stem}.png", picture)
            if 0 < result.index < len(images) - 1:
                mask = result.object(1).mask.full()
                wanted = truth(result.index)
                values.append((region_similarity(mask, wanted), boundary_accuracy(mask, wanted)))
    j, f = np.mean(values, axis=0).tolist()
    return Score(j, f, len(images), seconds)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def row(name: str, score: Score) -> str:
    return f"{name:<22}{score.j:7.3f}{score.f:7.3f}{score.j_and_f:7.3f}{score.fps:8.1f}"


def report(scores: dict[str, Score], arguments: argparse.Namespace) -> dict[str, Any]:
    """The JSON object of the last line."""
    j, f = (float(np.mean([getattr(s, name) for s in scores.values()])) for name in "jf")
    frames = sum(score.frames for score in scores.values())
    return {
        "benchmark": "davis2016",
        "config": arguments.config.name,
        "start": "click" if arguments.click else f"{POSITIVES}+{NEGATIVES} points",
        "seed": arguments.seed,
        "j_and_f_mean": (j + f) / 2,
        "j_mean": j,
        "f_mean": f,
        "fps": frames / sum(score.seconds for score in scores.values()),
        "cores": os.cpu_count(),
        "sequences": {
            name: {
                "j": score.j,
                "f": score.f,
                "j_and_f": score.j_and_f,
                "fps": score.fps,
                "frames": score.frames,
            }
            for name, score in scores.items()
        },
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.davis", description=__doc__)
    root = Path(os.environ.get("SAM_PT_DAVIS_ROOT", DEFAULT_ROOT))
    parser.add_argument("--config", type=Path, required=True, help="configuration file")
    parser.add_argument(
        "--root",
        type=Path,
        default=root,
        help="folder with JPEGImages/480p and Annotations/480p (or set SAM_PT_DAVIS_ROOT)",
    )
    parser.add_argument("--sequences", help="names, separated by commas; default: all there are")
    parser.add_argument(
        "--click", action="store_true", help="start from one click instead of 16+1 points"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampled points")
    parser.add_argument("--output", type=Path, help="folder for pictures of the masks")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    folder = options.root / "JPEGImages" / RESOLUTION
    if not folder.is_dir():
        reason = (
            f"no DAVIS 2016 sequences in {options.root}; name their folder by --root or "
            "SAM_PT_DAVIS_ROOT"
        )
        print(f"skipped: {reason}")
        print(json.dumps({"skipped": reason}))
        return 0
    present = sorted(path.name for path in folder.iterdir() if path.is_dir())
    names = options.sequences.split(",") if options.sequences else present
    try:
        for name in names:
            if name not in present:
                raise UserError(f"no sequence '{name}'; there are {', '.join(present)}")
        print(f"{'sequence':<22}{'J':>7}{'F':>7}{'J&F':>7}{'fps':>8}")
        scores = {}
        for name in names:
            scores[name] = measure(
                options.root, name, options.config, options.click, options.output, options.seed
            )
            print(row(name, scores[name]), flush=True)
    except UserError as error:
        print(f"benchmarks.davis: {error}", file=sys.stderr)
        return 2
    summary = report(scores, options)
    print(
        f"{'mean':<22}{summary['j_mean']:7.3f}{summary['f_mean']:7.3f}"
        f"{summary['j_and_f_mean']:7.3f}{summary['fps']:8.1f}"
    )
    print("Frames per second: of the pipeline alone, one thread, images read beforehand.")
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
