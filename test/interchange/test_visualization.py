import numpy as np
import pytest

from sam_pt_ros.interchange.visualization import (
    PALETTE,
    TINT,
    draw_overlay,
    film_strip,
    object_colour,
)
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectResult, ObjectState, TrackResult
from sam_pt_ros.points import PointTracks

SIZES = [(144, 176), (360, 640), (1080, 1920), (20, 12)]


def make_result(size, state=ObjectState.TRACKING, object_id=1, label="cup", visible=True):
    height, width = size
    mask = np.zeros(size, bool)
    if state == ObjectState.TRACKING:
        mask[height // 3 : height * 2 // 3, width // 3 : width * 2 // 3] = True
    points = PointTracks(
        0,
        [1, 2, 3],
        [[width / 2, height / 2], [width * 0.9, height * 0.9], [-500.0, 1e5]],
        [visible, visible, False],
        [1, 1, 0],
    )
    cropped = CroppedMask.cut(mask, (0, 0), size)
    score = 0.9 if cropped.area else 0.0
    item = ObjectResult(object_id, label, state, score, cropped, points, np.array([1, 0, 1]), 5, 2)
    return TrackResult(0, 0, mask.astype(np.uint16) * object_id, (item,), {})


def grey(size):
    return np.full((*size, 3), 100, np.uint8)


def test_colours_are_fixed_by_id_and_differ():
    assert len({object_colour(i) for i in range(1, len(PALETTE) + 1)}) == len(PALETTE)
    assert object_colour(1) == object_colour(1 + len(PALETTE)) == PALETTE[0]


@pytest.mark.parametrize("size", SIZES)
def test_overlay_keeps_its_input_and_its_shape(size):
    image = grey(size)
    overlay = draw_overlay(image, make_result(size))
    assert overlay.shape == image.shape and overlay.dtype == np.uint8
    assert (image == 100).all()
    assert (overlay != image).any()


def test_mask_is_tinted_in_the_colour_of_its_object():
    size = (360, 640)
    overlay = draw_overlay(grey(size), make_result(size, object_id=2))
    expected = (1 - TINT) * 100 + TINT * np.array(object_colour(2))
    np.testing.assert_allclose(overlay[130, 230], expected, atol=1)
    assert tuple(overlay[5, 635]) == (100, 100, 100)


def test_visible_positives_are_drawn_and_hidden_ones_are_not():
    size = (360, 640)
    shown = draw_overlay(grey(size), make_result(size))
    hidden = draw_overlay(grey(size), make_result(size, visible=False))
    assert tuple(shown[180, 320]) == object_colour(1)
    assert tuple(hidden[180, 320]) == tuple(hidden[180, 300])
    assert tuple(shown[324, 576]) == object_colour(1)  # the middle of the cross
    assert tuple(hidden[324, 576]) == (100, 100, 100)


@pytest.mark.parametrize("state", [ObjectState.OCCLUDED, ObjectState.LOST])
def test_unseen_objects_are_listed_in_the_corner(state):
    size = (360, 640)
    overlay = draw_overlay(grey(size), make_result(size, state, visible=False))
    changed = (overlay != 100).any(axis=2)
    assert changed[:30, :250].any()
    assert not changed[60:].any()


def test_long_and_foreign_labels_do_not_disturb():
    size = (144, 176)
    for label in ("", "ein überaus langer Name " * 9, "杯子"):
        assert draw_overlay(grey(size), make_result(size, label=label)).shape == (144, 176, 3)


def test_without_objects_the_image_is_as_it_was():
    image = grey((30, 40))
    result = TrackResult(0, 0, np.zeros((30, 40), np.uint16), (), {})
    np.testing.assert_array_equal(draw_overlay(image, result), image)


def test_film_strip_has_all_images_in_rows():
    images = [np.full((36, 64, 3), value, np.uint8) for value in (10, 60, 110, 160, 210)]
    strip = film_strip(images, [str(i) for i in range(5)], columns=3)
    assert strip.shape == (2 * (36 + 26 + 8) + 8, 3 * (64 + 8) + 8, 3)
    for value in (10, 60, 110, 160, 210):
        assert (strip == value).all(axis=2).sum() >= 36 * 64


def test_film_strip_scales_large_images():
    strip = film_strip([np.zeros((1080, 1920, 3), np.uint8)], ["a"], columns=4)
    assert strip.shape == (270 + 26 + 16, 480 + 16, 3)
