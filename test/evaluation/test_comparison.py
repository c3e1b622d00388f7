"""Comparisons of small runs whose values were computed by hand."""

from __future__ import annotations

import csv
import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.comparison import Comparison, compare_runs, worse_than
from sam_pt_ros.evaluation.comparison_outputs import (
    format_comparison,
    plot_comparison,
    write_comparison,
)
from sam_pt_ros.evaluation.results import SCORES_FILE, SUMMARY_FILE, ScoreRow, write_rows
from sam_pt_ros.evaluation.scored_run import ScoredRun, load_run
from sam_pt_ros.evaluation.significance import student_limit

NAN = math.nan


def score(
    sequence: str,
    j: float,
    *,
    object_id: int = 1,
    seed: int = 0,
    label: str = "",
    f: float | None = None,
    tracked: float = 1.0,
    quality: float = 0.9,
) -> ScoreRow:
    scored = 0 if math.isnan(j) else 8
    return ScoreRow(
        sequence,
        seed,
        object_id,
        label,
        "",
        10,
        tracked,
        quality,
        scored,
        j_mean=j,
        f_mean=j if f is None else f,
    )


def run(rows: Sequence[ScoreRow], name: str = "run") -> ScoredRun:
    return ScoredRun(Path(name), name, "", tuple(rows))


def differences(comparison: Comparison) -> dict[tuple[str, int, str], float]:
    return {
        (item.sequence, item.object_id, item.measure): item.difference
        for item in comparison.differences
    }


def test_one_seed_by_hand() -> None:
    a = run([score("bear", 0.5, f=0.7), score("dance", 0.8), score("dance", 0.4, object_id=2)])
    b = run([score("dance", 0.4, object_id=2), score("dance", 0.7), score("bear", 0.8, f=0.8)])
    found = compare_runs(a, b)
    assert [(item.sequence, item.object_id) for item in found.differences] == [
        ("dance", 1),
        ("dance", 2),
        ("bear", 1),
    ]
    assert [item.verdict for item in found.differences] == ["worse", "unchanged", "better"]
    assert [item.before for item in found.differences] == pytest.approx([0.8, 0.4, 0.6])
    assert [item.after for item in found.differences] == pytest.approx([0.7, 0.4, 0.8])
    assert found.worst.sequence == "dance" and found.worst.difference == pytest.approx(-0.1)
    (total,) = found.means
    assert (total.before, total.after) == pytest.approx((0.6, 1.9 / 3))
    for item in (*found.differences, *found.means):
        assert item.seeds == 1 and item.significant is None and math.isnan(item.standard_error)
    assert found.notes == () and not found.only_before and not found.only_after


def test_objects_of_one_run_are_listed_and_do_not_count() -> None:
    a = run([score("bear", 0.5), score("camel", 0.1, label="camel")])
    b = run([score("bear", 0.6), score("dance", 0.9, object_id=3)])
    found = compare_runs(a, b)
    assert differences(found) == pytest.approx({("bear", 1, "j_and_f"): 0.1})
    assert found.only_before == {("camel", 1): "camel"}
    assert found.only_after == {("dance", 3): ""}
    assert found.means[0].difference == pytest.approx(0.1)
    text = format_comparison(found)
    assert "only before: camel 1 (camel)" in text and "only after: dance 3" in text


def test_an_object_has_the_name_that_either_run_knows() -> None:
    plain, named = run([score("bear", 0.5)]), run([score("bear", 0.5, label="Bruin")])
    for a, b in ((plain, named), (named, plain)):
        assert compare_runs(a, b).worst.name == "bear 1 (Bruin)"


def test_rounding_is_no_difference() -> None:
    a = run([score("bear", 0.1 + 0.2, seed=s) for s in range(3)])
    b = run([score("bear", 0.3, seed=s) for s in range(3)])
    (item,) = compare_runs(a, b).differences
    assert item.difference != 0 and item.verdict == "unchanged" and item.significant is False
    assert worse_than(compare_runs(a, b), 0.0) == []


