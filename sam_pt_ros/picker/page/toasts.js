// Messages that are shown for some seconds.

const SECONDS = { info: 3.5, warning: 9, error: 9 };
const MOST = 4;
const list = document.getElementById("toasts");

export function toast(text, level) {
  for (const other of [...list.children]) {
    // Messages lie over the picture: of those that only confirm, the newest is enough.
    const old = level === "info" && other.classList.contains("info");
    if (old || other.dataset.text === text) other.remove();
  }
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
  while (list.children.length > MOST) list.firstChild.remove();
  setTimeout(() => element.remove(), 1000 * SECONDS[level]);
}
