"""Start the tracking node, and on request RViz and the target picker."""

import atexit
import shutil
import tempfile
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from sam_pt_ros.ros.recommended_configuration import recommended_configuration
from sam_pt_ros.ros.rviz_layout import Scene, camera_frame, canvas_distance, write_layout

SHARE = Path(get_package_share_directory("sam_pt_ros"))
LAYOUT = SHARE / "config" / "track.rviz"
BOOLEANS = ["true", "false", "True", "False"]
PARAMETERS = ("image_transport", "rectified", "target_frame", "use_sim_time", "autostart")
"""Arguments that override the configuration if they are not empty."""


def arguments() -> list[DeclareLaunchArgument]:
    """Arguments of the command line, as NAME:=VALUE."""

    def argument(name: str, default: str, description: str, **more) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value=default, description=description, **more)

    return [
        argument(
            "image",
            "image",
            "Topic of the camera images (sensor_msgs/Image), for example /camera/image_raw. "
            "With image_transport:=compressed the node listens to this topic's /compressed.",
        ),
        argument(
            "image_transport",
            "",
            "Message type of the images: raw (sensor_msgs/Image) or compressed "
            "(sensor_msgs/CompressedImage); empty: as in the configuration, or raw.",
            choices=["", "raw", "compressed"],
        ),
        argument(
            "camera_info",
            "camera_info",
            "Topic of the camera's calibration (sensor_msgs/CameraInfo), for example "
            "/camera/camera_info; needed for clicked_point, depth, the canvas and the markers.",
        ),
        argument(
            "rectified",
            "",
            "Whether the images are rectified (image_rect). If so, P of camera_info is used, "
            "without distortion; empty: as in the configuration, or false.",
            choices=["", *BOOLEANS],
        ),
        argument(
            "depth",
            "depth",
            "Topic of depth registered to the images (sensor_msgs/Image, 16UC1 or 32FC1), for "
            "example /camera/aligned_depth_to_color/image_raw.",
        ),
        argument(
            "target_frame",
            "",
            "Second frame in which positions are given, for example map; needs depth and tf2_ros. "
            "Empty: as in the configuration, or none.",
        ),
        argument(
            "points",
            "points",
            "Topic of clicks with object and label (sam_pt_ros/PointPromptArray).",
        ),
        argument(
            "clicked_point",
            "/clicked_point",
            "Topic of clicks in space (geometry_msgs/PointStamped), as RViz's tool Publish Point "
            "sends them. Frames other than the camera's need tf2_ros.",
        ),
        argument(
            "clicked_pixel",
            "clicked_pixel",
            "Topic of clicks on pixels (geometry_msgs/Point), as rqt_image_view sends them, for "
            "example /camera/image_raw_mouse_left.",
        ),
        argument(
            "config",
            "",
            "Configuration: a ROS parameter file, or the name of one that comes with the package "
            f"({', '.join(names())}); empty: cotracker_mobile_sam if its checkpoints have been "
            "downloaded, else classical.",
        ),
        argument(
            "params",
            "",
            "Another ROS parameter file, read last: its values override the configuration and the "
            "other arguments.",
        ),
        argument("namespace", "", "Namespace of the node and of its relative topics."),
        argument("node_name", "sam_pt", "Name of the node; part of the names of its outputs."),
        argument(
            "use_sim_time",
            "",
            "Whether time comes from /clock, as with a simulator or a recording; empty: as in the "
            "configuration, or false.",
            choices=["", *BOOLEANS],
        ),
        argument(
            "autostart",
            "",
            "Whether the lifecycle node configures and activates itself. If not, run "
            "ros2 lifecycle set /sam_pt configure, and then activate. Empty: as in the "
            "configuration, or true.",
            choices=["", *BOOLEANS],
        ),
        argument(
            "log_level",
            "info",
            "Lowest level of messages to log.",
            choices=["debug", "info", "warn", "error", "fatal"],
        ),
        argument(
            "rviz",
            "false",
            "Whether to start RViz (rviz2, which must be installed) with the canvas, the overlay, "
            "the markers and the tool Publish Point.",
            choices=BOOLEANS,
        ),
        argument(
            "rviz_frame",
            "camera_optical_frame",
            "Fixed frame of RViz, in which clicks are: the frame_id of the images, or another one "
            "such as map, which needs tf2_ros and a camera that is about level.",
        ),
        argument(
            "camera_frame",
            "",
            "Frame_id of the images, at which RViz's view starts; needed if rviz_frame is another "
            "frame. Empty: rviz_frame, or camera_optical_frame if that is map, odom or the like.",
        ),
        argument(
            "pick",
            "false",
            "Whether to start the target picker, a web page to click in.",
            choices=BOOLEANS,
        ),
        argument("pick_port", "8080", "Port of the target picker."),
        argument(
            "pick_host",
            "127.0.0.1",
            "Address on which the target picker listens. Any other than 127.0.0.1 opens it to the "
            "network, with a token.",
        ),
        argument(
            "pick_token",
            "",
            "Token that the target picker asks for; empty: it creates and prints one if one is "
            "needed.",
        ),
    ]


