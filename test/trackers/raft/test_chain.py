"""SAM-PT's rules of chained flow, with an analytic flow field instead of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.frames import Frame
from sam_pt_ros.trackers import VideoTracks, track_video
from sam_pt_ros.trackers.raft import Raft, RaftOptions
from sam_pt_ros.trackers.raft.chain import Chain, Field, agreements, inside
from support.golden_files import golden_arrays, golden_module

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")

EQUAL = 1e-4  # pixels
UNIT = np.ones(2)


class AnalyticModel:
    """The stand-in for the network with which the golden tracks were made."""

    device = "stand-in"

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, bool]] = []

    def fields(self, before: Frame, after: Frame, both: bool) -> tuple[Field, Field | None]:
        flow = golden_module("trackers/stand_ins").flow
        a, b = before.index, after.index
        assert a < b, "flows are cached in the newer frame"
        self.asked.append((a, b, both))
        there = Field(flow(a, b, *before.size), UNIT)
        return there, Field(flow(b, a, *before.size), UNIT) if both else None


def tracker(**options: Any) -> Raft:
    small = {"network": "small", "checkpoint": "random", "allow_random_weights": True}
    made = Raft.create(RaftOptions(**{"device": "cpu", "updates": 1, **small, **options}))
    made._model = AnalyticModel()  # type: ignore[assignment]
    return made


def golden(case: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames, queries, and the published tracker's tracks and visibilities."""
    arrays = golden_arrays("trackers/raft_rules")
    frames, height, width = arrays[f"{case}_size"]
    names = ("queries", "tracks", "visible")
    queries, tracks, visible = (arrays[f"{case}_{name}"] for name in names)
    assert np.array_equal(
        queries, golden_module("trackers/stand_ins").flow_queries(frames, height, width)
    )
    return np.zeros((frames, height, width, 3), np.uint8), queries, tracks, visible


@pytest.mark.parametrize("case", ["a", "b"])
def test_offline_tracks_equal_the_published_ones(case: str) -> None:
    images, queries, tracks, visible = golden(case)
    frames = [Frame(image, index, index) for index, image in enumerate(images)]
    found = tracker(rule="published", mode="offline")._solve(frames, queries)  # type: ignore[attr-defined]
    assert found.xy == pytest.approx(tracks, abs=EQUAL)
    assert np.array_equal(found.visible, visible)
    assert np.array_equal(found.confidence, visible)


@pytest.mark.parametrize("case", ["a", "b"])
@pytest.mark.parametrize("mode", ["streaming", "offline"])
def test_tracks_after_the_query_equal_the_published_ones(case: str, mode: str) -> None:
    images, queries, tracks, visible = golden(case)
    found = track_video(tracker(rule="published", mode=mode), images, queries)
    after = np.arange(len(images))[:, None] >= queries[:, 0]
    assert found.xy[after] == pytest.approx(tracks[after], abs=EQUAL)
    assert np.array_equal(found.visible[after], visible[after])


@pytest.mark.parametrize("mode", ["streaming", "offline"])
def test_a_clip_of_one_frame_is_answered_with_the_queries(mode: str) -> None:
    queries = np.array([[0, 3, 4]], np.float32)
    found = track_video(tracker(mode=mode), np.zeros((1, 40, 40, 3), np.uint8), queries)
    assert np.array_equal(found.xy[0], queries[:, 1:]) and found.visible.all()


def test_flow_is_asked_for_only_where_there_are_points_and_back_only_if_compared() -> None:
    for rule, both in (("published", False), ("checked", True)):
        made = tracker(rule=rule)
        images = np.zeros((4, 40, 40, 3), np.uint8)
        track_video(made, images, np.zeros((0, 3), np.float32))
        assert made._model.asked == []  # type: ignore[attr-defined]
        track_video(made, images, np.array([[2, 5, 5]], np.float32))
        assert made._model.asked == [(2, 3, both)]  # type: ignore[attr-defined]


def test_points_added_late_are_as_if_added_in_time() -> None:
    images, queries, _, _ = golden("a")
    in_time = track_video(tracker(), images, queries)
    made = tracker()
    frames = [Frame(image, index, index) for index, image in enumerate(images)]
    for frame in frames:
        made.step(frame)
    for row, (start, *xy) in enumerate(queries):
        add = made.add_late_points if row % 2 else made.add_points
        ids = add(np.array([xy], np.float32), frames[int(start)])
        for index in range(int(start), len(frames)):
            tracks = made.recall(ids, index)
            assert np.array_equal(tracks.xy[0], in_time.xy[index, row])
            assert tracks.visible[0] == in_time.visible[index, row]
            assert tracks.confidence[0] == in_time.confidence[index, row]


def test_no_points_are_no_trouble() -> None:
    made = tracker()
    frame = Frame(np.zeros((40, 40, 3), np.uint8), 0, 0)
    assert len(made.step(frame)) == 0
    ids = made.add_points(np.zeros((0, 2), np.float32), frame)
    assert len(ids) == 0 and len(made.recall(ids, 0)) == 0


