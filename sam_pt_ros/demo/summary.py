"""The figures of a run of the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    """How well an object was tracked.

    Attributes:
        label: its name.
        frames: number of frames from its first one.
        states: number of these frames by the name of the state.
        tracked: share of these frames in the state TRACKING, 0 to 1.
        mean_score: mean score of its masks; None without masks.
    """

    label: str
    frames: int
    states: dict[str, int]
    tracked: float
    mean_score: float | None


@dataclass(frozen=True)
class ObjectHistory:
    """The content of a recorded ``~/objects``.

    Attributes:
        objects: by id, as text (the keys of JSON).
        stamps: of the images with an object, in order.
    """

    objects: dict[str, ObjectSummary]
    stamps: tuple[int, ...]


@dataclass(frozen=True)
class DemoSummary:
    """The content of ``summary.json``.

    Attributes:
        mode: ``latest`` (played in real time) or ``every_frame``.
        frames_in: number of images played.
        frames_out: number of label images received.
        frames_dropped: their difference.
        stamps_in_order: whether the stamps of the label images are those of images, and increase.
        output_hz: label images per second, from the first to the last; None for fewer than two.
        latency_ms: ``p50`` and ``p95`` from the time an image was due to the receipt of its
            label image; None without label images.
        tracking_hz: like ``output_hz``, of the images with an object; without objects the node
            has little to do.
        tracking_latency_ms: like ``latency_ms``, of the images with an object.
        latency_from: ``stamp``: an image is due at its stamp, on a clock that was set when the
            first message was played; ``sending``: it is due when it is sent (mode
            ``every_frame``, in which the node sets the pace).
        objects: by id.
        source: where the images came from.
        image_size: width and height, pixels.
        input_seconds: duration of the images in real time.
        configuration: name of the parameter file.
        backends: tracker and segmenter, with their weights.
        seconds: duration of each step of the run.
        versions: of the software, by name.
        problems: what is odd about the input, or was left out of it.
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
    problems: list[str] = field(default_factory=list)

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
    problems: Sequence[str] = (),
) -> DemoSummary:
    """Compute the figures of a run.

    Args:
        bag: the bag that was played.
        due: when each image was due (nanoseconds, monotonic), by its stamp.
        received: stamp and time of receipt of the label images, in order of receipt.
        history: how well the objects were tracked.
        every_frame: whether the mode is ``every_frame``.
        source: name of the source.
        configuration: the parameter file.
        backends: descriptions of tracker and segmenter.
        seconds: duration of each step.
        problems: of the input.
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
        problems=list(problems),
    )


def _rate(received: list[tuple[int, int]]) -> float | None:
    """Messages per second, from the first to the last."""
    span = (received[-1][1] - received[0][1]) * 1e-9 if received else 0.0
    return round((len(received) - 1) / span, 2) if span > 0 else None


def _latency(received: list[tuple[int, int]], due: dict[int, int]) -> dict[str, float] | None:
    """Percentiles of the latency, milliseconds."""
    latencies = [(when - due[stamp]) * 1e-6 for stamp, when in received if stamp in due]
    if not latencies:
        return None
    p50, p95 = np.percentile(latencies, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def read_object_history(path: Path, topic: str) -> ObjectHistory:
    """Read how well objects were tracked from a bag of the node's outputs."""
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
