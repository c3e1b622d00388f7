"""Sweeps with an evaluation whose scores are a formula of the configuration."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import SCORES_FILE, ScoreRow
from sam_pt_ros.evaluation.run_folder import CONFIGURATION_FILE
from sam_pt_ros.evaluation.scored_run import load_run
from sam_pt_ros.evaluation.sweep import (
    MARKER_FILE,
    SweepEntry,
    SweepResult,
    run_sweep,
    write_configuration,
)
from sam_pt_ros.evaluation.sweep_grid import LONGEST_NAME, Combination, Grid
from sam_pt_ros.evaluation.sweep_table import format_sweep, over_seeds, write_sweep

CONFIG = Path(__file__).resolve().parents[2] / "config"
CLASSICAL = CONFIG / "classical.yaml"
NAN = math.nan


def row(sequence: str, seed: int, j: float, f: float, object_id: int = 1) -> ScoreRow:
    return ScoreRow(sequence, seed, object_id, "", "", 9, 0.5, 0.75, 7, j_mean=j, f_mean=f)


class FormulaEvaluation:
    """Scores that grow with the points, for two seeds; fails where it is told to."""

    def __init__(self, failing: Sequence[int] = ()) -> None:
        self.calls: list[str] = []
        self.failing = set(failing)

    def __call__(self, configuration: Path, folder: Path) -> list[ScoreRow]:
        assert configuration == folder / CONFIGURATION_FILE and folder.is_dir()
        self.calls.append(folder.name)
        points = load_configuration(configuration).pipeline.positive_points
        # As an evaluation does that writes its scores before all is done.
        (folder / SCORES_FILE).write_text("half of it")
        if points in self.failing:
            raise RuntimeError("no\nluck")
        value = points / 100
        return [
            row("bear", 0, value, value + 0.1),
            row("bear", 1, value + 0.1, value + 0.2),
            row("dance", 0, value + 0.2, value + 0.3),
            row("dance", 1, value + 0.3, value + 0.4),
        ]


def test_a_grid_is_read_with_the_types_of_the_options() -> None:
    grid = Grid.parse(
        ["positive_points=8, 16", "reinitialization=A,none", "patch_similarity=1,0.5"]
    )
    assert [axis.values for axis in grid.axes] == [(8, 16), ("A", "none"), (1.0, 0.5)]
    assert isinstance(grid.axes[2].values[0], float)
    names = [combination.name for combination in grid.combinations]
    assert names[:3] == [
        "positive_points=8__reinitialization=A__patch_similarity=1.0",
        "positive_points=8__reinitialization=A__patch_similarity=0.5",
        "positive_points=8__reinitialization=none__patch_similarity=1.0",
    ]
    assert len(set(names)) == 8
    dotted = Grid.parse(["mobile_sam.refinement_iterations=0,3", "patch_filter=true,false"])
    assert dotted.axes[0].values == (0, 3) and dotted.axes[1].values == (True, False)
    assert dotted.combinations[0].name == ("mobile_sam.refinement_iterations=0__patch_filter=true")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["positve_points=8"], "unknown option 'positve_points'; did you mean 'positive_points'"),
        (["mobile_sm.refinement_iterations=8"], "did you mean 'mobile_sam'"),
        (["mobile_sam.refinment_iterations=8"], "did you mean 'refinement_iterations'"),
        (["positive_points=8,x"], "'positive_points=8,x': 'positive_points' must be of type int"),
        (["positive_points=0"], "must be at least 1"),
        (["reinitialization=A,Z"], "must be one of"),
        (["reinitialization=no"], "must be of type str, got False"),
        (["positive_points=8,8"], "has the value 8 twice"),
        (["patch_similarity=1,1.0"], "has the value 1.0 twice"),
        (["positive_points=8", "positive_points=16"], "given twice"),
        (["positive_points="], "has no values"),
        (["positive_points"], "does not say what to vary"),
        (["=8"], "does not say what to vary"),
        (["positive_points=8]"], "are not valid YAML"),
        (["seed=0,1"], "give the number of seeds with --seeds"),
        (["positive_points=" + ",".join(map(str, range(1, 200))), "negative_points=" + ",".join(
            map(str, range(100)))], "more than 10000 combinations"),
        ([], "needs an option to vary"),
    ],
)  # fmt: skip
def test_a_grid_that_is_none_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Grid.parse(texts)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_names_are_safe_and_stay_different() -> None:
    texts = ["a/b", "a b", "a-b", "../x", "ä", "x" * 300, "x" * 301]
    names = [Combination((("cotracker.weights", text),)).name for text in texts]
    assert len(set(names)) == len(texts)
    for name in names:
        assert "/" not in name and name.isascii() and len(name) <= LONGEST_NAME


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_different_values_have_different_folders(texts: list[str]) -> None:
    first, second = (Combination((("x", text),)).name for text in texts)
    assert first != second and Path(first).name == first


def test_a_configuration_is_written_with_the_values_replaced(tmp_path: Path) -> None:
    base = CONFIG / "cotracker_mobile_sam.yaml"
    combination = Combination(
        (("positive_points", 3), ("mobile_sam.refinement_iterations", 7), ("patch_filter", True))
    )
    path = tmp_path / "new" / "made.yaml"
    write_configuration(base, combination, path)
    before, after = load_configuration(base), load_configuration(path)
    assert after.pipeline.positive_points == 3 and after.pipeline.patch_filter
    assert after.segmenter.refinement_iterations == 7
    assert after.backends == before.backends and after.tracker == before.tracker
    assert after.pipeline.reinitialization == before.pipeline.reinitialization == "B"
    assert [path.name for path in path.parent.iterdir()] == ["made.yaml"]


def test_all_spellings_of_an_option_are_replaced(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(
        """
