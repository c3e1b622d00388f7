"""Both modes: against the authors' results, as points come and go, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers import create_tracker, track_video, trackers
from sam_pt_ros.trackers.pips import OfflinePips, Pips, StreamingPips
from sam_pt_ros.trackers.pips.linking import Chains
from support import pips_golden as golden
from support.absent_packages import refusal_without
from support.golden_files import golden_arrays, golden_clip
from support.pips_golden import FakePips, Stream

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

PIXELS, PROBABILITIES = 1e-2, 2e-3  # the tolerances that the golden files suggest
MODES = ["offline", "streaming"]
CASES = [
    pytest.param("pips_small", (24, 96, 128), id="small"),
    pytest.param("pips_large", (10, 250, 318), id="large", marks=pytest.mark.slow),
]


def same(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert found.shape == wanted.shape
    apart = np.abs(found - wanted).max()
    assert apart <= tolerance, f"{apart} > {tolerance}"


# --- the authors' results -----------------------------------------------------------------


class Recorded(Chains):
    """Remembers the windows."""

    made: list[Recorded]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calls: list[tuple[int, int, int]] = []  # first frame, missing frames, points
        self.points: list[np.ndarray] = []
        self.frames: list[np.ndarray] = []
        self.probabilities: list[np.ndarray] = []
        Recorded.made.append(self)

    def _link(self, rows: np.ndarray, first: int, last: int) -> None:
        self.calls.append((first, max(first + 7 - last, 0), len(rows)))
        self.points.append(np.isin(np.arange(12), rows))
        self.frames.append(self.nexts.copy())
        solve = self._solve

        def remember(*given: Any) -> Any:
            places, probabilities = solve(*given)
            known = np.full((8, 12), np.nan, np.float32)
            known[:, rows] = probabilities.T
            self.probabilities.append(known)
            return places, probabilities

        with mock.patch.object(self, "_solve", remember):
            super()._link(rows, first, last)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_a_clip_in_both_directions(name: str, shape: tuple[int, ...]) -> None:
    """All that the authors' run says, before the queries as well, and all of its windows."""
    wanted = golden_arrays(f"trackers/{name}")
    made: Any = golden.tracker("pips")
    Recorded.made = []
    with mock.patch("sam_pt_ros.trackers.pips.tracker.Chains", Recorded):
        found = made._solve(golden.frames_of(*shape), wanted["queries"])
    same(found.xy, wanted["tracks"], PIXELS)
    assert np.array_equal(found.visible, wanted["visible"])
    for direction, chains in zip(("forward", "backward"), Recorded.made, strict=True):
        tracked = wanted[f"{direction}_calls"][:, 1] == 1
        calls = wanted[f"{direction}_calls"][tracked][:, [0, 2, 3]]
        assert chains.calls == [tuple(call) for call in calls.tolist()]
        assert np.array_equal(chains.points, wanted[f"{direction}_points"][tracked])
        assert np.array_equal(chains.frames, wanted[f"{direction}_frames"][tracked])
        known = wanted[f"{direction}_call_prob"][tracked]
        assert np.array_equal(np.isnan(chains.probabilities), np.isnan(known))
        same(np.nan_to_num(chains.probabilities), np.nan_to_num(known), PROBABILITIES)
        tracks = np.stack([chains.tracks_in(np.arange(12), i) for i in range(len(found.xy))])
        same(tracks[..., :2], wanted[f"{direction}_tracks"], PIXELS)
        same(tracks[..., 2], wanted[f"{direction}_prob"], PROBABILITIES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param("pips_small", (24, 96, 128), marks=pytest.mark.slow),
        pytest.param("pips_large", (10, 250, 318), marks=pytest.mark.slow),
    ],
)
def test_a_clip_as_the_node_sees_it(mode: str, name: str, shape: tuple[int, ...]) -> None:
    wanted = golden_arrays(f"trackers/{name}")
    queries = wanted["queries"]
    found = track_video(golden.tracker("pips", mode=mode), golden_clip(*shape), queries)
    after = np.arange(shape[0])[:, None] >= queries[:, 0]
    same(found.xy[after], wanted["tracks"][after], PIXELS)
    same(found.confidence, wanted["forward_prob"], PROBABILITIES)
    assert np.array_equal(found.visible[after], wanted["visible"][after])
    assert not found.visible[~after].any()


