"""The picker as people use it: a real browser, `sam-pt pick`, and the node over DDS."""

from __future__ import annotations

import time

import numpy as np
from sam_pt_ros.msg import PointPrompt

from support.chromium import SHIFT, Chromium, Page
from support.picker_process import PickerProcess
from support.rig import ROOT, TIMEOUT, Rig
from support.scene import OCCLUDER, THING, overlap


class Film:
    """Plays the rig's frames one by one, each until the page shows it."""

    def __init__(self, rig: Rig, page: Page) -> None:
        self.rig = rig
        self.page = page
        self.index = 0
        rig.play(0)
        # Until both ends of the topic have found each other.
        while not page.run(f"new Promise(r => setTimeout(() => r({self._shown()}), 200))"):
            self.index += 1
            rig.play(self.index)

    def _shown(self) -> str:
        stamp = self.rig.header(self.index).stamp
        return f"document.querySelector('canvas').dataset.stamp == '{stamp.sec}.{stamp.nanosec}'"

    def go_on(self, frames: int = 1) -> int:
        """Play; the number of the last frame."""
        for _ in range(frames):
            self.index += 1
            self.rig.play(self.index)
            self.page.until(self._shown())
        return self.index


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where the centre of an image's pixel is in the window."""
    left, top, width, height, columns, rows = page.run(
        "(c => { const b = c.getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height, c.width, c.height]; })"
        "(document.querySelector('canvas'))"
    )
    return left + (x + 0.5) / columns * width, top + (y + 0.5) / rows * height


def listed(page: Page) -> list[str]:
    return page.run("[...document.querySelectorAll('.name')].map(e => e.textContent)")


def said(page: Page, text: str) -> None:
    page.until(f"document.getElementById('toasts').innerText.includes({text!r})")


def names(*wanted: str) -> str:
    found = "[...document.querySelectorAll('.name')].map(e => e.textContent).join()"
    return f"{found} == '{','.join(wanted)}'"


def test_an_object_is_clicked_refined_and_removed_and_two_pages_see_it(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url)
    film = Film(rig, page)
    assert page.run("document.getElementById('state').textContent") == "live"

    x, y = rig.scene.inner_point(THING, film.index)
    page.click(*place(page, x, y))
    said(page, "started object 1")
    index = film.go_on()
    mask = rig.mask(1, index)
    assert mask[round(y), round(x)]
    assert overlap(mask, rig.scene.frame(index).mask(THING)) > 0.8
    page.until(names("Object 1"))

    other = chromium.open(picker.url)
    film.go_on(2)
    other.until(names("Object 1"))

    before = {p.id for p in rig.output("tracked_points", film.index).points}
    x, y = rig.scene.inner_point(OCCLUDER, film.index)
    page.click(*place(page, x, y), modifiers=SHIFT)
    rig.log("click on 'points': point for object 1")
    index = film.go_on()
    points = rig.output("tracked_points", index).points
    (added,) = [p for p in points if p.id not in before]
    assert (added.object_id, added.label) == (1, PointPrompt.NEGATIVE)
    assert np.hypot(added.x - x, added.y - y) < 3
    page.screenshot(ROOT / "build" / "picker.png")

    page.press("Delete")
    said(page, "removed object 1")
    index = film.go_on()
    assert rig.objects(index) == {}
    for each in (page, other):
        each.until(names())
    assert page.complaints == other.complaints == []


def test_pause_and_reset_reach_the_node_and_refusals_reach_the_page(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url)
    film = Film(rig, page)
    page.click(*place(page, *rig.scene.inner_point(THING, film.index)))
    said(page, "started object 1")
    film.go_on()
    page.until(names("Object 1"))

    rig.points(PointPrompt(x=-9.0, y=1.0, label=PointPrompt.POSITIVE))
    said(page, "click on 'points' refused")

    page.press(" ")
    page.until("document.getElementById('state').textContent === 'paused'")
    rig.log("images are ignored")
    page.press(" ")
    page.until("document.getElementById('pause-text').textContent === 'Pause'")
    rig.log("images are processed")

    page.press("r")
    page.tap("#reset-dialog .solid")
    said(page, "ids begin at 1 again")
    page.until(names())
    assert rig.objects(film.go_on()) == {}


def test_the_node_draws_only_while_somebody_looks(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    def looked_at(wanted: bool) -> None:
        deadline = time.monotonic() + TIMEOUT
        while (rig.listener.count_subscribers("/sam_pt/overlay/compressed") > 0) is not wanted:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    for page in list(chromium.pages.values()):
        page.close()
    looked_at(False)
    page = chromium.open(picker.url)
    looked_at(True)
    page.close()
    looked_at(False)
