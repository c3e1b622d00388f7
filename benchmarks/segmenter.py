"""Time of a segmenter of the SAM family: encoder, passes, whole frames, and beside a tracker.

A pass is one decoding with the masks at the image's size, and where they lie. The prompts of all
objects of a frame go into one call; beside it, in the same turn, the same prompts go one by one
through `predict_torch` of the authors' predictor. Weights are pseudo-random unless given: the time
does not depend on them, but for refinements that stop early.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np

from benchmarks.pipeline import read_clip
from sam_pt_ros.configuration import set_threads
from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.sam.models import MODELS

HEIGHT, WIDTH = 480, 640
POSITIVES, NEGATIVES = 16, 1
FRAME_OBJECTS = 4
REFINEMENTS = (0, 3, 12)
TOLERANCES = (0.01, 0.05)
SEED = 0
WARM_UP = 5  # frames with a tracker that are not counted


def images(count: int) -> list[np.ndarray]:
    """Frames of the film, RGB ``uint8 (480, 640, 3)``."""
    return [cv2.resize(image, (WIDTH, HEIGHT)) for image in read_clip()[:count]]


def prompts(objects: int) -> list[Prompt]:
    """16 positive points and a negative one for each object, and the others' as negatives."""
    rng = np.random.default_rng(SEED)
    size = np.array([WIDTH, HEIGHT])
    own = [
        (rng.uniform(0.2, 0.8, 2) * size + rng.normal(0, 25, (POSITIVES, 2))).clip(8, size - 9)
        for _ in range(objects)
    ]
    made = []
    for item, positives in enumerate(own):
        beside = [xy for other, xy in enumerate(own) if other != item]
        negatives = np.concatenate([rng.uniform(8, size - 9, (NEGATIVES, 2)), *beside])
        labels = [1] * len(positives) + [0] * len(negatives)
        made.append(Prompt(item + 1, np.concatenate([positives, negatives]), np.array(labels)))
    return made


