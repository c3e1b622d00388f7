"""How SAM is asked: the calls that SAM-PT's own code makes, recorded."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

import torch

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import ObjectPrompt
from sam_pt_ros.pipeline.prompting import build_prompt, shown, visible_positives
from sam_pt_ros.pipeline.reinitialization import MaskWindow
from sam_pt_ros.pipeline.tracked_object import ObjectView, PointSet, TrackedObject
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Deadline, Prompt
from sam_pt_ros.segmenters.sam.options import SamOptions
from sam_pt_ros.segmenters.sam.passes import Passes, mask_bounds
from support.doubles import StoppedClock
from support.sam_networks import Call, RecordingNetwork

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "sam_pt_prompts.json").read_text()
)
SCENES = {scene["name"]: scene for scene in GOLDEN["scenes"]}


class Replay:
    """One golden scene through our prompts and passes, frame by frame."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self.scene = scene
        self.size = (scene["height"], scene["width"])
        settings = scene["settings"]
        self.network = RecordingNetwork(scene["stub"], self.size)
        self.options = SamOptions(
            refinement_iterations=settings["iterative_refinement_iterations"],
            iou_threshold=settings["sam_iou_threshold"],
        )
        self.positives = settings["positive_points_per_mask"]
        self.others = settings["add_other_objects_positive_points_as_negative_points"]
        self.calls: dict[tuple[int, int], list[Call]] = {}

    def labels(self) -> np.ndarray:
        count = self.scene["points_per_object"]
        return (np.arange(count) < self.positives).astype(np.int32)

    def view(self, item: int, frame: int, visible: np.ndarray) -> ObjectView:
        xy = np.array(self.scene["trajectories"][frame][item], np.float32)
        tracks = PointTracks(frame, np.arange(len(xy)), xy, visible, visible)
        points = PointSet.starting(np.arange(len(xy)), self.labels(), -1)
        # It starts before the clip: nothing that was clicked is prompted again.
        tracked = TrackedObject(
            item + 1,
            "",
            -1,
            ObjectPrompt(xy[:1], [1]),
            np.random.default_rng(0),
            MaskWindow(-1),
            -1,
            points,
        )
        return ObjectView(tracked, tracks, points)

    def frame(self, index: int) -> list[MaskPrediction]:
        """The masks of all objects; what was asked for each is in ``calls``."""
        views = [
            self.view(item, index, np.array(self.scene["tracker_visible"][index][item], bool))
            for item in range(self.scene["objects"])
        ]
        codes = np.array(self.scene["visibility_codes"][index])
        for view, code in zip(views, codes):
            assert np.array_equal(shown(view.tracks, self.size), code == 1)
        positives = {}
        if self.others:
            positives = {
                view.item.object_id: visible_positives(view.tracks, view.labels, self.size)
                for view in views
            }
        frame = Frame(np.zeros((*self.size, 3), np.uint8), index, index)
        return self.ask(index, [build_prompt(view, frame, positives) for view in views])

    def ask(self, index: int, prompts: list[Prompt]) -> list[MaskPrediction]:
        first = len(self.network.calls)
        found = Passes(self.network, None, self.size, self.options).predict(prompts)
        self.attribute(index, prompts, first)
        return found

    def attribute(self, index: int, prompts: list[Prompt], first: int) -> None:
        """Whose call was which: a first one by its points, later ones by the mask they hand in."""
        owner: dict[int, int] = {}
        expected = {
            prompt.object_id: prompt.points[prompt.labels == 1]
            if prompt.positives_first
            else prompt.points
            for prompt in prompts
        }
        for call in self.network.calls[first:]:
            if call.mask_from is not None:
                found = owner[call.mask_from]
            else:
                done = set(owner.values())
                scale = np.array(self.scene["input_size"][::-1]) / np.array(self.size[::-1])
                found = next(
                    key
                    for key, xy in expected.items()
                    if key not in done
                    and len(prompts[key - 1].points)
                    and xy.shape == call.points.shape
                    and np.allclose(xy * scale, call.points, atol=1e-3)
                )
            owner[call.number] = found
            self.calls.setdefault((index, found - 1), []).append(call)


def golden_calls(scene: dict[str, Any], phase: str) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """By frame and object: they follow each other object by object, each from its first pass."""
    by_frame: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for call in scene["calls"]:
        if call["call"] == "predict_torch" and call["phase"] == phase:
            by_frame[call["frame"]].append(call)
    grouped: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for frame, calls in by_frame.items():
        if phase == "query":
            asked = [i for i, start in enumerate(scene["query_timesteps"]) if start == frame]
        else:
            results = scene["results"][frame]
            asked = [r["object"] for r in results if r["why"] != "no visible point"]
        chains: list[list[dict[str, Any]]] = []
        for call in calls:
            if call["mask_input_from"] is None:
                chains.append([])
            chains[-1].append(call)
        assert len(chains) == len(asked), (scene["name"], frame)
        grouped.update({(frame, item): chain for item, chain in zip(asked, chains)})
    return grouped


def check_chain(scene: dict[str, Any], ours: list[Call], golden: list[dict[str, Any]]) -> int:
    """That we ask the same for one object in one frame; how often."""
    assert len(ours) == len(golden)
    height, width = scene["height"], scene["width"]
    scale = np.array(scene["input_size"][::-1]) / np.array([width, height])
    numbers = {}
    for call, wanted in zip(ours, golden):
        points = scene["point_sets"][wanted["point_set"]]
        coordinates = np.array(points["coords"], np.float32).reshape(-1, 2)
        assert np.array_equal(call.points, coordinates)
        assert call.labels.tolist() == points["labels"]
        if wanted["box"] is None:
            assert call.box is None
        else:
            # Their error a: the box is in the image's pixels. Ours is where the points are.
            box = np.array(wanted["box"]).reshape(2, 2) * scale
            assert call.box is not None
            assert np.array_equal(call.box, box.reshape(4).astype(np.float32))
        handed = wanted["mask_input_from"]
        assert call.mask_from == (None if handed is None else numbers[handed])
        assert not call.candidates
        numbers[wanted["id"]] = call.number
    return len(ours)


@pytest.mark.parametrize("name", SCENES)
def test_the_calls_and_results_are_those_of_the_published_code(name: str) -> None:
    scene = SCENES[name]
    replay = Replay(scene)
    golden = golden_calls(scene, "track")
    for index in range(scene["frames"]):
        predictions = replay.frame(index)
        for prediction, result in zip(predictions, scene["results"][index], strict=True):
            assert np.any(prediction.mask) == (result["area"] > 0)
            assert int(prediction.mask.sum()) == (0 if result["emptied"] else result["area"])
            if not result["emptied"] and result["area"]:
                assert zlib.crc32(np.packbits(prediction.mask).tobytes()) == result["crc32"]
                assert prediction.score == pytest.approx(result["score"], abs=1e-7)
    assert set(replay.calls) == set(golden)
    for key, chain in golden.items():
        check_chain(scene, replay.calls[key], chain)


def test_query_points_are_prompted_as_the_published_code_does() -> None:
    """All taken as visible, without a border rule, and without the others' points."""
    total = 0
    for scene in SCENES.values():
        replay = Replay(scene)
        for (frame, item), chain in golden_calls(scene, "query").items():
            xy = np.array(scene["trajectories"][frame][item], np.float32)
            labels = replay.labels()
            prompt = Prompt(1, xy, labels, positives_first=bool((labels == 0).any()))
            first = len(replay.network.calls)
            Passes(replay.network, None, replay.size, replay.options).predict([prompt])
            total += check_chain(scene, replay.network.calls[first:], chain)
    tracked = sum(
        len(chain) for scene in SCENES.values() for chain in golden_calls(scene, "track").values()
    )
    recorded = sum(
        call["call"] == "predict_torch" for scene in SCENES.values() for call in scene["calls"]
    )
    assert total + tracked == recorded
    # Of the 672 recorded calls the others are set_image: theirs is called for every frame, ours
    # encodes a frame when there is something to ask of it. Nothing can be filtered away unnoticed.
    images = sum(call["call"] == "set_image" for s in SCENES.values() for call in s["calls"])
    assert (recorded, images) == (578, 94)


