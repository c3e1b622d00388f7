"""The elements and the style of a self-contained HTML page."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from sam_pt_ros.interchange.visualization import object_colour

_LONGEST_SIDE = 8000  # pixels of a picture: browsers fail to show longer ones
_JPEG_QUALITY = 88

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --dim: #59606b;
  --line: #d5dae1; --shade: #f4f6f8; --warn: #8a4b00; --warn-paper: #fff4e0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181d; --ink: #e6e9ed; --dim: #a3abb8; --line: #3a414b; --shade: #1e2229;
    --warn: #ffc66b; --warn-paper: #33260f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 0.3rem; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; max-width: 48rem; }
li { overflow-wrap: anywhere; }
.dim { color: var(--dim); }
.banner { border: 2px solid var(--warn); border-left-width: 0.6rem; background: var(--warn-paper);
  color: var(--warn); padding: 0.7rem 1rem; margin: 1rem 0; font-weight: 600;
  overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.4rem, 1fr));
  gap: 0.6rem; margin: 1rem 0; }
.facts div { background: var(--shade); padding: 0.5rem 0.8rem; border-radius: 0.4rem; }
.facts dt { color: var(--dim); font-size: 0.8rem; }
.facts dd { margin: 0; font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.87rem; width: max-content; }
th, td { padding: 0.25rem 0.5rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; vertical-align: baseline; }
thead th { color: var(--dim); font-weight: 600; border-bottom-width: 2px; white-space: normal;
  max-width: 5.5rem; vertical-align: bottom; }
.text, th.text { text-align: left; white-space: normal; overflow-wrap: anywhere;
  max-width: 18rem; }
.chip { display: inline-block; width: 0.8em; height: 0.8em; border: 1px solid #4a4a4a;
  border-radius: 0.15em; margin-right: 0.45em; vertical-align: -0.05em;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
  gap: 1.6rem; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { color: var(--dim); font-size: 0.87rem; }
figure svg { display: block; width: 100%; height: auto; max-width: 40rem; }
img { display: block; max-width: 100%; height: auto; }
@media print {
  :root { --paper: #fff; --ink: #000; --dim: #444; --line: #bbb; --shade: #fff; --warn: #000;
    --warn-paper: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  table { font-size: 7.5pt; width: auto; }
  th, td { padding: 0.15rem 0.35rem; }
  .charts { grid-template-columns: 1fr 1fr; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; } }
"""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Html(str):
    """Text that already is HTML; any other ``str`` is escaped when it is put on a page."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Text as HTML; HTML stays as it is."""
    if isinstance(text, Html):
        return text
    # Replaces surrogates, which UTF-8 cannot encode, and control characters, which HTML forbids.
    visible = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    return Html(html.escape(visible))


def element(tag: str, *content: str, style: str = "") -> Html:
    """An HTML element.

    Args:
        tag: its tag name.
        content: its children.
        style: its CSS class.
    """
    start = f'<{tag} class="{style}">' if style else f"<{tag}>"
    return Html(f"{start}{''.join(map(escaped, content))}</{tag}>")


def section(heading: str, *content: str) -> Html:
    """A section with a heading."""
    return element("section", element("h2", heading), *content)


def facts(values: Mapping[str, str]) -> Html:
    """The most important figures, by name."""
    pairs = (
        element("div", element("dt", name), element("dd", value)) for name, value in values.items()
    )
    return element("dl", *pairs, style="facts")


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[int] = (0,)
) -> Html:
    """A table that scrolls on a narrow screen.

    Args:
        head: names of the columns.
        rows: as many cells each.
        text_columns: indices of the columns with text; the others hold numbers.
    """
    styles = ["text" if i in text_columns else "" for i in range(len(head))]

    def line(tag: str, cells: Sequence[str]) -> Html:
        pairs = zip(cells, styles, strict=True)
        return element("tr", *(element(tag, cell, style=style) for cell, style in pairs))

    body = element("tbody", *(line("td", row) for row in rows))
    return element("div", element("table", element("thead", line("th", head)), body), style="wide")


def bullets(items: Iterable[str]) -> Html:
    """A list."""
    return element("ul", *(element("li", item) for item in items))


def chart(svg: str, caption: str = "", heading: str = "") -> Html:
    """A figure with a chart: SVG of the chart modules."""
    above = [element("h3", heading)] if heading else []
    below = [element("figcaption", caption)] if caption else []
    return element("figure", *above, Html(svg), *below)


def picture(image: np.ndarray, description: str) -> Html:
    """A picture that scales with the page.

    Args:
        image: RGB ``uint8 (H, W, 3)``, not empty.
        description: its alternative text.
    """
    scale = _LONGEST_SIDE / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    blue_first = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    source = base64.b64encode(data.tobytes()).decode()
    height, width = image.shape[:2]
    return Html(
        f'<figure><img width="{width}" height="{height}" alt="{escaped(description)}" '
        f'src="data:image/jpeg;base64,{source}"></figure>'
    )


def object_name(object_id: int, label: str) -> Html:
    """An object's colour, id and label."""
    red, green, blue = object_colour(object_id)
    chip = f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'
    return Html(f"{chip}{object_id} {escaped(label)}".rstrip())


def page(title: str, *content: str) -> str:
    """The whole document.

    Args:
        title: of the window and of the page.
        content: the content below the title.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{element('h1', title)}\n" + "\n".join(map(escaped, content)) + "\n</body>\n</html>\n"
    )


def number(value: float, digits: int = 3) -> str:
    """A number; a dash if it is unknown."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def percent(share: float) -> str:
    """A share, 0 to 1, in percent; a dash if it is unknown."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"
