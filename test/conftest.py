"""Makes ``support``, what tests are made with, and the benchmarks importable."""

import signal
import sys
from pathlib import Path

TEST = Path(__file__).resolve().parent
for folder in (TEST, TEST.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Processes that a shell starts in the background ignore SIGINT, and so would all that the tests
# start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

from support.examples import register_profiles  # noqa: E402

register_profiles()
