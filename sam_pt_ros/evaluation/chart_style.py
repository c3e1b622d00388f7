"""How charts look, and how they become SVG text that stands in a page as it is.

Text stays text, the background is transparent, and lines and letters take the colour of the text
around them, so that a page may be light or dark. The same values give the same text. An object
has one colour in all charts (:func:`~sam_pt_ros.interchange.visualization.object_colour`).
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sam_pt_ros.interchange.visualization import object_colour
from sam_pt_ros.output.atomic_files import write_text

INK = "#1b1f24"
"""Stands for the colour of the page's text until the SVG is finished."""

OUTLINE = "#4a4a4a"
"""Around colours that are too light for a white page."""

NEUTRAL = "#8a93a0"
"""Of bars that belong to no object."""

FONT_SIZE = 9
"""Points."""

_TOO_LIGHT = 0.6  # relative luminance
_WIDTH = 5.0  # inches; a phone shows them at about their size
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_SIZE,
    "axes.titlepad": 4.0,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": FONT_SIZE,
    "grid.alpha": 0.18,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "hatch.color": OUTLINE,
    "hatch.linewidth": 0.7,
    "patch.edgecolor": OUTLINE,
    "legend.borderpad": 0.0,
    "legend.columnspacing": 1.2,
    "legend.fontsize": FONT_SIZE - 1,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "lines.linewidth": 1.3,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "xtick.color": INK,
    "xtick.labelsize": FONT_SIZE - 1,
    "xtick.major.width": 0.6,
    "ytick.color": INK,
    "ytick.labelsize": FONT_SIZE - 1,
    "ytick.major.width": 0.6,
}


def save_chart(path: Path, svg: str) -> None:
    """Write a chart as a file of its own, on white; UserError if it cannot be written."""
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    backed = re.sub("<svg [^>]*>", lambda start: start[0] + paper, svg, count=1)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + backed)


@contextmanager
def drawing() -> Iterator[None]:
    """Use this style in Matplotlib, whatever the user's own settings are."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # The browser has fonts that the layout is not computed with.
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def _figure(height: float, layout: str | None = None) -> Figure:
    figure = Figure(figsize=(_WIDTH, height), layout=layout)  # type: ignore[arg-type]
    FigureCanvasSVG(figure)
    return figure


def single_chart(height: float) -> tuple[Figure, Axes]:
    """A figure with one chart; ``height`` in inches, including all text."""
    figure = _figure(height, "constrained")
    return figure, figure.add_subplot()


def stacked_charts(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Charts below each other with a common time axis; ``heights`` in inches."""
    gap, bottom, left, right = 0.26, 0.42, 0.62, 0.1
    total = sum(heights) + gap * len(heights) + bottom
    figure = _figure(total)
    axes: list[Axes] = []
    top = total
    for height in heights:
        top -= gap + height
        box = (left / _WIDTH, top / total, 1 - (left + right) / _WIDTH, height / total)
        axis = figure.add_axes(box, sharex=axes[0] if axes else None)
        axis.grid(visible=True)
        axes.append(axis)
    return figure, axes


def set_time_axis(axes: Sequence[Axes], seconds: np.ndarray, span: float) -> None:
    """Label the time axis of the lowest chart.

    Args:
        axes: of all charts, from the top.
        seconds: ``float64 (N,)``, of the samples.
        span: length of the axis, seconds; 0: around the only sample.
    """
    for axis in axes[:-1]:
        axis.tick_params(axis="x", labelbottom=False)
    if span > 0:
        axes[-1].set_xlim(0, span)
    else:
        axes[-1].set_xlim(float(seconds[0]) - 0.5, float(seconds[0]) + 0.5)
    axes[-1].set_xlabel("time (s)")


def add_legend(axis: Axes) -> None:
    """Add a legend above the axes on the right, level with their title."""
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.35)


def colour_of_object(object_id: int) -> str:
    """An object's colour as ``#rrggbb``."""
    red, green, blue = object_colour(object_id)
    return to_hex((red / 255, green / 255, blue / 255))


def is_light(colour: str) -> bool:
    """Whether a colour ``#rrggbb`` is hard to see on white."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > _TOO_LIGHT


def printable(text: str) -> str:
    """Replace what is not printable: XML has no control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def axis_name(text: str, longest: int = 30) -> str:
    """A name that fits beside an axis: printable and shortened."""
    text = printable(text).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def to_svg(figure: Figure, title: str, salt: str) -> str:
    """The figure as an ``<svg>`` element, labelled for screen readers.

    Args:
        figure: the finished drawing.
        title: the element's label.
        salt: keeps the ids of several charts on one page apart.
    """
    data = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(data, format="svg", metadata=nothing)
    text = data.getvalue().decode()
    text = text[text.index("<svg ") :].replace(INK, "currentColor")
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"[ \n]*\n[ \n]*", "\n", text)
    label = html.escape(printable(title))
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def seconds_since(origin: int, stamps: Sequence[int]) -> np.ndarray:
    """Seconds from ``origin``, ``float64 (N,)``; both in nanoseconds.

    They are subtracted as integers: a double cannot hold the nanoseconds of today's time.
    """
    return np.array([(stamp - origin) / 1e9 for stamp in stamps], np.float64)
