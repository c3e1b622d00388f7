"""The node for a long time: 30 images per second, objects that come and go, and its memory.

The classical configuration at 640x480. Every few seconds an object is started by ~/add_objects and
the older of two is removed by ~/remove_object. It checks that the process keeps its size, that
every output has the stamp of an image, and that none comes twice or out of order; the exit code is
1 if one of that fails.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.stream import ROOT, Heard, Session, middles, node_command, percentiles

WIDTH, HEIGHT, RATE = 640, 480, 30.0
CONFIG = ROOT / "config" / "classical.yaml"
TOPICS = ("objects", "label_image", "tracked_points")
PERIOD = 3.0
"""Seconds between two changes of the objects."""
GROWTH = 0.02
"""By which the process may change its size, once it has settled."""
SETTLE = 120.0
"""Seconds until it must have settled; of shorter runs, the first 40 %."""
_REFERENCE = 10.0  # seconds after that whose median later sizes are compared with


def check_stamps(heard: Sequence[Heard], published: set[int]) -> dict[str, int]:
    """How many outputs match no image, and how many are not later than the one before."""
    stamps = [each.stamp for each in heard]
    return {
        "received": len(stamps),
        "without_image": sum(stamp not in published for stamp in stamps),
        "out_of_order": sum(b <= a for a, b in itertools.pairwise(stamps)),
    }


def check_memory(seconds: np.ndarray, resident: np.ndarray, settle: float) -> dict[str, float]:
    """How the process's size changes after ``settle`` seconds.

    Args:
        seconds: ``(N,)`` since the start.
        resident: ``(N,)`` bytes.
        settle: seconds that are not counted.
    """
    later = seconds >= settle
    reference = np.median(resident[later & (seconds < settle + _REFERENCE)])
    change = resident[later] / reference - 1
    slope = np.polyfit(seconds[later], resident[later], 1)[0] if later.sum() > 2 else 0.0
    return {
        "settled_mb": round(float(reference) * 1e-6, 2),
        "least_change": round(float(change.min()), 5),
        "most_change": round(float(change.max()), 5),
        "mb_per_hour": round(float(slope) * 3600e-6, 3),
    }


class Changes:
    """Starts and removes objects, one of each at a time, and notes what was refused."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._places = itertools.cycle(middles(WIDTH, HEIGHT))
        self._alive: deque[int] = deque()
        self.added = 0
        self.removed = 0
        self.refused: list[str] = []

    def go_on(self) -> None:
        """The next object, and one fewer of the others if there are two."""
        try:
            if len(self._alive) == 2:
                self._session.remove_object(self._alive.popleft())
                self.removed += 1
            self._alive += self._session.add_objects(next(self._places))
            self.added += 1
        except RuntimeError as error:
            self.refused.append(str(error))


def soak(seconds: float) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Run; the numbers, and seconds and bytes of the process's size.

    It runs on until an object has been removed, which takes longer on a busy machine.
    """
    at, resident = [], []
    with Session(node_command(CONFIG), WIDTH, HEIGHT, RATE, TOPICS, ()) as session:
        changes = Changes(session)
        begin = time.monotonic()
        due = 0.0
        while session.node.poll() is None:
            now = time.monotonic() - begin
            if now >= seconds and (changes.removed or changes.refused):
                break
            if now >= due:
                changes.go_on()
                due += PERIOD
            at.append(time.monotonic() - begin)
            resident.append(session.resident())
            time.sleep(max(len(at) - (time.monotonic() - begin), 0))
        lasted = time.monotonic() - begin
        alive = session.node.poll() is None
        session.camera.terminate()  # so that all stamps are known that were published
        session.camera.wait()
        time.sleep(1.0)
        heard, published = session.take(), set(session.published())
        log = [line for line in session.log.splitlines() if "[WARN]" in line or "[ERROR]" in line]
    objects = heard["objects"]
    summary = {
        "alive": alive,
        "images": len(published),
        "output_rate": round(len(objects) / lasted, 2),
        "latency_ms": percentiles([(each.at - each.stamp) * 1e-6 for each in objects]),
        "topics": {name: check_stamps(found, published) for name, found in heard.items()},
        "objects_added": changes.added,
        "objects_removed": changes.removed,
        "refused": changes.refused,
        "warnings": log[-20:],
    }
    return summary, np.array(at), np.array(resident, np.float64)


def draw(path: Path, seconds: np.ndarray, resident: np.ndarray, settle: float) -> None:
    """Plot the process's size, and by how much it may change."""
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    reference = check_memory(seconds, resident, settle)["settled_mb"]
    low, high = reference * (1 - GROWTH), reference * (1 + GROWTH)
    minutes = np.array([settle, max(seconds[-1], settle)]) / 60
    axes.fill_between(minutes, low, high, alpha=0.15, color="C2", label="settled, 2 % up or down")
    axes.plot(seconds / 60, resident * 1e-6, linewidth=1.2, label="resident size of the node")
    axes.set(xlabel="minutes", ylabel="MB", ylim=(0, resident.max() * 1.15e-6))
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument(
        "--plot", type=Path, default=ROOT / "build" / "soak.png", help="default build/soak.png"
    )
    options = parser.parse_args(arguments)
    seconds = options.minutes * 60
    settle = min(SETTLE, 0.4 * seconds)
    summary, at, resident = soak(seconds)
    memory = check_memory(at, resident, settle)
    draw(options.plot, at, resident, settle)
    checks = {
        "alive": summary["alive"],
        "answered": all(found["received"] for found in summary["topics"].values()),
        "flat": max(-memory["least_change"], memory["most_change"]) <= GROWTH,
        "matching": not any(found["without_image"] for found in summary["topics"].values()),
        "in_order": not any(found["out_of_order"] for found in summary["topics"].values()),
        "objects_obeyed": not summary["refused"],
    }
    for name, passed in checks.items():
        print(f"{name:<16}{'yes' if passed else 'NO'}")
    made = {
        "benchmark": "soak",
        "cores": os.cpu_count(),
        "minutes": options.minutes,
        "settle_s": settle,
        "passed": all(checks.values()),
        "checks": checks,
        "memory": memory,
        **summary,
    }
    print(json.dumps(made))
    return 0 if made["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
