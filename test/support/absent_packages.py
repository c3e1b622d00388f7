"""What backends say where a package that they need is not installed."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Absent)
from sam_pt_ros.errors import UserError
from sam_pt_ros.trackers import create_tracker, trackers
trackers.load({tracker!r}).Options()  # which need nothing
try:
    create_tracker({tracker!r}, **{options!r})
except UserError as error:
    print(error)
"""


def refusal_without(package: str, tracker: str, **options: object) -> str:
    """The error of a tracker, in a process in which the package cannot be imported."""
    script = _SCRIPT.format(package=package, tracker=tracker, options=options)
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=300, capture_output=True, text=True
    )
    return done.stdout
