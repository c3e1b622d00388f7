"""The same jobs on all engines, and what happens when a worker dies, or everything does."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation import engines
from sam_pt_ros.evaluation.engines import DIED, Outcome, execute, run_jobs

# Workers find functions by the name of their module, which the test module's is not for them.
JOBS = """
import os, signal, time

class Local(Exception):
    def __init__(self, first, second):  # cannot be unpickled
        super().__init__(f"{first}{second}")

class Stubborn:
    def __reduce__(self):
        return _refuse, ()

def _refuse():
    raise RuntimeError("not here")

def work(job):
    kind, value = job
    if kind == "raise":
        raise ValueError("first line\\nsecond line")
    if kind == "strange":
        raise Local("a", "b")
    if kind == "exit":
        raise SystemExit(3)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "unpicklable":
        return lambda: None
    if kind == "stubborn":
        return Stubborn()
    if kind == "sleep":
        time.sleep(value)
    return kind, value, os.getpid()
"""

LONG = 600.0  # seconds; what is not waited for takes less than half, however busy the machine is
CASES = [
    ("square", 3),
    ("raise", 0),
    ("sleep", 0.3),
    ("strange", 0),
    ("square", 4),
    ("exit", 0),
    ("square", 5),
]
"""In a process of their own, these may come too."""
DEADLY = [("kill", 0), ("square", 6), ("unpicklable", 0), ("stubborn", 0), ("kill", 1)]

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="no Ray; run `pip install ray`"
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    (tmp_path / "engine_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delitem(sys.modules, "engine_jobs", raising=False)
    found: Callable[[Any], Any] = importlib.import_module("engine_jobs").work
    return found


def check_outcomes(
    outcomes: list[Outcome[Any]], jobs: list[tuple[str, float]], announced: list[Outcome[Any]]
) -> None:
    assert [outcome.index for outcome in outcomes] == list(range(len(jobs)))
    assert sorted(announced, key=lambda outcome: outcome.index) == outcomes
    errors = {
        "raise": "ValueError: first line second line",
        "strange": "Local: ab",
        "exit": "SystemExit: 3",
        "kill": DIED,
        "stubborn": "RuntimeError: not here",
    }
    for outcome, (kind, value) in zip(outcomes, jobs):
        if kind in ("square", "sleep"):
            assert outcome.error is None and outcome.details == ""
            assert outcome.result is not None and outcome.result[:2] == (kind, value)
            continue
        assert outcome.result is None and outcome.error is not None
        assert "\n" not in outcome.error
        if kind == "unpicklable":
            assert "pickle" in outcome.error
        else:
            assert outcome.error == errors[kind]
        assert ("Traceback" in outcome.details) == (kind != "kill")


def test_serial_runs_all_in_this_process_in_order(work: Callable[[Any], Any]) -> None:
    announced: list[Outcome[Any]] = []
    outcomes = run_jobs(work, CASES, on_done=announced.append)
    check_outcomes(outcomes, CASES, announced)
    assert announced == outcomes
    assert {outcome.result[2] for outcome in outcomes if outcome.result} == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_processes_lose_only_the_jobs_that_killed_theirs(
    work: Callable[[Any], Any], workers: int
) -> None:
    jobs = [*CASES, *DEADLY, *CASES[:1]] if workers < 50 else [*CASES[:2], *DEADLY[:2]]
    announced: list[Outcome[Any]] = []
    outcomes = run_jobs(work, jobs, engine="processes", workers=workers, on_done=announced.append)
    check_outcomes(outcomes, jobs, announced)
    used = {outcome.result[2] for outcome in outcomes if outcome.result}
    assert os.getpid() not in used
    if workers < 50:  # a worker is used again, and replaced when it was killed
        assert len(used) <= workers + 2


@needs_ray
def test_ray_does_what_processes_do(work: Callable[[Any], Any]) -> None:
    import ray

    jobs = [*CASES, *DEADLY, *CASES[:1]]
    announced: list[Outcome[Any]] = []
    outcomes = run_jobs(work, jobs, engine="ray", workers=2, on_done=announced.append)
    check_outcomes(outcomes, jobs, announced)
    assert os.getpid() not in {outcome.result[2] for outcome in outcomes if outcome.result}
    assert not ray.is_initialized()


@needs_ray
@pytest.mark.slow
def test_ray_that_runs_already_is_used_and_left_running(
    work: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:

        def stop(outcome: Outcome[Any]) -> None:
            raise RuntimeError("enough")

        jobs = [("square", 1), ("sleep", LONG), ("sleep", LONG)]
        start = time.monotonic()
        with pytest.raises(RuntimeError, match="enough"):
            run_jobs(work, jobs, engine="ray", on_done=stop)
        assert ray.is_initialized()
        # What was not wanted any more was cancelled: there is a place for another job.
        (outcome,) = run_jobs(work, [("square", 2)], engine="ray")
        assert outcome.result is not None and outcome.result[:2] == ("square", 2)
        assert time.monotonic() - start < LONG / 2
    finally:
        ray.shutdown()


@needs_ray
def test_a_ray_address_that_is_nobodys_is_told(
    work: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1.*check RAY_ADDRESS"):
        run_jobs(work, [("square", 1)], engine="ray")


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="pip install ray"):
        run_jobs(math.sqrt, [1.0], engine="ray")


def test_unpicklable_functions_and_jobs_are_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match="the function cannot be sent"):
        run_jobs(lambda job: job, [1], engine="processes")
    with pytest.raises(UserError, match="job 1 cannot be sent"):
        run_jobs(repr, [1.0, lambda: None], engine="processes")
    assert run_jobs(lambda job: job + 1, [1])[0].result == 2  # "serial" takes them


def test_a_function_that_the_worker_does_not_find_is_the_jobs_error() -> None:
    sent = b"cno_such_module\nwork\n."  # a pickle that names a module which is not there
    index, reply = 0, execute(sent, b"N.")
    outcome = engines._received(index, reply)
    assert outcome.error is not None and "no_such_module" in outcome.error


def test_no_jobs_and_wrong_arguments() -> None:
    assert run_jobs(math.sqrt, []) == []
    assert run_jobs(math.sqrt, [], engine="processes", workers=3) == []
    with pytest.raises(UserError, match="did you mean 'processes'"):
        run_jobs(math.sqrt, [1.0], engine="process")
    with pytest.raises(UserError, match="at least 1, got 0"):
        run_jobs(math.sqrt, [1.0], workers=0)


def test_a_user_errors_message_stands_by_itself() -> None:
    def fail(job: int) -> None:
        raise UserError("frames/: no images; check the path")

    (outcome,) = run_jobs(fail, [1])
    assert outcome.error == "frames/: no images; check the path"


def test_results_are_announced_as_they_come(work: Callable[[Any], Any]) -> None:
    order: list[int] = []
    jobs = [("sleep", 1.5), ("square", 1), ("square", 2)]
    run_jobs(
        work,
        jobs,
        engine="processes",
        workers=2,
        on_done=lambda outcome: order.append(outcome.index),
    )
    assert order == [1, 2, 0]


def test_an_error_of_the_caller_ends_the_workers(work: Callable[[Any], Any]) -> None:
    def stop(outcome: Outcome[Any]) -> None:
        raise RuntimeError("enough")

    start = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        run_jobs(
            work, [("square", 1), ("sleep", LONG)], engine="processes", workers=2, on_done=stop
        )
    assert time.monotonic() - start < LONG / 2


PROGRAM = """
import os, sys, time
from pathlib import Path
from sam_pt_ros.evaluation.engines import run_jobs