def test_objects_go_through_a_pass_together() -> None:
    scene = SCENES["two_objects_16p1n_refine12"]
    replay = Replay(scene)
    replay.frame(0)
    # 2 passes of points, then 12 refinements; the first may have prompts of two lengths.
    assert replay.network.batches[-13:] == [2] * 13
    assert len(replay.network.batches) <= 15


def disc(count: int = 5, object_id: int = 1) -> Prompt:
    xy = np.array([[30 + 4 * i, 40] for i in range(count)], np.float32)
    return Prompt(object_id, xy, [1] * (count - 1) + [0])


STUB = SCENES["one_object_refine12"]["stub"]


def passes(network: RecordingNetwork, **options: Any) -> Passes:
    return Passes(network, None, network.size, SamOptions(**options))


def test_refinement_stops_when_masks_settle() -> None:
    """The discs grow by less and less of their area: the first change under a tenth ends it."""
    network = RecordingNetwork({**STUB, "radius_step": 1.0}, (96, 128))
    (paper,) = passes(network).predict([disc()])
    assert len(network.calls) == 14
    settled = RecordingNetwork({**STUB, "radius_step": 1.0}, (96, 128))
    (early,) = passes(settled, refinement_tolerance=0.05).predict([disc()])
    assert 2 < len(settled.calls) < 14
    common = (paper.mask & early.mask).sum() / (paper.mask | early.mask).sum()
    assert common > 0.6
    still = RecordingNetwork({**STUB, "radius_step": 0.0}, (96, 128))
    passes(still, refinement_tolerance=0.0).predict([disc()])
    assert len(still.calls) == 14, "0 never stops early, even when nothing changes"
    nothing_moves = RecordingNetwork({**STUB, "radius_step": 0.0}, (96, 128))
    passes(nothing_moves, refinement_tolerance=1e-6).predict([disc()])
    assert len(nothing_moves.calls) == 3


def test_each_object_stops_refining_by_itself() -> None:
    network = RecordingNetwork(STUB, (96, 128))
    alone = Prompt(2, [[100, 60]], [0])  # a ring of the stub, which it refines as well
    found = passes(network, refinement_iterations=3).predict([disc(), alone])
    assert len(found) == 2
    by_object: dict[bool, int] = defaultdict(int)
    for call in network.calls:
        by_object[bool((call.labels == 1).any())] += 1
    assert by_object == {True: 5, False: 5}


class SlowNetwork(RecordingNetwork):
    """Takes a second for its first decoding, and ``growing`` more for each further one."""

    def __init__(self, clock: StoppedClock, growing: float = 0.0) -> None:
        super().__init__(STUB, (96, 128))
        self.clock = clock
        self.growing = growing

    def decode(self, image: Any, prompts: Any, candidates: bool = False) -> Any:
        self.clock.take(1.0 + self.growing * len(self.batches))
        return super().decode(image, prompts, candidates)


@pytest.mark.parametrize(
    ("seconds", "asked"), [(-5.0, 2), (0.0, 2), (2.9, 2), (3.1, 3), (7.5, 7), (13.9, 13)]
)
def test_refinement_ends_before_the_deadline(seconds: float, asked: int) -> None:
    """The two passes of points are made in any case, for all objects."""
    clock = StoppedClock()
    begin = clock()
    network = SlowNetwork(clock)
    limited = Passes(network, None, network.size, SamOptions(), Deadline(clock() + seconds, clock))
    found = limited.predict([disc(), disc(object_id=2)])
    assert len(network.batches) == asked
    assert all(each.mask.any() and each.score > 0 for each in found)
    assert limited.shortened
    assert limited.refining_from == begin + 2.0
    exact = RecordingNetwork(STUB, (96, 128))
    (same,) = passes(exact, refinement_iterations=asked - 2).predict([disc()])
    assert np.array_equal(same.logits, found[0].logits)


def test_a_pass_is_taken_to_last_as_long_as_the_one_before() -> None:
    """They take 1, 2, 3 and 4 s: after 6 s one of 3 s would not end within 8.9 s."""
    for seconds, asked in ((8.9, 3), (9.1, 4)):
        clock = StoppedClock()
        network = SlowNetwork(clock, growing=1.0)
        Passes(
            network, None, network.size, SamOptions(), Deadline(clock() + seconds, clock)
        ).predict([disc()])
        assert len(network.batches) == asked


