"""The thread that owns the pipeline; other threads only hand work to it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_MAX_CALLS = 20  # in a row while an item waits


class Worker(Generic[Item]):
    """Processes items in order in a thread of its own, and runs calls in between.

    Any thread may call its methods.

    Args:
        process: takes the next item, and the number of items that were dropped before it. It is
            called in the worker's thread and must not raise.
        capacity: how many items may wait; beyond that the oldest is dropped. 1 keeps only the
            newest.
    """

    def __init__(self, process: Callable[[Item, int], None], capacity: int) -> None:
        self._process = process
        self._items: deque[Item] = deque()
        self._capacity = capacity
        self._calls: deque[tuple[Future[None], Callable[[], None]]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._dropped = 0  # since an item was taken
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Hand over the next item; returns at once."""
        with self._wake:
            if len(self._items) == self._capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._wake.notify()

    def clear(self) -> None:
        """Drop all items that wait."""
        with self._wake:
            self._items.clear()

    def call(self, function: Callable[[], Answer]) -> Future[Answer]:
        """Run ``function`` in the worker's thread before the next item.

        While items wait, at most 20 calls run in a row.

        The future holds what the function returned or raised. It can be cancelled until the
        function begins, and is cancelled if the worker stops first: then the function never runs.
        """
        future: Future[Answer] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except (Exception, SystemExit) as error:  # the caller handles it
                future.set_exception(error)

        with self._wake:
            if self._stopping:
                future.cancel()
            else:
                self._calls.append((future, run))  # type: ignore[arg-type]
                self._wake.notify()
        return future

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._calls)

    def stop(self, timeout: float | None = None) -> bool:
        """Drop what waits, and end after the item in hand; false if that takes longer.

        The thread is a daemon: one that hangs does not keep the process alive.

        Args:
            timeout: seconds to wait; None: until it has ended.
        """
        with self._wake:
            self._stopping = True
            self._items.clear()
            calls = list(self._calls)
            self._calls.clear()
            self._wake.notify()
        for future, _ in calls:
            future.cancel()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        calls = 0  # since the last item
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._calls or self._items)
                if self._stopping:
                    return
                run = None
                if self._calls and (calls < _MAX_CALLS or not self._items):
                    run = self._calls.popleft()[1]
                    calls += 1
                else:
                    calls = 0
                    item, dropped, self._dropped = self._items.popleft(), self._dropped, 0
            if run is not None:
                run()
            else:
                self._process(item, dropped)
