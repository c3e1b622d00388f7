"""DAVIS 2016 and 2017: lists, objects, protocol; and the real files if they are here."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import official_figures, open_dataset
from sam_pt_ros.evaluation.label_images import submission_path, write_indexed
from sam_pt_ros.evaluation.results import ScoreRow

TEST = Path(__file__).resolve().parents[2]
DAVIS_ROOT = Path(
    os.environ.get("SAM_PT_DAVIS_ROOT", TEST.parent.parent / "shared" / "data" / "davis2016")
)
needs_davis = pytest.mark.skipif(
    not (DAVIS_ROOT / "JPEGImages" / "480p").is_dir(),
    reason=f"no DAVIS 2016 in {DAVIS_ROOT}; name its folder in SAM_PT_DAVIS_ROOT",
)


def add(root: Path, name: str, labels: list[np.ndarray], images: int | None = None) -> None:
    """A sequence with an annotation for each of ``labels``, the first frames of ``images``."""
    folders = [root / kind / "480p" / name for kind in ("JPEGImages", "Annotations")]
    for folder in folders:
        folder.mkdir(parents=True)
    for index in range(len(labels) if images is None else images):
        image = np.full((6, 8, 3), index, np.uint8)
        cv2.imwrite(str(folders[0] / f"{index:05}.jpg"), image)
    for index, each in enumerate(labels):
        write_indexed(folders[1] / f"{index:05}.png", each)


def names_file(root: Path, path: str, text: str) -> None:
    (root / "ImageSets" / path).parent.mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / path).write_bytes(text.encode())


def frame(*labels: int) -> np.ndarray:
    """6x8 pixels; row ``i`` begins with the ``i``th label."""
    image = np.zeros((6, 8), np.uint8)
    for index, label in enumerate(labels):
        image[index, :3] = label
    return image


def opened(root: Path, name: str, split: str | None = None) -> list[str]:
    return [sequence.name for sequence in open_dataset(name, root, split).sequences]


def test_2016_marks_what_is_brighter_than_127(tmp_path: Path) -> None:
    add(tmp_path, "bear", [frame(255, 128, 127, 1), frame(0, 0), frame(255)])
    dataset = open_dataset("davis2016", tmp_path)
    assert (dataset.name, dataset.split, dataset.scored) == ("davis2016", "val", True)
    (sequence,) = dataset.sequences
    assert dict(sequence.first_frames) == {1: 0}
    assert len(sequence.images) == 3 and sequence.saved is None
    truth = sequence.truth(0)
    assert truth is not None and truth.dtype == np.uint16
    # The palette turns the index 255 into a colour that is bright, and 128 into a dark one.
    assert (tmp_path / "Annotations/480p/bear/00000.png").read_bytes()[25] == 3
    assert truth[0, :4].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_2016_is_read_in_every_kind_of_pixel_it_comes_in(tmp_path: Path, mode: str) -> None:
    add(tmp_path, "bear", [frame(255)] * 2)
    gray = frame(255, 128 if mode != "1" else 255, 0, 127 if mode != "1" else 0)
    for index in range(2):
        Image.fromarray(gray).convert(mode).save(
            tmp_path / f"Annotations/480p/bear/{index:05}.png"
        )
    (sequence,) = open_dataset("davis2016", tmp_path).sequences
    truth = sequence.truth(0)
    assert truth is not None
    assert truth[:, 0].tolist() == [1, 1, 0, 0, 0, 0] and truth[:, 5].max() == 0


def test_2016_lists_of_its_own_archive_name_files(tmp_path: Path) -> None:
    for name in ("bear", "camel", "dog"):
        add(tmp_path, name, [frame(255)] * 2)
    names_file(
        tmp_path,
        "480p/val.txt",
        "".join(
            f"/JPEGImages/480p/{name}/{index:05}.jpg /Annotations/480p/{name}/{index:05}.png\r\n"
            for name in ("dog", "bear")
            for index in range(2)
        ),
    )
    assert opened(tmp_path, "davis2016") == ["dog", "bear"]
    names_file(tmp_path, "480p/train.txt", "\ufeffcamel\r\n\r\n  \n")
    assert opened(tmp_path, "davis2016", "train") == ["camel"]
    assert opened(tmp_path, "davis2016", "trainval") == ["bear", "camel", "dog"]
    names_file(tmp_path, "480p/trainval.txt", "dog\ncamel")
    assert opened(tmp_path, "davis2016", "trainval") == ["dog", "camel"]


def test_2016_lists_of_the_2017_archive_and_no_lists(tmp_path: Path) -> None:
    for name in ("bear", "dog"):
        add(tmp_path, name, [frame(255)] * 2)
    assert opened(tmp_path, "davis2016") == ["bear", "dog"]
    names_file(tmp_path, "2016/val.txt", "dog")
    assert opened(tmp_path, "davis2016") == ["dog"]
    with pytest.raises(UserError, match=r"ImageSets/2016/train\.txt: this list is missing"):
        open_dataset("davis2016", tmp_path, "train")


def test_2017_numbers_the_objects_of_the_first_annotation(tmp_path: Path) -> None:
    add(tmp_path, "dogs", [frame(2, 1, 255), frame(1, 2, 3), frame(0, 2, 255)])
    add(tmp_path, "unlisted", [frame(1)])
    names_file(tmp_path, "2017/val.txt", "dogs\r\n")
    dataset = open_dataset("davis2017", tmp_path)
    (sequence,) = dataset.sequences
    assert dict(sequence.first_frames) == {1: 0, 2: 0}
    first, second = sequence.truth(0), sequence.truth(1)
    assert first is not None and first[:4, 0].tolist() == [2, 1, 0, 0]
    assert second is not None and second[:4, 0].tolist() == [1, 2, 3, 0]
    assert (dataset.skip_first, dataset.skip_last) == (True, True)
    assert list(dataset.scored_frames(sequence, 2)) == [1]
    assert pickle.loads(pickle.dumps(dataset)).sequences[0].truth(0).max() == 2


def test_2017_tests_give_away_the_first_annotation_only(tmp_path: Path) -> None:
    add(tmp_path, "dogs", [frame(1, 2)], images=5)
    for split in ("test-dev", "test-challenge", "val"):
        names_file(tmp_path, f"2017/{split}.txt", "dogs")
    for split in ("test-dev", "test-challenge"):
        dataset = open_dataset("davis2017", tmp_path, split)
        assert not dataset.scored
        (sequence,) = dataset.sequences
        assert sequence.truth(4) is None
        assert submission_path(dataset.submission_folder, sequence, 4) == Path("dogs/00004.png")
    with pytest.raises(UserError, match=r"dogs/00001\.png: this annotation is missing \(and 3"):
        open_dataset("davis2017", tmp_path, "val")


def test_what_is_not_as_it_should_be_is_named(tmp_path: Path) -> None:
    add(tmp_path, "bear", [frame(255)] * 3)
    names_file(tmp_path, "2016/val.txt", "bear\nlost\n")
    with pytest.raises(UserError, match=r"480p/lost: the folder of a sequence's frames"):
        open_dataset("davis2016", tmp_path)
    assert len(open_dataset("davis2016", tmp_path, sequences=["bear"]).sequences) == 1
    with pytest.raises(UserError, match="unknown sequence 'beer'; did you mean 'bear'"):
        open_dataset("davis2016", tmp_path, sequences=["beer"])
    names_file(tmp_path, "2016/val.txt", "\r\n\r\n")
    with pytest.raises(UserError, match=r"val\.txt: this list names no sequence"):
        open_dataset("davis2016", tmp_path)
    (tmp_path / "ImageSets/2016/val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"val\.txt: cannot be read as a list"):
        open_dataset("davis2016", tmp_path)
    names_file(tmp_path, "2016/val.txt", "bear")
    (tmp_path / "Annotations/480p/bear/00000.png").unlink()
    with pytest.raises(UserError, match=r"bear/00000\.png: the annotation of the first frame"):
        open_dataset("davis2016", tmp_path)
    # As if the folder were that of DAVIS 2017.
    write_indexed(tmp_path / "Annotations/480p/bear/00000.png", frame(1, 2))
    with pytest.raises(UserError, match="the first frame shows no object"):
        open_dataset("davis2016", tmp_path)
    (tmp_path / "Annotations/480p/bear/00000.png").write_text("no image")
    with pytest.raises(UserError, match=r"bear/00000\.png: cannot be read"):
        open_dataset("davis2016", tmp_path)


def test_figures_are_in_the_order_of_the_toolkit(tmp_path: Path) -> None:
    add(tmp_path, "bear", [frame(255)] * 3)
    rows = [
        ScoreRow("bear", 0, 1, "", "", 3, 1, 1, 1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
        ScoreRow("bear", 0, 2, "", "", 3, 1, 1, 1, 0.3, 0.6, -0.1, 0.8, 0.7, 0.2),
        ScoreRow("dog", 0, 1, "", "", 3, 1, 1, 1, 0.8, 1.0, 0.1, 0.9, 0.9, 0.1),
    ]
    figures = official_figures(open_dataset("davis2016", tmp_path), rows)
    assert list(figures) == [
        "J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay"
    ]  # fmt: skip
    assert list(figures.values()) == pytest.approx([0.55, 0.4, 0.6, 0.1, 0.7, 0.7, 0.3])


@needs_davis
def test_the_real_sequences_of_2016() -> None:
    dataset = open_dataset("davis2016", DAVIS_ROOT)
    assert dataset.scored
    frames = {sequence.name: len(sequence.images) for sequence in dataset.sequences}
    expected = {
        "blackswan": 50, "bmx-trees": 80, "car-roundabout": 75, "car-shadow": 40, "dog": 60,
        "horsejump-high": 50, "libby": 49, "scooter-black": 43,
    }  # fmt: skip
    assert expected.items() <= frames.items()
    for sequence in dataset.sequences:
        assert dict(sequence.first_frames) == {1: 0}
        last = len(sequence.images) - 1
        for index in (0, last // 2, last):
            path = DAVIS_ROOT / "Annotations/480p" / sequence.name / f"{index:05}.png"
            with Image.open(path) as image:
                wanted = np.array(image.convert("L")) > 127
            truth = sequence.truth(index)
            assert truth is not None and truth.shape == sequence.image(index).shape[:2]
            assert np.array_equal(truth == 1, wanted) and truth.max() <= 1
