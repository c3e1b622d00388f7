"""The worker: order, dropping, calls in between, and its end."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import CancelledError

import pytest

from sam_pt_ros.ros.worker import Worker

TIMEOUT = 60.0


class Gate:
    """Processes items, each only when it is let."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.dropped: list[int] = []
        self.begun = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)

    def process(self, item: int, dropped: int) -> None:
        self.begun.release()
        assert self.permits.acquire(timeout=TIMEOUT)
        self.done.append(item)
        self.dropped.append(dropped)

    def wait_until_begun(self) -> None:
        assert self.begun.acquire(timeout=TIMEOUT)


def test_all_items_are_processed_in_order() -> None:
    gate = Gate()
    worker = Worker(gate.process, capacity=10)
    gate.permits.release(5)
    for item in range(5):
        worker.submit(item)
    for _ in range(5):
        gate.wait_until_begun()
    assert worker.stop(TIMEOUT)
    assert gate.done == [0, 1, 2, 3, 4]
    assert gate.dropped == [0] * 5


def test_a_slow_worker_with_room_for_one_gets_the_newest() -> None:
    gate = Gate()
    worker = Worker(gate.process, capacity=1)
    worker.submit(0)
    gate.wait_until_begun()
    for item in range(1, 5):
        worker.submit(item)
    gate.permits.release(2)
    gate.wait_until_begun()
    assert worker.stop(TIMEOUT)
    assert gate.done == [0, 4]
    assert gate.dropped == [0, 3]


def test_items_that_are_cleared_are_not_processed() -> None:
    gate = Gate()
    worker = Worker(gate.process, capacity=10)
    for item in range(3):
        worker.submit(item)
    gate.wait_until_begun()
    worker.clear()
    worker.submit(3)
    gate.permits.release(2)
    gate.wait_until_begun()
    assert worker.stop(TIMEOUT)
    assert gate.done == [0, 3]


def test_a_call_runs_before_the_items_that_wait() -> None:
    gate = Gate()
    worker = Worker(gate.process, capacity=10)
    worker.submit(0)
    gate.wait_until_begun()
    worker.submit(1)
    answer = worker.call(lambda: list(gate.done))
    gate.permits.release(2)
    assert answer.result(TIMEOUT) == [0]
    assert worker.stop(TIMEOUT)


def test_many_calls_do_not_keep_an_item_waiting_for_all_of_them() -> None:
    go_on, order = threading.Event(), list[str]()
    worker: Worker[str] = Worker(lambda item, dropped: order.append(item), capacity=1)
    worker.call(lambda: go_on.wait(TIMEOUT))
    worker.submit("item")
    calls = [worker.call(lambda: order.append("call")) for _ in range(100)]
    assert worker.waiting >= 100
    go_on.set()
    calls[-1].result(TIMEOUT)
    assert order.count("call") == 100 and order.index("item") < 20
    assert worker.stop(TIMEOUT)


def test_what_a_call_raises_is_the_callers() -> None:
    worker = Worker(lambda item, dropped: None, capacity=1)

    def fail() -> None:
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        worker.call(fail).result(TIMEOUT)
    assert worker.call(lambda: 7).result(TIMEOUT) == 7
    assert worker.stop(TIMEOUT)


def test_a_call_that_wants_to_end_the_process_does_not_end_the_thread() -> None:
    worker = Worker(lambda item, dropped: None, capacity=1)
    with pytest.raises(SystemExit):
        worker.call(lambda: sys.exit(1)).result(TIMEOUT)
    assert worker.call(lambda: 7).result(TIMEOUT) == 7
    assert worker.stop(TIMEOUT)


def test_a_call_that_was_cancelled_in_time_never_runs() -> None:
    gate = Gate()
    worker = Worker(gate.process, capacity=1)
    worker.submit(0)
    gate.wait_until_begun()
    ran: list[int] = []
    waiting = worker.call(lambda: ran.append(1))
    assert waiting.cancel()
    gate.permits.release()
    assert worker.call(lambda: 2).result(TIMEOUT) == 2  # the thread has survived it
    assert ran == []
    assert worker.stop(TIMEOUT)


def test_a_call_that_has_begun_cannot_be_cancelled() -> None:
    worker = Worker(lambda item, dropped: None, capacity=1)
    begun, go_on = threading.Event(), threading.Event()

    def call() -> int:
        begun.set()
        assert go_on.wait(TIMEOUT)
        return 3

    answer = worker.call(call)
    assert begun.wait(TIMEOUT)
    assert not answer.cancel()
    go_on.set()
    assert answer.result(TIMEOUT) == 3
    assert worker.stop(TIMEOUT)


def test_stopping_cancels_calls_and_reports_a_hanging_item() -> None:
    gate = Gate()
    worker = Worker(gate.process, capacity=1)
    worker.submit(0)
    gate.wait_until_begun()
    waiting = worker.call(lambda: 1)
    assert not worker.stop(0.01)
    with pytest.raises(CancelledError):
        waiting.result(TIMEOUT)
    with pytest.raises(CancelledError):
        worker.call(lambda: 2).result(TIMEOUT)
    gate.permits.release()
    assert worker.stop(TIMEOUT)
