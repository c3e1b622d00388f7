"""Options of the tracker ``tapir``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.trackers.shared_options import (
    check_resolution,
    clip_length_option,
    max_points_option,
)

PUBLISHED = {"streaming": "bootstapir_online", "offline": "bootstapir"}
"""Names of the published checkpoints that are used by default, by mode."""

_OF_MODE = {"bootstapir_online": "streaming", "bootstapir": "offline", "tapir": "offline"}

_MULTIPLE = 8


@dataclass(frozen=True)
class TapirOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.tapir.Tapir`."""

    owner: ClassVar[str] = "tracker 'tapir'"

    checkpoint: str = option(
        "",
        "Weights: empty for the published checkpoint of the mode, bootstapir_online or "
        "bootstapir; the name of a published checkpoint, which is verified by its hash; the path "
        "of a file; or random (see allow_random_weights).",
    )
    mode: str = option(
        "streaming",
        "streaming: the causal model, which tracks every frame as it arrives. offline: the model "
        "that sees the whole clip, and answers at its end; for recordings. Their weights differ, "
        "but cannot be told apart by the file.",
        choices=("streaming", "offline"),
    )
    precision: str = option(
        "float32",
        "float32: full precision. mixed: keeps features as float16, which halves their memory. "
        "float16: runs the whole network in half precision, for GPUs; points may move further.",
        choices=("float32", "mixed", "float16"),
    )
    model_resolution: tuple[int, int] = option(
        (256, 256),
        "Height and width to which images are scaled, multiples of 8. The model was trained with "
        "256, 256; larger ones, such as 512, 512, are better for small things, and slower.",
        minimum=64,
        maximum=4096,
    )
    refine_at_image_size: bool = option(
        False,
        "Refine tracks also at larger resolutions, up to that of the images, as published for "
        "images that are not scaled before. Each costs as much as the first, or more.",
    )
    temperature: float = option(
        20.0,
        "Factor on the similarities before the softmax of the first estimate. The authors' "
        "PyTorch programs use 20, their training and their JAX programs of BootsTAPIR 10.",
        minimum=0.1,
        maximum=1000.0,
    )
    visible_above: float = option(
        0.5,
        "A point is visible if the probability that it is neither hidden nor far off exceeds "
        "this. The authors use 0.5, SAM-PT 0.1.",
        minimum=0.0,
        maximum=1.0,
    )
    iterations: int = option(
        4, "Refinements per resolution; 4 are published.", minimum=1, maximum=32
    )
    max_points: int = max_points_option("In mode streaming each takes 1 MB.")
    clip_length: int = clip_length_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if _OF_MODE.get(self.checkpoint, self.mode) != self.mode:
            raise UserError(
                f"{self.owner}: the checkpoint '{self.checkpoint}' is for 'mode: "
                f"{_OF_MODE[self.checkpoint]}', got 'mode: {self.mode}'"
            )
        check_resolution(self.owner, self.model_resolution, _MULTIPLE)
