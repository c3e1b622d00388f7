"""SAM-PT's rule of choosing points, with given keypoints and matches instead of the networks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.trackers.matching.published import published_candidates, published_points
from support.golden_files import GOLDEN

SCENES = json.loads((GOLDEN / "trackers/superglue_rules.json").read_text())["scenes"]


def masks_of(scene: dict[str, Any]) -> np.ndarray:
    masks = np.zeros((len(scene["masks"]), scene["height"], scene["width"]), np.float32)
    for mask, (x0, y0, x1, y1) in zip(masks, scene["masks"]):
        mask[y0:y1, x0:x1] = 1
    return masks


@pytest.mark.parametrize("scene", SCENES, ids=[scene["name"] for scene in SCENES])
def test_the_candidates_are_the_published_ones(scene: dict[str, Any]) -> None:
    masks = masks_of(scene)
    for frame, wanted in zip(scene["frames"], scene["candidates"], strict=True):
        found = published_candidates(masks, frame["keypoints"], frame["matches"])
        assert [[each.tolist() for each in both] for both in found] == wanted


@pytest.mark.parametrize("scene", SCENES, ids=[scene["name"] for scene in SCENES])
def test_the_points_are_the_published_ones(scene: dict[str, Any]) -> None:
    random = np.random.RandomState(scene["seed"])
    masks, wanted = masks_of(scene), (scene["positives"], scene["negatives"])
    assert not any(scene["visible"][0])
    for index, frame in enumerate(scene["frames"], 1):
        xy, visible = published_points(masks, frame["keypoints"], frame["matches"], wanted, random)
        assert np.array_equal(xy, np.array(scene["tracks"][index], np.float32))
        assert np.array_equal(visible, np.array(scene["visible"][index]) > 0)


def test_a_place_below_the_image_is_an_error_as_published() -> None:
    masks = np.ones((1, 4, 6))
    with pytest.raises(IndexError):
        published_candidates(masks, np.array([[1.0, 4.0]]), np.array([0]))


def test_coordinates_are_cut_and_masks_are_over_a_half() -> None:
    masks = np.zeros((1, 4, 6))
    masks[0, 2, 3], masks[0, 2, 4] = 0.51, 0.5
    places = np.array([[3.9, 2.9], [4.0, 2.0], [3.0, 2.0], [2.9, 2.0]])
    (found,) = published_candidates(masks, places, np.array([2, -1, 0, 1, 3]))
    assert [each.tolist() for each in found] == [[2, 0], [1, 3]]
