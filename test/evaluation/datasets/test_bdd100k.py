"""BDD100K: bitmasks against a slow reading of the label format, chunks, and lengths of tracks."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.bdd100k import read_bitmask
from sam_pt_ros.evaluation.datasets.dataset import Dataset, official_figures, open_dataset
from sam_pt_ros.evaluation.label_images import submission_path
from sam_pt_ros.evaluation.results import ScoreRow

IGNORED, CROWD, OCCLUDED, TRUNCATED = 1, 2, 4, 8
Pixel = tuple[int, int]  # instance, attributes


def folders(root: Path, video: str, split: str = "val") -> tuple[Path, Path]:
    return (
        root / "images/seg_track_20" / split / video,
        root / "labels/seg_track_20/bitmasks" / split / video,
    )


def add(root: Path, video: str, frames: list[list[Pixel]], width: int = 8) -> None:
    """A video whose frames hold the given pixels, in order, from the top left on."""
    images, bitmasks = folders(root, video)
    images.mkdir(parents=True)
    bitmasks.mkdir(parents=True)
    for index, pixels in enumerate(frames, 1):
        cv2.imwrite(str(images / f"{video}-{index:07}.jpg"), np.zeros((30, 8, 3), np.uint8))
        rgba = np.zeros((30, width, 4), np.uint8)
        for place, (instance, attributes) in enumerate(pixels):
            rgba[place // width, place % width] = 3, attributes, instance // 256, instance % 256
        Image.fromarray(rgba, "RGBA").save(bitmasks / f"{video}-{index:07}.png")


def slow_reading(path: Path, instances: tuple[int, ...]) -> list[list[int]]:
    with Image.open(path) as image:
        width, height = image.size
        result = []
        for y in range(height):
            line = []
            for x in range(width):
                _, attributes, high, low = image.getpixel((x, y))  # type: ignore[misc]
                instance = 256 * high + low
                label = instances.index(instance) + 1 if instance in instances else 0
                line.append(0 if attributes % 4 else label)
            result.append(line)
        return result


def row(object_id: int, group: str, j: float, f: float, frames: int = 9) -> ScoreRow:
    return ScoreRow("a", 0, object_id, "", group, frames, 1.0, 0.9, 7, j_mean=j, f_mean=f)


def opened(root: Path, *names: str) -> Dataset:
    return open_dataset("bdd100k", root, sequences=list(names) or None)


def test_bitmasks_are_read_as_the_format_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = [
        (int(rng.choice([0, 1, 255, 256, 257, 65535])), int(rng.integers(16))) for _ in range(240)
    ]
    add(tmp_path, "a", [pixels])
    path = folders(tmp_path, "a")[1] / "a-0000001.png"
    for instances in ((256, 1), (1, 65535, 257), ()):
        labels = read_bitmask(path, instances)
        assert labels.dtype == np.uint16
        assert labels.tolist() == slow_reading(path, instances)
    assert set(read_bitmask(path, (1,)).ravel().tolist()) == {0, 1}


def test_objects_start_where_they_first_count(tmp_path: Path) -> None:
    frames: list[list[Pixel]] = [
        [(300, IGNORED), (40, CROWD)],
        [(300, OCCLUDED), (40, 0), (7, IGNORED)],
        [(300, TRUNCATED), (7, CROWD), (20, 0)],
    ]
    add(tmp_path, "a", frames)
    dataset = opened(tmp_path)
    assert (dataset.split, dataset.scored) == ("val", True)
    assert (dataset.skip_first, dataset.skip_last) == (True, False)
    (sequence,) = dataset.sequences
    assert dict(sequence.first_frames) == {1: 2, 2: 1, 3: 1}  # 20, 40, 300; never 7
    first, second = sequence.truth(0), sequence.truth(1)
    assert first is not None and first[0, :3].tolist() == [0, 0, 0]
    assert second is not None and second[0, :4].tolist() == [3, 2, 0, 0]
    assert list(dataset.scored_frames(sequence, 2)) == [2]
    assert submission_path(dataset.submission_folder, sequence, 1) == Path("a/a-0000002.png")
    again = pickle.loads(pickle.dumps(dataset)).sequences[0].truth(1)
    assert np.array_equal(again, second)


@pytest.mark.parametrize(
    ("visible", "group"), [(1, "short"), (4, "short"), (5, "medium"), (29, "medium"), (30, "long")]
)
def test_tracks_are_short_medium_or_long_by_visible_frames(
    tmp_path: Path, visible: int, group: str
) -> None:
    # A frame in which it is ignored or away does not count, and those before it neither.
    frames: list[list[Pixel]] = [[], [(5, 0)], [(5, IGNORED)], []]
    add(tmp_path, "a", [*frames, *[[(5, 0)]] * (visible - 1), []])
    (sequence,) = opened(tmp_path).sequences
    assert dict(sequence.groups) == {1: group}


def test_a_hundred_objects_at_a_time(tmp_path: Path) -> None:
    ids = [3 * number + 200 for number in range(201)]
    frames: list[list[Pixel]] = [[(each, 0) for each in ids[:150]], [(each, 0) for each in ids]]
    add(tmp_path, "a", frames)
    add(tmp_path, "b", [[(1, 0)], [(1, 0)]])
    add(tmp_path, "none", [[(1, CROWD)], []])
    dataset = opened(tmp_path)
    sizes = {each.name: len(each.first_frames) for each in dataset.sequences}
    assert sizes == {"a": 100, "a-chunk2": 100, "a-chunk3": 1, "b": 1}
    second = dataset.sequences[1]
    assert second.images == dataset.sequences[0].images
    assert [second.first_frames[number] for number in (1, 50, 51, 100)] == [0, 0, 1, 1]
    truth = second.truth(1)
    assert truth is not None
    flat = truth.ravel()[:201].tolist()
    assert flat == [0] * 100 + list(range(1, 101)) + [0]
    assert [each.name for each in opened(tmp_path, "b", "a-chunk3").sequences] == ["a-chunk3", "b"]
    with pytest.raises(UserError, match="unknown sequence 'a-chunk4'; did you mean 'a-chunk"):
        opened(tmp_path, "a-chunk4")
    with pytest.raises(UserError, match="unknown sequence 'c'"):
        opened(tmp_path, "c")


def test_figures_overall_and_by_length(tmp_path: Path) -> None:
    add(tmp_path, "a", [[(1, 0)], [(1, 0)]])
    dataset = opened(tmp_path)
    rows = [
        row(1, "short", 0.2, 0.4),
        # Given in the last frame: the authors count it as 1.
        row(2, "short", math.nan, math.nan, frames=1),
        row(3, "long", 0.5, 0.7),
        # Not annotated after its first frame: not counted.
        row(4, "long", math.nan, math.nan, frames=5),
    ]
    figures = official_figures(dataset, rows)
    assert list(figures) == [
        "J&F", "J mean", "F mean", "J&F short", "J&F medium", "J&F long"
    ]  # fmt: skip
    assert figures["J mean"] == pytest.approx(1.7 / 3)
    assert figures["F mean"] == pytest.approx(2.1 / 3)
    assert figures["J&F"] == pytest.approx(3.8 / 6)
    assert figures["J&F short"] == pytest.approx((0.6 + 0.7) / 2)
    assert math.isnan(figures["J&F medium"])
    assert figures["J&F long"] == pytest.approx(0.6)


def test_what_is_not_as_it_should_be_is_named(tmp_path: Path) -> None:
    add(tmp_path, "a", [[(1, 0)], [(1, 0)]], width=7)
    with pytest.raises(UserError, match=r"the annotation has 7x30 pixels, its frame 8x30"):
        opened(tmp_path)
    images, bitmasks = folders(tmp_path, "a")
    cv2.imwrite(str(bitmasks / "a-0000002.png"), np.zeros((30, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"a-0000002\.png: not an RGBA PNG"):
        opened(tmp_path)
    (bitmasks / "a-0000002.png").unlink()
    (images / "a-0000001.jpg").unlink()
    with pytest.raises(UserError, match=r"a-0000001\.png: its frame is missing from"):
        opened(tmp_path)
    with pytest.raises(UserError, match="train: the folder of the frames is missing"):
        open_dataset("bdd100k", tmp_path, "train")


def test_a_frame_without_a_bitmask_is_not_annotated(tmp_path: Path) -> None:
    add(tmp_path, "a", [[(1, 0)], [(1, 0)], [(2, 0)]])
    (folders(tmp_path, "a")[1] / "a-0000002.png").unlink()
    (sequence,) = opened(tmp_path).sequences
    assert len(sequence.images) == 3 and sequence.truth(1) is None
    assert dict(sequence.first_frames) == {1: 0, 2: 2}
