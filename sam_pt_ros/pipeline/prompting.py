"""Tracked points to prompts (SAM-PT, arXiv 2307.01197, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.objects import NEGATIVE, POSITIVE
from sam_pt_ros.pipeline.tracked_object import ObjectView
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import SAMPLED, Prompt

BORDER = np.float32(0.01)
"""Points nearer to the image's edge than this share of its side count as not visible."""


def inside_border(xy: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Which points, ``float32 (N, 2)``, are not within 1 % of the image's edge."""
    height, width = image_size
    shares = xy / np.array([width, height], np.float32)
    return np.asarray(((shares >= BORDER) & (shares <= 1 - BORDER)).all(axis=1))


def shown(tracks: PointTracks, image_size: tuple[int, int]) -> np.ndarray:
    """Which points may prompt, ``bool (N,)``: visible, and not at the image's edge."""
    return np.asarray(tracks.visible & inside_border(tracks.xy, image_size))


def visible_positives(
    tracks: PointTracks, labels: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """The positive points that may prompt, ``float32 (M, 2)``."""
    return np.asarray(tracks.xy[shown(tracks, image_size) & (labels == POSITIVE)])


def build_prompt(
    view: ObjectView,
    frame: Frame,
    positives: Mapping[int, np.ndarray],
    limit: int = 0,
    seed: int = 0,
) -> Prompt:
    """An object's own visible points, positives first, then the others' positives as negatives.

    What was clicked in this frame prompts at the image's edge, too.

    Args:
        view: the object in ``frame``.
        frame: the frame to segment.
        positives: visible positive points of the objects, by id; empty if those of others are
            not to be used.
        limit: so many of the others' points at most, chosen at random; 0: all.
        seed: of that choice, which depends on the object and the frame besides.
    """
    item, tracks = view.item, view.tracks
    clicked_now = (view.points.gestures != SAMPLED) & (view.points.starts == frame.index)
    own = shown(tracks, frame.size) | clicked_now
    others = [xy for key, xy in sorted(positives.items()) if key != item.object_id]
    beside = np.concatenate([np.zeros((0, 2), np.float32), *others])
    if 0 < limit < len(beside):
        rng = np.random.default_rng([seed, item.object_id, frame.index])
        beside = beside[rng.choice(len(beside), limit, replace=False)]
    xy = np.concatenate([tracks.xy[own], beside])
    labels = np.full(len(xy), NEGATIVE, np.int32)
    labels[: np.count_nonzero(own)] = view.labels[own]
    gestures = np.full(len(xy), SAMPLED, np.int64)
    gestures[: np.count_nonzero(own)] = view.points.gestures[own]
    first = frame.index == item.start
    return Prompt(
        item.object_id,
        xy,
        labels,
        box=item.prompt.box if first else None,
        mask=item.prompt.mask if first else None,
        positives_first=bool((view.labels == NEGATIVE).any()),
        gestures=gestures,
    )
