"""From frames and annotations to a bag."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.recordings.clicks import Click
from sam_pt_ros.recordings.rosbag2 import SECOND
from sam_pt_ros.recordings.sources import FIRST_STAMP
from support.media import RATE, frame, read, truth, write_sequence, write_video


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sequence")
    return write_sequence(folder / "frames", folder / "annotations", frames=6)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_images_and_truth_go_in_as_they_are(
    sequence: tuple[Path, Path], tmp_path: Path, storage: str
) -> None:
    cut = make_bag(MakeBagOptions(sequence[0], tmp_path / "bag", sequence[1], storage=storage))
    assert {path.suffix for path in cut.path.iterdir()} == {
        ".yaml",
        {"mcap": ".mcap", "sqlite3": ".db3"}[storage],
    }
    images, labels = read(cut.path, "/image"), read(cut.path, "/truth")
    assert len(images) == len(labels) == len(read(cut.path, "/camera_info")) == 6
    for index, (image, label) in enumerate(zip(images, labels)):
        shape = (image.height, image.width)
        np.testing.assert_array_equal(image.data.reshape(*shape, 3), frame(index)[:, :, ::-1])
        assert image.header.stamp == label.header.stamp and label.encoding == "mono8"
        np.testing.assert_array_equal(label.data.reshape(shape), truth(index) // 255)
    stamps = [image.header.stamp.sec * SECOND + image.header.stamp.nanosec for image in images]
    assert stamps == [FIRST_STAMP + index * SECOND // 25 for index in range(6)]


def test_clicks_are_sampled_from_the_first_annotation(
    sequence: tuple[Path, Path], tmp_path: Path
) -> None:
    def clicks(**more: object) -> list[tuple[float, float, int]]:
        make_bag(MakeBagOptions(sequence[0], tmp_path / "bag", sequence[1], **more))
        (message,) = read(tmp_path / "bag", "/points")
        assert {prompt.object_id for prompt in message.prompts} == {1}
        return [(prompt.x, prompt.y, int(prompt.label)) for prompt in message.prompts]

    points = clicks()
    assert [label for _, _, label in points] == [1] * 16 + [0]
    mask = truth(0) > 0
    assert all(mask[int(y), int(x)] == bool(label) for x, y, label in points)
    assert points == clicks() != clicks(seed=1)
    ((x, y, label),) = clicks(prompt="click")
    assert label == 1 and abs(x - 40) <= 1 and abs(y - 60) <= 1


def test_an_object_that_appears_later_is_clicked_on_there(tmp_path: Path) -> None:
    frames, annotations = write_sequence(tmp_path / "f", tmp_path / "a", frames=5)
    for index in range(5):
        labels = (truth(index) > 0).astype(np.uint8)
        labels[:10, :10] = 9 if index >= 3 else 0
        cv2.imwrite(str(annotations / f"{index:05d}.png"), labels)
    cut = make_bag(MakeBagOptions(frames, tmp_path / "bag", annotations, prompt="click"))
    first, second = read(cut.path, "/points")
    assert ([p.object_id for p in first.prompts], [p.object_id for p in second.prompts]) == (
        [1],
        [9],
    )
    assert cut.click_stamps == (cut.stamps[0], cut.stamps[3])


def test_a_video_with_clicks_of_ones_own(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", frames=8, size=(1600, 120))
    options = MakeBagOptions(film, tmp_path / "bag", clicks=(Click(45, 60),), start=0.1)
    cut = make_bag(options)
    assert cut.size == (1600, 120)  # not scaled
    assert cut.click_stamps == (cut.stamps[round(0.1 * RATE + 0.5)],)
    assert read(cut.path, "/truth") == []


def test_names_of_frames_are_sorted_as_numbers(tmp_path: Path) -> None:
    for index in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f"f{index}.png"), np.full((20, 20, 3), index, np.uint8))
    cut = make_bag(MakeBagOptions(tmp_path, tmp_path / "bag", clicks=(Click(1, 1),), rate=10))
    assert [image.data[0] for image in read(cut.path, "/image")] == [1, 9, 10]
    assert cut.stamps[2] - cut.stamps[0] == SECOND // 5


def bad(folder: Path, name: str) -> dict[str, object]:
    _, annotations = write_sequence(folder / "f", folder / "a", frames=3)
    one = {"clicks": (Click(45, 60),)}
    if name == "size":
        cv2.imwrite(str(annotations / "00001.png"), np.zeros((20, 20), np.uint8))
        return {"annotations": annotations, **one}
    if name == "beyond":
        cv2.imwrite(str(annotations / "00007.png"), truth(0))
        return {"annotations": annotations, **one}
    if name == "nameless":
        (annotations / "00001.png").rename(annotations / "other.png")
        (annotations / "00002.png").unlink()
        return {"annotations": annotations, **one}
    if name == "empty":
        for path in annotations.iterdir():
            cv2.imwrite(str(path), np.zeros((120, 160), np.uint8))
        return {"annotations": annotations}
    if name == "pictures":
        for index, size in ((1, (160, 118)), (2, (80, 60))):
            cv2.imwrite(str(folder / "f" / f"{index:05d}.png"), cv2.resize(frame(index), size))
        return one
    if name == "missing":
        return {"source": folder / "nothing", **one}
    if name == "no pictures":
        (folder / "none").mkdir()
        return {"source": folder / "none", **one}
    return {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("size", r"truth of the image with the stamp .* has 20x20 pixels, the image 160x120"),
        ("beyond", "00007.png matches none of the 3 frames"),
        ("nameless", "contains no number"),
        ("empty", "these label images show no object"),
        (
            "pictures",
            r"00001\.png: has 160x118 pixels, but 00000\.png has 160x120; scale the pictures to",
        ),
        ("missing", "no such video file"),
        ("no pictures", "holds no pictures"),
        ("nothing to track", "a bag without clicks"),
    ],
)
def test_what_is_wrong_is_said_and_no_bag_is_left(tmp_path: Path, name: str, words: str) -> None:
    options = {"source": tmp_path / "f", "bag": tmp_path / "bag", **bad(tmp_path, name)}
    if name == "nothing to track":
        made = make_bag(MakeBagOptions(**options))
        assert made.click_stamps == ()  # it may be clicked on when it is played
        return
    with pytest.raises(UserError, match=words):
        make_bag(MakeBagOptions(**options))
    assert not (tmp_path / "bag").exists()


def test_a_frame_that_cannot_be_read_is_left_out_with_its_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, annotations = write_sequence(tmp_path / "f", tmp_path / "a", frames=5)
    cut = frames / "00002.png"
    cut.write_bytes(cut.read_bytes()[:-200])
    arguments = [str(frames), str(tmp_path / "bag"), "--annotations", str(annotations)]
    assert main(["make-bag", *arguments]) == 1
    output, error = capsys.readouterr()
    said = "".join(output.split())
    assert "note:frame2wasleftout:" in said and "00002.png:cannotberead" in said
    words = f"1 of 5 frames of {frames} could not be read and were left out"
    assert error == f"sam-pt: the bag is partial: {words}\n"
    labels = read(tmp_path / "bag", "/truth")
    shown = [0, 1, 3, 4]
    for index, label in zip(shown, labels, strict=True):
        stamp = label.header.stamp.sec * SECOND + label.header.stamp.nanosec
        assert stamp == FIRST_STAMP + index * SECOND // 25
        expected = truth(index) // 255
        np.testing.assert_array_equal(label.data.reshape(expected.shape), expected)


def test_of_many_frames_that_cannot_be_read_ten_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, _ = write_sequence(tmp_path / "f", tmp_path / "a", frames=15)
    for index in range(1, 15):
        (frames / f"{index:05d}.png").write_bytes(b"no picture")
    assert main(["make-bag", str(frames), str(tmp_path / "bag"), "--click", "45,60"]) == 1
    output, error = capsys.readouterr()
    assert output.count("note: ") == 11 and "note: left out as well: 4 more frames" in output
    assert f"14 of 15 frames of {frames} could not be read" in error


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"start": 1.0}, "give clicks with --click"),
        ({"prompt": "mask"}, "a bag holds clicks, not masks"),
        ({"prompt": "box"}, "a bag holds clicks, not boxes"),
        ({"rate": 0.0}, "--rate must be"),
    ],
)
def test_options_that_do_not_go_together(more: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        MakeBagOptions(Path("f"), Path("b"), **more)
