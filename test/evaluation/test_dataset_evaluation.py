"""Evaluations of small data sets: figures, order, engines, going on, submissions, the command."""

from __future__ import annotations

import html
import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

from PIL import Image

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.dataset_evaluation import (
    DatasetOptions,
    DatasetResults,
    evaluate_dataset,
)
from sam_pt_ros.evaluation.datasets.dataset import open_dataset
from sam_pt_ros.evaluation.davis_metrics import boundary_accuracy
from sam_pt_ros.evaluation.label_images import davis_palette, read_indexed, write_indexed
from sam_pt_ros.evaluation.results import ObjectRow, ScoreRow, read_rows
from sam_pt_ros.paths import classical_configuration_file
from support.media import count_frames, frame, truth, write_sequence

CONFIG = classical_configuration_file()
FRAMES = 8
NAMES = ("beside", "disc", "turned")
SEEDS = (0, 1)


def davis2016(root: Path) -> Path:
    """Three sequences: the disc, the same upside down in JPEG, and the same from the right."""
    images, annotations = root / "JPEGImages/480p", root / "Annotations/480p"
    for name in NAMES:
        write_sequence(images / name, annotations / name, frames=FRAMES)
    for path in [*(images / "turned").iterdir(), *(annotations / "turned").iterdir()]:
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, ::-1])
    for path in (annotations / "beside").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::-1])
    for path in (images / "beside").iterdir():
        bgr = cv2.imread(str(path))[::-1]
        cv2.imwrite(str(path.with_suffix(".jpg")), bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])
        path.unlink()
    return root


def two_objects(index: int) -> np.ndarray:
    labels = np.zeros((120, 160), np.uint16)
    labels[truth(index) > 0] = 1
    labels[85:115, 100 - index : 130 - index] = 2
    return labels


def davis2017(root: Path, split: str = "val", annotated: int = FRAMES) -> Path:
    """One sequence of two objects."""
    images, annotations = root / "JPEGImages/480p/pair", root / "Annotations/480p/pair"
    images.mkdir(parents=True)
    for index in range(FRAMES):
        labels = two_objects(index)
        bgr = frame(index)
        bgr[labels == 2] = (220, 60, 40)
        cv2.imwrite(str(images / f"{index:05d}.png"), bgr)
        if index < annotated:
            write_indexed(annotations / f"{index:05d}.png", labels)
    lists = root / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / f"{split}.txt").write_text("pair\n")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return davis2016(tmp_path_factory.mktemp("davis2016"))


