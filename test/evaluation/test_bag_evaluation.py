"""Evaluations of recordings: good ones, and all that can be wrong with one."""

from __future__ import annotations

import html
import json
import math
import os
import shutil
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionMode

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.bag_evaluation import BagOptions, evaluate_bag
from sam_pt_ros.evaluation.davis_metrics import boundary_accuracy, region_similarity
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.evaluation.results import ObjectRow, ScoreRow, TimingRow, read_rows
from sam_pt_ros.evaluation.run_folder import RunResults
from sam_pt_ros.interchange.messages import KINDS
from sam_pt_ros.objects import TrackResult
from sam_pt_ros.paths import classical_configuration_file
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.recordings.clicks import Click
from sam_pt_ros.recordings.cutting import (
    camera_info_message,
    image_message,
    label_message,
    prompts_message,
)
from sam_pt_ros.recordings.rosbag2 import (
    CAMERA_INFO_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    PROMPTS_TYPE,
    add_connection,
    make_bag_header,
    make_bag_message,
    open_bag,
    typestore,
)
from sam_pt_ros.recordings.sources import StampedImage
from support.media import count_frames, frame, read, truth, write_bag, write_sequence

CONFIG = classical_configuration_file()
FRAMES = 14
FILES = {
    "results.csv",
    "timings.csv",
    "scores.csv",
    "summary.json",
    "report.html",
    "filmstrip.png",
    "overlay.mp4",
    "output",
}

Message = tuple[str, str, Any, int]


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sequence")
    return write_sequence(folder / "frames", folder / "annotations", frames=FRAMES)


