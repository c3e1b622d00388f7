"""How windows are chained, without a network: on probabilities that the authors' run recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.trackers.pips.linking import Chains, steps_ahead
from support.golden_files import golden_arrays

THRESHOLD = 0.9


def ahead(*probabilities: float, known: int = 7, threshold: float = THRESHOLD) -> int:
    """The steps after a window with these probabilities in frames 1 to 7; the others are 0."""
    window = np.zeros((1, 8), np.float32)
    window[0, 0] = 1
    window[0, 1 : 1 + len(probabilities)] = probabilities
    return int(steps_ahead(window, known, threshold)[0])


def test_the_latest_sure_frame_is_taken() -> None:
    assert ahead(0.99, 0.95, 0.91, 0.2, 0.3, 0.4, 0.5) == 3
    assert ahead(*[0.91] * 7) == 7
    assert ahead(0.91) == 1


def test_without_a_sure_frame_the_threshold_is_lowered() -> None:
    assert ahead(0.87, 0.89, 0.5, 0.5, 0.5, 0.5, 0.85) == 2, "0.88 is exceeded by 0.89 only"
    assert ahead(0.5, 0.5, 0.881, 0.885, 0.2) == 4
    assert ahead(0.1, 0.11, 0.1) == 2
    assert ahead(*[0.0] * 7) == 7, "below 0 every frame is sure"


def test_frames_that_are_copies_are_not_taken() -> None:
    probabilities = 0.95, 0.2, 0.3, 0.97, 0.99, 0.99, 0.99
    assert [ahead(*probabilities, known=known) for known in (1, 2, 3, 4, 7)] == [1, 1, 1, 4, 7]


def test_a_probability_must_exceed_the_threshold_which_is_rounded_to_float32() -> None:
    lowered = np.float32(0.9)
    assert ahead(0.95, float(lowered)) == 1
    for _ in range(9):
        lowered = lowered - np.float32(0.02)
    above = np.nextafter(lowered, np.float32(1))
    assert float(lowered) != np.float32(0.9 - 9 * 0.02), "the rounding tells"
    assert ahead(float(above), float(lowered)) == 1
    assert ahead(float(above), float(above)) == 2


def test_another_threshold() -> None:
    probabilities = 0.95, 0.75, 0.6
    assert [ahead(*probabilities, threshold=t) for t in (0.9, 0.7, 0.5, 0.0, 1.0)] == [
        *(1, 2, 3, 3, 1),
    ]


def test_many_points_at_once_are_as_each_alone() -> None:
    drawn = np.random.default_rng(3).random((500, 8)).astype(np.float32) ** 2
    for known in range(1, 8):
        together = steps_ahead(drawn, known, THRESHOLD)
        assert ((together >= 1) & (together <= known)).all()
        assert together.tolist() == [plainly(each, known) for each in drawn]


def plainly(probabilities: np.ndarray, known: int) -> int:
    """The rule as its page tells it."""
    threshold = np.float32(0.9)
    while True:
        for k in range(known, 0, -1):
            if probabilities[k] > threshold:
                return k
        threshold -= np.float32(0.02)


@pytest.mark.parametrize("name", ["pips_small", "pips_large"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_windows_begin_where_those_of_the_authors_do(name: str, direction: str) -> None:
    """Only the probabilities of the windows are given."""
    golden = {
        key.removeprefix(f"{direction}_"): value
        for key, value in golden_arrays(f"trackers/{name}").items()
        if key.startswith(direction)
    }
    queries = golden_arrays(f"trackers/{name}")["queries"]
    count = len(golden["tracks"])
    tracked = [row for row, call in enumerate(golden["calls"]) if call[1]]
    number = iter(tracked)

    def solve(
        frames: Sequence[int], xy: np.ndarray, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        row = next(number)
        first, _, missing, points_of_call = golden["calls"][row]
        assert list(frames) == [min(first + i, count - 1) for i in range(8)]
        assert first + 7 - missing == frames[-1]
        assert len(points) == points_of_call
        rows = points[:, 0].astype(int)
        assert rows.tolist() == np.flatnonzero(golden["points"][row]).tolist()
        assert chains.nexts.tolist() == golden["frames"][row].tolist()
        return np.zeros((len(rows), 8, 2)), golden["call_prob"][row][:, rows].T

    starts = queries[:, 0].astype(np.int64)
    starts = starts if direction == "forward" else count - 1 - starts
    chains = Chains(count, THRESHOLD, solve)
    chains.add(queries[:, 1:], starts, np.arange(12, dtype=np.float32)[:, None])
    everyone = np.arange(12)
    chains.advance(everyone, count - 1, count - 1)
    assert next(number, None) is None, "as many windows"
    assert (chains.nexts == count - 1).all()
    found = np.stack([chains.tracks_in(everyone, frame) for frame in range(count)])
    assert np.array_equal(found[..., 2], golden["prob"])


# --- the books ----------------------------------------------------------------------------


class Windows:
    """Windows in which points move right by 1 per frame, and are sure in one of the frames."""

    def __init__(self, sure: int = 4) -> None:
        self.sure = sure
        self.asked: list[tuple[int, int]] = []  # first frame, number of points
        self.failing = False

    def __call__(self, frames: Sequence[int], xy: np.ndarray, features: np.ndarray) -> Any:
        if self.failing:
            raise RuntimeError("no memory")
        self.asked.append((frames[0], len(xy)))
        steps = np.arange(8, dtype=np.float32)
        places = xy[:, None] + np.stack([steps, np.zeros(8, np.float32)], 1)
        return places, np.where(steps == self.sure, 0.95, 0.1).astype(np.float32)[None].repeat(
            len(xy), 0
        )


def chained(windows: Windows, *starts: int, slots: int = 40) -> Chains:
    chains = Chains(slots, THRESHOLD, windows)
    xy = np.array([(10 * i, 5) for i in range(len(starts))], np.float32)
    chains.add(xy, np.array(starts), np.zeros((len(starts), 2), np.float32))
    return chains


def test_points_whose_windows_begin_together_are_tracked_together() -> None:
    windows = Windows()
    chains = chained(windows, 0, 4, 0, 1)
    chains.advance(np.arange(4), 12, 30)
    assert windows.asked == [(0, 2), (1, 1), (4, 3), (5, 1), (8, 3), (9, 1)]
    assert chains.nexts.tolist() == [12, 12, 12, 13]


def test_a_newer_window_replaces_what_an_older_one_said() -> None:
    windows = Windows()
    chains = chained(windows, 0)
    chains.advance(np.array([0]), 1, 30)
    assert chains.tracks_in(np.array([0]), 6)[0].tolist() == [6, 0 + 5, np.float32(0.1)]
    windows.sure = 2
    chains.advance(np.array([0]), 5, 30)
    assert chains.tracks_in(np.array([0]), 6)[0].tolist() == [6, 5, np.float32(0.95)]


def test_the_end_of_the_clip_is_reached_in_shorter_windows() -> None:
    windows = Windows()
    chains = chained(windows, 0, 9, 10)
    chains.advance(np.arange(3), 10, 10)
    assert windows.asked == [(0, 1), (4, 1), (8, 1), (9, 1)]
    assert chains.nexts.tolist() == [10, 10, 10]
    assert chains.tracks_in(np.arange(3), 10)[:, 0].tolist() == [10, 11, 20]


def test_a_window_that_fails_changes_nothing() -> None:
    windows = Windows()
    chains = chained(windows, 0, 3)
    chains.advance(np.arange(2), 5, 30)
    before = chains.copy()
    windows.failing = True
    with pytest.raises(RuntimeError):
        chains.advance(np.arange(2), 20, 30)
    assert chains.nexts.tolist() == before.nexts.tolist()
    for frame in range(20):
        rows = np.arange(2)
        assert np.array_equal(chains.tracks_in(rows, frame), before.tracks_in(rows, frame))


def test_a_copy_goes_its_own_way() -> None:
    chains = chained(Windows(), 0)
    other = chains.copy()
    other.advance(np.array([0]), 9, 30)
    assert chains.nexts.tolist() == [0] and other.nexts.tolist() == [12]
    assert chains.tracks_in(np.array([0]), 3)[0, 2] == 0


def test_points_left_behind_go_on_hidden_where_they_were() -> None:
    chains = chained(Windows(), 0, 7)
    chains.advance(np.array([0]), 4, 30)
    chains.skip_to(6)
    assert chains.nexts.tolist() == [6, 7]
    assert chains.tracks_in(np.array([0]), 6)[0].tolist() == [4, 5, 0]
    chains.advance(np.arange(2), 7, 30)
    assert chains.tracks_in(np.array([0]), 8)[0].tolist() == [6, 5, np.float32(0.1)]


def test_the_tracks_of_old_frames_give_way() -> None:
    chains = chained(Windows(), 0, slots=12)
    for newest in range(7, 60):
        chains.advance(np.array([0]), newest - 6, newest)
        for frame in range(max(newest - 11, 0), newest - 5):
            assert chains.tracks_in(np.array([0]), frame)[0, 0] == frame
