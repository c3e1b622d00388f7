"""The picker as people use it: a real browser, `sam-pt pick`, and the node over DDS."""

from __future__ import annotations

import re
import time

import cv2
import numpy as np
import pytest
from sam_pt_ros.msg import PointPrompt

from support.chromium import SHIFT, Chromium, Page
from support.page_site import ALT, Hand, place, stop_clock
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
    page.until("document.getElementById('state').textContent === 'live'")

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


def outline_mask(page: Page, size: tuple[int, int], which: str = ".chosen") -> np.ndarray:
    """What lies inside of a candidate that the page shows."""
    path = page.run(f"document.querySelector('#sketch {which} path').getAttribute('d')")
    polygons = [
        np.array(re.findall(r"(\d+) (\d+)", part), np.int32) for part in path.split("Z") if part
    ]
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, polygons, 1)
    return np.asarray(mask == 1)


def test_a_box_starts_an_object_whose_mask_lies_in_it(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url)
    film = Film(rig, page)
    rows, columns = np.nonzero(rig.scene.frame(film.index).mask(THING))
    box = [int(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())]
    Hand(page).drag((box[0] - 2, box[1] - 2), (box[2] + 2, box[3] + 2))
    said(page, "started object 1")
    index = film.go_on()
    mask = rig.mask(1, index)
    assert overlap(mask, rig.scene.frame(index).mask(THING)) > 0.8
    rows, columns = np.nonzero(mask)
    assert box[0] - 6 <= columns.min() and columns.max() <= box[2] + 10  # it has moved since
    assert box[1] - 6 <= rows.min() and rows.max() <= box[3] + 6
    page.close()


def test_lines_start_and_change_objects_as_one_gesture(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url)
    film, hand = Film(rig, page), Hand(page)
    x, y = rig.scene.inner_point(THING, film.index)
    hand.drag((x - 10, y), (x, y), (x + 10, y), modifiers=ALT)
    said(page, "started object 1")
    index = film.go_on()
    assert overlap(rig.mask(1, index), rig.scene.frame(index).mask(THING)) > 0.8
    before = {p.id for p in rig.output("tracked_points", index).points}

    x, y = rig.scene.inner_point(OCCLUDER, film.index)
    hand.drag((x, y - 30), (x, y), (x, y + 30), modifiers=SHIFT)
    rig.log("click on 'points': point for object 1")
    index = film.go_on()
    points = rig.output("tracked_points", index).points
    added = [p for p in points if p.id not in before]
    assert len(added) == 8 and {p.label for p in added} == {PointPrompt.NEGATIVE}
    page.press("u")
    said(page, "Undone: the line beside object 1")
    index = film.go_on()
    assert not {p.id for p in added} & {p.id for p in rig.output("tracked_points", index).points}
    page.press("u")
    said(page, "it was removed")
    assert rig.objects(film.go_on()) == {}
    page.close()


def test_what_a_click_may_mean_is_shown_chosen_taken_and_taken_back(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url)
    film, hand = Film(rig, page), Hand(page)
    x, y = rig.scene.inner_point(THING, film.index)
    size = rig.scene.size
    hand.move(x, y)
    page.until("document.querySelectorAll('#sketch .candidate').length > 1")
    thing = rig.scene.frame(film.index).mask(THING)
    first = outline_mask(page, size)
    assert overlap(first, thing) > 0.5
    hand.move(x + 40, y)
    page.until("document.querySelectorAll('#sketch .candidate').length !== 1")
    hand.move(x, y)
    page.until("document.querySelectorAll('#sketch .candidate').length > 1")
    page.press("c")
    second = outline_mask(page, size)
    assert overlap(first, second) < 0.95
    page.click(*place(page, x, y))
    said(page, "started object 1")
    index = film.go_on()
    mask = rig.mask(1, index)
    assert overlap(mask, second) > overlap(mask, first)
    page.press("u")
    said(page, "it was removed")
    page.close()


def test_a_second_click_takes_what_else_the_first_may_mean(
    rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url)
    film = Film(rig, page)
    stop_clock(page)
    x, y = rig.scene.inner_point(THING, film.index)
    page.click(*place(page, x, y))
    said(page, "started object 1")
    first = rig.mask(1, film.go_on())
    page.click(*place(page, x + 1, y))
    said(page, "Took alternative 2 of")
    second = rig.mask(1, film.go_on())
    assert overlap(first, second) < 0.9
    assert list(rig.objects(film.index)) == [1]
    page.press("u")
    said(page, "Undone: the other alternative for object 1")
    again = rig.mask(1, film.go_on())
    assert overlap(again, first) > overlap(again, second)
    page.close()


LOOKS = {
    "desktop": {"width": 1280, "height": 800},
    "dark": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_pictures_of_every_gesture_are_taken_to_be_looked_at(
    look: str, rig: Rig, picker: PickerProcess, chromium: Chromium
) -> None:
    page = chromium.open(picker.url, **LOOKS[look])
    scheme = {"name": "prefers-color-scheme", "value": "dark" if look == "dark" else "light"}
    pointer = {"name": "hover", "value": "none" if look == "phone" else "hover"}
    page.send("Emulation.setEmulatedMedia", features=[scheme, pointer])
    film, hand = Film(rig, page), Hand(page)

    def take(name: str) -> None:
        page.screenshot(ROOT / "build" / "screenshots" / f"{look}_{name}.png")

    x, y = rig.scene.inner_point(THING, film.index)
    hand.move(x, y)
    page.until("document.querySelectorAll('#sketch .candidate').length > 1")
    take("candidates")
    page.click(*place(page, x, y))
    said(page, "started object 1")
    page.click(*place(page, x, y))
    said(page, "Took alternative 2")
    film.go_on()
    page.until(names("Object 1"))
    take("second_click")
    hand.press(x, y, modifiers=SHIFT)
    hand.pull((x + 20, y - 20), (x + 50, y - 25), (x + 70, y + 10), modifiers=SHIFT)
    take("line")
    page.press("Escape")
    hand.release(x, y)
    page.press("n")
    hand.press(125, 75)
    hand.pull((210, 175))
    take("box")
    page.press("Escape")
    hand.release(210, 175)
    page.press("?")
    take("help")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints == []
    page.close()


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
