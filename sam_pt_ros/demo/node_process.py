"""The node in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

STOP_TIMEOUT = 15.0
"""Seconds that the node may take to end after SIGINT."""

LOG_LINES = 12
"""Number of last lines of the node's log that are shown if it fails."""


class NodeFailedError(RuntimeError):
    """The node died, never became ready, or did not answer."""


class NodeProcess:
    """Runs ``python -m sam_pt_ros.track_node``; a context manager that always ends it."""

    def __init__(
        self,
        configuration: Path,
        parameters: dict[str, str],
        environment: dict[str, str],
        log: Path,
    ) -> None:
        self.log = log
        self._command = [sys.executable, "-u", "-m", "sam_pt_ros.track_node", "--ros-args"]
        self._command += ["--params-file", str(configuration.absolute())]
        for name, value in parameters.items():
            self._command += ["-p", f"{name}:={value}"]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        try:
            self._start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def _start(self) -> None:
        # Ctrl-C during this would leave an unknown process behind.
        with _signals_held_back(), self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # A folder in which no `sam_pt_ros` hides the installed package.
                cwd=self.log.parent,
                # Ctrl-C is for the demo, which then stops the node properly.
                start_new_session=True,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_TIMEOUT)
        except BaseException as reason:  # includes a second Ctrl-C
            process.kill()
            process.wait()
            if not isinstance(reason, subprocess.TimeoutExpired):
                raise
            raise self._failure(f"did not end within {STOP_TIMEOUT:g} s of SIGINT") from error
        if code != 0 and kind is None:
            raise self._failure(f"ended with exit code {code}")

    def check(self) -> None:
        """NodeFailedError if the node has died."""
        code = self._process.poll() if self._process else 0
        if code is not None:
            raise self._failure(f"died with exit code {code}")

    def fail(self, what: str) -> NodeFailedError:
        """The error to raise if the node runs but does not do its work."""
        self.check()
        return self._failure(what)

    def _failure(self, what: str) -> NodeFailedError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        end = "\n".join(["its log ends with:", *lines[-LOG_LINES:]]) if lines else "it is empty"
        return NodeFailedError(f"the node {what}; its log is {self.log}; {end}")


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Handle SIGINT and SIGTERM at the end.

    Blocking them would not do: another thread, such as one of DDS, would receive them, and the
    main thread handles what any thread has received. Other threads handle none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in received[:1]:
            signal.raise_signal(first)


@contextmanager
def sigterm_ends_it() -> Iterator[None]:
    """Make SIGTERM run the clean-up, so that no node and no broken bag is left behind.

    Use it in the main thread.
    """

    def end(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
