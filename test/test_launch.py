"""The launch files load, describe every argument and pass on what is given.

Launch does not come as a wheel: without it these tests are skipped. Where it is installed,
`ros2 launch sam_pt_ros track.launch.py --show-args` shows what they check.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("launch.actions", reason="launch is not installed (it comes with ROS)")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed (it comes with ROS)")

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile
from launch_ros.utilities import evaluate_parameters

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = ROOT / "launch"
SHIPPED = ROOT / "config" / "track.rviz"
TRACK = {
    "image": "image",
    "image_transport": "",
    "camera_info": "camera_info",
    "rectified": "",
    "depth": "depth",
    "target_frame": "",
    "points": "points",
    "clicked_point": "/clicked_point",
    "clicked_pixel": "clicked_pixel",
    "params": "",
    "namespace": "",
    "node_name": "sam_pt",
    "use_sim_time": "",
    "autostart": "",
    "log_level": "info",
    "rviz": "false",
    "rviz_frame": "camera_optical_frame",
    "camera_frame": "",
    "pick": "false",
    "pick_port": "8080",
    "pick_host": "127.0.0.1",
    "pick_token": "",
}
REPLAY = {
    "rate": "1.0",
    "loop": "false",
    "start_offset": "0.0",
    "clock": "100",
    "delay": "3.0",
    "use_sim_time": "true",
}


@pytest.fixture(autouse=True)
def _prefix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path / "checkpoints"))
    if not os.environ.get("AMENT_PREFIX_PATH"):
        monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)


def load(name: str, context: LaunchContext) -> LaunchDescription:
    source = PythonLaunchDescriptionSource(str(LAUNCH / name))
    return source.get_launch_description(context)


def declared(name: str) -> dict[str, DeclareLaunchArgument]:
    """By name; of several of one name the first, which is the one that counts."""
    found: dict[str, DeclareLaunchArgument] = {}
    for argument in load(name, LaunchContext()).get_launch_arguments():
        found.setdefault(argument.name, argument)
    return found


def default(argument: DeclareLaunchArgument) -> str:
    return LaunchContext().perform_substitution(argument.default_value[0])


def started(name: str, **given: str) -> tuple[LaunchContext, list]:
    """The context and the actions that the file's own function makes of the arguments."""
    context = LaunchContext()
    context.launch_configurations.update(given)
    functions = []
    for entity in load(name, context).entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.visit(context)
        elif isinstance(entity, OpaqueFunction):
            functions.append(entity)
    made = [function.execute(context) or [] for function in functions]
    return context, [action for actions in made for action in actions]


def test_track_has_the_arguments() -> None:
    arguments = declared("track.launch.py")
    assert set(arguments) == {*TRACK, "config"}
    assert {name: default(arguments[name]) for name in TRACK} == TRACK
    assert default(arguments["config"]) == ""


def test_replay_has_its_own_and_those_of_track() -> None:
    arguments = declared("replay.launch.py")
    assert set(arguments) == {*TRACK, *REPLAY, "config", "bag"}
    assert {name: default(arguments[name]) for name in REPLAY} == REPLAY
    assert arguments["bag"].default_value is None


@pytest.mark.parametrize("name", ["track.launch.py", "replay.launch.py"])
def test_every_argument_is_described(name: str) -> None:
    for argument in declared(name).values():
        assert len(argument.description) > 20, argument.name


def test_track_starts_the_node_alone() -> None:
    context, (node, rviz, picker) = started(
        "track.launch.py", image="/camera/image_raw", node_name="eye", namespace="/robot"
    )
    assert isinstance(node, Node)
    assert node.condition is None
    assert not rviz.condition.evaluate(context)
    assert not picker.condition.evaluate(context)
    remapped = {
        context.perform_substitution(source[0]): context.perform_substitution(target[0])
        for source, target in node._Node__remappings
    }
    assert remapped["image"] == "/camera/image_raw"
    assert remapped["image/compressed"] == "/camera/image_raw/compressed"
    assert set(remapped) == {
        "image",
        "image/compressed",
        "camera_info",
        "points",
        "clicked_point",
        "clicked_pixel",
        "depth",
    }


def test_track_starts_the_picker_for_its_node_if_asked_for() -> None:
    context, (_, _, picker) = started(
        "track.launch.py",
        pick="true",
        pick_port="9000",
        pick_token="a long secret",
        node_name="eye",
        namespace="robot",
        points="clicks",
    )
    assert picker.condition.evaluate(context)
    assert picker._Node__arguments == [
        "pick",
        *("--node", "/robot/eye"),
        *("--port", "9000"),
        *("--host", "127.0.0.1"),
    ]
    environment = {
        context.perform_substitution(name[0]): context.perform_substitution(value[0])
        for name, value in picker.additional_env
    }
    assert environment == {"SAM_PT_PICK_TOKEN": "a long secret"}


