// The rows of the list of objects.

// An object's name within a sentence.
export const nameOf = ({ id, label }) => (label ? `${id} ${label}` : `object ${id}`);

export function makeRow(id, select, remove) {
  const element = document.createElement("li");
  element.className = "object";
  element.dataset.id = id;
  element.innerHTML = `
    <button type="button" class="pick">
      <i class="swatch"></i><span class="name"></span><span class="score"><span></span><i></i></span>
      <span class="about"><span class="word"></span><span class="rest"></span></span>
    </button>
    <button type="button" class="drop">
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 4l8 8M12 4l-8 8"/></svg>
    </button>`;
  element.querySelector(".pick").onclick = () => select(id);
  element.querySelector(".drop").onclick = () => remove(id);
  return element;
}

// Write only what has changed: a list comes with every picture.
export function put(element, name, value) {
  if (name.startsWith("aria-")) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  } else if (element[name] !== value) element[name] = value;
}

export function updateRow(element, item, chosen) {
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
  put(part(".drop"), "aria-label", `Remove ${nameOf(item)}`);
  element.classList.toggle("selected", chosen);
  put(part(".pick"), "aria-pressed", String(chosen));
}
