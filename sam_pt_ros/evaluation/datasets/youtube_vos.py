"""YouTube-VOS 2018, in the folders of its archives.

Xu et al., "YouTube-VOS: A Large-Scale Video Object Segmentation Benchmark", arXiv 1809.03327.
Objects appear at any time, and the annotation of a frame shows those that appear in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import (
    Dataset,
    Measures,
    check_complete,
    check_sizes,
    choose_sequences,
    first_appearances,
    folder_names,
    frames_and_annotations,
    mean,
    mean_region_and_boundary,
    need_folder,
    unannotated,
)
from sam_pt_ros.evaluation.label_images import read_indexed
from sam_pt_ros.evaluation.results import ScoreRow
from sam_pt_ros.evaluation.sequences import VideoSequence

SEEN, UNSEEN = "seen", "unseen"


@dataclass(frozen=True)
class ListedObject:
    """An object in ``meta.json``.

    Attributes:
        category: its category; empty if the file does not name one.
        frames: names, without suffix, of the frames in which it is scored; its mask is given in
            the first one.
    """

    category: str
    frames: tuple[str, ...]


def open_youtube_vos2018(root: Path, split: str, chosen: Sequence[str] | None) -> Dataset:
    """Open YouTube-VOS 2018: ``root`` holds ``valid/{JPEGImages, Annotations, meta.json}``.

    The frames are the annotated ones, 6 per second. Without ``meta.json`` all frames are saved,
    and objects start in the first annotation that shows them. Objects count as seen if
    ``train/meta.json`` contains their category; without that file they have no group.
    """
    images, annotations, names = split_folders(root / split)
    meta_file, train_file = root / split / "meta.json", root / "train" / "meta.json"
    meta = read_meta(meta_file) if meta_file.is_file() else None
    seen: frozenset[str] = frozenset()
    if meta is not None and train_file.is_file():
        trained = meta if split == "train" else read_meta(train_file)
        seen = frozenset(item.category for video in trained.values() for item in video.values())
    sequences = []
    for name in choose_sequences(names, chosen, str(root / split)):
        if meta is not None and name not in meta:
            raise UserError(f"{meta_file}: does not list '{name}'; get the data set again")
        listed = None if meta is None else meta[name]
        sequences.append(_sequence(name, images / name, annotations / name, listed, seen))
    if split == "train":
        check_complete(sequences)
    return Dataset(
        "youtube_vos2018",
        split,
        tuple(sequences),
        scored=not any(unannotated(sequence) for sequence in sequences),
        skip_first=True,
        skip_last=False,
        measures=_measures(sequences),
        submission_folder="Annotations",
    )


def split_folders(folder: Path) -> tuple[Path, Path, list[str]]:
    """A split's folders of images and of annotations, and its sequences."""
    need_folder(folder, "the split")
    images = need_folder(folder / "JPEGImages", "the frames")
    annotations = need_folder(folder / "Annotations", "the annotations")
    return images, annotations, folder_names(images)


def read_meta(path: Path) -> dict[str, dict[int, ListedObject]]:
    """Read ``meta.json``: the objects of each video, by its name and by object id.

    Raises:
        UserError: the file cannot be read, or has another format.
    """
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))["videos"]
        return {
            str(name): {
                int(object_id): ListedObject(
                    str(item.get("category", "")), tuple(sorted(map(str, item["frames"])))
                )
                for object_id, item in video["objects"].items()
            }
            for name, video in videos.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: does not list videos, objects and frames ({error!r}); get the file again"
        ) from error


def youtube_vos_measures(rows: Sequence[ScoreRow]) -> dict[str, float]:
    """J and F of seen and of unseen categories, after their mean G.

    Each is the plain mean over the objects of its group; NaN without objects.
    """
    groups = {group: [row for row in rows if row.group == group] for group in (SEEN, UNSEEN)}
    figures = {f"J {group}": mean(row.j_mean for row in of) for group, of in groups.items()}
    figures |= {f"F {group}": mean(row.f_mean for row in of) for group, of in groups.items()}
    return {"G": sum(figures.values()) / len(figures), **figures}


def _measures(sequences: Sequence[VideoSequence]) -> Measures:
    """G needs both groups; without one of them, J&F is used."""
    groups = {group for sequence in sequences for group in sequence.groups.values()}
    return youtube_vos_measures if {SEEN, UNSEEN} <= groups else mean_region_and_boundary


def _sequence(
    name: str,
    images: Path,
    annotations: Path,
    listed: Mapping[int, ListedObject] | None,
    seen: frozenset[str],
) -> VideoSequence:
    frames, files = frames_and_annotations(images, annotations)
    first_frames = first_appearances(files, read_indexed, listed)
    if not first_frames:
        raise UserError(f"{annotations}: the annotations show no object; get the sequence again")
    if listed is None:
        sequence = VideoSequence(name, frames, files, first_frames, read_indexed)
        check_sizes(sequence)
        return sequence
    absent = sorted(set(listed) - set(first_frames))
    if absent:
        raise UserError(
            f"{annotations}: no annotation shows object {absent[0]} of meta.json; get the "
            "sequence again"
        )
    indices = {path.stem: index for index, path in enumerate(frames)}
    needed = sorted({frame for item in listed.values() for frame in item.frames})
    for frame in needed:
        if frame not in indices:
            raise UserError(
                f"{images}: frame {frame} of meta.json has no image; get the sequence again"
            )
    groups = {}
    if seen:
        groups = {
            object_id: SEEN if item.category in seen else UNSEEN
            for object_id, item in listed.items()
            if item.category
        }
    sequence = VideoSequence(
        name,
        frames,
        files,
        first_frames,
        read_indexed,
        groups,
        tuple(indices[frame] for frame in needed),
    )
    check_sizes(sequence)
    return sequence
