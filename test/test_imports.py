"""What must run without ROS, and what without torch: in a fresh Python that has neither."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.media import write_sequence

ROOT = Path(__file__).resolve().parents[1]
BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(name + " is not installed here")

sys.meta_path.insert(0, Blocked())
"""
ROS = (
    "rclpy",
    "rclpy_action",
    "rosidl_parser",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "diagnostic_msgs",
    "geometry_msgs",
    "visualization_msgs",
    "builtin_interfaces",
    "rcl_interfaces",
    "lifecycle_msgs",
    "ament_index_python",
)
TRACK = """
import numpy as np
from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.objects import ObjectPrompt
pipeline = load_configuration("config/classical.yaml").create()
image = np.full((120, 160, 3), 60, np.uint8)
image[40:80, 60:100] = (200, 90, 40)
pipeline.process(image, 0)
pipeline.add_object(ObjectPrompt([[80, 60]], [1]))
(result,) = pipeline.process(image, 1)
assert result.object(1).mask.area > 800, result.object(1)
"""


def run(code: str, *blocked: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BLOCK.format(names=blocked) + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr


def test_the_block_blocks() -> None:
    with pytest.raises(AssertionError, match="rclpy is not installed here"):
        run("import rclpy", "rclpy")


def test_the_pipeline_imports_without_ros_and_torch() -> None:
    run("import sam_pt_ros.pipeline", *ROS, "torch")


def test_the_classical_pipeline_runs_without_ros_and_torch() -> None:
    run(TRACK, *ROS, "torch")


def test_recordings_are_evaluated_without_ros_and_torch(tmp_path: Path) -> None:
    frames, annotations = write_sequence(tmp_path / "f", tmp_path / "a", frames=5)
    commands = [
        ["make-bag", str(frames), str(tmp_path / "bag"), "--annotations", str(annotations)],
        ["evaluate", str(tmp_path / "bag"), "--out", str(tmp_path / "out")],
    ]
    # Guarded, because the process that writes the results imports the program, too.
    run(
        "from sam_pt_ros.cli import main\n"
        f"if __name__ == '__main__':\n    assert [main(c) for c in {commands!r}] == [0, 0]",
        *ROS,
        "torch",
    )
    assert (tmp_path / "out/report.html").is_file()


def test_the_node_imports_without_torch() -> None:
    run("import sam_pt_ros.ros.execution", "torch")


def test_the_node_is_imported_without_asking_for_launch() -> None:
    run(
        "import sam_pt_ros.ros.execution",
        "launch",
        "launch_ros",
        "rosbag2_py",
        "tf2_ros",
        "cv_bridge",
    )