def names() -> list[str]:
    """The package's configurations."""
    return sorted(path.stem for path in (SHARE / "config").glob("*.yaml"))


def existing(name: str, argument: str) -> str:
    """A parameter file: a path, or the name of one in the package."""
    ours = SHARE / "config" / f"{name}.yaml"
    for path in (Path(name).expanduser(), ours):
        if path.is_file():
            return str(path)
    raise FileNotFoundError(
        f"{argument}:={name} is neither a file nor one of the package's configurations "
        f"({', '.join(names())})"
    )


def rviz_layout(value: dict[str, str], files: list[str], node: str) -> Path:
    """Write the layout for the arguments and parameter files; it lasts as long as the launch."""
    fixed = value["rviz_frame"]
    distance = canvas_distance(map(Path, files), node)
    scene = Scene(fixed, camera_frame(value["camera_frame"], fixed), distance)
    folder = Path(tempfile.mkdtemp(prefix="sam_pt_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_layout(LAYOUT, folder / LAYOUT.name, scene)
    return folder / LAYOUT.name


def nodes(context: LaunchContext) -> list[Node]:
    """The processes to start, by the arguments that were given."""
    value = {
        argument.name: context.perform_substitution(LaunchConfiguration(argument.name))
        for argument in arguments()
    }
    files = [existing(value["config"] or recommended_configuration(), "config")]
    if value["params"]:
        files.append(existing(value["params"], "params"))
    given = {name: yaml.safe_load(value[name]) for name in PARAMETERS if value[name]}
    parameters = [files[0], *([given] if given else []), *files[1:]]
    outputs = "/".join(["", *value["namespace"].strip("/").split("/"), value["node_name"]])
    outputs = outputs.replace("//", "/")
    with_rviz = value["rviz"].lower() == "true"
    layout = rviz_layout(value, files, outputs) if with_rviz else LAYOUT
    return [
        Node(
            package="sam_pt_ros",
            executable="track_node",
            namespace=value["namespace"],
            name=value["node_name"],
            parameters=parameters,
            remappings=[
                ("image", value["image"]),
                ("image/compressed", f"{value['image']}/compressed"),
                ("camera_info", value["camera_info"]),
                ("points", value["points"]),
                ("clicked_point", value["clicked_point"]),
                ("clicked_pixel", value["clicked_pixel"]),
                ("depth", value["depth"]),
            ],
            ros_arguments=["--log-level", value["log_level"]],
            output="screen",
            emulate_tty=True,
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", str(layout)],
            parameters=[{"use_sim_time": value["use_sim_time"].lower() == "true"}],
            remappings=[
                ("/sam_pt/canvas", f"{outputs}/canvas"),
                ("/sam_pt/overlay", f"{outputs}/overlay"),
                ("/sam_pt/markers", f"{outputs}/markers"),
                ("/sam_pt/object_points", f"{outputs}/object_points"),
                ("/clicked_point", value["clicked_point"]),
            ],
            condition=IfCondition(value["rviz"]),
        ),
        Node(
            package="sam_pt_ros",
            executable="sam_pt",
            name="picker",
            namespace=value["namespace"],
            arguments=[
                "pick",
                *("--node", outputs),
                *("--port", value["pick_port"]),
                *("--host", value["pick_host"]),
            ],
            # Not an argument: any user of the machine can read those.
            additional_env={"SAM_PT_PICK_TOKEN": value["pick_token"]},
            parameters=[{"use_sim_time": value["use_sim_time"].lower() == "true"}],
            remappings=[("points", value["points"])],
            output="screen",
            emulate_tty=True,
            condition=IfCondition(value["pick"]),
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])
