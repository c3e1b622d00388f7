"""Objects that start from a box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.classical.grab_cut import grab_cut
from support.classical_scenes import texture
from support.scene import overlap


def picture(width: int, height: int, box: tuple[int, int, int, int]) -> tuple[Frame, np.ndarray]:
    """An L-shaped thing that fills the corners of its box but one, and its mask."""
    image = texture((height, width), 1, (80, 120, 90))
    thing = texture((height, width), 2, (180, 110, 90))
    x0, y0, x1, y1 = box
    mask = np.zeros((height, width), np.bool_)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    mask[y0 : (y0 + y1) // 2 - (y1 - y0) // 8, (x0 + x1) // 2 + (x1 - x0) // 8 : x1 + 1] = False
    image[mask] = thing[mask]
    return Frame(image, 0, 0), mask


def started(frame: Frame, box: tuple[int, int, int, int]) -> np.ndarray:
    segmenter = create_segmenter("classical")
    segmenter.set_image(frame)
    prompt = Prompt(1, np.zeros((0, 2)), np.zeros(0), box=np.array(box, np.float32))
    return np.asarray(segmenter.propose([prompt])[0].mask)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (640, 480, (200, 150, 359, 289)),
        (1280, 720, (40, 30, 400, 500)),
        (640, 480, (0, 0, 219, 199)),
        (640, 480, (500, 300, 639, 479)),
    ],
)
def test_the_thing_fills_its_box_and_not_more(
    width: int, height: int, box: tuple[int, int, int, int]
) -> None:
    frame, mask = picture(width, height, box)
    found = started(frame, box)
    assert overlap(found, mask) > 0.93
    x0, y0, x1, y1 = box
    outside = found.copy()
    outside[max(y0 - 2, 0) : y1 + 3, max(x0 - 2, 0) : x1 + 3] = False
    assert not outside.any()


def test_a_box_around_everything_leaves_nothing_to_compare_with() -> None:
    frame, _ = picture(320, 240, (80, 60, 239, 179))
    assert started(frame, (0, 0, 319, 239)).any()
    whole = np.ones((40, 60), np.bool_)
    assert grab_cut(frame.image[:40, :60], whole, np.zeros((40, 60), np.float32)) is None


def test_one_colour_is_no_error() -> None:
    assert started(Frame(np.full((240, 320, 3), 90, np.uint8), 0, 0), (80, 60, 239, 179)).any()


def test_the_same_box_gives_the_same_mask_whatever_ran_before() -> None:
    box = (200, 150, 359, 289)
    frame, _ = picture(640, 480, box)
    masks = []
    threads = cv2.getNumThreads()
    for number, used in enumerate((1, 2, 2)):
        cv2.setRNGSeed(100 + number)
        cv2.setNumThreads(used)
        masks.append(started(frame, box))
    cv2.setNumThreads(threads)
    assert np.array_equal(masks[0], masks[1]) and np.array_equal(masks[1], masks[2])
