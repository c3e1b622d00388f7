import json
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from sam_pt_ros.demo.summary import (
    OBJECTS_TYPE,
    ObjectHistory,
    read_object_history,
    summarize_demo,
)
from sam_pt_ros.recordings.cutting import CutBag
from sam_pt_ros.recordings.rosbag2 import create_bag, make_bag_header, make_bag_message, typestore

BAG = CutBag(Path("bag"), (64, 48), (0, 40_000_000, 80_000_000, 120_000_000), (0,))


def make_summary(received, every_frame=False):
    due = {stamp: stamp + 1_000_000_000 for stamp in BAG.stamps}
    history = ObjectHistory({}, BAG.stamps[2:])
    path, backends = Path("config/classical.yaml"), {"tracker": "lucas_kanade"}
    return summarize_demo(BAG, due, received, history, every_frame, "film.mp4", path, backends, {})


def test_counts_rate_and_latency():
    received = [(0, 1_010_000_000), (80_000_000, 1_110_000_000), (120_000_000, 1_140_000_000)]
    summary = make_summary(received)
    assert (summary.frames_in, summary.frames_out, summary.frames_dropped) == (4, 3, 1)
    assert summary.stamps_in_order
    assert summary.output_hz == pytest.approx(2 / 0.13, abs=0.01)
    assert summary.latency_ms["p50"] == pytest.approx(20)
    assert summary.latency_ms["p95"] == pytest.approx(29)
    assert summary.tracking_hz == pytest.approx(1 / 0.03, abs=0.01)
    assert summary.tracking_latency_ms["p50"] == pytest.approx(25)
    assert summary.latency_from == "stamp" and summary.mode == "latest"
    assert summary.input_seconds == pytest.approx(0.16)
    assert json.loads(json.dumps(summary.as_json()))["image_size"] == [64, 48]
    assert summary.backends == {"tracker": "lucas_kanade"}


@pytest.mark.parametrize("stamps", [(80_000_000, 0), (0, 0), (0, 5)])
def test_wrong_stamps_are_noticed(stamps):
    assert not make_summary([(stamp, 2_000_000_000) for stamp in stamps]).stamps_in_order


def test_nothing_received_is_no_rate_and_no_latency():
    summary = make_summary([], every_frame=True)
    assert summary.output_hz is None and summary.latency_ms is None
    assert summary.frames_dropped == 4 and summary.latency_from == "sending"


def tracked_object(object_id, state, score):
    return make_bag_message(
        "sam_pt_ros/msg/TrackedObject", id=object_id, label="cup", state=state, score=score
    )


def test_objects_are_counted_by_state(tmp_path):
    frames = [[], [(1, 1, 0.5)], [(1, 2, 0.0), (2, 1, 0.25)], [(1, 1, 1.0), (2, 3, 0.0)]]
    with create_bag(tmp_path / "bag") as bag:
        connection = bag.add_connection("/sam_pt/objects", OBJECTS_TYPE, typestore=typestore())
        for stamp, items in enumerate(frames):
            objects = [tracked_object(*item) for item in items]
            message = make_bag_message(
                OBJECTS_TYPE, header=make_bag_header(stamp, ""), objects=objects
            )
            bag.write(connection, stamp, typestore().serialize_cdr(message, OBJECTS_TYPE))
    history = read_object_history(tmp_path / "bag", "/sam_pt/objects")
    assert isinstance(history, ObjectHistory) and history.stamps == (1, 2, 3)
    first, second = history.objects["1"], history.objects["2"]
    assert first.frames == 3 and first.tracked == pytest.approx(2 / 3, abs=1e-4)
    assert first.states == {"TRACKING": 2, "OCCLUDED": 1, "LOST": 0}
    assert first.mean_score == pytest.approx(0.75) and first.label == "cup"
    assert second.states == {"TRACKING": 1, "OCCLUDED": 0, "LOST": 1}
