"""The charts: well-formed, the same again, true to the values, and nothing from elsewhere."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.chart_style import save_chart
from sam_pt_ros.evaluation.object_charts import object_chart, overview_chart
from sam_pt_ros.evaluation.results import ObjectRow, TimingRow
from sam_pt_ros.evaluation.score_charts import MAX_BARS, bar_chart, difference_chart
from sam_pt_ros.evaluation.thinning import thinned
from sam_pt_ros.evaluation.timing_charts import histogram_chart, stage_chart
from support.examples import examples

START = 1_700_000_000_123_456_789
SECOND = 1_000_000_000
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
HOSTILE = "<script>alert('x')</script> & $x^{ \x00\x1b 杯"


def row(frame: int, state: str = "TRACKING", object_id: int = 1, **others: float) -> ObjectRow:
    seen = state == "TRACKING"
    values: dict[str, float] = {"score": 0.9 * seen, "area": 100 * seen, **others}
    return ObjectRow(
        frame=frame,
        stamp=START + frame * SECOND,
        object_id=object_id,
        label="cup",
        state=state,
        score=values["score"],
        area=int(values["area"]),
        centroid_x=1.0,
        centroid_y=1.0,
        points_visible=int(values.get("visible", 5)),
        points_total=8,
        j=values.get("j", math.nan),
        f=values.get("f", math.nan),
    )


def chart_of(rows: list[ObjectRow]) -> str:
    return object_chart(rows, START, max(r.stamp for r in rows))


def timing(frame: int, total: float, tracker: float = 1.0) -> TimingRow:
    return TimingRow(frame, START + frame * SECOND, tracker, 2.0, 0.0, total)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def filled(svg: str, colour: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of every path that is filled in the colour."""
    boxes = []
    for node in ET.fromstring(svg).iter(f"{SVG}path"):
        if f"fill: {colour}" in node.get("style", ""):
            xy = np.array(re.findall(r"-?\d+\.?\d*", node.get("d", "")), float).reshape(-1, 2)
            boxes.append((*xy.min(0), *xy.max(0)))
    return boxes


def line_points(svg: str, colour: str) -> list[np.ndarray]:
    """The corners of every line that is drawn in the colour."""
    return [
        np.array(re.findall(r"-?\d+\.?\d*", node.get("d", "")), float).reshape(-1, 2)
        for node in ET.fromstring(svg).iter(f"{SVG}path")
        if node.get("style", "").startswith(f"fill: none; stroke: {colour}")
    ]


@cache
def every_chart() -> dict[str, str]:
    rows = [row(i, "LOST" if i == 3 else "TRACKING", j=0.8, f=0.7) for i in range(6)]
    named = [ObjectRow(**{**vars(r), "label": HOSTILE}) for r in rows]
    return {
        "object": chart_of(rows),
        "overview": overview_chart({1: named, 2: rows}, START, rows[-1].stamp),
        "stages": stage_chart([timing(i, 5.0) for i in range(6)], START),
        "histogram": histogram_chart([1.0, 2.0, 4.0], HOSTILE),
        "bars": bar_chart([HOSTILE, "b"], [0.5, 0.4], HOSTILE),
        "difference": difference_chart([HOSTILE, "b"], [0.5, 0.4], [0.6, 0.4], HOSTILE),
    }


# --- all of them ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_every_chart_is_well_formed_and_refers_to_nothing_outside() -> None:
    for name, svg in every_chart().items():
        root = ET.fromstring(svg)
        assert root.tag == f"{SVG}svg", name
        without_names = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", svg)
        assert "http" not in without_names, name
        assert not list(root.iter(f"{SVG}script")) and not list(root.iter(f"{SVG}image"))
        assert set(re.findall(r'href="([^"])', svg)) <= {"#"}
        assert root.get("role") == "img" and root.get("aria-label")


