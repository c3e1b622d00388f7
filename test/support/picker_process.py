"""`sam-pt pick` as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

from support.rig import ROOT, TIMEOUT, environment


class PickerProcess:
    """`sam-pt pick` in a domain; ``url`` is what it printed."""

    def __init__(self, domain: int, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sam_pt_ros.cli", "pick", "--port", "0", *arguments],
            cwd=ROOT,
            env=environment(domain),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, (line, self.process.stderr and self.process.stderr.read())
        self.url = found[0]

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; the exit code, and what it said to stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, said
