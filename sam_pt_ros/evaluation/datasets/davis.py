"""DAVIS 2016 and 2017, 480p, in the folders of their archives.

Perazzi et al., CVPR 2016; Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object
Segmentation", arXiv 1704.00675. The protocol is the semi-supervised one of
davisvideochallenge/davis2017-evaluation: all objects are given in the first frame, and neither
that frame nor the last one is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import (
    Dataset,
    check_complete,
    check_sizes,
    choose_sequences,
    folder_names,
    frames_and_annotations,
    labels_in,
    mean,
    mean_region_and_boundary,
    need_folder,
    unannotated,
)
from sam_pt_ros.evaluation.label_images import read_indexed
from sam_pt_ros.evaluation.results import ScoreRow
from sam_pt_ros.evaluation.sequences import VideoSequence

RESOLUTION = "480p"
FOREGROUND = 127
"""Gray values above this are the object of DAVIS 2016, whose files hold 0 and 255."""

_UNLABELLED = 255


def open_davis2016(root: Path, split: str, chosen: Sequence[str] | None) -> Dataset:
    """Open DAVIS 2016: one object per sequence.

    ``root`` holds ``JPEGImages/480p`` and ``Annotations/480p``, and the lists of the splits in
    ``ImageSets/480p`` (its own archive) or ``ImageSets/2016`` (the archive of DAVIS 2017). Without
    such lists every sequence belongs to every split.
    """
    for folder in (root / "ImageSets" / RESOLUTION, root / "ImageSets" / "2016"):
        if folder.is_dir():
            names = _names_of_split(folder, split)
            break
    else:
        names = folder_names(need_folder(root / "JPEGImages" / RESOLUTION, "the frames"))
    return _open(
        "davis2016", root, split, choose_sequences(names, chosen, str(root)), read_foreground
    )


def open_davis2017(root: Path, split: str, chosen: Sequence[str] | None) -> Dataset:
    """Open DAVIS 2017: the objects of a sequence are those of its first annotation.

    ``root`` holds ``JPEGImages/480p``, ``Annotations/480p`` and ``ImageSets/2017``. The test
    splits contain the first annotation only.
    """
    folder = need_folder(root / "ImageSets" / "2017", "the lists of the splits")
    names = _names_of_split(folder, split)
    return _open(
        "davis2017", root, split, choose_sequences(names, chosen, str(root)), read_objects
    )


def read_foreground(path: Path) -> np.ndarray:
    """Read an annotation of DAVIS 2016 as ``uint16 (H, W)``: 1 where it is above 127, else 0."""
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise UserError(f"{path}: cannot be read as an image; get the data set's file again")
    return (gray > FOREGROUND).astype(np.uint16)


def read_objects(path: Path) -> np.ndarray:
    """Read an annotation of DAVIS 2017 as ``uint16 (H, W)``; 255 becomes background."""
    labels = read_indexed(path)
    labels[labels == _UNLABELLED] = 0
    return labels


def davis_measures(rows: Sequence[ScoreRow]) -> dict[str, float]:
    """J&F, and mean, recall and decay of J and F, as plain means over all objects."""
    both = mean_region_and_boundary(rows)
    return {
        "J&F": both["J&F"],
        "J mean": both["J mean"],
        "J recall": mean(row.j_recall for row in rows),
        "J decay": mean(row.j_decay for row in rows),
        "F mean": both["F mean"],
        "F recall": mean(row.f_recall for row in rows),
        "F decay": mean(row.f_decay for row in rows),
    }


def _open(
    name: str,
    root: Path,
    split: str,
    names: Sequence[str],
    read_labels: Callable[[Path], np.ndarray],
) -> Dataset:
    images = need_folder(root / "JPEGImages" / RESOLUTION, "the frames")
    annotations = need_folder(root / "Annotations" / RESOLUTION, "the annotations")
    sequences = tuple(
        _sequence(each, images / each, annotations / each, read_labels) for each in names
    )
    if not split.startswith("test"):
        check_complete(sequences)
    return Dataset(
        name,
        split,
        sequences,
        scored=not any(unannotated(sequence) for sequence in sequences),
        skip_first=True,
        skip_last=True,
        measures=davis_measures,
    )


def _sequence(
    name: str, images: Path, annotations: Path, read_labels: Callable[[Path], np.ndarray]
) -> VideoSequence:
    frames, files = frames_and_annotations(images, annotations)
    if 0 not in files:
        raise UserError(
            f"{annotations / frames[0].stem}.png: the annotation of the first frame is missing; "
            f"get '{name}' again"
        )
    objects = labels_in(read_labels(files[0]))
    if not objects:
        raise UserError(
            f"{files[0]}: the first frame shows no object; check that the folder belongs to this "
            "year's DAVIS"
        )
    sequence = VideoSequence(name, frames, files, dict.fromkeys(objects, 0), read_labels)
    check_sizes(sequence)
    return sequence


def _names_of_split(folder: Path, split: str) -> list[str]:
    """The sequences of a split; train and val together if ``trainval`` has no list."""
    if split == "trainval" and not (folder / "trainval.txt").is_file():
        return sorted({*_read_names(folder / "train.txt"), *_read_names(folder / "val.txt")})
    return _read_names(folder / f"{split}.txt")


def _read_names(path: Path) -> list[str]:
    """The sequences of a list; a line holds a name or, in the archive of 2016, the files."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: this list is missing; get the data set again, or choose another split"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of sequences ({error})") from error
    first = [line.split()[0] for line in lines if line.strip()]
    names = [PurePosixPath(each).parent.name if "/" in each else each for each in first]
    if not names:
        raise UserError(f"{path}: this list names no sequences; get the data set again")
    return list(dict.fromkeys(names))