def test_hostile_names_stay_text() -> None:
    charts_by_name = every_chart()
    for name in ("bars", "difference"):
        found = [text for text in texts(charts_by_name[name]) if "alert" in text]
        assert any(text.startswith("<script>alert('x')</script>") for text in found), name
    assert "$x^2$" in texts(bar_chart(["$x^2$"], [0.5], "J"))
    cleaned = "<script>alert('x')</script> & $x^{ \ufffd\ufffd 杯 (ms)"
    assert cleaned in texts(charts_by_name["histogram"])


def test_ids_of_different_charts_do_not_meet() -> None:
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in every_chart().values()]
    assert all(ids)
    for first, second in itertools.combinations(ids, 2):
        assert not first & second


def test_the_same_values_give_the_same_text_whatever_the_users_settings() -> None:
    once = every_chart()
    with matplotlib.rc_context({"svg.fonttype": "path", "font.size": 30, "axes.grid": True}):
        assert every_chart.__wrapped__() == once
        assert matplotlib.rcParams["font.size"] == 30


def test_pyplot_is_not_imported_nor_a_window_opened() -> None:
    code = (
        "import sys; from sam_pt_ros.evaluation.score_charts import bar_chart;"
        "bar_chart(['a'], [0.5], 'J'); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_letters_take_the_colour_of_the_page() -> None:
    for name, svg in every_chart().items():
        styles = [node.get("style", "") for node in ET.fromstring(svg).iter(f"{SVG}text")]
        assert styles and all("fill: currentColor" in style for style in styles), name
        assert "fill: #ffffff" not in svg, name


# --- thinning out ---------------------------------------------------------------------------

VALUES = st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=1, max_size=300)


@examples(200)
@given(VALUES, st.integers(5, 60))
def test_thinning_keeps_the_ends_the_extremes_and_the_gaps(
    values: list[float], limit: int
) -> None:
    array = np.array(values)
    chosen = thinned(array, limit)
    assert len(chosen) <= limit and (np.diff(chosen) > 0).all()
    assert chosen[0] == 0 and chosen[-1] == len(values) - 1
    left = array[chosen]
    known = array[~np.isnan(array)]
    assert np.isnan(left).any() == np.isnan(array).any()
    if len(known):
        assert np.nanmin(left) == known.min() and np.nanmax(left) == known.max()


def test_few_values_all_stay() -> None:
    assert thinned(np.arange(7.0), 7).tolist() == list(range(7))


def test_each_stretch_keeps_its_own_peak() -> None:
    values = np.zeros(9000)
    peaks = [10, 4321, 8000]
    values[peaks] = [1, -1, 0.5]
    assert set(peaks) <= set(thinned(values, 900).tolist())


# --- one object -----------------------------------------------------------------------------


def test_bands_of_states_lie_where_the_states_are() -> None:
    states = "TTOOTLLTTT"
    names = {"T": "TRACKING", "O": "OCCLUDED", "L": "LOST"}
    svg = chart_of([row(i, names[s]) for i, s in enumerate(states)])
    # The axis of 9 seconds reaches from 0.62 to 4.9 of 5 inches, 72 points each.
    left, right = 0.62 * 72, 4.9 * 72

    def seconds(boxes: list[tuple[float, float, float, float]]) -> list[tuple[float, float]]:
        return [
            tuple(round((x - left) / (right - left) * 9, 2) for x in (box[0], box[2]))
            for box in boxes
        ]

    tracking, lost = filled(svg, "#e69f00"), filled(svg, "currentColor")
    bands = [box for box in tracking if box[2] - box[0] > 10]  # not the dots of the lines
    assert seconds(bands) == [(0, 2), (4, 5), (7, 10)]
    black = [box for box in lost if box[2] - box[0] > 10]
    assert seconds(black) == [(5, 7)]
    hatched = [box for box in filled(svg, "url") if box[2] - box[0] > 10]
    assert seconds(hatched) == [(2, 4)]
    # Without colour: each state has its lane.
    assert bands[0][3] <= hatched[0][1] and hatched[0][3] <= black[0][1]
    assert [t for t in texts(svg) if t in ("tracking", "occluded", "lost")] == [
        "tracking", "occluded", "lost",
    ]  # fmt: skip


