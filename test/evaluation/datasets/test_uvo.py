"""UVO's annotations, in all forms that the format knows, and results that come back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.uvo import InstanceVideo, _code, _runs, read_uvo, write_results
from sam_pt_ros.evaluation.video_instances import (
    InstanceTrack,
    decode_rle,
    encode_rle,
    match_video,
    score_videos,
)
from support.examples import examples

SIZE = (4, 6)
MASK = np.zeros(SIZE, np.bool_)
MASK[1:3, 2:5] = True
# By hand, column by column: 9 zeros, then three columns of 2 ones with 2 zeros after each.
RUNS = [9, 2, 2, 2, 2, 2, 5]


def text_code(mask: np.ndarray) -> dict[str, Any]:
    code = encode_rle(mask)
    return {"size": code["size"], "counts": code["counts"].decode("ascii")}


def annotations() -> dict[str, Any]:
    return {
        "videos": [
            {
                "id": 7,
                "width": 6,
                "height": 4,
                "length": 3,
                "file_names": ["second/0.png", "second/1.png", "second/2.png"],
            },
            {"id": 3, "width": 6, "height": 4, "length": 1, "file_names": ["first/0.png"]},
        ],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [
            {
                "id": 1,
                "video_id": 7,
                "category_id": 1,
                "iscrowd": 0,
                "segmentations": [{"size": [4, 6], "counts": RUNS}, None, text_code(MASK)],
            },
            {
                "id": 2,
                "video_id": 7,
                "category_id": 5,
                "iscrowd": 1,
                "segmentations": [None, [[2, 1, 5, 1, 5, 3, 2, 3]], []],
            },
        ],
    }


def written(folder: Path, data: Any) -> Path:
    path = folder / "UVO_video_val_dense.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_videos_come_in_the_order_of_their_ids_with_their_images(tmp_path: Path) -> None:
    videos = read_uvo(written(tmp_path, annotations()), tmp_path / "frames")
    assert [(v.video_id, v.name, v.size) for v in videos] == [
        (3, "first", SIZE),
        (7, "second", SIZE),
    ]
    assert videos[1].images == tuple(tmp_path / "frames" / "second" / f"{i}.png" for i in range(3))
    assert videos[0].tracks == ()


def test_masks_are_read_from_run_lengths_codes_and_polygons(tmp_path: Path) -> None:
    video = read_uvo(written(tmp_path, annotations()), tmp_path)[1]
    first, second = video.tracks
    for index in (0, 2):
        found = first.mask(index)
        assert found is not None and found.dtype == np.bool_
        np.testing.assert_array_equal(found, MASK)
    assert first.mask(1) is None
    # The polygon runs around the same pixels' outer edge.
    found = second.mask(1)
    assert found is not None
    np.testing.assert_array_equal(found, MASK)
    assert second.mask(0) is None and second.mask(2) is None
    assert (first.crowd, second.crowd) == (False, True)


@examples(80)
@given(st.integers(0, 2**32 - 1))
def test_codes_of_all_masks_are_taken_as_they_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 300, 2)
    mask = rng.random((height, width)) < rng.choice([0.0, 0.001, 0.5, 0.999, 1.0])
    if rng.random() < 0.5:
        mask = cv2.dilate(mask.astype(np.uint8), np.ones((9, 40))) > 0
    edges = np.flatnonzero(np.diff(mask.T.ravel().astype(int), prepend=0))
    wanted = np.diff(edges, prepend=0, append=mask.size)
    code = encode_rle(mask)
    np.testing.assert_array_equal(_runs(code["counts"]), wanted)
    assert _code(text_code(mask), mask.shape) == code  # type: ignore[arg-type]


def test_parts_of_an_object_are_one_mask(tmp_path: Path) -> None:
    data = annotations()
    squares = [[0, 0, 2, 0, 2, 2, 0, 2], [4, 2, 6, 2, 6, 4, 4, 4]]
    data["annotations"][1]["segmentations"][1] = squares
    found = read_uvo(written(tmp_path, data), tmp_path)[1].tracks[1].mask(1)
    wanted = np.zeros(SIZE, np.bool_)
    wanted[:2, :2] = wanted[2:, 4:] = True
    assert found is not None
    np.testing.assert_array_equal(found, wanted)


def test_a_set_without_annotations_has_videos_without_tracks(tmp_path: Path) -> None:
    data = annotations()
    del data["annotations"]
    videos = read_uvo(written(tmp_path, data), tmp_path)
    assert [len(video.tracks) for video in videos] == [0, 0]


def test_clips_of_one_folder_have_names_of_their_own(tmp_path: Path) -> None:
    data = annotations()
    data["videos"][1]["file_names"] = ["second/90.png"]
    names = [video.name for video in read_uvo(written(tmp_path, data), tmp_path)]
    assert names == ["second_3", "second_7"]


def test_images_are_read_as_rgb_when_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 255  # red
    cv2.imwrite(str(tmp_path / "first" / "0.png"), picture[..., ::-1])
    first, second = read_uvo(written(tmp_path, annotations()), tmp_path)
    np.testing.assert_array_equal(first.image(0), picture)
    with pytest.raises(UserError, match=r"2\.png: cannot be read"):
        second.image(2)


def test_results_are_what_evaluations_take(tmp_path: Path) -> None:
    videos = read_uvo(written(tmp_path, annotations()), tmp_path)
    sure = InstanceTrack.of_masks([MASK, None, ~MASK], score=0.75)
    path = tmp_path / "results.json"
    write_results(path, [(videos[0], []), (videos[1], [sure, videos[1].tracks[0]])])
    found = json.loads(path.read_text())
    assert [(each["video_id"], each["category_id"], each["score"]) for each in found] == [
        (7, 1, 0.75),
        (7, 1, 1.0),
    ]
    segmentations = found[0]["segmentations"]
    assert segmentations == [text_code(MASK), None, text_code(~MASK)]
    code = {"size": segmentations[2]["size"], "counts": segmentations[2]["counts"].encode()}
    np.testing.assert_array_equal(decode_rle(code), ~MASK)  # type: ignore[arg-type]


def test_results_of_nothing_are_an_empty_list(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", [])
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_the_truth_handed_in_scores_one(tmp_path: Path) -> None:
    video = read_uvo(written(tmp_path, annotations()), tmp_path)[1]
    path = tmp_path / "results.json"
    write_results(path, [(video, video.tracks)])
    found = []
    for each in json.loads(path.read_text()):
        codes = each["segmentations"]
        masks = [
            None if c is None else decode_rle({**c, "counts": c["counts"].encode()}) for c in codes
        ]
        found.append(InstanceTrack.of_masks(masks, each["score"]))
    assert score_videos([match_video(video.tracks, found)]).ap == 1


def test_results_that_do_not_fit_their_video_are_refused(tmp_path: Path) -> None:
    video = InstanceVideo(1, "street", (tmp_path / "0.png",), SIZE)
    long = InstanceTrack((None, None))
    other = InstanceTrack.of_masks([np.ones((6, 4))])
    with pytest.raises(UserError, match="'street', detection 1: 2 masks for 1 frames"):
        write_results(tmp_path / "results.json", [(video, [long])])
    with pytest.raises(UserError, match="detection 2: masks of"):
        write_results(tmp_path / "results.json", [(video, [InstanceTrack((None,)), other])])


def change(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The annotations with one value changed; None removes it."""
    data = copy.deepcopy(annotations())
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


