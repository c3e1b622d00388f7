"""The network: names of weights, checkpoints, sizes of images, caching."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers import create_tracker, track_video
from sam_pt_ros.trackers.raft import Raft, RaftOptions
from sam_pt_ros.trackers.raft.names import torchvision_names
from support.absent_packages import refusal_without
from support.classical_scenes import texture
from support.golden_files import saved_checkpoint

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
flow = pytest.importorskip(
    "torchvision.models.optical_flow", reason="torchvision is not installed (make torch)"
)

RANDOM = {"checkpoint": "random", "allow_random_weights": True}
BUILD = {"large": flow.raft_large, "small": flow.raft_small}


def tracker(**options: Any) -> Raft:
    return Raft.create(
        RaftOptions(**{"device": "cpu", "network": "small", "updates": 2, **options})
    )


def frames(count: int, height: int, width: int) -> list[Frame]:
    """A texture that moves 2 pixels to the right in every frame."""
    wide = texture((height, width + 2 * count), 0, (120, 120, 120))
    return [
        Frame(np.ascontiguousarray(wide[:, 2 * (count - i) :][:, :width]), i, i)
        for i in range(count)
    ]


def authors_names(network: str) -> list[str]:
    """The names in the authors' file, in the order of torchvision's, without second names."""
    convolutions = {"large": 2, "small": 3}[network]
    found = []

    def add(name: str, norm: bool = False) -> None:
        ends = ["weight", "bias"]
        if norm:
            ends += ["running_mean", "running_var", "num_batches_tracked"]
        found.extend(f"module.{name}.{end}" for end in ends)

    for encoder in ("fnet", "cnet"):
        norms = encoder == "cnet" and network == "large"  # others have no weights
        add(f"{encoder}.conv1")
        if norms:
            add(f"{encoder}.norm1", True)
        for layer in (1, 2, 3):
            for block in (0, 1):
                at = f"{encoder}.layer{layer}.{block}"
                for number in range(1, convolutions + 1):
                    add(f"{at}.conv{number}")
                    if norms:
                        add(f"{at}.norm{number}", True)
                if block == 0 and layer > 1:
                    add(f"{at}.downsample.0")
                    if norms:
                        add(f"{at}.downsample.1", True)
        add(f"{encoder}.conv2")
    parts = ["convc1", "convc2", "convf1", "convf2", "conv"]
    if network == "small":
        parts.remove("convc2")
    for part in parts:
        add(f"update_block.encoder.{part}")
    for number in ("1", "2") if network == "large" else ("",):
        for gate in "zrq":
            add(f"update_block.gru.conv{gate}{number}")
    for number in (1, 2):
        add(f"update_block.flow_head.conv{number}")
    if network == "large":
        add("update_block.mask.0")
        add("update_block.mask.2")
    return found


def authors_state(network: str) -> dict[str, Any]:
    """Random weights of torchvision's network under the authors' names, with second names."""
    made = tracker(network=network, **RANDOM)
    values = made._model.network.state_dict().values()
    state = dict(zip(authors_names(network), values, strict=True))
    for name, value in list(state.items()):
        if ".downsample.1." in name:
            state[name.replace("downsample.1", "norm3")] = value
    return state


@pytest.mark.parametrize("network", ["large", "small"])
def test_the_authors_weights_are_renamed(network: str) -> None:
    state = authors_state(network)
    second = sum(".norm3." in name for name in state)
    assert second == {"large": 10, "small": 0}[network]
    renamed = torchvision_names(state)
    wanted = tracker(network=network, **RANDOM)._model.network.state_dict()
    assert renamed.keys() == wanted.keys()
    assert all(renamed[name] is not None for name in wanted)
    assert all(torch.equal(renamed[name], value) for name, value in wanted.items())
    assert torchvision_names(wanted).keys() == wanted.keys()


def test_the_authors_names_are_those_of_the_page() -> None:
    named = torchvision_names(dict.fromkeys(authors_state("large"), 0))
    known = torchvision_names({"module.update_block.gru.convq2.bias": 1}) | torchvision_names(
        {"module.update_block.encoder.convf2.weight": 2, "module.update_block.mask.2.bias": 3}
    )
    assert known == {
        "update_block.recurrent_block.convgru2.convq.bias": 1,
        "update_block.motion_encoder.convflow2.0.weight": 2,
        "mask_predictor.conv.bias": 3,
    }
    assert known.keys() <= named.keys()
    small = {
        "update_block.gru.convz.bias": 1,
        "cnet.layer2.0.conv3.weight": 2,
        "fnet.conv2.bias": 3,
    }
    assert list(torchvision_names(small)) == [
        "update_block.recurrent_block.convgru1.convz.bias",
        "context_encoder.layer2.0.convnormrelu3.0.weight",
        "feature_encoder.conv.bias",
    ]


@pytest.mark.parametrize("network", ["large", "small"])
def test_flows_are_those_of_torchvision_to_the_bit(network: str) -> None:
    """From the authors' file, with an image that needs no fitting."""
    first, second = frames(2, 128, 136)
    path = saved_checkpoint(f"raft_{network}_authors.pth", authors_state(network))
    made = tracker(network=network, checkpoint=str(path))
    reference = BUILD[network](weights=None).eval()
    reference.load_state_dict(torchvision_names(authors_state(network)))
    batch = [
        torch.from_numpy(each.image).permute(2, 0, 1)[None].float() * (2 / 255) - 1
        for each in (first, second)
    ]
    forward, backward = made._model.fields(first, second, True)
    with torch.inference_mode():
        there = reference(torch.cat(batch), torch.cat(batch[::-1]), num_flow_updates=2)[-1]
    assert backward is not None
    assert np.array_equal(forward.flow, there[0].numpy())
    assert np.array_equal(backward.flow, there[1].numpy())
    assert np.abs(forward.flow - backward.flow).max() > 1e-3
    assert np.array_equal(forward.scale, [1, 1])


