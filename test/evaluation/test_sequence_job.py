"""One sequence on its own: what is shown of its objects, what is scored, and what is written."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

from PIL import Image

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.first_prompts import STARTS, Start, first_prompt, inner_point
from sam_pt_ros.evaluation.label_images import davis_palette, read_indexed, write_gray
from sam_pt_ros.evaluation.results import ObjectRow, ScoreRow, TimingRow, read_rows
from sam_pt_ros.evaluation.scoring import ScoringProtocol
from sam_pt_ros.evaluation.sequence_job import (
    FRAME_PERIOD,
    PROBLEMS_FILE,
    SequenceJob,
    earlier_outcome,
    run_sequence,
)
from sam_pt_ros.evaluation.sequences import VideoSequence
from sam_pt_ros.objects import NEGATIVE, POSITIVE
from sam_pt_ros.paths import classical_configuration_file
from support.media import frame, truth

CONFIG = classical_configuration_file()
FRAMES = 8
LATE = 3
"""The frame in which the second object comes in."""


def labels_of(index: int, second: int = 2) -> np.ndarray:
    """The disc of ``frame`` is object 1; a square that stands still comes in later."""
    labels = (truth(index) > 0).astype(np.uint16)
    if index >= LATE:
        labels[80:110, 110:140] = second
    return labels


def image_of(index: int) -> np.ndarray:
    bgr = frame(index)
    if index >= LATE:
        bgr[80:110, 110:140] = (220, 60, 40)
    return bgr


def write_video(folder: Path, second: int = 2, **more: Any) -> VideoSequence:
    images, annotations = [], {}
    folder.mkdir(parents=True)
    for index in range(FRAMES):
        images.append(folder / f"image_{index:02d}.png")
        annotations[index] = folder / f"labels_{index:02d}.png"
        cv2.imwrite(str(images[-1]), image_of(index))
        write_gray(annotations[index], labels_of(index, second))
    made = VideoSequence("pair", tuple(images), annotations, {1: 0, second: LATE}, read_indexed)
    return replace(made, **more)


def job_of(sequence: VideoSequence, out: Path, **more: Any) -> SequenceJob:
    made = SequenceJob(sequence, ScoringProtocol(), True, CONFIG, 0, "points", out / "job")
    return replace(made, **more)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> VideoSequence:
    folder = tmp_path_factory.mktemp("video") / "pair"
    return write_video(folder, groups={1: "early", 2: "late"})


@pytest.fixture(scope="module")
def done(sequence: VideoSequence, tmp_path_factory: pytest.TempPathFactory) -> SequenceJob:
    out = tmp_path_factory.mktemp("done")
    job = job_of(sequence, out, masks=out / "masks")
    run_sequence(job)
    return job


def rows_of(job: SequenceJob, object_id: int) -> list[ObjectRow]:
    rows = read_rows(job.folder / "results.csv", ObjectRow)
    return [row for row in rows if row.object_id == object_id]


def scored(rows: Sequence[ObjectRow]) -> list[int]:
    found = [row.frame for row in rows if not np.isnan(row.j)]
    assert found == [row.frame for row in rows if not np.isnan(row.f)]
    return found


# --- what is found ------------------------------------------------------------------------


def test_each_object_starts_in_its_first_frame(done: SequenceJob) -> None:
    assert [row.frame for row in rows_of(done, 1)] == list(range(FRAMES))
    assert [row.frame for row in rows_of(done, 2)] == list(range(LATE, FRAMES))
    stamps = [row.stamp for row in rows_of(done, 1)]
    assert stamps == [(index + 1) * FRAME_PERIOD for index in range(FRAMES)]
    timings = read_rows(done.folder / "timings.csv", TimingRow)
    assert [row.stamp for row in timings] == stamps


@pytest.mark.parametrize(
    ("protocol", "first", "second"),
    [
        (ScoringProtocol(True, True), range(1, FRAMES - 1), range(LATE + 1, FRAMES - 1)),
        (ScoringProtocol(True, False), range(1, FRAMES), range(LATE + 1, FRAMES)),
        (ScoringProtocol(False, True), range(FRAMES - 1), range(LATE, FRAMES - 1)),
        (ScoringProtocol(False, False), range(FRAMES), range(LATE, FRAMES)),
    ],
)
def test_the_frames_of_the_protocol_are_scored(
    sequence: VideoSequence, tmp_path: Path, protocol: ScoringProtocol, first: range, second: range
) -> None:
    job = job_of(sequence, tmp_path, protocol=protocol)
    outcome = run_sequence(job)
    assert scored(rows_of(job, 1)) == list(first)
    assert scored(rows_of(job, 2)) == list(second)
    assert [score.scored for score in outcome.scores] == [len(first), len(second)]


def test_j_is_that_of_the_label_images_written_and_the_truth(done: SequenceJob) -> None:
    assert done.masks is not None
    for object_id in (1, 2):
        rows = rows_of(done, object_id)
        for row in rows:
            found = read_indexed(done.masks / f"pair/image_{row.frame:02d}.png") == object_id
            assert np.count_nonzero(found) == row.area
            if not np.isnan(row.j):
                wanted = labels_of(row.frame) == object_id
                assert row.j == (found & wanted).sum() / (found | wanted).sum()
        assert np.mean([row.j for row in rows if not np.isnan(row.j)]) > 0.8


def test_scores_are_the_means_of_the_frames(done: SequenceJob) -> None:
    scores = read_rows(done.folder / "scores.csv", ScoreRow)
    assert [(s.sequence, s.seed, s.object_id, s.group) for s in scores] == [
        ("pair", 0, 1, "early"),
        ("pair", 0, 2, "late"),
    ]
    for score in scores:
        rows = rows_of(done, score.object_id)
        counted = [row for row in rows if not np.isnan(row.j)]
        assert score.frames == len(rows) and score.scored == len(counted)
        assert score.j_mean == pytest.approx(np.mean([row.j for row in counted]), abs=1e-12)
        assert score.f_mean == pytest.approx(np.mean([row.f for row in counted]), abs=1e-12)
        assert score.j_recall == np.mean([row.j > 0.5 for row in counted])
        assert score.tracked == np.mean([row.state == "TRACKING" for row in rows])


def test_without_a_truth_there_is_no_score_but_everything_else(
    sequence: VideoSequence, done: SequenceJob, tmp_path: Path
) -> None:
    annotations = {index: sequence.annotations[index] for index in (0, LATE)}
    job = job_of(replace(sequence, annotations=annotations), tmp_path, scored=False)
    outcome = run_sequence(job)
    assert all(np.isnan(score.j_mean) and score.scored == 0 for score in outcome.scores)
    for object_id in (1, 2):
        rows = rows_of(job, object_id)
        assert scored(rows) == []
        assert [row.area for row in rows] == [row.area for row in rows_of(done, object_id)]


def test_nothing_of_the_truth_but_the_first_masks_changes_a_mask(
    done: SequenceJob, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "video")
    for index in range(FRAMES):
        if index not in (0, LATE):
            write_gray(video.annotations[index], np.zeros((120, 160), np.uint16))
    job = job_of(video, tmp_path)
    run_sequence(job)
    for object_id in (1, 2):
        areas = [row.area for row in rows_of(job, object_id)]
        assert areas == [row.area for row in rows_of(done, object_id)]
        emptied = [row for row in rows_of(job, object_id) if row.frame not in (0, LATE)]
        assert {row.j for row in emptied if row.frame < FRAMES - 1} == {0.0}


def test_a_job_can_be_sent_to_another_process(done: SequenceJob) -> None:
    assert pickle.loads(pickle.dumps(done)) == done


# --- label images ------------------------------------------------------------------------


def test_label_images_are_indexed_with_davis_palette(done: SequenceJob) -> None:
    assert done.masks is not None
    names = sorted(path.name for path in (done.masks / "pair").iterdir())
    assert names == [f"image_{index:02d}.png" for index in range(FRAMES)]
    for index, name in enumerate(names):
        with Image.open(done.masks / "pair" / name) as opened:
            assert opened.mode == "P" and opened.size == (160, 120)
            palette = opened.getpalette()
        assert palette is not None
        np.testing.assert_array_equal(
            np.array(palette[:9]).reshape(3, 3), [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
        )
        assert palette == davis_palette().ravel().tolist()[: len(palette)]
        values = set(np.unique(read_indexed(done.masks / "pair" / name)).tolist())
        assert values == ({0, 1} if index < LATE else {0, 1, 2})


def test_only_the_frames_of_a_submission_are_written(
    sequence: VideoSequence, tmp_path: Path
) -> None:
    job = job_of(replace(sequence, saved=(2, 5)), tmp_path, masks=tmp_path / "masks")
    run_sequence(job)
    names = sorted(path.name for path in (tmp_path / "masks/pair").iterdir())
    assert names == ["image_02.png", "image_05.png"]
    assert earlier_outcome(job) is not None


def test_ids_above_255_make_gray_label_images(tmp_path: Path) -> None:
    job = job_of(write_video(tmp_path / "video", 300), tmp_path, masks=tmp_path / "masks")
    run_sequence(job)
    path = tmp_path / "masks/pair/image_05.png"
    with Image.open(path) as opened:
        assert opened.mode.startswith("I")
    assert set(np.unique(read_indexed(path)).tolist()) == {0, 1, 300}


# --- what can be wrong --------------------------------------------------------------------


def test_an_image_that_cannot_be_read_fails_and_leaves_no_scores(tmp_path: Path) -> None:
    job = job_of(write_video(tmp_path / "video"), tmp_path)
    run_sequence(job)
    assert earlier_outcome(job) is not None
    job.sequence.images[4].write_bytes(b"no image")
    with pytest.raises(UserError, match=r"image_04\.png: cannot be read as a picture"):
        run_sequence(job)
    assert earlier_outcome(job) is None and not (job.folder / "scores.csv").exists()


def test_an_annotation_of_another_size_is_named(tmp_path: Path) -> None:
    job = job_of(write_video(tmp_path / "video"), tmp_path)
    write_gray(job.sequence.annotations[5], np.zeros((90, 100), np.uint16))
    with pytest.raises(
        UserError, match=r"labels_05\.png: has 100x90 pixels, but its image 160x120"
    ):
        run_sequence(job)


def test_an_empty_first_mask_is_refused(tmp_path: Path) -> None:
    job = job_of(write_video(tmp_path / "video"), tmp_path)
    write_gray(job.sequence.annotations[LATE], (truth(LATE) > 0).astype(np.uint16))
    with pytest.raises(UserError, match="first mask is empty"):
        run_sequence(job)


# --- what an earlier run left -------------------------------------------------------------


def test_what_was_finished_is_read_back(sequence: VideoSequence, tmp_path: Path) -> None:
    job = job_of(sequence, tmp_path)
    assert earlier_outcome(job) is None and not job.folder.exists()
    outcome = run_sequence(job)
    again = earlier_outcome(job)
    assert again is not None
    assert repr(again.scores) == repr(outcome.scores)  # NaN is not equal to itself
    assert again == replace(outcome, scores=again.scores)
    assert outcome.frames == FRAMES and outcome.seconds > 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scores.csv", None),
        ("results.csv", None),
        ("timings.csv", None),
        ("scores.csv", 0),
        ("scores.csv", 1),
        ("scores.csv", 2),  # of three lines
        ("timings.csv", FRAMES),
        ("timings.csv", "frame,what\n1,2\n"),
    ],
)
def test_what_was_broken_off_is_not_finished(
    done: SequenceJob, tmp_path: Path, name: str, content: int | str | None
) -> None:
    job = replace(done, folder=tmp_path, masks=None)
    for path in done.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert earlier_outcome(job) is not None
    path = tmp_path / name
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(content)
    else:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:content]))
    assert earlier_outcome(job) is None


def test_the_job_of_other_data_is_not_finished(done: SequenceJob, tmp_path: Path) -> None:
    other = tmp_path / done.sequence.images[1].name
    other.write_bytes(done.sequence.images[1].read_bytes() + b"more")
    images = (done.sequence.images[0], other, *done.sequence.images[2:])
    assert earlier_outcome(replace(done, sequence=replace(done.sequence, images=images))) is None


def test_label_images_and_films_that_are_asked_for_now_are_not_there_yet(
    done: SequenceJob, tmp_path: Path
) -> None:
    assert earlier_outcome(done) is not None
    assert earlier_outcome(replace(done, masks=tmp_path)) is None
    assert earlier_outcome(replace(done, film=True)) is None


def test_problems_are_kept_for_whoever_goes_on(
    sequence: VideoSequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object 2 is refused: of all that is needed to start it, it gets a point off the image."""
    from sam_pt_ros.evaluation import sequence_job

    def misplaced(image: np.ndarray, mask: np.ndarray, *rest: Any) -> Any:
        prompt = first_prompt(image, mask, *rest)
        return replace(prompt, points=prompt.points + 500) if mask[90, 120] else prompt

    monkeypatch.setattr(sequence_job, "first_prompt", misplaced)
    job = job_of(sequence, tmp_path)
    outcome = run_sequence(job)
    (problem,) = outcome.problems
    assert problem.startswith(f"frame {LATE}: ") and "is not in the image" in problem
    assert {row.state for row in rows_of(job, 2)} == {"LOST"}
    assert outcome.scores[1].j_mean == 0 and outcome.scores[0].j_mean > 0.8
    again = earlier_outcome(job)
    assert again is not None and again.problems == outcome.problems
    monkeypatch.undo()
    assert run_sequence(job).problems == () and not (job.folder / PROBLEMS_FILE).exists()


