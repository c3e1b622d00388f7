"""Trackers against true tracks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")

from sam_pt_ros.cli import main
from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.evaluation.point_metrics import tap_vid
from sam_pt_ros.evaluation.track_evaluation import (
    TrueTracks,
    evaluate_tracks,
    read_frames,
    read_tracks,
)
from sam_pt_ros.paths import classical_configuration_file
from sam_pt_ros.recordings.clicks import Click
from sam_pt_ros.trackers import create_tracker, track_video
from support.scene import THING, passing_scene

FRAMES = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the scene, and the tracks of five of its points, one of which begins later."""
    scene = passing_scene()
    folder = tmp_path_factory.mktemp("scene")
    (folder / "frames").mkdir()
    for index in range(FRAMES):
        image = scene.frame(index).image[:, :, ::-1]
        cv2.imwrite(str(folder / f"frames/{index:03d}.png"), image)
    centre = np.array(scene.inner_point(THING, 0))
    start = centre + np.array([[0, 0], [5, 0], [-5, 0], [0, 5], [0, -5]])
    xy = np.stack([scene.follow(THING, start, 0, index) for index in range(FRAMES)])
    visible = np.ones((FRAMES, 5), np.bool_)
    visible[:3, 4] = False
    np.savez(folder / "tracks.npz", points=xy, visible=visible)
    return folder


def test_a_tracker_is_scored_as_track_video_tracks(folder: Path) -> None:
    truth = read_tracks(folder / "tracks.npz")
    assert truth.queries.tolist() == [0, 0, 0, 0, 3]
    frames = read_frames(folder / "frames")
    scores = evaluate_tracks(load_configuration(classical_configuration_file()), frames, truth)
    queries = np.column_stack([truth.queries, truth.xy[truth.queries, np.arange(5)]])
    found = track_video(create_tracker("lucas_kanade"), frames, queries)
    size = (frames.shape[1], frames.shape[2])
    assert scores == tap_vid(found.xy, found.visible, truth.xy, truth.visible, truth.queries, size)
    assert scores.average_pts_within_thresh > 0.8
    shifted = TrueTracks(truth.xy + np.arange(FRAMES)[:, None, None], truth.visible, truth.queries)
    worse = evaluate_tracks(load_configuration(classical_configuration_file()), frames, shifted)
    assert worse.average_pts_within_thresh < scores.average_pts_within_thresh - 0.1


def test_frames_come_from_folders_and_bags_alike(folder: Path, tmp_path: Path) -> None:
    frames = read_frames(folder / "frames")
    options = MakeBagOptions(folder / "frames", tmp_path / "bag", clicks=(Click(5, 5),))
    np.testing.assert_array_equal(read_frames(make_bag(options).path), frames)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, tracks = str(folder / "frames"), str(folder / "tracks.npz")
    assert main(["evaluate-points", frames, tracks]) == 0
    said = capsys.readouterr().out.split()
    assert {"AJ", "delta_avg", "OA"} <= set(said) and 0.5 < float(said[1]) <= 1
    assert main(["evaluate-points", frames, str(folder / "none.npz")]) == 2
    assert "cannot be read as an .npz file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"visible": np.ones((3, 2))}, "the array 'points' is missing"),
        ({"points": np.ones((3, 2, 2)), "visible": np.ones((3, 4))}, r"got \(3, 2, 2\)"),
        (
            {"points": np.ones((3, 2, 2)), "visible": np.zeros((3, 2))},
            "visible in at least one frame",
        ),
        (
            {"points": np.ones((3, 1, 2)), "visible": np.ones((3, 1)), "queries": np.array([3])},
            "query frame, 0 to 2",
        ),
        (
            {
                "points": np.ones((2, 1, 2)),
                "visible": np.array([[0], [1]]),
                "queries": np.array([0]),
            },
            "must be visible in its query frame",
        ),
    ],
)
def test_tracks_that_mean_nothing_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(UserError, match=words):
        read_tracks(tmp_path / "bad.npz")


def test_a_video_of_another_length_is_refused(folder: Path) -> None:
    truth = read_tracks(folder / "tracks.npz")
    frames = read_frames(folder / "frames")[:-1]
    with pytest.raises(UserError, match="10 frames, but the video 9"):
        evaluate_tracks(load_configuration(classical_configuration_file()), frames, truth)