def test_seeds_are_paired() -> None:
    # The seeds differ by far, the pairs hardly: differences 0.02, 0.03, 0.04.
    a = run([score("bear", j, seed=s) for s, j in enumerate((0.3, 0.6, 0.9))])
    b = run([score("bear", j, seed=s) for s, j in enumerate((0.32, 0.63, 0.94))])
    (item,) = compare_runs(a, b).differences
    assert item.difference == pytest.approx(0.03) and item.seeds == 3
    assert item.standard_error == pytest.approx(0.01 / math.sqrt(3))
    assert item.significant is True  # 0.03 / 0.00577 = 5.2 > 4.303
    # In another order the same values tell nothing: 0.33, 0.34, -0.58.
    c = run([score("bear", j, seed=s) for s, j in enumerate((0.63, 0.94, 0.32))])
    (item,) = compare_runs(a, c).differences
    assert item.difference == pytest.approx(0.03)
    assert item.significant is False and item.verdict == "better"


def test_two_seeds_need_more_than_twice_the_error() -> None:
    # Differences 0.01 and 0.05: the mean is 1.5 standard errors; 0.02 and 0.023: 14.3 of them.
    for values, significant in (((0.01, 0.05), False), ((0.02, 0.023), True)):
        a = run([score("bear", 0.5, seed=s) for s in (0, 1)])
        b = run([score("bear", 0.5 + d, seed=s) for s, d in enumerate(values)])
        assert compare_runs(a, b).differences[0].significant is significant


def test_seeds_that_agree_exactly() -> None:
    a = run([score("bear", 0.5, seed=s) for s in range(3)])
    b = run([score("bear", 0.625, seed=s) for s in range(3)])
    (better,), (same,) = compare_runs(a, b).differences, compare_runs(a, a).differences
    assert better.standard_error == 0 and better.significant is True
    assert same.verdict == "unchanged" and same.significant is False


def test_seeds_of_one_run_are_told_and_not_used() -> None:
    a = run([score("bear", 0.5, seed=0), score("bear", 0.6, seed=1), score("bear", 0.0, seed=7)])
    b = run([score("bear", 0.7, seed=1), score("bear", 0.6, seed=0)])
    found = compare_runs(a, b)
    (item,) = found.differences
    assert (item.before, item.after, item.seeds) == pytest.approx((0.55, 0.65, 2))
    (note,) = found.notes
    assert note == "bear 1: only the first run has the seeds 7; not used"
    assert f"note: {note}" in format_comparison(found)


def test_without_a_common_seed_there_are_no_pairs() -> None:
    # Variances 0.02 and 0.0002, two values each: sqrt((0.02 + 0.0002) / 2) = 0.1005.
    a = run([score("bear", 0.4, seed=0), score("bear", 0.6, seed=1)])
    b = run([score("bear", 0.69, seed=2), score("bear", 0.71, seed=3)])
    found = compare_runs(a, b)
    (item,) = found.differences
    assert item.difference == pytest.approx(0.2)
    assert item.standard_error == pytest.approx(math.sqrt(0.0101))
    assert item.significant is False and "no common seed" in found.notes[0]
    # Three values each of equal variance 0.01: 4 degrees of freedom, 0.3 / 0.0816 = 3.67 > 2.776.
    c = run([score("bear", j, seed=s) for s, j in enumerate((0.4, 0.5, 0.6))])
    d = run([score("bear", j, seed=s + 3) for s, j in enumerate((0.7, 0.8, 0.9))])
    assert compare_runs(c, d).differences[0].significant is True
    single = compare_runs(a, run([score("bear", 0.9, seed=5)])).differences[0]
    assert single.difference == pytest.approx(0.4) and single.significant is None
    far = run([score("bear", 0.5, seed=s) for s in (0, 1)])
    near = run([score("bear", 0.9, seed=s) for s in (2, 3)])
    assert compare_runs(far, near).differences[0].significant is True


def test_the_mean_is_paired_over_the_seeds_of_all_objects() -> None:
    # Per seed the mean of the two objects' differences is 0.01, 0.02, 0.03.
    a = run([score(name, 0.5, seed=s) for name in ("bear", "dance") for s in range(3)])
    b = run(
        [score("bear", 0.5 + d, seed=s) for s, d in enumerate((0.02, 0.0, 0.06))]
        + [score("dance", 0.5 + d, seed=s) for s, d in enumerate((0.0, 0.04, 0.0))]
    )
    (total,) = compare_runs(a, b).means
    assert total.difference == pytest.approx(0.02)
    assert total.standard_error == pytest.approx(0.01 / math.sqrt(3))
    assert total.significant is False  # 3.46 < 4.303
    incomplete = compare_runs(a, run(b.rows[:-1]))
    assert incomplete.means[0].significant is None
    assert "only the first run has the seeds 2" in incomplete.notes[0]


