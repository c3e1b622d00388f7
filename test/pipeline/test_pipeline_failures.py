"""What the pipeline makes of backends that fail, hang on to memory, or answer nonsense."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import ObjectPrompt, ObjectState, PromptRequest, TrackResult
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.points import PointTracks
from sam_pt_ros.segmenters.base import Prompt
from sam_pt_ros.trackers import create_tracker
from sam_pt_ros.weights.memory import free_memory, is_out_of_memory
from support.doubles import ColourSegmenter, DelayedTracker, OracleTracker
from support.scene import OCCLUDER, THING, overlap, passing_scene, plain_scene

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
    monkeypatch.setattr("sam_pt_ros.pipeline.segmentation.free_memory", free)
    return segmenter


def test_where_memory_is_scarce_objects_are_segmented_one_by_one(scarce: Scarce) -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), scarce), THING, OCCLUDER)
    scarce.room = 1
    result = feed(pipeline, 1)
    assert scarce.freed == [1]  # type: ignore[attr-defined]
    (problem,) = result.problems
    assert re.match(
        "2 objects could not be segmented together and were segmented one by one: Out.*CUDA",
        problem,
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


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "OpenCV(4.13.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes",
    ],
)
def test_errors_of_memory_without_a_name_of_their_own_are_known_by_their_words(words: str) -> None:
    assert is_out_of_memory(RuntimeError(words))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))


def test_pytorch_without_memory_on_a_cpu_is_known() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50)
    assert is_out_of_memory(raised.value)


# --- trackers -----------------------------------------------------------------------------


def with_nan(tracks: PointTracks) -> PointTracks:
    xy = tracks.xy.copy()
    xy[0] = np.nan
    return PointTracks(tracks.index, tracks.ids, xy, tracks.visible, tracks.confidence)


SPOILT_TRACKS: dict[str, tuple[Callable[[PointTracks], Any], str]] = {
    "nan": (with_nan, "positions and confidences of points must be finite numbers"),
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


@pytest.mark.parametrize("change", [lambda ids: ids[1:], lambda ids: ids[::-1]])
def test_tracks_that_are_recalled_of_other_points_fail_their_frame(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    tracker = SpoiltTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), THING)
    recall = tracker.recall
    tracker.spoil = lambda tracks: PointTracks.empty(tracks.index)
    tracker.recall = lambda ids, index: recall(change(ids), index)  # type: ignore[method-assign]
    result = feed(pipeline, 1)
    assert result.failed and "answered for others" in result.problems[0]
    assert result.object(1).state is ObjectState.OCCLUDED
    tracker.spoil, tracker.recall = None, recall  # type: ignore[method-assign]
    assert good(feed(pipeline, 2), 1, THING)


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


def test_a_click_on_an_object_that_cannot_start_again_waits_with_it() -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), ColourSegmenter()), OCCLUDER)
    feed(pipeline, 1)
    pipeline.add_prompts(
        1, ObjectPrompt(np.array([[2.0, 2.0]]), np.array([0])), stamp=SCENE.stamp(2)
    )
    pipeline.tracker = tracker = OracleTracker(SCENE)
    add = tracker.add_points

    def fail(xy: np.ndarray, frame: Frame) -> Any:
        raise RuntimeError("no memory")

    tracker.add_points = fail  # type: ignore[method-assign]
    (result,) = pipeline.restart(SCENE.frame(2).image, SCENE.stamp(2))
    assert result.problems == ("object 1 cannot restart from its mask: RuntimeError('no memory')",)
    tracker.add_points = add  # type: ignore[method-assign]
    result = feed(pipeline, 3)
    assert result.problems == () and good(result, 1, OCCLUDER)
    places = result.object(1).points.xy[result.object(1).point_labels == 0]
    assert [2.0, 2.0] in places.tolist()


def test_all_frames_that_a_windowed_tracker_failed_on_have_failed() -> None:
    class Failing(DelayedTracker):
        broken = False

        def flush(self) -> list[PointTracks]:
            found = super().flush()
            if self.broken:
                raise RuntimeError("no memory")
            return found

    tracker = Failing(SCENE, 3)
    pipeline = SamPt(tracker, ColourSegmenter())
    pipeline.add_object(click(OCCLUDER), stamp=SCENE.stamp(0))
    results = []
    for index in range(9):
        tracker.broken = 3 <= index < 6
        results += pipeline.process(SCENE.frame(index).image, SCENE.stamp(index))
    assert [r.index for r in results] == list(range(9))
    assert [r.failed for r in results] == [False] * 3 + [True] * 3 + [False] * 3
    said = ("points cannot be tracked: RuntimeError('no memory')",)
    assert [r.problems for r in results] == [()] * 3 + [said] * 3 + [()] * 3
    assert good(results[-1], 1, OCCLUDER)


def test_an_id_may_be_used_again_after_its_points_could_not_be_removed() -> None:
    tracker, segmenter = OracleTracker(SCENE), ColourSegmenter()
    pipeline = started(SamPt(tracker, segmenter), THING)
    feed(pipeline, 1)
    remove = tracker.remove_points

    def fail(ids: np.ndarray) -> None:
        raise RuntimeError("no memory")

    tracker.remove_points = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no memory"):
        pipeline.remove_object(1)
    assert pipeline.object_ids == [] and segmenter.forgotten == [1]
    tracker.remove_points = remove  # type: ignore[method-assign]
    assert pipeline.add_object(click(OCCLUDER, 1), object_id=1) == 1
    assert good(feed(pipeline, 2), 1, OCCLUDER)


def test_a_click_that_cannot_be_used_is_no_failure_of_a_model() -> None:
    pipeline = SamPt(OracleTracker(SCENE), ColourSegmenter())
    pipeline.add_object(ObjectPrompt(np.array([[1e4, 5.0]]), np.array([1])))
    result = feed(pipeline, 0)
    (problem,) = result.problems
    assert "click refused: object 1: the point (10000, 5) is not in the image" in problem
    assert not result.failed


@pytest.mark.parametrize("answer", [3, 1])
def test_answers_for_other_frames_fail_their_frame(answer: int) -> None:
    tracker = SpoiltTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), THING)
    feed(pipeline, 1)
    tracker.spoil = lambda tracks: replace(tracks, index=answer)
    tracker.advance = lambda frame: [tracker.step(frame)] * 2  # type: ignore[method-assign]
    if answer == 1:  # which is answered for already
        assert pipeline.process(SCENE.frame(2).image, SCENE.stamp(2)) == []
    else:
        result = feed(pipeline, 2)
        (problem,) = result.problems
        assert result.failed and "answered for the frames [3, 3]" in problem
        assert result.object(1).state is ObjectState.OCCLUDED
    del tracker.advance
    tracker.spoil = None
    assert good(feed(pipeline, 3), 1, THING)


def test_masks_that_cannot_be_moved_cost_their_object_that_frame_alone() -> None:
    """The tracker is asked where points were when masks are moved."""
    tracker = OracleTracker(SCENE)
    options = SamPtOptions(segment_every_n=9, reinitialization="none")
    pipeline = started(SamPt(tracker, ColourSegmenter(), options), THING, OCCLUDER)
    assert feed(pipeline, 1, 2).skipped == ("segmentation",)
    recall, mine = tracker.recall, pipeline._roster._objects[1].points.ids[0]

    def fail(ids: np.ndarray, index: int) -> PointTracks:
        if mine in ids:
            raise RuntimeError("no memory")
        return recall(ids, index)

    tracker.recall = fail  # type: ignore[method-assign]
    result = feed(pipeline, 3)
    assert result.failed and result.problems == (
        "the mask of object 1 cannot be moved: RuntimeError('no memory')",
    )
    assert result.object(1).state is ObjectState.OCCLUDED and good(result, 2, OCCLUDER)
    tracker.recall = recall  # type: ignore[method-assign]
    result = feed(pipeline, 4)
    assert result.skipped == () and good(result, 1, THING) and good(result, 2, OCCLUDER)


@pytest.mark.parametrize("variant", ["A", "C"])
def test_a_tracker_that_fails_for_long_takes_no_memory(variant: str) -> None:
    """A segmenter that needs no points goes on."""
    tracker = OracleTracker(SCENE)
    options = SamPtOptions(
        reinitialization=variant, history_length=12, require_positive=False, segment_every_n=2
    )
    pipeline = started(SamPt(tracker, ColourSegmenter(), options), THING)
    feed(pipeline, 1)
    tracker.fails = True
    image = SCENE.frame(2).image
    for late in range(100):
        (result,) = pipeline.process(image, SCENE.stamp(2) + late)
        assert result.failed
        item = pipeline._roster._objects[1]
        assert len(item.window.masks) <= 12 and len(item.moved) <= 12
    tracker.fails = False
    results = [feed(pipeline, index) for index in range(3, 15)]
    assert not any(result.problems for result in results)
    assert all(good(result, 1, THING) for result in results[1:]), "the first is not segmented"


# --- memory -------------------------------------------------------------------------------


class Full:
    """Raises ``times`` times, and counts how often caches are emptied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = self.freed = 0
        for module in ("roster", "segmentation", "tracking"):
            monkeypatch.setattr(f"sam_pt_ros.pipeline.{module}.free_memory", self._free)

    def _free(self) -> None:
        self.freed += 1

    def check(self) -> None:
        if self.times:
            self.times -= 1
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    return Full(monkeypatch)


