"""Scores of video instances: by hand, and equal to trackeval's and to those of a slow second code.

trackeval reads tiny data sets that are written for it; the second code goes through pixels.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.uvo import InstanceVideo, write_results
from sam_pt_ros.evaluation.video_instances import (
    IOU_THRESHOLDS,
    RECALL_POINTS,
    InstanceScores,
    InstanceTrack,
    VideoMatches,
    decode_rle,
    encode_rle,
    match_video,
    score_videos,
    track_ious,
)
from support.examples import examples

Tracks = list[InstanceTrack]
Video = tuple[Tracks, Tracks]  # true and found

SIZE = (300, 400)  # large enough for all three ranges of areas


def box(x: int, y: int, w: int, h: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, np.bool_)
    mask[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
    return mask


def score(videos: Sequence[Video]) -> InstanceScores:
    return score_videos([match_video(true, found) for true, found in videos])


def random_videos(seed: int, ties: bool = False) -> list[Video]:
    """Moving boxes of all sizes, detections near them, and some of nothing."""
    rng = np.random.default_rng(seed)
    videos = []
    for _ in range(rng.integers(1, 5)):
        frames = int(rng.integers(1, 5))
        true: Tracks = []
        found: Tracks = []
        for _ in range(rng.integers(0, 5)):
            side = int(rng.choice([20, 90, 128, 200, 256, 290]))
            start, speed = rng.integers(-20, 150, 2), rng.integers(-9, 10, 2)
            places = [start + speed * index for index in range(frames)]
            seen = rng.random(frames) < 0.8
            true.append(
                InstanceTrack.of_masks(
                    [box(*p, side, side) if s else None for p, s in zip(places, seen)]
                )
            )
            for _ in range(rng.integers(0, 4)):
                off = rng.integers(-side // 9, side // 9 + 1, 2)
                grown = side + int(rng.integers(-5, 6))
                noticed = seen ^ (rng.random(frames) < 0.1)
                value = float(rng.integers(0, 3)) / 2 if ties else float(rng.random())
                found.append(
                    InstanceTrack.of_masks(
                        [
                            box(*(p + off), grown, grown) if s else None
                            for p, s in zip(places, noticed)
                        ],
                        value,
                    )
                )
        for _ in range(rng.integers(0, 3)):
            stray = box(*rng.integers(0, 200, 2), 60, 60)
            found.append(InstanceTrack.of_masks([stray] * frames, float(rng.random())))
        rng.shuffle(found)  # type: ignore[arg-type]
        videos.append((true, found))
    return videos


# ---------------------------------------------------------------- trackeval


def write_data_set(folder: Path, videos: Sequence[Video]) -> None:
    """Truth and results, where trackeval's YouTubeVIS looks for them."""
    truth: dict[str, list[dict[str, object]]] = {
        "videos": [],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [],
    }
    listed = []
    for number, (true, found) in enumerate(videos, 1):
        frames = len((true + found)[0].masks) if true + found else 1
        names = [f"video{number}/{index}.png" for index in range(frames)]
        truth["videos"].append({"id": number, "file_names": names})
        for track in true:
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "video_id": number,
                    "category_id": 1,
                    "iscrowd": int(track.crowd),
                    "height": SIZE[0],
                    "width": SIZE[1],
                    "areas": [int(area) or None for area in track.areas],
                    "segmentations": [
                        None
                        if code is None
                        else {"size": list(SIZE), "counts": runs(decode_rle(code))}
                        for code in track.masks
                    ],
                }
            )
        video = InstanceVideo(number, f"video{number}", tuple(map(Path, names)), SIZE)
        listed.append((video, found))
    for place in ("gt/youtube_vis_val", "trackers/youtube_vis_val/ours/data"):
        (folder / place).mkdir(parents=True)
    (folder / "gt/youtube_vis_val/truth.json").write_text(json.dumps(truth))
    write_results(folder / "trackers/youtube_vis_val/ours/data/results.json", listed)


