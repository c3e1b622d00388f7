"""Data sets: how they are opened, and how scores become official figures."""

from __future__ import annotations

import importlib
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import ScoreRow
from sam_pt_ros.evaluation.sequences import VOID, VideoSequence
from sam_pt_ros.options import did_you_mean
from sam_pt_ros.paths import is_hidden

Measures = Callable[[Sequence[ScoreRow]], dict[str, float]]
"""Computes the figures of one seed, in official order, from the rows of its objects."""

Opener = Callable[[Path, str, "Sequence[str] | None"], "Dataset"]
"""Opens a data set: its folder, the split, and the names of the sequences (None: all)."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ANNOTATION_SUFFIXES = (".png",)


@dataclass(frozen=True)
class Dataset:
    """One split of a data set, and its protocol.

    An object is scored in the annotated frames from the one in which it is given to the last one
    of its sequence.

    Attributes:
        name: as in :data:`DATASETS`.
        split: name of the split.
        sequences: at least one; names are unique.
        scored: whether the annotations that scores need are available; otherwise only a
            submission can be made.
        skip_first: whether the frame in which an object is given is not scored.
        skip_last: whether the last frame of a sequence is not scored.
        measures: computes the official figures; a function of a module.
        submission_folder: folder that holds the folders of the sequences in a submission; may be
            empty.
    """

    name: str
    split: str
    sequences: tuple[VideoSequence, ...]
    scored: bool
    skip_first: bool
    skip_last: bool
    measures: Measures
    submission_folder: str = ""

    def __post_init__(self) -> None:
        if not self.sequences:
            raise UserError(f"{self.name}, {self.split}: holds no sequence; check the folder")
        names = [sequence.name for sequence in self.sequences]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"{self.name}, {self.split}: two sequences are named '{twice[0]}'")

    def scored_frames(self, sequence: VideoSequence, object_id: int) -> range:
        """The frames that the protocol scores of an object, annotated or not."""
        start = sequence.first_frames[object_id] + int(self.skip_first)
        return range(start, len(sequence.images) - int(self.skip_last))


@dataclass(frozen=True)
class DatasetSpec:
    """A data set before it is opened.

    Attributes:
        splits: names of its splits.
        default_split: one of them.
        description: one line for users.
        opener: ``"module:function"`` of an :data:`Opener`.
    """

    splits: tuple[str, ...]
    default_split: str
    description: str
    opener: str

    def __post_init__(self) -> None:
        if self.default_split not in self.splits:
            raise ValueError(f"{self.default_split} is not one of {self.splits}")


_HERE = "sam_pt_ros.evaluation.datasets"

DATASETS: Mapping[str, DatasetSpec] = {
    "davis2016": DatasetSpec(
        ("train", "val", "trainval"),
        "val",
        "DAVIS 2016, 480p: one object per sequence; J, F, recall and decay",
        f"{_HERE}.davis:open_davis2016",
    ),
    "davis2017": DatasetSpec(
        ("train", "val", "test-dev", "test-challenge"),
        "val",
        "DAVIS 2017, 480p: several objects; J, F, recall and decay; tests are scored on a server",
        f"{_HERE}.davis:open_davis2017",
    ),
    "youtube_vos2018": DatasetSpec(
        ("train", "valid", "test"),
        "valid",
        "YouTube-VOS 2018, 6 frames per second; valid and test are scored on a server",
        f"{_HERE}.youtube_vos:open_youtube_vos2018",
    ),
    "mose2023": DatasetSpec(
        ("train", "valid"),
        "valid",
        "MOSE 2023: crowds and occlusions; valid is scored on a server",
        f"{_HERE}.mose:open_mose2023",
    ),
    "bdd100k": DatasetSpec(
        ("train", "val"),
        "val",
        "BDD100K's segmentation tracking as VOS, 100 objects at a time; J&F by length of track",
        f"{_HERE}.bdd100k:open_bdd100k",
    ),
}
"""By name, as in commands."""


def open_dataset(
    name: str, root: Path, split: str | None = None, sequences: Sequence[str] | None = None
) -> Dataset:
    """Open a data set in its official folders.

    Frames are read only when they are needed, and annotations only as far as needed to find the
    objects' first frames.

    Args:
        name: one of :data:`DATASETS`.
        root: the data set's folder.
        split: one of its splits; None: its default split.
        sequences: names of sequences to take, in any order; None: all.

    Raises:
        UserError: the name, the split or a sequence is unknown, or a folder or file is missing or
            not valid.
    """
    spec = DATASETS.get(name)
    if spec is None:
        raise UserError(f"unknown data set '{name}'{did_you_mean(name, DATASETS)}")
    split = spec.default_split if split is None else split
    if split not in spec.splits:
        raise UserError(f"{name} has no split '{split}'{did_you_mean(split, spec.splits)}")
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder of {name}")
    module, _, function = spec.opener.partition(":")
    opener: Opener = getattr(importlib.import_module(module), function)
    # Absolute, because the files may be read by a process in another folder.
    return opener(root.absolute(), split, sequences)


def official_figures(dataset: Dataset, rows: Sequence[ScoreRow]) -> dict[str, float]:
    """The figures of one seed, in the order of the data set's publications.

    Objects without a row or without scores do not count. A figure without values is NaN.

    Args:
        dataset: the data set.
        rows: of one seed, at most one per object.

    Raises:
        ValueError: there are several seeds, or two rows of one object.
    """
    if len({row.seed for row in rows}) > 1:
        raise ValueError("official_figures() takes the rows of one seed")
    if len({(row.sequence, row.object_id) for row in rows}) < len(rows):
        raise ValueError("official_figures() takes one row per object")
    return dataset.measures(rows)


def mean_and_deviation(
    summaries: Sequence[Mapping[str, float]],
) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each figure over the seeds.

    The deviation is that of a sample (n - 1). It is NaN for one seed, and both are NaN if the
    figure of a seed is.

    Args:
        summaries: of :func:`official_figures`, one per seed, at least one, with the same figures.
    """
    if not summaries or any(set(each) != set(summaries[0]) for each in summaries):
        raise ValueError("mean_and_deviation() takes one or more summaries of the same figures")
    found = {}
    for name in summaries[0]:
        values = [each[name] for each in summaries]
        known = not any(math.isnan(value) for value in values)
        found[name] = (
            statistics.fmean(values),
            statistics.stdev(values) if known and len(values) > 1 else math.nan,
        )
    return found


