"""YouTube-VOS 2018: late objects, what a submission holds, seen and unseen."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import Dataset, official_figures, open_dataset
from sam_pt_ros.evaluation.label_images import submission_path, write_indexed
from sam_pt_ros.evaluation.results import ScoreRow


def add(folder: Path, name: str, frames: int, labels: dict[int, list[int]]) -> None:
    """A video of which every fifth frame is there, with the given labels in some."""
    for kind in ("JPEGImages", "Annotations"):
        (folder / kind / name).mkdir(parents=True)
    for index in range(frames):
        image = np.zeros((6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / "JPEGImages" / name / f"{5 * index:05}.jpg"), image)
    for index, ids in labels.items():
        marked = np.zeros((6, 8), np.uint8)
        marked[: len(ids), 2] = ids
        write_indexed(folder / "Annotations" / name / f"{5 * index:05}.png", marked)


def write_meta(folder: Path, **videos: dict[str, tuple[str, list[str]]]) -> None:
    text: dict[str, Any] = {
        "videos": {
            name: {
                "objects": {
                    object_id: {"category": category, "frames": frames}
                    for object_id, (category, frames) in objects.items()
                }
            }
            for name, objects in videos.items()
        }
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(text))


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    """Two videos; ``v1`` has an object that comes late and a last frame not asked for."""
    folder = tmp_path / "valid"
    add(folder, "v1", 4, {0: [1], 2: [3]})
    add(folder, "v2", 3, {0: [1, 2]})
    write_meta(
        folder,
        v1={"1": ("dog", ["00000", "00005"]), "3": ("yak", ["00010"])},
        v2={"1": ("dog", ["00000", "00005", "00010"]), "2": ("cat", ["00000", "00005"])},
    )
    return folder


def row(sequence: str, object_id: int, group: str, j: float, f: float) -> ScoreRow:
    return ScoreRow(sequence, 0, object_id, "", group, 9, 1.0, 0.9, 7, j_mean=j, f_mean=f)


def groups(dataset: Dataset) -> list[dict[int, str]]:
    return [dict(sequence.groups) for sequence in dataset.sequences]


def test_objects_start_where_they_are_given(valid: Path) -> None:
    dataset = open_dataset("youtube_vos2018", valid.parent)
    assert (dataset.split, dataset.scored) == ("valid", False)
    assert (dataset.skip_first, dataset.skip_last) == (True, False)
    first, second = dataset.sequences
    assert dict(first.first_frames) == {1: 0, 3: 2}
    assert dict(second.first_frames) == {1: 0, 2: 0}
    assert [path.name for path in first.images] == [
        "00000.jpg", "00005.jpg", "00010.jpg", "00015.jpg"
    ]  # fmt: skip
    assert first.saved == (0, 1, 2) and second.saved == (0, 1, 2)
    assert list(dataset.scored_frames(first, 3)) == [3]
    truth = first.truth(2)
    assert truth is not None and truth[:2, 2].tolist() == [3, 0]
    assert first.truth(1) is None
    assert submission_path(dataset.submission_folder, first, 2) == Path("Annotations/v1/00010.png")
    assert groups(dataset) == [{}, {}]
    assert pickle.loads(pickle.dumps(dataset)).sequences[0].saved == (0, 1, 2)


def test_categories_of_the_training_split_are_seen(valid: Path) -> None:
    write_meta(valid.parent / "train", t={"1": ("dog", []), "2": ("cat", [])})
    dataset = open_dataset("youtube_vos2018", valid.parent)
    assert groups(dataset) == [{1: "seen", 3: "unseen"}, {1: "seen", 2: "seen"}]
    rows = [
        row("v1", 1, "seen", 0.8, 0.6),
        row("v1", 3, "unseen", 0.3, 0.5),
        row("v2", 1, "seen", 0.5, 0.9),
        row("v2", 2, "seen", 0.2, 0.0),
    ]
    figures = official_figures(dataset, rows)
    assert list(figures) == ["G", "J seen", "J unseen", "F seen", "F unseen"]
    # Not the mean over the four objects, which would be 0.475.
    assert list(figures.values()) == pytest.approx([0.45, 0.5, 0.3, 0.5, 0.5])
    assert math.isnan(official_figures(dataset, rows[:1])["G"])


def test_without_both_groups_the_figure_is_j_and_f(valid: Path) -> None:
    figures = official_figures(
        open_dataset("youtube_vos2018", valid.parent), [row("v1", 1, "", 0.2, 0.6)]
    )
    assert figures == pytest.approx({"J&F": 0.4, "J mean": 0.2, "F mean": 0.6})


def test_full_annotations_are_scored(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        add(tmp_path / split, "v1", 4, {1: [2], 2: [2, 5], 3: [0]})
        write_meta(
            tmp_path / split,
            v1={"2": ("dog", ["00005", "00010"]), "5": ("dog", ["00010", "00015"])},
        )
        dataset = open_dataset("youtube_vos2018", tmp_path, split)
        assert dataset.scored
        assert dict(dataset.sequences[0].first_frames) == {2: 1, 5: 2}
        assert groups(dataset) == [{2: "seen", 5: "seen"}]
        assert list(official_figures(dataset, [])) == ["J&F", "J mean", "F mean"]
        (tmp_path / split / "Annotations/v1/00015.png").unlink()
    assert not open_dataset("youtube_vos2018", tmp_path, "valid").scored
    with pytest.raises(UserError, match=r"v1/00015\.png: this annotation is missing"):
        open_dataset("youtube_vos2018", tmp_path, "train")


def test_without_meta_everything_is_saved_and_annotations_say_it_all(valid: Path) -> None:
    (valid / "meta.json").unlink()
    first, _ = open_dataset("youtube_vos2018", valid.parent).sequences
    assert dict(first.first_frames) == {1: 0, 3: 2} and first.saved is None


def test_an_object_that_meta_does_not_list_is_left_out(valid: Path) -> None:
    write_meta(valid, v1={"3": ("yak", ["00010"])}, v2={"1": ("dog", ["00000"])})
    first, second = open_dataset("youtube_vos2018", valid.parent).sequences
    assert dict(first.first_frames) == {3: 2} and dict(second.first_frames) == {1: 0}
    assert first.saved == (2,)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            {"1": ("dog", ["00000"]), "9": ("dog", ["00000"])},
            "no annotation shows object 9 of meta.json",
        ),
        ({"1": ("dog", ["00000", "00001"])}, "frame 00001 of meta.json has no image"),
        ({}, "the annotations show no object"),
    ],
)
def test_meta_and_files_must_agree(
    valid: Path, objects: dict[str, tuple[str, list[str]]], message: str
) -> None:
    write_meta(valid, v1=objects)
    with pytest.raises(UserError, match=message):
        open_dataset("youtube_vos2018", valid.parent, sequences=["v1"])
    with pytest.raises(UserError, match=r"meta\.json: does not list 'v2'"):
        open_dataset("youtube_vos2018", valid.parent, sequences=["v2"])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"videos": 3}', '{"videos": {"v1": {"objects": {"1": {}}}}}',
     '{"videos": {"v1": {"objects": {"a": {"frames": []}}}}}', '{"videos": {"v1": []}}'],
)  # fmt: skip
def test_what_is_no_meta_file_is_refused(valid: Path, text: str) -> None:
    (valid / "meta.json").write_text(text)
    with pytest.raises(UserError, match=r"meta\.json: does not list videos, objects and frames"):
        open_dataset("youtube_vos2018", valid.parent)


def test_missing_folders_are_named(valid: Path) -> None:
    with pytest.raises(UserError, match=r"test: the folder of the split is missing"):
        open_dataset("youtube_vos2018", valid.parent, "test")
    add(valid, "v3", 2, {})
    (valid / "meta.json").unlink()
    with pytest.raises(UserError, match=r"Annotations/v3: holds no PNG files"):
        open_dataset("youtube_vos2018", valid.parent, sequences=["v3"])