def test_missing_frames_leave_a_gap_in_bands_and_curves() -> None:
    svg = chart_of([row(i) for i in range(101) if not 40 <= i < 60])
    bands = [box for box in filled(svg, "#e69f00") if box[2] - box[0] > 10]
    left, right = 0.62 * 72, 4.9 * 72
    found = [[round((x - left) / (right - left) * 100, 1) for x in box[::2]] for box in bands]
    assert found == [[0, 40], [60, 101]]
    curves = [
        node.get("d", "").count("M ")
        for node in ET.fromstring(svg).iter(f"{SVG}path")
        if node.get("style", "").startswith("fill: none; stroke: #e69f00")
    ]
    assert curves[:3] == [2, 2, 2]  # score, area, points


def test_curves_have_the_values_of_the_rows() -> None:
    scores = [0.0, 1.0, 0.25, 0.5]
    svg = chart_of([row(i, score=s, visible=0) for i, s in enumerate(scores)])
    curve = next(xy for xy in line_points(svg, "#e69f00") if len(xy) == 4)
    x, y = curve[:, 0], curve[:, 1]
    np.testing.assert_allclose(np.diff(x), x[1] - x[0], atol=1e-3)
    height = y[0] - y[1]  # of 0 to 1; SVG counts from the top
    np.testing.assert_allclose((y[0] - y) / height, scores, atol=1e-4)


def test_truth_is_drawn_exactly_if_there_is_one() -> None:
    plain = chart_of([row(i) for i in range(5)])
    assert not any("truth" in text for text in texts(plain))
    some = chart_of([row(i, j=0.5 if i % 2 else math.nan, f=0.25) for i in range(5)])
    assert {"J against the ground truth", "F against the ground truth"} <= set(texts(some))
    curves = [len(xy) for xy in line_points(some, "#e69f00")[:5]]  # then the legend's
    assert curves == [5, 2, 5, 5, 5]


def test_axes_name_their_units() -> None:
    found = texts(chart_of([row(0), row(1)]))
    assert {"time (s)", "area of the mask (px)", "positive points", "total"} <= set(found)
    assert {"time (s)", "processing (ms)"} <= set(
        texts(stage_chart([timing(0, 1.0), timing(1, 1.0)], START))
    )


def test_yellow_has_an_outline_and_other_colours_have_none() -> None:
    assert line_points(chart_of([row(i, object_id=4) for i in range(5)]), "#4a4a4a")
    assert not line_points(chart_of([row(i, object_id=1) for i in range(5)]), "#4a4a4a")


def test_one_frame_makes_a_chart() -> None:
    curves = line_points(chart_of([row(0, j=1.0, f=1.0)]), "#e69f00")[:5]
    assert [len(xy) for xy in curves] == [1] * 5
    overview_chart({1: [row(0)]}, START, START)
    stage_chart([timing(0, 4.0)], START)


def test_a_long_run_stays_small_and_keeps_a_short_loss() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(i, "LOST" if i == 7777 else "TRACKING", score=s, area=int(9000 * s), j=s, f=s)
        for i, s in enumerate(rng.uniform(0.5, 1, 10_000).tolist())
    ]
    rows[5000] = row(5000, score=0.0)
    svg = chart_of(rows)
    assert len(svg) < 200_000
    assert [box for box in filled(svg, "currentColor") if 300 < box[2] * 360 / 308 < 400]
    curve = line_points(svg, "#e69f00")[0][:, 1]
    assert np.argmax(curve) / len(curve) == pytest.approx(0.5, abs=0.05)


def test_rows_of_two_objects_are_no_object() -> None:
    for rows in ([], [row(0), row(0, object_id=2)]):
        with pytest.raises(ValueError, match="one object"):
            object_chart(rows, START, START)


# --- all objects, and times -----------------------------------------------------------------


