"""The picker's process, and a browser; node and camera are those of the tests of ROS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.chromium import Chromium
from support.picker_process import PickerProcess
from support.rig import Rig


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("rig"), "mode:=every_frame")
    yield made
    made.close()


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    shared_rig.reset()
    return shared_rig


@pytest.fixture(scope="module")
def picker(shared_rig: Rig) -> Iterator[PickerProcess]:
    made = PickerProcess(shared_rig.domain)
    yield made
    assert made.end() == (0, "")
