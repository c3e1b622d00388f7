// The page of `sam-pt pick`. page_messages.py describes the messages on the socket.

import { Candidates } from "/candidates.js";
import { watch } from "/gestures.js";
import { makeRow, nameOf as nameOfObject, put, updateRow } from "/rows.js";
import { Sketch, boxBetween, spread } from "/sketch.js";
import { toast } from "/toasts.js";
import { UndoStack } from "/undo.js";

const byId = (id) => document.getElementById(id);
const canvas = byId("picture"), context = canvas.getContext("2d", { alpha: false });
const frame = byId("frame"), fit = byId("fit"), cross = byId("cross");

const HEADER = 16; // bytes before the JPEG
const STALE = 3000; // milliseconds after which a picture is stale
const RETRY = [250, 500, 1000, 2000];
const TINY = 8; // CSS pixels; what is less wide or less high is no box
const AGAIN = { time: 6000, distance: 0.012 }; // milliseconds, and a share of the picture's diagonal
const CATCH_UP = 5000; // milliseconds in which an object that was changed may not be listed
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// --- state --------------------------------------------------------------------------------

let socket = null;
let retries = 0;
let status = { node: "", present: false, active: false, paused: false };
let objects = [];
let shown = null; // the picture on the canvas: { stamp, age, at }
let arrivals = []; // times of the last pictures
let drawing = Promise.resolve();

// The object that clicks are added to; null: a click starts a new object.
let selected = null;
let selectedWasListed = false;
let starting = null; // promise of the id of an object that is being started

// The click whose object becomes what else the click may mean if it is repeated: { x, y, object, until }.
let repeatable = null;
const changed = new Map(); // until when an object may not be listed, because it catches up

const sketch = new Sketch(byId("sketch"));
const candidates = new Candidates(sketch, (question) => ask("suggest", question, true), refreshControls);
const done = new UndoStack();

// --- the socket -------------------------------------------------------------------------------

let requests = 0;
const waiting = new Map(); // functions that settle answers, by request