def test_overview_has_a_row_for_each_of_100_objects() -> None:
    objects = {k: [row(i, object_id=k) for i in range(3)] for k in range(1, 121)}
    svg = overview_chart(objects, START, START + 2 * SECOND)
    names = [text for text in texts(svg) if text.endswith(" cup")]
    assert names == [f"{k} cup" for k in range(1, 101)]
    with pytest.raises(ValueError, match="at least one"):
        overview_chart({}, START, START)


def test_overview_tells_states_apart_by_thickness() -> None:
    rows = [row(0), row(1, "OCCLUDED"), row(2, "LOST"), row(3)]
    svg = overview_chart({1: rows}, START, START + 3 * SECOND)
    boxes = sorted(filled(svg, "#e69f00"))
    heights = [box[3] - box[1] for box in boxes]
    assert len(boxes) == 3 and heights[0] == pytest.approx(3 * heights[1], rel=0.01)
    assert "stroke-dasharray" in svg


def test_a_slow_start_does_not_flatten_the_rest_and_is_said() -> None:
    timings = [timing(i, 3000.0 if i == 0 else 10.0) for i in range(50)]
    found = texts(stage_chart(timings, START))
    assert "1 frame above 25 ms, the longest 3000 ms" in found
    found = texts(histogram_chart([t.total for t in timings], "total"))
    assert "1 frame above 25 ms, the longest 3000 ms (in the last bar)" in found
    assert not any("above" in t for t in texts(stage_chart(timings[1:], START)))