@pytest.fixture(scope="module")
def evaluated(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, DatasetResults, list[tuple[str, int, str | None]]]:
    """All sequences with two seeds, with label images."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    told: list[tuple[str, int, str | None]] = []
    results = evaluate_dataset(
        open_dataset("davis2016", root),
        DatasetOptions(CONFIG, out, seeds=len(SEEDS), masks=True),
        on_done=lambda job, error: told.append((job.sequence.name, job.seed, error)),
    )
    return out, results, told


Evaluated = tuple[Path, DatasetResults, list[tuple[str, int, "str | None"]]]


def run(root: Path, out: Path, *more: str, dataset: str = "davis2016") -> int:
    fixed = ["evaluate", "--dataset", dataset, "--root", str(root), "--config", str(CONFIG)]
    return main([*fixed, "--out", str(out), *more])


def tables(out: Path) -> dict[str, str]:
    """What must be the same of two runs of the same: all tables but the times."""
    found = sorted([*out.glob("sequences/*/*/results.csv"), *out.rglob("scores.csv")])
    return {str(path.relative_to(out)): path.read_text() for path in found}


def figures(out: Path) -> Any:
    """The summary, without what depends on the time of day."""
    summary = json.loads((out / "summary.json").read_text())
    del summary["fps"]
    for each in summary["sequences"].values():
        del each["fps"]
    return summary


# --- figures ------------------------------------------------------------------------------


def values(out: Path, name: str, seed: int, measure: str) -> list[float]:
    rows = read_rows(out / f"sequences/{name}/seed_{seed}/results.csv", ObjectRow)
    assert [row.frame for row in rows] == list(range(FRAMES))
    return [getattr(row, measure) for row in rows]


def test_neither_the_first_nor_the_last_frame_is_scored(evaluated: Evaluated) -> None:
    out, results, _ = evaluated
    for name in NAMES:
        for seed in SEEDS:
            for measure in ("j", "f"):
                known = np.isfinite(values(out, name, seed, measure))
                assert known.tolist() == [False, *[True] * (FRAMES - 2), False]
    assert {row.scored for row in results.scores} == {FRAMES - 2}


def test_j_and_f_are_those_of_the_label_images_and_the_files_of_the_data_set(
    root: Path, evaluated: Evaluated
) -> None:
    out = evaluated[0]
    for name in NAMES:
        for seed in SEEDS:
            js, fs = values(out, name, seed, "j"), values(out, name, seed, "f")
            for index in range(1, FRAMES - 1):
                file = f"{name}/{index:05d}.png"
                found = read_indexed(out / f"submission/seed_{seed}" / file) == 1
                wanted = cv2.imread(str(root / "Annotations/480p" / file), 0) > 127
                assert js[index] == (found & wanted).sum() / (found | wanted).sum()
                assert fs[index] == boundary_accuracy(found, wanted)
            assert np.nanmean(js) > 0.8


def summarized(frames: list[float]) -> tuple[float, float, float]:
    """Mean, recall and decay of the six frames that count, of which quarters are 0-1 and 4-5."""
    scored = frames[1:-1]
    assert len(scored) == 6
    recall = sum(value > 0.5 for value in scored) / 6
    return sum(scored) / 6, recall, sum(scored[:2]) / 2 - sum(scored[4:]) / 2


def test_figures_are_means_over_sequences_and_then_over_seeds(evaluated: Evaluated) -> None:
    out, results, _ = evaluated
    by_seed: dict[str, list[float]] = {}
    for seed in SEEDS:
        found = {m: [summarized(values(out, n, seed, m)) for n in NAMES] for m in ("j", "f")}
        for measure in ("j", "f"):
            for number, kind in enumerate(("mean", "recall", "decay")):
                mean = sum(each[number] for each in found[measure]) / len(NAMES)
                by_seed.setdefault(f"{measure.upper()} {kind}", []).append(mean)
        both = by_seed["J mean"][-1] + by_seed["F mean"][-1]
        by_seed.setdefault("J&F", []).append(both / 2)
    summary = json.loads((out / "summary.json").read_text())
    assert set(results.figures) == set(by_seed) == set(summary["figures"])
    assert by_seed["J mean"][0] != by_seed["J mean"][1]
    for name, seeds in by_seed.items():
        mean, deviation = results.figures[name]
        assert mean == pytest.approx(sum(seeds) / 2, abs=1e-12)
        assert deviation == pytest.approx(abs(seeds[0] - seeds[1]) / 2**0.5, abs=1e-12)
        assert summary["figures"][name] == {"mean": mean, "deviation": deviation}


def test_a_sequence_s_figures_are_means_over_the_seeds(evaluated: Evaluated) -> None:
    out, results, _ = evaluated
    summary = json.loads((out / "summary.json").read_text())["sequences"]
    assert [each.name for each in results.sequences] == list(summary) == list(NAMES)
    for each in results.sequences:
        for measure in ("j", "f"):
            seeds = [summarized(values(out, each.name, s, measure))[0] for s in SEEDS]
            assert getattr(each, measure) == pytest.approx(statistics.fmean(seeds), abs=1e-12)
        assert each.j_and_f == pytest.approx((each.j + each.f) / 2, abs=1e-12)
        assert summary[each.name]["j_and_f"] == each.j_and_f
        assert each.fps > 0


def test_rates_are_frames_over_the_time_that_the_pipeline_took(evaluated: Evaluated) -> None:
    out, results, _ = evaluated
    total = 0.0
    for each in results.sequences:
        lines = [
            line.rpartition(",")[2]
            for seed in SEEDS
            for line in (out / f"sequences/{each.name}/seed_{seed}/timings.csv")
            .read_text()
            .splitlines()[1:]
        ]
        assert len(lines) == FRAMES * len(SEEDS)
        taken = sum(float(text) for text in lines) / 1e3
        assert each.fps == pytest.approx(len(lines) / taken)
        total += taken
    assert results.fps == pytest.approx(FRAMES * len(SEEDS) * len(NAMES) / total)


def test_rows_are_by_sequence_then_by_seed(evaluated: Evaluated) -> None:
    out, results, told = evaluated
    wanted = [(name, seed) for name in NAMES for seed in SEEDS]
    rows = read_rows(out / "scores.csv", ScoreRow)
    assert [(row.sequence, row.seed) for row in rows] == wanted
    assert [(row.sequence, row.seed) for row in results.scores] == wanted
    assert told == [(*each, None) for each in wanted]
    parts = [
        (out / f"sequences/{name}/seed_{seed}/scores.csv").read_text().splitlines()
        for name, seed in wanted
    ]
    assert (out / "scores.csv").read_text().splitlines() == [
        parts[0][0],
        *(line for part in parts for line in part[1:]),
    ]


def test_the_summary_and_the_report_say_what_was_done(evaluated: Evaluated) -> None:
    out, results, _ = evaluated
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["dataset"], summary["split"], summary["seeds"]) == ("davis2016", "val", 2)
    assert summary["start"] == "points" and summary["failures"] == summary["problems"] == []
    assert summary["configuration_name"] == CONFIG.name
    assert summary["configuration"]["segmenter"] == "classical"
    report = html.unescape((out / "report.html").read_text())
    assert all(name in report for name in NAMES)
    assert f"{results.figures['J&F'][0]:.3f}" in report


def test_a_seed_is_the_same_alone_and_seeds_differ(
    root: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    out = evaluated[0]
    config = tmp_path / CONFIG.name
    config.write_text(CONFIG.read_text() + "    seed: 1\n")
    dataset = open_dataset("davis2016", root, sequences=["disc"])
    evaluate_dataset(dataset, DatasetOptions(config, tmp_path / "out"))
    (folder,) = (tmp_path / "out/sequences/disc").iterdir()
    assert folder.name == "seed_1"
    one = (folder / "results.csv").read_text()
    assert one == (out / "sequences/disc/seed_1/results.csv").read_text()
    assert one != (out / "sequences/disc/seed_0/results.csv").read_text()


def test_one_seed_has_no_deviation(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset("davis2016", root, sequences=["disc"])
    results = evaluate_dataset(dataset, DatasetOptions(CONFIG, tmp_path / "out"))
    assert all(np.isnan(deviation) for _, deviation in results.figures.values())
    written = json.loads((tmp_path / "out/summary.json").read_text())["figures"]
    assert all(each["deviation"] is None for each in written.values())
    assert results.submission is None and not (tmp_path / "out/submission").exists()


# --- engines ------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_results_are_the_same_whatever_the_engine(
    root: Path, evaluated: Evaluated, tmp_path: Path, engine: str
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    told = []
    options = DatasetOptions(CONFIG, tmp_path / "out", 2, engine=engine, workers=2, masks=True)
    evaluate_dataset(
        open_dataset("davis2016", root),
        options,
        on_start=told.append,
        on_done=lambda job, error: told.append(job.sequence.name),
    )
    assert told[0] == 6 and sorted(told[1:]) == sorted(NAMES * 2)
    serial = tables(evaluated[0])
    assert len(serial) == 6 + 6 + 1
    assert tables(tmp_path / "out") == serial
    assert figures(tmp_path / "out") == figures(evaluated[0])
    masks = [
        {
            str(path.relative_to(out)): path.read_bytes()
            for path in out.rglob("submission/**/*.png")
        }
        for out in (evaluated[0], tmp_path / "out")
    ]
    assert len(masks[0]) == 6 * FRAMES and masks[0] == masks[1]


# --- failing, and going on ----------------------------------------------------------------


def times(out: Path) -> dict[str, int]:
    """When the jobs' scores were written."""
    files = out.glob("sequences/*/*/scores.csv")
    return {f"{p.parts[-3]} {p.parts[-2]}": p.stat().st_mtime_ns for p in files}


