"""How soon a correction is seen: from the click to the picture with the changed mask."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from pathlib import Path

from support.chromium import SHIFT, Chromium, Page
from support.page_site import place
from support.picker_process import PickerProcess
from support.rig import Rig
from support.scene import OCCLUDER

CONTENT = 3  # the frame that all images show: whatever changes in the picture is the mask
CLICKS = 8

# Notes how many milliseconds after the next press the picture changes at a pixel.
WATCH = """(() => {
  const canvas = document.querySelector("canvas"), context = canvas.getContext("2d");
  const colour = () => [...context.getImageData(%d, %d, 1, 1).data];
  const before = colour();
  window.latency = null;
  canvas.addEventListener("pointerdown", () => {
    const begin = performance.now();
    const same = (value, i) => Math.abs(value - before[i]) < 25;
    const look = () => {
      if (!colour().every(same)) window.latency = performance.now() - begin;
      else requestAnimationFrame(look);
    };
    look();
  }, { once: true });
})()"""


def test_a_correction_is_seen_soon(
    tmp_path: Path, chromium: Chromium, record_property: Callable[[str, object], None]
) -> None:
    """With the classical segmenter, 640x480 at 20 Hz; the figure depends on the machine."""
    rig = Rig(tmp_path, order={"width": 640, "content": CONTENT})
    picker = PickerProcess(rig.domain)
    page = chromium.open(picker.url)
    ended = threading.Event()

    def play() -> None:
        first = 10
        while not ended.is_set():
            rig.camera.publish(range(first, first + 20), **rig.order, period=0.05)
            first += 20

    camera = threading.Thread(target=play)
    camera.start()
    try:
        found = sorted(_latencies(page, rig))
    finally:
        ended.set()
        camera.join()
        assert picker.end() == (0, "")
        page.close()
        rig.close()
    record_property("latencies_ms", found)
    print(f"milliseconds to the changed mask: median {statistics.median(found):.0f}, {found}")


def _latencies(page: Page, rig: Rig) -> list[int]:
    x, y = rig.scene.inner_point(OCCLUDER, CONTENT)
    page.until("document.getElementById('state').textContent === 'live'")
    page.click(*place(page, x, y))
    page.until("document.querySelectorAll('.object').length === 1")
    found = []
    for _ in range(CLICKS):
        page.until("document.querySelector('#hint').innerText.includes('object 1')")
        page.run("new Promise(r => setTimeout(r, 400))")  # nothing else changes the picture
        page.run(WATCH % (x + 53, y))
        page.click(*place(page, x + 45, y), modifiers=SHIFT)
        found.append(round(page.until("window.latency")))
        page.press("u")
        page.until(
            "[...document.querySelectorAll('.toast')].some(e => e.innerText.includes('Undone'))"
        )
        page.run("document.querySelectorAll('.toast').forEach(e => e.remove())")
    return found
