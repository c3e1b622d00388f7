"""The classical segmenter says how sure it is, and finds what was hidden at a bounded cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.frames import Frame
from sam_pt_ros.objects import ObjectPrompt, ObjectResult, ObjectState
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.classical.evidence import CERTAIN, NOTHING, Evidence
from sam_pt_ros.segmenters.classical.search import _nearby, tiles
from sam_pt_ros.segmenters.classical.segmenter import ClassicalSegmenter
from sam_pt_ros.segmenters.classical.state import State
from support import classical_scenes as scenes
from support.photo_scenes import PhotoScene, Picture, follow

CONFIG = Path(__file__).resolve().parents[2] / "config" / "classical.yaml"
MS = 1_000_000


def film(
    name: str, last: int, thing: int = 0
) -> Iterator[tuple[int, Picture, ObjectResult, float]]:
    """A scenario's frames from the second on: index, picture, result of the thing, IoU."""
    scene = PhotoScene(name, thing)
    followed = follow(CONFIG, (scene.at(index) for index in range(last)))
    for index, (picture, found, iou) in enumerate(followed, start=1):
        yield index, picture, found, iou


@pytest.mark.parametrize("thing", [0, 1])
def test_what_hides_a_thing_is_not_taken_for_it(thing: int) -> None:
    lies = [
        index
        for index, picture, found, _ in film("hidden for 100 frames", 70, thing)
        if picture.share == 0 and found.state is ObjectState.TRACKING
    ]
    assert lies == []


def test_the_background_is_not_taken_for_a_thing_that_vanished() -> None:
    lies = [
        index
        for index, picture, found, _ in film("vanishes before its background", 60)
        if picture.share == 0 and found.state is ObjectState.TRACKING
    ]
    assert lies == [index for index in lies if index < 40 + 5]


def test_a_thing_is_found_again_elsewhere_and_larger() -> None:
    in_view = [
        (index, iou)
        for index, picture, _, iou in film("returns elsewhere", 125)
        if index > 80 and picture.share > 0.25
    ]
    soon = [iou for index, iou in in_view if index < in_view[0][0] + 30]
    assert max(soon) > 0.8


def test_nothing_is_tracked_in_a_black_image() -> None:
    scene = PhotoScene("baseline", 3)
    pipeline = load_configuration(CONFIG).create()
    states = []
    for index in range(12):
        image = scene.at(index).image if not 4 <= index < 7 else np.zeros_like(scene.at(0).image)
        (result,) = pipeline.process(image, index * 40 * MS)
        if index == 0:
            pipeline.add_object(ObjectPrompt(mask=scene.at(0).truth))
        else:
            states.append(result.object(1).state)
    tracking, occluded = ObjectState.TRACKING, ObjectState.OCCLUDED
    assert states[:6] == [tracking] * 3 + [occluded] * 3
    assert states[-1] is tracking


def test_a_score_follows_from_the_evidence() -> None:
    assert CERTAIN.probability > 0.9999 and NOTHING.probability < 1e-9
    assert CERTAIN.at(7).index == 7
    # Measured: without any keypoint colours must agree well, with all of them they need not.
    plain = Evidence(0.0, 0.9, 0.0, 0)
    assert plain.probability == pytest.approx(0.3, abs=0.05)
    assert replace(plain, chroma=0.97).probability > 0.8
    assert replace(plain, keypoints=1.0).probability > 0.98
    assert replace(plain, chroma=0.97, shrunk=np.log(4)).probability < 0.3


def test_the_score_of_a_click_is_lower_than_that_of_a_mask_and_rises_with_corrections() -> None:
    frame = scenes.scene(1).frames[0]
    truth = scenes.scene(1).truth[0]
    centre = scenes.disc_points(0)[:1]

    def score(*prompts: Prompt) -> float:
        segmenter = create_segmenter("classical")
        segmenter.set_image(frame)
        return [segmenter.predict([prompt])[0].score for prompt in prompts][-1]

    clicked = Prompt(1, centre, np.ones(1), gestures=np.zeros(1))
    wrong = np.concatenate([centre, [[200.0, 120.0]]]).astype(np.float32)
    corrected = Prompt(1, wrong, np.ones(2), gestures=np.arange(2))
    none = np.zeros((0, 2), np.float32)
    assert score(Prompt(1, none, np.zeros(0), mask=truth)) > 0.99
    assert 0.6 < score(clicked) < 0.8 < score(clicked, corrected) < 0.95


