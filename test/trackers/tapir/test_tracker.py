"""The tracker ``tapir`` in its two modes: pixels, points that come and go, memory, options."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.trackers import create_tracker, track_video
from support import tapir_golden as golden
from support.golden_files import golden_arrays, golden_clip

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

TRACKS = 5e-4  # pixels, as the golden files suggest
SMALL = (24, 96, 96, 7)


def golden_queries(name: str) -> np.ndarray:
    """``(N, 3)``: frame, x, y. The golden ones count from the image's corner."""
    tyx = golden_arrays(f"trackers/{name}")["queries_tyx"]
    return np.stack([tyx[:, 0], tyx[:, 2] - 0.5, tyx[:, 1] - 0.5], 1).astype(np.float32)


def later_frames(queries: np.ndarray, frames: int) -> np.ndarray:
    """Which frames come after a point's own, ``bool (T, N)``."""
    found: np.ndarray = np.arange(frames)[:, None] > queries[:, 0]
    return found


def test_a_stream_gives_the_golden_tracks() -> None:
    wanted, queries = golden_arrays("trackers/tapir_causal"), golden_queries("tapir_causal")
    found = track_video(golden.tracker(), golden_clip(*SMALL), queries)
    later = later_frames(queries, 24)
    error = np.abs(found.xy + 0.5 - wanted["live_tracks"].transpose(1, 0, 2))[later]
    assert error.max() <= TRACKS
    assert (found.visible == wanted["live_visible"].T)[later].all()
    both = 1 / (1 + np.exp(wanted["live_occ"])) / (1 + np.exp(wanted["live_expd"]))
    assert np.abs(found.confidence - both.T)[later].max() <= 3e-4
    own = queries[:, 0].astype(int), np.arange(12)
    assert np.abs(found.xy[own] - queries[:, 1:]).max() == 0
    assert found.visible[own].all()


@pytest.mark.parametrize(("kind", "name"), [("bootstapir", "small"), ("tapir", "plain")])
def test_a_clip_gives_the_golden_tracks(kind: str, name: str) -> None:
    wanted, queries = golden_arrays(f"trackers/tapir_{name}"), golden_queries(f"tapir_{name}")
    made = golden.tracker("offline", checkpoint=str(golden.checkpoint(kind)))
    found = track_video(made, golden_clip(*SMALL), queries)
    later = later_frames(queries, 24)
    error = np.abs(found.xy + 0.5 - wanted["tracks"].transpose(1, 0, 2))[later]
    assert error.max() <= TRACKS
    assert (found.visible == wanted["visible"].T)[later].all()


def test_more_points_than_are_computed_together() -> None:
    queries = np.tile(golden_queries("tapir_small"), (6, 1))  # 72
    clip = golden_clip(*SMALL)[:18]
    some = queries[queries[:, 0] < 18]
    made = golden.light_tracker("offline")
    found, alone = (track_video(made, clip, q) for q in (some, some[:12]))
    assert np.abs(found.xy[:, :12] - alone.xy).max() <= TRACKS
    assert np.abs(found.xy[:, -12:] - alone.xy).max() <= TRACKS


@pytest.mark.parametrize("mode", ["streaming", "offline"])
@pytest.mark.parametrize("size", [(48, 192), (200, 100)])
def test_images_of_any_size_are_scaled_there_and_back(mode: str, size: tuple[int, int]) -> None:
    """The image is scaled by hand to the model's size, where nothing is left to scale."""
    height, width = size
    clip = np.stack([np.kron(f, np.ones((2, 2, 1), np.uint8)) for f in golden_clip(*SMALL)[:3]])
    large = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
    image = torch.nn.functional.interpolate(large, size, mode="bilinear")
    image = image.round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    model = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(0, 3, 1, 2).float(), (96, 96), mode="bilinear"
    )
    points = np.array([[20.25, 30.5], [40, 20.75]], np.float32)
    made, frame = golden.tracker(mode), Frame(image[0], 0, 0)
    shown: list[Any] = []
    with mock.patch.object(
        made._model.network, "grids", side_effect=lambda planes, _: shown.append(planes)
    ):
        made._model.grids_of(frame)
    assert torch.allclose((shown[0] + 1) * 127.5, model[:1], atol=1e-3)
    places = made._model.to_model(points, frame)
    corner = (points + 0.5) * np.array([96 / width, 96 / height])
    assert np.abs(places.numpy() - corner).max() < 1e-4
    back = made._model.to_image(places, frame).numpy()
    assert np.abs(back - points).max() < 1e-4


