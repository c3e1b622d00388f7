"""What the classical segmenter does not believe, learn or take from others."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.classical.segmenter import ClassicalSegmenter
from sam_pt_ros.segmenters.classical.state import State
from sam_pt_ros.segmenters.classical.tracking import _is_object
from support.classical_scenes import scene, texture
from support.scene import overlap

DISC = scene(30)
LEARNABLE = 0.4
"""Probability below which nothing is learned from a mask."""


def mask_only(mask: np.ndarray, object_id: int = 1) -> Prompt:
    return Prompt(object_id, np.zeros((0, 2)), np.zeros(0), mask=mask)


def followed(object_id: int = 1) -> Prompt:
    return Prompt(object_id, np.zeros((0, 2)), np.zeros(0))


def tracking(frame: Frame, *masks: np.ndarray) -> ClassicalSegmenter:
    """A segmenter that knows objects 1, 2, ... by their masks."""
    segmenter = create_segmenter("classical")
    assert isinstance(segmenter, ClassicalSegmenter)
    segmenter.set_image(frame)
    segmenter.predict([mask_only(mask, number) for number, mask in enumerate(masks, start=1)])
    return segmenter


def state_of(segmenter: ClassicalSegmenter) -> State:
    return segmenter._memories[1].now


def recoloured(index: int, hue: int) -> Frame:
    """The disc's frame with another hue of the disc (OpenCV's, 0 to 179) and the same light."""
    frame, mask = DISC.frames[index], DISC.truth[index]
    turned = cv2.cvtColor(frame.image, cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0].astype(np.int64) + hue) % 180
    other = cv2.cvtColor(turned, cv2.COLOR_HSV2RGB)
    light = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) + 1.0 for each in (frame.image, other)]
    other = np.clip(other * (light[0] / light[1])[..., None], 0, 255).astype(np.uint8)
    return Frame(np.where(mask[..., None], other, frame.image), frame.stamp, index)


@pytest.mark.parametrize(("hue", "found"), [(0, True), (28, False), (60, False)])
def test_a_hidden_thing_is_not_one_of_the_same_structure_in_another_colour(
    hue: int, found: bool
) -> None:
    segmenter = tracking(DISC.frames[0], DISC.truth[0])
    for index in range(1, 6):
        segmenter.set_image(DISC.frames[index])
        assert segmenter.predict([followed()])[0].mask.any()
    flat = np.full_like(DISC.frames[0].image, 90)
    for index in range(6, 10):
        segmenter.set_image(Frame(flat, DISC.frames[index].stamp, index))
        segmenter.predict([followed()])
    assert state_of(segmenter).hidden
    seen = []
    for index in range(10, 25):
        segmenter.set_image(recoloured(index, hue))
        seen.append(bool(segmenter.predict([followed()])[0].mask.any()))
    assert any(seen) == found


def test_nothing_is_learned_from_a_mask_that_is_hardly_believed() -> None:
    segmenter = tracking(DISC.frames[0], DISC.truth[0])
    learned, doubtful = 0, 0
    for index in range(1, 20):
        before = state_of(segmenter).appearance
        segmenter.set_image(recoloured(index, 2 * index))
        segmenter.predict([followed()])
        state = state_of(segmenter)
        if state.hidden:
            break
        changed = state.appearance is not before
        learned += changed
        if state.evidence.probability < LEARNABLE:
            doubtful += 1
            assert not changed, index
    assert learned >= 5 and doubtful >= 2


def test_objects_of_one_surface_do_not_grow_into_each_other() -> None:
    """Two halves of one picture, side by side, that move together: only the other one bounds."""
    height, width = 480, 640
    surface, ground = (
        texture((height, width), 2, (190, 120, 90)),
        texture((height, width), 1, (70, 110, 80)),
    )
    mask = np.zeros((height, width), np.bool_)
    mask[170:310, 150:350] = True
    left, right = mask.copy(), mask.copy()
    left[:, 250:], right[:, :250] = False, False

    def frame(index: int) -> Frame:
        image = ground.copy()
        moved = np.roll(mask, 4 * index, axis=1)
        image[moved] = np.roll(surface, 4 * index, axis=1)[moved]
        return Frame(image, index * 40_000_000, index)

    segmenter = tracking(frame(0), left, right)
    for index in range(1, 15):
        segmenter.set_image(frame(index))
        found = segmenter.predict([followed(1), followed(2)])
    truth = [np.roll(each, 4 * index, axis=1) for each in (left, right)]
    assert all(overlap(one.mask, own) > 0.85 for one, own in zip(found, truth, strict=True))
    both = np.count_nonzero(found[0].mask & found[1].mask)
    assert both < 0.1 * np.count_nonzero(mask)


@pytest.mark.parametrize(
    ("before", "now", "possible"),
    [
        (0.5, 0.89, True),
        (0.5, 0.91, False),  # the background
        (0.85, 0.97, True),  # it comes nearer
        (0.8, 0.97, False),
    ],
)
def test_what_comes_near_may_fill_the_image_but_not_at_once(
    before: float, now: float, possible: bool
) -> None:
    segmenter = tracking(DISC.frames[0], DISC.truth[0])
    frame = DISC.frames[1]
    whole = frame.height * frame.width
    state = replace(state_of(segmenter), area=before * whole, usual_area=before * whole)
    assert _is_object(now * whole, state, frame) == possible
