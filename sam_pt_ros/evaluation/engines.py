"""Runs independent jobs: one after the other, in processes on this machine, or on Ray."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, Generic, TypeVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import did_you_mean

Job = TypeVar("Job")
Result = TypeVar("Result")

ENGINES = ("serial", "processes", "ray")
"""Where jobs can be run: in this process, in processes on this machine, or on Ray."""

DIED = "its process died (killed, crashed or out of memory); if memory is short, use fewer workers"
"""The error of a job whose process died."""

CONNECTION_TIMEOUT = 10.0
"""Seconds to wait for a Ray cluster to answer, and seconds to try to cancel its jobs."""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one job.

    Attributes:
        index: of the job, from 0.
        result: what the function returned; None after an error.
        error: what went wrong, in one line; None if nothing did.
        details: the traceback of the error; empty if there is none.
    """

    index: int
    result: Result | None
    error: str | None = None
    details: str = ""


def _ignore(outcome: Outcome[Any]) -> None:
    """Do nothing."""


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    engine: str = "serial",
    workers: int = 1,
    on_done: Callable[[Outcome[Result]], None] = _ignore,
) -> list[Outcome[Result]]:
    """Call a function with each job; a job that fails, or kills its process, affects no other.

    Args:
        function: a function of a module, so that it can be pickled; with "serial" any callable.
        jobs: its arguments; they and the results must be picklable, except for "serial".
        engine: one of :data:`ENGINES`. "ray" uses all of the cluster that the environment
            variable ``RAY_ADDRESS`` or an earlier ``ray.init`` names; without one it starts Ray on
            this machine, and stops it afterwards.
        workers: number of jobs at a time, at least 1; "serial" runs one.
        on_done: called in this thread with each outcome as soon as it is known.

    Returns:
        The outcomes in the order of the jobs.

    Raises:
        UserError: the engine is unknown, Ray is not installed or cannot be reached, or the
            function or a job cannot be pickled.
    """
    if engine not in ENGINES:
        raise UserError(f"unknown engine '{engine}'{did_you_mean(engine, ENGINES)}")
    if workers < 1:
        raise UserError(f"the number of workers must be at least 1, got {workers}")
    finished: Iterator[Outcome[Result]]
    if engine == "serial":
        finished = _serial(function, jobs)
    else:
        call = _pickled(function, "the function")
        sent = [_pickled(job, f"job {index}") for index, job in enumerate(jobs)]
        finished = (_processes if engine == "processes" else _ray)(call, sent, workers)
    outcomes: dict[int, Outcome[Result]] = {}
    with closing(finished):  # type: ignore[type-var]  # all of them are generators
        for outcome in finished:
            outcomes[outcome.index] = outcome
            on_done(outcome)
    return [outcomes[index] for index in range(len(jobs))]


def _serial(function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Outcome[Result]]:
    for index, job in enumerate(jobs):
        try:
            outcome = Outcome(index, function(job))
        except (Exception, SystemExit) as error:
            outcome = Outcome(index, None, *_described(error))
        yield outcome


def _processes(call: bytes, jobs: Sequence[bytes], workers: int) -> Iterator[Outcome[Any]]:
    """Each worker is a pool of one process, so that a death affects one known job only."""
    context = multiprocessing.get_context("spawn")  # threads and locks do not survive a fork
    lifeline, held = context.Pipe(duplex=False)

    def new_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=context, initializer=_begin_worker, initargs=(lifeline,)
        )

    waiting = deque(enumerate(jobs))
    idle = [new_pool() for _ in range(min(workers, len(jobs)))]
    running: dict[Future[bytes], tuple[int, ProcessPoolExecutor]] = {}
    try:
        while waiting or running:
            while waiting and idle:
                index, job = waiting.popleft()
                pool = idle.pop()
                try:
                    future = pool.submit(execute, call, job)
                except BrokenProcessPool:  # its process has died
                    pool.shutdown()
                    pool = new_pool()
                    future = pool.submit(execute, call, job)
                running[future] = index, pool
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index, pool = running.pop(future)
                try:
                    outcome = _received(index, future.result())
                except BrokenProcessPool:
                    outcome = Outcome(index, None, DIED)
                idle.append(pool)
                yield outcome
    except BaseException:  # also GeneratorExit: the rest is not wanted
        held.close()
        raise
    finally:
        for pool in [*idle, *(pool for _, pool in running.values())]:
            pool.shutdown(cancel_futures=True)
        held.close()
        lifeline.close()


