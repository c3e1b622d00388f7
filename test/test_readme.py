"""README is short, and the pages say what is so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from sam_pt_ros.interchange.messages import KINDS
from sam_pt_ros.ros.publishers import output_kinds

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOPICS = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
MODELS = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


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
    assert (len(services), len(outputs)) == (4, 12)
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
