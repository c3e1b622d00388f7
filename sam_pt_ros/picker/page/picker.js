// The page of `sam-pt pick`. page_messages.py describes the messages on the socket.

const byId = (id) => document.getElementById(id);
const canvas = byId("picture"), context = canvas.getContext("2d", { alpha: false });
const frame = byId("frame"), fit = byId("fit"), cross = byId("cross");

const HEADER = 16; // bytes before the JPEG
const STALE = 3000; // milliseconds after which a picture is stale
const RETRY = [250, 500, 1000, 2000];
const TOAST = { info: 3500, warning: 9000, error: 9000 }; // milliseconds
const MAX_TOASTS = 4;
const DRAG = 12; // CSS pixels of movement from which a press is not a click
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

// Send a command; its answer. The answer is also shown to the user.
async function ask(type, content = {}) {
  if (!connected()) {
    toast("Not connected to the picker.", "error");
    return { ok: false };
  }
  const request = ++requests;
  const answer = new Promise((resolve) => waiting.set(request, resolve));
  socket.send(JSON.stringify({ type, request, ...content }));
  const answered = await answer;
  toast(answered.message, answered.ok ? "info" : "error");
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

// --- clicks -----------------------------------------------------------------------------------

// Position and picture of the press: a click's own position is in whole CSS pixels, and a newer
// picture may be shown by then.
let press = null;

const besideChosen = () => document.querySelector('input[name="side"]:checked').value === "beside";

async function clickOn(x, y, beside, stamp) {
  const target = selected ?? starting;
  if (target === null && beside) {
    toast("Select an object first; a point is then added beside it.", "warning");
    return;
  }
  mark(x, y, !beside);
  if (target !== null) {
    const object = await target; // a second click before the answer is for the same object
    if (object !== null) await ask("add_point", { stamp, x, y, object, positive: !beside });
    return;
  }
  starting = ask("add_object", { stamp, x, y }).then(({ object }) => object ?? null);
  const started = starting;
  const object = await started;
  if (starting !== started) return; // the selection has changed meanwhile
  starting = null;
  if (object !== null) select(object);
}

canvas.addEventListener("pointerdown", ({ clientX, clientY }) => {
  press = shown && { clientX, clientY, stamp: shown.stamp };
});
canvas.addEventListener("click", (event) => {
  const { clientX, clientY, stamp } = press ?? {};
  press = null;
  cross.hidden = true;
  if (!stamp || Math.hypot(event.clientX - clientX, event.clientY - clientY) > DRAG) return;
  clickOn(...pixelAt(clientX, clientY), event.shiftKey || besideChosen(), stamp);
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
  } else if (event.key === "Enter" && !cross.hidden) {
    clickOn(at.x, at.y, event.shiftKey || besideChosen(), shown.stamp);
  } else return;
  event.preventDefault();
});
canvas.addEventListener("blur", () => { cross.hidden = true; });

// --- objects ----------------------------------------------------------------------------------

function select(id) {
  selected = id;
  starting = null;
  selectedWasListed = objects.some((item) => item.id === id);
  if (id === null) document.querySelector('input[name="side"][value="on"]').checked = true;
  listObjects();
}

const nameOf = (id) => {
  const label = objects.find((item) => item.id === id)?.label;
  return label ? `${id} ${label}` : `object ${id}`;
};

function row(item) {
  const element = document.createElement("li");
  element.className = "object";
  element.dataset.id = item.id;
  element.innerHTML = `
    <button type="button" class="pick">
      <i class="swatch"></i><span class="name"></span><span class="score"><span></span><i></i></span>
      <span class="about"><span class="word"></span><span class="rest"></span></span>
    </button>
    <button type="button" class="drop">
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 4l8 8M12 4l-8 8"/></svg>
    </button>`;
  element.querySelector(".pick").onclick = () => select(item.id);
  element.querySelector(".drop").onclick = () => remove(item.id);
  return element;
}