def test_things_that_look_the_same_side_by_side_stay_apart() -> None:
    """Of two objects neither takes the other's pixels."""
    ground = scenes.texture(scenes.SIZE, 1, (70, 110, 80))
    skin = scenes.texture((60, 60), 2, (190, 120, 90))
    first, second = np.zeros(scenes.SIZE, np.bool_), np.zeros(scenes.SIZE, np.bool_)
    first[90:150, 100:160] = second[90:150, 160:220] = True
    image = ground.copy()
    image[90:150, 100:160] = image[90:150, 160:220] = skin
    none = np.zeros((0, 2), np.float32)
    segmenter = create_segmenter("classical")
    for index in range(12):
        segmenter.set_image(Frame(image, index, index))
        prompts = [
            Prompt(number, none, np.zeros(0), mask=mask if index == 0 else None)
            for number, mask in ((1, first), (2, second))
        ]
        masks = [found.mask for found in segmenter.predict(prompts)]
    assert (masks[0] & second).sum() < 0.1 * second.sum()
    assert (masks[1] & first).sum() < 0.1 * first.sum()


# --- the search ------------------------------------------------------------------------------


def hidden(width: int, height: int, frames: int) -> tuple[State, Frame]:
    """A state after so many hidden frames, of a thing that moved at 5 pixels a frame."""
    frame = Frame(np.zeros((height, width, 3), np.uint8), 0, 0)
    small = scenes.scene(3)
    segmenter = create_segmenter("classical")
    assert isinstance(segmenter, ClassicalSegmenter)
    none = np.zeros((0, 2), np.float32)
    for index, each in enumerate(small.frames):
        segmenter.set_image(each)
        mask = small.truth[0] if index == 0 else None
        segmenter.predict([Prompt(1, none, np.zeros(0), mask=mask)])
    return replace(segmenter._memories[1].now, hidden=frames), frame


@pytest.mark.parametrize(("width", "height"), [(320, 240), (640, 480), (1280, 720), (4000, 3000)])
def test_few_tiles_cover_the_image_and_overlap_by_the_thing(width: int, height: int) -> None:
    state, frame = hidden(width, height, 9)
    boxes = tiles(state, frame)
    assert 1 <= len(boxes) <= 8
    covered = np.zeros((height, width), np.int64)
    for x0, y0, x1, y1 in boxes:
        covered[max(round(y0), 0) : round(y1) + 1, max(round(x0), 0) : round(x1) + 1] += 1
    assert covered.min() >= 1
    if len(boxes) > 1:
        assert np.count_nonzero(covered > 1) >= 0.9 * state.size * min(width, height)
    middle = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes]
    place = np.array([(state.box[0] + state.box[2]) / 2, (state.box[1] + state.box[3]) / 2])
    away = np.linalg.norm(np.array(middle) - place, axis=1)
    assert (np.diff(away) >= 0).all(), "the nearest comes first"


@pytest.mark.parametrize("heading", [False, True])
def test_a_near_place_does_not_grow_for_ever(heading: bool) -> None:
    state, frame = hidden(1280, 720, 4)
    sides = []
    for frames in (4, 1000):
        x0, y0, x1, y1 = _nearby(replace(state, hidden=frames), frame, heading=heading)
        sides.append((x1 - x0) / state.size)
        assert x1 - x0 == pytest.approx(y1 - y0)
    assert 2.5 < sides[0] <= sides[1] <= 4.3
    x0, _, x1, _ = _nearby(state, frame, heading=True)
    expected = (state.box[0] + state.box[2]) / 2 + state.velocity[0] * 4
    assert (x0 + x1) / 2 == pytest.approx(expected) and state.velocity[0] > 1
