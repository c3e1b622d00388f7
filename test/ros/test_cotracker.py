"""The node with the tracker `cotracker`: real but for its weights, which are pseudo-random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sam_pt_ros.msg import PointPrompt, TrackedObject

from support.rig import Rig, node_command, run_node
from support.scene import OCCLUDER, THING

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

RANDOM = (
    "tracker:=cotracker",
    "cotracker.checkpoint:=random",
    "cotracker.allow_random_weights:=true",
    "cotracker.device:=cpu",
    "cotracker.model_resolution:=[64, 96]",
)


@pytest.fixture(scope="module")
def rig(make_shared_rig: Callable[..., Rig]) -> Rig:
    return make_shared_rig(*RANDOM, "cotracker.max_points:=20", "mode:=every_frame")


def test_every_frame_has_the_points_of_every_object(rig: Rig) -> None:
    rig.reset()
    rig.play(0)
    assert not rig.logs("needs PyTorch|missing")
    rig.points(rig.on(THING, 0, object_label="ball"), index=0)
    rig.play(1, 6)
    for index in range(1, 7):
        message = rig.output("tracked_points", index)
        assert message.header.stamp == rig.header(index).stamp
        labels = [point.label for point in message.points]
        assert labels.count(PointPrompt.POSITIVE) == 16
        assert labels.count(PointPrompt.NEGATIVE) == 1
        places = np.array([(point.x, point.y) for point in message.points])
        assert np.isfinite(places).all()
        assert all(0 <= point.confidence <= 1 for point in message.points)
        assert rig.objects(index)[1].state == TrackedObject.TRACKING


def test_a_click_that_would_be_too_many_points_is_refused_and_the_node_goes_on(rig: Rig) -> None:
    rig.reset()
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    refused = rig.points(rig.on(OCCLUDER, 0, object_id=2), index=0)
    assert "refused: 34 points would exceed 'max_points', which is 20" in refused
    rig.play(1, 3)
    assert set(rig.objects(3)) == {1}


def test_tracking_goes_on_from_the_masks_when_the_image_size_changes(rig: Rig) -> None:
    rig.reset()
    rig.order = {}
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1, 3)
    rig.order = {"width": 160}
    rig.play(4, 7)
    rig.log("image size changed from 320x240 to 160x120: objects start again")
    rig.order = {}
    message = rig.output("tracked_points", 7)
    places = np.array([(p.x, p.y) for p in message.points])
    assert len(places) == 17 and (places[:16] < [160, 120]).all()
    assert set(rig.objects(7)) == {1}
    # The first camera_info of the new size may come before the first image.
    assert not rig.logs("cannot be tracked|(click|points|image) refused")


def test_a_late_click_catches_up(rig: Rig) -> None:
    rig.reset()
    rig.play(0, 6)
    rig.points(rig.on(THING, 2), index=2)
    rig.play(7, 8)
    assert rig.objects(8)[1].age == 6
    assert len(rig.output("tracked_points", 8).points) == 17


def rare(*values: Any) -> Any:
    """Slow: that it is refused, and how, other tests know without starting a node."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ([], "the checkpoint 'cotracker3_online' is missing: run `sam-pt download cotracker3"),
        rare(
            ["cotracker.checkpoint:=/nowhere/scaled_online.pth"], "does not exist; give the path"
        ),
        rare(["cotracker.checkpoint:=random"], "'checkpoint: random' is for tests only"),
        ([*RANDOM[1:3], "cotracker.device:=cuda:99"], "the device 'cuda:99' is not available"),
        rare([*RANDOM[1:3], "cotracker.model_resolution:=[100, 96]"], "multiples of 16"),
    ],
)
def test_what_the_tracker_cannot_use_ends_the_node_with_its_reason(
    parameters: list[str], says: str, tmp_path: Path
) -> None:
    ended = run_node(
        node_command("tracker:=cotracker", *parameters), SAM_PT_CHECKPOINT_DIR=str(tmp_path)
    )
    assert ended.returncode == 2, ended.stderr
    assert says in ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr
