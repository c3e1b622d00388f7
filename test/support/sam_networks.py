"""Stand-ins for SAM's network, and its segmenters with stand-in weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.sam import SamSegmenter
from sam_pt_ros.segmenters.sam.models import MODELS, build_network, random_sam_weights
from sam_pt_ros.segmenters.sam.network import PromptBatch, input_size
from support import cotracker_golden

LOW = 256

SIZE = (97, 131)  # both sides are scaled by factors that differ
RANDOM = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}


def few_threads() -> None:
    """On a busy machine more are slower by far."""
    torch.set_num_threads(1)


@functools.cache
def authors_network(name: str) -> Any:
    """The network of the authors' package, with the weights of `checkpoint: random`."""
    few_threads()
    network = build_network(MODELS[name])
    network.load_state_dict(random_sam_weights(network))
    # The second time TinyViT makes the tables of the weights that it has now.
    return network.requires_grad_(False).train().eval()


@dataclass(frozen=True)
class Call:
    """What the network was asked for one object in one pass; ``number`` is the call's own."""

    number: int
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray | None
    mask_from: int | None
    candidates: bool


class RecordingNetwork:
    """The stub predictor that the golden prompts were recorded with: discs around the points.

    Its low-resolution logits carry the number of the call and its depth, and nothing else.
    """

    device = torch.device("cpu")
    input_side = 1024

    def __init__(self, stub: dict[str, float], image_size: tuple[int, int]) -> None:
        self.stub = stub
        self.size = image_size
        self.calls: list[Call] = []
        self.batches: list[int] = []
        self._logits: list[np.ndarray] = []
        self._depths: list[int] = []
        height, width = input_size(image_size, self.input_side)
        columns, rows = np.meshgrid(np.arange(image_size[1]), np.arange(image_size[0]))
        self._x = columns * (width / image_size[1])
        self._y = rows * (height / image_size[0])

    def decode(
        self, image: object, prompts: PromptBatch, candidates: bool = False
    ) -> tuple[Tensor, Tensor]:
        self.batches.append(len(prompts))
        low = torch.zeros(len(prompts), 1, LOW, LOW)
        ious = torch.zeros(len(prompts), 1)
        for row in range(len(prompts)):
            number = len(self.calls)
            earlier = None if prompts.masks is None else int(prompts.masks[row, 0, 0, 0])
            box = None if prompts.boxes is None else prompts.boxes[row].numpy()
            points, labels = prompts.points[row].numpy(), prompts.labels[row].numpy()
            self.calls.append(Call(number, points, labels, box, earlier, candidates))
            depth = 0 if earlier is None else 1 + self._depths[earlier]
            logits, iou = self._answer(points, labels, depth)
            self._logits.append(logits)
            self._depths.append(depth)
            low[row, 0, 0, 0] = number
            ious[row] = float(iou)
        return low, ious

    def enlarge(self, logits: Tensor, image_size: tuple[int, int]) -> Tensor:
        assert image_size == self.size
        numbers = logits[:, 0, 0, 0].int().tolist()
        return torch.from_numpy(np.stack([self._logits[n] for n in numbers]))[:, None]

    def _answer(
        self, points: np.ndarray, labels: np.ndarray, depth: int
    ) -> tuple[np.ndarray, np.float32]:
        stub = self.stub
        to_positive = self._distance(points[labels == 1])
        to_negative = self._distance(points[labels == 0])
        positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
        if positives:
            radius = stub["radius"] + stub["radius_step"] * depth
            value = np.minimum(radius - to_positive, to_negative - stub["negative_radius"])
        elif negatives:
            value = np.minimum(stub["halo"] - to_negative, to_negative - stub["negative_radius"])
        else:
            value = np.full(self.size, -1.0)
        iou = (
            stub["iou_base"]
            + stub["iou_positive"] * positives
            + stub["iou_negative"] * negatives
            + stub["iou_depth"] * depth
        )
        logits = np.clip(value / 16, -32, 32).astype(np.float32)
        return logits, np.float32(np.clip(iou, 0, 1))

    def _distance(self, points: np.ndarray) -> np.ndarray:
        """To the nearest of them, from every pixel."""
        nearest = np.full(self.size, np.inf)
        for x, y in points.astype(np.float64):
            nearest = np.minimum(nearest, np.hypot(self._x - x, self._y - y))
        return nearest


@functools.cache
def image(height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    picture = cotracker_golden.video.make_video(1, height, width)[0]
    picture.setflags(write=False)
    return picture


_embeddings: dict[tuple[str, str, bytes], Any] = {}
"""Of the images that any test has shown, by network, precision and pixels."""


@functools.cache
def segmenter(name: str, **options: Any) -> SamSegmenter:
    """A segmenter that computes the embedding of an image once, for all tests."""
    few_threads()
    made = create_segmenter(name, **{**RANDOM, **options})
    assert isinstance(made, SamSegmenter)
    network, precision = made.network, str(options.get("precision"))
    embed = network.embed

    def embed_once(picture: np.ndarray) -> Any:
        key = name, precision, picture.tobytes()
        if key not in _embeddings:
            _embeddings[key] = embed(picture)
        return _embeddings[key]

    network.embed = embed_once  # type: ignore[method-assign]
    return made


def prompts(objects: int = 4, size: tuple[int, int] = SIZE, hidden: bool = True) -> list[Prompt]:
    """16 positives and 1 negative each, and the others' positives; some of them are hidden."""
    rng = np.random.default_rng(5)
    height, width = size
    positives, negatives = {}, {}
    for item in range(objects):
        middle = rng.uniform((30, 30), (width - 30, height - 30))
        count = 16 - 3 * (item % 3) * hidden
        positives[item] = middle + rng.normal(0, 9, (count, 2))
        negatives[item] = rng.uniform((0, 0), (width, height), (1 - (item == 1) * hidden, 2))
    made = []
    for item in range(objects):
        others = [xy for key, xy in positives.items() if key != item]
        own, beside = positives[item], np.concatenate([negatives[item], *others])
        labels = np.concatenate([np.ones(len(own)), np.zeros(len(beside))])
        made.append(Prompt(item + 1, np.concatenate([own, beside]), labels))
    return made


def frame(index: int = 0) -> Frame:
    return Frame(image(), index, index)
