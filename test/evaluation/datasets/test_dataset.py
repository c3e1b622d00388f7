"""Opening data sets by name, and from the scores of objects to official figures."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import (
    DATASETS,
    Dataset,
    DatasetSpec,
    check_complete,
    check_sizes,
    choose_sequences,
    first_appearances,
    frames_and_annotations,
    mean_and_deviation,
    mean_region_and_boundary,
    official_figures,
    open_dataset,
    unannotated,
)
from sam_pt_ros.evaluation.label_images import read_indexed, write_indexed
from sam_pt_ros.evaluation.results import ScoreRow
from sam_pt_ros.evaluation.sequences import VideoSequence


def row(object_id: int, j: float, f: float, **changes: object) -> ScoreRow:
    made = ScoreRow("a", 0, object_id, "", "", 9, 1.0, 0.9, 7, j_mean=j, f_mean=f)
    return replace(made, **changes)  # type: ignore[arg-type]


def sequence(name: str, frames: int = 4) -> VideoSequence:
    paths = tuple(Path(f"{name}/{index:05}.jpg") for index in range(frames))
    return VideoSequence(name, paths, {1: Path("x.png")}, {3: 1}, read_indexed)


def dataset(*names: str, skip_first: bool = True, skip_last: bool = False) -> Dataset:
    sequences = tuple(sequence(name) for name in names)
    return Dataset("d", "val", sequences, True, skip_first, skip_last, mean_region_and_boundary)


def test_every_data_set_can_be_opened_and_is_described() -> None:
    assert list(DATASETS) == ["davis2016", "davis2017", "youtube_vos2018", "mose2023", "bdd100k"]
    for spec in DATASETS.values():
        module, _, function = spec.opener.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))
        assert spec.default_split in spec.splits
        assert "\n" not in spec.description
    with pytest.raises(ValueError, match="not one of"):
        DatasetSpec(("train",), "val", "", "")


@pytest.mark.parametrize("name", list(DATASETS))
def test_an_empty_folder_names_what_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the folder of .* is missing") as caught:
        open_dataset(name, tmp_path)
    assert str(caught.value).startswith(str(tmp_path)) and "\n" not in str(caught.value)


def test_unknown_names_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown data set 'davis17'; did you mean 'davis2017'"):
        open_dataset("davis17", tmp_path)
    with pytest.raises(UserError, match="davis2016 has no split 'vall'; did you mean 'val'"):
        open_dataset("davis2016", tmp_path, "vall")
    with pytest.raises(UserError, match="no such folder"):
        open_dataset("davis2016", tmp_path / "none")


def test_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / "mose" / "valid" / kind / "a").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "mose/valid/JPEGImages/a/0.jpg"), np.zeros((6, 8, 3), np.uint8))
    write_indexed(tmp_path / "mose/valid/Annotations/a/0.png", np.ones((6, 8), np.uint8))
    monkeypatch.chdir(tmp_path)
    (found,) = open_dataset("mose2023", Path("mose")).sequences
    monkeypatch.chdir("/")
    assert found.image(0).shape == (6, 8, 3) and found.truth(0) is not None


def test_sequences_are_chosen_by_name_in_the_order_of_the_data_set() -> None:
    names = ["bear", "camel", "dog"]
    assert choose_sequences(names, None, "x") == names
    assert choose_sequences(names, ["dog", "bear", "dog"], "x") == ["bear", "dog"]
    with pytest.raises(UserError, match="x: unknown sequence 'camle'; did you mean 'camel'"):
        choose_sequences(names, ["bear", "camle"], "x")
    with pytest.raises(UserError, match="no sequence is chosen"):
        choose_sequences(names, [], "x")


def test_a_data_set_has_sequences_of_different_names() -> None:
    with pytest.raises(UserError, match="holds no sequence"):
        dataset()
    with pytest.raises(UserError, match="two sequences are named 'b'"):
        dataset("a", "b", "b")


def test_frames_that_are_scored() -> None:
    of = sequence("a")  # 4 frames; object 3 is given in frame 1
    assert list(dataset("a").scored_frames(of, 3)) == [2, 3]
    assert list(dataset("a", skip_last=True).scored_frames(of, 3)) == [2]
    assert list(dataset("a", skip_first=False).scored_frames(of, 3)) == [1, 2, 3]


def test_frames_and_annotations_go_together_by_name(tmp_path: Path) -> None:
    images, annotations = tmp_path / "images", tmp_path / "annotations"
    for folder in (images, annotations):
        folder.mkdir()
    with pytest.raises(UserError, match=r"images: holds no images"):
        frames_and_annotations(images, annotations)
    for name in ("00010.jpg", "00000.jpg", "00005.JPG", "._00000.jpg", "notes.txt"):
        (images / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"annotations: holds no PNG files"):
        frames_and_annotations(images, annotations)
    for name in ("00010.png", "00000.png", "._00000.png"):
        (annotations / name).write_bytes(b"")
    frames, files = frames_and_annotations(images, annotations)
    assert [path.name for path in frames] == ["00000.jpg", "00005.JPG", "00010.jpg"]
    assert {index: path.name for index, path in files.items()} == {0: "00000.png", 2: "00010.png"}
    (annotations / "00015.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"00015\.png: its frame is missing from"):
        frames_and_annotations(images, annotations)
    (annotations / "00015.png").unlink()
    (images / "00010.png").write_bytes(b"")
    with pytest.raises(UserError, match="two images have the same name"):
        frames_and_annotations(images, annotations)
    with pytest.raises(UserError, match=r"none: the folder of a sequence's annotations"):
        frames_and_annotations(images, tmp_path / "none")


def test_first_appearances_are_found_in_order(tmp_path: Path) -> None:
    read: list[int] = []
    frames = {7: [[9, 3]], 2: [[0, 4]], 5: [[4, 9]], 8: [[6, 65535]]}

    def labels(path: Path) -> np.ndarray:
        read.append(int(path.stem))
        return np.array(frames[int(path.stem)], np.uint16)

    files = {index: Path(f"{index}.png") for index in frames}
    assert first_appearances(files, labels) == {3: 7, 4: 2, 6: 8, 9: 5}
    assert read == [2, 5, 7, 8]
    read.clear()
    assert first_appearances(files, labels, {9, 4}) == {4: 2, 9: 5}
    assert read == [2, 5]
    assert first_appearances(files, labels, {77}) == {}


def test_annotations_of_another_size_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((6, 8, 3), np.uint8))
    for shape, fits in (((6, 8), True), ((3, 4), False), ((8, 6), False)):
        write_indexed(tmp_path / "0.png", np.ones(shape, np.uint8))
        of = VideoSequence(
            "a", (tmp_path / "0.jpg",), {0: tmp_path / "0.png"}, {1: 0}, read_indexed
        )
        if fits:
            check_sizes(of)
        else:
            with pytest.raises(
                UserError, match=r"0\.png: the annotation has .x. pixels, its frame 8x6"
            ):
                check_sizes(of)
    (tmp_path / "0.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"0\.jpg: cannot be read as an image"):
        check_sizes(of)


def test_the_first_missing_annotation_is_named() -> None:
    paths = tuple(Path(f"i/{index:05}.jpg") for index in range(6))
    files = {index: Path(f"a/{index:05}.png") for index in (1, 2, 4)}
    of = VideoSequence("dog", paths, files, {1: 1}, read_indexed)
    # Frame 0 is before there is an object.
    assert unannotated(of) == [3, 5]
    assert unannotated(replace(of, saved=(0, 1, 4))) == []
    with pytest.raises(UserError, match=r"a/00003\.png: .* missing \(and 1 more of 'dog'\)"):
        check_complete([of])


def test_j_and_f_are_means_over_objects_not_over_sequences() -> None:
    rows = [row(1, 0.2, 0.4), row(2, 0.4, 0.6), row(1, 0.9, 0.8, sequence="b")]
    figures = official_figures(dataset("a", "b"), rows)
    assert list(figures) == ["J&F", "J mean", "F mean"]
    assert figures == pytest.approx({"J&F": 0.55, "J mean": 0.5, "F mean": 0.6})


def test_objects_without_scores_do_not_count_and_nothing_is_nan() -> None:
    rows = [row(1, 0.2, 0.4), row(2, math.nan, math.nan, scored=0)]
    assert official_figures(dataset("a"), rows)["J&F"] == pytest.approx(0.3)
    assert all(math.isnan(value) for value in official_figures(dataset("a"), []).values())


def test_rows_of_two_seeds_or_twice_the_same_object_are_refused() -> None:
    with pytest.raises(ValueError, match="one seed"):
        official_figures(dataset("a"), [row(1, 1, 1), row(2, 1, 1, seed=1)])
    with pytest.raises(ValueError, match="one row per object"):
        official_figures(dataset("a"), [row(1, 1, 1), row(1, 1, 1)])


def test_mean_and_deviation_over_seeds() -> None:
    seeds = [{"G": 0.2, "J": 1.0}, {"G": 0.4, "J": 1.0}, {"G": 0.9, "J": math.nan}]
    found = mean_and_deviation(seeds)
    assert list(found) == ["G", "J"]
    # sqrt((0.3^2 + 0.1^2 + 0.4^2) / 2)
    assert found["G"] == pytest.approx((0.5, math.sqrt(0.13)))
    assert found["G"][1] == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    assert found["G"][1] != pytest.approx(statistics.pstdev([0.2, 0.4, 0.9]))
    assert all(math.isnan(value) for value in found["J"])


def test_one_seed_has_no_deviation() -> None:
    mean, deviation = mean_and_deviation([{"J": 0.25}])["J"]
    assert mean == 0.25 and math.isnan(deviation)


def test_summaries_must_have_the_same_figures() -> None:
    for summaries in ([], [{"J": 1.0}, {"F": 1.0}], [{"J": 1.0}, {"J": 1.0, "F": 1.0}]):
        with pytest.raises(ValueError, match="same figures"):
            mean_and_deviation(summaries)