@pytest.fixture(scope="module")
def bag(sequence: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "disc"
    return make_bag(MakeBagOptions(sequence[0], path, sequence[1])).path


@pytest.fixture(scope="module")
def evaluated(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResults]:
    out = tmp_path_factory.mktemp("evaluated") / "out"
    return out, evaluate_bag(BagOptions(bag, CONFIG, out))


def stamped(index: int, size: tuple[int, int] = (160, 120)) -> StampedImage:
    image = np.ascontiguousarray(frame(index, size)[:, :, ::-1])
    return StampedImage.from_rgb(image, 1_000_000_000 + index * 40_000_000)


def messages(frames: int = FRAMES) -> Iterator[Message]:
    """Those of a recording: an image each 40 ms, and clicks with the first one's stamp."""
    for index in range(frames):
        image = stamped(index)
        if index == 0:
            clicks = [Click(45, 60), Click(52, 70), Click(120, 100, 0)]
            yield "/points", PROMPTS_TYPE, prompts_message(clicks, image), image.stamp
        yield "/image", IMAGE_TYPE, image_message(image), image.stamp


def results_of(path: Path, out: Path, **more: Any) -> str:
    evaluate_bag(BagOptions(path, CONFIG, out, write_bag=False, write_film=False, **more))
    return (out / "results.csv").read_text()


# --- what comes out -----------------------------------------------------------------------


def test_everything_is_written(evaluated: tuple[Path, RunResults]) -> None:
    out, results = evaluated
    assert {path.name for path in out.iterdir()} == FILES
    assert results.partial is None and results.problems == []
    assert count_frames(out / "overlay.mp4") == FRAMES
    rows = read_rows(out / "results.csv", ObjectRow)
    assert [row.frame for row in rows] == list(range(FRAMES))
    assert {row.state for row in rows} == {"TRACKING"}
    assert [row.frame for row in read_rows(out / "timings.csv", TimingRow)] == list(range(FRAMES))
    (score,) = read_rows(out / "scores.csv", ScoreRow)
    assert score.scored == FRAMES - 2 and score.j_mean > 0.9 and score.f_mean > 0.9
    assert score.sequence == "disc" and score.survival == 1.0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["partial"] is None and summary["frames"] == FRAMES
    assert summary["configuration"]["segmenter"] == "classical"
    assert summary["objects"]["1"]["j_mean"] == score.j_mean


def test_the_bag_holds_what_the_node_would_have_published(
    evaluated: tuple[Path, RunResults], bag: Path
) -> None:
    out, _ = evaluated
    with open_bag(out / "output") as written, open_bag(bag) as recorded:
        assert {c.topic: c.msgtype for c in written.connections} == {
            f"/sam_pt/{name}": kind for name, kind in KINDS.items()
        }
        assert (written.start_time, written.end_time) == (recorded.start_time, recorded.end_time)
    rows = read_rows(out / "results.csv", ObjectRow)
    labels, objects = (
        read(out / "output", "/sam_pt/label_image"),
        read(out / "output", "/sam_pt/objects"),
    )
    images = read(bag, "/image")
    for row, label, message, image in zip(rows, labels, objects, images, strict=True):
        assert label.header == message.header == image.header
        (item,) = message.objects
        mask = label.data.reshape(label.height, label.width) == 1
        assert np.count_nonzero(mask) == item.area == row.area
        assert item.score == np.float32(row.score)
        if 0 < row.frame < FRAMES - 1:
            wanted = truth(row.frame) > 0
            assert row.j == region_similarity(mask, wanted)
            assert row.f == boundary_accuracy(mask, wanted)


def test_twice_the_same_and_whatever_the_storage(
    bag: Path, evaluated: tuple[Path, RunResults], sequence: tuple[Path, Path], tmp_path: Path
) -> None:
    first = (evaluated[0] / "results.csv").read_text()
    assert results_of(bag, tmp_path / "again") == first
    options = MakeBagOptions(sequence[0], tmp_path / "disc", sequence[1], storage="sqlite3")
    assert results_of(make_bag(options).path, tmp_path / "sqlite") == first
    scores = [
        (folder / "scores.csv").read_text() for folder in (evaluated[0], tmp_path / "sqlite")
    ]
    assert scores[0] == scores[1]


def test_a_folder_of_label_images_is_as_good_as_a_topic(
    evaluated: tuple[Path, RunResults], sequence: tuple[Path, Path], tmp_path: Path
) -> None:
    bag = make_bag(MakeBagOptions(sequence[0], tmp_path / "disc", sequence[1])).path
    got = results_of(bag, tmp_path / "out", truth=sequence[1])
    assert got == (evaluated[0] / "results.csv").read_text()


# --- other recordings of the same ---------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The results of the recording as it is."""
    folder = tmp_path_factory.mktemp("plain")
    return results_of(write_bag(folder / "plain", messages()), folder / "out")


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_bags_are_read(
    tmp_path: Path, plain: str, plugin: StoragePlugin, mode: CompressionMode
) -> None:
    if plugin is StoragePlugin.MCAP and mode is CompressionMode.FILE:
        mode = CompressionMode.STORAGE  # chunks, the way of MCAP
    path = write_bag(tmp_path / "compressed", messages(), plugin, mode)
    assert results_of(path, tmp_path / "out") == plain


def test_split_bags_are_read(tmp_path: Path, plain: str) -> None:
    whole = list(messages())
    parts = [whole[:6], whole[6:]]
    folder = tmp_path / "split"
    folder.mkdir()
    import yaml

    information: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for number, part in enumerate(parts):
        made = write_bag(tmp_path / f"split_{number}", part)
        shutil.move(made / f"split_{number}.mcap", folder)
        content = yaml.safe_load((made / "metadata.yaml").read_text())
        found = content["rosbag2_bagfile_information"]
        for topic in found["topics_with_message_count"]:
            name = topic["topic_metadata"]["name"]
            counts[name] = counts.get(name, 0) + topic["message_count"]
        information = information or found
    information["message_count"] = len(whole)
    information["relative_file_paths"] = ["split_0.mcap", "split_1.mcap"]
    first, last = whole[0][3], whole[-1][3]
    information["duration"] = {"nanoseconds": last - first + 1}
    for topic in information["topics_with_message_count"]:
        topic["message_count"] = counts[topic["topic_metadata"]["name"]]
    information["files"] = [
        {
            "path": f"split_{number}.mcap",
            "starting_time": {"nanoseconds_since_epoch": part[0][3]},
            "duration": {"nanoseconds": part[-1][3] - part[0][3]},
            "message_count": len(part),
        }
        for number, part in enumerate(parts)
    ]
    (folder / "metadata.yaml").write_text(
        yaml.safe_dump({"rosbag2_bagfile_information": information})
    )
    assert results_of(folder, tmp_path / "out") == plain


def test_compressed_images_are_decoded(tmp_path: Path, plain: str) -> None:
    def compressed() -> Iterator[Message]:
        for topic, kind, message, stamp in messages():
            if kind == IMAGE_TYPE:
                rgb = message.data.reshape(message.height, message.width, 3)
                kind = COMPRESSED_IMAGE_TYPE
                message = make_bag_message(
                    kind,
                    header=message.header,
                    format="png",
                    data=cv2.imencode(".png", rgb[:, :, ::-1])[1].reshape(-1),
                )
            yield topic, kind, message, stamp

    bag = write_bag(tmp_path / "png", compressed())
    assert results_of(bag, tmp_path / "out") == plain


def test_clicks_count_from_their_stamp_on_wherever_they_were_recorded(
    tmp_path: Path, plain: str
) -> None:
    """A person clicks on an image that is older than the newest by the time they have."""
    early = list(messages())
    points = early.pop(0)
    late = [*early[:9], replace_time(points, early[8][3] + 1), *early[9:]]
    got = results_of(write_bag(tmp_path / "late", late), tmp_path / "out")
    assert got == plain


def replace_time(message: Message, time: int) -> Message:
    return (*message[:3], time)


def test_clicks_without_a_stamp_are_on_the_image_recorded_before_them(tmp_path: Path) -> None:
    recorded = list(messages())
    topic, kind, message, _ = recorded.pop(0)
    unstamped = replace(message, header=make_bag_header(0, ""))
    bag = [*recorded[:6], (topic, kind, unstamped, recorded[5][3] + 1), *recorded[6:]]
    results_of(write_bag(tmp_path / "bag", bag), tmp_path / "out")
    rows = read_rows(tmp_path / "out/results.csv", ObjectRow)
    assert [row.frame for row in rows] == list(range(5, FRAMES))


def test_prompts_of_a_file_take_the_place_of_clicks(tmp_path: Path) -> None:
    recorded = [message for message in messages() if message[0] == "/image"]
    bag = write_bag(tmp_path / "bag", recorded)
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(
        "prompts:\n"
        "  - {frame: 2, pixel: [47, 60], object: 4, name: disc}\n"
        f"  - {{stamp: {stamped(2).stamp}, pixel: [54, 70], object: 4}}\n"
        "  - {frame: 99, pixel: [1, 1]}\n"
    )
    results = evaluate_bag(BagOptions(bag, CONFIG, tmp_path / "out", prompts=prompts))
    assert [(s.object_id, s.label, s.frames) for s in results.scores] == [(4, "disc", FRAMES - 2)]
    assert results.problems == ["no frame matches the prompt at frame 99"]
    assert np.isnan(results.scores[0].j_mean)


def test_truth_may_come_in_another_order_and_not_for_every_image(tmp_path: Path) -> None:
    recorded = list(messages())
    for index in (1, 4, 6):
        labels = (truth(index) > 0).astype(np.uint16) * 300  # which takes 16 bits
        labels[:5, :5] = 7
        image = stamped(index)
        recorded.append(("/truth", IMAGE_TYPE, label_message(labels, image), image.stamp + 5))
    recorded.sort(key=lambda message: message[3])
    bag = write_bag(tmp_path / "bag", recorded)
    results = evaluate_bag(BagOptions(bag, CONFIG, tmp_path / "out"))
    assert all(np.isnan(row.j) for row in results.rows)  # object 1 is not in the truth
    assert [text.split(",")[0] for text in results.problems] == [
        "object 7 of the ground truth was never clicked on",
        "object 300 of the ground truth was never clicked on",
        "object 1 is missing from the ground truth",
        f"the ground truth covers 3 of {FRAMES} frames",
    ]


def test_frames_without_truth_are_not_scored(tmp_path: Path) -> None:
    recorded = list(messages())
    for index in (6, 1, 4):
        labels, image = (truth(index) > 0).astype(np.uint16), stamped(index)
        recorded.append(("/truth", IMAGE_TYPE, label_message(labels, image), image.stamp + 5))
    recorded.sort(key=lambda message: message[3])
    bag = write_bag(tmp_path / "bag", recorded)
    results = evaluate_bag(BagOptions(bag, CONFIG, tmp_path / "out"))
    assert [row.frame for row in results.rows if not np.isnan(row.j)] == [1, 4, 6]
    assert results.scores[0].j_mean > 0.9


@pytest.mark.parametrize("value", [1, 255])
def test_an_object_that_appears_later_is_read_from_a_folder_and_a_topic_alike(
    tmp_path: Path, value: int
) -> None:
    recorded, folder = list(messages()), tmp_path / "truth"
    folder.mkdir()
    for index in range(FRAMES):
        labels = (truth(index) > 0).astype(np.uint16) * value * (index >= 3)
        image = stamped(index)
        recorded.append(("/truth", IMAGE_TYPE, label_message(labels, image), image.stamp))
        cv2.imwrite(str(folder / f"{index:03d}.png"), labels.astype(np.uint8))
    recorded.sort(key=lambda message: message[3])
    topic = results_of(write_bag(tmp_path / "topic", recorded), tmp_path / "out_t")
    bag = write_bag(tmp_path / "bag", messages())
    assert results_of(bag, tmp_path / "out_f", truth=folder) == topic
    rows = read_rows(tmp_path / "out_f/results.csv", ObjectRow)
    assert [row.j for row in rows[1:3]] == [0.0, 0.0] and min(row.j for row in rows[3:-1]) > 0.8


# --- what can be wrong --------------------------------------------------------------------


def run(bag: Path, out: Path, *more: str) -> int:
    return main(["evaluate", str(bag), "--config", str(CONFIG), "--out", str(out), *more])


def check_partial(out: Path, frames: int, words: str, error: str) -> None:
    """Results up to there are kept, and say what they are."""
    assert words in error and "partial" in error
    assert error.count("\n") == 1
    summary = json.loads((out / "summary.json").read_text())
    assert words in summary["partial"] and summary["frames"] == frames
    assert words in (out / "PARTIAL.txt").read_text()
    assert words in html.unescape((out / "report.html").read_text())
    assert len(read_rows(out / "results.csv", ObjectRow)) == frames
    assert count_frames(out / "overlay.mp4") == frames
    assert len(read(out / "output", "/sam_pt/label_image")) == frames


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_truncated_bag(
    tmp_path: Path, plugin: StoragePlugin, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", messages(30), plugin)
    (file,) = (path for path in bag.iterdir() if path.suffix != ".yaml")
    os.truncate(file, int(file.stat().st_size * 0.7))
    before = sorted(path.name for path in bag.iterdir())
    assert run(bag, tmp_path / "out") == 1
    frames = len(read_rows(tmp_path / "out/timings.csv", TimingRow))
    assert 18 <= frames <= 21
    words = f"{file.name} was cut off, or never closed"
    check_partial(tmp_path / "out", frames, words, capsys.readouterr().err)
    assert sorted(path.name for path in bag.iterdir()) == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "PARTIAL.txt"}


def changed(name: str, numbers: Container[int] = (8,)) -> Iterator[Message]:
    """Messages of which some are of no use; message 8 is image 7."""
    for number, (topic, kind, message, stamp) in enumerate(messages()):
        if number in numbers:
            if name == "backwards":
                message = replace(message, header=make_bag_header(500_000_000 + number, ""))
            elif name == "size":
                message = image_message(stamped(number - 1, (120, 90)))
            elif name == "encoding":
                message = replace(message, encoding="32FC3")
            elif name == "short":
                message = replace(message, data=message.data[:100])
            elif name == "empty":
                message = replace(message, height=0, width=0, step=0, data=message.data[:0])
        yield topic, kind, message, stamp


USELESS = [
    ("backwards", "its stamp of 500000008 ns is not later than that of the previous image", 0),
    ("size", "has 120x90 pixels, but the images before it have 160x120", 0),
    ("encoding", "encoding '32FC3' is not supported", 1),
    ("short", "the image holds 100 bytes, but", 1),
    ("empty", "the image is 0x0 pixels", 1),
]
"""What is wrong with an image, what is said of it, and the exit code."""


@pytest.mark.parametrize(("name", "words", "code"), USELESS)
def test_an_image_that_is_of_no_use_is_left_out_and_named(
    tmp_path: Path, name: str, words: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", changed(name))
    assert run(bag, tmp_path / "out", "--no-bag", "--no-film") == code
    rows = read_rows(tmp_path / "out/results.csv", ObjectRow)
    assert [row.stamp for row in rows] == [stamped(i).stamp for i in range(FRAMES) if i != 7]
    output, error = capsys.readouterr()
    left_out = f"sam-pt: {bag}: 1 of 14 images on '/image' could not be decoded and were left out"
    assert error == (f"{left_out}\n" if code else "")
    said = " ".join(output.split())
    assert "note: image 7 on '/image' with the stamp " in said and words in said
    assert not (tmp_path / "out/PARTIAL.txt").exists()


def test_label_images_keep_to_their_frames_where_an_image_is_left_out(
    tmp_path: Path, sequence: tuple[Path, Path]
) -> None:
    scores = []
    for name, numbers, code in (("whole", (), 0), ("short", (8,), 1)):
        bag = write_bag(tmp_path / name, changed("short", numbers))
        out = tmp_path / f"{name}_out"
        assert run(bag, out, "--truth", str(sequence[1]), "--no-bag", "--no-film") == code
        scores.append({row.stamp: row.j for row in read_rows(out / "results.csv", ObjectRow)})
    whole, short = scores
    assert len(whole) - len(short) == 1
    later = [stamp for stamp in short if stamp > stamped(7).stamp and not math.isnan(whole[stamp])]
    assert len(later) > 4
    for stamp in later:
        assert short[stamp] == pytest.approx(whole[stamp], abs=0.01)


@pytest.mark.parametrize(("name", "words"), [each[:2] for each in USELESS[1:3]])
def test_a_stream_of_which_no_image_is_of_use_any_more_has_ended(
    tmp_path: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", changed(name, range(5, 99)))
    assert run(bag, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "no image is usable from image 4 on '/image'" in error
    check_partial(tmp_path / "out", 4, words, error)


def test_a_truncated_bag_goes_with_the_truth_of_all_its_frames(
    tmp_path: Path, sequence: tuple[Path, Path]
) -> None:
    bag = write_bag(tmp_path / "bag", messages())
    (file,) = (path for path in bag.iterdir() if path.suffix == ".mcap")
    os.truncate(file, int(file.stat().st_size * 0.7))
    assert run(bag, tmp_path / "out", "--truth", str(sequence[1])) == 1
    (score,) = read_rows(tmp_path / "out/scores.csv", ScoreRow)
    assert 6 <= score.scored <= 8 and score.j_mean > 0.9


def damaged(name: str) -> Iterator[tuple[str, str, bytes, int]]:
    """Serialised messages of which one is cut."""
    recorded = [*messages()]
    info = camera_info_message(stamped(0), None)
    recorded.insert(0, ("/camera_info", CAMERA_INFO_TYPE, info, recorded[0][3]))
    for index in range(FRAMES):
        image = stamped(index)
        labels = label_message((truth(index) > 0).astype(np.uint16), image)
        recorded.append(("/truth", IMAGE_TYPE, labels, image.stamp))
    recorded.sort(key=lambda message: message[3])
    for topic, kind, message, stamp in recorded:
        raw = bytes(typestore().serialize_cdr(message, kind))
        if topic == name and (name in ("/camera_info", "/points") or stamp == stamped(7).stamp):
            raw = raw[:30]
        yield topic, kind, raw, stamp


@pytest.mark.parametrize(
    ("name", "frames", "scored"),
    [
        ("/image", FRAMES - 1, FRAMES - 3),
        ("/truth", FRAMES, FRAMES - 3),
        ("/camera_info", FRAMES, FRAMES - 2),
        ("/points", 0, 0),
    ],
)
def test_a_message_of_no_use_costs_no_more_than_it_must(
    tmp_path: Path, name: str, frames: int, scored: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    with bag:
        for topic, kind, raw, stamp in damaged(name):
            bag.write(add_connection(bag, topic, kind), stamp, raw)
    code = run(tmp_path / "bag", tmp_path / "out")
    output, error = capsys.readouterr()
    if frames == 0:
        assert code == 2 and "its 30 bytes are no sam_pt_ros/msg/PointPromptArray" in error
        return
    assert code == (1 if name == "/image" else 0)
    assert len(read_rows(tmp_path / "out/results.csv", ObjectRow)) == frames
    (score,) = read_rows(tmp_path / "out/scores.csv", ScoreRow)
    assert score.scored == scored
    if name == "/camera_info":
        assert read(tmp_path / "out/output", "/sam_pt/markers") == []
    else:
        assert "its 30 bytes are no sensor_msgs/msg/Image" in " ".join(output.split())


def test_clicks_that_mean_nothing_are_a_problem_and_the_others_count(tmp_path: Path) -> None:
    empty = prompts_message([], stamped(3))
    bag = [*messages(), ("/points", PROMPTS_TYPE, empty, stamped(3).stamp)]
    results = evaluate_bag(BagOptions(write_bag(tmp_path / "bag", bag), CONFIG, tmp_path / "out"))
    assert len(results.rows) == FRAMES
    (problem,) = results.problems
    assert "the message holds no points" in problem


def test_an_unreadable_message_in_the_middle_costs_its_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_bag(tmp_path / "bag", messages(), StoragePlugin.SQLITE3, CompressionMode.MESSAGE)
    import sqlite3

    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE messages SET data = x'0102030405' WHERE id = 9")
    assert run(path, tmp_path / "out", "--no-bag", "--no-film") == 1
    assert len(read_rows(tmp_path / "out/results.csv", ObjectRow)) == FRAMES - 1
    output, error = capsys.readouterr()
    assert "its 5 bytes are no sensor_msgs/msg/Image" in " ".join(output.split())
    assert "1 of 14 images on '/image' could not be decoded" in error


def test_a_recording_most_of_whose_images_cannot_be_decoded_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", changed("short", range(2, 14)))
    assert run(bag, tmp_path / "out", "--no-bag", "--no-film") == 1
    output, error = capsys.readouterr()
    assert "12 of 14 images on '/image' could not be decoded and were left out" in error
    assert output.count("the image holds 100 bytes") == 10
    assert not (tmp_path / "out/PARTIAL.txt").exists()


def thermal(shift: int) -> Iterator[Message]:
    """16-bit images whose values are others from image 5 on."""
    for topic, kind, message, stamp in messages():
        if topic == "/image":
            grey = message.data.reshape(120, 160, 3).max(2).astype("<u2")
            index = (stamp - stamped(0).stamp) // 40_000_000
            values = grey + (3000 if index < 5 else 3000 + shift)
            data = np.frombuffer(values.tobytes(), np.uint8)
            message = replace(message, encoding="mono16", step=320, data=data)
        yield topic, kind, message, stamp


@pytest.mark.parametrize(("shift", "restarts"), [(0, []), (150, [7])])
def test_objects_start_again_where_the_range_of_sixteen_bit_values_changes(
    tmp_path: Path, shift: int, restarts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    restarted: list[int] = []
    restart = SamPt.restart

    def counted(self: SamPt, image: np.ndarray, stamp: int, unseen: int = 0) -> list[TrackResult]:
        restarted.append((stamp - stamped(0).stamp) // 40_000_000)
        return restart(self, image, stamp, unseen)

    monkeypatch.setattr(SamPt, "restart", counted)
    bag, out = write_bag(tmp_path / "bag", thermal(shift)), tmp_path / "out"
    results = evaluate_bag(BagOptions(bag, CONFIG, out, write_bag=False, write_film=False))
    assert restarted == restarts and results.partial is None
    assert [row.frame for row in results.rows] == list(range(FRAMES))


def refused(folder: Path, name: str) -> tuple[Path, list[str]]:
    """A bag, and arguments, of which nothing can come."""
    images = [message for message in messages() if message[0] == "/image"]
    if name == "no bag":
        return folder / "nothing", []
    if name == "text":
        (folder / "bag.mcap").write_text("no bag")
        return folder / "bag.mcap", []
    if name == "no image":
        header = make_bag_header(1, "")
        return write_bag(folder / "b", [("/h", "std_msgs/msg/Header", header, 1)]), []
    if name == "no click":
        return write_bag(folder / "b", images), []
    if name == "unknown encoding":
        bad = [
            (t, k, replace(m, encoding="32FC3") if t == "/image" else m, s)
            for t, k, m, s in messages()
        ]
        return write_bag(folder / "b", bad), []
    if name == "two topics":
        more = [("/other", kind, message, stamp) for _, kind, message, stamp in images]
        return write_bag(folder / "b", [*messages(), *more]), []
    if name == "outside":
        points = prompts_message([Click(500, 500)], stamped(0))
        return write_bag(folder / "b", [("/points", PROMPTS_TYPE, points, 1), *images]), []
    if name == "bad click":
        points = prompts_message([Click(5, 5)], stamped(0))
        points.prompts[0].label = 9
        return write_bag(folder / "b", [("/points", PROMPTS_TYPE, points, 1), *images]), []
    other = [("/other", kind, message, stamp) for _, kind, message, stamp in images]
    recorded = [*messages(), *other] if name == "truth of colours" else messages()
    bag = write_bag(folder / "b", recorded)
    prompts = folder / "prompts.yaml"
    prompts.write_text("prompts: [{frame: 0, pixel: [45, 60]}]")
    return bag, {
        "wrong topic": ["--image-topic", "/camera"],
        "wrong type": ["--image-topic", "/points"],
        "no truth": ["--truth-topic", "/labels"],
        "truth of colours": ["--image-topic", "/image", "--truth-topic", "/other"],
        "no folder": ["--truth", str(folder / "none")],
        "no prompts": ["--prompts", str(folder / "none.yaml")],
        "both": ["--prompts", str(prompts), "--points-topic", "/points"],
        "out is a file": ["--out", str(prompts)],
    }[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no bag", "no such recording; check the path"),
        ("text", "no message of this recording can be read"),
        ("no image", "this bag holds no images; its topics are /h"),
        (
            "no click",
            "holds no clicks, so there is nothing to track; give clicks in a file with --prompts",
        ),
        ("unknown encoding", "encoding '32FC3' is not supported"),
        ("two topics", "several image topics (/image, /other); choose one with --image-topic"),
        ("outside", "no object was started: frame 0: click refused"),
        ("bad click", "on '/points' with the stamp 1000000000 ns was skipped: labels must be"),
        ("wrong topic", "no messages on the topic '/camera'; its topics are /image"),
        ("wrong type", "'/points' has the type sam_pt_ros/msg/PointPromptArray, but images"),
        ("no truth", "no messages on the topic '/labels'"),
        ("truth of colours", "a label image must be a mono8"),
        ("no folder", "no such folder"),
        ("no prompts", "cannot be read (No such file"),
        ("both", "not allowed with"),
        ("out is a file", "cannot be created as a folder"),
    ],
)
def test_what_nothing_can_come_of_is_one_line_and_exit_code_2(
    tmp_path: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bag, more = refused(tmp_path, name)
    out = tmp_path / "out"
    assert run(bag, out, *more) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("sam-pt: ") and error.count("\n") == 1
    assert not (out / "results.csv").exists()


def test_nothing_of_an_earlier_run_is_left(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = write_bag(tmp_path / "broken", changed("encoding", range(4, 99)))
    assert run(broken, out) == 1 and (out / "PARTIAL.txt").exists()
    assert run(bag, out, "--no-bag", "--no-film") == 0
    assert {path.name for path in out.iterdir()} == FILES - {"output", "overlay.mp4"}


@pytest.mark.parametrize("out", ["bag", "bag/out", "parent"])
def test_the_results_never_get_into_the_input(bag: Path, tmp_path: Path, out: str) -> None:
    recording = tmp_path / "parent/output" if out == "parent" else tmp_path / "bag"
    shutil.copytree(bag, recording)
    with pytest.raises(UserError, match="would be written into the recording"):
        evaluate_bag(BagOptions(recording, CONFIG, tmp_path / out))
    assert len(read(recording, "/image")) == FRAMES


def test_files_of_others_are_never_replaced(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (
        ("report.html", "that no evaluation wrote"),
        ("run.json", "of a data set"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("mine")
        assert run(bag, tmp_path / name) == 2
        assert words in capsys.readouterr().err
        assert [path.name for path in (tmp_path / name).iterdir()] == [name]
    header = make_bag_header(1, "")
    camera = [("/image", "std_msgs/msg/Header", header, 1)]
    robot = write_bag(tmp_path / "out/output", camera)
    assert run(bag, tmp_path / "out") == 2
    assert "was not made by this program" in capsys.readouterr().err
    link = tmp_path / "link"
    link.symlink_to(bag)
    for path, words in ((robot, "was not made by this program"), (link, "is a symbolic link")):
        with pytest.raises(UserError, match=words):
            make_bag(MakeBagOptions(tmp_path / "nowhere", path))
    assert read(robot, "/image") == [header]


def test_an_evaluation_that_did_not_end_is_marked(
    bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sam_pt_ros.evaluation.bag_evaluation.write_run", interrupted)
    assert run(bag, tmp_path / "out") == 130
    assert "has not finished" in (tmp_path / "out/PARTIAL.txt").read_text()
    monkeypatch.undo()
    assert run(bag, tmp_path / "out") == 0
    assert not (tmp_path / "out/PARTIAL.txt").exists()
