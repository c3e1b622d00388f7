"""The film strip of a run whose length nobody knows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sam_pt_ros.evaluation.result_writer import TILE_WIDTH, Strip
from sam_pt_ros.evaluation.stream import InputFrame
from sam_pt_ros.recordings.films import STRIP_COLUMNS, STRIP_IMAGES

IMAGE = np.zeros((60, 80, 3), np.uint8)


def strip_of(count: int) -> Strip:
    strip = Strip()
    for index in range(count):
        image = np.full_like(IMAGE, 40 + index % 200)
        strip.add(InputFrame(index, index, image), image, index / 25)
    return strip


def shown(strip: Strip) -> list[int]:
    """The frames in it, by their grey."""
    picture = strip.picture()
    assert picture is not None
    width = 80 + 8
    height = 60 + 26 + 8
    found = []
    for row in range(picture.shape[0] // height):
        for column in range(STRIP_COLUMNS):
            y, x = 8 + row * height + 26 + 30, 8 + column * width + 40
            if x < picture.shape[1] and (grey := int(picture[y, x, 0])) >= 40:
                found.append(grey - 40)
    return found


@pytest.mark.parametrize("count", [1, 5, 12, 13, 24, 25, 49, 100, 190])
def test_it_shows_the_whole_run_evenly(count: int) -> None:
    frames = shown(strip_of(count))
    assert frames[0] == 0 and len(frames) == len(set(frames)) <= STRIP_IMAGES
    assert len(frames) >= min(count, STRIP_IMAGES // 2)
    gaps = np.diff([*frames, count])
    assert gaps.max(initial=1) <= max(2.1 * count / len(frames), 2)


def test_nothing_makes_no_strip() -> None:
    assert Strip().picture() is None


def test_large_images_are_scaled() -> None:
    strip = Strip()
    image = cv2.resize(IMAGE, (1920, 1080))
    strip.add(InputFrame(0, 0, image), image, 0.0)
    picture = strip.picture()
    assert picture is not None and picture.shape[1] == TILE_WIDTH + 16