def _begin_worker(lifeline: Connection) -> None:
    """End this process when its parent asks for it or ends; the parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    lifeline.poll(None)  # nothing is ever sent: returns when the other end is closed
    os._exit(1)


def _ray(call: bytes, jobs: Sequence[bytes], workers: int) -> Iterator[Outcome[Any]]:
    ray = _import_ray()
    started = not ray.is_initialized()
    if started:
        _start_ray(ray, workers)
    index_of: dict[Any, int] = {}
    try:
        # No retries: a job that killed its worker would kill the next one, too.
        remote = ray.remote(max_retries=0, num_cpus=1)(execute)
        shared = ray.put(call)
        index_of = {remote.remote(shared, job): index for index, job in enumerate(jobs)}
        while index_of:
            (done, *_), _ = ray.wait(list(index_of), num_returns=1)
            try:
                outcome = _received(index_of[done], ray.get(done))
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                outcome = Outcome(index_of[done], None, DIED)
            except ray.exceptions.RayError as error:
                outcome = Outcome(index_of[done], None, *_described(error))
            del index_of[done]
            yield outcome
    finally:
        if started:
            ray.shutdown()  # ends its jobs, too
        else:
            _cancel(ray, list(index_of))


def _cancel(ray: ModuleType, references: list[Any]) -> None:
    """Cancel jobs repeatedly: Ray loses requests for jobs on their way to a worker."""
    deadline = time.monotonic() + CONNECTION_TIMEOUT
    while references and time.monotonic() < deadline:
        for reference in references:
            ray.cancel(reference, force=True)
        _, references = ray.wait(references, num_returns=len(references), timeout=0.5)


def _import_ray() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError(
            "the engine 'ray' needs the Python package 'ray'; run `pip install ray`, or use the "
            "engine 'processes'"
        ) from error


def _start_ray(ray: ModuleType, workers: int) -> None:
    """Connect to ``RAY_ADDRESS``, or start Ray on this machine."""
    address = os.environ.get("RAY_ADDRESS", "")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address not in ("", "local"):
            _check_listening(address)
            ray.init(address=address, **quiet)
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # an evaluation is private
            # "local": not a cluster that somebody else has started on this machine.
            ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"Ray cannot be {'reached at ' + address if address else 'started'} "
            f"({_one_line(str(error))}); check RAY_ADDRESS, or use the engine 'processes'"
        ) from error


def _check_listening(address: str) -> None:
    """OSError if nothing listens there: Ray itself would keep trying for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECTION_TIMEOUT).close()


def execute(call: bytes, job: bytes) -> bytes:
    """Run a job in a worker.

    Args:
        call: the pickled function.
        job: its pickled argument.

    Returns:
        Pickled result, error and details (see :class:`Outcome`). Nothing is raised, and the engine
        has nothing to pickle, because not every exception and not every result can be pickled.
    """
    try:
        return pickle.dumps((pickle.loads(call)(pickle.loads(job)), None, ""))
    except (Exception, SystemExit) as error:
        return pickle.dumps((None, *_described(error)))


def _received(index: int, reply: bytes) -> Outcome[Any]:
    try:
        return Outcome(index, *pickle.loads(reply))
    except Exception as error:  # the result's class may raise anything
        return Outcome(index, None, *_described(error))


def _pickled(what: object, name: str) -> bytes:
    try:
        return pickle.dumps(what)
    except Exception as error:  # a __reduce__ may raise anything
        raise UserError(
            f"{name} cannot be sent to another process ({_one_line(str(error))}); use functions "
            "and classes of a module, or the engine 'serial'"
        ) from error


def _described(error: BaseException) -> tuple[str, str]:
    """An error in one line, and its traceback."""
    line = _one_line(str(error))
    if not isinstance(error, UserError):
        line = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return line, "".join(traceback.format_exception(error))


def _one_line(text: str) -> str:
    return " ".join(text.split())
