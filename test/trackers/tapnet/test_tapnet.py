"""TAP-Net against the values of its authors' program (test/golden/trackers), and its files."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.trackers import create_tracker, track_video
from support import tapnet_golden as golden
from support.golden_files import golden_arrays, golden_clip

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from sam_pt_ros.trackers.feature_maps import to_planes  # noqa: E402
from sam_pt_ros.trackers.sampling import sample  # noqa: E402
from sam_pt_ros.trackers.tapnet.checkpoint import converted, read_tapnet  # noqa: E402
from sam_pt_ros.trackers.tapnet.network import TapNetNetwork, shifted  # noqa: E402

# The tolerances that the golden files suggest.
TRACKS, LOGITS, GRIDS, INNER = 5e-4, 3e-4, 5e-6, 1e-4
CASES = [
    pytest.param("small", (24, 96, 96, 7), id="small"),
    pytest.param("full", (6, 256, 256), id="full"),
]


def close(found: Any, wanted: np.ndarray, tolerance: float) -> None:
    values = np.asarray(found)
    assert values.shape == wanted.shape
    assert np.abs(values - wanted).max() <= tolerance


def queries_of(wanted: dict[str, np.ndarray]) -> np.ndarray:
    """``(N, 3)``: frame, x, y. The golden ones count from the image's corner."""
    tyx = wanted["queries_tyx"]
    return np.stack([tyx[:, 0], tyx[:, 2] - 0.5, tyx[:, 1] - 0.5], 1).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> Any:
    return golden.network()