def newer(out: Path, before: dict[str, int]) -> set[str]:
    return {name for name, time in times(out).items() if time != before.get(name)}


def test_a_failed_sequence_costs_no_other_and_is_run_again_alone(
    evaluated: Evaluated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = davis2016(tmp_path / "davis"), tmp_path / "out"
    image = root / "JPEGImages/480p/disc/00003.png"
    whole = image.read_bytes()
    image.write_bytes(b"no image")
    assert run(root, out, "--seeds", "2") == 1
    error = capsys.readouterr().err
    assert error.startswith("sam-pt: 2 of 6 runs failed") and error.count("\n") == 1
    assert "disc, seed 0" in error and str(image) in error
    summary = json.loads((out / "summary.json").read_text())
    assert [text.split(":")[0] for text in summary["failures"]] == ["disc, seed 0", "disc, seed 1"]
    assert list(summary["sequences"]) == ["beside", "turned"]
    assert "disc, seed 1" in html.unescape((out / "report.html").read_text())
    clean = read_rows(evaluated[0] / "scores.csv", ScoreRow)
    rest = [row for row in clean if row.sequence != "disc"]
    assert repr(read_rows(out / "scores.csv", ScoreRow)) == repr(rest)
    mean = statistics.fmean(row.j_mean for row in rest)
    assert summary["figures"]["J mean"]["mean"] == pytest.approx(mean, abs=1e-12)

    before = times(out)
    assert run(root, out, "--seeds", "2", "--resume") == 1, "it is still broken"
    assert newer(out, before) == set()
    capsys.readouterr()

    image.write_bytes(whole)
    assert run(root, out, "--seeds", "2", "--resume") == 0
    assert capsys.readouterr().err == ""
    assert newer(out, before) == {"disc seed_0", "disc seed_1"}
    assert tables(out) == tables(evaluated[0])
    assert figures(out) == figures(evaluated[0])


def test_if_all_fail_there_are_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = davis2016(tmp_path / "davis"), tmp_path / "out"
    (root / "JPEGImages/480p/disc/00007.png").write_bytes(b"")
    assert run(root, out, "--sequences", "disc") == 1
    assert "1 of 1 runs failed" in capsys.readouterr().err
    summary = json.loads((out / "summary.json").read_text())
    assert summary["figures"] == summary["sequences"] == {} and summary["fps"] is None
    assert read_rows(out / "scores.csv", ScoreRow) == []


def going_on(root: Path, out: Path, **more: Any) -> tuple[DatasetResults, int]:
    counted: list[int] = []
    options = replace(DatasetOptions(CONFIG, out, resume=True), **more)
    dataset = open_dataset("davis2016", root, sequences=["beside", "disc"])
    return evaluate_dataset(dataset, options, counted.append), counted[0]


def test_only_what_is_not_there_is_run(root: Path, evaluated: Evaluated, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, ran = going_on(root, out)
    assert ran == 2  # in a folder that is not there yet there is nothing to go on with
    before = times(out)
    (out / "sequences/disc/seed_0/scores.csv").unlink()
    again, ran = going_on(root, out)
    assert ran == 1 and newer(out, before) == {"disc seed_0"}
    assert again.figures["J&F"][0] == first.figures["J&F"][0]
    before = times(out)
    more, ran = going_on(root, out, seeds=2)
    assert ran == 2 and newer(out, before) == {"beside seed_1", "disc seed_1"}
    wanted = [row for row in evaluated[1].scores if row.sequence != "turned"]
    assert repr(list(more.scores)) == repr(wanted)
    before = times(out)
    _, ran = going_on(root, out, masks=True)
    assert ran == 2  # their label images were not asked for then
    assert len(list(out.rglob("submission/seed_0/*/*.png"))) == 2 * FRAMES


def test_without_resume_everything_is_run_anew(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    going_on(root, out, masks=True)
    (out / "sequences/gone").mkdir()
    before = times(out)
    _, ran = going_on(root, out, resume=False)
    assert ran == 2 and newer(out, before) == {"beside seed_0", "disc seed_0"}
    assert sorted(path.name for path in (out / "sequences").iterdir()) == ["beside", "disc"]
    assert not (out / "submission").exists()


def test_another_evaluation_is_not_gone_on_with(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(root, out, "--sequences", "disc") == 0
    before = tables(out)
    config = tmp_path / "other.yaml"
    text = CONFIG.read_text()
    config.write_text(text.replace("reinitialization_horizon: 40", "reinitialization_horizon: 8"))
    assert config.read_text() != text
    capsys.readouterr()
    for more, what in (
        (["--config", str(config)], "configuration"),
        (["--start", "mask"], "start"),
        (["--split", "train"], "split"),
    ):
        assert run(root, out, "--sequences", "disc", "--resume", *more) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"another {what};" in error and str(out) in error
    assert tables(out) == before
    for broken in ("{", "[]"):
        (out / "run.json").write_text(broken)
        assert run(root, out, "--sequences", "disc", "--resume") == 2
        assert (
            "run.json: cannot be read as JSON; evaluate again without --resume"
            in capsys.readouterr().err
        )


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_folder_of_something_else_is_left_alone(
    root: Path, tmp_path: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / "sequences").mkdir(parents=True)
    (out / "sequences/mine.txt").write_text("mine")
    assert run(root, out, *more) == 2
    error = capsys.readouterr().err
    assert "holds other files" in error and error.count("\n") == 1
    assert [str(path.relative_to(out)) for path in sorted(out.rglob("*"))] == [
        "sequences",
        "sequences/mine.txt",
    ]


# --- submissions, starts, films -----------------------------------------------------------


def test_label_images_lie_as_a_server_takes_them(evaluated: Evaluated) -> None:
    out, results, _ = evaluated
    assert results.submission == out / "submission"
    found = sorted(
        str(p.relative_to(results.submission)) for p in out.rglob("submission/**/*.png")
    )
    assert found == [
        f"seed_{seed}/{name}/{index:05d}.png"
        for seed in SEEDS
        for name in NAMES
        for index in range(FRAMES)
    ]
    for each in found:
        with Image.open(results.submission / each) as opened:
            assert opened.mode == "P" and opened.size == (160, 120)
            palette = opened.getpalette()
        assert palette == davis_palette().ravel().tolist()[: len(palette or ())]
        assert np.unique(read_indexed(results.submission / each)).tolist() == [0, 1]


def test_two_objects_have_a_row_each_and_their_own_labels(tmp_path: Path) -> None:
    dataset = open_dataset("davis2017", davis2017(tmp_path / "davis"))
    results = evaluate_dataset(dataset, DatasetOptions(CONFIG, tmp_path / "out", masks=True))
    assert [(row.sequence, row.object_id) for row in results.scores] == [("pair", 1), ("pair", 2)]
    rows = read_rows(tmp_path / "out/sequences/pair/seed_0/results.csv", ObjectRow)
    assert [(row.frame, row.object_id) for row in rows] == [
        (index, number) for index in range(FRAMES) for number in (1, 2)
    ]
    for row in rows:
        found = read_indexed(tmp_path / f"out/submission/seed_0/pair/{row.frame:05d}.png")
        mask, wanted = found == row.object_id, two_objects(row.frame) == row.object_id
        overlap = (mask & wanted).sum() / (mask | wanted).sum()
        assert overlap > 0.7
        assert np.isnan(row.j) if row.frame in (0, FRAMES - 1) else row.j == overlap
    means = [
        statistics.fmean(row.j for row in rows if row.object_id == n and not np.isnan(row.j))
        for n in (1, 2)
    ]
    assert results.figures["J mean"][0] == pytest.approx(sum(means) / 2, abs=1e-12)


def test_a_test_set_makes_a_submission_and_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = davis2017(tmp_path / "davis", "test-dev", annotated=1), tmp_path / "out"
    assert run(root, out, "--split", "test-dev", dataset="davis2017") == 0
    printed = capsys.readouterr().out
    assert "submission" in printed.replace("\n", "") and "J mean" not in printed
    names = sorted(path.name for path in (out / "submission/seed_0/pair").iterdir())
    assert names == [f"{index:05d}.png" for index in range(FRAMES)]
    for index, name in enumerate(names):
        found = read_indexed(out / "submission/seed_0/pair" / name)
        assert np.unique(found).tolist() == [0, 1, 2]
        assert (found == two_objects(index)).mean() > 0.97
    summary = json.loads((out / "summary.json").read_text())
    assert summary["figures"] == {} and summary["sequences"]["pair"]["j"] is None
    assert [row.scored for row in read_rows(out / "scores.csv", ScoreRow)] == [0, 0]


@pytest.mark.parametrize("start", ["click", "box", "mask"])
def test_other_ways_to_start_are_other_results(
    root: Path, evaluated: Evaluated, tmp_path: Path, start: str
) -> None:
    out = tmp_path / "out"
    assert run(root, out, "--start", start, "--sequences", "disc") == 0
    assert json.loads((out / "summary.json").read_text())["start"] == start
    (row,) = read_rows(out / "scores.csv", ScoreRow)
    assert row.j_mean > 0.8
    name = "sequences/disc/seed_0/results.csv"
    assert (out / name).read_text() != (evaluated[0] / name).read_text()


def test_every_sequence_has_its_film_and_its_report(
    root: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(root, out, "--films", "--sequences", "disc,turned") == 0
    for name in ("disc", "turned"):
        folder = out / f"sequences/{name}/seed_0"
        assert count_frames(folder / "overlay.mp4") == FRAMES
        assert name in (folder / "report.html").read_text()
        assert (folder / "results.csv").read_text() == (
            evaluated[0] / f"sequences/{name}/seed_0/results.csv"
        ).read_text()


# --- the command --------------------------------------------------------------------------


def bad(root: Path) -> Iterator[tuple[list[str], str]]:
    data = ["--dataset", "davis2016"]
    there = [*data, "--root", str(root)]
    yield data, "--dataset needs --root"
    yield [], "give a BAG or a --dataset"
    yield ["bag", *there], "give a BAG or a --dataset"
    yield [*there, "--sequences", "disk"], "unknown sequence 'disk'"
    yield [*there, "--split", "test"], "no split 'test'"
    yield [*data, "--root", str(root / "none")], "no such folder"
    yield [*data, "--root", str(root / "JPEGImages")], "is missing"
    yield ["--dataset", "davis", "--root", str(root)], "invalid choice: 'davis'"
    yield [*there, "--live"], "--live applies to a BAG only"
    yield [*there, "--engine", "serial", "--workers", "2"], "leave out --workers"
    yield [*there, "--engine", "threads"], "invalid choice: 'threads'"
    yield [*there, "--workers", "0"], "must be a whole number, 1 or more; got '0'"
    yield [*there, "--seeds", "0"], "must be a whole number, 1 or more; got '0'"
    yield [*there, "--start", "circle"], "invalid choice: 'circle'"
    yield [*there, "--config", str(root / "none.yaml")], "none.yaml"
    yield (
        [*there, "--out", str(root / "JPEGImages/480p/disc/00000.png")],
        "cannot be created as a folder",
    )


@pytest.mark.parametrize("number", range(16))
def test_bad_input_is_one_line_and_exit_code_2(
    root: Path, tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = list(bad(root))
    assert len(cases) == 16
    arguments, words = cases[number]
    out = tmp_path / "out"
    assert main(["evaluate", "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("sam-pt: ") and error.count("\n") == 1
    assert not list(out.rglob("*.csv"))


@pytest.mark.parametrize("name", ["seeds", "workers"])
def test_options_are_checked_on_construction(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"--{name} must be at least 1, got 0"):
        replace(DatasetOptions(CONFIG, tmp_path), **{name: 0})


def test_workers_alone_means_processes_and_results_are_printed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sam_pt_ros.evaluation import dataset_evaluation

    asked: list[tuple[str, int]] = []
    real = dataset_evaluation.run_jobs

    def run_here(function: Any, jobs: Any, *, engine: str, workers: int, on_done: Any) -> Any:
        asked.append((engine, workers))
        return real(function, jobs, on_done=on_done)

    monkeypatch.setattr(dataset_evaluation, "run_jobs", run_here)
    assert run(root, tmp_path / "two", "--workers", "2", "--sequences", "disc") == 0
    assert run(root, tmp_path / "one", "--sequences", "disc") == 0
    assert asked == [("processes", 2), ("serial", 1)]
    (row,) = read_rows(tmp_path / "one/scores.csv", ScoreRow)
    printed = capsys.readouterr().out
    assert "disc" in printed and f"{row.j_mean:.3f}" in printed and f"{row.j_and_f:.3f}" in printed
