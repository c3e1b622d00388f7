"""MOSE 2023, in the folders of its archives.

Ding et al., "MOSE: A New Dataset for Video Object Segmentation in Complex Scenes", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import (
    Dataset,
    check_complete,
    check_sizes,
    choose_sequences,
    first_appearances,
    frames_and_annotations,
    mean_region_and_boundary,
    unannotated,
)
from sam_pt_ros.evaluation.datasets.youtube_vos import split_folders
from sam_pt_ros.evaluation.label_images import read_indexed
from sam_pt_ros.evaluation.sequences import VideoSequence


def open_mose2023(root: Path, split: str, chosen: Sequence[str] | None) -> Dataset:
    """Open MOSE 2023: ``root`` holds ``{train, valid}/{JPEGImages, Annotations}``.

    Objects start in the first annotation that shows them. Every frame of ``train`` is annotated,
    so opening all of it takes minutes.
    """
    images, annotations, names = split_folders(root / split)
    sequences = tuple(
        _sequence(name, images / name, annotations / name)
        for name in choose_sequences(names, chosen, str(root / split))
    )
    if split == "train":
        check_complete(sequences)
    return Dataset(
        "mose2023",
        split,
        sequences,
        scored=not any(unannotated(sequence) for sequence in sequences),
        skip_first=True,
        skip_last=False,
        measures=mean_region_and_boundary,
    )


def _sequence(name: str, images: Path, annotations: Path) -> VideoSequence:
    frames, files = frames_and_annotations(images, annotations)
    first_frames = first_appearances(files, read_indexed)
    if not first_frames:
        raise UserError(f"{annotations}: the annotations show no object; get the sequence again")
    sequence = VideoSequence(name, frames, files, first_frames, read_indexed)
    check_sizes(sequence)
    return sequence