@pytest.mark.parametrize(("iterations", "refines"), [(12, True), (0, False)])
def test_what_is_done_in_time_is_not_shortened(iterations: int, refines: bool) -> None:
    clock = StoppedClock()
    begin = clock()
    network = SlowNetwork(clock)
    options = SamOptions(refinement_iterations=iterations)
    timed = Passes(network, None, network.size, options, Deadline(begin + 14.1, clock))
    (found,) = timed.predict([disc()])
    assert len(network.batches) == 2 + iterations
    assert not timed.shortened
    assert timed.refining_from == (begin + 2.0 if refines else None)
    exact = RecordingNetwork(STUB, (96, 128))
    (same,) = passes(exact, refinement_iterations=iterations).predict([disc()])
    assert np.array_equal(same.logits, found.logits)


def test_a_prompt_without_points_is_not_asked() -> None:
    network = RecordingNetwork(STUB, (96, 128))
    empty = Prompt(1, np.zeros((0, 2)), np.zeros(0))
    first, second = passes(network).predict([empty, disc(object_id=2)])
    assert not first.mask.any() and first.score == 0
    assert second.mask.any()
    assert len(network.calls) == 14
    assert not passes(network).predict([empty])[0].mask.any()
    assert passes(network).predict([]) == []


@pytest.mark.parametrize(("threshold", "seen"), [(0.765, True), (0.766, False)])
def test_a_mask_of_a_low_predicted_iou_is_none(threshold: float, seen: bool) -> None:
    network = RecordingNetwork(STUB, (96, 128))
    (found,) = passes(network, iou_threshold=threshold, refinement_iterations=0).predict([disc()])
    assert found.mask.any() == seen


def test_a_box_goes_along_with_the_points_and_is_replaced_when_refining() -> None:
    network = RecordingNetwork(STUB, (96, 128))
    prompt = Prompt(1, disc().points, disc().labels, box=[20, 30, 60, 50])
    passes(network, refinement_iterations=1).predict([prompt])
    boxes = [call.box for call in network.calls]
    assert boxes[0].tolist() == boxes[1].tolist() == [160, 240, 480, 400]  # times 1024 / 128
    assert boxes[2].tolist() != boxes[0].tolist()


def test_a_single_click_takes_the_best_of_its_candidates() -> None:
    """Not the first, and whatever its score: the user has said that there is something."""

    class Candidates(RecordingNetwork):
        def decode(self, image: Any, prompts: Any, candidates: bool = False) -> Any:
            low, ious = super().decode(image, prompts, candidates)
            if not candidates:
                return low, ious
            low = torch.cat([low, low, low], dim=1)
            low[:, 1, 0, 0] = 0  # the logits of the first call
            return low, torch.tensor([[0.2, 0.3, 0.1]])

    network = Candidates(STUB, (96, 128))
    click = Prompt(1, [[64, 48]], [1])
    (first,) = passes(network).propose([click])
    assert network.calls[0].candidates and len(network.calls) == 1
    assert first.score == pytest.approx(0.3)
    assert first.mask.any()
    made = passes(network).hypotheses(click)
    assert [each.score for each in made] == pytest.approx([0.2, 0.3, 0.1])
    assert np.array_equal(made[1].mask, first.mask)
    assert network.calls[1].candidates
    passes(network).propose([disc(), Prompt(2, [[64, 48]], [1], box=[50, 40, 80, 60])])
    (only,) = passes(network).hypotheses(disc())
    assert only.mask.any()
    assert not any(call.candidates for call in network.calls[2:])


def test_extents_are_inclusive() -> None:
    masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    masks[0, 4:9, 7:12] = True
    masks[1, 19, 29] = True
    one, corner, nothing = mask_bounds(masks)
    assert (one.area, one.box.tolist()) == (25, [7, 4, 11, 8])
    assert (corner.area, corner.box.tolist()) == (1, [29, 19, 29, 19])
    assert nothing.area == 0