function connect() {
  socket = new WebSocket(`ws://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { retries = 0; refresh(); };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") hear(JSON.parse(data));
    else drawing = drawing.then(() => draw(data));
  };
  socket.onclose = () => {
    socket = null;
    for (const settle of waiting.values()) settle({ ok: false, message: "the connection was lost" });
    waiting.clear();
    setTimeout(connect, RETRY[Math.min(retries++, RETRY.length - 1)]);
    refresh();
  };
}

const connected = () => socket !== null && socket.readyState === WebSocket.OPEN;

function hear(message) {
  if (message.type === "objects") {
    objects = message.objects;
    listObjects();
  } else if (message.type === "status") {
    status = message;
    refresh();
  } else if (message.type === "answer") {
    waiting.get(message.request)?.(message);
    waiting.delete(message.request);
  } else if (message.type === "notice") {
    toast(message.text, message.level);
  } else if (message.type === "error") {
    toast(`The picker rejected a message from this page: ${message.message}`, "error");
  }
}

// Send a command; its answer. The answer is also shown to the user, unless this is `quiet`.
async function ask(type, content = {}, quiet = false) {
  if (!connected()) {
    if (!quiet) toast("Not connected to the picker.", "error");
    return { ok: false };
  }
  const request = ++requests;
  const answer = new Promise((resolve) => waiting.set(request, resolve));
  socket.send(JSON.stringify({ type, request, ...content }));
  const answered = await answer;
  if (!quiet) toast(answered.message, answered.ok ? "info" : "error");
  return answered;
}

// --- the picture ------------------------------------------------------------------------------

async function draw(data) {
  const view = new DataView(data);
  const stamp = [view.getInt32(0, true), view.getUint32(4, true)];
  try {
    const blob = new Blob([new Uint8Array(data, HEADER)], { type: "image/jpeg" });
    const image = await createImageBitmap(blob);
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
      frame.style.setProperty("--ratio", `${image.width} / ${image.height}`);
      candidates.clear();
      gestures.cancel();
      sketch.resize(image.width, image.height);
      fitPicture();
    }
    context.drawImage(image, 0, 0);
    image.close();
    const now = performance.now();
    canvas.dataset.stamp = stamp.join(".");
    shown = { stamp, age: 1000 * view.getFloat64(8, true), at: now };
    arrivals = [...arrivals.filter((at) => now - at < 2000), now];
    if (fit.hidden || frame.classList.contains("stale")) refresh();
  } catch {
    toast("A picture could not be displayed.", "error");
  }
  if (connected()) socket.send('{"type": "drawn"}');
}

// Scale the picture to the available room; its box has no margins.
function fitPicture() {
  const scale = Math.min(frame.clientWidth / canvas.width, frame.clientHeight / canvas.height);
  fit.style.width = `${canvas.width * scale}px`;
  fit.style.height = `${canvas.height * scale}px`;
}

// The image's pixel at a position in the window, at any size, zoom and density.
function pixelAt(clientX, clientY) {
  const box = canvas.getBoundingClientRect();
  const pixel = (place, length, count) =>
    Math.min(count - 1, Math.max(0, Math.floor((place / length) * count)));
  return [
    pixel(clientX - box.left, box.width, canvas.width),
    pixel(clientY - box.top, box.height, canvas.height),
  ];
}

function moveTo(element, x, y) {
  element.style.left = `${(100 * (x + 0.5)) / canvas.width}%`;
  element.style.top = `${(100 * (y + 0.5)) / canvas.height}%`;
}

function mark(x, y, positive) {
  const element = document.createElement("i");
  element.className = positive ? "mark" : "mark beside";
  moveTo(element, x, y);
  byId("marks").append(element);
  setTimeout(() => element.remove(), 900);
}

// --- clicks and drags -------------------------------------------------------------------------

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const besideChosen = () => chosen("side") === "beside";
const newWanted = () => selected === null && starting === null;
const sizes = () => ({ width: canvas.width, height: canvas.height });

// Start an object with a command; the promise of its id, or of null.
function start(type, content, what) {
  starting = ask(type, content).then(({ ok, object }) => {
    if (!ok) return null;
    done.add({ object, starts: true, what });
    return object;
  });
  const started = starting;
  started.then((object) => {
    if (starting === started) { // the selection has not changed meanwhile
      starting = null;
      if (object !== null) select(object, true);
    }
    refreshControls();
  });
  return started;
}

// Add points to the object that is selected, or is being started.
async function extend(type, content, beside, what) {
  const object = await (selected ?? starting); // which may be a second click before the answer
  if (object === null) return;
  const { ok } = await ask(type, { ...content, object, positive: !beside });
  if (ok) done.add({ object, starts: false, what: `the ${what} ${beside ? "beside" : "on"} ${nameOf(object)}` });
  refreshControls();
}

function clickOn(x, y, beside, stamp) {
  const { shown: found, chosen: which, request } = candidates;
  candidates.clear();
  if (newWanted() && beside) {
    toast("Select an object first; a point is then added beside it.", "warning");
    return;
  }
  mark(x, y, !beside);
  if (!newWanted()) {
    if (!beside && repeats(x, y)) another();
    else extend("add_point", { stamp, x, y }, beside, "point");
    return;
  }
  const object =
    found.length && which > 0
      ? start("take", { suggestion: request, candidate: which }, "the start")
      : start("add_object", { stamp, x, y }, "the start");
  const click = { x, y, object, until: Infinity };
  repeatable = click;
  object.then((id) => {
    if (repeatable === click) repeatable = id === null ? null : { ...click, until: performance.now() + AGAIN.time };
    refreshControls();
  });
}

const canRepeat = () => repeatable !== null && performance.now() < repeatable.until;
const repeats = (x, y) =>
  canRepeat() &&
  Math.hypot(x - repeatable.x, y - repeatable.y) <= AGAIN.distance * Math.hypot(canvas.width, canvas.height);

// Have the object that was clicked on start anew from what else the click may mean.
async function another() {
  const click = repeatable;
  const object = await click.object;
  if (object === null) return;
  changed.set(object, performance.now() + CATCH_UP);
  const { ok } = await ask("another", { object, ...sizes() });
  if (ok) {
    done.add({ object, starts: false, what: `the other alternative for ${nameOf(object)}` });
    changed.set(object, performance.now() + CATCH_UP);
    if (repeatable?.object === click.object) repeatable.until = performance.now() + AGAIN.time;
  }
  refreshControls();
}

const isTiny = ([left, top, right, bottom]) => {
  const scale = canvas.getBoundingClientRect().width / canvas.width;
  return Math.min(right - left + 1, bottom - top + 1) * scale < TINY;
};

const gestures = watch(canvas, pixelAt, {
  // The picture of the press: a newer one may be shown by its end.
  press: ({ altKey }) =>
    shown && {
      stamp: shown.stamp,
      shape: !newWanted() ? "points" : altKey || chosen("shape") === "line" ? "line" : "box",
    },
  drag({ context, path, to }) {
    if (context.shape === "box") sketch.box(boxBetween(path[0], path.at(-1)));
    else sketch.line(path, context.shape === "points" && (to.shiftKey || besideChosen()));
  },
  drop({ context: { shape, stamp }, path, to }) {
    const beside = shape === "points" && (to.shiftKey || besideChosen());
    const box = boxBetween(path[0], path.at(-1)), points = spread(path);
    sketch.clear("gesture");
    cross.hidden = true;
    if (shape === "box" ? isTiny(box) : points.length < 2) clickOn(...path[0], beside, stamp);
    else if (shape === "points") {
      repeatable = null;
      if (!newWanted()) extend("add_points", { stamp, points }, beside, "line");
    } else {
      repeatable = null;
      if (shape === "box") start("add_box", { stamp, box }, "the box");
      else start("add_line", { stamp, points }, "the line");
    }
  },
  cancel: () => sketch.clear("gesture"),
  click({ context, path }, event) {
    cross.hidden = true;
    clickOn(...path[0], event.shiftKey || besideChosen(), context.stamp);
  },
  rest([x, y]) {
    if (shown && newWanted() && connected() && status.active) candidates.want({ stamp: shown.stamp, x, y, ...sizes() });
  },
  stir: () => candidates.clear(),
});

const at = { x: 0, y: 0 }; // position of the cross

canvas.addEventListener("keydown", (event) => {
  const move = MOVES[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
  if (move) {
    if (cross.hidden) Object.assign(at, { x: canvas.width >> 1, y: canvas.height >> 1 });
    const step = event.shiftKey ? 20 : 2;
    at.x = Math.min(canvas.width - 1, Math.max(0, at.x + step * move[0]));
    at.y = Math.min(canvas.height - 1, Math.max(0, at.y + step * move[1]));
    moveTo(cross, at.x, at.y);
    cross.hidden = false;
    gestures.stir();
    gestures.restAt([at.x, at.y]);
  } else if (event.key === "Enter" && !cross.hidden) {
    clickOn(at.x, at.y, event.shiftKey || besideChosen(), shown.stamp);
  } else return;
  event.preventDefault();
});
canvas.addEventListener("blur", () => {
  if (!cross.hidden) gestures.stir();
  cross.hidden = true;
});
canvas.addEventListener("wheel", (event) => { if (candidates.wheel(event)) event.preventDefault(); }, { passive: false });

// --- undo -------------------------------------------------------------------------------------

let undoing = false, undoAgain = false;

// Take back the newest gesture whose object is still there.
// A second request follows the first. What is refused is told and goes no further back: the next
// older gesture may be the start of the object, which would be removed.
async function undo() {
  if (undoing) {
    undoAgain = true;
    return;
  }
  undoing = true;
  undoAgain = false;
  try {
    for (let gesture = done.take(); gesture; gesture = done.take()) {
      const { object, starts, what } = gesture, name = nameOf(object);
      repeatable = null;
      changed.set(object, performance.now() + CATCH_UP);
      const { ok, message } = await ask(starts ? "remove" : "undo", { object }, true);
      if (ok) {
        toast(starts ? `Undone: ${what} of ${name}; it was removed` : `Undone: ${what}`, "info");
        if (starts && selected === object) select(null);
        return;
      }
      if (!connected()) {
        done.add(gesture);
        toast("Not connected to the picker.", "error");
        return;
      }
      if (!message.startsWith("there is no object")) {
        done.forget(object);
        return toast(message, "error");
      }
    }
  } finally {
    undoing = false;
    refreshControls();
    if (undoAgain) undo();
  }
}

// --- objects ----------------------------------------------------------------------------------

const isListed = (id) => objects.some((item) => item.id === id);
const isGone = (id) => !isListed(id) && performance.now() > (changed.get(id) ?? 0);

function select(id, byClick = false) {
  candidates.clear();
  if (!byClick) repeatable = null;
  selected = id;
  starting = null;
  selectedWasListed = isListed(id);
  if (id === null) document.querySelector('input[name="side"][value="on"]').checked = true;
  listObjects();
}

const nameOf = (id) => nameOfObject(objects.find((item) => item.id === id) ?? { id });

function listObjects() {
  done.prune(isListed, isGone);
  if (isListed(selected)) selectedWasListed = true;
  else if (selected !== null && selectedWasListed && isGone(selected)) return select(null); // another page removed it
  const list = byId("objects");
  const rows = new Map([...list.children].map((element) => [Number(element.dataset.id), element]));
  objects.forEach((item, i) => {
    const element = rows.get(item.id) ?? makeRow(item.id, select, remove);
    rows.delete(item.id);
    updateRow(element, item, item.id === selected);
    if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
  });
  for (const element of rows.values()) element.remove();
  put(byId("none"), "hidden", objects.length > 0);
  refreshControls();
}

async function remove(id) {
  const { ok } = await ask("remove", { object: id });
  if (ok && selected === id) select(null);
}

async function reset() {
  if (byId("reset-dialog").open) return;
  byId("reset-dialog").returnValue = "";
  byId("reset-dialog").showModal();
}

byId("reset-dialog").onclose = async () => {
  if (byId("reset-dialog").returnValue !== "reset") return;
  if ((await ask("reset")).ok) {
    objects = [];
    done.clear();
    changed.clear();
    select(null);
  }
};

byId("new").onclick = () => select(null);
byId("remove").onclick = () => { if (selected !== null) remove(selected); };
byId("reset").onclick = reset;
byId("pause").onclick = () => ask("enable", { on: status.paused });
byId("undo").onclick = undo;
byId("help").onclick = () => {
  byId("help-dialog").showModal();
  byId("help-dialog").scrollTop = 0; // the button that has the focus is at its end
};
for (const input of document.querySelectorAll(".choice input")) {
  input.onchange = refreshControls;
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() !== "z" || event.shiftKey) return;
    event.preventDefault();
    undo();
    return;
  }
  if (event.key === " " && event.target.closest("button, input")) return; // presses that
  const actions = {
    n: () => select(null),
    Escape: () => { if (!gestures.cancel()) select(null); },
    c: () => { if (!candidates.turn(1) && canRepeat()) another(); },
    u: undo,
    Delete: () => byId("remove").click(),
    Backspace: () => byId("remove").click(),
    r: () => byId("reset").click(),
    " ": () => byId("pause").click(),
    "?": () => byId("help").click(),
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[1-9]$/.test(key)) {
    const item = objects[Number(key) - 1];
    if (item) select(item.id);
  } else if (actions[key]) actions[key]();
  else return;
  event.preventDefault();
});

// --- status ----------------------------------------------------------------------------------

function condition() {
  const node = status.node || "the node";
  if (!connected()) return ["bad", "no connection", "Not connected to the picker. Check that `sam-pt pick` is running. If it was restarted, open the address that it printed."];
  if (!status.present) return ["bad", "no node", `The node ${node} was not found. Check that it is running and configured.`];
  if (!status.active) return ["warn", "not active", `The node ${node} is not active.`];
  if (status.paused) return ["warn", "paused", "Paused: images are ignored."];
  if (!shown || performance.now() - shown.at > STALE) return ["warn", "no pictures", `Waiting for pictures from ${node}.`];
  return ["good", "live", ""];
}

function refresh() {
  const [kind, word, text] = condition();
  put(byId("state").dataset, "kind", kind);
  put(byId("state"), "textContent", word);
  put(byId("node"), "textContent", status.node);
  put(fit, "hidden", shown === null);
  put(byId("empty"), "hidden", text === "");
  put(byId("empty"), "textContent", text);
  byId("empty").classList.toggle("alone", shown === null);
  frame.classList.toggle("stale", kind !== "good");
  refreshRate();
  refreshControls();
}

function refreshRate() {
  const now = performance.now();
  arrivals = arrivals.filter((time) => now - time < 2000);
  const span = arrivals.length > 1 ? arrivals.at(-1) - arrivals[0] : 0;
  const rate = span > 0 ? `${((1000 * (arrivals.length - 1)) / span).toFixed(0)} fps` : "";
  let age = "";
  if (shown) {
    const since = now - shown.at;
    // The stamps of a recording may be of another day: then only the time since arrival is known.
    const total = shown.age > -1000 && shown.age < 3.6e6 ? Math.max(0, shown.age + since) : since;
    age = total < 1000 ? `${total.toFixed(0)} ms old` : `${(total / 1000).toFixed(total < 1e4 ? 1 : 0)} s old`;
  }
  put(byId("rate"), "textContent", rate);
  put(byId("age"), "textContent", age);
}

function refreshControls() {
  const usable = connected() && status.present;
  put(byId("new"), "aria-pressed", String(selected === null));
  put(byId("remove"), "disabled", !usable || selected === null);
  put(byId("reset"), "disabled", !usable);
  put(byId("pause"), "disabled", !usable);
  put(byId("pause"), "aria-pressed", String(status.paused));
  put(byId("pause-text"), "textContent", status.paused ? "Resume" : "Pause");
  put(byId("undo"), "disabled", !usable || done.empty);
  put(byId("shape"), "hidden", selected !== null);
  put(byId("side"), "hidden", selected === null);
  const words = hintWords();
  const hint = byId("hint");
  if (hint.textContent !== words.join("")) {
    const strong = document.createElement("b");
    strong.textContent = words[0];
    hint.replaceChildren(strong, words[1]);
  }
}

// What to do next: the main thing, and what else.
function hintWords() {
  const touch = matchMedia("(hover: none)").matches;
  const verb = touch ? "Tap" : "Click", name = nameOf(selected);
  const { shown: found, chosen: which } = candidates;
  if (found.length > 1) return [`${verb} to take alternative ${which + 1} of ${found.length}`, "; C or the wheel shows the next."];
  if (selected === null) {
    return [`${verb} on an object`, ` to start tracking it, or drag a ${chosen("shape") === "line" ? "line over" : "box around"} it.`];
  }
  if (besideChosen()) return [`${verb} beside ${name}`, " where its mask is too large, or drag a line."];
  if (canRepeat()) return [`${verb} there again`, ` if ${name} is more or less than that, or elsewhere to add a point.`];
  return [
    `${verb} on ${name}`,
    ` where its mask is too small, or drag a line${touch ? "." : "; hold Shift where it is too large."}`,
  ];
}

if (location.search) history.replaceState(null, "", "/"); // the cookie holds the token now
new ResizeObserver(() => { if (shown) fitPicture(); }).observe(frame);
setInterval(refresh, 500);
select(null);
refresh();
connect();
