"""What the pipeline makes of backends that fail, hang on to memory, or answer nonsense."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from doubles import ColourSegmenter, OracleTracker
from scene import OCCLUDER, THING, overlap, passing_scene, plain_scene

from sam_pt_ros.frames import Frame
from sam_pt_ros.objects import ObjectPrompt, ObjectState, TrackResult
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.segmenters.base import MaskPrediction, Prompt
from sam_pt_ros.trackers import create_tracker
from sam_pt_ros.trackers.base import PointTracks
from sam_pt_ros.warm_up import is_out_of_memory

SCENE = plain_scene()
Predict = Callable[[Sequence[Prompt]], list[MaskPrediction]]


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's."""


class SpoiltSegmenter(ColourSegmenter):
    """``spoil`` makes of its answers what the node gets to see."""

    def __init__(self, spoil: Callable[[list[MaskPrediction]], list[MaskPrediction]]) -> None:
        super().__init__()
        self.spoil = spoil
        self.spoils = False

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        found = super().predict(prompts)
        return self.spoil(found) if self.spoils else found


class SpoiltTracker(OracleTracker):
    """``spoil`` makes of its answers what the node gets to see."""

    spoil: Callable[[PointTracks], PointTracks] | None = None

    def step(self, frame: Frame) -> PointTracks:
        found = super().step(frame)
        return found if self.spoil is None else self.spoil(found)


def click(owner: int, index: int = 0) -> ObjectPrompt:
    return ObjectPrompt(np.array([SCENE.inner_point(owner, index)]), np.array([1]))


def feed(pipeline: SamPt, *indices: int) -> TrackResult:
    for index in indices:
        (result,) = pipeline.process(SCENE.frame(index).image, SCENE.stamp(index))
    return result


def started(pipeline: SamPt, *owners: int) -> SamPt:
    """With objects in frame 0."""
    feed(pipeline, 0)
    for owner in owners:
        pipeline.add_object(click(owner))
    return pipeline


def good(result: TrackResult, object_id: int, owner: int) -> bool:
    truth = SCENE.frame(SCENE.index(result.stamp)).mask(owner)
    return overlap(result.object(object_id).mask.full(), truth) > 0.85


# --- segmenters ---------------------------------------------------------------------------


def nan_logits(found: list[MaskPrediction]) -> list[MaskPrediction]:
    for each in found:
        each.logits[0, 0] = np.nan
    return found


SPOILT_MASKS: dict[str, tuple[Callable[[list[MaskPrediction]], list[MaskPrediction]], str]] = {
    "logits": (nan_logits, "logits or score are no numbers"),
    "score": (
        lambda found: [MaskPrediction(m.logits, m.origin, m.image_size, np.nan) for m in found],
        "logits or score are no numbers",
    ),
    "dimensions": (
        lambda found: [
            MaskPrediction(m.logits[None], m.origin, m.image_size, m.score) for m in found
        ],
        r"logits must have shape \(h, w\), got \(1, 72, 96\)",
    ),
    "size": (
        lambda found: [MaskPrediction.nothing((10, 20)) for _ in found],
        "a mask for 20x10 pixels in an image of 96x72",
    ),
    "count": (lambda found: found[1:], "was asked for 1 masks, and gave 0"),
}


@pytest.mark.parametrize("kind", SPOILT_MASKS)
def test_masks_that_are_nonsense_fail_their_frame_with_a_reason(kind: str) -> None:
    spoil, says = SPOILT_MASKS[kind]
    segmenter = SpoiltSegmenter(spoil)
    pipeline = started(SamPt(OracleTracker(SCENE), segmenter), THING, OCCLUDER)
    feed(pipeline, 1)
    segmenter.spoils = True
    result = feed(pipeline, 2)
    assert result.failed and len(result.problems) == 2
    for problem, item in zip(result.problems, result.objects, strict=True):
        assert problem.startswith(f"object {item.object_id} cannot be segmented: ")
        assert re.search(says, problem)
        assert item.state is ObjectState.OCCLUDED and item.score == 0
    segmenter.spoils = False
    result = feed(pipeline, 3)
    assert not result.failed and result.problems == ()
    assert good(result, 1, THING) and good(result, 2, OCCLUDER)


