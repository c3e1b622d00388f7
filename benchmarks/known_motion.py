"""TAP-Vid's scores of trackers on a picture that is moved, enlarged and turned, exactly known.

The picture is a frame of the film that `sam-pt demo` plays. A window of 320x240 pixels moves over
it, with camera noise. Points that leave the window are hidden. Only trackers whose weights are
there can be compared: by default `lucas_kanade`, which has none, and `matching`, with XFeat.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from benchmarks.pipeline import read_clip
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.point_metrics import tap_vid
from sam_pt_ros.trackers import create_tracker, track_video

SIZE = (240, 320)
"""Height and width of the clips."""
FRAMES, POINTS, NOISE = 24, 64, 4.0
PICTURE = 100
"""Number of the film's frame that is moved."""

MOTIONS: dict[str, tuple[float, float, float, float]] = {
    "pan": (4.0, 1.5, 1.0, 0.0),
    "zoom": (0.0, 0.0, 1.04, 0.0),
    "shrink": (0.0, 0.0, 1 / 1.03, 0.0),
    "rotation": (0.0, 0.0, 1.0, 4.0),
}
"""Per frame: pixels to the right and down, factor of the size, degrees."""


def clip(picture: np.ndarray, motion: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip with known tracks.

    Args:
        picture: ``uint8 (h, w, 3)``, larger than :data:`SIZE`.
        motion: a key of :data:`MOTIONS`.

    Returns:
        Images ``uint8 (T, H, W, 3)``, tracks ``float32 (T, N, 2)`` pixels, and which points are
        in the image, ``bool (T, N)``.
    """
    height, width = SIZE
    x, y, factor, turn = MOTIONS[motion]
    rng = np.random.default_rng(0)
    first = rng.uniform((20, 20), (width - 20, height - 20), (POINTS, 2))
    centre = np.array([picture.shape[1], picture.shape[0]]) / 2
    images, tracks = [], []
    for index in range(FRAMES):
        matrix = cv2.getRotationMatrix2D(tuple(centre), turn * index, factor**index)
        matrix[:, 2] += np.array([width, height]) / 2 - centre + np.array([x, y]) * index
        image = cv2.warpAffine(
            picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT
        ).astype(np.float64)
        image += rng.normal(0, NOISE, image.shape)
        images.append(np.clip(image, 0, 255).astype(np.uint8))
        start = first + centre - np.array([width, height]) / 2
        tracks.append(start @ matrix[:, :2].T + matrix[:, 2])
    made = np.array(tracks, np.float32)
    inside = ((made >= -0.5) & (made <= np.array([width, height]) - 0.5)).all(2)
    return np.stack(images), made, inside


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.known_motion", description=__doc__)
    parser.add_argument(
        "--trackers",
        default="lucas_kanade,matching",
        help="names, with their published weights (default: lucas_kanade,matching)",
    )
    options = parser.parse_args(arguments)
    names = options.trackers.split(",")
    scores: dict[str, dict[str, Any]] = {name: {} for name in names}
    try:
        trackers = {name: create_tracker(name) for name in names}
        picture = read_clip()[PICTURE]
        print(f"{'motion':<10}{'':<16}{'AJ':>8}{'delta':>8}{'OA':>8}")
        for motion in MOTIONS:
            images, tracks, inside = clip(picture, motion)
            queries = np.concatenate([np.zeros((POINTS, 1), np.float32), tracks[0]], 1)
            for name, tracker in trackers.items():
                found = track_video(tracker, images, queries)
                starts = np.zeros(POINTS, np.int64)
                score = tap_vid(found.xy, found.visible, tracks, inside, starts, SIZE)
                scores[name][motion] = asdict(score)
                print(
                    f"{motion:<10}{name:<16}{score.average_jaccard:>8.3f}"
                    f"{score.average_pts_within_thresh:>8.3f}{score.occlusion_accuracy:>8.3f}"
                )
    except (UserError, ImportError) as error:
        print(f"benchmarks.known_motion: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"benchmark": "known_motion", "scores": scores}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
