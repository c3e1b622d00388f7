"""The layout that RViz opens: what stands where, what is seen of the canvas, how it is fitted."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.canvas import canvas_mesh
from sam_pt_ros.ros.rviz_layout import (
    Scene,
    camera_frame,
    canvas_distance,
    fit_layout,
    write_layout,
)
from support.qt_window import read_window_state

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "track.rviz"
LAYOUT: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
WINDOW = LAYOUT["Window Geometry"]
PLUGINS = "rviz_default_plugins"
OPTICAL = "camera_optical_frame"
LEVEL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""A level camera that looks along x of the fixed frame; columns: its right, down and forward."""

Size = tuple[int, int]


def manager(layout: dict[str, Any] = LAYOUT) -> dict[str, Any]:
    return dict(layout["Visualization Manager"])


def current(layout: dict[str, Any] = LAYOUT) -> dict[str, Any]:
    return dict(manager(layout)["Views"]["Current"])


def saved(layout: dict[str, Any] = LAYOUT) -> dict[str, dict[str, Any]]:
    return {view["Name"]: view for view in manager(layout)["Views"]["Saved"]}


# --- what stands where --------------------------------------------------------------------


def test_the_docks_leave_most_of_the_window_to_the_canvas() -> None:
    state = read_window_state(WINDOW["QMainWindow State"])
    assert (WINDOW["Width"], WINDOW["Height"]) == (1200, 640)  # with borders below 1280x720
    assert (WINDOW["X"], WINDOW["Y"]) == (40, 30)
    assert state.docks == {"left": (342, 549)}
    assert state.central == (852, 549)
    assert state.toolbars == ["Tools"]


def test_the_panels_are_overlay_and_below_it_displays_before_views() -> None:
    overlay, tabs = read_window_state(WINDOW["QMainWindow State"]).panels
    assert (overlay.names, overlay.size) == (("Overlay",), (342, 203))
    assert (tabs.names, tabs.current, tabs.size) == (
        ("Views", "Displays"),
        "Displays",
        (342, 340),
    )
    assert overlay.side == tabs.side == "left"
    assert overlay.shown and tabs.shown


def test_every_dock_belongs_to_a_panel_and_is_there() -> None:
    """RViz finds docks by their names; the Image display makes one of its own."""
    panels = {panel["Name"]: panel["Class"] for panel in LAYOUT["Panels"]}
    assert panels == {"Displays": "rviz_common/Displays", "Views": "rviz_common/Views"}
    images = [d["Name"] for d in manager()["Displays"] if d["Class"] == f"{PLUGINS}/Image"]
    docks = read_window_state(WINDOW["QMainWindow State"]).panels
    assert {name for dock in docks for name in dock.names} == {*panels, *images}
    assert all(WINDOW[name] == {"collapsed": False} for name in (*panels, *images))
    assert WINDOW["Hide Left Dock"] is WINDOW["Hide Right Dock"] is False


def test_displays_have_their_topics_and_what_must_not_be_lost_is_reliable() -> None:
    best, reliable = "Best Effort", "Reliable"
    shown = {
        item["Name"]: (
            item["Class"].removeprefix(f"{PLUGINS}/"),
            item["Enabled"],
            item["Topic"]["Value"],
            item["Topic"]["Reliability Policy"],
        )
        for item in manager()["Displays"]
        if "Topic" in item
    }
    assert shown == {
        "Overlay": ("Image", True, "/sam_pt/overlay", best),
        "Canvas": ("MarkerArray", True, "/sam_pt/canvas", reliable),
        # Newer than the canvas below it: only for who asks.
        "Objects": ("MarkerArray", False, "/sam_pt/markers", reliable),
        "Object points": ("PointCloud2", False, "/sam_pt/object_points", best),
    }
    for item in manager()["Displays"]:
        assert item["Value"] == item["Enabled"]
        assert item.get("Topic", {}).get("Durability Policy", "Volatile") == "Volatile"


def test_the_canvas_shows_its_image_with_the_outlines_of_that_image() -> None:
    (canvas,) = [item for item in manager()["Displays"] if item["Name"] == "Canvas"]
    assert canvas["Namespaces"] == {"canvas": True, "caption": True, "outline": True}


