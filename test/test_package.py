"""What is installed is what lies here, and the package's files agree with each other."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sam_pt_ros

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "sam_pt_ros"
INTERFACES = sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")])
# The installed package is the one with the generated messages in it.
BUILT = [Path(folder) for folder in sam_pt_ros.__path__ if Path(folder, "msg").is_dir()]
INSTALLED = BUILT[0] if BUILT else Path()

ROS = {
    "ament_index_python",
    "builtin_interfaces",
    "launch",
    "launch_ros",
    "rcl_interfaces",
    "rclpy",
    "tf2_ros",
}
ROS_PACKAGES = {"tf2_ros": "tf2_ros_py"}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "PyYAML"}

needs_build = pytest.mark.skipif(not BUILT, reason="the messages are not built (make build)")


def python_files(folder: Path) -> dict[str, bytes]:
    return {
        os.path.relpath(path, folder): Path(path).read_bytes()
        for parent, _, names in os.walk(folder, followlinks=True)
        for path in (os.path.join(parent, name) for name in names)
        if path.endswith(".py")
    }


def prefix() -> Path:
    """Where the package is installed: the folder with lib/ and share/ in it."""
    for parent in INSTALLED.parents:
        if (parent / "share/sam_pt_ros/package.xml").is_file():
            return parent
    pytest.fail(f"no share/sam_pt_ros/package.xml above {INSTALLED}")


@needs_build
def test_installed_python_is_that_of_the_sources() -> None:
    ours = python_files(SOURCES)
    installed = python_files(INSTALLED)
    stale = [name for name, text in ours.items() if installed.get(name) != text]
    assert not stale, "installed copies that are missing or differ; run make build"
    generated = {name for name in installed if name.split(os.sep)[0] in ("msg", "srv")}
    assert set(installed) - set(ours) == generated, "installed, but no longer among the sources"


@needs_build
def test_launch_and_configuration_files_are_installed() -> None:
    for folder in ("launch", "config"):
        for path in (ROOT / folder).glob("[!_.]*.*"):
            installed = prefix() / "share/sam_pt_ros" / folder / path.name
            assert installed.read_bytes() == path.read_bytes(), installed


@needs_build
@pytest.mark.parametrize("name", ["track_node", "sam_pt"])
def test_executables_are_installed(name: str) -> None:
    path = prefix() / "lib/sam_pt_ros" / name
    assert os.access(path, os.X_OK)
    compile(path.read_text(), str(path), "exec")


@needs_build
def test_every_interface_is_generated() -> None:
    for path in INTERFACES:
        module = __import__(f"sam_pt_ros.{path.parent.name}", fromlist=[path.stem])
        assert hasattr(module, path.stem)


@needs_build
def test_the_executables_run_in_any_folder_and_environment(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    path = prefix() / "lib/sam_pt_ros/sam_pt"
    done = subprocess.run(
        [path, "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_package_xml_is_valid() -> None:
    catkin_pkg = pytest.importorskip("catkin_pkg.package")
    warnings: list[str] = []
    package = catkin_pkg.parse_package(str(ROOT), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings
    assert package.name == "sam_pt_ros"
    assert package.licenses == ["Apache-2.0"]
    assert package.get_build_type() == "ament_cmake"
    assert [group.name for group in package.member_of_groups] == ["rosidl_interface_packages"]


def test_package_xml_has_no_pip_keys() -> None:
    """The ROS build farm releases no package that has one."""
    xml = (ROOT / "package.xml").read_text()
    keys = re.findall(r"depend>([\w-]+)</", xml)
    assert "python3-numpy" in keys
    assert not [key for key in keys if key.endswith("-pip")]


def test_versions_agree() -> None:
    version = sam_pt_ros.__version__
    xml = (ROOT / "package.xml").read_text()
    assert re.findall(r"<version>(.+)</version>", xml) == [version]
    assert importlib.metadata.version("sam_pt_ros") == version
    setup = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert setup.stdout.split()[-1] == version


def test_the_changelog_has_the_version_or_a_next_one() -> None:
    titles = re.findall(r"^(.+)\n-+$", (ROOT / "CHANGELOG.rst").read_text(), re.MULTILINE)
    assert titles[0] == "Forthcoming" or titles[0].startswith(sam_pt_ros.__version__)


def test_the_command_is_an_entry_point() -> None:
    scripts = importlib.metadata.entry_points(group="console_scripts")
    assert scripts["sam-pt"].value == "sam_pt_ros.cli:main"


def imported_packages() -> set[str]:
    found: set[str] = set()
    for path in [*SOURCES.rglob("*.py"), *ROOT.glob("launch/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - {"sam_pt_ros"} - set(sys.stdlib_module_names)


def test_package_xml_names_the_ros_packages_that_are_imported() -> None:
    xml = (ROOT / "package.xml").read_text()
    named = set(re.findall(r"depend>(\w+)</", xml))
    ros = {name for name in imported_packages() if name.endswith(("_msgs", "_srvs"))}
    ros |= {ROS_PACKAGES.get(name, name) for name in imported_packages() & ROS}
    assert ros <= named
    unused = {name for name in named if name.endswith("_msgs")} - ros
    assert not unused


def test_what_is_imported_is_installed_by_pip_and_by_make() -> None:
    ros = {name for name in imported_packages() if name.endswith(("_msgs", "_srvs"))} | ROS
    names = {DISTRIBUTIONS.get(name, name) for name in imported_packages() - ros}
    assert {"av", "rosbags"} <= names
    setup = re.findall(r'"([\w-]+)[><]=', (ROOT / "setup.py").read_text())
    assert names <= set(setup)
    for optional in ("torch.txt", "matching.txt"):
        pinned = (ROOT / "requirements" / optional).read_text()
        names -= set(re.findall(r"^([\w.-]+)==", pinned, re.MULTILINE))
    wanted = [(ROOT / f"requirements/{name}.in").read_text() for name in ("runtime", "dev")]
    assert names <= set(" ".join(wanted).split())
    lock = re.findall(r"^([\w.-]+)==", (ROOT / "requirements/lock.txt").read_text(), re.MULTILINE)
    assert names <= set(lock)


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.stem)
def test_every_field_is_documented(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# "), "no description of the whole"
    for number, line in enumerate(lines):
        field, _, comment = line.partition("#")
        if not field.strip() or field.strip() == "---":
            continue
        following = lines[number + 1] if number + 1 < len(lines) else ""
        continued = re.match(r"\s+#", following)
        assert comment.strip() or continued, f"{path.name}:{number + 1}: {line}"
