"""BDD100K's segmentation tracking (MOTS 2020) as video object segmentation.

Rajič et al., "Segment Anything Meets Point Tracking", appendix K, and SysCV/sam-pt's scripts:
an object is given in the first frame that shows it, and scored after it; a video with more than
100 objects is split into chunks of 100. The data set's documentation describes the label format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import (
    Dataset,
    check_sizes,
    choose_sequences,
    folder_names,
    frames_and_annotations,
    mean_region_and_boundary,
    need_folder,
)
from sam_pt_ros.evaluation.results import ScoreRow
from sam_pt_ros.evaluation.sequences import VideoSequence

OBJECTS_AT_A_TIME = 100
SHORT, MEDIUM, LONG = "short", "medium", "long"
MEDIUM_FROM, LONG_FROM = 5, 30
"""Number of frames in which an object is visible from which its track is medium or long."""

_IGNORED, _CROWD = 1, 2  # bits of the green channel; 4 is occluded, 8 truncated
_INSTANCES = 1 << 16


def open_bdd100k(root: Path, split: str, chosen: Sequence[str] | None) -> Dataset:
    """Open BDD100K: ``root`` holds ``images`` and ``labels``, each with ``seg_track_20``.

    The objects after the first 100 of a video form the sequence ``VIDEO-chunk2``, and so on. All
    bitmasks of the chosen videos are read to find their objects.
    """
    images = need_folder(root / "images" / "seg_track_20" / split, "the frames")
    bitmasks = need_folder(root / "labels" / "seg_track_20" / "bitmasks" / split, "the bitmasks")
    where = str(bitmasks)
    videos = None if chosen is None else [_video_of(name) for name in chosen]
    sequences = [
        sequence
        for video in choose_sequences(folder_names(bitmasks), videos, where)
        for sequence in _sequences(video, images / video, bitmasks / video)
    ]
    wanted = set(choose_sequences((sequence.name for sequence in sequences), chosen, where))
    return Dataset(
        "bdd100k",
        split,
        tuple(sequence for sequence in sequences if sequence.name in wanted),
        scored=True,
        skip_first=True,
        skip_last=False,
        measures=bdd100k_measures,
    )


def read_bitmask(path: Path, instances: tuple[int, ...]) -> np.ndarray:
    """Read a bitmask as ``uint16 (H, W)``.

    Args:
        path: an RGBA PNG: category, attributes, and the instance in blue (high) and alpha (low).
        instances: become the labels 1, 2, ...; others are background, and so are ignored and
            crowd regions, as in the authors' conversion.

    Raises:
        UserError: the file cannot be read, or is not such an image.
    """
    found, void = _read(path)
    table = np.zeros(_INSTANCES, np.uint16)
    table[list(instances)] = np.arange(1, len(instances) + 1)
    labels = table[found]
    labels[void] = 0
    return np.asarray(labels)


def bdd100k_measures(rows: Sequence[ScoreRow]) -> dict[str, float]:
    """J&F, J and F over all objects, and J&F of short, medium and long tracks.

    An object that is given in the last frame has no scored frame; as the authors do, its J and F
    count as 1.
    """
    rows = [replace(row, j_mean=1.0, f_mean=1.0) if row.frames == 1 else row for row in rows]
    figures = mean_region_and_boundary(rows)
    for group in (SHORT, MEDIUM, LONG):
        of = [row for row in rows if row.group == group]
        figures[f"J&F {group}"] = mean_region_and_boundary(of)["J&F"]
    return figures


def length_of_track(visible: int) -> str:
    """The group of an object by the number of frames in which it is visible."""
    return SHORT if visible < MEDIUM_FROM else MEDIUM if visible < LONG_FROM else LONG


def _sequences(video: str, images: Path, bitmasks: Path) -> list[VideoSequence]:
    frames, files = frames_and_annotations(images, bitmasks)
    first: dict[int, int] = {}
    visible: dict[int, int] = {}
    for index in sorted(files):
        found, void = _read(files[index])
        counts = np.bincount(found[~void], minlength=1)
        for instance in np.flatnonzero(counts[1:]) + 1:
            first.setdefault(int(instance), index)
            visible[int(instance)] = visible.get(int(instance), 0) + 1
    ids = sorted(first)
    sequences = []
    for start in range(0, len(ids), OBJECTS_AT_A_TIME):
        chunk = tuple(ids[start : start + OBJECTS_AT_A_TIME])
        numbers = dict(enumerate(chunk, 1))
        sequence = VideoSequence(
            video if start == 0 else f"{video}-chunk{start // OBJECTS_AT_A_TIME + 1}",
            frames,
            files,
            {number: first[instance] for number, instance in numbers.items()},
            partial(read_bitmask, instances=chunk),
            {number: length_of_track(visible[instance]) for number, instance in numbers.items()},
        )
        check_sizes(sequence)
        sequences.append(sequence)
    return sequences


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The instances of a bitmask, ``uint16 (H, W)``, and ``bool (H, W)``: not scored."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4 or pixels.dtype != np.uint8:
        raise UserError(
            f"{path}: not an RGBA PNG like BDD100K's bitmasks; get the labels for segmentation "
            "tracking"
        )
    blue, green, _, alpha = cv2.split(pixels)
    return (blue.astype(np.uint16) << 8) | alpha, (green & (_IGNORED | _CROWD)) != 0


def _video_of(name: str) -> str:
    """The video of a sequence."""
    return re.sub(r"-chunk\d+$", "", name)
