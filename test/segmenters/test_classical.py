"""The classical segmenter."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.davis_metrics import region_similarity
from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters import MaskPrediction, Prompt, create_segmenter
from sam_pt_ros.segmenters.classical import ClassicalSegmenter
from support import classical_scenes as scenes

NO_POINTS = np.zeros((0, 2), np.float32)


def new_segmenter() -> ClassicalSegmenter:
    segmenter = create_segmenter("classical")
    assert isinstance(segmenter, ClassicalSegmenter)
    return segmenter


def on(points: np.ndarray, beside: np.ndarray = NO_POINTS, object_id: int = 1) -> Prompt:
    labels = np.concatenate([np.ones(len(points)), np.zeros(len(beside))])
    return Prompt(object_id, np.concatenate([points, beside]), labels)


def clicked(sampled: np.ndarray, xy: np.ndarray, label: int) -> Prompt:
    """Sampled points on the thing, and a click."""
    points = np.concatenate([sampled, xy[None]])
    labels = np.array([1] * len(sampled) + [label])
    return Prompt(1, points, labels, gestures=np.array([-1] * len(sampled) + [1]))


def ask(segmenter: ClassicalSegmenter, frame: Frame, prompt: Prompt) -> MaskPrediction:
    segmenter.set_image(frame)
    return segmenter.predict([prompt])[0]


def seen_points(pictures: scenes.Scene, index: int) -> np.ndarray:
    """The points of the disc that are not hidden, as a perfect tracker sees them."""
    points = scenes.disc_points(index)
    columns, rows = np.rint(points).astype(int).T
    width = scenes.SIZE[1]
    inside = (columns >= 0) & (columns < width)
    inside[inside] = pictures.truth[index][rows[inside], columns[inside]]
    return points[inside]


@pytest.fixture(scope="module")
def hiding() -> scenes.Scene:
    return scenes.scene(66, occluder=(140, 240))


@pytest.fixture(scope="module")
def predictions(hiding: scenes.Scene) -> list[MaskPrediction]:
    segmenter = new_segmenter()
    return [
        ask(segmenter, frame, on(seen_points(hiding, index)))
        for index, frame in enumerate(hiding.frames)
    ]


def test_a_thing_is_followed_while_it_is_visible(
    hiding: scenes.Scene, predictions: list[MaskPrediction]
) -> None:
    first_hidden = int(np.argmax(hiding.seen < 1))
    for index in range(first_hidden):
        assert region_similarity(predictions[index].mask, hiding.truth[index]) > 0.8
        assert predictions[index].score > 0.5


def test_a_hidden_thing_is_nothing(
    hiding: scenes.Scene, predictions: list[MaskPrediction]
) -> None:
    for index in np.flatnonzero(hiding.seen == 0):
        assert not predictions[index].mask.any()
        assert predictions[index].score == 0


def test_a_thing_is_found_again(hiding: scenes.Scene, predictions: list[MaskPrediction]) -> None:
    last_hidden = int(np.flatnonzero(hiding.seen < 1)[-1])
    assert last_hidden + 11 < len(predictions)
    for index in range(last_hidden + 10, len(predictions)):
        assert region_similarity(predictions[index].mask, hiding.truth[index]) > 0.7


def test_a_thing_is_found_again_without_any_point(hiding: scenes.Scene) -> None:
    segmenter = new_segmenter()
    for index, frame in enumerate(hiding.frames[:-1]):
        appeared = index > 40
        ask(segmenter, frame, on(NO_POINTS if appeared else seen_points(hiding, index)))
    last = ask(segmenter, hiding.frames[-1], on(NO_POINTS))
    assert region_similarity(last.mask, hiding.truth[-1]) > 0.7


def test_nothing_is_claimed_without_a_positive_point(hiding: scenes.Scene) -> None:
    segmenter = new_segmenter()
    prediction = ask(segmenter, hiding.frames[0], on(NO_POINTS, np.array([[5.0, 5.0]])))
    assert prediction.score == 0 and not prediction.mask.any()


@pytest.mark.parametrize("kind", ["click", "box", "mask"])
def test_an_object_starts_from_a_click_a_box_or_a_mask(hiding: scenes.Scene, kind: str) -> None:
    truth = hiding.truth[0]
    centre = scenes.disc_points(0)[:1]
    box = np.array([10, 90, 70, 150], np.float32) if kind == "box" else None
    mask = truth if kind == "mask" else None
    points = centre if kind == "click" else NO_POINTS
    prompt = Prompt(1, points, np.ones(len(points)), box=box, mask=mask)
    found = ask(new_segmenter(), hiding.frames[0], prompt).mask
    assert region_similarity(found, truth) > {"click": 0.6, "box": 0.8, "mask": 0.95}[kind]


def test_a_frame_can_be_asked_about_twice(hiding: scenes.Scene) -> None:
    once, twice = new_segmenter(), new_segmenter()
    for index in range(4):
        frame, prompt = hiding.frames[index], on(seen_points(hiding, index))
        wanted = ask(once, frame, prompt)
        if index:
            ask(twice, frame, on(scenes.disc_points(index)[:2]))
        found = ask(twice, frame, prompt)
        assert np.array_equal(wanted.logits, found.logits)


def two_colours() -> tuple[Frame, np.ndarray, np.ndarray]:
    """A thing of two halves, left and right, before a meadow."""
    image = scenes.texture(scenes.SIZE, 1, (70, 110, 80))
    left, right = np.zeros(scenes.SIZE, np.bool_), np.zeros(scenes.SIZE, np.bool_)
    left[90:150, 120:180] = True
    right[90:150, 180:240] = True
    image[left] = scenes.texture(scenes.SIZE, 2, (190, 120, 90))[left]
    image[right] = scenes.texture(scenes.SIZE, 3, (110, 110, 200))[right]
    return Frame(image, 0, 0), left, right


def grid(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    y, x = np.meshgrid(
        np.linspace(rows.min() + 6, rows.max() - 6, 4),
        np.linspace(columns.min() + 6, columns.max() - 6, 4),
    )
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def later(frame: Frame, index: int) -> Frame:
    return Frame(frame.image, index, index)


def test_a_negative_point_carves_its_part_away() -> None:
    frame, left, right = two_colours()
    segmenter = new_segmenter()
    points = np.concatenate([grid(left), grid(right)])
    before = ask(segmenter, frame, on(points)).mask
    assert (before & right).sum() > 0.8 * right.sum()
    click = np.array([[210.0, 120.0]], np.float32)
    # The points that were sampled on the right still claim it.
    carved = ask(segmenter, later(frame, 1), clicked(points, click[0], 0)).mask
    assert not carved[120, 210]
    assert (carved & right).sum() < 0.2 * right.sum()
    assert (carved & left).sum() > 0.95 * (before & left).sum()


def test_a_positive_point_adds_its_part() -> None:
    frame, left, right = two_colours()
    segmenter = new_segmenter()
    before = ask(segmenter, frame, on(grid(left))).mask
    assert (before & right).sum() < 0.2 * right.sum()
    click = np.array([[195.0, 120.0]], np.float32)
    grown = ask(segmenter, later(frame, 1), clicked(grid(left), click[0], 1)).mask
    assert grown[120, 195]
    assert (grown & right).sum() > 0.4 * right.sum()
    assert (grown & ~left & ~right).sum() < 0.05 * right.sum()


def test_masks_are_never_the_whole_image() -> None:
    flat = np.full((*scenes.SIZE, 3), 128, np.uint8)
    segmenter = new_segmenter()
    for index in range(4):
        mask = ask(segmenter, Frame(flat, index, index), on(np.array([[200.0, 120.0]]))).mask
        assert mask.mean() < 0.5


def test_forgetting_frees_what_is_remembered(hiding: scenes.Scene) -> None:
    segmenter = new_segmenter()
    segmenter.set_image(hiding.frames[0])
    points = seen_points(hiding, 0)
    segmenter.predict([on(points, object_id=1), on(points, object_id=2)])
    segmenter.forget(1)
    segmenter.forget(77)
    segmenter.set_image(hiding.frames[1])
    gone, kept = segmenter.predict([on(NO_POINTS, object_id=1), on(NO_POINTS, object_id=2)])
    assert not gone.mask.any() and kept.mask.any()
    segmenter.reset()
    with pytest.raises(UserError, match="set_image"):
        segmenter.predict([on(points)])


def test_objects_can_be_replayed_one_after_the_other(hiding: scenes.Scene) -> None:
    segmenter, alone = new_segmenter(), new_segmenter()
    elsewhere = grid(hiding.truth[0]) + np.array([200, 0], np.float32)
    for index in range(3):
        ask(segmenter, hiding.frames[index], on(elsewhere, object_id=2))
    segmenter.forget(2)
    for index in range(3):
        prompt = on(seen_points(hiding, index))
        found = ask(segmenter, hiding.frames[index], prompt)
        assert np.array_equal(found.logits, ask(alone, hiding.frames[index], prompt).logits)


def test_a_thing_that_comes_near_may_fill_the_image() -> None:
    """The target does not disappear on arrival."""
    skin = scenes.texture((300, 300), 2, (190, 120, 90))
    ground = scenes.texture(scenes.SIZE, 1, (70, 110, 80))
    height, width = scenes.SIZE
    segmenter = new_segmenter()
    shares = []
    for index in range(60):
        scale = 0.4 * 1.035**index
        matrix = np.array(
            [[scale, 0, width / 2 - 150 * scale], [0, scale, height / 2 - 150 * scale]]
        )
        cover = cv2.warpAffine(np.ones((300, 300), np.uint8), matrix, (width, height)) > 0
        image = np.where(cover[..., None], cv2.warpAffine(skin, matrix, (width, height)), ground)
        y, x = np.mgrid[-1:2, -1:2] * 0.6
        points = np.stack([x.ravel(), y.ravel()], axis=1) * 150 * scale + (width / 2, height / 2)
        inside = ((points > 2) & (points < (width - 3, height - 3))).all(axis=1)
        prompt = on(points[inside].astype(np.float32))
        shares.append(ask(segmenter, Frame(image, index, index), prompt).mask.mean())
    assert cover.all() and shares[-1] > 0.95
    assert min(shares[20:]) > 0.3
