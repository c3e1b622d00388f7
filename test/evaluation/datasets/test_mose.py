"""MOSE 2023: as YouTube-VOS, without lists."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import official_figures, open_dataset
from sam_pt_ros.evaluation.label_images import submission_path, write_indexed
from sam_pt_ros.evaluation.results import ScoreRow


def add(folder: Path, name: str, frames: int, labels: dict[int, list[int]]) -> None:
    for kind in ("JPEGImages", "Annotations"):
        (folder / kind / name).mkdir(parents=True)
    for index in range(frames):
        image = np.zeros((6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / "JPEGImages" / name / f"{index:05}.jpg"), image)
    for index, ids in labels.items():
        marked = np.zeros((6, 8), np.uint8)
        marked[: len(ids), 2] = ids
        write_indexed(folder / "Annotations" / name / f"{index:05}.png", marked)


def test_valid_gives_away_first_annotations_only(tmp_path: Path) -> None:
    add(tmp_path / "valid", "b", 3, {0: [2, 1]})
    add(tmp_path / "valid", "a", 3, {0: [1], 2: [2]})
    dataset = open_dataset("mose2023", tmp_path)
    assert (dataset.split, dataset.scored) == ("valid", False)
    assert (dataset.skip_first, dataset.skip_last) == (True, False)
    first, second = dataset.sequences
    assert dict(first.first_frames) == {1: 0, 2: 2} and dict(second.first_frames) == {1: 0, 2: 0}
    assert first.saved is None and not first.groups
    assert submission_path(dataset.submission_folder, second, 2) == Path("b/00002.png")


def test_train_is_scored_and_must_be_complete(tmp_path: Path) -> None:
    add(tmp_path / "train", "a", 4, {1: [1], 2: [0], 3: [1, 2]})
    dataset = open_dataset("mose2023", tmp_path, "train")
    assert dataset.scored
    assert dict(dataset.sequences[0].first_frames) == {1: 1, 2: 3}
    figures = official_figures(
        dataset, [ScoreRow("a", 0, 1, "", "", 3, 1, 1, 2, 0.2, 0, 0, 0.5, 0, 0)]
    )
    assert figures == pytest.approx({"J&F": 0.35, "J mean": 0.2, "F mean": 0.5})
    (tmp_path / "train/Annotations/a/00002.png").unlink()
    with pytest.raises(UserError, match=r"a/00002\.png: this annotation is missing"):
        open_dataset("mose2023", tmp_path, "train")


def test_a_sequence_without_objects_is_named(tmp_path: Path) -> None:
    add(tmp_path / "valid", "a", 2, {0: [0]})
    with pytest.raises(UserError, match=r"Annotations/a: the annotations show no object"):
        open_dataset("mose2023", tmp_path)
    (tmp_path / "valid/Annotations/a/00000.png").unlink()
    with pytest.raises(UserError, match=r"Annotations/a: holds no PNG files"):
        open_dataset("mose2023", tmp_path)