def opened(context: LaunchContext, rviz: Node) -> tuple[Path, dict[str, Any]]:
    """The layout that RViz is told to open, and what it shows."""
    assert rviz.condition.evaluate(context)
    option, path = rviz._Node__arguments
    assert option == "-d"
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return Path(path), content["Visualization Manager"]


def test_rviz_opens_a_layout_that_starts_at_the_camera() -> None:
    context, (_, rviz, _) = started("track.launch.py", rviz="true", rviz_frame="eye")
    path, shown = opened(context, rviz)
    assert path.resolve() != SHIPPED  # which must stay as it is
    assert shown["Global Options"]["Fixed Frame"] == "eye"
    assert shown["Views"]["Current"]["Class"] == "rviz_default_plugins/Orbit"

    frames = {"rviz_frame": "map", "camera_frame": "eye"}
    context, (_, rviz, _) = started("track.launch.py", rviz="True", **frames)
    _, shown = opened(context, rviz)
    assert shown["Global Options"]["Fixed Frame"] == "map"
    view = shown["Views"]["Current"]
    assert view["Class"] == "rviz_default_plugins/ThirdPersonFollower"
    assert view["Target Frame"] == "eye"


def test_the_view_of_rviz_is_as_far_away_as_the_parameters_want_it(tmp_path: Path) -> None:
    params = tmp_path / "near.yaml"
    params.write_text("/robot/eye: {ros__parameters: {canvas_distance: 0.5}}", encoding="utf-8")
    names = {"namespace": "robot", "node_name": "eye"}
    context, (_, rviz, _) = started("track.launch.py", rviz="true", params=str(params), **names)
    _, shown = opened(context, rviz)
    assert shown["Views"]["Current"]["Distance"] == 0.85
    remapped = {
        context.perform_substitution(source[0]): context.perform_substitution(target[0])
        for source, target in rviz._Node__remappings
    }
    displays = ("canvas", "overlay", "markers", "object_points")
    assert remapped == {
        **{f"/sam_pt/{name}": f"/robot/eye/{name}" for name in displays},
        "/clicked_point": "/clicked_point",
    }


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ({}, []),
        ({"autostart": "False"}, [{"autostart": False}]),
        (
            {"image_transport": "compressed", "use_sim_time": "true"},
            [{"image_transport": "compressed", "use_sim_time": True}],
        ),
    ],
)
def test_only_arguments_that_are_given_override_the_configuration(
    given: dict[str, str], parameters: list
) -> None:
    context, (node, *_) = started("track.launch.py", **given)
    (path,) = configurations(context, node)
    assert path.name == "classical.yaml"
    values = [p for p in node._Node__parameters if not isinstance(p, ParameterFile)]
    assert evaluate_parameters(context, values) == tuple(parameters)


def configurations(context: LaunchContext, node: Node) -> list[Path]:
    files = [p for p in node._Node__parameters if isinstance(p, ParameterFile)]
    return [Path(each.evaluate(context)) for each in files]


def test_with_checkpoints_the_models_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")
    from sam_pt_ros.weights.checkpoints import CHECKPOINTS

    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    for name in ("mobile_sam", "cotracker3_online"):
        (tmp_path / CHECKPOINTS[name].file).touch()
    context, (node, *_) = started("track.launch.py")
    (path,) = configurations(context, node)
    assert path.name == "cotracker_mobile_sam.yaml"
    context, (node, *_) = started("track.launch.py", config="classical")
    assert [path.name for path in configurations(context, node)] == ["classical.yaml"]


def test_track_takes_configurations_by_name_and_says_what_there_is() -> None:
    started("track.launch.py", config="classical")
    with pytest.raises(FileNotFoundError, match=r"config:=nonsense is neither .*classical"):
        started("track.launch.py", config="nonsense")
    with pytest.raises(FileNotFoundError, match="params:=/no/such"):
        started("track.launch.py", params="/no/such.yaml")


def test_replay_plays_the_bag(tmp_path: Path) -> None:
    context, (player,) = started(
        "replay.launch.py", bag=str(tmp_path), rate="0.5", loop="true", start_offset="2"
    )
    command = [context.perform_substitution(part[0]) for part in player.cmd]
    assert command[:4] == ["ros2", "bag", "play", str(tmp_path)]
    assert "--loop" in command
    options = dict(zip(command[4:-1:2], command[5:-1:2], strict=True))
    assert options == {"--rate": "0.5", "--start-offset": "2", "--clock": "100", "--delay": "3.0"}


def test_replay_without_the_bag_says_so() -> None:
    with pytest.raises(FileNotFoundError, match="rosbag2 folder"):
        started("replay.launch.py", bag="/no/such/bag")