def nap(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    run_jobs(nap, [sys.argv[1]] * 4, engine="processes", workers=2)
"""


def alive(pid: int) -> bool:
    """Whether a process exists and is more than an entry that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "ending",
    [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
)
def test_no_worker_outlives_the_program(tmp_path: Path, ending: signal.Signals) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(PROGRAM)
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(program), str(folder)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + LONG / 2
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(path.name) for path in folder.iterdir()]
    assert len(pids) == 2 and all(map(alive, pids))
    process.send_signal(ending)
    _, errors = process.communicate(timeout=LONG / 2)
    assert process.returncode == -ending
    assert ("KeyboardInterrupt" in errors) == (ending == signal.SIGINT)
    deadline = time.monotonic() + LONG / 2
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))


IDLE_PROGRAM = """
import sys, time
from pathlib import Path
from sam_pt_ros.evaluation.engines import run_jobs

if __name__ == "__main__":
    run_jobs(
        time.sleep, [0, 600], engine="processes", workers=2,
        on_done=lambda outcome: Path(sys.argv[1]).touch(),
    )
"""


def test_ctrl_c_is_for_the_program_not_for_its_workers(tmp_path: Path) -> None:
    program, begun = tmp_path / "program.py", tmp_path / "begun"
    program.write_text(IDLE_PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), str(begun)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + LONG / 2
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)  # one worker waits for a job, the other is in one
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=LONG / 2)
    assert process.returncode == -signal.SIGINT
    assert errors.count("KeyboardInterrupt") == 1 and "SpawnProcess" not in errors
