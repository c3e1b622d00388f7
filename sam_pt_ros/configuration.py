"""Configurations, and reading them strictly from ROS parameter files. Needs no ROS."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import build_options, check_options, did_you_mean, option, specs
from sam_pt_ros.options.network import NetworkOptions
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.options.registry import Registry
from sam_pt_ros.options.yaml_files import read_yaml
from sam_pt_ros.pipeline import SamPt, SamPtOptions
from sam_pt_ros.segmenters import segmenters
from sam_pt_ros.trackers import trackers

_Options = TypeVar("_Options")

ROS_PARAMETERS = ("use_sim_time", "qos_overrides", "start_type_description_service")
"""Parameters that every ROS node has. They may stand in a file and are skipped."""


@dataclass(frozen=True)
class BackendOptions:
    """Which tracker and segmenter run, and on how many CPU threads."""

    tracker: str = option("lucas_kanade", "Name of the point tracker.")
    segmenter: str = option("classical", "Name of the segmenter.")
    threads: int = option(
        1,
        "CPU threads of OpenCV and of PyTorch; 0: one per core, which is much slower when the "
        "cores have other work.",
        minimum=0,
        maximum=256,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Configuration:
    """Everything that a configuration file may set.

    Attributes:
        backends: names of the tracker and the segmenter, and their threads.
        pipeline: options of :class:`~sam_pt_ros.pipeline.SamPt`.
        node: options of the node.
        tracker: an instance of the tracker's ``Options``.
        segmenter: an instance of the segmenter's ``Options``.
    """

    backends: BackendOptions
    pipeline: SamPtOptions
    node: NodeOptions
    tracker: Any
    segmenter: Any

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str) -> Configuration:
        """Read parameters by name. Those of a backend are nested under the backend's name.

        Options of backends that are not in use are ignored, so that one file can serve
        several.

        Args:
            values: parameters by name, as below ``ros__parameters``.
            where: origin of the values, for error messages.

        Raises:
            UserError: an unknown name, a wrong type, or a value out of range.
        """
        rest = dict(values)
        backends = _pop_options(BackendOptions, rest, where)
        pipeline = _pop_options(SamPtOptions, rest, where)
        node = _pop_options(NodeOptions, rest, where)
        tracker = _backend_options(trackers, backends.tracker, rest, where)
        segmenter = _backend_options(segmenters, backends.segmenter, rest, where)
        unknown = sorted(rest.keys() - {*trackers.names(), *segmenters.names()})
        if unknown:
            general = (BackendOptions, SamPtOptions, NodeOptions)
            known = [spec.name for options in general for spec in specs(options)]
            raise UserError(
                f"{where}: unknown option '{unknown[0]}'{did_you_mean(unknown[0], known)}"
            )
        return cls(backends, pipeline, node, tracker, segmenter)

    @property
    def backend_descriptions(self) -> dict[str, str]:
        """``tracker`` and ``segmenter``, each with its name and the weights it is to use."""
        made = {}
        for kind, name, options in (
            ("tracker", self.backends.tracker, self.tracker),
            ("segmenter", self.backends.segmenter, self.segmenter),
        ):
            weights = options.weights_text if isinstance(options, NetworkOptions) else ""
            made[kind] = describe_backend(name, weights)
        return made

    @property
    def values(self) -> dict[str, Any]:
        """Every parameter in use, defaults included, by its dotted name."""
        made: dict[str, Any] = {}
        for prefix, options in (
            ("", self.backends),
            ("", self.pipeline),
            ("", self.node),
            (f"{self.backends.tracker}.", self.tracker),
            (f"{self.backends.segmenter}.", self.segmenter),
        ):
            for spec in specs(type(options)):
                made[prefix + spec.name] = getattr(options, spec.name)
        return made

    def with_seed(self, seed: int) -> Configuration:
        """A copy with another seed for all random choices."""
        return replace(self, pipeline=replace(self.pipeline, seed=seed))

    def offline(self) -> Configuration:
        """A copy for recordings: every frame is processed, however long that takes."""
        return replace(self, node=replace(self.node, mode="every_frame"))

    @property
    def pipeline_options(self) -> SamPtOptions:
        """Options of the pipeline; without time budgets in mode every_frame.

        Results of that mode do not depend on the machine's speed.
        """
        if self.node.mode != "every_frame":
            return self.pipeline
        return replace(self.pipeline, catch_up_budget=0.0, frame_budget=0.0)

    @property
    def longest_clip(self) -> int | None:
        """Largest number of frames that the tracker takes; None if it takes any number."""
        return trackers.load(self.backends.tracker).longest_clip(self.tracker)

    def check_clip(self, frames: int, name: str) -> None:
        """UserError if the tracker does not take clips of so many frames; ``name`` is the clip's.

        Without this its frames would count as failures of the tracker.
        """
        longest = self.longest_clip
        if longest is not None and frames > longest:
            raise UserError(
                f"{name} has {frames} frames, but the tracker '{self.backends.tracker}' takes "
                f"clips of up to {longest}; raise its 'clip_length', and 'history_length'"
            )

    def create(self) -> SamPt:
        """Make the pipeline; UserError if a backend cannot be made."""
        tracker = trackers.make(self.backends.tracker, self.tracker)
        segmenter = segmenters.make(self.backends.segmenter, self.segmenter)
        pipeline = SamPt(tracker, segmenter, self.pipeline_options)
        set_threads(self.backends.threads)
        return pipeline


def describe_backend(name: str, details: str) -> str:
    """A backend's name with details in parentheses, if there are any."""
    return f"{name} ({details})" if details else name