def test_windows_forward_as_frames_arrive() -> None:
    """Only the first 12 frames, which the authors' run knew to go on."""
    wanted = golden_arrays("trackers/pips_small")
    rows = wanted["queries"][:, 0] == 3
    stream = Stream(golden.tracker("pips", mode="streaming"), golden_clip(24, 96, 128))
    stream.to(3)
    ids = stream.add(wanted["queries"][rows, 1:], 3)
    stream.to(12)
    assert sorted(stream.answers) == list(range(7))
    for index in range(3, 7):
        tracks = stream.tracker.tracks_of(ids, stream.answers[index])
        same(tracks.xy, wanted["forward_tracks"][index, rows], PIXELS)
        same(tracks.confidence, wanted["forward_prob"][index, rows], PROBABILITIES)
    keys = {len(frame.features) for frame in stream.history}
    assert keys == {0, 1}, "features are computed once, and only where there are points"


# --- without the network ------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[None]:
    """In place of the network, see FakePips."""
    with mock.patch("sam_pt_ros.trackers.pips.model.PipsModel", FakePips):
        yield


CLIP = golden_clip(40, 64, 80)
QUERIES = np.array(
    [(0, 5, 6), (0, 30, 20), (2, 11, 40), (7, 50, 12), (7, 33, 33), (19, 9, 9), (38, 40, 30)],
    np.float32,
)


def streaming(**options: Any) -> Any:
    return create_tracker("pips", mode="streaming", **options)


def whole(frames: int = 40) -> Any:
    """The tracks of the clip's first frames, by the mode that sees them all."""
    queries = QUERIES[QUERIES[:, 0] < frames]
    return track_video(create_tracker("pips"), CLIP[:frames], queries)


def asked(queries: np.ndarray, frames: int) -> np.ndarray:
    return np.asarray(np.arange(frames)[:, None] >= queries[:, 0])


def shown(made: Any, to: int, *, rows: Any = slice(None), **given: Any) -> tuple[Stream, Any]:
    """A stream in which the queries were added in their frames; the ids."""
    stream, ids = Stream(made, CLIP, **given), np.full(len(QUERIES), -1)
    chosen = np.arange(len(QUERIES))[rows]
    for index in range(to + 1):
        stream.to(index)
        new = chosen[QUERIES[chosen, 0] == index]
        if len(new):
            ids[new] = stream.add(QUERIES[new, 1:], index)
    return stream, ids


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 23, 40])
def test_a_stream_that_has_ended_is_as_the_forward_pass_over_the_clip(frames: int) -> None:
    queries = QUERIES[QUERIES[:, 0] < frames]
    found = track_video(streaming(), CLIP[:frames], queries)
    wanted, after = whole(frames), asked(queries, frames)
    assert np.array_equal(found.xy[after], wanted.xy[after])
    assert np.array_equal(found.visible[after], wanted.visible[after])
    assert np.array_equal(found.confidence[after], wanted.confidence[after])


@pytest.mark.usefixtures("fake")
def test_windows_begin_at_many_distances_with_the_fake_network() -> None:
    """Otherwise the tests with it would say little."""
    steps: set[int] = set()
    for row in range(5):
        made = streaming()
        shown(made, 39, rows=[row])
        steps |= set(np.diff([first for first, _ in made._model.windows]).tolist())
    made = streaming()
    shown(made, 39)
    together = {count for _, count in made._model.windows}
    assert len(steps) >= 4 and together >= {1, 2}, (steps, together)