# --- how objects are pointed at -----------------------------------------------------------


def pointed_at(start: Start, mask: np.ndarray, seed: int = 0) -> Any:
    image = np.ascontiguousarray(frame(0)[:, :, ::-1])
    options = load_configuration(CONFIG).pipeline
    return first_prompt(image, mask, options, np.random.default_rng(seed), start)


def test_points_are_on_the_mask_and_beside_it_as_many_as_configured() -> None:
    mask = truth(0) > 0
    options = load_configuration(CONFIG).pipeline
    prompt = pointed_at("points", mask)
    x, y = np.rint(prompt.points).astype(int).T
    np.testing.assert_array_equal(mask[y, x], prompt.labels == POSITIVE)
    assert np.count_nonzero(prompt.labels == POSITIVE) == options.positive_points
    assert np.count_nonzero(prompt.labels == NEGATIVE) == options.negative_points
    assert prompt.mask is None and prompt.box is None
    assert not np.array_equal(prompt.points, pointed_at("points", mask, 1).points)
    np.testing.assert_array_equal(prompt.points, pointed_at("points", mask).points)


def test_a_click_is_one_point_and_a_mask_is_the_mask() -> None:
    mask = truth(0) > 0
    click = pointed_at("click", mask)
    np.testing.assert_array_equal(click.points, [inner_point(mask)])
    assert click.labels.tolist() == [POSITIVE] and click.mask is None and click.box is None
    shown = pointed_at("mask", mask)
    np.testing.assert_array_equal(shown.mask, mask)
    assert len(shown.points) == 0