class FullSegmenter(ColourSegmenter):
    def __init__(self, full: Full) -> None:
        super().__init__()
        self.full = full

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        self.full.check()
        return super().predict(prompts)


class FullTracker(OracleTracker):
    """May be asked again for what it owes, as CoTracker."""

    def __init__(self, full: Full) -> None:
        self.full = full
        self.adds = False
        super().__init__(SCENE)

    def step(self, frame: Frame) -> PointTracks:
        self.owes = frame
        if not self.adds:
            self.full.check()
        return super().step(frame)

    def flush(self) -> list[PointTracks]:
        return [self.step(self.owes)]

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        if self.adds:
            self.full.check()
        return super().add_points(xy, frame)


def test_a_gpu_that_is_out_of_order_costs_its_frame_alone(
    full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of CUDA is raised by whatever is asked of it next, emptying caches too."""
    emptied: list[int] = []

    def empty_cache() -> None:
        emptied.append(1)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cuda = SimpleNamespace(is_initialized=lambda: True, empty_cache=empty_cache)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    for module in ("roster", "segmentation", "tracking"):
        monkeypatch.setattr(f"sam_pt_ros.pipeline.{module}.free_memory", free_memory)
    pipeline = started(SamPt(FullTracker(full), FullSegmenter(full)), THING)
    full.times = 9
    result = feed(pipeline, 1)
    assert result.failed and emptied
    full.times = 0
    assert good(feed(pipeline, 2), 1, THING)


def test_one_object_without_room_is_segmented_once_caches_are_empty(full: Full) -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), FullSegmenter(full)), THING)
    full.times = 1
    result = feed(pipeline, 1)
    assert full.freed == 1 and not result.failed and good(result, 1, THING)
    (problem,) = result.problems
    assert problem.startswith("object 1 was segmented only at the second attempt: OutOfMemory")
    full.times = 2
    result = feed(pipeline, 2)
    assert full.freed == 3 and result.failed
    assert result.problems[0].startswith("object 1 cannot be segmented: OutOfMemory")
    assert good(feed(pipeline, 3), 1, THING)


def test_points_without_room_are_tracked_once_caches_are_empty(full: Full) -> None:
    pipeline = started(SamPt(FullTracker(full), ColourSegmenter()), THING)
    full.times = 1
    result = feed(pipeline, 1)
    assert full.freed == 1 and not result.failed and good(result, 1, THING)
    (problem,) = result.problems
    assert problem.startswith("points were tracked only at the second attempt: OutOfMemory")
    full.times = 2
    result = feed(pipeline, 2)
    assert full.freed == 2 and result.failed
    assert result.problems[0].startswith("points cannot be tracked: OutOfMemory")
    assert good(feed(pipeline, 3), 1, THING)


def test_cotracker_without_room_answers_as_if_it_had_been_there(full: Full) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    from support.cotracker_golden import clip, queries, tracker

    def run(without_room: int) -> list[np.ndarray]:
        made = tracker()
        network = made._main.engine.network
        compute = network.update

        def checked(*arguments: Any, **options: Any) -> Any:
            full.check()
            return compute(*arguments, **options)

        network.update = checked
        options = SamPtOptions(positive_points=4, reinitialization="none")
        pipeline = SamPt(made, ColourSegmenter(), options)
        pipeline.add_object(ObjectPrompt(queries()[:1, 1:], np.array([1])))
        places = []
        for index in range(6):
            full.times = int(index == without_room)
            (result,) = pipeline.process(clip()[index], index)
            assert full.times == 0 and not result.failed
            assert bool(result.problems) == (index == without_room)
            places.append(result.object(1).points.xy)
        return places

    np.testing.assert_array_equal(run(4), run(-1))


def test_a_tracker_that_owes_nothing_is_not_answered_for(full: Full) -> None:
    """Without an answer to the second question the frame is one that failed."""
    tracker = FullTracker(full)
    pipeline = started(SamPt(tracker, ColourSegmenter()), THING)
    tracker.flush = list  # type: ignore[method-assign]
    full.times = 1
    result = feed(pipeline, 1)
    assert result.failed and result.object(1).state is ObjectState.OCCLUDED
    assert good(feed(pipeline, 2), 1, THING)


@pytest.mark.parametrize("place", ["first mask", "points", "catching up"])
def test_an_object_without_room_is_started_once_caches_are_empty(full: Full, place: str) -> None:
    tracker, segmenter = FullTracker(full), FullSegmenter(full)
    (tracker if place != "points" else segmenter).full = Full.__new__(Full)
    pipeline = SamPt(tracker, segmenter, SamPtOptions(click_expansion=place == "first mask"))
    tracker.adds = True
    for idle in (tracker.full, segmenter.full):
        idle.times = 0
    feed(pipeline, 0, 1, 2)
    full.times = 1
    pipeline.add_object(click(THING, 1), stamp=SCENE.stamp(1))
    assert full.times == 0 and full.freed == 1
    result = feed(pipeline, 3)
    assert result.problems == () and good(result, 1, THING)
    assert tracker.tracked == sorted(pipeline._roster._objects[1].points.ids.tolist())


def test_an_object_that_waited_is_started_once_caches_are_empty(full: Full) -> None:
    pipeline = SamPt(OracleTracker(SCENE), FullSegmenter(full))
    pipeline.add_object(click(THING))
    full.times = 1
    result = feed(pipeline, 0)
    assert full.freed == 1 and result.problems == () and good(result, 1, THING)


# --- objects that start again ---------------------------------------------------------------


def doubled(index: int) -> np.ndarray:
    return SCENE.frame(index).image.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("broken", ["tracker", "segmenter"])
def test_objects_go_on_where_models_failed_in_the_image_before_the_size_changed(
    broken: str,
) -> None:
    tracker, segmenter = OracleTracker(SCENE), SpoiltSegmenter(nan_logits)
    pipeline = started(SamPt(tracker, segmenter), OCCLUDER)
    feed(pipeline, 1)
    tracker.fails, segmenter.spoils = broken == "tracker", broken == "segmenter"
    assert feed(pipeline, 2, 3).object(1).state is ObjectState.OCCLUDED
    tracker.fails = segmenter.spoils = False
    pipeline.replace_backends(OracleTracker(SCENE), segmenter)
    (result,) = pipeline.restart(doubled(4), SCENE.stamp(4))
    assert result.problems == () and pipeline.object_ids == [1]
    truth = SCENE.frame(4).mask(OCCLUDER).repeat(2, axis=0).repeat(2, axis=1)
    assert overlap(result.object(1).mask.full(), truth) > 0.85


def test_what_is_hidden_while_the_models_work_is_forgotten_when_the_size_changes() -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), ColourSegmenter()), THING)
    last = SCENE.hidden(THING)[0] + 1
    assert feed(pipeline, *range(1, last + 1)).object(1).state is not ObjectState.TRACKING
    (result,) = pipeline.restart(doubled(last + 1), SCENE.stamp(last + 1))
    assert pipeline.object_ids == [] and "click on it again" in result.problems[0]
    assert not result.failed


class WaywardTracker(OracleTracker):
    """Fails in one call of its methods, whichever ``fails_in`` names."""

    fails_in = ""

    def _check(self, name: str) -> None:
        if self.fails_in == name:
            self.fails_in = ""
            raise RuntimeError("no memory")

    def reset(self, history: Any = None) -> None:
        self._check("reset")
        super().reset(history)

    def step(self, frame: Frame) -> PointTracks:
        self._check("step")
        return super().step(frame)

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        self._check("add_points")
        return super().add_points(xy, frame)


@pytest.mark.parametrize("call", ["step", "add_points"])
def test_objects_go_on_where_the_size_changes_twice_and_the_tracker_fails_between(
    call: str,
) -> None:
    tracker = WaywardTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), OCCLUDER)
    feed(pipeline, 1)
    tracker.fails_in = call
    (result,) = pipeline.restart(doubled(2), SCENE.stamp(2))
    assert result.failed and result.objects == () and pipeline.object_ids == [1]
    (result,) = pipeline.restart(SCENE.frame(3).image, SCENE.stamp(3))
    assert result.problems == () and good(result, 1, OCCLUDER)


@pytest.mark.parametrize("call", ["reset", "step", "add_points"])
def test_objects_go_on_where_the_tracker_fails_as_they_start_again(call: str) -> None:
    tracker = WaywardTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), OCCLUDER, THING)
    feed(pipeline, 1)
    tracker.fails_in = call
    if call == "reset":
        with pytest.raises(RuntimeError):
            pipeline.restart(SCENE.frame(2).image, SCENE.stamp(2))
    else:
        (result,) = pipeline.restart(SCENE.frame(2).image, SCENE.stamp(2))
        assert result.failed
    assert pipeline.object_ids == [1, 2]
    result = feed(pipeline, 3)
    assert result.problems == () and good(result, 1, OCCLUDER)
    assert pipeline.object_ids == [1, 2]


def test_clicks_wait_for_models_that_were_loaded_anew() -> None:
    pipeline = started(SamPt(OracleTracker(SCENE), ColourSegmenter()), OCCLUDER)
    feed(pipeline, 1)
    pipeline.replace_backends(OracleTracker(SCENE), ColourSegmenter())
    assert pipeline.add_object(click(THING, 2)) == 2
    pipeline.add_prompts(1, click(OCCLUDER, 2))
    (result,) = pipeline.restart(SCENE.frame(2).image, SCENE.stamp(2))
    assert result.problems == ()
    assert good(result, 1, OCCLUDER) and good(result, 2, THING)
    points = pipeline._roster._objects[1].points
    assert (points.labels == 1).sum() == 16 and (points.gestures == 1).sum() == 1


class ForgetfulTracker(OracleTracker):
    """Fails on some frames, as lacking memory does, and knows nothing of these afterwards."""

    failing: tuple[int, ...] = ()

    def step(self, frame: Frame) -> PointTracks:
        if frame.index in self.failing:
            raise RuntimeError("no memory")
        return super().step(frame)

    def add_points(self, points: np.ndarray, frame: Frame) -> np.ndarray:
        if any(index >= frame.index for index in self.failing):
            raise KeyError(frame.index)
        return super().add_points(points, frame)


@pytest.mark.parametrize("clicked", [None, 2, 1])
def test_clicks_right_after_a_failure_of_the_tracker_wait_for_the_next_frame(
    clicked: int | None,
) -> None:
    tracker = ForgetfulTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), OCCLUDER)
    feed(pipeline, 1)
    tracker.failing = (2,)
    assert feed(pipeline, 2).failed
    stamp = None if clicked is None else SCENE.stamp(clicked)
    (number,) = pipeline.apply([PromptRequest(click(THING, 3))], stamp=stamp)
    pipeline.apply([PromptRequest(click(OCCLUDER, 3), 1)], stamp=stamp)
    assert pipeline.object_ids == [1, number]
    tracker.failing = ()
    result = feed(pipeline, 3)
    assert result.problems == ()
    assert good(result, 1, OCCLUDER) and good(result, number, THING)
    # From now on clicks are applied at once again.
    with pytest.raises(UserError, match="not in the image"):
        pipeline.apply([PromptRequest(ObjectPrompt(np.array([[999, 1]]), np.array([1])))])


def test_of_a_request_that_is_refused_nothing_goes_on_waiting() -> None:
    tracker = ForgetfulTracker(SCENE)
    pipeline = started(SamPt(tracker, ColourSegmenter()), OCCLUDER)
    (later,) = pipeline.apply([PromptRequest(click(THING, 2))], stamp=SCENE.stamp(2))
    tracker.failing = (5,)  # it takes no points
    more = ObjectPrompt(np.array([SCENE.inner_point(THING, 2)]) + 1, np.array([1]))
    with pytest.raises(KeyError):
        pipeline.apply([PromptRequest(more, later), PromptRequest(click(THING), 9)])
    tracker.failing = ()
    assert pipeline.object_ids == [1, later]
    feed(pipeline, 1)
    result = feed(pipeline, 2)
    assert result.problems == ()
    assert (pipeline._roster._objects[later].points.labels == 1).sum() == 16


def test_the_last_problem_is_why_the_frame_failed() -> None:
    tracker = WaywardTracker(SCENE)
    pipeline = SamPt(tracker, ColourSegmenter())
    tracker.fails_in = "add_points"
    pipeline.add_object(click(THING))
    pipeline.add_object(ObjectPrompt(np.array([[1e4, 5.0]]), np.array([1])))
    result = feed(pipeline, 0)
    assert result.failed and len(result.problems) == 2
    assert result.problems[-1] == "click refused: object 1: RuntimeError('no memory')"
