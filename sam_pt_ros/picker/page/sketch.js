// What is drawn over the picture: boxes, lines, and outlines. Places are pixels of the image.

const SVG = "http://www.w3.org/2000/svg";
const MOST = 8; // points that stand for a line
const SPACING = 4; // pixels between them at least

// Points that stand for a line: evenly spaced by length, from its first to its last.
export function spread(line) {
  const lengths = [0];
  for (let i = 1; i < line.length; i++) {
    lengths.push(lengths[i - 1] + Math.hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]));
  }
  const whole = lengths.at(-1);
  const gaps = Math.min(MOST - 1, Math.floor(whole / SPACING));
  if (gaps < 1) return [line[0]];
  const points = [];
  for (let n = 0, i = 1; n <= gaps; n++) {
    const wanted = (whole * n) / gaps;
    while (i < line.length - 1 && lengths[i] < wanted) i++;
    const share = (wanted - lengths[i - 1]) / (lengths[i] - lengths[i - 1] || 1);
    const between = (axis) => line[i - 1][axis] + share * (line[i][axis] - line[i - 1][axis]);
    points.push([0, 1].map((axis) => Math.round(10 * between(axis)) / 10));
  }
  return points;
}

// Left, top, right and bottom of the box between two pixels, which belong to it.
export function boxBetween([x, y], [u, v]) {
  return [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
}

export class Sketch {
  constructor(svg) {
    this.svg = svg;
    this.groups = { gesture: [], candidates: [] };
  }

  // Set the size of the image; what was drawn on another is removed.
  resize(width, height) {
    this.svg.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
    this.clear("gesture");
    this.clear("candidates");
  }

  clear(group) {
    for (const element of this.groups[group]) element.remove();
    this.groups[group] = [];
  }

  box([left, top, right, bottom]) {
    const [l, t, r, b] = [left - 0.5, top - 0.5, right + 0.5, bottom + 0.5];
    this.clear("gesture");
    this.draw("gesture", `M${l} ${t}H${r}V${b}H${l}Z`, "box");
  }

  line(points, beside) {
    this.clear("gesture");
    this.draw("gesture", `M${points.map((point) => point.join(" ")).join("L")}`, beside ? "stroke beside" : "stroke");
  }

  // The chosen one is drawn last, over the others.
  candidates(candidates, chosen) {
    this.clear("candidates");
    const draw = ({ outline }, kind) =>
      this.draw("candidates", outline.map((polygon) => `M${polygon.map((point) => point.join(" ")).join("L")}Z`).join(""), kind);
    candidates.forEach((candidate, i) => { if (i !== chosen) draw(candidate, "candidate"); });
    draw(candidates[chosen], "candidate chosen");
  }

  // A path with a dark rim, which is seen on any picture.
  draw(group, path, kind) {
    const element = document.createElementNS(SVG, "g");
    element.setAttribute("class", kind);
    for (const part of ["rim", "line"]) {
      const drawn = document.createElementNS(SVG, "path");
      drawn.setAttribute("class", part);
      drawn.setAttribute("d", path);
      element.append(drawn);
    }
    this.svg.append(element);
    this.groups[group].push(element);
  }
}
