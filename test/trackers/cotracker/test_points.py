"""Points that come late, in the past, and go again; what is left of them, and what it costs."""

from __future__ import annotations

import contextlib
import functools
import gc
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.trackers import track_video
from sam_pt_ros.trackers.cotracker import CoTracker
from support import cotracker_golden as golden
from support.cotracker_golden import Stream
from support.golden_files import golden_arrays

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

EQUAL = 1e-3  # pixels, for what is computed again from the same numbers
MODES = ["streaming", "windowed"]


def tracker(mode: str = "streaming", **options: Any) -> CoTracker:
    """With one update of each window: what is tested does not depend on how many there are."""
    return golden.light_tracker(mode, **{"iterations": 1, **options})


def begun(mode: str, capacity: int = 60, **options: Any) -> tuple[Stream, np.ndarray]:
    """A stream whose frame 0 has three points."""
    stream = Stream(tracker(mode, **options), capacity).to(0)
    return stream, stream.add(range(3))


# --- late ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("late", [4, 9, 12])
def test_a_query_in_the_past_equals_the_same_query_given_in_time(mode: str, late: int) -> None:
    in_time, old = begun(mode)
    new = in_time.to(late).add([6, 7], late)
    in_time.to(17)

    after, same_old = begun(mode)
    after.to(17)
    assert np.array_equal(after.add([6, 7], late), new) and np.array_equal(old, same_old)
    frames = range(late, 18)
    assert after.places(new, *frames) == pytest.approx(in_time.places(new, *frames), abs=EQUAL)
    assert after.places(old, *frames) == pytest.approx(in_time.places(old, *frames), abs=EQUAL)
    both = np.concatenate([old, new])
    after, in_time = after.to(18), in_time.to(18)
    assert after.places(both, 18) == pytest.approx(in_time.places(both, 18), abs=EQUAL)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("capacity", [2, 4])
def test_a_query_in_the_oldest_frame_of_a_short_history(mode: str, capacity: int) -> None:
    """Again and again, so that all that goes round has gone round."""
    found = []
    for late in (0, capacity - 1):
        stream, ids = begun(mode, capacity)
        for start in (3, 8, 17):
            stream.to(start + late)
            ids = np.concatenate([ids, stream.add([3 + start % 3], start)])
        stream.to(24)
        found.append(stream.places(ids, 24, 23))
    assert found[0] == pytest.approx(found[1], abs=EQUAL)


ORDERS = [range(6, 9), range(9, 12)], [range(9, 12), range(6, 9)]


def asked_late(made: CoTracker, order: Sequence[range]) -> np.ndarray:
    """Of frames 17 to 26, where the queries of frames 9 and 17 are added at frame 20."""
    stream = Stream(made).to(0)
    ids = dict(zip(range(3), stream.add(range(3))))
    ids |= zip(range(3, 6), stream.to(3).add(range(3, 6)))
    stream.to(20)
    for rows in order:
        ids |= zip(rows, stream.add(rows))
    stream.to(26)
    return stream.places(np.array([ids[row] for row in range(12)]), *range(17, 27))


def test_queries_in_the_past_may_come_in_any_order() -> None:
    one, other = (asked_late(tracker(), order) for order in ORDERS)
    assert one == pytest.approx(other, abs=EQUAL)


# --- late, and catching up -----------------------------------------------------------------


