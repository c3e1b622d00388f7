"""Time of J, of F, and of both, for one object in one frame of DAVIS 2016.

The ground truth is an annotation of 854x480 pixels; the prediction is the annotation of the next
frame, which overlaps it as a prediction would. Images are read beforehand; one thread is used.
Times are medians over frames, each of which is timed three times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.davis_metrics import (
    boundary_accuracy,
    region_and_boundary,
    region_similarity,
)

RESOLUTION = "480p"
DEFAULT_ROOT = Path(__file__).resolve().parents[2] / "shared" / "data" / "davis2016"
TURNS = 3
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "j": region_similarity,
    "f": boundary_accuracy,
    "both": region_and_boundary,
}


def read_masks(folder: Path) -> list[np.ndarray]:
    """The annotations of a sequence, ``bool (H, W)``."""
    masks = []
    for path in sorted(folder.glob("*.png")):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise UserError(f"{path}: cannot be read as an image; get the data set's file again")
        masks.append(image > 127)
    if len(masks) < 2:
        raise UserError(f"{folder}: at least two annotations are needed, found {len(masks)}")
    return masks


def measure(masks: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """Milliseconds by measure, for each pair of neighbouring frames and each turn."""
    times: dict[str, list[float]] = {name: [] for name in MEASURES}
    for truth, prediction in zip(masks, masks[1:]):
        for _ in range(TURNS):
            for name, function in MEASURES.items():
                begin = time.perf_counter()
                function(prediction, truth)
                times[name].append((time.perf_counter() - begin) * 1e3)
    return times


def row(name: str, share: float, times: dict[str, list[float]]) -> str:
    middle = [f"{np.median(times[measure]):>10.2f}" for measure in MEASURES]
    return f"{name:<22}{share:>8.1%}{''.join(middle)}{np.percentile(times['both'], 95):>12.2f}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    root = Path(os.environ.get("SAM_PT_DAVIS_ROOT", DEFAULT_ROOT))
    parser.add_argument(
        "--root",
        type=Path,
        default=root,
        help="folder with Annotations/480p (or set SAM_PT_DAVIS_ROOT)",
    )
    parser.add_argument("--sequences", help="names, separated by commas (default: all)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    folder = options.root / "Annotations" / RESOLUTION
    if not folder.is_dir():
        reason = (
            f"no DAVIS 2016 annotations in {options.root}; name their folder with --root or "
            "SAM_PT_DAVIS_ROOT"
        )
        print(f"skipped: {reason}")
        print(json.dumps({"skipped": reason}))
        return 0
    cv2.setNumThreads(1)
    present = sorted(path.name for path in folder.iterdir() if path.is_dir())
    names = options.sequences.split(",") if options.sequences else present
    total: dict[str, list[float]] = {name: [] for name in MEASURES}
    sequences: dict[str, dict[str, Any]] = {}
    shares: list[float] = []
    try:
        for name in names:
            if name not in present:
                raise UserError(f"no sequence is named '{name}'; choose from {', '.join(present)}")
        print(
            f"{'sequence':<22}{'object':>8}{'J ms':>10}{'F ms':>10}{'both ms':>10}{'95 % ms':>12}"
        )
        for name in names:
            masks = read_masks(folder / name)
            times = measure(masks)
            share = float(np.mean(masks))
            print(row(name, share, times), flush=True)
            shares.append(share)
            height, width = masks[0].shape
            sequences[name] = {
                "frames": len(masks),
                "width": width,
                "height": height,
                "object_share": share,
                **{f"{measure}_ms_median": float(np.median(times[measure])) for measure in times},
            }
            for each, found in times.items():
                total[each] += found
    except UserError as error:
        print(f"benchmarks.metrics: {error}", file=sys.stderr)
        return 2
    print(row("all", float(np.mean(shares)), total))
    summary = {
        "benchmark": "metrics",
        "cores": os.cpu_count(),
        "threads": 1,
        "turns": TURNS,
        **{f"{measure}_ms_median": float(np.median(total[measure])) for measure in total},
        **{f"{measure}_ms_p95": float(np.percentile(total[measure], 95)) for measure in total},
        "sequences": sequences,
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
