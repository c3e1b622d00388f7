"""README is short, and the pages say what is so."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import yaml

from sam_pt_ros import cli
from sam_pt_ros.interchange.messages import KINDS
from sam_pt_ros.ros.publishers import output_kinds

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOPICS = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
MODELS = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("name", ["parameter_table", "message_page"])
def test_a_generated_page_is_what_its_script_writes(name: str) -> None:
    script = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.PAGE.read_text(encoding="utf-8")
    assert found == module.page(), f"run `.venv/bin/python scripts/{name}.py`"


def test_every_topic_and_service_of_the_node_is_described() -> None:
    node = (ROOT / "sam_pt_ros" / "ros" / "services.py").read_text(encoding="utf-8")
    services = re.findall(r'"~/(\w+)"', node)
    outputs = {"canvas", "performance", *output_kinds("map"), *KINDS, "detections"}
    assert (len(services), len(outputs)) == (6, 12)
    assert not {name for name in [*services, *outputs] if f"`~/{name}`" not in TOPICS}


def test_readme_is_short() -> None:
    assert 6_000 < len(README.encode()) < 9_500


def test_outputs_in_readme_are_outputs_of_the_node() -> None:
    named = re.findall(r"^\| `/sam_pt/(\w+)` \|", README, re.MULTILINE)
    assert len(named) == 5
    assert not {name for name in named if f"`~/{name}`" not in TOPICS}


def test_the_tables_of_configurations_are_equal_and_list_all_of_them() -> None:
    def rows(text: str) -> list[str]:
        table = text.split("| `config:=` |", 1)[1].split("\n\n", 1)[0]
        return table.splitlines()

    assert rows(README) == rows(MODELS)
    listed = {match[1] for row in rows(README) if (match := re.match(r"\| `(\w+)` \|", row))}
    assert listed == {path.stem for path in ROOT.glob("config/*.yaml")}


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_every_launch_argument_in_the_pages_is_declared() -> None:
    launch = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("launch/*.py"))
    declared = set(re.findall(r"rgument\(\s*\"(\w+)\"", launch))
    used = set(re.findall(r"\b([a-z_]+):=", TEXT))
    assert {"image", "rviz_frame", "bag"} <= used
    assert used <= declared


def test_every_make_target_in_the_pages_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"demo", "test", "docs"} <= used
    assert used <= targets


def commands() -> list[str]:
    """Every command line of sam-pt that stands in a block of code."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    code = "\n".join(text for language, text in blocks if not language)
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    return [line.partition(" # ")[0] for line in lines if line.startswith("sam-pt ")]


def test_there_are_commands() -> None:
    assert len(commands()) >= 12


@pytest.mark.parametrize("command", commands())
def test_every_command_in_the_pages_can_be_given(command: str) -> None:
    arguments = shlex.split(command)[1:]
    assert cli._parser().parse_args(arguments).run


def test_files_for_continuous_integration_and_forges_are_valid() -> None:
    files = [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml"]
    read = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}
    assert {"ci.yml", "bug_report.yml", "feature_request.yml"} <= set(read)
    steps = read["ci.yml"]["jobs"]["test"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
    assert (ROOT / ".ci/run").stat().st_mode & 0o100


def test_the_page_on_the_architecture_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in ROOT.glob("sam_pt_ros/*/__init__.py")}
    modules = {path.name for path in ROOT.glob("sam_pt_ros/*.py")} - {"__init__.py"}
    assert "pipeline" in rooms and "objects.py" in modules
    assert not {room for room in rooms if f"`{room}/`" not in page}
    assert not {module for module in modules if f"`{module}`" not in page}
