"""A whole sequence: its objects one at a time, with doubles and with the classical backend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.interactive.methods import Budget
from sam_pt_ros.evaluation.interactive.study import run_study
from sam_pt_ros.evaluation.sequences import VOID, VideoSequence
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.options import NoOptions
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.segmenters.base import Prompt, Segmenter
from support.oracle import BIG, SIZE, SMALL, SPILL, SteadyTracker, blocks

ROOT = Path(__file__).resolve().parents[3]
DAVIS_ROOT = Path(
    os.environ.get("SAM_PT_DAVIS_ROOT", ROOT.parent / "shared" / "data" / "davis2016")
)


class BlockOracle(Segmenter):
    """Gives the blocks of the image that hold a positive point: what has the point's colour."""

    def __init__(self) -> None:
        super().__init__(NoOptions())

    def set_image(self, frame: Frame) -> None:
        self.frame = frame

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        predictions = []
        for prompt in prompts:
            mask = np.zeros(self.frame.size, np.bool_)
            for x, y in np.rint(prompt.points[prompt.labels == 1]).astype(int).tolist():
                mask |= (self.frame.image == self.frame.image[y, x]).all(axis=2)
            logits = np.where(mask, 1, -1).astype(np.float32)
            predictions.append(MaskPrediction(logits, (0, 0), self.frame.size, 1.0))
        return predictions


def create() -> SamPt:
    return SamPt(SteadyTracker(), BlockOracle(), SamPtOptions())


def labels_of(path: Path) -> np.ndarray:
    labels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16)
    return np.where(labels == 255, VOID, labels).astype(np.uint16)


def foreground_of(path: Path) -> np.ndarray:
    return (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0).astype(np.uint16)


def write_sequence(folder: Path, annotated: Sequence[int] = (0, 1, 2)) -> VideoSequence:
    """Object 1 is the large block; 2 the small one, from frame 1 on; a third one is void."""
    annotations = {}
    for index in range(3):
        image = np.full((*SIZE, 3), 20, np.uint8)
        labels = np.zeros(SIZE, np.uint8)
        for box, value, label in ((BIG, 100, 1), (SMALL, 180, 2), (SPILL, 100, 255)):
            if label != 2 or index > 0:
                image[blocks(SIZE, box)] = value
                labels[blocks(SIZE, box)] = label
        cv2.imwrite(str(folder / f"{index}.png"), image)
        cv2.imwrite(str(folder / f"labels{index}.png"), labels)
        if index in annotated:
            annotations[index] = folder / f"labels{index}.png"
    images = tuple(folder / f"{index}.png" for index in range(3))
    return VideoSequence("blocks", images, annotations, {1: 0, 2: 1}, labels_of)


def test_each_object_by_itself_in_each_way_of_working(tmp_path: Path) -> None:
    curves = run_study(write_sequence(tmp_path), create)
    assert [(c.sequence, c.object_id, c.method) for c in curves] == [
        ("blocks", object_id, method)
        for object_id in (1, 2)
        for method in ("sam_only", "online", "offline")
    ]
    # What is void looks like object 1, and costs nothing.
    assert [c.spent for c in curves] == [3, 1, 1, 2, 1, 1]
    assert [c.annotation.frames for c in curves] == [3, 3, 3, 2, 2, 2]
    assert all(c.final_iou == 1.0 and c.annotation.complete for c in curves)
    assert [i.frame for i in curves[3].annotation.interactions] == [1, 2]
    assert {i.object_id for i in curves[3].annotation.interactions} == {2}
    assert (curves[0].annotation.interactions[0].x, curves[0].annotation.start_iou) == (5.0, 0.0)


def test_frames_without_annotation_are_tracked_through(tmp_path: Path) -> None:
    sequence = write_sequence(tmp_path, annotated=(0, 1))
    (curve,) = run_study(sequence, create, ["online"], object_ids=[1])
    assert curve.annotation.frames == 2 and curve.final_iou == 1.0


def test_the_budget_is_passed_on(tmp_path: Path) -> None:
    (curve,) = run_study(
        write_sequence(tmp_path), create, ["sam_only"], Budget(interactions=2), [1]
    )
    assert curve.spent == 2 and curve.final_iou == pytest.approx(2 / 3)


def test_a_tracker_is_not_run_for_what_is_not_tracked(tmp_path: Path) -> None:
    tracker = SteadyTracker()
    run_study(
        write_sequence(tmp_path),
        lambda: SamPt(tracker, BlockOracle(), SamPtOptions()),
        ["sam_only"],
    )
    assert tracker.stepped == []


def test_wrong_questions_and_files_are_refused(tmp_path: Path) -> None:
    sequence = write_sequence(tmp_path)
    with pytest.raises(UserError, match="'blocks' has no object 3; its objects are 1, 2"):
        run_study(sequence, create, object_ids=[1, 3])
    with pytest.raises(UserError, match="unknown annotation method 'offlin'"):
        run_study(sequence, create, ["offlin"])
    cv2.imwrite(str(tmp_path / "labels1.png"), np.zeros((9, 16), np.uint8))
    with pytest.raises(UserError, match=r"labels1\.png: the annotation has 16x9 pixels.*16x8"):
        run_study(sequence, create)
    (tmp_path / "1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.png: cannot be read"):
        run_study(sequence, create)


@pytest.mark.skipif(
    not (DAVIS_ROOT / "JPEGImages" / "480p" / "blackswan").is_dir(),
    reason=f"no DAVIS 2016 in {DAVIS_ROOT}; name its folder in SAM_PT_DAVIS_ROOT",
)
def test_the_classical_backend_on_davis() -> None:
    images = tuple(sorted((DAVIS_ROOT / "JPEGImages/480p/blackswan").glob("*.jpg"))[:4])
    annotations = {
        i: DAVIS_ROOT / "Annotations/480p/blackswan" / f"{path.stem}.png"
        for i, path in enumerate(images)
    }
    sequence = VideoSequence("blackswan", images, annotations, {1: 0}, foreground_of)
    configuration = load_configuration(ROOT / "config" / "classical.yaml")
    budget = Budget(interactions=3)

    sam_only, online = run_study(sequence, configuration.create, ["sam_only", "online"], budget)
    assert sam_only.spent == online.spent == 3
    first, same = sam_only.annotation.interactions[0], online.annotation.interactions[0]
    assert (first.x, first.y, first.iou_frame_after) == (same.x, same.y, same.iou_frame_after)
    # A click that is tracked tells about all four frames.
    assert same.mean_iou > 2 * first.mean_iou > 0.2
    (again,) = run_study(sequence, configuration.create, ["online"], budget)
    assert again == online