/**:
  ros__parameters:
    positive_points: 4
    lucas_kanade: {working_size: 320, min_similarity: 0.25}
/sam_pt:
  ros__parameters:
    use_sim_time: true
    lucas_kanade.working_size: 400
    positive_points: 5
"""
    )
    path = tmp_path / "made.yaml"
    write_configuration(
        base, Combination((("lucas_kanade.working_size", 240), ("positive_points", 6))), path
    )
    found = load_configuration(path)
    assert (found.tracker.working_size, found.tracker.min_similarity) == (240, 0.25)
    assert found.pipeline.positive_points == 6
    assert path.read_text().count("working_size") == 1
    assert yaml.safe_load(path.read_text())["/sam_pt"]["ros__parameters"]["use_sim_time"] is True


def test_values_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.yaml"
    with pytest.raises(UserError, match=r"'patch_size' must be odd.*\(with patch_size=2\)"):
        write_configuration(CLASSICAL, Combination((("patch_size", 2),)), path)
    assert not path.exists()
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_configuration(CLASSICAL, Combination((("patch_size", 3),)), blocked / "made.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        write_configuration(tmp_path / "no.yaml", Combination((("patch_size", 3),)), path)


def test_nothing_is_evaluated_if_a_combination_is_wrong(tmp_path: Path) -> None:
    evaluate = FormulaEvaluation()
    with pytest.raises(UserError, match="must be odd"):
        run_sweep(CLASSICAL, Grid.parse(["patch_size=3,2"]), tmp_path / "out", evaluate)
    grid = Grid.parse(["mobile_sam.refinement_iterations=1,2"])
    with pytest.raises(
        UserError,
        match=r"has no effect, because the sweep uses .*lucas_kanade.* and not 'mobile_sam'",
    ):
        run_sweep(CLASSICAL, grid, tmp_path / "out", evaluate)
    assert evaluate.calls == [] and not (tmp_path / "out").exists()


def test_a_sweep_evaluates_each_combination_into_its_folder(tmp_path: Path) -> None:
    grid = Grid.parse(["positive_points=8,16", "reinitialization=A,none"])
    evaluate, seen = FormulaEvaluation(), list[SweepEntry]()
    result = run_sweep(CLASSICAL, grid, tmp_path, evaluate, seen.append)
    assert evaluate.calls == [combination.name for combination in grid.combinations]
    assert tuple(seen) == result.entries and not any(entry.resumed for entry in seen)
    for entry in result.entries:
        folder = tmp_path / entry.combination.name
        run = load_run(folder)  # each is a run that can be compared
        assert run.rows == entry.rows and len(run.rows) == 4
        values = dict(entry.combination.values)
        found = load_configuration(folder / CONFIGURATION_FILE).pipeline
        assert found.positive_points == values["positive_points"]
        assert found.reinitialization == values["reinitialization"]


def test_a_sweep_goes_on_after_a_crash(tmp_path: Path) -> None:
    grid = Grid.parse(["positive_points=8,16,32"])
    broken = FormulaEvaluation(failing=[16])
    result = run_sweep(CLASSICAL, grid, tmp_path, broken)
    assert [entry.error for entry in result.entries] == [None, "RuntimeError: no luck", None]
    assert "Traceback" in result.entries[1].details and result.entries[1].rows == ()
    assert broken.calls == ["positive_points=8", "positive_points=16", "positive_points=32"]
    whole = FormulaEvaluation()
    again = run_sweep(CLASSICAL, grid, tmp_path, whole)
    assert whole.calls == ["positive_points=16"]
    assert [entry.resumed for entry in again.entries] == [True, False, True]
    assert again.entries[0].rows == result.entries[0].rows
    fresh = run_sweep(CLASSICAL, grid, tmp_path / "fresh", FormulaEvaluation())
    assert [entry.rows for entry in again.entries] == [entry.rows for entry in fresh.entries]
    assert format_sweep(again) == format_sweep(fresh)


def test_an_interrupt_ends_the_sweep_and_what_was_done_is_kept(tmp_path: Path) -> None:
    grid = Grid.parse(["positive_points=8,16"])

    def interrupted(configuration: Path, folder: Path) -> list[ScoreRow]:
        if folder.name.endswith("16"):
            raise KeyboardInterrupt
        return FormulaEvaluation()(configuration, folder)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(CLASSICAL, grid, tmp_path, interrupted)
    evaluate = FormulaEvaluation()
    run_sweep(CLASSICAL, grid, tmp_path, evaluate)
    assert evaluate.calls == ["positive_points=16"]


@pytest.mark.parametrize("damage", ["marker", "scores", "broken", "base", "conditions"])
def test_what_does_not_belong_to_the_sweep_is_run_again(tmp_path: Path, damage: str) -> None:
    base, out = tmp_path / "base.yaml", tmp_path / "out"
    base.write_text(CLASSICAL.read_text())
    grid = Grid.parse(["positive_points=8"])
    run_sweep(base, grid, out, FormulaEvaluation(), conditions="DAVIS, seeds 0, 1")
    folder = out / "positive_points=8"
    if damage == "marker":
        (folder / MARKER_FILE).unlink()
    elif damage == "scores":
        (folder / SCORES_FILE).unlink()
    elif damage == "broken":
        (folder / SCORES_FILE).write_text("sequence\n1")
    elif damage == "base":
        base.write_text(base.read_text().replace("horizon: 40", "horizon: 41"))
    conditions = "DAVIS, seed 0" if damage == "conditions" else "DAVIS, seeds 0, 1"
    evaluate = FormulaEvaluation()
    (entry,) = run_sweep(base, grid, out, evaluate, conditions=conditions).entries
    assert len(evaluate.calls) == 1 and not entry.resumed
    run_sweep(base, grid, out, evaluate, conditions=conditions)
    assert len(evaluate.calls) == 1


def test_old_scores_do_not_stay_beside_a_new_configuration(tmp_path: Path) -> None:
    grid = Grid.parse(["positive_points=8"])
    run_sweep(CLASSICAL, grid, tmp_path, FormulaEvaluation(), conditions="old")

    def fail(configuration: Path, folder: Path) -> list[ScoreRow]:
        raise UserError("no images; check the path")

    (entry,) = run_sweep(CLASSICAL, grid, tmp_path, fail, conditions="new").entries
    assert entry.error == "no images; check the path"
    assert not (tmp_path / "positive_points=8" / SCORES_FILE).exists()


def test_an_evaluation_without_scores_has_failed(tmp_path: Path) -> None:
    grid = Grid.parse(["positive_points=8"])
    (entry,) = run_sweep(CLASSICAL, grid, tmp_path, lambda configuration, folder: []).entries
    assert entry.error is not None and "no scores" in entry.error


def test_means_are_over_objects_first_then_over_seeds() -> None:
    # Seed 0: (0.2 + 0.4 + 0.9) / 3 = 0.5, seed 1: 0.7. A mean over all rows would be 0.55.
    rows = [row("a", 0, 0.2, 0), row("a", 0, 0.4, 0, object_id=2), row("b", 0, 0.9, 0)]
    rows += [row("a", 1, 0.7, 0), row("c", 0, NAN, NAN)]
    found = over_seeds(rows, "j_mean")
    assert found.mean == pytest.approx(0.6) and found.seeds == 2
    assert found.deviation == pytest.approx(math.sqrt(0.02))
    single = over_seeds(rows[:3], "j_mean")
    assert single.mean == pytest.approx(0.5) and math.isnan(single.deviation)
    assert math.isnan(over_seeds([], "j_mean").mean)


def sweep_of(*rows_of: Sequence[ScoreRow] | None) -> SweepResult:
    """A result with one entry for each; None failed."""
    grid = Grid.parse(["positive_points=" + ",".join(str(k + 1) for k in range(len(rows_of)))])
    return SweepResult(
        grid,
        tuple(
            SweepEntry(combination, tuple(rows or ()), None if rows else "out of memory")
            for combination, rows in zip(grid.combinations, rows_of)
        ),
    )


def test_the_table_by_hand() -> None:
    result = sweep_of(
        [row("a", 0, 0.4, 0.6), row("a", 1, 0.42, 0.62)],
        None,
        [row("a", 0, 0.5, 0.7), row("a", 1, 0.5, 0.7)],
        [row("a", 0, 0.45, 0.65)],
    )
    lines = format_sweep(result).splitlines()
    head, _, *body = lines[:6]
    assert head.split() == ["positive_points", "J&F", "J", "F", "gain", "total", "gain", "seeds"]
    assert [line.replace(" ± ", "±").split() for line in body] == [
        ["1", "51.0±1.4", "41.0±1.4", "61.0±1.4", "2"],
        ["2", "–", "failed"],
        ["3", "60.0±0.0", "50.0±0.0", "70.0±0.0", "+9.0", "+9.0", "2"],
        ["4", "55.0", "45.0", "65.0", "-5.0", "+4.0", "1"],
    ]
    assert lines[-1] == "failed: positive_points=2: out of memory"


def test_rows_over_different_objects_are_told() -> None:
    note = "not all rows and seeds cover the same objects"
    both = [row("a", 0, 0.4, 0.6), row("b", 0, 0.4, 0.6)]
    assert note not in format_sweep(sweep_of(both, both))
    assert note in format_sweep(sweep_of(both, both[:1]))
    assert note in format_sweep(sweep_of([*both, row("a", 1, 0.4, 0.6)]))


def test_without_a_truth_tracking_and_scores_are_shown(tmp_path: Path) -> None:
    result = sweep_of([row("bag", 0, NAN, NAN)], [row("bag", 0, NAN, NAN)])
    lines = format_sweep(result).splitlines()
    assert lines[0].split()[1:3] == ["tracked", "score"]
    assert lines[3].split() == ["2", "50.0", "75.0", "+0.0", "+0.0", "1"]
    path = tmp_path / "sweep.csv"
    write_sweep(path, result)
    with path.open(newline="") as file:
        _, second = csv.DictReader(file)
    assert (second["j_and_f"], second["tracked"], second["gain"]) == ("", "0.5", "0.0")


def test_the_csv_holds_the_table(tmp_path: Path) -> None:
    result = sweep_of(
        [row("a", 0, 0.25, 0.75), row("a", 1, 0.5, 1.0)],
        None,
        [row("a", 0, 0.75, 0.75), row("b", 0, 1.0, 1.0)],
    )
    path = tmp_path / "sweep.csv"
    write_sweep(path, result)
    with path.open(newline="") as file:
        first, failed, last = csv.DictReader(file)
    assert (first["positive_points"], first["j_and_f"], first["j_mean"]) == ("1", "0.625", "0.375")
    assert float(first["j_and_f_deviation"]) == pytest.approx(math.sqrt(0.03125))
    assert (first["gain"], first["seeds"], first["objects"]) == ("", "2", "1")
    assert (failed["j_and_f"], failed["seeds"], failed["error"]) == ("", "0", "out of memory")
    assert (last["j_and_f"], last["gain"], last["total_gain"]) == ("0.875", "0.25", "0.25")
    assert (last["j_and_f_deviation"], last["objects"]) == ("", "2")


def test_a_sweep_of_failures_has_a_table_too(tmp_path: Path) -> None:
    result = sweep_of(None, None)
    assert format_sweep(result).count("out of memory") == 2
    write_sweep(tmp_path / "sweep.csv", result)
