"""Weights, devices and options: what is refused, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.trackers import create_tracker, track_video, trackers
from support import cotracker_golden as golden
from support.absent_packages import refusal_without

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")


def refused(says: str, **options: Any) -> None:
    with pytest.raises(UserError, match=says):
        golden.tracker(**options)


def saved(folder: Path, state: dict[str, Any]) -> str:
    path = folder / "changed.pth"
    torch.save(state, path)
    return str(path)


def test_weights_may_lie_under_a_key(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": golden.stand_in_state()})
    wrapped = golden.tracker(checkpoint=path)._model.network.state_dict()
    bare = golden.tracker()._model.network.state_dict()
    assert all(torch.equal(wrapped[name], value) for name, value in bare.items())


def test_a_missing_checkpoint_is_said_to_be_where_it_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"download https://huggingface\.co/.*scaled_online\.pth"):
        create_tracker("cotracker")
    refused("does not exist", checkpoint=str(tmp_path / "nowhere.pth"))


def test_a_checkpoint_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    torch.save(golden.stand_in_state(), tmp_path / "scaled_online.pth")
    refused("the SHA-256 is .*, expected 205d34789f19", checkpoint="cotracker3_online")
    refused(f"expected {'01' * 32}", checkpoint_sha256="01" * 32)


def test_a_state_dict_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    state = golden.stand_in_state()
    less = {name: value for name, value in state.items() if "flow_head" not in name}
    refused(
        r"not a checkpoint of CoTracker3 online: 2 missing \(updateformer.flow_head.bias, .*\); "
        "0 unexpected",
        checkpoint=saved(tmp_path, less),
    )
    more = {**state, **{f"extra.{i}": torch.ones(1) for i in range(5)}}
    refused(
        r"0 missing; 5 unexpected \(extra.0, extra.1, extra.2, ...\)",
        checkpoint=saved(tmp_path, more),
    )
    other = {**state, "corr_mlp.fc1.bias": torch.ones(3)}
    refused(r"'corr_mlp.fc1.bias' has the shape \(3,\)", checkpoint=saved(tmp_path, other))
    spoilt = {**state, "corr_mlp.fc1.bias": torch.full((384,), torch.nan)}
    refused("'corr_mlp.fc1.bias' holds values that are not", checkpoint=saved(tmp_path, spoilt))
    for value, says in (
        (torch.full((384,), 1e300, dtype=torch.float64), "holds values that are not finite"),
        (torch.ones(384, dtype=torch.int64), "has the type torch.int64, expected torch.float32"),
        (torch.ones(384, dtype=torch.complex64), "has the type torch.complex64"),
        (torch.ones(384).to_sparse(), "is not a plain tensor"),
    ):
        odd = {**state, "corr_mlp.fc1.bias": value}
        refused(f"'corr_mlp.fc1.bias' {says}", checkpoint=saved(tmp_path, odd))


def test_the_offline_model_is_recognised(tmp_path: Path) -> None:
    offline = {**golden.stand_in_state(), "time_emb": torch.zeros(1, 60, 1110)}
    refused(
        "window of 60 frames, expected 16; it may be the offline",
        checkpoint=saved(tmp_path, offline),
    )


def test_random_weights_need_to_be_allowed() -> None:
    refused("'checkpoint: random' is for tests only", checkpoint="random")
    made = golden.tracker(checkpoint="random", allow_random_weights=True)
    again = golden.tracker(checkpoint="random", allow_random_weights=True)
    clip, queries = golden.clip()[:8], golden.queries()[:3]
    tracks = track_video(made, clip, queries)
    assert np.array_equal(tracks.xy, track_video(again, clip, queries).xy)
    moved = np.linalg.norm(tracks.xy - queries[:, 1:], axis=2)
    assert 0 < moved.max() < 30
    assert tracks.visible.any()


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("gpu", "unknown device 'gpu'; use auto, cpu, cuda or cuda:N"),
        ("meta", "the device 'meta' is not supported"),
        ("cuda:99", "the device 'cuda:99' is not available: PyTorch .* sees . CUDA devices"),
    ],
)
def test_devices_that_are_not_there_are_refused(device: str, says: str) -> None:
    refused(says, device=device)


def test_the_automatic_device_is_there() -> None:
    made = golden.tracker(device="auto")
    assert made._model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model_resolution": (100, 128)}, "multiples of 16"),
        ({"model_resolution": (96,)}, "list of 2 whole numbers"),
        ({"model_resolution": (96, 0)}, "at least 64"),
        ({"model_resolution": "96x128"}, "list of 2 whole numbers"),
        ({"model_resolution": (96.0, 128)}, "type int"),
        ({"mode": "offline"}, "one of streaming, windowed"),
        ({"iterations": -1}, "at least 0"),
        ({"max_points": 0}, "at least 1"),
        ({"precision": "bfloat16"}, "one of float32, mixed, float16"),
        ({"checkpoint_sha256": "0123"}, "must be 64 hexadecimal digits, got '0123'"),
        ({"window": 8}, "unknown option 'window'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    refused(says, **options)


def test_a_list_is_as_good_as_a_tuple() -> None:
    assert golden.tracker(model_resolution=[96, 128])._model.resolution == (96, 128)


def test_two_models_do_not_share_what_they_saw_of_a_frame() -> None:
    stream = golden.Stream(golden.tracker()).to(0)
    stream.add([0], 0)
    other = golden.tracker(model_resolution=(64, 96))
    other.reset(stream.history)
    other.advance(stream.frame(0))
    other.add_points(golden.queries()[:1, 1:], stream.frame(0))
    assert len(stream.frame(0).features) == 2


def test_without_pytorch_it_is_said_what_to_install() -> None:
    said = "the tracker 'cotracker' needs PyTorch; run `pip install torch`, or `make torch`"
    assert refusal_without("torch", "cotracker").startswith(said)
    assert trackers.load("cotracker").Options().mode == "streaming"


def test_images_that_cannot_be_written_to_are_no_trouble(recwarn: Any) -> None:
    image = golden.clip()[0].copy()
    image.setflags(write=False)
    stream = golden.Stream(golden.tracker())
    stream.tracker.advance(stream.history.append(image, 0))
    stream.add([0], 0)
    assert not [str(w.message) for w in recwarn if "not writable" in str(w.message)]
