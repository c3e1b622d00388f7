"""The examples in the pages run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.objects import ObjectPrompt, ObjectState
from sam_pt_ros.segmenters import Segmenter
from sam_pt_ros.trackers import PointTracker
from support import packages

DOCS = Path(__file__).resolve().parents[2] / "docs"
FRAMES, LATE, HIDDEN, SIDE = 12, 4, 8, 30


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example of a package of backends, installed, and its configuration file."""
    module, _ = blocks("extending.md", "python")
    (project,) = blocks("extending.md", "toml")
    (settings,) = blocks("extending.md", "yaml")
    points = {
        group: dict(re.findall(r'^(\w+) = "(.+)"$', section, re.MULTILINE))
        for group, section in re.findall(
            r'\[project\.entry-points\."sam_pt_ros\.(\w+)"\]\n((?:\w.*\n)+)', project
        )
    }
    assert {group: list(named) for group, named in points.items()} == {
        "trackers": ["template"],
        "segmenters": ["flood_fill"],
    }
    packages.install(tmp_path, "my_backends", module, **points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_backends", raising=False)
    path = tmp_path / "my_backends.yaml"
    path.write_text(settings)
    return path


def place(index: int) -> tuple[int, int]:
    """The top-left pixel of the square."""
    return 40 + 3 * index, 30 + 2 * index


def film() -> list[np.ndarray]:
    """A square that moves over noise, and cannot be seen in one frame."""
    ground = np.random.default_rng(0).integers(0, 90, (120, 160, 3), np.uint8)
    images = []
    for index in range(FRAMES):
        image = ground.copy()
        if index != HIDDEN:
            x, y = place(index)
            image[y : y + SIDE, x : x + SIDE] = (220, 120, 40)
            image[y + 10 : y + 14, x + 8 : x + 22] = (214, 112, 36)  # texture for the tracker
        images.append(image)
    return images


def test_the_example_of_a_tracker_and_a_segmenter_tracks_an_object(configuration: Path) -> None:
    pipeline = load_configuration(configuration).create()
    assert isinstance(pipeline.tracker, PointTracker)
    assert isinstance(pipeline.segmenter, Segmenter)
    assert pipeline.tracker.options.reach == 16
    assert pipeline.segmenter.options.tolerance == 12
    for index, image in enumerate(film()):
        (result,) = pipeline.process(image, index)
        assert not result.problems
        if index == LATE:  # a click on an older frame, which has to catch up
            x, y = place(1)
            pipeline.add_object(ObjectPrompt([[x + 15, y + 12]], [1]), stamp=1)
        if index <= LATE:
            continue
        item = result.object(1)
        if index == HIDDEN:
            assert item.state == ObjectState.OCCLUDED
            continue
        assert item.state == ObjectState.TRACKING, index
        expected = np.zeros(image.shape[:2], np.bool_)
        x, y = place(index)
        expected[y : y + SIDE, x : x + SIDE] = True
        found = item.mask.full()
        assert (found & expected).sum() / (found | expected).sum() > 0.95, index


def test_the_example_of_a_tracker_passes_the_tests_of_the_page(
    configuration: Path, tmp_path: Path
) -> None:
    _, tests = blocks("extending.md", "python")
    (tmp_path / "test_my_backends.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "."]
    path = os.pathsep.join([str(tmp_path), str(DOCS.parent)])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) > 20


def test_the_example_of_the_library_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(DOCS.parent)
    code = blocks("library.md", "python")[0]
    frames = [np.full((360, 640, 3), 40, np.uint8) for _ in range(4)]
    for index, image in enumerate(frames):
        image[160:200, 300 + index : 345 + index] = (200, 90, 40)
    exec(compile(code, "library.md", "exec"), {"frames": frames})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all(line.startswith("1 TRACKING ") for line in printed)
