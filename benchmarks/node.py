"""Latency of the node, from an image's stamp to the receipt of ~/objects, over DDS.

Camera, node and listener are processes of their own. At each size of the image: a bare rclpy
node that answers each image with an empty message (the floor), the node with stubs of models,
which take no time (the shell's own cost), and the node with the classical configuration; two
objects each. Then a camera that is six times as fast as the pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.stream import (
    ECHO,
    OUTPUTS,
    ROOT,
    Heard,
    Session,
    middles,
    node_command,
    percentiles,
)

SIZES = ("640x480", "1280x720")
RATE = 30.0
CLASSICAL = ROOT / "config" / "classical.yaml"
STUBS = (
    "tracker:=stub_tracker",
    "segmenter:=stub_segmenter",
    # Where points are sampled anew is the method's business, and its time.
    "reinitialization:=none",
)
LISTENED = ("objects", "label_image", "tracked_points")
SLOW_SIZE, SLOW_RATE, SLOW_SECONDS = "640x480", 60.0, 0.1
"""Of the overload: the image's size, the camera's rate, and what a frame takes the segmenter."""
SLOW_SETTLE = 8.0
"""Seconds after which the history of 60 frames is full, and memory may not grow any more."""


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of ``640x480``."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def latencies(heard: Sequence[Heard]) -> list[float]:
    """Milliseconds from stamps to receipts."""
    return [(each.at - each.stamp) * 1e-6 for each in heard]


def until_all(found: dict[str, list[Heard]], topics: Sequence[str]) -> list[float]:
    """Milliseconds from the stamp of an image to the last of its outputs."""
    last: dict[int, list[int]] = {}
    for topic in topics:
        for each in found[topic]:
            last.setdefault(each.stamp, []).append(each.at)
    return [(max(at) - s) * 1e-6 for s, at in last.items() if len(at) == len(topics)]


def stages(performance: Sequence[Heard]) -> dict[str, dict[str, float]]:
    """Milliseconds by stage, and of an image's way to the pipeline."""
    times: dict[str, list[float]] = {}
    for each in performance:
        message = each.message
        parts = dict(zip(message.stages, message.durations))
        # What no stage counts: until the node has the image, and between the stages.
        parts["arrival and rest"] = message.latency - message.waited - sum(parts.values())
        parts["waited"] = message.waited
        for name, seconds in parts.items():
            times.setdefault(name, []).append(seconds * 1e3)
    return {name: percentiles(values) for name, values in times.items()}


def observe(session: Session, seconds: float, settle: float) -> dict[str, Any]:
    """What comes out of a session that runs, in a while, once it has settled."""
    time.sleep(settle)
    session.take()
    images, cpu, memory = len(session.published()), session.cpu_seconds(), session.resident()
    begin = time.monotonic()
    time.sleep(seconds)
    found = session.take()
    elapsed = time.monotonic() - begin
    images = len(session.published()) - images
    cpu = session.cpu_seconds() - cpu
    objects = found["objects"]
    made: dict[str, Any] = {
        "latency_ms": percentiles(latencies(objects)),
        "output_rate": round(len(objects) / elapsed, 2),
        "input_rate": round(images / elapsed, 2),
        "cpu_ms_per_frame": round(cpu * 1e3 / max(len(objects), 1), 2),
        "memory_growth_mb": round((session.resident() - memory) / 1e6, 2),
    }
    if "performance" in found:
        topics = [name for name in found if name != "performance"]
        made["all_outputs_ms"] = percentiles(until_all(found, topics))
        made["stages_ms"] = stages(found["performance"])
        # From the publisher of the node to the listener's callback.
        made["way_out_ms"] = percentiles([(each.at - each.sent) * 1e-6 for each in objects])
        made["dropped"] = sum(each.message.dropped for each in found["performance"])
        half = len(objects) // 2
        for name, part in (("first", objects[:half]), ("second", objects[half:])):
            made[f"{name}_half_p50_ms"] = percentiles(latencies(part))["p50"]
    return made