def test_flows_are_computed_once_and_cached_in_the_newer_frame() -> None:
    made = tracker(**RANDOM)
    calls: list[int] = []
    made._model.network.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    a, b, c = frames(3, 128, 128)
    forward, none = made._model.fields(a, b, False)
    assert none is None and calls == [1]
    again, back = made._model.fields(a, b, True)
    assert again is forward and back is not None and calls == [1, 1]
    assert made._model.fields(a, b, True) == (again, back) and calls == [1, 1]
    both = made._model.fields(b, c, True)
    assert calls == [1, 1, 2] and both[1] is not None
    # After a failure the frame before may be another.
    apart = made._model.fields(a, c, False)[0]
    assert calls == [1, 1, 2, 1] and made._model.fields(b, c, True)[0] is both[0]
    assert apart is not both[0] and not a.features
    other = tracker(**RANDOM)
    assert other._model.fields(b, c, False)[0] is not both[0]
    alone = tracker(**RANDOM)._model.fields(*(Frame(x.image, 0, x.index) for x in (a, b)), True)
    assert alone[1] is not None
    assert back.flow == pytest.approx(alone[1].flow, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "working", "fits"),
    [
        ((480, 640), 640, (480, 640, 0, 0, 0, 0)),
        ((720, 1280), 640, (360, 640, 0, 0, 0, 0)),
        ((720, 1280), 0, (720, 1280, 0, 0, 0, 0)),
        ((436, 1021), 0, (436, 1021, 1, 2, 2, 2)),
        ((64, 100), 640, (128, 200, 0, 0, 0, 0)),
        ((20, 20), 640, (80, 80, 24, 24, 24, 24)),
        ((60, 600), 640, (64, 640, 0, 0, 32, 32)),
        ((100, 1280), 640, (50, 640, 0, 0, 39, 39)),
        ((1, 1), 640, (4, 4, 62, 62, 62, 62)),
    ],
)
def test_images_are_scaled_and_padded(
    size: tuple[int, int], working: int, fits: tuple[int, ...]
) -> None:
    from sam_pt_ros.trackers.raft.model import Fitting

    found = Fitting.of(size, working)
    assert found == Fitting(*fits)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image.setflags(write=False)
    made = found.prepare(image, torch.device("cpu"))
    height, width = made.shape[2:]
    assert height % 8 == width % 8 == 0 and min(height, width) >= 128
    assert float(made.abs().max()) <= 1.001
    top, left = found.top, found.left
    assert (made[..., : top + 1, left] == made[..., top : top + 1, left]).all()
    inner = found.cut(made[:, :2])
    assert inner.shape[2:] == (found.height, found.width)
    if inner.shape[2:] == size:
        wanted = torch.from_numpy(image.copy()).permute(2, 0, 1)[None, :2].float() * 2 / 255 - 1
        assert torch.allclose(inner, wanted, atol=1e-6)


