"""The picker's process, and a browser; node and camera are those of the tests of ROS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.chromium import Chromium, Page
from support.page_site import OpenPage, Site
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


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def open_page(site: Site, chromium: Chromium) -> Iterator[OpenPage]:
    """Opens pages that show picture 7; they must have nothing to complain of."""
    pages: list[Page] = []

    def open_one(**window: Any) -> Page:
        page = chromium.open(site.url, **window)
        pages.append(page)
        page.until("document.getElementById('state').textContent === 'no pictures'")
        site.show(7)
        page.until("document.querySelector('canvas').dataset.stamp === '1.7'")
        return page

    yield open_one
    for page in pages:
        assert page.complaints == []
        page.close()