def runs(mask: np.ndarray) -> list[int]:
    """COCO's run lengths, column by column, zeros first."""
    values = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], values, [1 - values[-1]]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def trackeval_scores(folder: Path, videos: Sequence[Video]) -> dict[str, float]:
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    write_data_set(folder, videos)
    config = {
        "GT_FOLDER": f"{folder}/gt/",
        "TRACKERS_FOLDER": f"{folder}/trackers/",
        "SPLIT_TO_EVAL": "val",
        "PRINT_CONFIG": False,
    }
    found: dict[str, float] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        data_set = trackeval.datasets.YouTubeVIS(config)
        # It takes an object matched to the detection 0 for free; nothing else sees the number.
        data_set.global_tid_counter = 1
        prepared = {}
        for name in data_set.seq_list:
            raw = data_set.get_raw_seq_data("ours", name)
            prepared[name] = data_set.get_preprocessed_seq_data(raw, "object")
        for limit in (1, 10, 100):
            metric = trackeval.metrics.TrackMAP(
                {
                    "MAX_DETECTIONS": limit,
                    "IOU_THRESHOLDS": IOU_THRESHOLDS,
                    "AREA_RANGES": [[0, 128**2], [128**2, 256**2], [256**2, 1e10]],
                    "USE_TIME_RANGES": False,
                    "PRINT_CONFIG": False,
                }
            )
            results = {name: metric.eval_sequence(data) for name, data in prepared.items()}
            combined = metric.combine_sequences(results)
            found[f"ar{limit}"] = combined["AR_all"].mean()
        found["ap"] = combined["AP_all"].mean()
        found["ap50"], found["ap75"] = combined["AP_all"][[0, 5]]
        for size, letter in (("small", "s"), ("medium", "m"), ("large", "l")):
            found[f"ap_{size}"] = combined[f"AP_area_{letter}"].mean()
            found[f"ar_{size}"] = combined[f"AR_area_{letter}"].mean()
    return {name: math.nan if value < 0 else float(value) for name, value in found.items()}


@pytest.mark.parametrize("seed", range(12))
def test_scores_equal_trackeval(seed: int, tmp_path: Path) -> None:
    videos = random_videos(seed, ties=seed % 3 == 0)
    wanted, found = trackeval_scores(tmp_path, videos), vars(score(videos))
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


def test_more_than_100_detections_equal_trackeval(tmp_path: Path) -> None:
    # The right ones are the least sure: some of them are the 101st and later.
    true = [InstanceTrack.of_masks([box(20 * i, 0, 18, 18)]) for i in range(12)]
    right = [
        InstanceTrack.of_masks([box(20 * i, 0, 18, 18)], score=(12 - i) / 100) for i in range(12)
    ]
    wrong = [InstanceTrack.of_masks([box(0, 100, 9, 9)], score=0.5 + i / 1000) for i in range(95)]
    videos = [(true, right + wrong)]
    wanted, found = trackeval_scores(tmp_path, videos), score(videos)
    assert found.ar100 == pytest.approx(wanted["ar100"]) == pytest.approx(5 / 12)
    assert found.ap == pytest.approx(wanted["ap"], abs=1e-9) and found.ap > 0
    assert found.ar10 == wanted["ar10"] == 0
    assert len(match_video(*videos[0]).scores) == 100


# ---------------------------------------------------------------- a slow second code


def slow_iou(one: InstanceTrack, other: InstanceTrack) -> float:
    both = either = 0
    for index in range(len(one.masks)):
        first, second = one.mask(index), other.mask(index)
        first = np.zeros(SIZE, np.bool_) if first is None else first
        second = np.zeros(SIZE, np.bool_) if second is None else second
        both += int((first & second).sum())
        either += int((first | second).sum())
    return both / either if either else 0.0


def slow_average_precision(videos: Sequence[Video], threshold: float) -> float:
    """AP at one IoU, over all areas; objects that are crowds are neither sought nor wrong."""
    judged: list[tuple[float, bool]] = []
    sought = 0
    for true, found in videos:
        sought += sum(not track.crowd for track in true)
        taken: set[int] = set()
        for detection in sorted(found, key=lambda track: -track.score)[:100]:
            ious = [slow_iou(detection, track) for track in true]
            hits = [
                (ious[number], number)
                for number, track in enumerate(true)
                if ious[number] >= threshold and not track.crowd and number not in taken
            ]
            if hits:
                taken.add(max(hits)[1])
                judged.append((detection.score, True))
            elif not any(iou >= threshold and t.crowd for iou, t in zip(ious, true)):
                judged.append((detection.score, False))
    if not sought:
        return math.nan
    judged.sort(key=lambda each: -each[0])
    curve = []
    for count in range(1, len(judged) + 1):
        right = sum(hit for _, hit in judged[:count])
        curve.append((right / sought, right / count))
    best = [max((p for r, p in curve if r >= point), default=0.0) for point in RECALL_POINTS]
    return math.fsum(best) / len(best)