@pytest.mark.usefixtures("fake")
def test_tracks_are_six_frames_late_and_final() -> None:
    stream, ids = shown(streaming(), 30)
    assert Pips.lag(stream.tracker.options) == 6
    assert sorted(stream.answers) == list(range(25))
    wanted, after = whole(), asked(QUERIES, 40)
    for index, answer in stream.answers.items():
        begun = np.flatnonzero(after[index] & (ids >= 0))
        assert answer.ids.tolist() == sorted(ids[begun].tolist())
        assert np.array_equal(answer.select(ids[begun]).xy, wanted.xy[index, begun])
    stream.end()
    assert sorted(stream.answers) == list(range(31))
    assert stream.tracker.flush() == []
    stream.to(39).end()  # it goes on, and no frame is answered twice
    assert sorted(stream.answers) == list(range(40))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("newest", [3, 7, 12, 26])
def test_recall_is_as_if_the_stream_ended_now(newest: int) -> None:
    stream, ids = shown(streaming(), newest)
    wanted = whole(newest + 1)
    for index in (newest, *range(newest + 1)):
        begun = np.flatnonzero(asked(QUERIES, newest + 1)[index] & (ids >= 0))
        found = stream.tracker.recall(ids[begun], index)
        assert np.array_equal(found.xy, wanted.xy[index, begun])
        assert np.array_equal(found.confidence, wanted.confidence[index, begun])
    # What was said for the time being leaves no trace.
    stream.to(39)
    later = np.stack([stream.answers[i].select(ids[:2]).xy for i in range(34)])
    assert np.array_equal(later, whole().xy[:34, :2])


@pytest.mark.usefixtures("fake")
def test_recall_after_every_frame_is_as_if_the_stream_ended_there() -> None:
    stream, ids = shown(streaming(), 7, rows=[0, 1, 2, 3, 4])
    for newest in range(8, 24):
        stream.to(newest)
        found = stream.tracker.recall(ids[:5], newest)
        assert np.array_equal(found.xy, whole(newest + 1).xy[newest, :5])
        if newest == 12:  # what is known for the time being changes with the points
            extra = stream.add(QUERIES[:1, 1:], 10)
            assert stream.tracker.recall(extra, newest).ids.tolist() == extra.tolist()
            stream.tracker.remove_points(extra)
            ids[:2] = stream.tracker.replace_points(
                ids[:2], whole(13).xy[7, :2], stream.history.at(7)
            )
            replaced = stream.tracker.recall(ids[:2], newest)
            stream.tracker.remove_points(ids[:2])
            ids[:2] = stream.add(QUERIES[:2, 1:], 0)
            again = stream.tracker.recall(ids[:2], newest)
            assert not np.array_equal(again.xy, replaced.xy)
            assert np.array_equal(again.xy, whole(newest + 1).xy[newest, :2])


@pytest.mark.usefixtures("fake")
def test_queries_need_not_be_in_order() -> None:
    order = np.random.default_rng(5).permutation(len(QUERIES))
    for mode in MODES:
        found = track_video(create_tracker("pips", mode=mode), CLIP, QUERIES[order])
        after = asked(QUERIES[order], 40)
        assert np.array_equal(found.xy[after], whole().xy[:, order][after])
    made: Any = create_tracker("pips")
    frames = [Frame(image, index, index) for index, image in enumerate(CLIP)]
    one, other = made._solve(frames, QUERIES), made._solve(frames, QUERIES[order])
    assert np.array_equal(one.xy[:, order], other.xy)


