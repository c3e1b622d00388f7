"""UVO: proposals of a first frame, tracked, scored, and written as its evaluation takes them."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("pycocotools")
pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from pycocotools import mask as coco

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation import uvo_evaluation
from sam_pt_ros.evaluation.proposals import GeneratorOptions, Proposal
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.evaluation.uvo_evaluation import (
    VideoJob,
    evaluate_uvo,
    figures,
    open_uvo,
    run_video,
)
from sam_pt_ros.evaluation.video_instances import IOU_THRESHOLDS
from sam_pt_ros.objects import ObjectState, TrackResult
from sam_pt_ros.paths import classical_configuration_file
from support.media import frame, truth

CONFIG = classical_configuration_file()
FRAMES = {"going": 6, "staying": 4}
"""By video. In the first the disc is there in half of the frames only."""

MOBILE_SAM = """/**:
  ros__parameters:
    tracker: lucas_kanade
    segmenter: mobile_sam
    threads: 1
    mobile_sam:
      checkpoint: random
      allow_random_weights: true
      refinement_iterations: 0
      device: cpu
    clustered_pixels: 400
"""
# Of random weights the masks are neither sure nor stable.
FEW = GeneratorOptions(
    points_per_side=1,
    points_per_batch=1,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.0,
    box_nms_thresh=1.0,
)

Seen = list[tuple[int, TrackResult]]


def visible(name: str, index: int) -> bool:
    return name == "staying" or index < 3


def true_mask(name: str, index: int) -> np.ndarray:
    return (truth(index) > 0) & visible(name, index)


def code(mask: np.ndarray) -> dict[str, Any] | None:
    """Uncompressed run lengths, column by column, zeros first; None without a pixel."""
    if not mask.any():
        return None
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [1 - int(mask[-1, -1])]])
    edges = np.flatnonzero(np.diff(flat))
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}


def write_uvo(root: Path, frames: dict[str, int], split: str = "val") -> Path:
    videos, annotations = [], []
    for number, (name, count) in enumerate(frames.items(), 1):
        names = [f"{name}/{index}.png" for index in range(count)]
        for index, file in enumerate(names):
            path = root / "uvo_videos_dense_frames" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            bgr = frame(index) if visible(name, index) else frame(1000)
            cv2.imwrite(str(path), bgr)
        size = {"height": 120, "width": 160, "length": count}
        videos.append({"id": number, "file_names": names, **size})
        codes = [code(true_mask(name, index)) for index in range(count)]
        annotations.append({"id": number, "video_id": number, "segmentations": codes})
    (root / "VideoDenseSet").mkdir(parents=True, exist_ok=True)
    content = {"videos": videos, "annotations": annotations if split != "test" else None}
    path = root / f"VideoDenseSet/UVO_video_{split}_dense.json"
    path.write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uvo")
    write_uvo(folder, FRAMES, "test")
    return write_uvo(folder, FRAMES)


class KeepingSink:
    """Keeps all results."""

    def __init__(self) -> None:
        self.seen: Seen = []

    def take(self, frame: InputFrame, result: TrackResult) -> None:
        self.seen.append((frame.index, result))

    def close(self) -> None:
        pass


def recording(patch: pytest.MonkeyPatch) -> list[Seen]:
    """The results of all streams to come, in the order of the videos."""
    kept: list[Seen] = []
    real = uvo_evaluation.run_stream

    def run_stream(pipeline: Any, frames: Any, prompter: Any, sinks: Any) -> Any:
        sink = KeepingSink()
        kept.append(sink.seen)
        return real(pipeline, frames, prompter, [*sinks, sink])

    patch.setattr(uvo_evaluation, "run_stream", run_stream)
    return kept


def true_disc_and_a_corner(segmenter: Any, image: np.ndarray, *rest: Any) -> list[Proposal]:
    """A double of the generator: what is there, and a piece of the ground."""
    corner = np.zeros((120, 160), np.bool_)
    corner[4:30, 120:150] = True
    return [Proposal(truth(0) > 0, 0.9), Proposal(corner, 0.8)]


@pytest.fixture
def discs(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Runs without a network: proposals of the double, masks of the classical segmenter."""
    monkeypatch.setattr(uvo_evaluation, "propose_masks", true_disc_and_a_corner)
    return recording(monkeypatch)


def decoded(segmentation: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools with NumPy 2
        mask: np.ndarray = coco.decode(segmentation)
    return mask


def check_results(out: Path, seen: dict[int, Seen]) -> None:
    """The file holds, of every object, its masks where it is tracked, and its mean score."""
    entries = json.loads((out / "results.json").read_text())
    wanted = [
        (number, item.object_id) for number, kept in seen.items() for item in kept[0][1].objects
    ]
    assert [entry["video_id"] for entry in entries] == [number for number, _ in wanted]
    for entry, (number, object_id) in zip(entries, wanted, strict=True):
        kept = seen[number]
        assert len(entry["segmentations"]) == len(kept)
        total = 0.0
        for segmentation, (_, result) in zip(entry["segmentations"], kept, strict=True):
            item = next(item for item in result.objects if item.object_id == object_id)
            total += item.score
            if item.state is ObjectState.TRACKING:
                np.testing.assert_array_equal(decoded(segmentation), item.mask.full())
            else:
                assert segmentation is None
        assert entry["score"] == pytest.approx(total / len(kept), abs=1e-12)


# --- with the network ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "frames", [{"one": 2}, pytest.param({"one": 3, "two": 2}, marks=pytest.mark.slow)]
)
def test_proposals_of_the_network_are_tracked_through_the_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: dict[str, int]
) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")
    pytest.importorskip("mobile_sam")
    from support.sam_networks import few_threads

    few_threads()
    root, out = write_uvo(tmp_path / "uvo", frames), tmp_path / "out"
    config = tmp_path / "mobile_sam.yaml"
    config.write_text(MOBILE_SAM)
    job = functools.partial(VideoJob, limit=2, generator=FEW)
    monkeypatch.setattr(uvo_evaluation, "VideoJob", job)
    seen = recording(monkeypatch)
    results = evaluate_uvo(open_uvo(root, None, None), config, out)
    assert results.failures == [] and results.scores is not None
    assert [len(kept) for kept in seen] == list(frames.values())
    assert {len(result.objects) for kept in seen for _, result in kept} == {2}, "the limit"
    check_results(out, dict(enumerate(seen, 1)))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["configuration"]["segmenter"] == "mobile_sam"
    assert summary["videos"] == results.videos == len(frames)
    assert summary["failures"] == summary["problems"] == []


# --- figures ------------------------------------------------------------------------------


def video_iou(out: Path, name: str, video_id: int) -> float:
    """Of the first detection of a video, by decoding its file."""
    entries = json.loads((out / "results.json").read_text())
    entry = next(each for each in entries if each["video_id"] == video_id)
    both = either = 0
    for index, segmentation in enumerate(entry["segmentations"]):
        wanted = true_mask(name, index)
        found = np.zeros_like(wanted) if segmentation is None else decoded(segmentation) > 0
        both += int((found & wanted).sum())
        either += int((found | wanted).sum())
    return both / either


def test_what_was_tracked_is_written(root: Path, discs: list[Seen], tmp_path: Path) -> None:
    told: list[int] = []
    results = evaluate_uvo(
        open_uvo(root, "val", None), CONFIG, tmp_path / "out", on_done=lambda: told.append(1)
    )
    assert results.failures == [] and len(told) == 2
    assert [len(kept) for kept in discs] == list(FRAMES.values())
    check_results(tmp_path / "out", dict(enumerate(discs, 1)))
    states = {item.state for _, result in discs[0] for item in result.objects}
    assert ObjectState.TRACKING in states and len(states) > 1, "the disc is gone in some frames"
    entries = json.loads((tmp_path / "out/results.json").read_text())
    gone, there = (entries[index]["segmentations"] for index in (0, 2))
    assert [each is None for each in gone][:3] == [False] * 3 and gone[-1] is None
    assert None not in there
    assert entries[0]["score"] < entries[2]["score"]


def test_recall_is_the_share_of_thresholds_that_the_ious_reach(
    root: Path, discs: list[Seen], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    scores = evaluate_uvo(open_uvo(root, "val", None), CONFIG, out).scores
    assert scores is not None
    ious = [video_iou(out, name, number) for number, name in enumerate(FRAMES, 1)]
    assert min(ious) > 0.5, ious
    recall = sum(float((iou >= IOU_THRESHOLDS).mean()) for iou in ious) / 2
    assert scores.ar100 == scores.ar10 == pytest.approx(recall, abs=1e-12)
    found = figures(scores)
    assert list(found) == ["AR@100", "AR@10", "AR@1", "AP", "AP50", "AP75"]
    assert found["AR@100"] == scores.ar100 and found["AP75"] == scores.ap75
    assert found["AR@1"] == scores.ar1 and found["AR@10"] == scores.ar10
    assert found["AP"] == scores.ap and found["AP50"] == scores.ap50
    written = json.loads((out / "summary.json").read_text())["figures"]
    assert written["ar100"] == scores.ar100 and written["ap_large"] is None


def test_a_set_without_truth_has_results_and_no_figures(
    root: Path, discs: list[Seen], tmp_path: Path
) -> None:
    results = evaluate_uvo(open_uvo(root, "test", None), CONFIG, tmp_path / "out")
    assert results.scores is None and results.failures == []
    assert json.loads((tmp_path / "out/summary.json").read_text())["figures"] is None
    check_results(tmp_path / "out", dict(enumerate(discs, 1)))


def test_a_video_without_proposals_has_no_tracks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvo_evaluation, "propose_masks", lambda *given: [])
    (video,) = open_uvo(root, "val", ["staying"])
    outcome = run_video(VideoJob(video, CONFIG, 0))
    assert outcome.tracks == () and outcome.problems == ()
    assert len(outcome.matches.scores) == 0 and outcome.matches.true[0] == 1


def test_a_job_s_limit_and_options_reach_the_generator(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def propose(segmenter: Any, image: np.ndarray, *given: Any) -> list[Proposal]:
        asked.append(given)
        np.testing.assert_array_equal(image, frame(0)[:, :, ::-1])  # RGB
        return true_disc_and_a_corner(segmenter, image)[:1]

    monkeypatch.setattr(uvo_evaluation, "propose_masks", propose)
    (video,) = open_uvo(root, "val", ["staying"])
    (first,) = run_video(VideoJob(video, CONFIG, 3, 7, FEW)).tracks
    assert asked == [(7, FEW)], "once, for the first frame"
    (again,) = run_video(VideoJob(video, CONFIG, 3, 7, FEW)).tracks
    assert (first.masks, first.score) == (again.masks, again.score)


# --- what can be wrong --------------------------------------------------------------------


def evaluate(root: Path, out: Path, *more: str) -> int:
    fixed = ["evaluate", "--dataset", "uvo", "--root", str(root), "--config", str(CONFIG)]
    return main([*fixed, "--out", str(out), *more])


def test_a_video_that_fails_costs_no_other(
    discs: list[Seen], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write_uvo(tmp_path / "uvo", FRAMES), tmp_path / "out"
    broken = root / "uvo_videos_dense_frames/going/2.png"
    broken.write_bytes(b"no image")
    assert evaluate(root, out) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("sam-pt: 1 of 2 videos failed")
    assert captured.err.count("\n") == 1 and str(broken) in captured.err
    check_results(out, {2: discs[1]})
    summary = json.loads((out / "summary.json").read_text())
    assert [text.split(":")[0] for text in summary["failures"]] == ["going"]
    share = float((video_iou(out, "staying", 2) >= IOU_THRESHOLDS).mean())
    assert share > 0 and summary["figures"]["ar100"] == pytest.approx(share, abs=1e-12)
    assert f"{share:.3f}" in captured.out


def test_a_configuration_without_sam_fails_for_each_video_and_says_why(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.json").write_text("[]")  # an earlier run's
    assert evaluate(root, out) == 1
    error = capsys.readouterr().err
    assert error.startswith("sam-pt: 2 of 2 videos failed") and error.count("\n") == 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["figures"] is None
    for name, text in zip(FRAMES, summary["failures"], strict=True):
        assert text.startswith(f"{name}: ") and "cannot propose masks" in text
        assert "mobile_sam" in text
    assert not (out / "results.json").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--split", "valid"], "uvo has no split 'valid'; choose one of train, val, test"),
        (["--split", "train"], "UVO_video_train_dense.json: cannot be read"),
        (["--sequences", "coming"], "no video is named 'coming'"),
        (["--resume"], "--resume is not supported for UVO"),
        (["--masks"], "--masks is not supported for UVO"),
        (["--films"], "--films is not supported for UVO"),
        (["--seeds", "2"], "leave out --seeds and --start"),
        (["--start", "mask"], "leave out --seeds and --start"),
        (["--engine", "serial", "--workers", "2"], "leave out --workers"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    root: Path, tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(root, tmp_path / "out", *more) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("sam-pt: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_to_write_to(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="out: cannot be created as a folder"):
        evaluate_uvo(open_uvo(root, "val", None), CONFIG, tmp_path / "out")


def test_videos_are_chosen_by_name_in_the_order_of_the_file(root: Path) -> None:
    assert [video.name for video in open_uvo(root, None, None)] == list(FRAMES)
    assert [video.name for video in open_uvo(root, "val", ["staying"])] == ["staying"]
    both = open_uvo(root, "val", ["staying", "going"])
    assert [video.name for video in both] == list(FRAMES)