@pytest.mark.parametrize("seed", range(100, 104))
def test_average_precision_equals_the_slow_one_with_crowds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    videos = [
        ([InstanceTrack(t.masks, crowd=bool(rng.random() < 0.3)) for t in true], found)
        for true, found in random_videos(seed)
    ]
    slow = [slow_average_precision(videos, threshold) for threshold in IOU_THRESHOLDS]
    found = score(videos)
    assert found.ap == pytest.approx(np.mean(slow), abs=1e-9, nan_ok=True)
    assert (found.ap50, found.ap75) == pytest.approx((slow[0], slow[5]), abs=1e-9, nan_ok=True)


@examples(40)
@given(st.integers(0, 2**32 - 1))
def test_ious_are_those_of_the_pixels_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, size = int(rng.integers(1, 4)), (int(rng.integers(1, 30)), int(rng.integers(1, 30)))

    def noise() -> list[np.ndarray | None]:
        return [
            None if rng.random() < 0.2 else rng.random(size) < rng.random() for _ in range(frames)
        ]

    found, true = [noise() for _ in range(3)], [noise() for _ in range(2)]
    ious = track_ious(*([InstanceTrack.of_masks(m) for m in each] for each in (found, true)))
    empty = np.zeros(size, np.bool_)
    for row, column in np.ndindex(3, 2):
        pairs = [
            [empty if mask is None else mask for mask in pair]
            for pair in zip(found[row], true[column])
        ]
        both = sum(int((a & b).sum()) for a, b in pairs)
        either = sum(int((a | b).sum()) for a, b in pairs)
        assert ious[row, column] == (both / either if either else 0)


# ---------------------------------------------------------------- by hand


def track(
    *spans: tuple[int, int] | None, score: float = 1.0, crowd: bool = False
) -> InstanceTrack:
    """A row of 20 pixels: columns that are set, by frame."""
    masks = [
        None if each is None else box(each[0], 0, each[1] - each[0], 1, (1, 20)) for each in spans
    ]
    return InstanceTrack.of_masks(masks, score, crowd)


def test_iou_sums_over_the_frames() -> None:
    # Intersections 10 + 0 + 0, unions 10 + 10 + 4: not the mean of 1, 0 and 0.
    true, found = track((0, 10), (0, 10), None), track((0, 10), None, (3, 7))
    assert track_ious([found], [true])[0, 0] == 10 / 24


def test_perfect_detections_score_one_and_sizes_without_an_object_nan() -> None:
    true = [track((0, 5), (1, 6)), track((10, 20), (10, 20))]
    scores = score([(true, true)])
    assert scores.ap == scores.ap50 == scores.ap75 == scores.ar100 == scores.ar10 == 1
    assert scores.ar1 == 0.5
    assert scores.ap_small == scores.ar_small == 1
    assert math.isnan(scores.ap_medium) and math.isnan(scores.ar_large)


def test_nothing_found_scores_zero_and_nothing_to_find_nan() -> None:
    true = [track((0, 5))]
    assert score([(true, [])]).ap == score([(true, [])]).ar1 == 0
    assert all(map(math.isnan, astuple(score([([], true)]))))
    assert all(map(math.isnan, astuple(score([([], [])]))))
    assert all(map(math.isnan, astuple(score([]))))


def test_a_wrong_detection_costs_precision_if_it_is_surer() -> None:
    true = [track((0, 10))]
    right, wrong = track((0, 10), score=0.5), track((12, 20), score=0.9)
    assert score([(true, [right, wrong])]).ap == pytest.approx(1 / 2)
    less_sure = InstanceTrack(wrong.masks, score=0.1)
    assert score([(true, [right, less_sure])]).ap == 1
    assert score([(true, [wrong, right])]).ar1 == 0


def test_the_iou_decides_at_which_thresholds_it_counts() -> None:
    # 7 of 10 pixels: at 0.50, 0.55, 0.60, 0.65 and 0.70 itself.
    scores = score([([track((0, 10))], [track((0, 7))])])
    assert scores.ap == scores.ar100 == pytest.approx(0.5)
    assert (scores.ap50, scores.ap75) == (1, 0)


