"""The matchers of transformers: with a stand-in for the networks, and as tiny random ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers import track_video
from sam_pt_ros.trackers.matching import Matching, MatchingOptions
from support.absent_packages import refusal_without
from support.known_motion import MOTIONS, KnownMotion, known_motion

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed (make torch)"
)

MATCHERS = ("superglue", "lightglue", "efficientloftr")
RANDOM = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}


@dataclass
class Answer:
    """What a model of transformers answers for one pair."""

    keypoints: Any  # (1, 2, K, 2), as a share of width and height
    matches: Any  # (1, 2, K)
    matching_scores: Any  # (1, 2, K)
    mask: Any = None  # (1, 2, K)


class StandIn:
    """A network that knows the motion: it reads the number of a frame off its first pixel."""

    def __init__(self, clip: KnownMotion, motion: str, paired: bool) -> None:
        self.clip, self.paired = clip, paired
        self.pairs: list[tuple[int, int]] = []
        first, self.motions = clip.tracks[0], []
        base = np.concatenate([first, np.ones((len(first), 1))], 1)
        for track in clip.tracks:
            self.motions.append(np.linalg.lstsq(base, track, rcond=None)[0])
        rng = np.random.default_rng(0)
        self.places = rng.uniform([-60, -60], [320, 260], (600, 2))  # in the first frame

    def at(self, index: int) -> np.ndarray:
        places: np.ndarray = np.c_[self.places, np.ones(600)] @ self.motions[index]
        return places

    def __call__(self, pair: Any) -> Answer:
        assert pair.shape[:3] == (1, 2, 3) and bool((pair[:, :, 0] == pair[:, :, 2]).all())
        height, width = pair.shape[3:]
        scale = np.array([width / 256, height / 192])
        numbers = [int(round(float(each[0, 0, 0]) * 255 / 10)) for each in pair[0]]
        self.pairs.append((numbers[0], numbers[1]))
        # One in five is wrong.
        second = self.at(numbers[1])
        second[::5] = np.random.default_rng(numbers[1]).uniform(0, 190, (120, 2))
        both = np.stack([self.at(numbers[0]), second])
        keypoints = torch.from_numpy(((both + 0.5) * scale - 0.5) / (width, height)).float()[None]
        rows = torch.arange(600)
        if self.paired:
            matches, scores = torch.stack([rows, rows]), torch.ones(2, 600)
            matches[1, 300:310], scores[:, 310:320] = -1, 0
            return Answer(keypoints, matches[None], scores[None])
        keypoints[:, 1] = keypoints[:, 1].flip(1)
        mask = torch.ones(1, 2, 600, dtype=torch.int32)
        mask[0, 0, 550:] = 0
        matches = torch.stack([599 - rows, 599 - rows])
        matches[0, 500:520] = -1
        return Answer(keypoints, matches[None], torch.ones(1, 2, 600), mask)


def with_stand_in(motion: str, paired: bool, frames: int = 8) -> tuple[Matching, np.ndarray, Any]:
    """A tracker, the images and the clip."""
    clip = known_motion(motion, frames)
    images = np.full_like(clip.images, 90)
    images[:, :16, :16] = 10 * np.arange(frames)[:, None, None, None]
    made = Matching(MatchingOptions(matcher="efficientloftr", working_size=0, **RANDOM))
    network = StandIn(clip, motion, paired)
    made._matcher.network = network  # type: ignore[attr-defined]
    return made, images, clip


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("paired", [True, False])
def test_points_move_as_the_matches_near_them(motion: str, paired: bool) -> None:
    made, images, clip = with_stand_in(motion, paired)
    found = track_video(made, images, clip.queries)
    error = np.linalg.norm(found.xy - clip.tracks, axis=2)
    assert found.visible[clip.inside].all() and not found.visible[~clip.inside].any()
    assert error[found.visible].max() < 0.5


@pytest.mark.parametrize("paired", [True, False])
def test_only_valid_matches_are_taken(paired: bool) -> None:
    from sam_pt_ros.trackers.matching.pairs import matched_places

    keypoints = torch.arange(20.0).reshape(1, 2, 5, 2) / 20
    scores = torch.tensor([[[0.5, 0.5, 0.5, 0.0, 0.5]] * 2])
    if paired:
        matches = torch.tensor([[[0, -1, 2, 3, 4], [0, 1, 2, 3, -1]]])
        answer, first, second = Answer(keypoints, matches, scores), [0, 2], [0, 2]
    else:
        matches = torch.tensor([[[4, -1, 2, 0, 1], [3, 4, 2, -1, 0]]])
        mask = torch.tensor([[[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]])
        answer, first, second = Answer(keypoints, matches, scores, mask), [0, 2, 3], [4, 2, 0]
    there, here = matched_places(answer, [(10, 40), (20, 60)])
    wanted = keypoints[0, 0, first] * torch.tensor([40, 10])
    assert torch.allclose(there, wanted)
    assert torch.allclose(here, keypoints[0, 1, second] * torch.tensor([60, 20]))


def test_images_are_scaled_to_multiples_of_32_and_back() -> None:
    made, images, clip = with_stand_in("rotation", True, 4)
    cut = np.ascontiguousarray(images[:, :180, :250])
    network = made._matcher.network  # type: ignore[attr-defined]
    network_scale = np.array([250 / 256, 180 / 192])
    # The stand-in takes what it sees for 256 x 192 pixels.
    frames = [Frame(image, index, index) for index, image in enumerate(cut)]
    made.step(frames[0])
    xy = ((clip.tracks + 0.5) * network_scale - 0.5).astype(np.float32)
    made.add_points(xy[0], frames[0])
    for frame in frames[1:]:
        tracks = made.step(frame)
    assert network.pairs and tracks.visible.all()
    assert tracks.xy == pytest.approx(xy[3], abs=0.6)


def test_where_there_are_no_matches_a_point_is_hidden() -> None:
    made, images, clip = with_stand_in("pan", True, 3)
    network = made._matcher.network  # type: ignore[attr-defined]
    near = np.linalg.norm(network.places - clip.tracks[0, 0], axis=1) < 60
    network.places[near] = (-500, -500)
    found = track_video(made, images, clip.queries)
    assert not found.visible[1:, 0].any()
    assert np.array_equal(found.xy[1:, 0], np.repeat(clip.tracks[:1, 0], 2, 0))


def test_two_matches_are_too_few() -> None:
    made, images, clip = with_stand_in("rotation", True, 2)
    network = made._matcher.network  # type: ignore[attr-defined]
    network.places[:] = (-500, -500)
    network.places[[1, 2]] = clip.tracks[0, 0] + np.array([[-6, 4], [9, 5]])
    assert not track_video(made, images, clip.queries).visible[1, 0]
    around = np.array([[-6, 4], [9, 5], [3, -8], [12, 0], [-9, -9], [0, 11], [5, 5], [-3, 3]])
    network.places[[1, 2, 3, 4, 6, 7, 8, 9]] = clip.tracks[0, 0] + around
    assert track_video(made, images, clip.queries).visible[1, 0]


def test_points_get_newer_references_together() -> None:
    made, _, _ = with_stand_in("pan", True, 2)
    wanted, possible = np.array([[True, False, False, True], [True, True, False, False]])
    renewable = made._matcher.renewable
    assert renewable(wanted, possible).tolist() == possible.tolist()
    assert not renewable(wanted, ~wanted).any()


def test_each_pair_is_matched_once_and_only_if_there_are_points() -> None:
    made, images, clip = with_stand_in("pan", True, 5)
    pairs = made._matcher.network.pairs  # type: ignore[attr-defined]
    track_video(made, images, np.zeros((0, 3), np.float32))
    assert pairs == []
    queries = clip.queries[:4].copy()
    queries[2:, 0] = 1
    track_video(made, images, queries)
    assert len(pairs) == len(set(pairs))
    assert {(0, t) for t in range(1, 5)} <= set(pairs)
    assert all(first < second for first, second in pairs)


def test_few_frames_are_kept_however_many_have_queries() -> None:
    made, images, clip = with_stand_in("rotation", True, 14)
    frames = [Frame(image, index, index) for index, image in enumerate(images)]
    pairs = made._matcher.network.pairs  # type: ignore[attr-defined]
    for frame in frames:
        before = len(pairs)
        made.step(frame)
        assert len(pairs) - before <= 9
        made.add_points(clip.tracks[frame.index][frame.index % 12][None], frame)
    state = made._main.state  # type: ignore[union-attr]
    kept = {each.index for each in (*state.query[1], *state.newer[1]) if each is not None}
    assert len(kept) <= 10


def test_references_of_many_frames_are_given_up_oldest_first() -> None:
    made, images, clip = with_stand_in("pan", True, 12)
    matcher: Any = made._matcher
    made_of = [
        matcher.references(clip.tracks[0][index][None], Frame(images[index], index, index))
        for index in range(12)
    ]
    query = tuple(map(np.concatenate, zip(*made_of[:10])))
    newer = tuple(each.copy() for each in query)
    for each, values in zip(newer, made_of[11]):
        each[[0, 2]] = values
    first, second = matcher.limited(query, newer)
    indices = [None if each is None else each.index for each in first[1]]
    assert indices == [11, None, 2, 3, 4, 5, 6, 7, 8, 9]
    assert np.array_equal(first[0][0], clip.tracks[0][11])
    newest = [None if each is None else each.index for each in second[1]]
    assert newest == [11, None, 11, 3, 4, 5, 6, 7, 8, 9]


# --- the networks ---------------------------------------------------------------------------


def tiny(matcher: str, folder: Path) -> str:
    """A tiny random model, saved as a checkpoint."""
    torch.manual_seed(0)
    if matcher == "efficientloftr":
        config = transformers.EfficientLoFTRConfig(
            stage_num_blocks=[1, 1, 1, 1],
            out_features=[16, 16, 32, 64],
            hidden_size=64,
            num_attention_layers=1,
            num_attention_heads=8,
        )
        model = transformers.EfficientLoFTRForKeypointMatching(config)
    else:
        detector = transformers.SuperPointConfig(
            encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, descriptor_decoder_dim=64
        )
        if matcher == "superglue":
            made = transformers.SuperGlueConfig(
                keypoint_detector_config=detector,
                hidden_size=64,
                keypoint_encoder_sizes=[16, 32],
                gnn_layers_types=["self", "cross"],
                num_attention_heads=2,
            )
            model = transformers.SuperGlueForKeypointMatching(made)
        else:
            made = transformers.LightGlueConfig(
                keypoint_detector_config=detector,
                descriptor_dim=64,
                num_hidden_layers=2,
                num_attention_heads=2,
            )
            model = transformers.LightGlueForKeypointMatching(made)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("matcher", MATCHERS)
def test_a_model_of_transformers_is_loaded_and_runs(matcher: str, tmp_path: Path) -> None:
    path = tiny(matcher, tmp_path)
    made = Matching(
        MatchingOptions(matcher=matcher, checkpoint=path, device="cpu", working_size=0)
    )
    config = made._matcher.network.config  # type: ignore[attr-defined]
    if matcher == "efficientloftr":
        assert config.coarse_matching_threshold == 0.2
    else:
        assert config.keypoint_detector_config.nms_radius == 3
        assert made._matcher.network.keypoint_detector.config.nms_radius == 3  # type: ignore[attr-defined]
    if matcher == "superglue":
        assert (config.sinkhorn_iterations, config.matching_threshold) == (20, 0.2)
    clip = known_motion("pan", 3)
    found = track_video(made, clip.images, clip.queries)
    assert np.isfinite(found.xy).all() and found.visible[0].all()
    assert made.details == f"{matcher}, {path}, cpu"
    again = Matching(
        MatchingOptions(matcher=matcher, checkpoint=path, device="cpu", working_size=0)
    )
    assert np.array_equal(track_video(again, clip.images, clip.queries).xy, found.xy)


def test_bad_checkpoints_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sam_pt_ros.weights.checkpoints import file_sha256

    def refused(says: str, **options: Any) -> None:
        given = {"matcher": "superglue", "device": "cpu", "checkpoint": str(tmp_path / "own")}
        with pytest.raises(UserError, match=says):
            Matching(MatchingOptions(**{**given, **options}))

    refused("nothing is downloaded here.*hf download magic-leap-community/superglue_outdoor")
    refused(
        "ETH-CVG/lightglue_superpoint' of lightglue is not", matcher="lightglue", checkpoint=""
    )
    path = tiny("superglue", tmp_path / "own")
    refused("is a model 'superglue', not 'lightglue'", matcher="lightglue")
    weights = tmp_path / "own/model.safetensors"
    Matching(
        MatchingOptions(
            matcher="superglue",
            checkpoint=path,
            checkpoint_sha256=file_sha256(weights),
            device="cpu",
        )
    )
    refused(f"the SHA-256 is .*, expected {'01' * 32}", checkpoint_sha256="01" * 32)
    other = transformers.SuperGlueConfig.from_pretrained(path)
    other.gnn_layers_types = ["self", "cross", "self"]
    other.save_pretrained(tmp_path / "own")
    refused("not a checkpoint of superglue: it lacks gnn")
    weights.write_bytes(b"x" * 100)
    refused("cannot be loaded")
    weights.unlink()
    refused("is not on this machine, or incomplete")


def test_without_transformers_it_says_what_to_install() -> None:
    said = refusal_without("transformers", "matching", matcher="lightglue")
    assert "run `pip install torch transformers`" in said