def test_without_a_truth_tracking_and_scores_are_compared() -> None:
    a = run([score("bag", NAN, tracked=0.5, quality=0.75), score("bear", 0.5)])
    b = run([score("bag", NAN, tracked=0.75, quality=0.5), score("bear", 0.25)])
    found = compare_runs(a, b)
    assert differences(found) == {
        ("bear", 1, "j_and_f"): -0.25,
        ("bag", 1, "tracked"): 0.25,
        ("bag", 1, "score"): -0.25,
    }
    assert [item.measure for item in found.means] == ["j_and_f", "tracked", "score"]
    assert [item.difference for item in found.means] == [-0.25, 0.25, -0.25]


def test_a_truth_or_a_score_of_one_run_is_told() -> None:
    a = run([score("bear", 0.5, quality=NAN)])
    b = run([score("bear", NAN)])
    found = compare_runs(a, b)
    assert differences(found) == {("bear", 1, "tracked"): 0.0}
    assert found.notes == (
        "bear 1: only the first run has a truth; compared without it",
        "bear 1: only the second run has a value of 'score'",
    )


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(UserError, match=r"no object in common: bear 1 and bear 2;"):
        compare_runs(run([score("bear", 0.5)]), run([score("bear", 0.5, object_id=2)]))
    blank = run([score("bear", NAN, tracked=NAN, quality=NAN)])
    with pytest.raises(UserError, match="no measure in common"):
        compare_runs(blank, blank)


def test_worse_than_names_what_lost_more_than_the_tolerance() -> None:
    a = run([score("bear", 0.5), score("camel", 0.75), score("dance", 0.5), score("gone", 1.0)])
    b = run([score("bear", 0.375), score("camel", 0.75), score("dance", 0.875)])
    found = compare_runs(a, b)
    assert worse_than(found, 0.01) == [
        "bear 1: J&F 0.5000 → 0.3750 (-0.1250)",
        "gone 1: missing from the second run",
    ]
    assert worse_than(compare_runs(run(a.rows[:3]), b), 0.125) == []  # just as much is no more
    assert worse_than(compare_runs(a, a), 0.0) == []
    (total, _) = worse_than(compare_runs(run(a.rows[:1]), b), 0.1)
    assert total == "mean: J&F 0.5000 → 0.3750 (-0.1250)"


def test_worse_than_counts_what_chance_may_explain_and_says_so() -> None:
    a = run([score("bear", 0.5, seed=s) for s in (0, 1)])
    b = run([score("bear", j, seed=s) for s, j in enumerate((0.2, 0.5))])
    lines = worse_than(compare_runs(a, b), 0.01)
    assert len(lines) == 2 and all(line.endswith("which chance may explain") for line in lines)


@pytest.mark.parametrize("tolerance", [-0.01, 1.5, NAN])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    a = run([score("bear", 0.5)])
    with pytest.raises(UserError, match="between 0 and 1"):
        worse_than(compare_runs(a, a), tolerance)


def student_tail(limit: float, freedom: int) -> float:
    """Probability beyond the limit on both sides, by integration (a second implementation)."""
    scale = math.gamma((freedom + 1) / 2) / (
        math.sqrt(freedom * math.pi) * math.gamma(freedom / 2)
    )
    steps = 20000
    width = limit / steps
    inside = sum(
        (1 + ((k + 0.5) * width) ** 2 / freedom) ** (-(freedom + 1) / 2) for k in range(steps)
    )
    return 1 - 2 * scale * inside * width


@pytest.mark.parametrize("freedom", [*range(1, 13), 15, 20, 30, 60])
def test_limits_are_those_of_student(freedom: int) -> None:
    assert student_tail(student_limit(freedom), freedom) == pytest.approx(0.05, abs=2e-4)


def test_limits_fall_with_the_degrees_of_freedom() -> None:
    limits = [student_limit(freedom) for freedom in range(1, 200)]
    assert limits == sorted(set(limits), reverse=True)
    assert student_limit(1000) == pytest.approx(1.962, abs=5e-4)  # almost a normal distribution's