def run(
    command: Sequence[str],
    size: str,
    options: argparse.Namespace,
    rate: float = RATE,
    *,
    roomy: bool = True,
) -> dict[str, Any]:
    """One measurement."""
    width, height = parse_size(size)
    bare = list(command) == ECHO
    outputs = ("objects",) if bare else (*options.outputs, "performance")
    with Session(command, width, height, rate, outputs, roomy=roomy) as session:
        if not bare:
            session.add_objects(*middles(width, height))
        return observe(session, options.seconds, options.settle)


def _row(name: str, size: str, found: dict[str, Any]) -> str:
    numbers = [found["latency_ms"][p] for p in ("p50", "p95", "p99", "max")]
    numbers += [found["output_rate"], found["cpu_ms_per_frame"]]
    return f"{name:<20}{size:>10}" + "".join(f"{number:>8.1f}" for number in numbers)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="that are counted, each")
    parser.add_argument("--settle", type=float, default=4.0, help="seconds before, each")
    parser.add_argument("--sizes", type=lambda t: t.split(","), default=list(SIZES))
    parser.add_argument(
        "--outputs",
        type=lambda text: text.split(","),
        default=list(LISTENED),
        help=f"what the listener subscribes to, objects among it, of {', '.join(OUTPUTS)}",
    )
    parser.add_argument(
        "--parts",
        type=lambda text: text.split(","),
        default=["floor", "shell", "classical", "default_dds", "overload"],
        help="what is measured: floor, shell, classical, default_dds (floor and shell without "
        "config/fastdds_large_images.xml), overload",
    )
    options = parser.parse_args(arguments)
    unknown = {*options.outputs} - {*OUTPUTS} or {"objects"} - {*options.outputs}
    if unknown:
        parser.error(f"--outputs: {', '.join(sorted(unknown))}; see --help")
    shell, classical = node_command(None, *STUBS), node_command(CLASSICAL)
    plan = {
        "floor": (ECHO, True),
        "shell": (shell, True),
        "classical": (classical, True),
        "floor, default DDS": (ECHO, False),
        "shell, default DDS": (shell, False),
    }
    if "default_dds" in options.parts:
        options.parts += ["floor, default DDS", "shell, default DDS"]
    plan = {name: each for name, each in plan.items() if name in options.parts}
    columns = ("p50", "p95", "p99", "max", "out/s", "CPU")
    print(f"{'ms':<20}{'size':>10}" + "".join(f"{column:>8}" for column in columns))
    results: dict[str, dict[str, Any]] = {name: {} for name in plan}
    for size in options.sizes:
        for name, (command, roomy) in plan.items():
            results[name][size] = run(command, size, options, roomy=roomy)
            print(_row(name, size, results[name][size]), flush=True)

    def of(name: str, key: str) -> dict[str, Any]:
        return {size: found[key] for size, found in results.get(name, {}).items()}

    summary: dict[str, Any] = {
        "benchmark": "node",
        "cores": os.cpu_count(),
        "load": [round(each, 2) for each in os.getloadavg()],
        "rate": RATE,
        "outputs": options.outputs,
        "objects": 2,
        "floor_ms": of("floor", "latency_ms"),
        "shell_latency_ms": of("shell", "latency_ms"),
        "shell": results.get("shell", {}),
        "classical": {
            size: found.pop("latency_ms") | found
            for size, found in results.get("classical", {}).items()
        },
        "default_dds": {
            "floor_ms": of("floor, default DDS", "latency_ms"),
            "shell_latency_ms": of("shell, default DDS", "latency_ms"),
        },
    }
    if "overload" in options.parts:
        slow = node_command(None, *STUBS, f"stub_segmenter.seconds:={SLOW_SECONDS}")
        options.settle = max(options.settle, SLOW_SETTLE)
        found = run(slow, SLOW_SIZE, options, SLOW_RATE)
        print(_row("overload", SLOW_SIZE, found), flush=True)
        period = 1e3 * SLOW_SECONDS
        summary["overload"] = {
            **found,
            "pipeline_period_ms": period,
            "within_two_periods": bool(found["latency_ms"]["max"] < 2 * period),
        }
    print(json.dumps(_finite(summary)))
    return 0


def _finite(value: Any) -> Any:
    """With None for what is not known: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
