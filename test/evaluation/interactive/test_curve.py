"""Curves, the CSV file and the picture."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.interactive.curve import (
    COLUMNS,
    StudyCurve,
    mean_curve,
    plot_curves,
    write_curves,
)
from sam_pt_ros.evaluation.interactive.methods import (
    ANNOTATION_METHODS,
    Annotation,
    Budget,
    annotate,
)
from sam_pt_ros.interchange.visualization import PALETTE
from support.oracle import small_film

ONE, TWO = 25 / 43, 25 / 34


def curve(
    method: str, object_id: int = 1, interactions: int = 300, per_frame: int = 3
) -> StudyCurve:
    film = small_film()
    found = annotate(
        film.prompted(tracked=ANNOTATION_METHODS[method].tracked),
        film.annotated,
        ANNOTATION_METHODS[method],
        Budget(interactions, per_frame),
        object_id,
    )
    return StudyCurve("film", method, object_id, found)


def test_a_curve_knows_what_was_spent_and_what_came_of_it() -> None:
    online = curve("online")
    assert (online.spent, online.final_iou) == (3, 1.0)
    nothing = StudyCurve("film", "online", 1, Annotation(0.25, (), 2, complete=True))
    assert (nothing.spent, nothing.final_iou) == (0, 0.25)
    with pytest.raises(UserError, match="unknown annotation method"):
        StudyCurve("film", "other", 1, online.annotation)


def test_in_the_mean_a_curve_that_has_ended_stays_as_it_is() -> None:
    short, long = curve("online", interactions=1), curve("online")
    assert mean_curve([short, long]).tolist() == pytest.approx(
        [0, ONE, (ONE + TWO) / 2, (ONE + 1) / 2], abs=1e-15
    )
    assert mean_curve([short], 4).tolist() == [0, ONE, ONE, ONE]
    assert mean_curve([long], 2).tolist() == [0, ONE]


def test_the_file_holds_a_line_per_interaction(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    curves = [curve("online", 4), curve("sam_only")]
    write_curves(path, curves)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + 3 + 1 + 6 and tuple(rows[0]) == COLUMNS
    assert [row["number"] for row in rows] == [*"0123", *"0123456"]
    assert rows[0] | {"mean_iou": "", "kept_iou": ""} == dict.fromkeys(COLUMNS, "") | {
        "sequence": "film", "method": "online", "number": "0", "object_id": "4"
    }  # fmt: skip
    assert rows[2] == {
        "sequence": "film", "method": "online", "number": "2", "pass_number": "1", "goal": "0.95",
        "frame": "0", "object_id": "4", "action": "add", "x": "1.0", "y": "6.0", "label": "0",
        "iou_frame_before": repr(ONE), "iou_frame_after": repr(TWO), "mean_iou": repr(TWO),
        "kept_iou": repr(TWO),
    }  # fmt: skip
    kept = [float(row["kept_iou"]) for row in rows if row["method"] == "sam_only"]
    assert kept == curves[1].annotation.kept_ious.tolist()


def test_without_curves_the_file_has_a_header_only(tmp_path: Path) -> None:
    write_curves(tmp_path / "curves.csv", [])
    assert (tmp_path / "curves.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_the_picture_shows_each_way_of_working_in_its_colour(tmp_path: Path) -> None:
    # Beside each other, so that no line hides another.
    curves = [curve("online"), curve("sam_only"), curve("offline", per_frame=1, interactions=2)]
    for some in (curves, curves[:1]):
        path = tmp_path / f"{len(some)}.png"
        plot_curves(path, some, goal=0.95)
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        assert height > 500 and width > 900
        drawn = [
            bool((image.reshape(-1, 3) == PALETTE[number]).all(axis=1).any())
            for number in (6, 5, 4)
        ]
        assert drawn == [each in some for each in curves]


def test_the_picture_has_its_words(tmp_path: Path) -> None:
    import matplotlib as mpl

    path = tmp_path / "curves.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_curves(path, [curve("online", 1), curve("online", 2), curve("sam_only")], goal=0.95)
    text = path.read_text()
    assert "Online: 1.000 after 3 (2 objects)" in text
    assert "SAM only: 1.000 after 6 (1 object)" in text
    assert "Offline" not in text
    assert "Interactions per object (points added or removed)" in text
    assert "Mean IoU over the annotated frames (0 to 1)" in text
    assert "Goal, 0.95" in text


def test_an_object_without_interactions_can_be_drawn(tmp_path: Path) -> None:
    nothing = StudyCurve("film", "online", 1, Annotation(1.0, (), 2, complete=True))
    plot_curves(tmp_path / "curves.png", [nothing])
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_no_window_is_asked_for(tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    plot_curves(tmp_path / "curves.png", [curve("online")])
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_what_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = [curve("online")]
    with pytest.raises(UserError, match="no curve to plot"):
        plot_curves(tmp_path / "curves.png", [])
    with pytest.raises(UserError, match=r"curves\.xyz: cannot be written"):
        plot_curves(tmp_path / "curves.xyz", curves)
    missing = tmp_path / "missing" / "curves"
    with pytest.raises(UserError, match="No such file"):
        plot_curves(missing.with_suffix(".png"), curves)
    with pytest.raises(UserError, match="No such file"):
        write_curves(missing.with_suffix(".csv"), curves)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="pip install matplotlib"):
        plot_curves(tmp_path / "curves.png", curves)


def test_pictures_of_equal_curves_are_equal(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plot_curves(tmp_path / name, [curve("online"), curve("sam_only")])
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert np.frombuffer(first, np.uint8).size > 1000