def test_the_scale_is_that_of_each_axis() -> None:
    first, second = frames(2, 101, 150)
    forward, _ = tracker(working_size=75, **RANDOM)._model.fields(first, second, False)
    assert forward.flow.shape == (2, 50, 75)
    assert forward.scale == pytest.approx([0.5, 50 / 101])


@pytest.mark.parametrize("size", [(40, 60), (131, 140), (300, 200)])
def test_any_size_is_tracked(size: tuple[int, int]) -> None:
    clip = np.stack([frame.image for frame in frames(3, *size)])
    queries = np.array([[0, 20, 30], [1, size[1] - 1, size[0] - 1]], np.float32)
    found = track_video(tracker(working_size=150, **RANDOM), clip, queries)
    field = np.abs(found.xy - queries[:, 1:]).max()
    assert np.isfinite(found.xy).all() and 0 < field < 30


def test_the_same_random_weights_give_the_same_tracks() -> None:
    clip = np.stack([frame.image for frame in frames(3, 128, 128)])
    queries = np.array([[0, 20, 30]], np.float32)
    one, two = (track_video(tracker(**RANDOM), clip, queries) for _ in range(2))
    assert np.array_equal(one.xy, two.xy) and np.array_equal(one.visible, two.visible)


# --- what is refused -----------------------------------------------------------------------


def test_a_missing_checkpoint_is_said_to_be_where_it_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"download https://download\.pytorch\.org/.*large_C_T_V1"):
        create_tracker("raft", device="cpu")
    with pytest.raises(UserError, match=r"raft_small_C_T_V1-ad48884c\.pth"):
        tracker()
    torch.save(authors_state("small"), tmp_path / "raft_small_C_T_V1-ad48884c.pth")
    with pytest.raises(UserError, match=r"the SHA-256 is .*, expected ad48884c"):
        tracker()


def test_weights_of_the_other_network_or_of_none_are_refused(tmp_path: Path) -> None:
    small = str(saved_checkpoint("raft_small_authors.pth", authors_state("small")))
    with pytest.raises(UserError, match=r"not a checkpoint of RAFT \(large; see the option 'net"):
        tracker(network="large", checkpoint=small)
    path = tmp_path / "less.pth"
    state = authors_state("small")
    state.pop("module.update_block.flow_head.conv1.bias")
    torch.save(state, path)
    with pytest.raises(UserError, match=r"1 missing \(update_block.flow_head.conv1.bias\); 0 un"):
        tracker(checkpoint=str(path))
    torch.save({**authors_state("small"), "module.extra.weight": torch.ones(1)}, path)
    with pytest.raises(UserError, match=r"0 missing; 1 unexpected \(extra.weight\)"):
        tracker(checkpoint=str(path))
    with pytest.raises(UserError, match="'checkpoint: random' is for tests only"):
        tracker(checkpoint="random")


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_without_its_packages_it_says_what_to_install(package: str) -> None:
    said = refusal_without(package, "raft")
    assert "run `pip install torch torchvision`" in said


def test_details_name_what_runs() -> None:
    made = tracker(mode="offline", **RANDOM)
    said = "small, offline, checked, RANDOM WEIGHTS, for tests only, cpu, 2 updates"
    assert made.details == said