def test_features_of_a_frame_are_computed_once_and_only_for_points() -> None:
    made, clip = golden.light_tracker(), golden_clip(*SMALL)
    history = FrameHistory()
    made.reset(history)
    with mock.patch.object(made._model.network, "grids", wraps=made._model.network.grids) as grids:
        for index in range(6):
            made.step(history.append(clip[index], index))
        assert grids.call_count == 0
        points = golden_queries("tapir_causal")[:3, 1:]
        first = made.add_points(points, history.at(4))
        assert grids.call_count == 2
        made.add_points(points, history.at(2))
        assert grids.call_count == 4
        made.remove_points(first)
        made.add_late_points(points, history.at(3))
        made.step(history.append(clip[6], 6))
        assert grids.call_count == 5


def test_late_points_cost_what_is_asked_of_them() -> None:
    made, clip = golden.light_tracker(), golden_clip(*SMALL)
    history = FrameHistory()
    made.reset(history)
    for index in range(9):
        made.step(history.append(clip[index], index))
    network = made._model.network
    with mock.patch.object(network, "step", wraps=network.step) as step:
        ids = made.add_late_points(golden_queries("tapir_causal")[:3, 1:], history.at(2))
        assert step.call_count == 1
        made.recall(ids, 4)
        assert step.call_count == 3
        assert len(made.step(history.append(clip[9], 9))) == 0
        assert step.call_count == 3
        made.recall(ids, 9)
        assert step.call_count == 8
        assert (made.step(history.append(clip[10], 10)).ids == ids).all()


@pytest.mark.parametrize("when", ["grids", "step"])
def test_after_a_failure_nothing_is_lost(when: str) -> None:
    clip, queries = golden_clip(*SMALL), golden_queries("tapir_causal")[:3]
    made = golden.light_tracker()
    history = FrameHistory()
    made.reset(history)
    made.step(history.append(clip[0], 0))
    ids = made.add_points(queries[:, 1:], history.at(0))
    made.step(history.append(clip[1], 1))
    before = made.recall(ids, 1)
    failing = history.append(clip[2], 2)
    with (
        mock.patch.object(made._model.network, when, side_effect=MemoryError("no memory")),
        pytest.raises(MemoryError),
    ):
        made.step(failing)
    history.at(1).features.clear()
    with (
        mock.patch.object(made._model.network, when, side_effect=MemoryError("no memory")),
        pytest.raises(MemoryError),
    ):
        made.add_points(queries[:, 1:], history.at(1))
    after = made.step(history.append(clip[3], 3))
    assert (after.ids == ids).all()
    missed = made.recall(ids, 2)
    assert (missed.xy == before.xy).all()
    assert not missed.visible.any()


def test_the_state_of_removed_points_is_freed() -> None:
    made, clip = golden.light_tracker(), golden_clip(*SMALL)
    history = FrameHistory()
    made.reset(history)
    made.step(history.append(clip[0], 0))
    ids = made.add_points(golden_queries("tapir_causal")[:3, 1:], history.at(0))
    for index in range(1, 4):
        made.step(history.append(clip[index], index))
    made.remove_points(ids[:2])
    state = made._main.state
    assert {len(row) for memory in state.memory for row in memory.older + memory.newer} == {1}
    assert len(state.found) == len(state.queries.fine[0]) == len(state.queries.coarse[0]) == 1