@pytest.mark.usefixtures("fake")
def test_a_point_is_exactly_where_it_was_put() -> None:
    stream, ids = shown(streaming(), 7)
    tracks = stream.tracker.recall(ids[3:5], 7)
    assert np.array_equal(tracks.xy, QUERIES[3:5, 1:])
    assert tracks.visible.all() and (tracks.confidence == 1).all()


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("late", [False, True])
def test_points_of_past_frames_catch_up(late: bool) -> None:
    stream, ids = shown(streaming(), 25, rows=[0, 1])
    stream.tracker._model.windows.clear()
    added = stream.add(QUERIES[3:5, 1:], 7, late=late)
    assert stream.tracker._model.windows == [], "not before they are asked for"
    stream.to(26)
    assert np.isin(added, stream.answers[20].ids).all() == (not late)
    wanted = whole(27)
    for index in range(7, 27):
        found = stream.tracker.recall(added, index)
        assert np.array_equal(found.xy, wanted.xy[index, 3:5])
    stream.to(39)
    assert np.isin(added, stream.answers[21].ids).all()
    wanted = whole()
    all_ids, columns = np.concatenate([ids[:2], added]), [0, 1, 3, 4]
    for index in range(21, 34):
        found = stream.answers[index].select(all_ids)
        assert np.array_equal(found.xy, wanted.xy[index, columns])


@pytest.mark.usefixtures("fake")
def test_late_points_are_tracked_only_as_far_as_they_are_asked_for() -> None:
    stream, _ = shown(streaming(), 30, rows=[])
    added = stream.add(QUERIES[:1, 1:], 2, late=True)
    stream.tracker.recall(added, 6)
    assert max(first for first, _ in stream.tracker._model.windows) < 6
    stream.to(31)
    assert len(stream.answers[25]) == 0
    stream.tracker.recall(added, 12)
    stream.to(32)
    assert len(stream.answers[26]) == 0
    assert stream.tracker.tracks_of(added, stream.answers[26]).ids.tolist() == added.tolist()
    stream.to(33)
    assert stream.answers[27].ids.tolist() == added.tolist(), "they have caught up"


@pytest.mark.usefixtures("fake")
def test_no_window_is_computed_twice() -> None:
    stream, ids = shown(streaming(), 30, rows=[0])
    added = stream.add(QUERIES[1:2, 1:], 2, late=True)
    windows = stream.tracker._model.windows
    windows.clear()
    stream.tracker.recall(ids[:1], 30)
    count = len(windows)
    for index in (24, 27, 30, 29, 30):
        stream.tracker.recall(added, index)
    firsts = [first for first, _ in windows[count:]]
    assert count > 0 and len(set(firsts)) == len(firsts)


@pytest.mark.usefixtures("fake")
def test_points_do_not_influence_each_other() -> None:
    alone, one = shown(streaming(), 30, rows=[1])
    stream, ids = shown(streaming(), 20)
    stream.tracker.remove_points(np.array([ids[0], 99]))
    with pytest.raises(KeyError):
        stream.tracker.recall(ids[:2], 20)
    stream.to(30)
    stream.tracker.remove_points(ids[2:])
    for index in range(31):
        found = stream.tracker.recall(ids[1:2], index)
        assert np.array_equal(found.xy, alone.tracker.recall(one[1:2], index).xy)
    stream.tracker.remove_points(ids[1:2])
    assert len(stream.end().answers[30]) == 0


@pytest.mark.usefixtures("fake")
def test_points_are_replaced_or_stay() -> None:
    stream, ids = shown(streaming(max_points=3), 10, rows=[0, 1, 2])
    xy, frame = np.array([(9, 9)] * 3, np.float32), stream.history.at(10)
    with pytest.raises(UserError, match="6 points would exceed 'max_points', which is 3"):
        stream.tracker.add_points(xy, frame)
    with pytest.raises(UserError, match="not in the image of 80x64"):
        stream.tracker.replace_points(ids[:3], xy * 10, frame)
    assert len(stream.to(12).tracker.recall(ids[:3], 12)) == 3
    new = stream.tracker.replace_points(ids[:3], xy, frame)
    assert new.tolist() == [3, 4, 5]
    assert stream.end().answers[12].ids.tolist() == new.tolist()
    late = stream.add(xy[:0], 11)
    assert len(late) == 0