def test_an_object_is_found_once() -> None:
    true = [track((0, 10)), track((10, 20))]
    found = [track((0, 10), score=0.9), track((0, 10), score=0.8), track((10, 20), score=0.7)]
    # Recall 1/2 at precision 1, recall 1 at precision 2/3: 51 points of 101, and 50.
    assert score([(true, found)]).ap == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_of_objects_that_it_overlaps_equally_a_detection_takes_the_last() -> None:
    true = [track((0, 12)), track((2, 14))]
    found = [track((1, 13), score=0.9), track((2, 14), score=0.5)]
    # The first overlaps both by 11 of 13 and takes the second up to 0.80; what is left overlaps
    # the other by 10 of 14, up to 0.70. From 0.85 on it is the second detection's, and alone.
    scores = score([(true, found)])
    assert scores.ar100 == pytest.approx((5 * 1 + 2 * 0.5 + 3 * 0.5) / 10)


def test_detections_of_all_videos_are_ranked_together() -> None:
    first = [track((0, 10))], [track((0, 10), score=0.4)]
    second = [track((0, 10))], [track((10, 20), score=0.6)]
    # The surest is wrong: recall 1/2 at precision 1/2, and no more.
    assert score([first, second]).ap == pytest.approx(51 * 0.5 / 101)
    assert score([first, second]).ar1 == 0.5


def test_equally_sure_detections_keep_their_order() -> None:
    true = [track((0, 10))]
    right, wrong = track((0, 10)), track((12, 20))
    assert score([(true, [right, wrong])]).ap == 1
    assert score([(true, [wrong, right])]).ap == pytest.approx(0.5)


def test_a_crowd_is_neither_to_be_found_nor_wrong_to_find() -> None:
    true = [track((0, 10)), track((10, 20), crowd=True)]
    on_crowd = [track((10, 20), score=0.9), track((10, 20), score=0.8)]
    found = [*on_crowd, track((0, 10), score=0.5)]
    assert score([(true, found)]).ap == 1
    not_crowd = [true[0], track((10, 20))]
    assert score([(not_crowd, found)]).ap < 1


def test_a_detection_of_another_size_is_not_wrong_within_a_size() -> None:
    small, large = box(0, 0, 20, 20), box(40, 0, 300, 290)
    true = [InstanceTrack.of_masks([small])]
    found = [InstanceTrack.of_masks([large], 0.9), InstanceTrack.of_masks([small], 0.5)]
    scores = score([(true, found)])
    assert scores.ap == pytest.approx(0.5) and scores.ap_small == 1


def test_the_mean_area_is_over_the_frames_with_the_object() -> None:
    assert track((0, 10), None, (0, 0), (0, 4)).mean_area == 7
    assert track(None, None).mean_area == 0


def test_an_empty_mask_is_no_mask() -> None:
    true = [track((0, 10), None)]
    one = match_video(true, [track((0, 10), None)])
    other = match_video(true, [track((0, 10), (0, 0))])
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_videos_may_be_matched_elsewhere() -> None:
    matches = match_video([track((0, 10))], [track((0, 10))])
    copy = pickle.loads(pickle.dumps(matches))
    assert isinstance(copy, VideoMatches) and score_videos([copy]).ap == 1


def test_codes_come_back_as_masks() -> None:
    mask = box(3, 2, 5, 4, (11, 13))
    np.testing.assert_array_equal(decode_rle(encode_rle(mask)), mask)
    np.testing.assert_array_equal(decode_rle(encode_rle(mask * np.uint8(255))), mask)
    cut = np.asfortranarray(mask)[1:9, 2:12]
    np.testing.assert_array_equal(decode_rle(encode_rle(cut)), cut)
    assert decode_rle(encode_rle(mask)).dtype == np.bool_
    assert track((0, 3), None).mask(1) is None


def test_tracks_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(UserError, match="the same number of frames"):
        track_ious([track((0, 1))], [track((0, 1), None)])
    with pytest.raises(UserError, match="frame 0: the masks of a video must have the same size"):
        track_ious([track((0, 1))], [InstanceTrack.of_masks([box(0, 0, 1, 1)])])
    with pytest.raises(UserError, match="must have the same size"):
        InstanceTrack.of_masks([np.ones((2, 3)), np.ones((3, 2))])
    with pytest.raises(UserError, match="no frames"):
        InstanceTrack(())
    with pytest.raises(UserError, match="must be finite"):
        InstanceTrack((None,), score=math.nan)
