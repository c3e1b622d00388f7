"""The picker's process, and a browser; node and camera are those of the tests of ROS."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chromium import Chromium
from picker_process import PickerProcess
from rig import Rig


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("rig"), "mode:=every_frame")
    yield made
    made.close()


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    shared_rig.reset()
    return shared_rig


@pytest.fixture(scope="session")
def picker(shared_rig: Rig) -> Iterator[PickerProcess]:
    made = PickerProcess(shared_rig.domain)
    yield made
    assert made.end() == (0, "")
