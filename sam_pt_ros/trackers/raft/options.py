"""Options of the tracker ``raft``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam_pt_ros.options import option
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.trackers.shared_options import clip_length_option, max_points_option

PUBLISHED_WEIGHTS = {"large": "raft_large_c_t_v1", "small": "raft_small_c_t_v1"}
"""Names of the authors' weights, by network. SAM-PT's tracker uses those of ``large``."""


@dataclass(frozen=True)
class RaftOptions(NetworkOptions):
    """Options of :class:`~sam_pt_ros.trackers.raft.Raft`.

    SAM-PT's tracker is ``rule: published``, ``mode: offline``, ``updates: 32`` and
    ``working_size: 0``, with the authors' weights (``raft_large_c_t_v1``, the default).
    """

    owner: ClassVar[str] = "tracker 'raft'"

    checkpoint: str = option(
        "",
        "Weights: empty for the authors' (raft_large_c_t_v1 or raft_small_c_t_v1); the name of "
        "another published checkpoint, such as raft_large_c_t_skht_v2, which is verified by its "
        "hash; the path of torchvision's or the authors' file; or random (see "
        "allow_random_weights).",
    )
    network: str = option(
        "large",
        "large, or small: a fifth of the weights, faster and less accurate.",
        choices=("large", "small"),
    )
    mode: str = option(
        "streaming",
        "streaming: tracks every frame as it arrives. offline: answers at the end of a clip, and "
        "tracks backwards from the query frame as well; for recordings.",
        choices=("streaming", "offline"),
    )
    rule: str = option(
        "checked",
        "When a point is visible. checked: as long as the flow there and the flow back agree, "
        "and it is in the image. published: whenever it is in the image; takes half the time.",
        choices=("checked", "published"),
    )
    updates: int = option(
        12,
        "Updates of the flow of a pair of frames. 32 as published; the time grows with them.",
        minimum=1,
        maximum=100,
    )
    working_size: int = option(
        640,
        "Longer side, in pixels, to which larger images are reduced; 0: never, as published.",
        minimum=0,
        maximum=4096,
    )
    max_points: int = max_points_option()
    clip_length: int = clip_length_option()
