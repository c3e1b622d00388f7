"""The node's process ends with the demo, whenever that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sam_pt_ros.demo.node_process import NodeProcess
from sam_pt_ros.paths import classical_configuration_file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_the_process_is_started_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Another thread receives the signal, as where DDS runs."""
    begun: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        begun.append(start(*arguments, **options))
        os.kill(os.getpid(), number)
        for _ in range(20):  # so that a handler would have run
            time.sleep(0.01)
        return begun[0]

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    done = threading.Event()
    other = threading.Thread(target=done.wait, daemon=True)
    other.start()
    before = signal.signal(number, end)
    try:
        node = NodeProcess(
            classical_configuration_file(), {}, dict(os.environ), tmp_path / "node.log"
        )
        with pytest.raises(KeyboardInterrupt), node:
            pytest.fail("it was interrupted before")
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
        done.set()
    (process,) = begun
    try:
        assert process.poll() is not None
    finally:
        process.kill()
        process.wait()