def test_every_published_array_has_its_place() -> None:
    found = {name: tuple(value.shape) for name, value in converted(golden.arrays()).items()}
    wanted = {
        name: tuple(value.shape)
        for name, value in TapNetNetwork().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert found == wanted
    assert sum(value.size for value in golden.arrays().values()) == 2_794_290


@pytest.mark.parametrize(("name", "clip"), CASES)
@torch.inference_mode()
def test_features_and_matches(network: Any, name: str, clip: tuple[int, ...]) -> None:
    wanted, point = golden_arrays(f"trackers/tapnet_{name}"), 4
    begun = [network.begin(to_planes(f, torch.device("cpu"))) for f in golden_clip(*clip)]
    grids = network.features(torch.cat(begun))
    every = 8 if name == "small" else 32
    close(grids[[0, 5]][..., ::every], wanted["in_grid"], GRIDS)
    queries = queries_of(wanted)
    cells = torch.from_numpy((queries[:, 1:] + 0.5) / 8 - 0.5)
    rows = torch.cat(
        [sample(grids[int(t)], cells[i : i + 1]) for i, t in enumerate(queries[:, 0])]
    )
    close(rows, wanted["query_feats"], GRIDS)
    found = [network.match(grid, rows) for grid in grids]
    close(torch.stack([logits for _, logits in found], 1), wanted["occ"], LOGITS)
    tracks = torch.stack([8 * xy for xy, _ in found], 1).numpy()
    own = np.arange(len(queries)), queries[:, 0].astype(int)
    tracks[own] = queries[:, 1:] + 0.5  # pinned
    close(tracks, wanted["tracks"], TRACKS)
    if name == "full":
        return
    cost = torch.stack([(rows[point] @ grid.flatten(0, 1).T).view(12, 12) for grid in grids])
    close(cost, wanted["in_cost"], INNER)
    before = network.regression_1(cost[:, None])
    close(network.regression_2(before.relu())[:, 0], wanted["in_heat"], INNER)
    hidden = torch.nn.functional.pad(before.relu(), (0, 1, 0, 1))
    smaller = network.occlusion_1(hidden)
    close(before[5].permute(1, 2, 0), wanted["in_hid1"], INNER)
    close(smaller[5].permute(1, 2, 0), wanted["in_hid3"], INNER)
    close(smaller.mean((2, 3)), wanted["in_pooled"], INNER)


def test_a_clip_gives_the_golden_tracks() -> None:
    wanted = golden_arrays("trackers/tapnet_small")
    queries = queries_of(wanted)
    found = track_video(golden.tracker(), golden_clip(24, 96, 96, 7), queries)
    later = np.arange(24)[:, None] > queries[:, 0]
    error = np.abs(found.xy + 0.5 - wanted["tracks"].transpose(1, 0, 2))[later]
    assert error.max() <= TRACKS
    assert (found.visible == wanted["visible"].T)[later].all()
    assert np.abs(found.confidence - 1 / (1 + np.exp(wanted["occ"].T)))[later].max() <= LOGITS


def test_other_sizes_are_scaled_there_and_back() -> None:
    """Of an image twice as large, the same places are twice as far from the corner."""
    wanted = golden_arrays("trackers/tapnet_small")
    queries, clip = queries_of(wanted)[:6], golden_clip(24, 96, 96, 7)[:8]
    large = np.stack([np.kron(image, np.ones((2, 2, 1), np.uint8)) for image in clip])
    double = np.concatenate([queries[:, :1], 2 * queries[:, 1:] + 0.5], 1)
    found = track_video(golden.tracker(), large, double)
    small = track_video(golden.tracker(), clip, queries)
    # The antialiased halves are not the same images, so that single matches may differ.
    assert np.median(np.abs((found.xy - 0.5) / 2 - small.xy)) < 0.5


def test_the_shift_in_time() -> None:
    x = torch.arange(3 * 16.0).view(3, 16, 1, 1)
    found = shifted(x)[..., 0, 0]
    assert found[1].tolist() == [46, 47, *range(18, 30), 0, 1]
    assert found[0].tolist() == [30, 31, *range(2, 14), 0, 0]
    assert found[2].tolist() == [0, 0, *range(34, 46), 16, 17]


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def saved(path: Path, content: Any) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    params, state = {"tap_net/~/occlusion_out": {"b": np.zeros(1, np.float32)}}, {}
    content = {"params": params, "state": state, "opt_state": Malicious(trace)}
    assert list(read_tapnet(saved(tmp_path / "a.npy", content))) == ["occlusion_out.bias"]
    assert not trace.exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert trace.exists(), "the file is not malicious, so that nothing was tested"


class FlatMap:
    """A mapping of another package, pickled by its constructor."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def __reduce__(self) -> Any:
        return FlatMap, (self.content,)


def test_mappings_of_other_packages_are_read(tmp_path: Path) -> None:
    params = FlatMap({"tap_net/~/occlusion_out": FlatMap({"b": np.ones(1, np.float32)})})
    found = read_tapnet(saved(tmp_path / "a.npy", {"params": params, "state": FlatMap({})}))
    assert found["occlusion_out.bias"].tolist() == [1.0]


@dataclass
class Plain:
    """An object that is pickled without a call of its constructor."""

    content: Any = None


BAD_ARRAYS = {
    "deep": {"tap_net/~/occlusion_out": {"w": np.zeros((2, 3, 4), np.float32)}},
    "words": {"tap_net/~/occlusion_out": {"w": np.array(["a", "b"])}},
    "short": {"tap_net/~/tsm_resnet_video/tsm_resnet_unit_0": {"w": np.zeros(3, np.float32)}},
    "object": Plain(),
}


@pytest.mark.parametrize(
    "kind", ["empty", "text", "numbers", "cut", "other", "pickle", *BAD_ARRAYS, "top"]
)
def test_files_that_are_no_checkpoint_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    if kind == "numbers":
        np.save(path, np.zeros(3))
    elif kind == "cut":
        path.write_bytes(golden.checkpoint().read_bytes()[:100_000])
    elif kind == "other":
        saved(path, {"params": {"conv": {"w": np.zeros((3, 3, 1, 1), np.float32)}}})
    elif kind in BAD_ARRAYS:
        saved(path, {"params": BAD_ARRAYS[kind], "state": {}})
    elif kind == "top":
        saved(path, Plain({"params": {}}))
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"params": {}}))
    else:
        path.write_bytes(b"" if kind == "empty" else b"hello")
    with pytest.raises(UserError) as refused:
        golden.tracker(checkpoint=str(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_weights_saved_by_pytorch_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tapnet.pt"
    torch.save(read_tapnet(golden.checkpoint()), path)
    queries = queries_of(golden_arrays("trackers/tapnet_small"))[:3]
    clip = golden_clip(24, 96, 96, 7)[:4]
    found = [
        track_video(made, clip, queries).xy
        for made in (golden.tracker(), golden.tracker(checkpoint=str(path)))
    ]
    assert np.array_equal(*found)


def test_random_weights_run() -> None:
    made = create_tracker(
        "tapnet", checkpoint="random", allow_random_weights=True, device="cpu", clip_length=4
    )
    found = track_video(made, golden_clip(24, 96, 96, 7)[:4], np.zeros((1, 3), np.float32))
    assert np.isfinite(found.xy).all()