values = st.floats(0, 1, allow_nan=False)


@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), values, min_size=1))
def test_a_run_equals_itself(truth: dict[tuple[str, int], float]) -> None:
    a = run([score(name, j, seed=seed) for (name, seed), j in truth.items()])
    found = compare_runs(a, a)
    assert all(item.verdict == "unchanged" for item in (*found.differences, *found.means))
    assert not any(item.significant for item in found.differences)
    assert worse_than(found, 0.0) == []


@given(st.lists(st.tuples(values, values), min_size=1, max_size=6))
def test_turned_round_all_signs_change(pairs: list[tuple[float, float]]) -> None:
    a = run([score("x", before, seed=s) for s, (before, _) in enumerate(pairs)])
    b = run([score("x", after, seed=s) for s, (_, after) in enumerate(pairs)])
    there, back = compare_runs(a, b), compare_runs(b, a)
    assert there.worst.difference == pytest.approx(-back.worst.difference)
    assert there.worst.significant is back.worst.significant
    assert there.worst.difference == pytest.approx(mean(y - x for x, y in pairs), abs=1e-9)


def write_run(folder: Path, rows: Sequence[ScoreRow], summary: object = None) -> Path:
    folder.mkdir()
    write_rows(folder / SCORES_FILE, ScoreRow, rows)
    if summary is not None:
        (folder / SUMMARY_FILE).write_text(json.dumps(summary))
    return folder


def test_runs_are_read_from_folders_and_files(tmp_path: Path) -> None:
    rows = [score("bear", 0.1 + 0.2), score("bag", NAN, label="cup", seed=3)]
    plain = load_run(write_run(tmp_path / "plain", rows))
    assert plain.title == "plain" and plain.configuration == {}
    assert repr(plain.rows) == repr(tuple(rows))  # NaN is not equal to itself
    summary = {"title": "Night", "configuration": {"tracker": "a"}, "other": [1]}
    full = write_run(tmp_path / "full", rows, summary)
    for path in (full, full / SCORES_FILE):
        found = load_run(path)
        assert (found.path, found.title, found.configuration) == (path, "Night", {"tracker": "a"})
    odd = write_run(tmp_path / "odd", rows, {"configuration": "classical.yaml"})
    assert load_run(odd).configuration == {}
    assert load_run(odd).title == "odd"


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a run; name the folder .* scores\.csv"):
        load_run(tmp_path)
    with pytest.raises(UserError, match="not a run"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no scores"):
        load_run(write_run(tmp_path / "empty", []))
    with pytest.raises(UserError, match=r"object 1 of 'bear' with seed 0 occurs twice"):
        load_run(write_run(tmp_path / "twice", [score("bear", 0.1), score("bear", 0.2)]))
    with pytest.raises(UserError, match="a JSON object"):
        load_run(write_run(tmp_path / "list", [score("bear", 0.1)], [1]))
    broken = write_run(tmp_path / "broken", [score("bear", 0.1)])
    (broken / SUMMARY_FILE).write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load_run(broken)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="was not written by this version"):
        load_run(other)


def test_the_table_tells_it_in_groups() -> None:
    a = run([score("bear", 0.5), score("camel", 0.75), score("dance", 0.5)], "one")
    b = run([score("bear", 0.375), score("camel", 0.75), score("dance", 0.875)], "two")
    lines = format_comparison(compare_runs(a, b)).splitlines()
    assert lines[:2] == ["before: one (one)", "after:  two (two)"]
    groups = [line for line in lines if line.endswith((": 1", "objects"))]
    assert groups == ["worse: 1", "unchanged: 1", "better: 1", "all: 3 objects"]
    bear = next(line for line in lines if line.startswith("bear"))
    assert bear.split() == ["bear", "1", "50.00", "37.50", "-12.50", "1"]
    total = lines[lines.index("all: 3 objects") + 3]
    assert total.split() == ["mean", "58.33", "66.67", "+8.33", "1"]