def test_nothing_stands_in_front_of_the_canvas() -> None:
    for item in manager()["Displays"]:
        if item["Class"] not in (f"{PLUGINS}/Image", f"{PLUGINS}/MarkerArray"):
            assert not item["Enabled"], item["Name"]


def test_dragging_selects_at_first_since_it_would_roll_every_view() -> None:
    tools = [tool["Class"].removeprefix(f"{PLUGINS}/") for tool in manager()["Tools"]]
    assert tools == ["Select", "MoveCamera", "Interact", "PublishPoint"]
    point = manager()["Tools"][-1]
    assert point["Single click"] is False
    assert point["Topic"]["Value"] == "/clicked_point"
    assert point["Topic"]["Reliability Policy"] == "Reliable"


# --- what is seen of the canvas -----------------------------------------------------------


def lens(degrees: float, width: int, height: int) -> CameraModel:
    """A pinhole that sees ``degrees`` from its left to its right edge."""
    focal_length = width / 2 / math.tan(math.radians(degrees / 2))
    matrix = [[focal_length, 0, width / 2 - 0.5], [0, focal_length, height / 2 - 0.5], [0, 0, 1]]
    return CameraModel(np.array(matrix), np.zeros(5), False, (height, width))


CAMERAS = {"90 degrees": lens(90, 1280, 720), "60 degrees": lens(60, 640, 480)}


