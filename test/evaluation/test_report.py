"""The reports: what they tell, that nothing in them is code, and that they are one file."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.report import (
    MAX_DRAWN,
    LiveFigures,
    ReportData,
    write_dataset_report,
    write_report,
)
from sam_pt_ros.evaluation.report_page import escaped, number, object_name, percent, picture, table
from sam_pt_ros.evaluation.results import ObjectRow, ScoreRow, TimingRow
from sam_pt_ros.interchange.visualization import object_colour

START = 1_700_000_000_123_456_789
PERIOD = 100_000_000
NAN = math.nan
HOSTILE = "<script>alert('x')</script>\"&\x00"
KNOWN_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "section"),
    *("dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "span", "img"),
    *("figure", "figcaption", "svg", "defs", "g", "path", "use", "text", "clippath", "rect"),
    "pattern",
}
VOID_TAGS = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Reads a page; an element that is not closed in its turn is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.opened, self.tags = text, list[str](), list[str]()
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.opened

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID_TAGS:
            self.opened.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.opened:
            return
        self.words += data
        if {"th", "td"} & set(self.opened):
            self.tables[-1][-1][-1] += data

    def table(self, head: str) -> list[list[str]]:
        """Rows of the table whose first column has that name, the names first."""
        return next(rows for rows in self.tables if rows[0][0] == head)

    def record(self, head: str, line: int) -> dict[str, str]:
        rows = self.table(head)
        return dict(zip(rows[0], rows[1 + line], strict=True))


def rows_of(object_id: int, states: str, label: str = "cup") -> list[ObjectRow]:
    names = {"T": "TRACKING", "O": "OCCLUDED", "L": "LOST"}
    return [
        ObjectRow(
            frame=i,
            stamp=START + i * PERIOD,
            object_id=object_id,
            label=label,
            state=names[state],
            score=0.8 * (state == "T"),
            area=50 * (state == "T"),
            centroid_x=1.0,
            centroid_y=1.0,
            points_visible=3,
            points_total=8,
        )
        for i, state in enumerate(states)
    ]


def score_of(object_id: int, **values: Any) -> ScoreRow:
    start: dict[str, Any] = {
        "sequence": "bag", "seed": 0, "label": "cup", "group": "",
        "frames": 10, "tracked": 0.5, "score": 0.75,
    }  # fmt: skip
    return ScoreRow(object_id=object_id, **{**start, **values})


def data_of(**values: Any) -> ReportData:
    rows = values.pop("rows", rows_of(1, "TTTTTOOLLL"))
    start: dict[str, Any] = {
        "title": "A run",
        "source": "kitchen",
        "configuration": {"tracker": "lucas_kanade", "threads": 1, "require_positive": False},
        "versions": {"numpy": "2.2"},
        "rows": rows,
        "timings": [TimingRow(i, START + i * PERIOD, 1.0, 2.0, 0.0, 4.0) for i in range(10)],
        "scores": [score_of(object_id) for object_id in sorted({row.object_id for row in rows})],
        "frame_stamps": [START + i * PERIOD for i in range(10)],
    }
    return ReportData(**{**start, **values})


def report(tmp_path: Path, data: ReportData) -> Page:
    path = tmp_path / "report.html"
    write_report(path, data)
    return Page(path.read_text(encoding="utf-8"))


def dataset_report(
    tmp_path: Path,
    rows: Sequence[ScoreRow],
    figures: dict[str, tuple[float, float]] | None = None,
    problems: Sequence[str] = (),
    title: str = "A data set",
) -> Page:
    path = tmp_path / "dataset.html"
    write_dataset_report(
        path, title, {"threads": 1}, {"numpy": "2.2"}, rows, figures or {}, problems
    )
    return Page(path.read_text(encoding="utf-8"))


def check_self_contained(page: Page) -> None:
    without_names = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", page.text)
    assert not re.search(r"https?:|//[a-z]|@import|<!ENTITY", without_names)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert value.startswith(("#", "data:image/")), (tag, name, value[:60])
        if "url(" in value:
            assert set(re.findall(r"url\((.)", value)) == {"#"}


# --- a run ----------------------------------------------------------------------------------


def full_data(name: str = "cup") -> ReportData:
    """Everything that a report can hold; ``name`` wherever there is a text."""
    rows = [*rows_of(1, "TTTTTOOLLL", name), *rows_of(2, "TTTTTTTTTT", name)]
    return data_of(
        title=name,
        source=name,
        configuration={name: name},
        versions={name: name},
        rows=[replace(row, j=0.5, f=0.4) for row in rows],
        scores=[score_of(1, label=name, j_mean=0.5, f_mean=0.4), score_of(2, label=name)],
        strip=np.full((20, 60, 3), 90, np.uint8),
        problems=[name],
        partial=name,
        live=LiveFigures(12, 10, 2, [30.0, 40.0, 50.0]),
    )


def test_a_full_report_is_one_file_without_code(tmp_path: Path) -> None:
    page = report(tmp_path, full_data())
    check_self_contained(page)
    assert page.tags.count("svg") == 6  # overview, two objects, stages, two histograms
    assert page.tags.count("img") == 1
    assert ("meta", "charset", "utf-8") in page.attributes
    assert any(name == "content" and "width=device-width" in v for _, name, v in page.attributes)
    assert "default-src 'none'" in page.text
    for medium in ("prefers-color-scheme: dark", "@media print"):
        assert medium in page.text


def test_no_text_becomes_code(tmp_path: Path) -> None:
    page = report(tmp_path, full_data(HOSTILE))
    check_self_contained(page)
    shown = HOSTILE.replace("\x00", "\ufffd")
    # Window, heading, source, banner, problem, table, 2 charts, 2 x 2 in the tables below.
    assert page.words.count(shown) == 13
    assert "\x00" not in page.text
    assert [t for t in page.tags if t not in KNOWN_TAGS] == []


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    write_report(first, full_data())
    write_report(second, full_data())
    assert first.read_bytes() == second.read_bytes()


def test_the_table_has_each_objects_shares_and_means(tmp_path: Path) -> None:
    scores = [
        score_of(
            1, score=0.875, j_mean=0.5, j_recall=0.25, j_decay=-0.125, f_mean=0.75,
            f_recall=1.0, f_decay=0.0625, points_inside=0.9, survival=0.3,
        ),
        score_of(2, label="box", tracked=1.0),
    ]  # fmt: skip
    rows = [*rows_of(1, "TTTTTOOLLL"), *rows_of(2, "T" * 10, "box")]
    page = report(tmp_path, data_of(rows=rows, scores=scores))
    assert page.record("Object", 0) == {
        "Object": "1 cup", "Frames": "10", "Tracked": "50.0 %", "Occluded": "20.0 %",
        "Lost": "30.0 %", "Mean score": "0.875", "J&F": "0.625", "J mean": "0.500",
        "J recall": "0.250", "J decay": "−0.125", "F mean": "0.750", "F recall": "1.000",
        "F decay": "0.062", "Points inside": "90.0 %", "Survival": "30.0 %",
    }  # fmt: skip
    second = page.record("Object", 1)
    assert (second["Object"], second["Tracked"], second["Lost"]) == ("2 box", "100.0 %", "0.0 %")
    assert (second["J&F"], second["Survival"]) == ("–", "–")
    assert "J&F, mean of objects0.625" in page.words


def test_without_a_truth_there_are_no_columns_for_it(tmp_path: Path) -> None:
    page = report(tmp_path, data_of())
    assert page.table("Object")[0] == [
        "Object", "Frames", "Tracked", "Occluded", "Lost", "Mean score",
    ]  # fmt: skip
    assert "against the ground truth" not in page.words


def test_objects_without_rows_or_without_scores_are_in_the_table(tmp_path: Path) -> None:
    data = data_of(rows=rows_of(2, "TO"), scores=[score_of(1, frames=0, tracked=0.25)])
    page = report(tmp_path, data)
    first, second = page.record("Object", 0), page.record("Object", 1)
    assert (first["Tracked"], first["Lost"]) == ("25.0 %", "–")
    assert (second["Frames"], second["Occluded"], second["Mean score"]) == (
        "2", "50.0 %", "0.800",
    )  # fmt: skip


def test_each_object_has_its_colour_everywhere(tmp_path: Path) -> None:
    data = data_of(rows=[*rows_of(1, "TTTT"), *rows_of(9, "TTTT")])
    page = report(tmp_path, data)
    for object_id in (1, 9):
        red, green, blue = object_colour(object_id)
        assert page.text.count(f"rgb({red},{green},{blue})") == 2  # table, heading of the chart
        assert f"fill: #{red:02x}{green:02x}{blue:02x}" in page.text


def test_an_early_end_is_said_at_the_top_and_only_then(tmp_path: Path) -> None:
    page = report(tmp_path, data_of(partial="Interrupted after 3 of 10 frames."))
    assert ("div", "class", "banner") in page.attributes
    words = page.words
    assert words.index("Interrupted after 3 of 10 frames.") < words.index("Objects")
    assert ("div", "class", "banner") not in report(tmp_path, data_of()).attributes
    assert "Incomplete" not in report(tmp_path, data_of()).words
    assert "Incomplete" in report(tmp_path, data_of(partial="")).words


def test_problems_are_listed(tmp_path: Path) -> None:
    page = report(tmp_path, data_of(problems=["first thing", "second thing"]))
    assert page.tags.count("li") == 2 and "second thing" in page.words
    assert "Problems" not in report(tmp_path, data_of()).words


def test_configuration_and_versions_are_as_in_a_file(tmp_path: Path) -> None:
    page = report(tmp_path, data_of(versions={}))
    assert page.table("Parameter")[1:] == [
        ["tracker", "lucas_kanade"], ["threads", "1"], ["require_positive", "false"],
    ]  # fmt: skip
    assert "None." in page.words


def test_figures_of_the_run(tmp_path: Path) -> None:
    words = report(tmp_path, data_of()).words
    # 10 frames, 100 ms apart, each processed in 4 ms.
    for text in ("Frames10", "Duration0.9 s", "Camera10.0 frames/s", "median4.0 ms"):
        assert text in words, text
    assert "Dropped" not in words


def test_a_live_run_has_its_counts_and_latencies(tmp_path: Path) -> None:
    page = report(tmp_path, data_of(live=LiveFigures(153, 150, 3, [10.0, 20.0, 60.0])))
    for text in ("Frames in153", "Results out150", "Dropped3", "median 20.0 ms"):
        assert text in page.words, text
    assert "from the camera's stamp to the mask (ms)" in page.words
    nothing = report(tmp_path, data_of(live=LiveFigures(5, 0, 5, [])))
    assert "to the mask" not in nothing.words and "Dropped5" in nothing.words


def test_the_strip_keeps_its_colours_and_scales(tmp_path: Path) -> None:
    strip = np.zeros((40, 120, 3), np.uint8)
    strip[:, :60, 0], strip[:, 60:, 2] = 200, 200  # red at the left, blue at the right
    page = report(tmp_path, data_of(strip=strip))
    source = next(v for tag, name, v in page.attributes if (tag, name) == ("img", "src"))
    data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"), validate=True)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == strip.shape
    np.testing.assert_allclose(image[20, 20, ::-1], (200, 0, 0), atol=12)
    np.testing.assert_allclose(image[20, 100, ::-1], (0, 0, 200), atol=12)
    assert "max-width: 100%" in page.text
    assert "img" not in report(tmp_path, data_of()).tags


def test_a_picture_too_large_for_browsers_is_made_smaller() -> None:
    text = picture(np.zeros((10, 20_000, 3), np.uint8), "long")
    assert 'width="8000" height="4"' in text


def test_of_100_objects_some_are_drawn_and_all_are_in_the_table(tmp_path: Path) -> None:
    rows = [row for k in range(1, 101) for row in rows_of(k, "TTO")]
    page = report(tmp_path, data_of(rows=rows))
    assert page.tags.count("h3") == MAX_DRAWN == 12
    assert len(page.table("Object")) == 101
    # Each name in the table and in the overview; 12 above charts of their own.
    assert [page.words.count(f"{k} cup") for k in (99, 100)] == [2, 2]
    assert "The first 12 of 100 objects have a chart; the other 88" in page.words
    few = report(tmp_path, data_of(rows=rows_of(1, "TT")))
    assert "have a chart" not in few.words and few.tags.count("h3") == 1


def test_an_empty_run_makes_a_report(tmp_path: Path) -> None:
    data = data_of(rows=[], timings=[], scores=[], frame_stamps=[], configuration={})
    page = report(tmp_path, data)
    check_self_contained(page)
    assert "No object was tracked." in page.words and "svg" not in page.tags


def test_a_run_of_one_frame_makes_a_report(tmp_path: Path) -> None:
    data = data_of(
        rows=rows_of(1, "T"),
        timings=[TimingRow(0, START, NAN, NAN, NAN, NAN)],
        frame_stamps=[START],
    )
    page = report(tmp_path, data)
    assert "Camera" not in page.words and "svg" in page.tags
    assert "median" not in page.words


def test_rows_in_any_order_make_the_same_report(tmp_path: Path) -> None:
    data = full_data()
    mixed = replace(data, rows=data.rows[::-1], timings=data.timings[::-1])
    assert report(tmp_path, mixed).text == report(tmp_path, data).text


def test_ten_thousand_frames_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = rows_of(1, "".join(rng.choice(list("TTTTOL"), 10_000)))
    rows = [replace(row, j=j, f=j, area=int(j * 9999)) for row, j in zip(rows, rng.random(10_000))]
    timings = [TimingRow(r.frame, r.stamp, 1.0, 2.0, 0.0, 4 + r.j) for r in rows]
    stamps = [row.stamp for row in rows]
    page = report(tmp_path, data_of(rows=rows, timings=timings, frame_stamps=stamps))
    assert len(page.text) < 500_000
    assert page.words.count("is drawn by its minimum and its maximum") == 2
    assert "its minimum" not in report(tmp_path, data_of()).words


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frame_stamps": [2, 1]}, "must ascend"),
        ({"scores": [score_of(3), score_of(3)]}, "object 3 more than once"),
        ({"rows": [replace(rows_of(1, "T")[0], state="SEEN")]}, r"LOST, got \['SEEN'\]"),
        ({"strip": np.zeros((4, 5), np.uint8)}, "film strip"),
        ({"strip": np.zeros((4, 5, 3), np.float32)}, "film strip"),
        ({"strip": np.zeros((0, 5, 3), np.uint8)}, "film strip"),
    ],
)
def test_wrong_data_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_of(**wrong)


@pytest.mark.parametrize("name", ["frames_in", "frames_out", "dropped"])
def test_live_counts_are_not_negative(name: str) -> None:
    counts = {"frames_in": 1, "frames_out": 1, "dropped": 0, name: -1}
    with pytest.raises(UserError, match=name):
        LiveFigures(**counts, latencies_ms=[])


def test_a_report_replaces_the_old_one_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write = Path.write_text

    def torn(self: Path, text: str, **options: Any) -> int:
        write(self, text[:100], **options)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", torn)
        with pytest.raises(UserError, match="No space left"):
            write_report(path, data_of())
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    write_report(path, data_of())
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match="cannot be written"):
        write_report(tmp_path / "missing" / "report.html", data_of())


# --- a data set -----------------------------------------------------------------------------


def seeds_of(
    sequence: str, object_id: int, means: Sequence[float], **values: Any
) -> list[ScoreRow]:
    return [
        score_of(object_id, sequence=sequence, seed=seed, j_mean=mean, f_mean=mean, **values)
        for seed, mean in enumerate(means)
    ]


def test_a_data_set_has_means_over_the_seeds(tmp_path: Path) -> None:
    rows = [
        *seeds_of("dog", 1, [0.5, 0.7], survival=0.5),
        *seeds_of("cat", 1, [0.2, NAN]),
        *seeds_of("cat", 2, [0.4, 0.4]),
    ]
    page = dataset_report(
        tmp_path, rows, {"J&F": (0.638, 0.0123), "F decay": (-0.25, NAN)}, ["'fox': no memory"]
    )
    check_self_contained(page)
    found = [page.record("Sequence", i) for i in range(3)]
    assert [(r["Sequence"], r["Object"], r["J&F"], r["Seeds"]) for r in found] == [
        ("cat", "1 cup", "0.200", "2"),
        ("cat", "2 cup", "0.400", "2"),
        ("dog", "1 cup", "0.600", "2"),
    ]
    assert [r["Survival"] for r in found] == ["–", "–", "50.0 %"]
    assert "Group" not in found[0] and "J recall" not in found[0]
    for text in ("J&F0.638 ± 0.012", "F decay−0.250", "'fox': no memory", "Failures and problems"):
        assert text in page.words, text
    assert page.words.count("±") == 1  # a deviation that is not known is not shown
    for text in ("Sequences2", "Objects3", "Seeds0, 1"):
        assert text in page.words, text
    # The chart: cat's mean is that of 0.2, 0.4 and 0.4; the lowest comes first.
    assert page.words.index("0.333") < page.words.rindex("0.600")
    assert page.tags.count("svg") == 1


def test_groups_have_a_column_if_there_are_some(tmp_path: Path) -> None:
    rows = seeds_of("dog", 1, [0.5], group="unseen")
    assert dataset_report(tmp_path, rows).record("Sequence", 0)["Group"] == "unseen"


def test_a_data_set_without_results_or_truth_makes_a_report(tmp_path: Path) -> None:
    page = dataset_report(tmp_path, [], problems=["'dog': broken", "'cat': broken"])
    assert "No sequence was evaluated." in page.words and "Nothing was scored." in page.words
    assert page.tags.count("li") == 2 and "svg" not in page.tags
    unscored = dataset_report(tmp_path, [score_of(1)])
    assert "svg" not in unscored.tags and "J&F" not in unscored.words
    assert unscored.record("Sequence", 0)["Tracked"] == "50.0 %"


def test_no_text_of_a_data_set_becomes_code(tmp_path: Path) -> None:
    rows = seeds_of(HOSTILE, 1, [0.5], label=HOSTILE, group=HOSTILE)
    page = dataset_report(tmp_path, rows, {HOSTILE: (0.5, 0.1)}, [HOSTILE], HOSTILE)
    check_self_contained(page)
    # Window, heading, problem, figure, three cells, the chart's name of the sequence (not
    # shortened: it is 30 long).
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert page.words.count(shown) == 8
    assert [t for t in page.tags if t not in KNOWN_TAGS] == []


# --- pieces of a page -----------------------------------------------------------------------


def test_pieces_are_escaped_once() -> None:
    once = escaped("a & <b>")
    assert once == "a &amp; &lt;b&gt;" and escaped(once) == once
    assert object_name(1, "a&b").endswith("1 a&amp;b")
    assert "&lt;i&gt;" in table(["<i>"], []) and "<i>" not in table(["<i>"], [])


def test_rows_must_fit_the_head_of_a_table() -> None:
    with pytest.raises(ValueError, match="zip"):
        table(["a", "b"], [["1"]])


def test_text_that_utf8_cannot_say_is_replaced(tmp_path: Path) -> None:
    page = report(tmp_path, data_of(title="cup \ud800"))
    assert "cup \ufffd" in page.words


def test_unknown_figures_are_dashes() -> None:
    assert (number(NAN), percent(NAN), number(-0.5), percent(0.125)) == (
        "–", "–", "−0.500", "12.5 %",
    )  # fmt: skip
