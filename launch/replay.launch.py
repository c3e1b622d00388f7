"""Play a recording to the tracking node, with the recording's time on /clock.

All arguments of track.launch.py are accepted, too.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

TRACK = Path(get_package_share_directory("sam_pt_ros")) / "launch" / "track.launch.py"

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Folder of the recording (rosbag2) to play."),
    DeclareLaunchArgument(
        "rate", default_value="1.0", description="Playback speed; 1: as recorded."
    ),
    DeclareLaunchArgument(
        "loop",
        default_value="false",
        choices=["true", "false", "True", "False"],
        description="Whether to start again at the end.",
    ),
    DeclareLaunchArgument(
        "start_offset",
        default_value="0.0",
        description="Seconds of the recording to skip at its start.",
    ),
    DeclareLaunchArgument(
        "clock",
        default_value="100",
        description="Rate in Hz at which the recording's time is published on /clock.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="true",
        choices=["true", "false", "True", "False"],
        description="Whether the node uses the recording's time.",
    ),
    DeclareLaunchArgument(
        "delay",
        default_value="3.0",
        description="Seconds to wait before playing, until the node is ready.",
    ),
]


def check(context: LaunchContext) -> None:
    """Check before anything starts: after an error, launch leaves processes running."""
    bag = context.perform_substitution(LaunchConfiguration("bag"))
    if not Path(bag).expanduser().exists():
        raise FileNotFoundError(f"bag:={bag} does not exist; give a rosbag2 folder")


def player(context: LaunchContext) -> list[ExecuteProcess]:
    """The process that plays, by the arguments that were given."""
    value = {
        argument.name: context.perform_substitution(LaunchConfiguration(argument.name))
        for argument in ARGUMENTS
    }
    command = ["ros2", "bag", "play", str(Path(value["bag"]).expanduser())]
    for name, option in [
        ("rate", "--rate"),
        ("start_offset", "--start-offset"),
        ("clock", "--clock"),
        ("delay", "--delay"),
    ]:
        command += [option, value[name]]
    if value["loop"].lower() == "true":
        command.append("--loop")
    return [ExecuteProcess(cmd=command, name="ros2_bag_play", output="screen")]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    track = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(TRACK)))
    return LaunchDescription(
        [*ARGUMENTS, OpaqueFunction(function=check), track, OpaqueFunction(function=player)]
    )