def test_mixed_precision_halves_the_features_and_moves_points_little() -> None:
    clip, queries = golden_clip(*SMALL)[:12], golden_queries("tapir_causal")[:9]
    full, mixed = (golden.tracker(precision=each) for each in ("float32", "mixed"))
    wanted, found = (track_video(made, clip, queries[:6]) for made in (full, mixed))
    assert np.median(np.abs(found.xy - wanted.xy)) < 0.05
    frame = Frame(clip[0], 0, 0)
    kept = mixed._model.grids_of(frame)[0].levels
    assert {level.dtype for level in kept} == {torch.float16}


def test_refinement_at_the_images_size() -> None:
    made = golden.tracker(refine_at_image_size=True)
    assert made._model.resolutions(Frame(np.zeros((300, 301, 3), np.uint8), 0, 0)) == [
        (96, 96),
        (168, 168),
        (296, 296),
    ]
    assert made._model.resolutions(Frame(np.zeros((90, 96, 3), np.uint8), 0, 0)) == [(96, 96)]
    clip = np.stack([np.kron(f, np.ones((2, 2, 1), np.uint8)) for f in golden_clip(*SMALL)[:3]])
    found = track_video(made, clip, np.array([[0, 80, 60]], np.float32))
    assert np.isfinite(found.xy).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model_resolution": (100, 96)}, "multiples of 8"),
        ({"temperature": 0.0}, "temperature"),
        ({"mode": "windowed"}, "mode"),
        ({"iterations": 0}, "iterations"),
        ({"visible_above": 1.5}, "visible_above"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        golden.tracker(**options)


@pytest.mark.parametrize(
    ("mode", "name"), [("streaming", "bootstapir_online"), ("offline", "bootstapir")]
)
def test_the_published_checkpoint_is_that_of_the_mode(
    mode: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    with pytest.raises(UserError, match=f"sam-pt download {name}"):
        create_tracker("tapir", mode=mode)


@pytest.mark.parametrize(
    ("mode", "name"), [("streaming", "tapir"), ("offline", "bootstapir_online")]
)
def test_the_checkpoint_of_the_other_mode_is_refused(mode: str, name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' is for 'mode: .*', got 'mode: {mode}'"):
        create_tracker("tapir", mode=mode, checkpoint=name)


def test_small_images_are_refined_too() -> None:
    made = golden.light_tracker(refine_at_image_size=True)
    for size in ((8, 200), (200, 9), (1, 300)):
        clip = np.zeros((2, *size, 3), np.uint8)
        assert np.isfinite(track_video(made, clip, np.zeros((1, 3), np.float32)).xy).all()


def test_random_weights_run() -> None:
    made = create_tracker(
        "tapir",
        checkpoint="random",
        allow_random_weights=True,
        device="cpu",
        model_resolution=(64, 64),
    )
    found = track_video(made, golden_clip(*SMALL)[:3], np.array([[0, 10, 10]], np.float32))
    assert np.isfinite(found.xy).all()
    assert "RANDOM" in made.details


def test_a_clip_that_is_too_long_is_refused() -> None:
    made = golden.light_tracker("offline", clip_length=3)
    with pytest.raises(UserError, match="clip_length"):
        track_video(made, golden_clip(*SMALL)[:4], np.zeros((0, 3), np.float32))


def test_offline_it_cannot_step() -> None:
    made = golden.light_tracker("offline")
    with pytest.raises(UserError, match="end of a clip"):
        made.step(Frame(golden_clip(*SMALL)[0], 0, 0))


def resident() -> int:
    """The largest size of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.slow
def test_memory_stays_flat_for_3000_frames() -> None:
    made, clip = golden.light_tracker(), golden_clip(*SMALL)
    history = FrameHistory(8)
    made.reset(history)
    ids = np.zeros(0, np.int64)
    settled = 0
    for index in range(3000):
        frame = history.append(clip[index % len(clip)], index)
        made.step(frame)
        if index % 10 == 0:
            made.remove_points(ids)
            ids = made.add_points(golden_queries("tapir_causal")[:6, 1:], frame)
        if index == 500:
            settled = resident()
    assert resident() - settled < 5e6
