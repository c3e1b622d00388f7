// What is done on the picture with a mouse, a finger or the cross: clicks, drags, and resting.

const DRAG = 8; // CSS pixels of movement from which a press is a drag
const STILL = 3; // CSS pixels by which a pointer that rests may move
const REST = 150; // milliseconds

// Calls functions of `page`:
// - press(event): a press has begun; what it returns is its `context`. null: it is ignored.
// - drag(press): it is dragged. `press` has `context`, `path` (pixels), and `from` and `to` (events).
// - drop(press): a drag has ended.  cancel(): or was given up.
// - click(press, event): a press has ended without a drag.
// - rest(pixel): the pointer rests.  stir(): it does not rest any more.
export function watch(canvas, pixelAt, page) {
  let press = null, anchor = null, timer = null;

  const apart = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);

  function stir() {
    clearTimeout(timer);
    anchor = null;
    page.stir();
  }

  function restAt(pixel) {
    clearTimeout(timer);
    timer = setTimeout(() => page.rest(pixel), REST);
  }

  // Give up a drag; whether there was one.
  function cancel() {
    const dragged = press?.state === "drag";
    if (press) press.state = "over";
    if (dragged) page.cancel();
    return dragged;
  }

  canvas.addEventListener("pointerdown", (event) => {
    cancel(); // a second finger: the page is zoomed, or the user has thought again
    if (!event.isPrimary || event.button !== 0) return;
    const context = page.press(event);
    const path = [pixelAt(event.clientX, event.clientY)];
    press = context && { id: event.pointerId, state: "down", context, path, from: event, to: event };
    if (press) canvas.setPointerCapture(event.pointerId);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (press?.id === event.pointerId && (press.state === "down" || press.state === "drag")) {
      press.to = event;
      press.path.push(pixelAt(event.clientX, event.clientY));
      if (press.state === "down" && apart(press.from, event) > DRAG) {
        press.state = "drag";
        stir();
      }
      if (press.state === "drag") page.drag(press);
    } else if (event.pointerType === "mouse" && event.buttons === 0) {
      if (anchor && apart(anchor, event) <= STILL) return;
      stir();
      anchor = event;
      restAt(pixelAt(event.clientX, event.clientY));
    }
  });

  canvas.addEventListener("pointerup", (event) => {
    if (press?.id !== event.pointerId) return;
    if (press.state === "drag") {
      press.state = "over"; // a click follows; it is ignored
      page.drop(press);
    } else if (press.state === "down") press.state = "up";
  });

  canvas.addEventListener("click", (event) => {
    if (press?.state === "down" || press?.state === "up") page.click(press, event);
    press = null;
  });

  canvas.addEventListener("pointercancel", cancel);
  canvas.addEventListener("pointerleave", stir);
  window.addEventListener("blur", cancel);
  return { cancel, restAt, stir };
}