def counted(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames that any engine of the tracker computes from now on."""
    from sam_pt_ros.trackers.cotracker.streaming import StreamingEngine

    computed: list[int] = []
    compute = StreamingEngine._compute

    def count(engine: Any, frame: int) -> None:
        computed.append(frame)
        compute(engine, frame)

    monkeypatch.setattr(StreamingEngine, "_compute", count)
    return computed


def test_late_points_cost_what_is_asked_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, old = begun("streaming")
    stream.to(12)
    computed = counted(stream, monkeypatch)
    late = stream.add_late([6, 7], 2)
    assert computed == []
    stream.places(late, 2, 3, 4)
    assert computed == [2, 3, 4]
    stream.to(14)  # no frame is computed again for the others, or for them
    assert computed == [2, 3, 4, 13, 14]
    assert set(stream.answers[14].ids) == set(old)
    stream.places(late, *range(5, 15))
    assert computed == [2, 3, 4, 13, 14, *range(5, 15)]
    stream.to(15)
    assert computed[-1] == 15 and len(computed) == 16
    assert set(stream.answers[15].ids) == {*old, *late}


def test_late_points_are_where_they_would_be_alone_until_they_have_caught_up() -> None:
    alone = Stream(tracker()).to(2)
    ids = alone.add([6, 7], 2)
    alone.to(14)
    stream, old = begun("streaming")
    stream.to(12)
    late = stream.add_late([6, 7], 2)
    stream.places(late, *range(2, 8))
    stream.to(14)
    found = stream.places(late, *range(2, 15))
    assert found == pytest.approx(alone.places(ids, *range(2, 15)), abs=EQUAL)
    untouched, same_old = begun("streaming")
    untouched.to(14)
    assert np.array_equal(
        stream.places(old, *range(15)), untouched.places(same_old, *range(15))
    ), "others are tracked as if there were none"
    both = stream.tracker.recall(np.concatenate([late[:1], old, late[1:]]), 14)
    assert both.ids.tolist() == [late[0], *old, late[1]]
    # Frames that are computed again now know all of them, at their places.
    stream.add([9], 10)
    again = stream.places(late, 14)
    assert again == pytest.approx(found[-1:], abs=2.0)


def test_where_nothing_else_is_tracked_late_points_have_the_support_grid() -> None:
    stream = Stream(tracker(support_grid=True)).to(6)
    first, second = stream.add_late([6], 2), stream.add_late([7], 3)
    assert [len(group.ids) for group in stream.tracker._late] == [37, 37]
    stream.places(first, *range(2, 7))
    stream.places(second, *range(3, 7))
    stream.to(7)
    assert stream.tracker._late == []
    assert len(stream.tracker._main.ids) == 38  # one grid, and two points
    assert stream.answers[7].ids.tolist() == [first[0], second[0]]
    with_others, _ = begun("streaming", support_grid=True)
    with_others.to(6).add_late([6], 2)
    assert [len(group.ids) for group in with_others.tracker._late] == [1]


def test_late_points_may_go_and_be_replaced_before_they_have_caught_up() -> None:
    stream, old = begun("streaming", max_points=5)
    stream.to(12)
    late = stream.add_late([6, 7], 2)
    with pytest.raises(UserError, match="6 points would exceed 'max_points', which is 5"):
        stream.add_late([8], 2)
    stream.places(late, *range(2, 8))
    new = stream.tracker.replace_points(late, golden.queries()[[9], 1:], stream.frame(7))
    assert [group.ids.tolist() for group in stream.tracker._late] == [new.tolist()]
    with pytest.raises(KeyError):
        stream.places(late, 7)
    with pytest.raises(KeyError, match="added after frame 6"):
        stream.places(new, 6)
    assert stream.places(new, 7) == pytest.approx(golden.queries()[None, [9], 1:], abs=EQUAL)
    stream.tracker.remove_points(new)
    assert stream.tracker._late == []
    stream.to(13)
    assert stream.answers[13].ids.tolist() == old.tolist()


@pytest.mark.parametrize(("mode", "index"), [("windowed", 4), ("streaming", 12)])
def test_points_that_need_not_catch_up_are_like_any_other(mode: str, index: int) -> None:
    found = []
    for add in (Stream.add_late, Stream.add):
        stream, _ = begun(mode)
        stream.to(12)
        ids = add(stream, [6, 7], index)
        assert stream.tracker._late == []
        stream.to(14)
        found.append(stream.places(ids, 13, 14))
    assert np.array_equal(*found)


def test_a_reset_forgets_late_points() -> None:
    stream, _ = begun("streaming")
    stream.to(5).add_late([6], 2)
    stream.tracker.reset(FrameHistory())
    assert stream.tracker._late == []


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids=["9-17", "17-9"])
def test_queries_in_the_past_give_the_golden_tracks(order: list[range]) -> None:
    wanted = golden_arrays("small_litetracker")["tracks"]
    found = asked_late(golden.tracker(iterations=1), order)
    assert np.abs(found - wanted[17:27]).max() < 2e-2


@pytest.mark.parametrize("mode", MODES)
def test_catching_up_runs_the_feature_network_on_no_frame_again(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(tracker(mode, known=False)).to(0)
    old = stream.add(range(3))
    stream.to(16)
    stream.places(old, 16)
    seen = []
    network = stream.tracker._model.network.fnet
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: seen.append(1) or forward(x))
    new = stream.add([6], 3)
    stream.places(new, 16)
    assert not seen
    stream.to(18)
    stream.places(new, 18)
    assert len(seen) == 2


def test_points_of_several_objects_that_begin_together_cost_one_frame_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, _ = begun("streaming")
    stream.to(4)
    engine: Any = stream.tracker._main.engine
    computed = []
    compute = engine._compute
    monkeypatch.setattr(engine, "_compute", lambda frame: computed.append(frame) or compute(frame))
    for row in (3, 4, 5):
        ids = stream.add([row], 4)
        stream.tracker.recall(ids, 4)  # as the pipeline does for every object
    assert computed == []
    stream.to(5)
    assert computed == [4, 5]


def test_without_points_no_features_are_computed() -> None:
    stream = Stream(tracker()).to(5)
    assert not any(stream.frame(i).features for i in range(6))
    stream.add([0], 4)
    stream.to(6)
    assert [bool(stream.frame(i).features) for i in range(7)] == [False] * 4 + [True] * 3


def test_a_point_that_is_not_active_yet_changes_nothing() -> None:
    """Streaming: before its frame a point has no part; LiteTracker masks it."""
    alone, old = begun("streaming")
    alone.to(9)
    stream, _ = begun("streaming")
    stream.to(9)
    stream.add([6], 9)
    stream.to(10)
    assert np.array_equal(alone.places(old, *range(9)), stream.places(old, *range(9)))


def test_the_first_query_begins_the_stream() -> None:
    """Streaming: frames before the first point are as if they had not been."""
    late = Stream(tracker()).to(6)
    ids = late.add([0, 1], 6)
    late.to(12)
    clip = golden.clip()[6:13]
    alone = track_video(tracker(), clip, golden.queries()[:2])
    assert late.places(ids, *range(6, 13)) == pytest.approx(alone.xy, abs=EQUAL)


def test_windows_begin_at_the_first_frame_whatever_its_index() -> None:
    found = []
    for offset in (0, 5):
        made = tracker("windowed")
        made.reset()
        answers = []
        for number, image in enumerate(golden.clip()[:18]):
            frame = Frame(image, number, number + offset)
            answers += made.advance(frame)
            if number == 0:
                made.add_points(golden.queries()[:2, 1:], frame)
        answers += made.flush()
        assert [a.index - offset for a in answers] == list(range(18))
        found.append(np.stack([a.xy for a in answers]))
    assert np.array_equal(*found)


def test_a_windowed_stream_answers_in_order_and_nine_frames_late_at_least() -> None:
    stream, ids = begun("windowed")
    due = {}
    for index in range(1, 35):
        before = set(stream.answers)
        stream.to(index)
        due.update(dict.fromkeys(set(stream.answers) - before, index))
    assert list(due) == sorted(due) == list(range(24))
    assert {later - index for index, later in due.items()} == set(range(9, 17))
    rest = stream.tracker.flush()
    assert [tracks.index for tracks in rest] == list(range(24, 35))
    # What was said at the end of the stream does not disturb it if it goes on.
    other, _ = begun("windowed")
    assert other.to(40).places(ids, 30) == pytest.approx(stream.to(40).places(ids, 30), abs=0)


# --- gone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("start", [5, 8])
def test_added_and_removed_before_the_next_frame_is_never_having_been(
    mode: str, start: int
) -> None:
    alone, old = begun(mode)
    alone.to(20)
    stream, _ = begun(mode)
    stream.to(8)
    gone = stream.add([6, 7], start)
    stream.tracker.remove_points(gone)
    stream.to(20)
    frames = range(20)
    assert stream.places(old, *frames) == pytest.approx(alone.places(old, *frames), abs=EQUAL)


def test_removed_points_are_in_no_later_window() -> None:
    """Windowed: a point that was in no window that is computed was never there."""
    alone, old = begun("windowed")
    stream, _ = begun("windowed")
    gone = stream.add(range(3, 6), 0)
    stream.to(15)
    stream.tracker.remove_points(gone)
    frames = range(16)
    assert stream.places(old, *frames) == pytest.approx(
        alone.to(15).places(old, *frames), abs=EQUAL
    )


def test_what_is_computed_again_is_computed_without_removed_points() -> None:
    """Streaming: a late query has its frames computed again, with the points of now."""
    stream, old = begun("streaming")
    gone = stream.to(4).add([6, 7], 4)
    stream.to(9)
    stream.tracker.remove_points(gone)
    late = stream.add([8], 3)
    in_time, _ = begun("streaming")
    in_time.to(3).add([8], 3)
    in_time.to(9)
    both, frames = np.concatenate([old, late]), range(3, 10)
    assert stream.places(both, *frames) == pytest.approx(
        in_time.places(np.concatenate([old, [3]]), *frames), abs=EQUAL
    )


@pytest.mark.parametrize("mode", MODES)
def test_removing_frees_all_state(mode: str) -> None:
    stream, old = begun(mode)
    stream.to(17)
    stream.places(old, 17)
    before = golden.state_bytes(stream.tracker)
    gone = stream.add(range(3, 9), 17)
    stream.to(18)
    stream.places(gone, 18)
    assert golden.state_bytes(stream.tracker) > before
    stream.tracker.remove_points(gone)
    assert golden.state_bytes(stream.tracker) <= before + 3 * 16 * 4 * 4  # an open window
    with pytest.raises(KeyError):
        stream.tracker.recall(gone, 18)
    with pytest.raises(KeyError):
        stream.tracker.recall(np.array([99]), 18)
    stream.tracker.remove_points(np.append(gone, 12345))  # nothing to remove is no error
    stream.tracker.remove_points(old)
    stream.to(19).tracker.flush()
    assert golden.state_bytes(stream.tracker) <= 64
    again = stream.add([0], 19)
    assert again.min() > gone.max(), "ids are used once"
    assert np.isfinite(stream.to(21).places(again, 20)).all()


@pytest.mark.parametrize("mode", MODES)
def test_points_can_be_replaced_for_hours(mode: str) -> None:
    """As reinitialization does it: new ones, then the old ones away, at every horizon."""
    stream, ids = begun(mode, capacity=20)
    for horizon in range(1, 6):
        stream.to(7 * horizon)
        new = stream.add(range(3), 7 * horizon)
        stream.tracker.remove_points(ids)
        ids = new
    stream.to(38)
    assert np.isfinite(stream.places(ids, 38)).all()
    assert len(stream.tracker._main.ids) == 3


# --- what was asked -----------------------------------------------------------------------


def test_a_point_is_exactly_where_it_was_put() -> None:
    stream, ids = begun("streaming")
    tracks = stream.tracker.recall(ids, 0)
    assert np.allclose(tracks.xy, golden.queries()[:3, 1:], atol=1e-4)
    assert tracks.visible.all() and (tracks.confidence > 0.98).all()


def test_recall_knows_its_limits() -> None:
    stream, ids = begun("streaming", capacity=4)
    later = stream.to(3).add([6], 3)
    with pytest.raises(KeyError, match="some of the points were added after"):
        stream.tracker.recall(later, 2)
    stream.to(6)
    with pytest.raises(KeyError, match="frame 2 is no longer held"):
        stream.tracker.recall(ids, 2)
    with pytest.raises(KeyError):
        stream.tracker.recall(ids, 7)
    with pytest.raises(FrameUnavailableError):
        stream.tracker.add_points(golden.queries()[:1, 1:], Frame(golden.clip()[2], 2, 2))
    assert len(stream.tracker.recall(ids[:0], 6)) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "bad", [(np.nan, 5.0), (5.0, np.inf), (-0.6, 5.0), (5.0, 119.6), (1e9, 0.0)]
)
def test_points_that_are_not_in_the_image_are_refused(mode: str, bad: tuple[float, float]) -> None:
    stream, _ = begun(mode)
    with pytest.raises(UserError, match="not in the image of 160x120 pixels"):
        stream.tracker.add_points(np.array([(10, 10), bad], np.float32), stream.frame(0))
    assert len(stream.tracker._main.ids) == 3


def test_the_corners_of_the_image_are_in_it() -> None:
    stream = Stream(tracker()).to(0)
    corners = np.array([(-0.5, -0.5), (159.5, 119.5), (0, 119), (159, 0)], np.float32)
    ids = stream.tracker.add_points(corners, stream.frame(0))
    assert np.isfinite(stream.to(2).places(ids, 1, 2)).all()


@pytest.mark.parametrize("mode", MODES)
def test_no_points_are_no_trouble(mode: str) -> None:
    assert tracker(mode).flush() == []
    stream = Stream(tracker(mode)).to(2)
    none = stream.tracker.add_points(np.zeros((0, 2), np.float32), stream.frame(1))
    assert len(none) == 0
    stream.tracker.remove_points(np.array([3]))
    stream.to(30)
    stream.tracker.flush()
    assert all(len(tracks) == 0 for tracks in stream.answers.values())
    assert track_video(tracker(mode), golden.clip()[:3], np.zeros((0, 3))).xy.shape[1] == 0


def test_more_points_than_allowed_are_refused_and_change_nothing() -> None:
    stream, ids = begun("streaming", max_points=4)
    with pytest.raises(UserError, match="5 points would exceed 'max_points', which is 4; raise"):
        stream.add([3, 4], 0)
    assert len(stream.add([3], 0)) == 1
    assert len(stream.to(1).answers[1]) == 4
    stream.tracker.remove_points(ids[:2])
    assert len(stream.add([4, 5], 1)) == 2


def test_frames_of_another_size_or_out_of_order_are_refused() -> None:
    made = tracker()
    made.reset()
    image = golden.clip()[0]
    made.advance(Frame(image, 0, 0))
    with pytest.raises(UserError, match="size changed from 160x120 to 100x120"):
        made.advance(Frame(image[:, :100], 1, 1))
    with pytest.raises(UserError, match="frame 2 came after frame 0"):
        made.advance(Frame(image, 2, 2))
    with pytest.raises(UserError, match="frame 0 came after frame 0"):
        made.advance(Frame(image, 0, 0))
    assert len(made.advance(Frame(image, 1, 1))) == 1


def test_the_windowed_mode_cannot_step() -> None:
    made = tracker("windowed")
    with pytest.raises(UserError, match=r"use advance\(\) and flush\(\), or 'mode: streaming'"):
        made.step(Frame(golden.clip()[0], 0, 0))


@pytest.mark.parametrize("size", [(2, 2), (3, 700), (97, 33)])
def test_any_image_size_is_scaled_there_and_back(size: tuple[int, int]) -> None:
    height, width = size
    made = tracker()
    history = FrameHistory()
    made.reset(history)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    frame = history.append(image, 0)
    made.advance(frame)
    corners = np.array([(0, 0), (width - 1, height - 1)], np.float32)
    ids = made.add_points(corners, frame)
    assert made.recall(ids, 0).xy == pytest.approx(corners, abs=1e-3)
    assert len(made.advance(history.append(image, 1))[0]) == 2


@pytest.mark.parametrize("size", [(1, 50), (50, 1)])
def test_an_image_of_one_row_is_refused(size: tuple[int, int]) -> None:
    made = tracker()
    made.reset()
    with pytest.raises(UserError, match="at least 2x2"):
        made.advance(Frame(np.zeros((*size, 3), np.uint8), 0, 0))


# --- support points -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_support_points_help_unseen(mode: str) -> None:
    clip, queries = golden.clip()[:18], golden.queries()[:6]
    plain, helped = (
        track_video(tracker(mode, support_grid=on), clip, queries) for on in (False, True)
    )
    assert helped.xy.shape == plain.xy.shape
    assert np.abs(helped.xy - plain.xy)[2:, :3].max() > 0.01
    stream, ids = begun(mode, support_grid=True, max_points=3)
    assert len(stream.tracker._main.ids) == 39
    stream.to(17)
    assert all(np.array_equal(t.ids, ids) for i, t in stream.answers.items() if i > 0)
    stream.tracker.remove_points(np.array([-1, 99]))
    assert len(stream.tracker._main.ids) == 39, "support points cannot be removed by name"
    stream.tracker.remove_points(ids)
    assert len(stream.tracker._main.ids) == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_grid_of_a_clip_whose_queries_come_late(mode: str) -> None:
    late = FrameHistory().capacity + 2
    queries = np.array([[late, 50, 50]], np.float32)
    clip = np.resize(golden.clip(), (late + 2, *golden.clip().shape[1:]))
    tracks = track_video(tracker(mode, support_grid=True), clip, queries)
    assert np.isfinite(tracks.xy).all() and tracks.confidence[late, 0] > 0


@pytest.mark.parametrize(
    ("failing", "mode"),
    [
        *((number, "windowed") for number in range(4)),
        (0, "streaming"),
        (3, "streaming"),
        pytest.param(1, "streaming", marks=pytest.mark.slow),
        pytest.param(2, "streaming", marks=pytest.mark.slow),
    ],
)
def test_when_memory_runs_out_nothing_is_changed(
    failing: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the tensors that a click or a removal needs cannot be had."""
    stream, ids = begun(mode, support_grid=True)
    stream.to(17)
    engine: Any = stream.tracker._main.engine
    with monkeypatch.context() as patch:
        calls = iter(range(100))
        join = torch.cat

        def cat(*arguments: Any, **named: Any) -> Any:
            return _fail() if next(calls) == failing else join(*arguments, **named)

        stream.places(ids, 17)
        patch.setattr(torch, "cat", cat)
        with contextlib.suppress(RuntimeError):
            stream.tracker.add_points(np.array([(9, 9)], np.float32), stream.frame(17))
    if len(stream.tracker._main.ids) == 40:  # fewer were needed
        stream.tracker.remove_points(np.array([3]))
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_kept", _fail)
        with pytest.raises(RuntimeError):
            stream.tracker.remove_points(ids[:1])
    assert len(stream.tracker._main.ids) == len(engine.starts) == len(engine._queries) == 39
    assert stream.to(26).places(ids, 26) == pytest.approx(undisturbed(mode), abs=EQUAL)


@functools.cache
def undisturbed(mode: str) -> np.ndarray:
    """Where the first points are in frame 26, with the grid."""
    stream, ids = begun(mode, support_grid=True)
    return stream.to(26).places(ids, 26)


# --- failures -----------------------------------------------------------------------------


def test_after_a_failure_the_missed_frames_are_made_up_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    well, ids = begun("streaming")
    well.to(8)
    stream, _ = begun("streaming")
    stream.to(4)
    with monkeypatch.context() as patch:
        patch.setattr(stream.tracker._model, "features_of", _fail)
        for index in (5, 6):
            with pytest.raises(RuntimeError, match="no memory"):
                stream.to(index)
        with pytest.raises(RuntimeError, match="no memory"):
            stream.add([3], 6)
    stream.to(8)
    assert stream.places(ids, *range(9)) == pytest.approx(well.places(ids, *range(9)), abs=EQUAL)


def test_after_a_long_failure_points_go_on_from_where_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, ids = begun("streaming", capacity=4)
    last = stream.to(3).places(ids, 3)[0]
    with monkeypatch.context() as patch:
        patch.setattr(stream.tracker._model, "features_of", _fail)
        for index in range(4, 30):
            with pytest.raises(RuntimeError):
                stream.to(index)
    found = stream.to(30).places(ids, 27)[0]
    assert np.isfinite(found).all() and np.abs(found - last).max() < 20
    assert len(stream.answers[30]) == 3


def _fail(*_: Any) -> Any:
    raise RuntimeError("no memory")


# --- memory -------------------------------------------------------------------------------


def resident() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def run_for(frames: int, mode: str) -> list[tuple[float, float]]:
    """Track through frames, replacing points all the while; Python's and the process's MB."""
    stream, ids = begun(mode, capacity=24)
    measured = []
    tracemalloc.start()
    try:
        for index in range(1, frames):
            stream.to(index)
            stream.answers.clear()
            if index % 9 == 0:
                new = stream.add(range(3), index)
                stream.tracker.remove_points(ids)
                ids = new
            if index % (frames // 30) == 0:
                gc.collect()
                measured.append((tracemalloc.get_traced_memory()[0] / 1e6, resident()))
    finally:
        tracemalloc.stop()
    return measured


@pytest.mark.parametrize("mode", MODES)
def test_memory_stays_flat_for_a_while(mode: str) -> None:
    measured = run_for(90, mode)
    early, late = measured[12], max(measured[15:])
    assert late[0] - early[0] < 0.5
    assert late[1] - early[1] < 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_stays_flat_for_3000_frames() -> None:
    measured = run_for(3000, "streaming")  # every 100 frames
    python = [each[0] for each in measured]
    process = [each[1] for each in measured]
    assert max(python[1:]) - python[0] < 0.5
    assert max(process[1:]) - process[0] < 30
