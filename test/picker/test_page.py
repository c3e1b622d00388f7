"""The page in a real browser, against a server in this process."""

from __future__ import annotations

import asyncio

import pytest

from sam_pt_ros.picker.tracker_interface import ObjectView, PickerClick
from support.chromium import SHIFT
from support.page_site import HEIGHT, WIDTH, OpenPage, Site, place

OBJECTS = (
    ObjectView(1, "ball", "tracking", 0.93, 14, 16, 1.237),
    ObjectView(2, "", "occluded", 0.0, 0, 9),
    ObjectView(3, "<b>cup</b>", "lost", 0.0, 0, 8),
)


WINDOWS = {
    "wide": {"width": 1500, "height": 700},
    "high": {"width": 1100, "height": 1300},
    "dense": {"width": 1280, "height": 800, "deviceScaleFactor": 2},
    "zoomed to 125 %": {"width": 1024, "height": 640, "deviceScaleFactor": 1.25},
    "phone": {"width": 760, "height": 900, "deviceScaleFactor": 3, "mobile": True},
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_click_hits_its_pixel_in_every_window(
    name: str, site: Site, open_page: OpenPage
) -> None:
    page = open_page(**WINDOWS[name])
    pixels = [(0, 0), (WIDTH - 1, 0), (0, HEIGHT - 1), (WIDTH - 1, HEIGHT - 1), (123, 234)]
    for x, y in pixels:
        page.click(*place(page, x, y))
        (told,) = site.ordered()
        (click,) = (part for part in told if isinstance(part, PickerClick))
        assert (click.stamp, click.x, click.y) == ((1, 7), x, y)


def test_what_is_beside_the_picture_is_no_click(site: Site, open_page: OpenPage) -> None:
    page = open_page(width=1500, height=700)
    for x, y in ((-2, 100), (WIDTH + 1, 100)):
        page.click(*place(page, x, y))
    page.click(*place(page, 5, 5))
    assert [what[0] for what in site.ordered()] == ["add_object"]
    assert site.ordered(0) == []


def test_clicks_on_an_object_follow_the_one_that_started_it(
    site: Site, open_page: OpenPage
) -> None:
    """Even if the first has not been answered; and N begins another."""
    page = open_page()
    gate = asyncio.Event()
    site.tracker.gate = gate
    page.click(*place(page, 10, 10))
    page.click(*place(page, 20, 20))
    page.click(*place(page, 30, 30), modifiers=SHIFT)
    site.loop.call_soon_threadsafe(gate.set)
    told = site.ordered(3)
    assert [what[0] for what in told] == ["add_object", "add_point", "add_point"]
    assert [(what[1], what[3]) for what in told[1:]] == [(1, True), (1, False)]
    page.press("n")
    page.click(*place(page, 40, 40))
    assert [what[0] for what in site.ordered()] == ["add_object"]


def test_beside_needs_an_object(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    page.click(*place(page, 10, 10), modifiers=SHIFT)
    page.until("document.getElementById('toasts').innerText.includes('Select an object first')")
    assert site.ordered(0) == []


def test_on_a_phone_a_switch_says_beside(site: Site, open_page: OpenPage) -> None:
    page = open_page(width=390, height=844, deviceScaleFactor=2, mobile=True)
    site.tell("on_objects", OBJECTS)
    page.until("document.querySelectorAll('.object').length === 3")
    page.tap(".object:nth-child(2) .pick")
    page.tap(".choice label:last-child")
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    page.touch(*place(page, 50, 60))
    ((action, object_id, click, positive),) = site.ordered()
    assert (action, object_id, positive) == ("add_point", 2, False)
    assert abs(click.x - 50) <= 1 and abs(click.y - 60) <= 1  # fingers are whole CSS pixels
    small = page.run(
        "[...document.querySelectorAll('button, .choice span')].filter(e => e.offsetParent)"
        ".filter(e => !e.closest('.toast') && e.offsetHeight < 40).map(e => e.outerHTML)"
    )
    assert small == []
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_objects_are_listed_with_colour_form_and_words(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    site.tell("on_objects", OBJECTS)
    page.until("document.querySelectorAll('.object').length === 3")
    rows = page.run("[...document.querySelectorAll('.object')].map(e => e.innerText)")
    assert [row.split("\n")[0] for row in rows] == ["1 ball", "Object 2", "3 <b>cup</b>"]
    assert ["tracking · 1.24 m · 14/16 points" in rows[0], "occluded" in rows[1]] == [True, True]
    assert "lost" in rows[2] and "0.93" in rows[0]
    colours = page.run(
        "[...document.querySelectorAll('.swatch')].map(e => getComputedStyle(e).borderColor)"
    )
    assert colours == ["rgb(230, 159, 0)", "rgb(86, 180, 233)", "rgb(204, 121, 167)"]
    looks = page.run(
        "[...document.querySelectorAll('.swatch')].map(e => { const s = getComputedStyle(e);"
        "return s.borderStyle + s.backgroundImage + s.backgroundColor; })"
    )
    assert len(set(looks)) == 3


def test_keys_select_remove_pause_and_reset_once_that_is_confirmed(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    site.tell("on_objects", OBJECTS)
    page.until("document.querySelectorAll('.object').length === 3")
    page.press("2")
    assert page.run("document.querySelector('.selected').dataset.id") == "2"
    page.press("Delete")
    assert site.ordered() == [("remove", 2)]
    page.press(" ")
    assert site.ordered() == [("enable", False)]
    page.until("document.getElementById('state').textContent === 'paused'")
    page.press(" ")
    assert site.ordered() == [("enable", True)]
    page.press("r")
    page.until("document.getElementById('reset-dialog').open")
    page.press("Enter")  # the button to keep them has the focus
    page.until("!document.getElementById('reset-dialog').open")
    page.press("r")
    page.until("document.getElementById('reset-dialog').open")
    page.tap("#reset-dialog .solid")
    assert site.ordered() == [("reset",)]
    page.press("?")
    page.until("document.getElementById('help-dialog').open")


def test_the_picture_can_be_clicked_on_with_keys_alone(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    page.run("document.querySelector('canvas').focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.press(key)
    page.press("Enter")
    ((_, click),) = site.ordered()
    assert (click.x, click.y) == (WIDTH // 2 + 4, HEIGHT // 2 - 2)


def test_what_the_node_refuses_is_shown_as_text(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    site.tell("on_notice", "warning", "click on 'points' refused: <img src=x onerror=alert(1)>")
    page.until("document.querySelector('.toast')?.innerText.includes('<img src=x')")
    assert page.run("document.querySelectorAll('.toast img').length") == 0


def test_the_page_says_how_it_is(site: Site, open_page: OpenPage) -> None:
    page = open_page()
    page.until("document.getElementById('state').textContent === 'live'")
    page.until("document.getElementById('age').textContent.endsWith('ms old')")
    site.tell("on_presence", True, False)
    page.until("document.getElementById('state').textContent === 'not active'")
    site.tell("on_presence", False, False)
    page.until(
        "document.getElementById('empty').innerText.includes('The node /sam_pt was not found')"
    )
    assert page.run("document.getElementById('reset').disabled")
    asyncio.run_coroutine_threadsafe(site.runner.cleanup(), site.loop).result(10)
    page.until("document.getElementById('state').textContent === 'no connection'")
    page.complaints.clear()  # of connections that fail, as they should


def test_everything_that_acts_has_a_name_and_enough_contrast(
    site: Site, open_page: OpenPage
) -> None:
    page = open_page()
    site.tell("on_objects", OBJECTS)
    page.until("document.querySelectorAll('.object').length === 3")
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    acting = [n for n in nodes if n.get("role", {}).get("value") in ("button", "radio")]
    assert len(acting) >= 13
    assert all(n["name"]["value"].strip() for n in acting)
    for scheme in ("light", "dark"):
        page.send(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},  # no colours in between
            ],
        )
        worst = page.run(CONTRAST)
        assert worst[0] >= 4.5, (scheme, worst)


# The text with the least contrast to what is behind it, and how much that is (WCAG 2).
CONTRAST = """(() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parts(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].filter((n) => n.nodeType === 3);
    const text = own.map((n) => n.data.trim()).join("");
    if (!text || !e.offsetParent || e.closest(".frame, .unseen, :disabled")) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, text];
  }
  return worst;
})()"""
