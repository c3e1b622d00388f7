"""Results in another process: the same as in this one, and nothing is lost in silence."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.evaluation.bag_input import BagInput
from sam_pt_ros.evaluation.make_bag import MakeBagOptions, make_bag
from sam_pt_ros.evaluation.prompts import PromptSchedule
from sam_pt_ros.evaluation.result_writer import ResultWriter
from sam_pt_ros.evaluation.scoring import Scorer, ScoringProtocol
from sam_pt_ros.evaluation.side_process import SideJob, SideProcess
from sam_pt_ros.evaluation.stream import Sink, run_stream
from sam_pt_ros.paths import classical_configuration_file
from support.media import count_frames, read, recording, write_sequence

FRAMES = 8


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> BagInput:
    folder = tmp_path_factory.mktemp("side")
    frames, annotations = write_sequence(folder / "f", folder / "a", frames=FRAMES)
    path = make_bag(MakeBagOptions(frames, folder / "bag", annotations)).path
    return BagInput.find(recording(path))


def job(bag: BagInput, out: Path) -> SideJob:
    out.mkdir(exist_ok=True)
    camera = bag.camera((120, 160))
    assert camera is not None
    return SideJob(bag, None, ScoringProtocol(), out / "output", out / "film.mp4", camera)


def run(bag: BagInput, sinks: list[Sink]) -> None:
    pipeline = load_configuration(classical_configuration_file()).offline().create()
    with bag.open_truth() as truth:
        outcome = run_stream(pipeline, bag.images(truth), PromptSchedule(bag.prompts()[0]), sinks)
    assert outcome.broken is None


def test_the_other_process_does_what_this_one_would_do(bag: BagInput, tmp_path: Path) -> None:
    side = SideProcess(job(bag, tmp_path / "side"))
    here = job(bag, tmp_path / "here")
    scorer = Scorer(ScoringProtocol())
    writer = ResultWriter(here.output, here.film, here.camera)
    run(bag, [side, scorer, writer])
    assert repr(side.scorer.rows) == repr(scorer.rows)
    assert repr(side.scorer.scores("s", 0)) == repr(scorer.scores("s", 0))
    pictures = side.strip.picture(), writer.strip.picture()
    assert pictures[0] is not None and pictures[1] is not None
    np.testing.assert_array_equal(*pictures)
    assert count_frames(tmp_path / "side/film.mp4") == FRAMES
    for name in ("objects", "label_image", "masks", "tracked_points", "overlay", "markers"):
        topic = f"/sam_pt/{name}"
        written = [repr(message) for message in read(tmp_path / "side/output", topic)]
        assert written == [repr(message) for message in read(tmp_path / "here/output", topic)]
        assert len(written) == FRAMES


def test_what_goes_wrong_there_is_raised_here(bag: BagInput, tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    bad = job(bag, tmp_path / "nowhere")
    side = SideProcess(
        SideJob(bag, None, ScoringProtocol(), None, tmp_path / "none/film.mp4", bad.camera)
    )
    with pytest.raises(OSError, match="No such file"):
        run(bag, [side])


def test_a_process_that_is_killed_is_noticed(bag: BagInput, tmp_path: Path) -> None:
    side = SideProcess(job(bag, tmp_path / "out"))
    pid = side._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="the process that writes the results died"):
        run(bag, [side])
    assert not side._process.is_alive()
