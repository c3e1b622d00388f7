"""Frames and their short memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.frames import Frame, FrameHistory, SeenFrames

IMAGE = np.zeros((4, 6, 3), np.uint8)


def history(stamps: list[int], capacity: int = 60) -> FrameHistory:
    made = FrameHistory(capacity)
    for stamp in stamps:
        made.append(IMAGE, stamp)
    return made


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 6), np.uint8), r"shape \(H, W, 3\), got \(4, 6\)"),
        (np.zeros((4, 6, 4), np.uint8), "shape"),
        (np.zeros((4, 6, 3), np.float32), "float32"),
        (np.zeros((0, 6, 3), np.uint8), "empty"),
        ("picture", "got str"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_rgb_image_is_refused(image: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Frame(image, 0, 0)


def test_an_image_in_another_layout_is_made_contiguous() -> None:
    bgr = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    frame = Frame(bgr[:, ::-1, ::-1], 0, 0)
    assert frame.image.flags.c_contiguous
    assert np.array_equal(frame.image, bgr[:, ::-1, ::-1])


def test_a_frame_knows_its_size_and_its_luminance() -> None:
    frame = Frame(np.full((4, 6, 3), (255, 0, 0), np.uint8), 0, 0)
    assert (frame.size, frame.height, frame.width) == ((4, 6), 4, 6)
    assert frame.gray.shape == (4, 6) and set(frame.gray.ravel()) == {76}
    assert frame.gray is frame.gray


def test_frames_are_numbered_without_gaps_and_the_oldest_is_forgotten() -> None:
    held = history([10, 20, 30, 40], capacity=3)
    assert [frame.index for frame in held] == [1, 2, 3]
    assert (held.oldest.stamp, held.newest.stamp, len(held)) == (20, 40, 3)
    assert held.at(2).stamp == 30
    assert [frame.index for frame in held.since(2)] == [2, 3]


@pytest.mark.parametrize("index", [-1, 0, 4, 10**9])
def test_frames_that_are_not_held_are_unavailable(index: int) -> None:
    held = history([10, 20, 30, 40], capacity=3)
    for get in (held.at, held.since):
        with pytest.raises(FrameUnavailableError, match=f"frame {index} is not in the history"):
            get(index)


def test_an_empty_history_has_no_frame() -> None:
    held = FrameHistory()
    for get in (lambda: held.newest, lambda: held.oldest, lambda: held.nearest(0)):
        with pytest.raises(FrameUnavailableError, match="no frame has arrived"):
            get()


@pytest.mark.parametrize(
    ("image", "stamp", "says"),
    [
        (np.zeros((5, 6, 3), np.uint8), 30, "changed from 6x4 to 6x5"),
        (IMAGE, 20, "not later"),
        (IMAGE, 19, "not later"),
        (np.zeros((4, 6), np.uint8), 30, "RGB"),
    ],
)
def test_a_refused_frame_leaves_the_history_as_it_was(
    image: np.ndarray, stamp: int, says: str
) -> None:
    held = history([10, 20])
    with pytest.raises(UserError, match=says):
        held.append(image, stamp)
    assert [frame.stamp for frame in held] == [10, 20]
    assert held.append(IMAGE, 30).index == 2


def test_a_cleared_history_takes_another_size_and_begins_at_index_0() -> None:
    held = history([10, 20])
    held.clear()
    assert held.append(np.zeros((9, 9, 3), np.uint8), 5).index == 0


def test_a_stamp_older_than_the_oldest_by_half_a_period_is_refused() -> None:
    held = history([100, 200, 300], capacity=3)
    assert held.nearest(50).stamp == 100
    with pytest.raises(FrameUnavailableError, match="history_length"):
        held.nearest(49)


def test_the_only_frame_is_found_by_its_own_stamp_however_large() -> None:
    """A double holds nanoseconds of today to 256; a stamp must not be rounded past itself."""
    for stamp in range(1_764_000_000_000_000_000, 1_764_000_000_000_000_512, 3):
        assert history([stamp]).nearest(stamp).stamp == stamp


def test_a_history_of_one_frame_is_too_short() -> None:
    with pytest.raises(UserError, match="at least 2"):
        FrameHistory(1)


@given(
    st.lists(st.integers(0, 10**19), min_size=1, max_size=30, unique=True).map(sorted),
    st.integers(0, 2 * 10**19),
)
def test_the_nearest_frame_is_the_nearest(stamps: list[int], stamp: int) -> None:
    held = history(stamps)
    try:
        found = held.nearest(stamp)
    except FrameUnavailableError:
        assert stamp < stamps[0]
    else:
        assert abs(found.stamp - stamp) == min(abs(s - stamp) for s in stamps)


# --- what a backend was shown -------------------------------------------------------------


def frame(index: int, width: int = 8) -> Frame:
    return Frame(np.zeros((6, width, 3), np.uint8), index, index)


def test_a_backend_reaches_as_far_back_as_the_history_and_holds_more_for_itself() -> None:
    held = FrameHistory(3)
    seen = SeenFrames(held, more=2)
    for stamp in range(8):
        seen.append(held.append(np.zeros((6, 8, 3), np.uint8), stamp))
    assert (seen.oldest, seen.newest.index, seen.capacity, len(seen)) == (3, 7, 3, 5)
    assert [i for i in range(-2, 12) if seen.reaches(i)] == [5, 6, 7]
    assert [f.index for f in seen.since(held.at(6))] == [6, 7]
    assert seen.at(3).index == 3
    for index in (2, 8, -1):
        with pytest.raises(FrameUnavailableError):
            seen.at(index)
    with pytest.raises(FrameUnavailableError):
        seen.since(frame(4))
    # The stream has gone on without the backend.
    held.append(np.zeros((6, 8, 3), np.uint8), 8)
    assert [i for i in range(12) if seen.reaches(i)] == [6, 7]
    held.clear()
    assert not seen.reaches(7)


def test_frames_from_before_a_backend_began_are_not_its() -> None:
    held = FrameHistory(9)
    seen = SeenFrames(held)
    for stamp in range(8):
        shown = held.append(np.zeros((6, 8, 3), np.uint8), stamp)
        if stamp >= 6:
            seen.append(shown)
    assert [i for i in range(9) if seen.reaches(i)] == [6, 7]
    with pytest.raises(FrameUnavailableError):
        seen.since(held.at(3))


def test_without_a_history_a_backend_is_its_own_memory() -> None:
    seen = SeenFrames(None)
    assert not seen.reaches(0) and len(seen) == 0
    for index in range(4, 104):
        seen.append(frame(index))
    assert seen.capacity == FrameHistory().capacity == 60 == len(seen)
    assert seen.reaches(44) and not seen.reaches(43) and not seen.reaches(104)


def test_frames_come_in_order_and_of_one_size() -> None:
    seen = SeenFrames(None)
    seen.append(frame(2))
    for index in (1, 2, 4):
        with pytest.raises(UserError, match=f"frame {index} came after frame 2"):
            seen.append(frame(index))
    with pytest.raises(UserError, match="from 8x6 to 9x6"):
        seen.append(frame(3, width=9))
    seen.append(frame(3))