class Bench:
    """A segmenter, and the authors' predictor around the same weights."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        self.torch = torch
        self.options = options
        self.weights = {"checkpoint": options.checkpoint} if options.checkpoint else RANDOM_WEIGHTS
        self.segmenter = self.create()
        self.network = self.segmenter.network
        self.device = self.network.device
        package: Any = importlib.import_module(MODELS[options.model].module)
        self.predictor = package.SamPredictor(self.network.sam)
        self.image = images(1)[0]

    def create(self, **options: Any) -> Any:
        given = {"device": self.options.device, "precision": self.options.precision}
        return create_segmenter(self.options.model, **{**given, **self.weights, **options})

    def milliseconds(self, function: Callable[[], Any]) -> float:
        self.wait()
        begin = time.perf_counter()
        function()
        self.wait()
        return (time.perf_counter() - begin) * 1e3

    def wait(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def encoder(self) -> dict[str, float]:
        """Of ours and of theirs, in turns."""
        ours, theirs = [], []
        for _ in range(self.options.turns + 1):
            ours.append(self.milliseconds(lambda: self.network.embed(self.image)))
            if self.options.precision == "float32":
                theirs.append(self.milliseconds(lambda: self.predictor.set_image(self.image)))
        return {"ours": median(ours[1:]), **({"authors": median(theirs[1:])} if theirs else {})}

    def passes(self, objects: int) -> dict[str, float]:
        """One pass of refinement for so many objects, batched and one by one, in turns."""
        from sam_pt_ros.segmenters.sam.network import PromptBatch
        from sam_pt_ros.segmenters.sam.passes import mask_bounds

        torch = self.torch
        asked = prompts(objects)
        scale = 1024 / WIDTH
        points = torch.tensor(np.stack([p.points * scale for p in asked]), device=self.device)
        labels = torch.tensor(np.stack([p.labels for p in asked]), device=self.device)
        boxes = torch.tensor([[100.0, 100.0, 400.0, 400.0]], device=self.device)
        boxes = boxes.repeat(objects, 1)
        embedding = self.network.embed(self.image)
        low, _ = self.network.decode(embedding, PromptBatch(points, labels))
        batch = PromptBatch(points, labels, boxes, low)

        def batched() -> None:
            found, _ = self.network.decode(embedding, batch)
            mask_bounds(self.network.enlarge(found, (HEIGHT, WIDTH))[:, 0] > 0)

        def one_by_one() -> None:
            for row in range(objects):
                one = batch.part(slice(row, row + 1))
                logits, _, _ = self.predictor.predict_torch(
                    one.points, one.labels, one.boxes, one.masks, False, return_logits=True
                )
                mask_bounds(logits[:, 0] > 0)

        times: dict[str, list[float]] = {"batched": [], "authors": [], "speedup": []}
        exact = self.options.precision == "float32"
        for turn in range(self.options.turns + 1):
            ours = self.milliseconds(batched)
            theirs = self.milliseconds(one_by_one) if exact else float("nan")
            if turn:
                times["batched"].append(ours)
                times["authors"].append(theirs)
                times["speedup"].append(theirs / ours)
        if not exact:
            return {"batched": median(times["batched"])}
        return {name: median(values) for name, values in times.items()}

    def frame(self, **options: Any) -> dict[str, float]:
        """A whole frame with four objects, its encoding included, and its passes."""
        segmenter = self.create(iou_threshold=0.0, **options)
        calls: list[int] = []
        decode = segmenter.network.decode

        def counted(*arguments: Any, **named: Any) -> Any:
            calls.append(len(arguments[1]))
            return decode(*arguments, **named)

        segmenter.network.decode = counted
        asked, times = prompts(FRAME_OBJECTS), []
        for index in range(self.options.turns + 1):
            frame = Frame(self.image, index, index)
            calls.clear()

            def work(frame: Frame = frame) -> None:
                segmenter.set_image(frame)
                segmenter.predict(asked)

            times.append(self.milliseconds(work))
        return {"ms": median(times[1:]), "passes_per_object": sum(calls) / FRAME_OBJECTS}

    def together(self, frames: int) -> dict[str, Any]:
        """CoTracker and the segmenter in the pipeline: four objects, three refinements."""
        from sam_pt_ros.trackers import create_tracker
        from sam_pt_ros.trackers.cotracker import tracker as cotracker

        # Pseudo-random weights hide most points, and what is hidden costs nothing to segment.
        cotracker.VISIBLE = -np.inf
        segmenter = self.create(refinement_iterations=3, iou_threshold=0.0)
        given = {"device": self.options.device, "precision": self.options.precision}
        pipeline = SamPt(
            create_tracker("cotracker", **given, **RANDOM_WEIGHTS),
            segmenter,
            SamPtOptions(reinitialization="none", clustered_pixels=400),
        )
        film = images(frames + 1)
        pipeline.process(film[0], 0)
        requests = []
        for item in range(FRAME_OBJECTS):
            mask = np.zeros((HEIGHT, WIDTH), np.bool_)
            mask[120:360, 40 + 150 * item : 140 + 150 * item] = True
            requests.append(PromptRequest(ObjectPrompt(mask=mask)))
        pipeline.apply(requests)
        total: list[float] = []
        stages: dict[str, list[float]] = {}
        for index, image in enumerate(film[1:], start=1):
            found: list[Any] = []
            work = partial(process_into, found, pipeline, image, index)
            total.append(self.milliseconds(work))
            for stage, milliseconds in found[0].timings.items():
                stages.setdefault(stage, []).append(milliseconds)
        whole = median(total[WARM_UP:])
        shares = {name: median(times[WARM_UP:]) / whole for name, times in stages.items()}
        return {"ms_per_frame": whole, "frames_per_second": 1e3 / whole, "shares": shares}


def process_into(found: list[Any], pipeline: SamPt, image: np.ndarray, stamp: int) -> None:
    found.extend(pipeline.process(image, stamp))


RANDOM_WEIGHTS = {"checkpoint": RANDOM, "allow_random_weights": True}


def median(values: list[float]) -> float:
    return round(float(np.median(values)), 3)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.segmenter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="mobile_sam", choices=sorted(MODELS))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU, default 2")
    parser.add_argument("--precision", default="float32", choices=("float32", "float16"))
    parser.add_argument("--objects", default="1,4,16", help="default 1,4,16")
    parser.add_argument("--turns", type=int, default=5, help="that are counted, default 5")
    parser.add_argument("--checkpoint", help="weights, default pseudo-random")
    parser.add_argument(
        "--together",
        type=int,
        metavar="FRAMES",
        help="frames with CoTracker in the pipeline; default 60 on a GPU, 0 on a CPU",
    )
    options = parser.parse_args(arguments)
    try:
        counts = [int(each) for each in options.objects.split(",")]
        bench = Bench(options)
    except (UserError, ValueError) as error:
        print(f"benchmarks.segmenter: {error}", file=sys.stderr)
        return 2
    set_threads(options.threads)
    with bench.torch.inference_mode():
        encoder = bench.encoder()
        decode = {count: bench.passes(count) for count in counts}
    frames = {n: bench.frame(refinement_iterations=n) for n in REFINEMENTS}
    tolerances = {
        value: bench.frame(refinement_iterations=12, refinement_tolerance=value)
        for value in TOLERANCES
    }
    gpu = bench.device.type == "cuda"
    together = options.together if options.together is not None else 60 * gpu
    summary = {
        "benchmark": "segmenter",
        "model": options.model,
        "device": bench.torch.cuda.get_device_name(bench.device) if gpu else "cpu",
        "precision": options.precision,
        "weights": options.checkpoint or "pseudo-random",
        "threads": options.threads,
        "cores": os.cpu_count(),
        "width": WIDTH,
        "height": HEIGHT,
        "encoder_ms": encoder["ours"],
        "encoder_authors_ms": encoder.get("authors"),
        "decode_ms": {count: times["batched"] for count, times in decode.items()},
        "decode_one_by_one_ms": {count: times.get("authors") for count, times in decode.items()},
        "batched_speedup": {count: times.get("speedup") for count, times in decode.items()},
        "frame_ms": {n: found["ms"] for n, found in frames.items()},
        "frame_ms_by_tolerance": {str(value): found for value, found in tolerances.items()},
        "together": bench.together(together) if together else None,
    }
    print(f"{options.model} on {summary['device']}, {WIDTH}x{HEIGHT}, {options.threads} threads")
    print(f"image encoder: {encoder['ours']:.1f} ms")
    print(f"{'objects':<10}{'pass, ms':>12}{'one by one':>12}{'speedup':>10}")
    for count, times in decode.items():
        print(
            f"{count:<10}{times['batched']:>12.1f}{times.get('authors', 0.0):>12.1f}"
            f"{times.get('speedup', 0.0):>10.2f}"
        )
    for n, found in frames.items():
        print(f"whole frame, {FRAME_OBJECTS} objects, {n} refinements: {found['ms']:.1f} ms")
    for value, found in tolerances.items():
        print(
            f"the same, 12 refinements, tolerance {value}: {found['ms']:.1f} ms, "
            f"{found['passes_per_object']:.1f} passes"
        )
    if summary["together"]:
        print(f"with CoTracker: {summary['together']['ms_per_frame']:.1f} ms")
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