def test_a_first_mask_that_is_nonsense_starts_no_object() -> None:
    class Proposing(ColourSegmenter):
        def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
            return [MaskPrediction.nothing((10, 20)) for _ in prompts]

    pipeline = SamPt(OracleTracker(SCENE), Proposing(), SamPtOptions(click_expansion=True))
    feed(pipeline, 0)
    with pytest.raises(ValueError, match="20x10 pixels"):
        pipeline.add_object(click(THING))
    assert pipeline.object_ids == []


class Scarce(ColourSegmenter):
    """Has room for ``room`` prompts at once."""

    def __init__(self) -> None:
        super().__init__()
        self.room = 9
        self.held: list[weakref.ref[np.ndarray]] = []

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        scratch = np.zeros(9)  # as activations of a network
        self.held.append(weakref.ref(scratch))
        if len(prompts) > self.room:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().predict(prompts)


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Scarce:
    """Its ``held`` are dead whenever caches are emptied; ``freed`` counts how often."""
    segmenter = Scarce()

    def free() -> None:
        assert all(ref() is None for ref in segmenter.held), "there is nothing to give back yet"
        freed.append(1)

    freed: list[int] = []
    segmenter.freed = freed  # type: ignore[attr-defined]
    monkeypatch.setattr("sam_pt_ros.segmentation.free_memory", free)
    return segmenter


def test_where_memory_is_scarce_objects_are_segmented_one_by_one(scarce: Scarce) -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), scarce), THING, OCCLUDER)
    scarce.room = 1
    result = feed(pipeline, 1)
    assert scarce.freed == [1]  # type: ignore[attr-defined]
    (problem,) = result.problems
    assert re.match(
        "2 objects cannot be segmented at once, and were one by one: Out.*CUDA", problem
    )
    assert not result.failed and good(result, 1, THING) and good(result, 2, OCCLUDER)


def test_where_there_is_no_memory_at_all_each_object_says_so(scarce: Scarce) -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), scarce), THING, OCCLUDER)
    scarce.room = 0
    result = feed(pipeline, 1)
    assert scarce.freed == [1] * 3  # type: ignore[attr-defined]
    assert result.failed
    assert [p.split(":")[0] for p in result.problems] == [
        "object 1 cannot be segmented",
        "object 2 cannot be segmented",
    ]
    scarce.room = 9
    result = feed(pipeline, 2)
    assert result.problems == () and good(result, 1, THING) and good(result, 2, OCCLUDER)


def test_errors_of_memory_are_known_by_their_names() -> None:
    assert is_out_of_memory(OutOfMemoryError()) and is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("out of memory, as others say"))


# --- trackers -----------------------------------------------------------------------------


def with_nan(tracks: PointTracks) -> PointTracks:
    xy = tracks.xy.copy()
    xy[0] = np.nan
    return PointTracks(tracks.index, tracks.ids, xy, tracks.visible, tracks.confidence)


SPOILT_TRACKS: dict[str, tuple[Callable[[PointTracks], Any], str]] = {
    "nan": (with_nan, "places and confidence of points must be finite numbers"),
    "shape": (
        lambda t: PointTracks(t.index, t.ids, t.xy[:, :1], t.visible, t.confidence),
        r"tracks of \d+ points need xy",
    ),
    "nothing": (lambda t: None, "NoneType"),
}


