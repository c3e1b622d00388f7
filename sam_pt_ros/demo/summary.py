"""The numbers of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sam_pt_ros.objects import ObjectState
from sam_pt_ros.recordings.cutting import CutBag
from sam_pt_ros.recordings.rosbag2 import open_bag, serialized_stamp, typestore
from sam_pt_ros.versions import versions

OBJECTS_TYPE = "sam_pt_ros/msg/TrackedObjectArray"


@dataclass(frozen=True)
class ObjectSummary:
    """How an object fared.

    Attributes:
        label: its name.
        frames: frames with it, from its first on.
        states: how many of them are in a state, by the state's name.
        tracked: share of them that are TRACKING, 0 to 1.
        mean_score: of its masks; None without one.
    """

    label: str
    frames: int
    states: dict[str, int]
    tracked: float
    mean_score: float | None


@dataclass(frozen=True)
class ObjectHistory:
    """What a recorded ``~/objects`` says.

    Attributes:
        objects: by id, as text (JSON knows no other keys).
        stamps: of the images with an object, in order.
    """

    objects: dict[str, ObjectSummary]
    stamps: tuple[int, ...]


@dataclass(frozen=True)
class DemoSummary:
    """What ``summary.json`` holds.

    Attributes:
        mode: ``latest`` (played in real time) or ``every_frame``.
        frames_in: images played.
        frames_out: label images received.
        frames_dropped: the difference.
        stamps_in_order: the label images' stamps are stamps of images, and increase.
        output_hz: label images per second while they came; None for fewer than two.
        latency_ms: ``p50`` and ``p95`` from the time an image was due to the receipt of its
            label image; None without one.
        tracking_hz: like ``output_hz``, of the images with an object; without one the node has
            little to do.
        tracking_latency_ms: like ``latency_ms``, of the images with an object.
        latency_from: ``stamp``: an image is due at its stamp, on a clock that was set when the
            first message was played; ``sending``: when it was sent (mode ``every_frame``, where
            the node sets the pace).
        objects: by id.
        source: where the images came from.
        image_size: width, height.
        input_seconds: how long the images take in real time.
        configuration: name of the parameter file.
        backends: tracker and segmenter, with their weights.
        seconds: what the run took, by step.
        versions: of what was run.
    """

    mode: str
    frames_in: int
    frames_out: int
    frames_dropped: int
    stamps_in_order: bool
    output_hz: float | None
    latency_ms: dict[str, float] | None
    tracking_hz: float | None
    tracking_latency_ms: dict[str, float] | None
    latency_from: str
    objects: dict[str, ObjectSummary]
    source: str
    image_size: tuple[int, int]
    input_seconds: float
    configuration: str
    backends: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return asdict(self)


def summarize_demo(
    bag: CutBag,
    due: dict[int, int],
    received: list[tuple[int, int]],
    history: ObjectHistory,
    every_frame: bool,
    source: str,
    configuration: Path,
    backends: dict[str, str],
    seconds: dict[str, float],
) -> DemoSummary:
    """Put the numbers together.

    Args:
        bag: what was played.
        due: when an image was due (nanoseconds, monotonic), by its stamp.
        received: stamp and time of receipt of the label images, in order of receipt.
        history: how the objects fared.
        every_frame: the mode.
        source: name of the source.
        configuration: the parameter file.
        backends: tracker and segmenter in words.
        seconds: what was measured, by step.
    """
    stamps = [stamp for stamp, _ in received]
    with_objects = set(history.stamps)
    tracking = [(stamp, when) for stamp, when in received if stamp in with_objects]
    return DemoSummary(
        mode="every_frame" if every_frame else "latest",
        frames_in=len(due),
        frames_out=len(stamps),
        frames_dropped=len(due) - len(stamps),
        stamps_in_order=all(s in due for s in stamps) and stamps == sorted(set(stamps)),
        output_hz=_rate(received),
        latency_ms=_latency(received, due),
        tracking_hz=_rate(tracking),
        tracking_latency_ms=_latency(tracking, due),
        latency_from="sending" if every_frame else "stamp",
        objects=history.objects,
        source=source,
        image_size=bag.size,
        input_seconds=round(bag.seconds, 3),
        configuration=configuration.name,
        backends=backends,
        seconds={step: round(value, 2) for step, value in seconds.items()},
        versions=versions(),
    )


def _rate(received: list[tuple[int, int]]) -> float | None:
    """Messages per second, from the first to the last."""
    span = (received[-1][1] - received[0][1]) * 1e-9 if received else 0.0
    return round((len(received) - 1) / span, 2) if span > 0 else None


def _latency(received: list[tuple[int, int]], due: dict[int, int]) -> dict[str, float] | None:
    """Percentiles in milliseconds."""
    latencies = [(when - due[stamp]) * 1e-6 for stamp, when in received if stamp in due]
    if not latencies:
        return None
    p50, p95 = np.percentile(latencies, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def read_object_history(path: Path, topic: str) -> ObjectHistory:
    """Read how the objects fared out of a bag of the node's outputs."""
    labels: dict[int, str] = {}
    states: dict[int, Counter[str]] = {}
    scores: dict[int, list[float]] = {}
    stamps = []
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic == topic]
        for _, _, raw in bag.messages(connections):
            message: Any = typestore().deserialize_cdr(raw, OBJECTS_TYPE)
            if message.objects:
                stamps.append(serialized_stamp(raw))
            for item in message.objects:
                state = ObjectState(item.state)
                labels[item.id] = item.label
                states.setdefault(item.id, Counter())[state.name] += 1
                if state == ObjectState.TRACKING:
                    scores.setdefault(item.id, []).append(float(item.score))
    objects = {
        str(object_id): ObjectSummary(
            label=labels[object_id],
            frames=counts.total(),
            states={state.name: counts[state.name] for state in ObjectState},
            tracked=round(counts[ObjectState.TRACKING.name] / counts.total(), 4),
            mean_score=(
                round(float(np.mean(scores[object_id])), 4) if object_id in scores else None
            ),
        )
        for object_id, counts in sorted(states.items())
    }
    return ObjectHistory(objects, tuple(stamps))