FIRST = ("annotations", 0, "segmentations")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "not valid JSON"),
        ([], "not in the annotation format"),
        ({}, "'videos' is missing"),
        (change(("videos", 0, "height"), None), "'height' is missing"),
        (change(("videos", 0, "file_names"), []), "not in the annotation format"),
        (change(("videos", 0, "id"), 3), "same id"),
        (change(("annotations", 0, "segmentations"), None), "'segmentations' is missing"),
        (change(("annotations", 0, "video_id"), 9), "annotation 1 names the unknown video 9"),
        (change(FIRST, [None]), "'second', object 1: 1 masks for 3 frames"),
        (
            change((*FIRST, 0), {"size": [6, 4], "counts": RUNS}),
            "annotation 1: a mask has the size",
        ),
        (
            change((*FIRST, 0), {"size": [4, 6], "counts": [9, 2]}),
            "annotation 1: run lengths cover 11",
        ),
        (change((*FIRST, 0), {"size": [4, 6], "counts": [-1, 25]}), "annotation 1: run lengths"),
        # A code of 4 runs: 10, 10, 10 and 20.
        (change((*FIRST, 2), {"size": [4, 6], "counts": "::::"}), "run lengths cover 50 pixels"),
        (change((*FIRST, 2, "counts"), text_code(MASK)["counts"][:-1]), "run lengths cover"),
        (change((*FIRST, 2), {"size": [4, 6], "counts": ""}), "incomplete or not valid"),
        (change((*FIRST, 2), {"size": [4, 6], "counts": "9P"}), "incomplete or not valid"),
        (change((*FIRST, 2), {"size": [4, 6], "counts": "9 1"}), "incomplete or not valid"),
        (change((*FIRST, 2), {"size": [4, 6], "counts": "PPPPPPPPPPPPP0"}), "is not valid"),
        (change((*FIRST, 2), {"size": [4, 6], "counts": "9\u00fc"}), "annotation 1: "),
        (
            change((*FIRST, 0), [[1, 1, 3, 3]]),
            "annotation 1: a polygon must have 6, 8, 10, ... numbers, got 4",
        ),
        (change((*FIRST, 0), [[1, 1, 3, 1, 3, 3, 1]]), "numbers, got 7"),
        (change((*FIRST, 0), 5), "not in the annotation format"),
    ],
)
def test_what_are_no_annotations_is_refused_with_the_file(
    data: Any, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, data)
    with pytest.raises(UserError, match=message) as caught:
        read_uvo(path, tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check the path"):
        read_uvo(tmp_path / "nowhere.json", tmp_path)
