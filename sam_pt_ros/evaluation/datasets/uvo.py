"""UVO's densely annotated videos, and the file of results for its evaluation.

Wang et al., "Unidentified Video Objects", ICCV 2021 (arXiv 2104.04691). The annotations of
``VideoDenseSet`` are JSON in the format of YouTube-VIS: each has a segmentation or null for every
frame of its video. Categories are ignored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as coco

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.video_instances import InstanceTrack, Rle
from sam_pt_ros.recordings.pictures import read_picture

CATEGORY = 1
"""The only category: object."""

_TRIANGLE = 6  # fewest numbers of a polygon
_DIGITS = 7  # most digits of a run length


@dataclass(frozen=True, eq=False)
class InstanceVideo:
    """A video and its annotated objects.

    Attributes:
        video_id: its id in the annotation file.
        name: unique in the data set: the folder of the images, with the id if videos share it.
        images: files of the frames, in order.
        size: height and width of the frames, pixels.
        tracks: the objects, with a mask or None per frame; empty without a ground truth.
    """

    video_id: int
    name: str
    images: tuple[Path, ...]
    size: tuple[int, int]
    tracks: tuple[InstanceTrack, ...] = ()

    def __post_init__(self) -> None:
        if not self.images:
            raise UserError(f"video '{self.name}' has no images; get the annotations again")
        for number, track in enumerate(self.tracks, 1):
            self.check(track, f"object {number}")

    def check(self, track: InstanceTrack, what: str) -> None:
        """UserError if a track does not fit the video; ``what`` names it in the message."""
        if len(track.masks) != len(self.images):
            raise UserError(
                f"video '{self.name}', {what}: {len(track.masks)} masks for "
                f"{len(self.images)} frames; give a mask or None for every frame"
            )
        code = next((code for code in track.masks if code is not None), None)
        if code is not None and tuple(code["size"]) != self.size:
            raise UserError(
                f"video '{self.name}', {what}: masks of size {tuple(code['size'])} do not fit "
                f"images of size {self.size} (height, width)"
            )

    def image(self, index: int) -> np.ndarray:
        """A frame, RGB ``uint8 (H, W, 3)``; UserError if its file cannot be read."""
        return read_picture(self.images[index])


def read_uvo(annotations: Path, images: Path) -> list[InstanceVideo]:
    """Read the annotations of a split; no image is opened.

    Args:
        annotations: such as ``VideoDenseSet/UVO_video_val_dense.json``.
        images: the folder that the image names in the file are relative to.

    Returns:
        The videos in ascending order of their ids.

    Raises:
        UserError: the file cannot be read, or has another format.
    """
    try:
        data = json.loads(annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{annotations}: cannot be read ({error.strerror}); check the path"
        ) from error
    except ValueError as error:
        raise UserError(f"{annotations}: not valid JSON ({error}); get the file again") from error
    try:
        videos = sorted(data["videos"], key=lambda video: int(video["id"]))
        sizes = {int(v["id"]): (int(v["height"]), int(v["width"])) for v in videos}
        if len(sizes) != len(videos):
            raise ValueError("two videos have the same id")
        tracks = _tracks(data.get("annotations") or [], sizes)
        folders = [str(PurePosixPath(video["file_names"][0]).parent) for video in videos]
        uses = Counter(folders)
        return [
            InstanceVideo(
                video_id=int(video["id"]),
                name=folder if uses[folder] == 1 else f"{folder}_{video['id']}",
                images=tuple(images / name for name in video["file_names"]),
                size=sizes[int(video["id"])],
                tracks=tuple(tracks[int(video["id"])]),
            )
            for video, folder in zip(videos, folders)
        ]
    except UserError as error:
        raise UserError(f"{annotations}: {error}") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{annotations}: not in the annotation format of YouTube-VIS and UVO ({reason}); give "
            "a file of VideoDenseSet"
        ) from error


def _tracks(
    annotations: Sequence[Mapping[str, Any]], sizes: Mapping[int, tuple[int, int]]
) -> dict[int, list[InstanceTrack]]:
    """The tracks by video, in the order of the file."""
    tracks: dict[int, list[InstanceTrack]] = {video_id: [] for video_id in sizes}
    for annotation in annotations:
        video_id = int(annotation["video_id"])
        if video_id not in sizes:
            raise UserError(f"annotation {annotation['id']} names the unknown video {video_id}")
        try:
            codes = [_code(each, sizes[video_id]) for each in annotation["segmentations"]]
        except ValueError as error:
            raise UserError(f"annotation {annotation['id']}: {error}") from error
        crowd = bool(annotation.get("iscrowd", 0))
        tracks[video_id].append(InstanceTrack(tuple(codes), crowd=crowd))
    return tracks


def _code(segmentation: Any, size: tuple[int, int]) -> Rle | None:
    """A frame's segmentation (polygons, run lengths or a code) as a compressed code, or None."""
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        for polygon in segmentation:
            if len(polygon) < _TRIANGLE or len(polygon) % 2:
                raise ValueError(f"a polygon must have 6, 8, 10, ... numbers, got {len(polygon)}")
        merged: Rle = coco.merge(coco.frPyObjects(segmentation, *size))
        return merged
    if tuple(segmentation["size"]) != size:
        raise ValueError(f"a mask has the size {segmentation['size']}, the video {list(size)}")
    counts = segmentation["counts"]
    runs = np.array(counts) if isinstance(counts, list) else _runs(counts.encode("ascii"))
    # On incomplete codes COCO's functions run forever, or read beyond their memory.
    if (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths cover {runs.sum()} pixels of an image of {list(size)}")
    if isinstance(counts, list):
        packed: Rle = coco.frPyObjects({"size": list(size), "counts": counts}, *size)
        return packed
    return Rle(size=list(size), counts=counts.encode("ascii"))


def _runs(code: bytes) -> np.ndarray:
    """The run lengths in a compressed code, ``int64 (N,)``.

    Each is a number in digits of 5 bits, the lowest first. Bit 32 of a digit says that another
    follows, and bit 16 of the last digit is the sign. From the fourth run length on, the number is
    the difference to the run length two places before.
    """
    digits = np.frombuffer(code, np.uint8).astype(np.int64) - ord("0")
    if len(digits) == 0 or digits.min() < 0 or digits.max() >= 64 or digits[-1] & 32:
        raise ValueError("the code of a mask is incomplete or not valid")
    ends = np.flatnonzero(digits & 32 == 0)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > _DIGITS:
        raise ValueError("the code of a mask is not valid")
    starts = ends + 1 - lengths
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((digits & 31) << 5 * places, starts)
    runs -= np.where(digits[ends] & 16, 1 << 5 * lengths, 0)
    for first in (1, 2):
        runs[first::2] = np.cumsum(runs[first::2])
    return runs


def write_results(
    path: Path, results: Iterable[tuple[InstanceVideo, Sequence[InstanceTrack]]]
) -> None:
    """Write detections as JSON for the evaluations of UVO and YouTube-VIS.

    The file holds one list of detections, each with the id of its video, its score and a
    compressed run-length code or null per frame. Videos are written one by one, so that they need
    not all be in memory.

    Args:
        path: the file; an earlier one is replaced.
        results: the videos, each with its detections.

    Raises:
        UserError: a detection does not fit its video.
    """
    with path.open("w", encoding="ascii") as file:
        file.write("[")
        separator = "\n"
        for video, tracks in results:
            for number, track in enumerate(tracks, 1):
                video.check(track, f"detection {number}")
                entry = {
                    "video_id": video.video_id,
                    "category_id": CATEGORY,
                    "score": float(track.score),
                    "segmentations": [
                        None if each is None else _text(each) for each in track.masks
                    ],
                }
                file.write(separator + json.dumps(entry))
                separator = ",\n"
        file.write("\n]\n")


def _text(code: Rle) -> dict[str, Any]:
    return {
        "size": [int(side) for side in code["size"]],
        "counts": code["counts"].decode("ascii"),
    }
