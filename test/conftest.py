"""Makes the tests' own modules (scene, doubles, rig) and the benchmarks importable."""

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parent
for folder in (TEST, TEST / "ros", TEST.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