// Write only what has changed: a list comes with every picture.
function put(element, name, value) {
  if (name.startsWith("aria-")) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  } else if (element[name] !== value) element[name] = value;
}

function updateRow(element, item) {
  const part = (selector) => element.querySelector(selector);
  const swatch = part(".swatch"), word = part(".word");
  const metres = item.distance === null ? "" : ` · ${item.distance.toFixed(2)} m`;
  put(swatch.dataset, "state", item.state);
  swatch.style.setProperty("--colour", item.colour);
  put(part(".name"), "textContent", item.label ? `${item.id} ${item.label}` : `Object ${item.id}`);
  put(word, "textContent", item.state);
  put(word, "className", `word ${item.state}`);
  put(part(".rest"), "textContent", `${metres} · ${item.points[0]}/${item.points[1]} points`);
  put(part(".score span"), "textContent", item.score.toFixed(2));
  put(part(".score"), "title", "Score: quality of the mask, 0 to 1");
  part(".score").style.setProperty("--score", item.score);
  put(part(".drop"), "aria-label", `Remove ${nameOf(item.id)}`);
  const chosen = item.id === selected;
  element.classList.toggle("selected", chosen);
  put(part(".pick"), "aria-pressed", String(chosen));
}

function listObjects() {
  const listed = objects.some((item) => item.id === selected);
  if (listed) selectedWasListed = true;
  else if (selected !== null && selectedWasListed) return select(null); // another page removed it
  const list = byId("objects");
  const rows = new Map([...list.children].map((element) => [Number(element.dataset.id), element]));
  objects.forEach((item, i) => {
    const element = rows.get(item.id) ?? row(item);
    rows.delete(item.id);
    updateRow(element, item);
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
    select(null);
  }
};

byId("new").onclick = () => select(null);
byId("remove").onclick = () => { if (selected !== null) remove(selected); };
byId("reset").onclick = reset;
byId("pause").onclick = () => ask("enable", { on: status.paused });
byId("help").onclick = () => byId("help-dialog").showModal();
for (const input of document.querySelectorAll('input[name="side"]')) {
  input.onchange = refreshControls;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === " " && event.target.closest("button, input")) return; // presses that
  const actions = {
    n: () => select(null),
    Escape: () => select(null),
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
  const hint = byId("hint");
  const touch = matchMedia("(hover: none)").matches;
  const verb = touch ? "Tap" : "Click";
  const words =
    selected === null
      ? [`${verb} on an object`, " to start tracking it."]
      : besideChosen()
        ? [`${verb} beside ${nameOf(selected)}`, " where its mask is too large."]
        : [
            `${verb} on ${nameOf(selected)}`,
            ` where its mask is too small${touch ? "." : "; Shift-click where it is too large."}`,
          ];
  if (hint.textContent !== words.join("")) {
    const strong = document.createElement("b");
    strong.textContent = words[0];
    hint.replaceChildren(strong, words[1]);
  }
}

function toast(text, level) {
  const list = byId("toasts");
  for (const same of list.children) if (same.dataset.text === text) same.remove();
  const element = document.createElement("div");
  element.className = `toast ${level}`;
  element.dataset.text = text;
  const paragraph = document.createElement("p");
  if (level !== "info") {
    const kind = document.createElement("b");
    kind.textContent = level === "error" ? "Error:" : "Warning:";
    paragraph.append(kind);
  }
  paragraph.append(text);
  const close = document.createElement("button");
  close.className = "quiet";
  close.type = "button";
  close.setAttribute("aria-label", "Close this message");
  close.textContent = "×";
  close.onclick = () => element.remove();
  element.append(paragraph, close);
  list.append(element);
  while (list.children.length > MAX_TOASTS) list.firstChild.remove();
  setTimeout(() => element.remove(), TOAST[level]);
}

if (location.search) history.replaceState(null, "", "/"); // the cookie holds the token now
new ResizeObserver(() => { if (shown) fitPicture(); }).observe(frame);
setInterval(refresh, 500);
select(null);
refresh();
connect();
