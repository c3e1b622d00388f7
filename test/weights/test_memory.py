"""Freed memory is kept for the next frame: in a process of its own, since it cannot be undone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
from collections import deque
import numpy as np
from sam_pt_ros.weights.memory import keep_freed_memory, share_freed_memory

if "share" in sys.argv:
    share_freed_memory()
if "keep" in sys.argv:
    keep_freed_memory()

kept = deque(maxlen=25)  # as the history of frames

def frame():
    kept.append(np.ones((1080, 1920, 3), np.uint8))
    for_a_moment = [np.ones((1080, 1920, 3), np.uint8) for _ in range(3)]

def frames():
    for _ in range(40):
        frame()
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        frame()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin) / 50)

thread = threading.Thread(target=frames)
thread.start()
thread.join()
"""


def page_faults(*wanted: str) -> float:
    """Pages that a frame takes from the system, in a thread that is not the first."""
    command = [sys.executable, "-c", PROGRAM, *wanted]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
def test_a_frame_takes_no_new_pages_once_freed_memory_is_kept() -> None:
    assert page_faults() > 200  # of 6075
    assert page_faults("share", "keep") < 5