def test_too_many_points_are_refused() -> None:
    made = tracker(max_points=2)
    frame = Frame(np.zeros((40, 40, 3), np.uint8), 0, 0)
    made.step(frame)
    with pytest.raises(UserError, match="'max_points', which is 2"):
        made.add_points(np.ones((3, 2), np.float32), frame)


def test_a_clip_longer_than_said_is_refused() -> None:
    images = np.zeros((4, 40, 40, 3), np.uint8)
    made = tracker(mode="offline", clip_length=3)
    assert type(made).lag(made.options) == 3 and Raft.lag(tracker().options) == 0
    with pytest.raises(UserError, match="more than 3 frames"):
        track_video(made, images, np.array([[0, 5, 5]], np.float32))


# --- the check -----------------------------------------------------------------------------


def constant(x: float, y: float, shape: tuple[int, int] = (40, 60)) -> Field:
    return Field(np.full((2, *shape), [[[x]], [[y]]], np.float32), UNIT)


def test_the_bound_of_the_disagreement_is_that_of_sundaram() -> None:
    """There 3 + 4 = 5 pixels; back by e less: e * e against 0.01 (25 + (5 - e)^2) + 0.5."""
    there = np.array([[3.0, 4.0]])
    # e^2 = 0.01 (25 + (5 - e)^2) + 0.5, solved for e.
    e = (-0.1 + np.sqrt(0.01 + 4 * 0.99 * 1.0)) / (2 * 0.99)
    for factor, fits in ((0.999, True), (1.001, False)):
        back = -there * (5 - factor * e) / 5
        assert (agreements(there, back)[0] > 0) == fits
    assert agreements(there, -there)[0] == 1
    assert agreements(there, there)[0] < 0


def test_a_point_whose_flows_disagree_is_hidden_for_good_and_moves_on() -> None:
    start = Chain.at(np.array([[10.0, 10.0], [20.0, 20.0]]))
    spoilt = constant(-5, 0)
    spoilt.flow[:, 10, 15] = 3  # at the place of the first point
    moved = start.moved(constant(5, 0), spoilt, (40, 60))
    assert moved.visible.tolist() == [False, True]
    assert moved.confidence.tolist() == [0, 1]
    again = moved.moved(constant(5, 0), constant(-5, 0), (40, 60))
    assert again.visible.tolist() == [False, True]
    assert np.array_equal(again.xy, [[20, 10], [30, 20]])


def test_the_back_flow_is_read_where_the_point_arrives() -> None:
    width = 60
    ramp = np.zeros((2, 40, width), np.float32)
    ramp[0] = np.arange(width) * 0.5  # moves x to 1.5 x
    back = np.zeros_like(ramp)
    back[0] = -np.arange(width) / 3  # and back
    moved = Chain.at(np.array([[24.0, 5.0]])).moved(Field(ramp, UNIT), Field(back, UNIT), (40, 60))
    assert moved.visible[0] and moved.confidence[0] == pytest.approx(1, abs=1e-4)
    assert moved.xy[0] == pytest.approx([36, 5])


def test_a_point_that_leaves_the_image_may_come_back() -> None:
    chain = Chain.at(np.array([[57.0, 5.0]]))
    shown = []
    for x in (2, 0.6, 20, -20, -1):
        chain = chain.moved(constant(x, 0), constant(-x, 0), (40, 60))
        shown.append(bool(chain.visible[0]))
    assert shown == [True, False, False, False, True]


def test_the_image_reaches_to_the_edges_of_its_pixels() -> None:
    xy = np.array([[-0.4, 0], [-0.6, 0], [59.4, 39.4], [59.6, 0], [0, 39.6], [0, -0.6]])
    assert inside(xy, (40, 60)).tolist() == [True, False, True, False, False, False]


def test_checked_tracks_are_the_published_ones_with_fewer_points_shown() -> None:
    images, queries, _, _ = golden("a")
    published, checked = (
        track_video(tracker(rule=rule), images, queries) for rule in ("published", "checked")
    )
    assert isinstance(published, VideoTracks)
    assert np.array_equal(published.xy, checked.xy)
    assert not (checked.confidence[~checked.visible] > 0).any()


def test_a_reduced_field_shifts_in_image_pixels() -> None:
    """The scene at half the width and a third of the height: pixel centres do not coincide."""
    scale = np.array([0.5, 1 / 3])
    y, x = np.mgrid[0:20, 0:30]
    whole_x, whole_y = (x + 0.5) / 0.5 - 0.5, (y + 0.5) * 3 - 0.5
    flow = np.stack([(0.1 * whole_x + 2) * 0.5, (-0.2 * whole_y + 1) / 3]).astype(np.float32)
    xy = np.array([[10.3, 21.7], [40.0, 50.2]])
    wanted = np.stack([0.1 * xy[:, 0] + 2, -0.2 * xy[:, 1] + 1], 1)
    assert Field(flow, scale).at(xy) == pytest.approx(wanted, abs=1e-5)