@pytest.mark.parametrize("kind", SPOILT_TRACKS)
def test_tracks_that_are_nonsense_fail_their_frame_with_a_reason(kind: str) -> None:
    tracker = SpoiltTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), THING)
    feed(pipeline, 1)
    tracker.spoil, says = SPOILT_TRACKS[kind]
    result = feed(pipeline, 2)
    (problem,) = result.problems
    assert result.failed and re.search(f"points cannot be tracked: .*{says}", problem)
    assert len(result.object(1).points) == 0
    assert result.object(1).state is ObjectState.OCCLUDED
    tracker.spoil = None
    assert good(feed(pipeline, 3), 1, THING)


def test_tracks_of_other_points_fail_their_frame() -> None:
    tracker = SpoiltTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), THING)
    tracker.spoil = lambda tracks: tracks.select(tracks.ids[1:])
    tracker.recall = lambda ids, index: with_nan(tracker._tracks(ids.tolist(), SCENE.frame(index)))  # type: ignore[method-assign]
    result = feed(pipeline, 1)
    assert result.failed and "points cannot be tracked" in result.problems[0]
    assert result.object(1).state is ObjectState.OCCLUDED


PICTURE = passing_scene()


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
def test_lucas_kanade_goes_on_after_frames_that_it_was_not_shown(variant: str) -> None:
    tracker = create_tracker("lucas_kanade")
    options = SamPtOptions(reinitialization=variant, reinitialization_horizon=4)
    pipeline = SamPt(tracker, ColourSegmenter(), options)
    advance = tracker.advance

    def fail(frame: Frame) -> Any:
        raise RuntimeError("no memory")

    def go_on(index: int) -> TrackResult:
        (result,) = pipeline.process(PICTURE.frame(index).image, PICTURE.stamp(index))
        return result

    go_on(0)
    place = PICTURE.inner_point(OCCLUDER, 0)
    pipeline.add_object(ObjectPrompt(np.array([place]), np.array([1])))
    go_on(1)
    for index in (2, 3):
        tracker.advance = fail  # type: ignore[method-assign]
        assert go_on(index).failed
    tracker.advance = advance  # type: ignore[method-assign]
    results = [go_on(index) for index in range(4, 13)]
    assert not [result.problems for result in results if result.problems]
    assert [result.object(1).state for result in results] == [ObjectState.TRACKING] * 9


class BrokenTracker(OracleTracker):
    """Fails whatever it is asked."""

    def step(self, frame: Frame) -> PointTracks:
        raise RuntimeError("no memory")

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        raise RuntimeError("no memory")


class BrokenSegmenter(ColourSegmenter):
    """Fails whatever it is asked."""

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        raise RuntimeError("no memory")


@pytest.mark.parametrize("broken", ["tracker", "segmenter"])
def test_objects_outlive_restarts_with_models_that_still_fail(broken: str) -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), ColourSegmenter()), OCCLUDER)  # it stands still
    feed(pipeline, 1, 2)
    unseen = 0
    for begin in (3, 5):
        pipeline.replace_backends(
            BrokenTracker(SCENE) if broken == "tracker" else OracleTracker(SCENE),
            BrokenSegmenter() if broken == "segmenter" else ColourSegmenter(),
        )
        (result,) = pipeline.restart(SCENE.frame(begin).image, SCENE.stamp(begin), unseen)
        assert result.failed and feed(pipeline, begin + 1).failed
        assert pipeline.object_ids == [1]
        unseen = 2
    pipeline.replace_backends(OracleTracker(SCENE), ColourSegmenter())
    (result,) = pipeline.restart(SCENE.frame(7).image, SCENE.stamp(7), unseen)
    assert result.problems == ()
    assert result.object(1).state is ObjectState.TRACKING
    assert good(feed(pipeline, 8), 1, OCCLUDER)


def test_a_click_that_cannot_be_used_is_no_failure_of_a_model() -> None:
    pipeline = SamPt(OracleTracker(SCENE), ColourSegmenter())
    pipeline.add_object(ObjectPrompt(np.array([[1e4, 5.0]]), np.array([1])))
    result = feed(pipeline, 0)
    (problem,) = result.problems
    assert "click refused: object 1: the point (10000, 5) is not in the image" in problem
    assert not result.failed
