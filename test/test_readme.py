"""The README says what is so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from sam_pt_ros.interchange.messages import KINDS
from sam_pt_ros.ros.publishers import output_kinds

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_parameters_is_the_declared_one() -> None:
    script = ROOT / "scripts" / "parameter_table.py"
    spec = importlib.util.spec_from_file_location("parameter_table", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.table() in README, "run `.venv/bin/python scripts/parameter_table.py`"


def test_every_topic_and_service_of_the_node_is_described() -> None:
    node = (ROOT / "sam_pt_ros" / "ros" / "services.py").read_text(encoding="utf-8")
    services = re.findall(r'"~/(\w+)"', node)
    outputs = {"canvas", "performance", *output_kinds("map"), *KINDS, "detections"}
    assert (len(services), len(outputs)) == (4, 12)
    assert not {name for name in [*services, *outputs] if f"`~/{name}`" not in README}


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
