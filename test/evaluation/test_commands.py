"""The commands as they are typed; those on data sets are in test_dataset_evaluation.py."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

from sam_pt_ros.cli import main
from sam_pt_ros.evaluation.command_line import DATASET_NAMES, STUDY_METHODS
from sam_pt_ros.evaluation.datasets.dataset import DATASETS
from sam_pt_ros.evaluation.interactive.methods import ANNOTATION_METHODS
from sam_pt_ros.evaluation.results import ScoreRow, read_rows, write_rows
from support.media import read, write_sequence

COMMANDS = ("evaluate", "replay", "make-bag", "compare", "sweep", "study")


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    for name in ("one", "two"):
        write_sequence(root / "JPEGImages/480p" / name, root / "Annotations/480p" / name, frames=6)
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_help_does_not_import_what_a_run_needs(command: str) -> None:
    code = (
        "import sys; from sam_pt_ros.cli import main\n"
        f"try: main(['{command}', '--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'matplotlib', 'av', 'pycocotools', 'ray', 'scipy', 'torch', 'rclpy'}\n"
        "bad = slow & set(sys.modules)\n"
        "sys.exit(f'imported: {bad}' if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "usage: sam-pt" in done.stdout


def test_the_names_in_the_help_are_those_that_there_are() -> None:
    assert set(DATASET_NAMES) == {*DATASETS, "uvo"}
    assert tuple(ANNOTATION_METHODS) == STUDY_METHODS


def test_from_frames_to_a_bag_to_results(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, annotations = davis / "JPEGImages/480p/one", davis / "Annotations/480p/one"
    bag = tmp_path / "a bag"
    made = ["make-bag", str(frames), str(bag), "--annotations", str(annotations)]
    assert main([*made, "--prompt", "click", "--rate", "10"]) == 0
    assert "6 images of 160x120 pixels, 0.60 s, clicks on 1 of them" in capsys.readouterr().out
    (message,) = read(bag, "/points")
    assert len(message.prompts) == 1
    for out in ("first", "second"):
        assert main(["evaluate", str(bag), "--out", str(tmp_path / out), "--no-film"]) == 0
    output = capsys.readouterr().out
    assert "J&F" in output and "report.html" in output
    first, second = (tmp_path / out / "results.csv" for out in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()

    compared = ["compare", str(tmp_path / "first"), str(tmp_path / "second")]
    out = tmp_path / "compared"
    assert main([*compared, "--tolerance", "0", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"comparison.csv", "comparison.svg"}


def test_a_comparison_fails_if_something_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, j in (("before", 0.8), ("after", 0.7)):
        (tmp_path / name).mkdir()
        row = ScoreRow("s", 0, 1, "", "", 9, 1.0, 0.9, 7, j_mean=j, f_mean=j)
        write_rows(tmp_path / name / "scores.csv", ScoreRow, [row])
    runs = [str(tmp_path / "before"), str(tmp_path / "after")]
    assert main(["compare", *runs]) == 0
    assert main(["compare", *runs, "--tolerance", "0.2"]) == 0
    capsys.readouterr()
    assert main(["compare", *runs, "--tolerance", "0.05"]) == 1
    assert "worse by more than 0.05: mean: J&F 0.8000 → 0.7000" in capsys.readouterr().err
    assert main(["compare", *runs[::-1], "--tolerance", "0.05"]) == 0
    assert main(["compare", *runs, "--tolerance", "2"]) == 2


def test_a_sweep_and_its_table(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep"
    common = ["--dataset", "davis2016", "--root", str(davis), "--out", str(out)]
    arguments = ["sweep", *common, "--set", "positive_points=4,8", "--sequences", "one"]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "positive_points" in table and "J&F" in table and "gain" in table
    with (out / "sweep.csv").open() as file:
        assert len(list(csv.DictReader(file))) >= 2
    folders = sorted(path for path in out.iterdir() if path.is_dir())
    assert [folder.name for folder in folders] == ["positive_points=4", "positive_points=8"]
    (score,) = read_rows(folders[0] / "run/scores.csv", ScoreRow)
    assert score.sequence == "one" and score.j_mean > 0.8
    before = {path: path.stat().st_mtime_ns for path in out.rglob("results.csv")}
    assert len(before) == 2 and main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("results.csv")} == before
    assert main(["sweep", *common, "--set", "positive_pionts=4"]) == 2
    assert "did you mean 'positive_points'" in capsys.readouterr().err


def test_the_study(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study"
    common = ["--dataset", "davis2016", "--root", str(davis), "--out", str(out)]
    arguments = ["study", *common, "--sequences", "one", "--interactions", "3"]
    assert main([*arguments, "--methods", "sam_only,online"]) == 0
    assert {path.name for path in out.iterdir()} == {"study.csv", "study.png"}
    assert "online" in capsys.readouterr().out
    with (out / "study.csv").open() as file:
        assert {row["method"] for row in csv.DictReader(file)} == {"sam_only", "online"}
    assert main([*arguments, "--methods", "sometimes"]) == 2
    assert "unknown annotation method 'sometimes'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate"], "give a BAG or a --dataset"),
        (["evaluate", "bag", "--dataset", "davis2016"], "not both"),
        (["evaluate", "bag", "--seeds", "2"], "--seeds applies to a --dataset only"),
        (["evaluate", "bag", "--resume"], "--resume applies to a --dataset only"),
        (["evaluate", "bag", "--live", "--no-bag"], "--no-bag cannot be combined with --live"),
        (
            ["evaluate", "--dataset", "davis2016", "--root", ".", "--image-topic", "/a"],
            "--image-topic applies to a BAG only",
        ),
        (["evaluate", "--dataset", "davis2016"], "--dataset needs --root"),
        (["evaluate", "bag", "--config", "clasical"], "did you mean 'classical'"),
        (["make-bag", "nowhere", "bag", "--click", "1,1"], "no such video file"),
        (["make-bag", "frames", "bag", "--rate", "fast"], "frames per second"),
        (["compare", "a", "b"], "not a run"),
        (["sweep", "--dataset", "uvo", "--root", ".", "--set", "a=1"], "UVO gives no object's"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
