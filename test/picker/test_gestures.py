"""Drags, candidates and undo on the page in a real browser, against a server in this process."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from sam_pt_ros.picker.tracker_interface import Gesture, ObjectView
from support.chromium import SHIFT, Page
from support.page_site import (
    ALT,
    CONTROL,
    HEIGHT,
    RADII,
    WIDTH,
    Hand,
    OpenPage,
    Site,
    place,
    stop_clock,
)

STAMP = (1, 7)
ONE = ObjectView(1, "", "tracking", 0.9, 8, 8)
TWO = ObjectView(2, "", "tracking", 0.9, 8, 8)
PATHS = "document.querySelectorAll('#sketch g')"
CHOSEN = "[...document.querySelectorAll('#sketch .candidate')].map(e => e.outerHTML)"


def said(page: Page, text: str) -> None:
    page.until(f"document.getElementById('toasts').innerText.includes({text!r})")


def shown(page: Page, kind: str, count: int) -> None:
    page.until(f"document.querySelectorAll('#sketch .{kind}').length === {count}")


def listed(site: Site, page: Page, *objects: ObjectView) -> None:
    site.tell("on_objects", objects)
    page.until(f"document.querySelectorAll('.object').length === {len(objects)}")


def selected(page: Page, number: int) -> None:
    """Until an object is selected; it need not be listed."""
    page.until(f"document.getElementById('hint').innerText.includes('object {number}')")


def chosen_radius(page: Page) -> int:
    """Half the width of the candidate that is highlighted."""
    path = page.run("document.querySelector('#sketch .chosen path').getAttribute('d')")
    columns = [int(x) for x, _ in re.findall(r"(\d+) (\d+)", path)]
    return (max(columns) - min(columns)) // 2


# --- drags ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "end", "box"),
    [
        ((100, 80), (220, 160), (100, 80, 220, 160)),
        ((220, 80), (100, 160), (100, 80, 220, 160)),
        ((600, 300), (700, 400), (600, 300, WIDTH - 1, HEIGHT - 1)),
    ],
    ids=["forward", "backward", "beyond the picture"],
)
def test_a_drag_starts_an_object_from_its_box(
    begin: tuple[int, int],
    end: tuple[int, int],
    box: tuple[int, int, int, int],
    site: Site,
    open_page: OpenPage,
) -> None:
    page = open_page()
    hand = Hand(page)
    hand.press(*begin)
    hand.pull(((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2), end)
    shown(page, "box", 1)
    site.show(8)  # the box is on the picture that was shown when it was begun
    page.until("document.querySelector('canvas').dataset.stamp === '1.8'")
    hand.release(*end)
    assert site.told() == [("start", Gesture(STAMP, box=box))]
    shown(page, "box", 0)
    selected(page, 1)


def test_a_drag_that_goes_nowhere_is_a_click(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    Hand(page).drag((100, 80), (160, 80), (101, 80))
    ((action, click),) = site.told()
    assert (action, click.stamp, click.x, click.y) == ("add_object", STAMP, 100, 80)


def test_escape_and_a_second_finger_give_up_a_drag(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    hand = Hand(page)
    hand.press(100, 80)
    hand.pull((200, 160))
    shown(page, "box", 1)
    page.press("Escape")
    shown(page, "box", 0)
    hand.pull((210, 160))
    hand.release(210, 160)

    page.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    fingers = [dict(zip("xy", place(page, *pixel))) for pixel in ((100, 80), (200, 160))]
    for kind, points in (
        ("touchStart", fingers[:1]),
        ("touchMove", [fingers[1]]),
        ("touchStart", [fingers[1], fingers[0]]),
        ("touchEnd", []),
    ):
        page.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    shown(page, "box", 0)
    page.send("Emulation.setTouchEmulationEnabled", enabled=False)
    hand.drag((10, 10), (60, 60))
    assert site.told() == [("start", Gesture(STAMP, box=(10, 10, 60, 60)))]


@pytest.mark.parametrize("modifiers", [0, SHIFT], ids=["on", "beside"])
def test_a_drag_on_a_selected_object_is_one_line_of_points(
    modifiers: int, site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    listed(site, page, ONE)
    page.press("1")
    hand = Hand(page)
    corner = [(100, 100), (135, 100), (170, 100), (170, 135), (170, 170)]
    hand.press(*corner[0], modifiers=modifiers)
    hand.pull(*corner[1:], modifiers=modifiers)
    shown(page, "stroke", 1)
    hand.release(*corner[-1], modifiers=modifiers)
    ((action, object_id, line, positive),) = site.told()
    assert (action, object_id, positive) == ("add_line", 1, modifiers == 0)
    steps = [(100 + 20 * n, 100) for n in range(4)] + [
        (170, 100 + 20 * n - 70) for n in range(4, 8)
    ]
    assert line == Gesture(STAMP, tuple((float(x), float(y)) for x, y in steps))
    shown(page, "stroke", 0)


def test_a_line_starts_an_object_with_alt_or_with_the_switch(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    hand = Hand(page)
    hand.drag((100, 100), (170, 100), modifiers=ALT)
    line = Gesture(STAMP, tuple((100.0 + 10 * n, 100.0) for n in range(8)))
    assert site.told() == [("start", line)]
    selected(page, 1)
    page.press("n")
    page.tap("#shape label:last-child")
    hand.drag((100, 100), (170, 100))
    assert site.told() == [("start", line)]


def test_points_are_spread_evenly_along_a_line(open_page: OpenPage) -> None:
    def spread(*line: tuple[float, float]) -> list[list[float]]:
        return page.run(f"import('/sketch.js').then(m => m.spread({json.dumps(line)}))")

    page = open_page()
    assert spread((3, 4)) == [[3, 4]]
    assert spread((3, 4), (3, 4), (3, 4)) == [[3, 4]]
    assert spread((0, 0), (3, 0)) == [[0, 0]]  # too short for two
    assert spread((0, 0), (9, 0)) == [[0, 0], [4.5, 0], [9, 0]]
    assert spread((0, 0), (1, 0), (1, 0), (70, 0)) == [[10 * n, 0] for n in range(8)]
    bent = spread((0, 0), (35, 0), (35, 35))
    assert bent == [[0, 0], [10, 0], [20, 0], [30, 0], [35, 5], [35, 15], [35, 25], [35, 35]]
    circle = [(100 - 100 * n, n % 7) for n in range(400)]
    assert len(spread(*circle)) == 8


def test_fingers_drag_boxes_and_lines(site: Site, open_page: OpenPage) -> None:
    page = open_page(width=390, height=844, deviceScaleFactor=2, mobile=True)
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    hand = Hand(page)
    hand.drag_finger((100, 80), (150, 120), (220, 160))
    ((_, gesture),) = site.told()
    assert all(abs(a - b) <= 2 for a, b in zip(gesture.box, (100, 80, 220, 160)))
    selected(page, 1)
    page.tap("#side label:last-child")
    hand.drag_finger((100, 80), (150, 80), (240, 80))
    ((action, object_id, line, positive),) = site.told()
    assert (action, object_id, len(line.points), positive) == ("add_line", 1, 8, False)
    assert page.run("scrollY") == 0


# --- candidates ----------------------------------------------------------------------------


def test_resting_shows_what_a_click_may_mean_until_the_mouse_moves(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    hand = Hand(page)
    hand.move(300, 200)
    ((action, click, size),) = site.told()
    assert (action, click.stamp, click.x, click.y) == ("suggest", STAMP, 300, 200)
    assert size == (HEIGHT, WIDTH)
    shown(page, "candidate", 3)
    shown(page, "candidate.chosen", 1)
    assert chosen_radius(page) == RADII[0]
    fill = "getComputedStyle(document.querySelector('#sketch .chosen .line')).fill"
    assert page.run(fill) == "rgba(255, 255, 255, 0.15)"
    hand.move(301, 200)  # resting is not exact
    page.run("new Promise(r => setTimeout(r, 300))")
    shown(page, "candidate", 3)
    assert site.tracker.told == []
    hand.move(306, 200)
    shown(page, "candidate", 0)


def test_of_many_places_the_newest_is_asked_for_after_the_first(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    site.tracker.gate = gate = asyncio.Event()
    hand = Hand(page)
    hand.move(100, 100)
    ((_, first, _),) = site.told()
    for x in (200, 300, 400):
        hand.move(x, 100)
        page.run("new Promise(r => setTimeout(r, 200))")
    assert site.tracker.told == []
    site.loop.call_soon_threadsafe(gate.set)
    ((_, last, _),) = site.told()
    assert (first.x, last.x) == (100, 400)
    shown(page, "candidate", 3)
    assert "M400 " in page.run(CHOSEN)[-1]  # the top of the disc


def test_nothing_is_asked_for_while_an_object_is_selected(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    listed(site, page, ONE)
    page.press("1")
    hand = Hand(page)
    hand.move(100, 100)
    page.run("new Promise(r => setTimeout(r, 400))")
    assert site.tracker.told == []
    page.press("n")
    hand.move(200, 100)
    assert [what[0] for what in site.told()] == ["suggest"]


@pytest.mark.parametrize("how", ["C", "wheel"])
def test_another_candidate_is_chosen_and_a_click_takes_it(
    how: str, site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    hand = Hand(page)
    hand.move(300, 200)
    shown(page, "candidate", 3)
    focus = "document.activeElement.tagName"
    focused = page.run(focus)
    radii = []
    for _ in RADII:
        before = page.run(CHOSEN)[-1]
        page.press("c") if how == "C" else hand.wheel(300, 200, 100)
        page.until(f"({CHOSEN}).at(-1) !== {json.dumps(before)}")
        radii.append(chosen_radius(page))
    assert radii == [RADII[1], RADII[2], RADII[0]]
    assert page.run(focus) == focused
    page.press("c") if how == "C" else hand.wheel(300, 200, 100)
    page.until("document.getElementById('hint').innerText.includes('alternative 2 of 3')")
    site.told()
    page.click(*place(page, 300, 200))
    ((action, click, index, object_id),) = site.told()
    assert (action, click.x, click.y, index, object_id) == ("take", 300, 200, 1, None)
    shown(page, "candidate", 0)
    selected(page, 1)


def test_the_first_candidate_is_what_a_click_means_anyway(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    Hand(page).move(300, 200)
    shown(page, "candidate", 3)
    site.told()
    page.click(*place(page, 300, 200))
    assert [what[0] for what in site.told()] == ["add_object"]


def test_the_wheel_scrolls_where_there_is_nothing_to_choose(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    page.run("document.addEventListener('wheel', e => { window.kept = e.defaultPrevented; })")
    Hand(page).wheel(300, 200, 100)
    page.until("window.kept === false")


def test_the_cross_rests_as_well(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    page.run("document.querySelector('canvas').focus()")
    page.press("ArrowRight")
    ((_, click, _),) = site.told()
    assert (click.x, click.y) == (WIDTH // 2 + 2, HEIGHT // 2)
    shown(page, "candidate", 3)
    page.press("c")
    page.press("Enter")
    assert site.told()[0][2] == 1  # the second one
    page.run("document.querySelector('canvas').blur()")
    shown(page, "candidate", 0)


# --- clicking again ------------------------------------------------------------------------


def test_clicks_at_the_same_place_take_one_meaning_after_the_other(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    stop_clock(page)
    page.click(*place(page, 300, 200))
    assert [what[0] for what in site.told()] == ["add_object"]
    said(page, "did add_object")
    page.click(*place(page, 306, 200))  # of 734 pixels of diagonal, 8.8 are near
    suggest, take = site.told(2)
    assert (suggest[0], suggest[1].x, suggest[1].stamp) == ("suggest", 300, STAMP)
    assert (take[0], take[1].x, take[2:]) == ("take", 300, (1, 1))
    said(page, "Took alternative 2 of 3 for object 1; click again for the next")
    page.press("c")
    assert [what[2:] for what in site.told()] == [(2, 1)]
    said(page, "Took alternative 3 of 3")
    page.press("c")
    assert [what[2:] for what in site.told()] == [(0, 1)]
    said(page, "Took alternative 1 of 3")
    assert page.run("document.querySelectorAll('.toast').length") == 1  # they cover the picture
    page.click(*place(page, 312, 200))
    assert [what[0] for what in site.told()] == ["add_point"]
    page.click(*place(page, 300, 200), modifiers=SHIFT)
    ((action, _, _, positive),) = site.told()
    assert (action, positive) == ("add_point", False)


def test_after_six_seconds_a_click_at_the_same_place_adds_a_point(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    stop_clock(page)
    page.click(*place(page, 300, 200))
    site.told()
    said(page, "did add_object")
    page.run("window.late = 6100")
    page.click(*place(page, 300, 200))
    assert [what[0] for what in site.told()] == ["add_point"]


def test_what_the_node_says_to_a_second_click_is_shown(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    stop_clock(page)
    page.click(*place(page, 300, 200))
    said(page, "did add_object")
    site.told()
    site.tracker.failure = "the image is not held any more"
    page.click(*place(page, 300, 200))
    page.until("document.querySelector('.toast.error')?.innerText.includes('not held any more')")
    site.told()
    site.tracker.failure = ""
    site.tracker.radii = (20,)
    page.click(*place(page, 300, 200))
    said(page, "nothing else was found")
    assert [what[0] for what in site.told()] == ["suggest"]


# --- undo ----------------------------------------------------------------------------------


def test_each_gesture_is_taken_back_the_newest_first(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    stop_clock(page)
    assert page.run("document.getElementById('undo').disabled")
    page.click(*place(page, 300, 200))
    said(page, "did add_object")
    page.click(*place(page, 300, 200))
    said(page, "Took alternative 2")
    page.click(*place(page, 100, 100))
    said(page, "did add_point")
    Hand(page).drag((100, 100), (170, 100), modifiers=SHIFT)
    said(page, "did add_line")
    site.told(5)
    for press, told, toast in (
        ("u", ("undo", 1), "Undone: the line beside object 1"),
        ("z", ("undo", 1), "Undone: the point on object 1"),
        ("button", ("undo", 1), "Undone: the other alternative for object 1"),
        ("u", ("remove", 1), "Undone: the start of object 1; it was removed"),
    ):
        if press == "button":
            page.tap("#undo")
        else:
            page.press(press, modifiers=CONTROL if press == "z" else 0)
        assert site.told() == [told]
        said(page, toast)
    page.until("document.getElementById('undo').disabled")
    page.until("document.getElementById('new').ariaPressed === 'true'")


def test_what_was_done_to_an_object_that_is_gone_is_passed_over(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    page.click(*place(page, 300, 200))
    said(page, "did add_object")
    page.press("n")
    Hand(page).drag((10, 10), (60, 60))
    said(page, "did start")
    listed(site, page, ONE, TWO)
    listed(site, page, ONE)  # another page has removed it
    site.told(2)
    page.press("u")
    assert site.told() == [("remove", 1)]
    page.until("document.getElementById('undo').disabled")


def test_what_cannot_be_taken_back_is_said(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    listed(site, page, ONE)
    page.press("1")
    page.click(*place(page, 300, 200))
    said(page, "did add_point")
    site.told()
    site.tracker.failure = "the newest change is older than the frames that are held"
    page.press("u")
    page.until("document.querySelector('.toast.error')?.innerText.includes('older than')")
    assert site.told() == [("undo", 1)]


def test_a_refused_undo_does_not_go_on_to_remove_the_object(
    site: Site, open_page: OpenPage
) -> None:
    """Whether the object is listed or not: while it catches up it is not."""
    page = open_page()
    page.click(*place(page, 300, 200))
    said(page, "did add_object")
    stop_clock(page)
    page.click(*place(page, 100, 100))
    said(page, "did add_point")
    site.told(2)
    site.tracker.failure = "the newest change of object 1 is older than the 60 frames"
    page.press("u")
    page.until("document.querySelector('.toast.error')?.innerText.includes('older than')")
    assert site.told() == [("undo", 1)]
    page.until("document.getElementById('undo').disabled")
    site.tracker.failure = ""
    page.press("u")
    page.click(*place(page, 30, 30))
    assert [what[0] for what in site.told()] == ["add_point"], "nothing was removed"


def test_an_undo_during_another_one_follows_it(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    page.click(*place(page, 300, 200))
    said(page, "did add_object")
    stop_clock(page)
    for x in (100, 130):
        page.click(*place(page, x, 100))
        said(page, "did add_point")
    site.told(3)
    site.hold()
    page.press("u")
    page.press("u")
    assert site.told() == [("undo", 1)]
    site.let_go()
    assert site.told() == [("undo", 1)]


def test_no_more_than_fifty_gestures_are_kept(open_page: OpenPage) -> None:
    page = open_page()
    kept: Any = page.run(
        "import('/undo.js').then(({ UndoStack }) => { const s = new UndoStack();"
        "for (let object = 1; object <= 60; object++) s.add({ object, starts: true, what: '' });"
        "return s.stack.map(each => each.object); })"
    )
    assert kept == list(range(11, 61))


def test_the_picture_does_not_move_whatever_the_hint_says(site: Site, open_page: OpenPage) -> None:
    page = open_page(width=1024, height=640)
    before = place(page, 0, 0)
    listed(site, page, ONE)
    page.press("1")
    selected(page, 1)
    assert place(page, 0, 0) == before