@pytest.mark.usefixtures("fake")
def test_recall_knows_its_limits() -> None:
    stream, ids = shown(streaming(), 9, capacity=4)
    with pytest.raises(KeyError, match="frame 5 is no longer held"):
        stream.tracker.recall(ids[:1], 5)
    with pytest.raises(KeyError, match="some of the points were added after frame 6"):
        stream.tracker.recall(ids[3:5], 6)
    with pytest.raises(KeyError, match="frame 10"):
        stream.tracker.recall(ids[:1], 10)
    with pytest.raises(FrameUnavailableError):
        stream.tracker.add_points(QUERIES[:1, 1:], Frame(CLIP[2], 2, 2))
    assert len(stream.tracker.recall(ids[:0], 9)) == 0
    assert np.array_equal(stream.answers[3].select(ids[:3]).xy, whole().xy[3, :3])


@pytest.mark.usefixtures("fake")
def test_after_a_failure_the_missed_frames_are_made_up_for() -> None:
    stream, ids = shown(streaming(), 12)
    model = stream.tracker._model
    model.fails = True
    for index in (13, 14, 15):
        with pytest.raises(RuntimeError, match="no memory"):
            stream.to(index)
    with pytest.raises(RuntimeError, match="no memory"):
        stream.add([(1, 1)], 15)
    model.fails = False
    stream.to(39).end()
    assert sorted(stream.answers) == list(range(40))
    for index in range(40):
        begun = np.flatnonzero(asked(QUERIES, 40)[index] & (ids >= 0))
        found = stream.answers[index]
        assert found.ids.tolist() == ids[begun].tolist()
        assert np.array_equal(found.xy, whole().xy[index, begun])


@pytest.mark.usefixtures("fake")
def test_after_a_long_failure_points_go_on_from_where_they_were() -> None:
    stream, ids = shown(streaming(), 12, rows=[0, 1], capacity=4)
    model = stream.tracker._model
    model.fails = True
    for index in range(13, 38):
        with pytest.raises(RuntimeError):
            stream.to(index)
    model.fails = False
    first = stream.tracker._frames.oldest + 1
    stream.to(38)
    assert min(stream.answers[i].index for i in stream.answers if i > 6) == first
    found = stream.answers[first]
    assert found.ids.tolist() == ids[:2].tolist() and not found.visible.any()
    assert len(stream.to(60).answers[54]) == 2


@pytest.mark.usefixtures("fake")
def test_no_points_are_no_trouble() -> None:
    assert streaming().flush() == []
    stream, _ = shown(streaming(), 9, rows=[])
    stream.tracker.remove_points(np.array([3]))
    stream.end()
    assert all(len(tracks) == 0 for tracks in stream.answers.values())
    for mode in MODES:
        made = create_tracker("pips", mode=mode)
        assert track_video(made, CLIP[:3], np.zeros((0, 3))).xy.shape == (3, 0, 2)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("mode", MODES)
def test_frames_are_taken_in_order_and_large_enough(mode: str) -> None:
    made = create_tracker("pips", mode=mode)
    made.reset()
    with pytest.raises(UserError, match="at least 64x64 pixels, got 80x63"):
        made.advance(Frame(CLIP[0][:63], 0, 0))
    made.advance(Frame(CLIP[0], 0, 0))
    with pytest.raises(UserError, match="size changed from 80x64 to 70x64"):
        made.advance(Frame(CLIP[1][:, :70], 1, 1))
    with pytest.raises(UserError, match="frame 2 came after frame 0"):
        made.advance(Frame(CLIP[2], 2, 2))
    with pytest.raises(UserError, match=r"use advance\(\) and flush\(\), or a tracker"):
        made.step(Frame(CLIP[1], 1, 1))
    assert made.advance(Frame(CLIP[1], 1, 1)) == []


@pytest.mark.usefixtures("fake")
def test_the_mode_decides_the_class() -> None:
    assert isinstance(create_tracker("pips"), OfflinePips)
    assert isinstance(streaming(), StreamingPips) and isinstance(streaming(), Pips)
    assert create_tracker("pips", clip_length=77).options.clip_length == 77
    assert Pips.lag(Pips.Options(clip_length=77)) == 77
    assert "streaming, published weights, none" in streaming(checkpoint="").details


