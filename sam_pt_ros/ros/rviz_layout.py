"""The layout that RViz opens: the shipped one, fitted to the frames and the canvas of a node.

A layout names frames and holds views in metres, and RViz takes neither from its command line. So
the launch file writes a layout of its own.

``config/track.rviz`` was saved by RViz itself. It must keep three saved views: two that look along
the optical axis of a camera whose frame is the fixed frame, and ``In map``.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import build_options
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.options.yaml_files import read_yaml

DEFAULT_CAMERA_FRAME = "camera_optical_frame"
"""Frame of the camera if nobody names one; the one that the shipped layout has."""

_NO_CAMERAS = {"base_footprint", "base_link", "earth", "map", "odom", "world"}  # REP 105 and 120
_FOLLOWER = "rviz_default_plugins/ThirdPersonFollower"
_NEAREST_CLIP = 0.001  # metres, the least that RViz takes


@dataclass(frozen=True)
class Scene:
    """What RViz is to show.

    Attributes:
        fixed_frame: RViz's fixed frame, in which clicks are.
        camera_frame: the camera's optical frame, at which the view starts.
        canvas_distance: of the canvas in front of the camera, metres.
    """

    fixed_frame: str
    camera_frame: str
    canvas_distance: float

    def __post_init__(self) -> None:
        if not self.fixed_frame or not self.camera_frame:
            raise UserError("rviz_frame is empty; give the frame_id of the images, or map")
        if not 0 < self.canvas_distance < math.inf:
            raise UserError(f"the canvas cannot be {self.canvas_distance} m away")


def camera_frame(named: str, fixed_frame: str) -> str:
    """The camera's optical frame.

    Args:
        named: by the user; empty: it is ``fixed_frame``, or :data:`DEFAULT_CAMERA_FRAME` if that
            is a frame that no camera has, such as ``map``.
        fixed_frame: RViz's.
    """
    if named:
        return named
    name = fixed_frame.rpartition("/")[2]  # frames of several robots have prefixes
    return DEFAULT_CAMERA_FRAME if name in _NO_CAMERAS else fixed_frame


def canvas_distance(files: Iterable[Path], node: str) -> float:
    """The parameter ``canvas_distance`` that a node gets from its parameter files, metres.

    Args:
        files: as the node reads them; later ones win.
        node: full name of the node, such as ``/sam_pt``.

    Raises:
        UserError: a file cannot be read, or the value is none that the node takes.
    """
    name, distance = "canvas_distance", NodeOptions().canvas_distance
    for file in files:
        for pattern, parameters in _sections(read_yaml(file), ""):
            if name in parameters and re.fullmatch(pattern, node):
                given = {name: parameters[name]}
                distance = build_options(NodeOptions, given, str(file)).canvas_distance
    return distance


def _sections(content: Any, pattern: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Parameters, each with a regular expression for the names of the nodes that get them."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if key == "ros__parameters":
            yield pattern, value if isinstance(value, Mapping) else {}
            continue
        more = pattern
        for token in filter(None, str(key).split("/")):
            more += {"**": r"(/\w+)*", "*": r"/\w+"}.get(token, "/" + re.escape(token))
        yield from _sections(value, more)


def write_layout(shipped: Path, path: Path, scene: Scene) -> None:
    """Write the shipped layout to ``path``, fitted to a scene."""
    layout = fit_layout(read_yaml(shipped), scene)
    path.write_text(yaml.safe_dump(layout, width=10_000, allow_unicode=True), encoding="utf-8")


def fit_layout(shipped: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """The shipped layout, fitted to a scene.

    Views are scaled with the distance of the canvas. Where the fixed frame is not the camera's,
    the view ``In map`` is the one to start with: Orbit follows a frame's position only, and would
    look along an axis of the fixed frame.

    Args:
        shipped: content of ``config/track.rviz``; it is not modified.
        scene: what RViz is to show.
    """
    layout = copy.deepcopy(dict(shipped))
    manager = layout["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = scene.fixed_frame
    for display in manager["Displays"]:
        if display["Class"] == "rviz_default_plugins/Axes":
            display["Reference Frame"] = scene.camera_frame
    views = manager["Views"]
    for view in (views["Current"], *views["Saved"]):
        _scale(view, scene.canvas_distance)
        if view["Class"] == _FOLLOWER:
            view["Target Frame"] = scene.camera_frame
    if scene.fixed_frame != scene.camera_frame:
        (follower,) = (view for view in views["Saved"] if view["Class"] == _FOLLOWER)
        views["Current"] = {**copy.deepcopy(follower), "Name": views["Current"]["Name"]}
    return layout


def _scale(view: dict[str, Any], factor: float) -> None:
    """Move a view of a canvas at 1 m so that it shows one at ``factor`` metres alike."""
    view["Distance"] *= factor
    view["Near Clip Distance"] = max(_NEAREST_CLIP, factor * view["Near Clip Distance"])
    view["Focal Point"] = {axis: factor * at for axis, at in view["Focal Point"].items()}