def orbit(view: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Eye, and right, up and backward as rows, in the frame that the view follows.

    As in orbit_view_controller.cpp of RViz: z is the upright axis.
    """
    yaw, pitch = view["Yaw"], view["Pitch"]
    assert abs(pitch) <= math.pi / 2 - 0.001  # RViz would cut it there
    backward = np.array(
        [math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)]
    )
    focus = np.array([view["Focal Point"][axis] for axis in "XYZ"])
    right = np.cross([0, 0, 1], backward)
    right /= np.linalg.norm(right)
    return focus + view["Distance"] * backward, np.stack(
        [right, np.cross(backward, right), backward]
    )


def follower(view: dict[str, Any], rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`orbit`, in the fixed frame, of a camera at its origin.

    As in xy_orbit_view_controller.cpp and third_person_follower_view_controller.cpp: of the
    target's rotation only the part about z counts, and the eye is lifted by 0.2 distances.
    """
    eye, axes = orbit(view)
    eye = eye + 0.2 * view["Distance"] * axes[1]
    yaw = math.atan2(rotation[1, 0], rotation[0, 0])
    turn = np.array(
        [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    )
    return turn @ eye, axes @ turn.T


def screen_of(points: np.ndarray, eye: np.ndarray, axes: np.ndarray, aspect: float) -> np.ndarray:
    """x to the right and y up, ``(N, 2)``; the edges of the view are at -1 and 1.

    RViz sees 45 degrees from the lower to the upper edge.
    """
    x, y, z = axes @ (points - eye).T
    assert (z < 0).all(), "behind the viewer"
    return np.stack([x / aspect, y], -1) / (-z * math.tan(math.radians(22.5)))[:, None]


def aspect(window: Size) -> float:
    """Of the view in a window of this size, whose docks keep their width."""
    central = read_window_state(WINDOW["QMainWindow State"]).central
    width = window[0] - (WINDOW["Width"] - central[0]) - 2 * 16  # buttons that hide the docks
    return width / (window[1] - (WINDOW["Height"] - central[1]))


def corners(camera: CameraModel, distance: float) -> dict[str, np.ndarray]:
    vertices, uv = canvas_mesh(camera, camera.size or (0, 0), distance)
    at = {tuple(place): vertex for place, vertex in zip(uv.tolist(), vertices, strict=True)}
    names = {"top left": (0, 0), "top right": (1, 0), "low left": (0, 1), "low right": (1, 1)}
    return {name: at[place] for name, place in names.items()}


def seen(
    view: dict[str, Any], camera: CameraModel, window: Size, distance: float = 1.0
) -> dict[str, np.ndarray]:
    """Where the corners of the canvas are on the screen if the camera's frame is the fixed one."""
    assert view["Class"] == f"{PLUGINS}/Orbit"
    assert view["Target Frame"] == "<Fixed Frame>"
    at = corners(camera, distance)
    shown = screen_of(np.array(list(at.values())), *orbit(view), aspect(window))
    return dict(zip(at, shown, strict=True))


def check_upright_and_whole(at: dict[str, np.ndarray]) -> np.ndarray:
    """Neither mirrored nor turned, centred, and inside; its (width, height), at most (2, 2)."""
    size = at["top right"] - at["low left"]
    for one, other, axis in [
        ("top left", "low left", 0),
        ("top right", "low right", 0),
        ("top left", "top right", 1),
        ("low left", "low right", 1),
    ]:
        assert at[one][axis] == pytest.approx(at[other][axis], abs=0.01)
    np.testing.assert_allclose(at["top right"] + at["low left"], 0, atol=0.04)
    assert (size > 0.5).all()
    assert max(np.abs(list(at.values())).max(), 0) < 1
    return np.asarray(size)


WINDOWS = [(WINDOW["Width"], WINDOW["Height"]), (1920, 1080)]
windows = pytest.mark.parametrize("window", WINDOWS)


@windows
@pytest.mark.parametrize("camera", CAMERAS)
def test_the_view_shows_the_canvas_whole_and_upright(window: Size, camera: str) -> None:
    check_upright_and_whole(seen(current(), CAMERAS[camera], window))


@windows
@pytest.mark.parametrize(("name", "least"), [("90 degrees", (1.8, 0)), ("60 degrees", (0, 1.8))])
def test_the_saved_view_for_a_lens_is_filled_by_its_canvas(
    window: Size, name: str, least: tuple[float, float]
) -> None:
    size = check_upright_and_whole(seen(saved()[f"Image, {name}"], CAMERAS[name], window))
    assert (size >= np.array(least)).all(), size


def test_the_view_starts_as_the_saved_view_for_wide_cameras() -> None:
    assert current() == {**saved()["Image, 90 degrees"], "Name": "Current View"}
    assert current()["Distance"] == 1.7


def fitted(**scene: Any) -> dict[str, Any]:
    given = {"fixed_frame": OPTICAL, "camera_frame": OPTICAL, "canvas_distance": 1.0, **scene}
    return fit_layout(LAYOUT, Scene(**given))


@windows
@pytest.mark.parametrize("distance", [0.01, 0.2, 2.0, 1000.0])
def test_views_follow_the_distance_of_the_canvas(window: Size, distance: float) -> None:
    layout = fitted(canvas_distance=distance)
    for view, shipped in [
        (current(layout), current()),
        (saved(layout)["Image, 60 degrees"], saved()["Image, 60 degrees"]),
    ]:
        for camera in CAMERAS.values():
            there = seen(view, camera, window, distance)
            for corner, place in seen(shipped, camera, window).items():
                np.testing.assert_allclose(there[corner], place, atol=1e-9)
    assert current(layout)["Near Clip Distance"] == max(0.001, 0.01 * distance)


# --- a fixed frame that is not the camera's -----------------------------------------------


@windows
@pytest.mark.parametrize("heading", [0.0, 1.0, -2.5])
@pytest.mark.parametrize("distance", [0.2, 1.0])
def test_in_the_map_the_canvas_of_a_level_camera_is_seen_whole(
    window: Size, heading: float, distance: float
) -> None:
    layout = fitted(fixed_frame="map", camera_frame="left_optical", canvas_distance=distance)
    view = current(layout)
    assert manager(layout)["Global Options"]["Fixed Frame"] == "map"
    assert (view["Class"], view["Target Frame"]) == (
        f"{PLUGINS}/ThirdPersonFollower",
        "left_optical",
    )
    assert view["Name"] == "Current View"
    c, s = math.cos(heading), math.sin(heading)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ LEVEL
    eye, axes = follower(view, rotation)
    for camera in CAMERAS.values():
        at = corners(camera, distance)
        points = np.array(list(at.values())) @ rotation.T
        shown = screen_of(points, eye, axes, aspect(window))
        check_upright_and_whole(dict(zip(at, shown, strict=True)))


def test_the_saved_views_stay_and_name_the_camera() -> None:
    layout = fitted(fixed_frame="map", camera_frame="left_optical")
    assert list(saved(layout)) == ["Image, 90 degrees", "Image, 60 degrees", "In map"]
    assert saved(layout)["In map"]["Target Frame"] == "left_optical"
    assert saved(fitted())["In map"]["Target Frame"] == OPTICAL
    (axes,) = [d for d in manager(layout)["Displays"] if d["Class"] == f"{PLUGINS}/Axes"]
    assert axes["Reference Frame"] == "left_optical"


def test_a_frame_of_the_camera_s_own_keeps_the_view_along_its_axis() -> None:
    layout = fitted(fixed_frame="eye", camera_frame="eye")
    assert current(layout) == current()
    assert manager(layout)["Global Options"]["Fixed Frame"] == "eye"


@pytest.mark.parametrize(
    ("named", "fixed", "meant"),
    [
        ("", "eye", "eye"),
        ("", OPTICAL, OPTICAL),
        ("", "map", OPTICAL),
        ("", "robot/odom", OPTICAL),
        ("", "base_link", OPTICAL),
        ("eye", "map", "eye"),
        ("eye", "gripper", "eye"),
    ],
)
def test_the_frame_of_the_camera_is_the_fixed_one_unless_that_is_none_of_a_camera(
    named: str, fixed: str, meant: str
) -> None:
    assert camera_frame(named, fixed) == meant


# --- reading and writing ------------------------------------------------------------------


def test_the_layout_that_is_written_is_the_shipped_one_but_for_what_is_fitted(
    tmp_path: Path,
) -> None:
    before = copy.deepcopy(LAYOUT)
    path = tmp_path / "track.rviz"
    write_layout(SHIPPED, path, Scene(OPTICAL, OPTICAL, 1.0))
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    (axes,) = [d for d in manager(written)["Displays"] if d["Class"] == f"{PLUGINS}/Axes"]
    assert axes["Reference Frame"] == OPTICAL
    axes["Reference Frame"] = "<Fixed Frame>"
    assert written == LAYOUT == before
    state = WINDOW["QMainWindow State"]
    assert f"\n  QMainWindow State: {state}\n" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("texts", "node", "distance"),
    [
        ([], "/sam_pt", 1.0),
        (["/**: {ros__parameters: {tracker: lucas_kanade}}"], "/sam_pt", 1.0),
        (["/**: {ros__parameters: {canvas_distance: 0.2}}"], "/sam_pt", 0.2),
        (
            [
                "/**: {ros__parameters: {canvas_distance: 0.2}}",
                "sam_pt: {ros__parameters: {canvas_distance: 0.4}}",
            ],
            "/sam_pt",
            0.4,
        ),
        (["/robot: {left: {ros__parameters: {canvas_distance: 3.0}}}"], "/robot/left", 3.0),
        (["/robot: {left: {ros__parameters: {canvas_distance: 3.0}}}"], "/robot/right", 1.0),
        (["/*/left: {ros__parameters: {canvas_distance: 3.0}}"], "/robot/left", 3.0),
        (["/*/left: {ros__parameters: {canvas_distance: 3.0}}"], "/left", 1.0),
        (["/**/left: {ros__parameters: {canvas_distance: 3.0}}"], "/left", 3.0),
        (["/other: {ros__parameters: {canvas_distance: 3.0}}\n/sam_pt:"], "/sam_pt", 1.0),
    ],
)
def test_the_distance_of_the_canvas_is_the_one_that_the_node_reads(
    tmp_path: Path, texts: list[str], node: str, distance: float
) -> None:
    files = [tmp_path / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    assert canvas_distance(files, node) == distance


@pytest.mark.parametrize("value", ["0.0", "near", "2000.0"])
def test_a_distance_that_the_node_refuses_is_refused_with_its_file(
    tmp_path: Path, value: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"/**: {{ros__parameters: {{canvas_distance: {value}}}}}", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.yaml.*canvas_distance"):
        canvas_distance([file], "/sam_pt")


@pytest.mark.parametrize(
    ("scene", "reason"),
    [(("", "eye", 1.0), "rviz_frame is empty"), (("map", "eye", 0.0), "0.0 m away")],
)
def test_a_scene_without_frames_or_distance_is_refused(
    scene: tuple[str, str, float], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        Scene(*scene)