@pytest.mark.usefixtures("fake")
def test_the_thresholds_are_options() -> None:
    sure = track_video(create_tracker("pips", visibility_threshold=0.8), CLIP, QUERIES)
    plain = whole()
    assert np.array_equal(sure.xy, plain.xy)
    assert np.array_equal(sure.visible, plain.confidence > 0.8)
    assert 0 < sure.visible.sum() < plain.visible.sum()
    for mode in MODES:
        other = create_tracker("pips", mode=mode, linking_threshold=0.3)
        assert not np.array_equal(track_video(other, CLIP, QUERIES).xy, plain.xy)


# --- the model ----------------------------------------------------------------------------


def test_a_missing_checkpoint_is_said_to_be_where_it_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"download https://huggingface\.co/aharley/pips/resolve"):
        create_tracker("pips")


def test_weights_of_another_model_are_refused() -> None:
    other = str(golden.checkpoint("pips_plus_plus"))
    with pytest.raises(UserError, match=r"not a checkpoint of PIPS: .* missing"):
        create_tracker("pips", checkpoint=other, device="cpu")


def test_random_weights_need_to_be_allowed() -> None:
    with pytest.raises(UserError, match="tracker 'pips': 'checkpoint: random' is for tests only"):
        create_tracker("pips", checkpoint="random")
    given = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}
    clip, queries = CLIP[:9], QUERIES[:3]
    one, two = (
        track_video(create_tracker("pips", mode=mode, **given), clip, queries) for mode in MODES
    )
    same(one.xy, two.xy, 1e-2)
    moved = np.linalg.norm(one.xy - queries[:, 1:], axis=2)
    assert 0 < moved.max() < 30


def test_features_are_computed_once_and_by_each_model() -> None:
    made: Any = golden.tracker("pips", mode="streaming", iterations=1)
    with mock.patch.object(
        made._model.network.fnet, "raw", wraps=made._model.network.fnet.raw
    ) as raw:
        stream, ids = shown(made, 9, rows=[0, 1, 2, 3])
        stream.tracker.recall(ids[:3], 9)
        assert raw.call_count == 10
    stream.end()
    other: Any = golden.tracker("pips", iterations=2)
    other._model.read(stream.history.at(0), QUERIES[:1, 1:])
    assert len(stream.history.at(0).features) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "windowed"}, "one of offline, streaming"),
        ({"iterations": -1}, "at least 0"),
        ({"visibility_threshold": 1.5}, "at most 1"),
        ({"linking_threshold": -0.1}, "at least 0"),
        ({"max_points": 0}, "at least 1"),
        ({"clip_length": 1}, "at least 2"),
        ({"window": 8}, "unknown option 'window'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        create_tracker("pips", **options)


def test_the_number_of_updates_is_an_option() -> None:
    frames = [Frame(image, i, i) for i, image in enumerate(CLIP[:8])]
    found = {}
    for updates in (0, 1, 6):
        model: Any = golden.tracker("pips", iterations=updates)._model  # type: ignore[attr-defined]
        features = model.read(frames[0], QUERIES[:2, 1:])
        found[updates] = model.track(frames, QUERIES[:2, 1:], features)[0]
    assert np.array_equal(found[0], found[6])
    assert np.abs(found[1] - found[6]).max() > 0.1


@pytest.mark.parametrize("name", ["pips", "pips_plus_plus"])
def test_without_pytorch_it_is_said_what_to_install(name: str) -> None:
    said = refusal_without("torch", name, checkpoint="a.pth")
    assert said.startswith(f"the tracker '{name}' needs PyTorch; run `pip install torch`")


def test_both_are_registered() -> None:
    assert {"pips", "pips_plus_plus"} <= set(trackers.names())
    assert trackers.load("pips").Options().mode == "offline"
    assert trackers.load("pips_plus_plus").Options().chunk == 128