def test_the_csv_holds_everything(tmp_path: Path) -> None:
    a = run([score("bear", j, seed=s) for s, j in enumerate((0.25, 0.5))] + [score("gone", 1)])
    b = run([score("bear", j, seed=s) for s, j in enumerate((0.5, 0.75))] + [score("new, one", 1)])
    path = tmp_path / "comparison.csv"
    write_comparison(path, compare_runs(a, b))
    with path.open(newline="") as file:
        total, bear, gone, new = csv.DictReader(file)
    assert (total["sequence"], total["object_id"], total["difference"]) == ("", "", "0.25")
    assert (bear["sequence"], bear["before"], bear["after"]) == ("bear", "0.375", "0.625")
    assert (bear["standard_error"], bear["seeds"], bear["significant"]) == ("0.0", "2", "True")
    assert bear["measure"] == "j_and_f" and bear["verdict"] == "better"
    assert (gone["sequence"], gone["object_id"], gone["verdict"]) == ("gone", "1", "only before")
    assert (new["sequence"], new["before"], new["verdict"]) == ("new, one", "", "only after")
    single = run([score("bear", 0.5)])
    write_comparison(path, compare_runs(single, single))
    with path.open(newline="") as file:
        assert {
            (line["standard_error"], line["significant"]) for line in csv.DictReader(file)
        } == {("", "")}
    with pytest.raises(UserError, match="cannot be written"):
        write_comparison(tmp_path / "no" / "folder.csv", compare_runs(a, b))


def test_the_plot_is_an_image_with_the_objects(tmp_path: Path) -> None:
    a = run([score("bear", 0.25), score("bag", NAN, tracked=0.5)])
    b = run([score("bear", 0.75), score("bag", NAN, tracked=1.0)])
    path = tmp_path / "comparison.svg"
    plot_comparison(path, compare_runs(a, b))
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    text = path.read_text(encoding="utf-8")
    assert "bear 1" in text and "J&amp;F" in text
    assert "bag" not in text  # another measure, another axis


def test_the_parameters_that_changed_are_named(tmp_path: Path) -> None:
    rows = [score("a", 1)]
    before = {"tracker": "x", "threads": 1, "gone": True}
    after = {"tracker": "x", "threads": 2, "new": [1]}
    runs = [
        load_run(write_run(tmp_path / name, rows, {"configuration": values}))
        for name, values in (("a", before), ("b", after))
    ]
    lines = format_comparison(compare_runs(*runs)).splitlines()
    assert lines[2:5] == ["gone: True → none", "new: none → [1]", "threads: 1 → 2"]


def test_a_run_of_a_part_is_told_and_counts_as_worse(tmp_path: Path) -> None:
    whole = load_run(write_run(tmp_path / "whole", [score("a", 0.5)]))
    part = load_run(
        write_run(tmp_path / "part", [score("a", 0.9)], {"partial": "the bag was cut off"})
    )
    failed = load_run(write_run(tmp_path / "failed", [score("a", 0.9)], {"failures": ["b: no"]}))
    assert compare_runs(whole, part).notes == ("the second run is partial: the bag was cut off",)
    assert worse_than(compare_runs(whole, part), 1) == [
        "the second run is partial: the bag was cut off"
    ]
    assert worse_than(compare_runs(whole, failed), 1) == ["the second run is partial: 1 failed"]
    assert worse_than(compare_runs(part, whole), 1) == []


def test_fewer_frames_are_told_and_count_as_worse() -> None:
    long, short = score("a", 0.5), replace(score("a", 0.9), scored=3)
    text = "a 1: 8 frames count in the first run, 3 in the second"
    found = compare_runs(run([long]), run([short]))
    assert found.notes == (text,) and worse_than(found, 1) == [text]
    assert worse_than(compare_runs(run([short]), run([long])), 1) == []


def test_two_recordings_are_compared_whatever_their_names() -> None:
    found = compare_runs(run([score("monday", 0.5)]), run([score("tuesday", 0.75)]))
    assert differences(found) == {("monday", 1, "j_and_f"): 0.25}
    assert found.notes == ("the two sequences have different names: monday, tuesday",)


def test_a_truth_that_is_lost_counts_as_worse() -> None:
    found = compare_runs(run([score("a", 0.5)]), run([score("a", NAN)]))
    text = "a 1: only the first run has a truth; compared without it"
    assert worse_than(found, 1) == [text]
    assert worse_than(compare_runs(run([score("a", NAN)]), run([score("a", 0.5)])), 1) == []
