"""What is pointed at, and what is known of an object."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import ObjectPrompt, ObjectResult, ObjectState, TrackResult
from sam_pt_ros.points import PointTracks

FRAME = Frame(np.zeros((20, 30, 3), np.uint8), 0, 0)


def test_a_prompt_takes_lists_and_keeps_exact_types() -> None:
    prompt = ObjectPrompt([[1, 2], [3, 4]], [1, 0], box=[0, 1, 2, 3], mask=[[0, 255]])
    assert (prompt.points.dtype, prompt.labels.dtype) == (np.float32, np.int32)
    assert prompt.box is not None and prompt.box.dtype == np.float32
    assert prompt.mask is not None and prompt.mask.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("prompt", "starts"),
    [
        (ObjectPrompt(), False),
        (ObjectPrompt([[1, 2]], [0]), False),
        (ObjectPrompt([[1, 2]], [1]), True),
        (ObjectPrompt(box=[0, 0, 1, 1]), True),
        (ObjectPrompt([[1, 2]], [0], mask=np.ones((2, 2))), True),
    ],
)
def test_an_object_starts_from_where_it_is_not_from_where_it_is_not(
    prompt: ObjectPrompt, starts: bool
) -> None:
    assert prompt.starts_object is starts


@pytest.mark.parametrize("point", [(-0.5, -0.5), (29.5, 19.5), (0, 19.5), (29.5, 0)])
def test_the_image_reaches_half_a_pixel_beyond_the_centres(point: tuple[float, float]) -> None:
    ObjectPrompt([point], [1]).check(FRAME)


@pytest.mark.parametrize("point", [(-0.51, 0), (29.51, 0), (0, -0.51), (0, 19.51), (1e30, 0)])
def test_points_beyond_the_image_do_not_fit(point: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="not in the image of 30x20"):
        ObjectPrompt([point], [1]).check(FRAME)


def test_a_box_must_touch_the_image() -> None:
    for box in ([-9, -9, 0, 0], [29, 19, 99, 99], [-5, -5, 99, 99], [5, 5, 5, 5]):
        ObjectPrompt(box=box).check(FRAME)
    for box in ([-9, 0, -1, 5], [30, 0, 40, 5], [0, 20, 5, 30], [0, -9, 5, -1]):
        with pytest.raises(UserError, match="outside of the image"):
            ObjectPrompt(box=box).check(FRAME)


def test_labels_are_not_rounded() -> None:
    with pytest.raises(UserError, match="labels must be 1"):
        ObjectPrompt([[1, 2]], [0.5])


def test_states_have_the_values_of_the_message() -> None:
    assert [state.value for state in ObjectState] == [1, 2, 3]


def test_only_positive_points_are_counted() -> None:
    tracks = PointTracks(0, [1, 2, 3], np.zeros((3, 2)), [True, False, True], np.ones(3))
    empty = CroppedMask.empty((20, 30))
    result = ObjectResult(
        4, "", ObjectState.OCCLUDED, 0.0, empty, tracks, np.array([1, 1, 0]), 0, 0
    )
    assert (result.positives_visible, result.positives_total) == (1, 2)
    whole = TrackResult(0, 0, np.zeros((20, 30), np.uint16), (result,), {})
    assert whole.object(4) is result
    with pytest.raises(KeyError):
        whole.object(5)