def mean(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan


def mean_region_and_boundary(rows: Sequence[ScoreRow]) -> dict[str, float]:
    """J&F, J and F as plain means over the objects of all sequences (a measure)."""
    j, f = mean(row.j_mean for row in rows), mean(row.f_mean for row in rows)
    return {"J&F": (j + f) / 2, "J mean": j, "F mean": f}


def choose_sequences(names: Iterable[str], chosen: Sequence[str] | None, where: str) -> list[str]:
    """The chosen ones of ``names``, in the order of ``names``.

    Args:
        names: of all sequences.
        chosen: names to take; None: all.
        where: the path for messages.

    Raises:
        UserError: a name is unknown, or none is chosen.
    """
    names = list(names)
    if chosen is None:
        return names
    if not chosen:
        raise UserError(
            f"{where}: no sequence is chosen; name at least one, or leave out --sequences"
        )
    for name in chosen:
        if name not in names:
            raise UserError(f"{where}: unknown sequence '{name}'{did_you_mean(name, names)}")
    return [name for name in names if name in chosen]


def need_folder(path: Path, what: str) -> Path:
    """``path``, which must be a folder; ``what`` says what it holds, for the message."""
    if not path.is_dir():
        raise UserError(f"{path}: the folder of {what} is missing; check the data set's path")
    return path


def folder_names(path: Path) -> list[str]:
    """Names of the folders in ``path``, sorted."""
    return sorted(each.name for each in path.iterdir() if each.is_dir() and not is_hidden(each))


def files_in(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files in a folder with these suffixes, sorted by name, without hidden files."""
    return sorted(
        each for each in path.iterdir() if each.suffix.lower() in suffixes and not is_hidden(each)
    )


def frames_and_annotations(
    images: Path, annotations: Path
) -> tuple[tuple[Path, ...], dict[int, Path]]:
    """The frames of a sequence, and its annotations by index of the frame of the same name.

    Args:
        images: the folder of the frames.
        annotations: the folder of the annotations; frames may lack one.

    Raises:
        UserError: a folder is missing or empty, or an annotation matches no frame.
    """
    frames = tuple(files_in(need_folder(images, "a sequence's frames"), IMAGE_SUFFIXES))
    if not frames:
        raise UserError(f"{images}: holds no images; get the sequence again")
    found = files_in(need_folder(annotations, "a sequence's annotations"), ANNOTATION_SUFFIXES)
    if not found:
        raise UserError(f"{annotations}: holds no PNG files; get the sequence again")
    indices = {path.stem: index for index, path in enumerate(frames)}
    if len(indices) < len(frames):
        raise UserError(f"{images}: two images have the same name; get the sequence again")
    for path in found:
        if path.stem not in indices:
            raise UserError(f"{path}: its frame is missing from {images}; get the sequence again")
    return frames, {indices[path.stem]: path for path in found}


def labels_in(labels: np.ndarray) -> list[int]:
    """The object ids in a label image, ascending, without background and :data:`VOID`."""
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=1))
    return [int(value) for value in present if 0 < value < VOID]


def first_appearances(
    annotations: Mapping[int, Path],
    read_labels: Callable[[Path], np.ndarray],
    ids: Iterable[int] | None = None,
) -> dict[int, int]:
    """The first annotated frame of each object, by object id, ascending.

    Args:
        annotations: files, by index of their frame.
        read_labels: reads a file as a label image.
        ids: the objects to find; reading stops once all are found. None: all objects.
    """
    wanted = None if ids is None else set(ids)
    found: dict[int, int] = {}
    for index in sorted(annotations):
        if wanted is not None and wanted <= found.keys():
            break
        for object_id in labels_in(read_labels(annotations[index])):
            if wanted is None or object_id in wanted:
                found.setdefault(object_id, index)
    return dict(sorted(found.items()))


def check_sizes(sequence: VideoSequence) -> None:
    """UserError if an annotation that gives an object differs in size from its frame."""
    for index in sorted(set(sequence.first_frames.values())):
        image, annotation = sequence.images[index], sequence.annotations[index]
        sizes = []
        for path in (image, annotation):
            try:
                with Image.open(path) as opened:  # reads no pixels
                    sizes.append(f"{opened.width}x{opened.height}")
            except (OSError, SyntaxError) as error:
                raise UserError(
                    f"{path}: cannot be read as an image; get the data set's file again"
                ) from error
        if sizes[0] != sizes[1]:
            raise UserError(
                f"{annotation}: the annotation has {sizes[1]} pixels, its frame {sizes[0]}; get "
                "images and annotations of the same resolution"
            )


def unannotated(sequence: VideoSequence) -> list[int]:
    """Indices of the frames that scores need but that have no annotation.

    Scores need the frames of a submission, or else all, from the first frame with an object.
    """
    start = min(sequence.first_frames.values(), default=0)
    needed = range(len(sequence.images)) if sequence.saved is None else sequence.saved
    return [index for index in needed if index >= start and index not in sequence.annotations]


def check_complete(sequences: Iterable[VideoSequence]) -> None:
    """UserError if the annotation of a frame that scores need is missing."""
    for sequence in sequences:
        missing = unannotated(sequence)
        if missing:
            folder = next(iter(sequence.annotations.values())).parent
            name = sequence.images[missing[0]].stem + ".png"
            raise UserError(
                f"{folder / name}: this annotation is missing (and {len(missing) - 1} more of "
                f"'{sequence.name}'); get the sequence again"
            )