def test_a_box_bounds_the_mask_with_its_outermost_pixels() -> None:
    mask = np.zeros((120, 160), np.bool_)
    mask[20:41, 30:61] = True
    mask[41, 45] = True
    box = pointed_at("box", mask)
    assert box.box.tolist() == [30, 20, 60, 41]
    assert len(box.points) == 0 and box.mask is None


@pytest.mark.parametrize("start", STARTS)
def test_there_is_nothing_to_point_at_in_an_empty_mask(start: Start) -> None:
    with pytest.raises(UserError, match="empty"):
        pointed_at(start, np.zeros((120, 160), np.bool_))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("pixel", [(0, 0), (119, 159), (60, 0)])
def test_one_pixel_can_be_pointed_at(start: Start, pixel: tuple[int, int]) -> None:
    mask = np.zeros((120, 160), np.bool_)
    mask[pixel] = True
    prompt = pointed_at(start, mask)
    if start in ("points", "click"):
        positive = prompt.points[prompt.labels == POSITIVE]
        assert {tuple(point) for point in positive} == {(pixel[1], pixel[0])}


def test_the_innermost_pixel_is_the_farthest_from_all_others() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        mask = cv2.blur(rng.random((17, 23)), (5, 5)) > 0.47
        if not mask.any():
            continue
        x, y = inner_point(mask).astype(int)
        outside = np.argwhere(~np.pad(mask, 1)) - 1  # what is off the image is not the object
        inside = np.argwhere(mask)
        distances = np.hypot(*(inside[:, None] - outside[None]).transpose(2, 0, 1)).min(axis=1)
        mine = np.hypot(*(outside - [y, x]).T).min()
        assert mask[y, x] and mine >= 0.95 * distances.max()  # OpenCV's distances are near ones


@pytest.mark.parametrize("start", STARTS)
def test_every_start_holds_both_objects(
    sequence: VideoSequence, tmp_path: Path, start: Start
) -> None:
    outcome = run_sequence(job_of(sequence, tmp_path, start=start))
    assert outcome.problems == ()
    assert [score.j_mean > 0.8 for score in outcome.scores] == [True, True]