def set_threads(count: int) -> None:
    """Set the CPU threads of OpenCV, and of PyTorch if it is imported; 0: one per core.

    Thread pools belong to the process, so this affects every pipeline in it.
    """
    cv2.setNumThreads(count or -1)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count or _cores())


def _cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pop_options(options: type[_Options], values: dict[str, Any], where: str) -> _Options:
    """Remove the values that belong to ``options`` and build the options from them."""
    names = [spec.name for spec in specs(options) if spec.name in values]
    return build_options(options, {name: values.pop(name) for name in names}, where)


def _backend_options(
    registry: Registry[Any], name: str, values: dict[str, Any], where: str
) -> Any:
    """Remove the options nested under a backend's name and build its ``Options`` from them."""
    nested = values.pop(name, {})
    if not isinstance(nested, Mapping):
        raise UserError(f"{where}: '{name}' must map option names to values, got {nested!r}")
    implementation: Any = registry.load(name)
    return build_options(implementation.Options, nested, f"{where}: {name}")


def load_configuration(path: str | Path) -> Configuration:
    """Read a configuration file (a ROS parameter file: ``/**: ros__parameters: ...``).

    Raises:
        UserError: a file that cannot be read, is not of that form, or holds something unknown.
    """
    path = Path(path)
    content = read_yaml(path)
    sections = list(content.values()) if isinstance(content, Mapping) else []
    if not sections or not all(
        isinstance(section, Mapping) and isinstance(section.get("ros__parameters"), Mapping)
        for section in sections
    ):
        raise UserError(
            f"{path}: not a ROS parameter file; it must begin with '/**:' and 'ros__parameters:'"
        )
    values: dict[str, Any] = {}
    for section in sections:
        _merge(values, section["ros__parameters"], str(path))
    for name in ROS_PARAMETERS:
        values.pop(name, None)
    return Configuration.from_mapping(values, str(path))


def _merge(into: dict[str, Any], values: Mapping[Any, Any], where: str) -> None:
    """Merge values into a dictionary: dotted names are nested, later values win."""
    for name, value in values.items():
        if not isinstance(name, str):
            raise UserError(
                f"{where}: option names must be strings, got {name!r}; put it in quotes"
            )
        head, _, rest = name.partition(".")
        if rest or isinstance(value, Mapping):
            nested = into.setdefault(head, {})
            if not isinstance(nested, dict):
                raise UserError(f"{where}: '{head}' is given both as a value and as a group")
            _merge(nested, {rest: value} if rest else value, where)
        else:
            into[name] = value