def test_stages_add_up_to_the_total() -> None:
    svg = stage_chart([timing(0, 10.0, tracker=3.0), timing(1, 10.0, tracker=3.0)], START)
    heights = [box[3] - box[1] for colour in ("#59606b", "#a3abb8")
               for box in filled(svg, colour)[:1]]  # fmt: skip
    assert heights[0] / heights[1] == pytest.approx(3 / 2, rel=1e-3)
    # 3 in the tracker, 2 in the segmenter, and so 5 that nobody accounts for.
    other = max(filled(svg, "url"), key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
    assert (other[3] - other[1]) / heights[0] == pytest.approx(5 / 3, rel=1e-3)


def test_histogram_marks_its_median_and_95_percent() -> None:
    values = [float(v) for v in range(1, 102)]  # 1 to 101
    found = texts(histogram_chart([*values, math.nan, math.inf], "delay"))
    assert {"median 51.0 ms", "95th percentile 96.0 ms", "delay (ms)", "frames"} <= set(found)
    with pytest.raises(ValueError, match="at least one"):
        histogram_chart([math.nan], "delay")


def test_histogram_of_equal_and_of_zero_durations() -> None:
    for value in (0.0, 7.0):
        assert f"median {value:.1f} ms" in texts(histogram_chart([value] * 3, "delay"))


# --- names and values -----------------------------------------------------------------------


def test_bars_begin_with_the_lowest_and_have_their_lengths() -> None:
    svg = bar_chart(["high", "none", "low"], [0.8, math.nan, 0.2], "J&F")
    found = texts(svg)
    assert [t for t in found if t in ("high", "low", "none")] == ["low", "high"]
    assert {"0.200", "0.800", "J&F"} <= set(found)
    low, high = (box[2] - box[0] for box in filled(svg, "#8a93a0"))
    assert high / low == pytest.approx(4, rel=1e-3)


def test_of_many_bars_the_lowest_are_drawn() -> None:
    count = MAX_BARS + 5
    found = texts(bar_chart([f"s{i}" for i in range(count)], np.linspace(0, 1, count), "J"))
    assert f"the {MAX_BARS} lowest of {count}" in found
    assert "s0" in found and f"s{count - 1}" not in found
    with pytest.raises(ValueError, match="at least one"):
        bar_chart(["a"], [math.nan], "J")


def changes(svg: str) -> list[str]:
    return [t for t in texts(svg) if re.fullmatch(r"[+−]\d\.\d{3}", t)]


def test_differences_are_sorted_and_signed() -> None:
    names, before, after = ["same", "worse", "best", "good"], [0.5] * 4, [0.5, 0.4, 0.9, 0.6]
    svg = difference_chart(names, before, after, "J&F")
    assert changes(svg) == ["+0.400", "+0.100", "+0.000", "−0.100"]
    assert [t for t in texts(svg) if t in names] == ["best", "good", "same", "worse"]
    bold = [n for n in ET.fromstring(svg).iter(f"{SVG}text") if "bold" in n.get("style", "")
            or "700" in n.get("style", "")]  # fmt: skip
    assert ["".join(n.itertext()) for n in bold] == ["−0.100"]


def test_where_less_is_better_the_order_turns_round() -> None:
    svg = difference_chart(["up", "down"], [0.5, 0.5], [0.6, 0.4], "decay", higher_is_better=False)
    assert [t for t in texts(svg) if t in ("up", "down")] == ["down", "up"]
    assert changes(svg) == ["−0.100", "+0.100"]


def marks(svg: str) -> Counter[tuple[str, str]]:
    """How often each outline was set down in each filling."""
    root = ET.fromstring(svg)
    outlines = {
        f"#{node.get('id')}": " ".join(node.get("d", "").split())
        for node in root.iter(f"{SVG}path")
        if node.get("id")
    }
    return Counter(
        (outlines[use.get(HREF, "")], "hollow" if "fill-opacity: 0;" in style else "filled")
        for use in root.iter(f"{SVG}use")
        for style in [use.get("style", "")]
        if "stroke-width: 0.6" not in style  # a tick of an axis
    )


def test_better_and_worse_differ_in_shape_and_in_filling() -> None:
    better = marks(difference_chart(["a"], [0.5], [0.6], "J"))
    worse = marks(difference_chart(["a"], [0.5], [0.4], "J"))
    ((gain, filled_in),), ((loss, hollow),) = better - worse, worse - better
    assert (filled_in, hollow) == ("filled", "hollow") and gain != loss
    # Where less is better, the triangle that points to the left is the filled one.
    less = marks(difference_chart(["a"], [0.5], [0.4], "J", higher_is_better=False))
    assert less[loss, "filled"] == 2 and not less[loss, "hollow"]  # one is in the legend


def test_names_without_both_values_are_left_out_and_counted() -> None:
    nan = math.nan
    svg = difference_chart(["a", "b", "c"], [0.1, nan, 0.2], [0.2, 0.5, nan], "J")
    found = texts(svg)
    assert "2 without a value" in found and "a" in found and "b" not in found
    with pytest.raises(UserError, match="none of 1 names"):
        difference_chart(["a"], [nan], [0.5], "J")
    with pytest.raises(UserError, match="none of 0 names"):
        difference_chart([], [], [], "J")
    with pytest.raises(ValueError, match=r"shorter|longer"):
        difference_chart(["a"], [0.1, 0.2], [0.5], "J")


def test_of_many_differences_the_largest_are_drawn() -> None:
    count = MAX_BARS + 10
    after = [0.5 + (i - count // 2) / (2 * count) for i in range(count)]
    svg = difference_chart([f"s{i}" for i in range(count)], [0.5] * count, after, "J")
    found = texts(svg)
    assert f"the {MAX_BARS} of {count} that changed most" in found
    assert {"s0", f"s{count - 1}"} <= set(found) and f"s{count // 2}" not in found
    assert len(changes(svg)) == MAX_BARS


# --- files ----------------------------------------------------------------------------------


def test_a_saved_chart_is_a_file_of_its_own_on_white(tmp_path: Path) -> None:
    svg = bar_chart(["a"], [0.5], "J")
    path = tmp_path / "bars.svg"
    path.write_text("old")
    save_chart(path, svg)
    root = ET.parse(path).getroot()
    assert root.tag == f"{SVG}svg" and root[0].get("fill") == "#fff"
    assert len(root) == len(ET.fromstring(svg)) + 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_chart_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    svg = bar_chart(["a"], [0.5], "J")
    with pytest.raises(UserError, match=r"cannot be written .*check the folder"):
        save_chart(tmp_path / "missing" / "bars.svg", svg)
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        save_chart(tmp_path / "folder.svg", svg)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.svg"]
